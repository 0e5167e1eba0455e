//! From what a transport brings to a grant, by an access file that may change at any time.
//!
//! The file is looked at every second, and when the process is told to. It is taken whole or not at
//! all: one that is broken leaves everything as it was, which is said loudly. Once the new one
//! holds, every grant that is not in it has ended; then that is noted beside the file, for whoever
//! waits to hear of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use doorbell_protocol::{Code, Error, Filter, Topic};

use super::applied::Applied;
use super::grant::Grant;
use super::holder::{Holder, Standing, standing, unnamed};
use super::jwts::Jwts;
use super::passwords::{Passwords, Verdict};
use super::table::Table;
use super::tickets::{Bearer, PASS_PREFIX, Ticket, Tickets};
use super::{Admission, Principal, Verification};
use crate::audit::Audit;
use crate::clock::unix_seconds;
use crate::limits::{ACCESS_FILE_BYTES_MAX, PASSWORDS_WAITING_MAX};
use crate::log::Fronts;
use crate::rights::{AccessFile, JwtVerifier, TOKEN_PREFIX, TokenHash};

/// The access file and what it says.
#[derive(Debug)]
pub(super) struct Authority {
    path: PathBuf,
    table: ArcSwap<Table>,
    passwords: Arc<Passwords>,
    /// What was last looked at, and whether the file as it is now was refused.
    looked: Mutex<Looked>,
    /// Files that were taken, the first one counted.
    generation: AtomicU64,
    applied: Option<Applied>,
    tickets: Tickets,
}

#[derive(Debug)]
struct Looked {
    /// Of the file, and of the keys that it names.
    stamps: [Option<Stamp>; 2],
    fault: Option<String>,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(path)?;
        let (length, inode) = (metadata.len(), metadata.ino());
        Ok(Self { modified: metadata.modified()?, length, inode })
    }
}

impl Authority {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// One sentence with the path and what is wrong.
    pub(super) fn open(path: &Path, fronts: Option<Arc<dyn Fronts>>) -> Result<Arc<Self>, String> {
        let stamp = Stamp::of(path).ok();
        let (text, file, verifier) = read(path)?;
        let applied = match Applied::beside(path, &text) {
            Ok(applied) => Some(applied),
            Err(error) => {
                let file = path.display();
                tracing::warn!(%file, %error, "what is applied cannot be noted beside the file");
                None
            }
        };
        let table = Table::new(file, verifier, None);
        table.expire(unix_seconds(), &Audit::default());
        let stamps = [stamp, key_stamp(path, &table)];
        let authority = Arc::new(Self {
            path: path.to_owned(),
            table: ArcSwap::from_pointee(table),
            passwords: Arc::default(),
            looked: Mutex::new(Looked { stamps, fault: None }),
            generation: AtomicU64::new(1),
            applied,
            tickets: Tickets::new(fronts.clone()),
        });
        if let Some(fronts) = fronts {
            let own = authority.clone();
            fronts.answer(Box::new(move |request| {
                own.tickets.give_away(request, |grant| own.bearer(grant))
            }));
        }
        Ok(authority)
    }

    /// Looks whether the file is another one, or in any case; takes it if it is good; and ends what
    /// has had its time. Blocks on the disk.
    pub(super) fn look(&self, in_any_case: bool, audit: &Audit) {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        // Before it is read: what is written meanwhile is read at the next look.
        let stamps = [Stamp::of(&self.path).ok(), key_stamp(&self.path, &self.table.load())];
        if in_any_case || stamps != looked.stamps {
            looked.stamps = stamps;
            looked.fault = self.take(&mut looked.stamps[1], audit).err();
            if let Some(fault) = &looked.fault {
                audit.access_file(Err(fault));
                tracing::error!("{fault}; what was read before holds on");
            }
        }
        drop(looked);
        self.table.load().expire(unix_seconds(), audit);
    }

    fn take(&self, keys: &mut Option<Stamp>, audit: &Audit) -> Result<(), String> {
        let (text, file, verifier) = read(&self.path)?;
        let before = self.table.load_full();
        let table = Arc::new(Table::new(file, verifier, Some(&before)));
        if table.jwts().map(Jwts::key_file) != before.jwts().map(Jwts::key_file) {
            *keys = key_stamp(&self.path, &table);
        }
        // First nobody is admitted by what was before, and then what lives by it ends.
        self.table.store(table.clone());
        table.succeed(&before, audit);
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        audit.access_file(Ok(generation));
        tracing::info!(generation, entries = table.len(), "the access file was read again");
        if let Some(Err(error)) = self.applied.as_ref().map(|applied| applied.note(&text)) {
            tracing::error!(%error, "what is applied could not be noted beside the access file");
        }
        Ok(())
    }

    /// What is granted to whoever brings nothing.
    pub(super) fn anonymous(&self) -> Grant {
        self.table.load().anonymous().clone()
    }

    /// Whose a grant is.
    ///
    /// # Errors
    ///
    /// That the file does not name its holder.
    pub(super) fn holder(&self, grant: &Grant) -> Result<Holder, Error> {
        let table = self.table.load();
        if table.anonymous() == grant {
            return Ok(Holder::anybody());
        }
        grant.identity().and_then(|identity| table.holder(identity)).ok_or_else(unnamed)
    }

    /// How it stands with a holder's right to read a topic.
    pub(super) fn standing(&self, holder: &Holder, topic: &Topic) -> Standing {
        let table = self.table.load();
        standing(table.held_by(holder), topic)
    }

    /// Makes a ticket to read a filter by a grant, or a pass.
    ///
    /// # Errors
    ///
    /// That it is nobody's in particular, or that there are too many.
    pub(super) fn ticket(&self, grant: &Grant, filter: Option<Filter>) -> Result<Ticket, Error> {
        if grant.identity().is_none_or(|identity| identity.kind == "anonymous") {
            let text = "a ticket stands for a credential, and the request has none";
            return Err(Error::new(Code::Unauthorized, text));
        }
        self.tickets.make(grant, filter)
    }

    /// Has a ticket come from the server that made it.
    async fn fetch(self: Arc<Self>, maker: (Arc<dyn Fronts>, String), hash: TokenHash) {
        self.tickets.fetch(maker, hash, |bearer| self.granted(bearer)).await;
    }

    /// By what right somebody is here, as another server knows it.
    fn bearer(&self, grant: &Grant) -> Option<Bearer> {
        let table = self.table.load();
        let signed = || {
            let (token, claimed) = table.jwts()?.token_of(grant)?;
            Some(Bearer::Signed(token, claimed))
        };
        grant.identity().and_then(|own| table.holder(own)).map(Bearer::Holder).or_else(signed)
    }

    /// What somebody of another server is granted here.
    fn granted(&self, bearer: Bearer) -> Result<Grant, Error> {
        let table = self.table.load();
        let unnamed = || {
            let text = "the right that the ticket was made with is none here";
            Error::new(Code::Unauthorized, text)
        };
        match bearer {
            Bearer::Holder(holder) => table.held_by(&holder).cloned().ok_or_else(unnamed),
            Bearer::Signed(token, claimed) => {
                table.jwts().ok_or_else(unnamed)?.remember(token, claimed)
            }
        }
    }

    /// Why the file as it is now is not the one that holds.
    pub(super) fn fault(&self) -> Option<String> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).fault.clone()
    }

    /// Files that were taken so far.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// What somebody is granted.
    pub(super) fn admit(self: &Arc<Self>, principal: Principal<'_>) -> Admission<Grant> {
        let table = self.table.load();
        let found = match principal {
            Principal::Anonymous => Some(table.anonymous().clone()),
            Principal::Uid(uid) => Some(table.uid(uid).unwrap_or(table.anonymous()).clone()),
            Principal::Certificate(names) => {
                Some(table.certificate(names).unwrap_or(table.anonymous()).clone())
            }
            Principal::Token(token) if token.starts_with(TOKEN_PREFIX) => table.token(token),
            Principal::Token(pass) if pass.starts_with(PASS_PREFIX) => {
                let admitted = self.tickets.take(pass, None);
                return admitted.map_or_else(Admission::Refused, Admission::Admitted);
            }
            Principal::Token(token) => {
                let admitted = match table.jwts() {
                    Some(jwts) => jwts.admit(token, unix_seconds()),
                    None => return refused("the token is malformed: one begins with tk_"),
                };
                return admitted.map_or_else(Admission::Refused, Admission::Admitted);
            }
            Principal::Ticket { ticket, filter } => {
                if let Some(maker) = self.tickets.maker(ticket) {
                    let hash = TokenHash::of(ticket);
                    return Admission::Unverified(Verification::new(
                        self.clone().fetch(maker, hash),
                    ));
                }
                let admitted = self.tickets.take(ticket, Some(filter));
                return admitted.map_or_else(Admission::Refused, Admission::Admitted);
            }
            Principal::Password { name, password } => {
                let user = table.user(name);
                let hash = user.map(|(hash, _)| hash);
                match self.passwords.verify(hash, name, password) {
                    Ok(Verdict::Right) => user.map(|(_, grant)| grant.clone()),
                    Ok(Verdict::Wrong) => None,
                    Ok(Verdict::Busy) => {
                        let text = format!("{PASSWORDS_WAITING_MAX} passwords wait to be verified");
                        return Admission::Refused(Error::new(Code::Busy, text));
                    }
                    Err(verification) => return Admission::Unverified(verification),
                }
            }
        };
        match found {
            None => refused(match principal {
                Principal::Password { .. } => "the user or the password is wrong",
                _ => "the token is wrong",
            }),
            Some(grant) if !grant.is_current() => refused("the credential has expired"),
            Some(grant) => Admission::Admitted(grant),
        }
    }
}

fn refused<T>(why: &'static str) -> Admission<T> {
    Admission::Refused(Error::new(Code::Unauthorized, why))
}

/// The stamp of the keys that a file names, if it does.
fn key_stamp(path: &Path, table: &Table) -> Option<Stamp> {
    let keys = table.jwts()?.key_file();
    Stamp::of(&folder(path).join(keys)).ok()
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn read(path: &Path) -> Result<(Vec<u8>, AccessFile, Option<JwtVerifier>), String> {
    let wrong = |why: &dyn std::fmt::Display| format!("access file {}: {why}", path.display());
    let length = fs::metadata(path).map_err(|error| wrong(&error))?.len();
    if length > ACCESS_FILE_BYTES_MAX {
        return Err(wrong(&format!("it has {length} bytes, limit is {ACCESS_FILE_BYTES_MAX}")));
    }
    let bytes = fs::read(path).map_err(|error| wrong(&error))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong(&"it is not UTF-8"))?;
    let mut file = AccessFile::parse(text).map_err(|error| wrong(&error))?;
    let settings = file.jwt.take();
    let verifier = settings.map(|settings| JwtVerifier::open(settings, folder(path)));
    let verifier = verifier.transpose().map_err(|why| wrong(&why))?;
    Ok((bytes, file, verifier))
}

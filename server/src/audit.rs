//! The audit trail: logins, refusals, what administrators look at and what becomes of rights, as
//! JSON lines in a file of their own.
//!
//! No credential is in it, no query, no text of a message. Nobody waits for it: lines go through a
//! bounded queue to one thread that writes, and those that found no room are counted in the next
//! one that does. It has nothing to do with what is delivered, nor with a publish or a poll that is
//! allowed.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use doorbell_protocol::{Code, Error};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::limits::{AUDIT_ADDRESSES_MAX, AUDIT_FAILURES_EVERY, AUDIT_LINES_MAX, AUDIT_WAIT_MAX};
use crate::rights::Identity;
use crate::visitors::Network;

/// The trail, if there is one. Clones write to the same.
#[derive(Debug, Clone, Default)]
pub struct Audit(Option<Arc<Trail>>);

#[derive(Debug)]
struct Trail {
    steps: mpsc::Sender<AuditStep>,
    failures: Mutex<Failures>,
    /// Lines that were not written, of whomever.
    lost: Arc<AtomicU64>,
}

/// What the thread that writes is to do.
#[derive(Debug)]
enum AuditStep {
    Write(String),
    Reopen,
    Close,
}

/// Whose doing a line tells of.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Actor<'a> {
    /// As far as a credential has shown it.
    pub identity: Option<&'a Identity>,
    /// The client's address; none over a Unix socket.
    pub address: Option<IpAddr>,
    /// How it speaks to the server.
    pub transport: Option<&'static str>,
}

/// What was done, or was to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditAction {
    /// To say who one is.
    Login,
    /// To publish.
    Publish,
    /// To read a filter, or to ask whether one may.
    Read,
    /// To be given a ticket.
    MakeTicket,
    /// To read by a ticket.
    UseTicket,
    /// To be told as whom one is known.
    Account,
    /// To see statistics.
    Stats,
    /// To see metrics.
    Metrics,
    /// To see who is connected.
    Connections,
    /// To watch who is connected.
    Lab,
    /// Any other request.
    Request,
    /// To connect.
    Connect,
    /// To take the access file as it is now.
    AccessFile,
    /// To have a right.
    Right,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum AuditOutcome {
    Done,
    Refused,
    Ended,
}

#[derive(Serialize)]
struct Record<'a> {
    time: String,
    #[serde(flatten)]
    actor: Actor<'a>,
    action: AuditAction,
    outcome: AuditOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Refusals of the same address, with the same code, that have no line.
    #[serde(skip_serializing_if = "is_none")]
    left_out: u64,
    /// Lines that were not written before this one.
    #[serde(skip_serializing_if = "is_none")]
    lost: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde wants")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Audit {
    /// Begins to write to the end of a file, or to standard error (`-`).
    ///
    /// # Errors
    ///
    /// One sentence with the path and why it cannot be written to.
    pub fn open(path: &Path) -> Result<Self, String> {
        let wrong = |error| format!("audit file {}: {error}", path.display());
        let file = AuditFile::open(path).map_err(wrong)?;
        let (sender, steps) = mpsc::channel(AUDIT_LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let unwritten = lost.clone();
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || file.write(steps, &unwritten))
            .map_err(wrong)?;
        let failures = Mutex::default();
        Ok(Self(Some(Arc::new(Trail { steps: sender, failures, lost }))))
    }

    /// Whether anything is written.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Notes what was allowed.
    pub fn done(&self, actor: Actor<'_>, action: AuditAction) {
        if let Some(trail) = &self.0 {
            trail.write(actor, action, AuditOutcome::Done, None, 0);
        }
    }

    /// Notes what was not. An address has one line in a while for each code: it may ask for the
    /// same very often.
    pub fn refused(&self, actor: Actor<'_>, action: AuditAction, error: &Error) {
        let Some(trail) = &self.0 else { return };
        let mut failures = trail.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = failures.admit(actor.address, error.code(), Instant::now(), &trail.lost);
        drop(failures);
        if let Some(left_out) = admitted {
            trail.write(actor, action, AuditOutcome::Refused, Some(error.text()), left_out);
        }
    }

    /// Notes that somebody's right has ended.
    pub fn ended(&self, identity: &Identity, reason: &'static str) {
        let Some(trail) = &self.0 else { return };
        let actor = Actor { identity: Some(identity), address: None, transport: None };
        trail.write(actor, AuditAction::Right, AuditOutcome::Ended, Some(reason), 0);
    }

    /// Notes what came of an access file: its generation, or what is wrong with it.
    pub fn access_file(&self, result: Result<u64, &str>) {
        let Some(trail) = &self.0 else { return };
        let nobody = Actor { identity: None, address: None, transport: None };
        let (outcome, reason) = match result {
            Ok(generation) => (AuditOutcome::Done, &*format!("generation {generation}")),
            Err(fault) => (AuditOutcome::Refused, fault),
        };
        trail.write(nobody, AuditAction::AccessFile, outcome, Some(reason), 0);
    }

    /// Writes to a new file from here on, if the one before was moved away.
    pub async fn reopen(&self) {
        let Some(trail) = &self.0 else { return };
        if timeout(AUDIT_WAIT_MAX, trail.steps.send(AuditStep::Reopen)).await.is_err() {
            tracing::error!("the audit file takes nothing, and was not opened again");
        }
    }

    /// Waits, but not for long, until all is written that was noted before.
    pub async fn close(&self) {
        let Some(trail) = &self.0 else { return };
        let closed = async {
            // Where nobody takes it any more, it is closed.
            let _ = trail.steps.send(AuditStep::Close).await;
            trail.steps.closed().await;
        };
        if timeout(AUDIT_WAIT_MAX, closed).await.is_err() {
            tracing::error!("the audit file takes nothing, and has not got its last lines");
        }
    }
}

impl Trail {
    fn write(
        &self,
        actor: Actor<'_>,
        action: AuditAction,
        outcome: AuditOutcome,
        reason: Option<&str>,
        left_out: u64,
    ) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let time = format!("{:.6}", Timestamp::now());
        let record = Record { time, actor, action, outcome, reason, left_out, lost };
        let sent = serde_json::to_string(&record)
            .is_ok_and(|line| self.steps.try_send(AuditStep::Write(line + "\n")).is_ok());
        if !sent {
            self.lost.fetch_add(lost + left_out + 1, Ordering::Relaxed);
        }
    }
}

/// Addresses that were refused something of late, and how. Those without one are one.
#[derive(Debug, Default)]
struct Failures(HashMap<(Option<Network>, Code), Failed>);

#[derive(Debug)]
struct Failed {
    /// When there was a line of it.
    told: Instant,
    left_out: u64,
}

impl Failures {
    /// Whether one more refusal of an address has a line, and how many had none before it. What is
    /// forgotten is lost.
    fn admit(
        &mut self,
        address: Option<IpAddr>,
        code: Code,
        now: Instant,
        lost: &AtomicU64,
    ) -> Option<u64> {
        let is_recent = |told: Instant| now.duration_since(told) < AUDIT_FAILURES_EVERY;
        let one = (address.map(Network::of), code);
        if let Some(failed) = self.0.get_mut(&one) {
            if is_recent(failed.told) {
                failed.left_out += 1;
                return None;
            }
            failed.told = now;
            return Some(std::mem::take(&mut failed.left_out));
        }
        if self.0.len() >= AUDIT_ADDRESSES_MAX {
            self.0.retain(|_, failed| {
                let stays = is_recent(failed.told);
                if !stays {
                    lost.fetch_add(failed.left_out, Ordering::Relaxed);
                }
                stays
            });
        }
        if self.0.len() >= AUDIT_ADDRESSES_MAX {
            lost.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.0.insert(one, Failed { told: now, left_out: 0 });
        Some(0)
    }
}

/// Where the lines go.
enum AuditFile {
    StandardError,
    File { path: PathBuf, file: File },
}

impl AuditFile {
    fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::StandardError);
        }
        Ok(Self::File { path: path.to_owned(), file: open(path)? })
    }

    /// Writes line by line until it is told to close, or nobody is left to tell it anything.
    fn write(mut self, mut steps: mpsc::Receiver<AuditStep>, lost: &AtomicU64) {
        let mut is_failing = false;
        while let Some(step) = steps.blocking_recv() {
            match step {
                AuditStep::Close => return,
                AuditStep::Reopen => self.reopen(),
                AuditStep::Write(line) => {
                    // The one before may stand there in part.
                    let line = if is_failing { format!("\n{line}") } else { line };
                    let written = self.write_line(&line);
                    if let Err(error) = &written {
                        lost.fetch_add(1, Ordering::Relaxed);
                        if !is_failing {
                            tracing::error!(%error, "the audit file cannot be written to");
                        }
                    }
                    is_failing = written.is_err();
                }
            }
        }
    }

    fn write_line(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::StandardError => io::stderr().write_all(line.as_bytes()),
            Self::File { file, .. } => file.write_all(line.as_bytes()),
        }
    }

    fn reopen(&mut self) {
        let Self::File { path, file } = self else { return };
        match open(path) {
            Ok(new) => *file = new,
            Err(error) => {
                let file = path.display();
                tracing::error!(%file, %error, "the audit file was not opened again");
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_refusal_in_a_while_and_the_others_are_counted() {
        let (mut failures, lost, now) = (Failures::default(), AtomicU64::new(0), Instant::now());
        let first = Some(IpAddr::from([192, 0, 2, 1]));
        let mut admit = |address, code, now| failures.admit(address, code, now, &lost);
        let code = Code::Unauthorized;
        assert_eq!(admit(first, code, now), Some(0));
        assert_eq!(admit(first, code, now), None);
        assert_eq!(admit(first, code, now), None);
        assert_eq!(admit(None, code, now), Some(0), "others are not kept from theirs");
        assert_eq!(admit(first, Code::Busy, now), Some(0), "nor is what is worse hidden");
        assert_eq!(admit(first, code, now + AUDIT_FAILURES_EVERY), Some(2));
        assert_eq!(admit(first, code, now + 2 * AUDIT_FAILURES_EVERY), Some(0));
    }

    #[test]
    fn a_crowd_of_addresses_takes_no_more_room_and_what_is_left_out_of_it_is_counted() {
        let (mut failures, lost, now) = (Failures::default(), AtomicU64::new(0), Instant::now());
        let address =
            |number: usize| Some(IpAddr::from(u32::try_from(number).unwrap().to_be_bytes()));
        for number in 0..AUDIT_ADDRESSES_MAX + 3 {
            failures.admit(address(number), Code::Forbidden, now, &lost);
        }
        failures.admit(address(0), Code::Forbidden, now, &lost);
        assert_eq!(failures.0.len(), AUDIT_ADDRESSES_MAX);
        assert_eq!(lost.load(Ordering::Relaxed), 3);
        let later = now + AUDIT_FAILURES_EVERY;
        let another = address(AUDIT_ADDRESSES_MAX);
        assert_eq!(failures.admit(another, Code::Forbidden, later, &lost), Some(0));
        assert_eq!(failures.0.len(), 1, "those at rest are forgotten");
        assert_eq!(lost.load(Ordering::Relaxed), 4, "and what they had left out is said");
    }

    #[tokio::test]
    async fn what_finds_no_room_is_said_in_the_next_line() {
        let (sender, mut steps) = mpsc::channel(1);
        let trail = Trail { steps: sender, failures: Mutex::default(), lost: Arc::default() };
        let audit = Audit(Some(Arc::new(trail)));
        let actor = Actor { identity: None, address: None, transport: Some("tcp") };
        for _ in 0..3 {
            audit.done(actor, AuditAction::Login);
        }
        let mut line = || match steps.try_recv() {
            Ok(AuditStep::Write(line)) => serde_json::from_str::<serde_json::Value>(&line).unwrap(),
            other => panic!("{other:?}"),
        };
        assert!(line().get("lost").is_none());
        audit.done(actor, AuditAction::Login);
        assert_eq!(line()["lost"], 2);
        audit.done(actor, AuditAction::Login);
        assert!(line().get("lost").is_none(), "it is said once");
    }
}

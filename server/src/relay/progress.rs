//! How far others were told: the place up to which each message either was, or was given up. It is
//! kept beside the log once a second while it moves, so that the next start goes on from there.
//!
//! What was answered in the second before a death is told again; whoever hears it shows it once,
//! by its id. What the stop cuts off is told by the next start.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use doorbell_protocol::Id;
use tokio::sync::watch;

use crate::access::Access;
use crate::limits::{OUTBOUND_SETTLE_MAX, RELAY_NOTE};
use crate::stop::Stop;

const NAME: &str = "relay.place";
const MODE: u32 = 0o600;

/// How far others were told. Clones share it.
#[derive(Debug, Clone)]
pub struct RelayProgress {
    state: Arc<watch::Sender<State>>,
    stop: Stop,
}

/// Which messages are being told of.
#[derive(Debug, Default)]
struct State {
    /// The place up to which all were begun with.
    reached: u64,
    /// How many are still to hear of each of these.
    under_way: BTreeMap<u64, usize>,
}

impl State {
    /// The place up to which nobody is to hear of anything any more.
    fn place(&self) -> u64 {
        self.under_way.first_key_value().map_or(self.reached, |(seq, _)| seq - 1)
    }
}

impl RelayProgress {
    /// How far the last process came, by what is kept in a folder; or as far as the log is, if that
    /// is not known.
    ///
    /// # Errors
    ///
    /// That it cannot be read or kept, in one sentence.
    pub fn open(
        folder: Option<&Path>,
        access: &Access,
        stop: Stop,
    ) -> Result<(Self, Option<RelayFile>), String> {
        let mut reached = access.visible();
        let file = match folder.map(RelayFile::open).transpose() {
            Ok(file) => file,
            Err(error) => return Err(format!("cannot use {NAME} in the data folder: {error}")),
        };
        if let Some(place) = file.as_ref().and_then(|file| access.place(file.read()?)) {
            reached = reached.min(place);
        }
        let state = State { reached, under_way: BTreeMap::new() };
        Ok((Self { state: Arc::new(watch::Sender::new(state)), stop }, file))
    }

    /// Forgets how far others were told: there are none.
    pub fn forget(folder: &Path) {
        if let Err(error) = fs::remove_file(folder.join(NAME))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "{NAME} could not be removed");
        }
    }

    /// The place from which on others are to be told.
    pub fn reached(&self) -> u64 {
        self.state.borrow().reached
    }

    /// All up to this place was begun with.
    pub(super) fn reach(&self, place: u64) {
        self.state.send_modify(|state| state.reached = place);
    }

    /// Somebody is to hear of the message at this place.
    pub(super) fn begin(&self, seq: u64) -> Telling {
        self.state.send_modify(|state| *state.under_way.entry(seq).or_default() += 1);
        Telling { progress: self.clone(), seq, is_over: false }
    }

    fn end(&self, seq: u64) {
        self.state.send_modify(|state| {
            if let Some(count) = state.under_way.get_mut(&seq) {
                *count -= 1;
                if *count == 0 {
                    state.under_way.remove(&seq);
                }
            }
        });
    }

    /// Keeps the place as it moves, until the stop, and then once more when what is under way has
    /// ended.
    pub(super) async fn keep(&self, access: &Access, mut file: Option<RelayFile>) {
        let mut moved = self.state.subscribe();
        moved.mark_changed();
        let moving = async {
            while moved.changed().await.is_ok() {
                file = self.note(access, file.take()).await;
                tokio::time::sleep(RELAY_NOTE).await;
            }
        };
        self.stop.run_until_cancelled(moving).await;
        let ended = moved.wait_for(|state| state.under_way.is_empty());
        drop(tokio::time::timeout(OUTBOUND_SETTLE_MAX, ended).await);
        self.note(access, file).await;
    }

    async fn note(&self, access: &Access, file: Option<RelayFile>) -> Option<RelayFile> {
        let id = access.id(self.state.borrow().place());
        let file = file?;
        let noted = tokio::task::spawn_blocking(move || {
            if let Err(error) = file.write(id) {
                tracing::debug!(%error, "it could not be kept how far others were told");
            }
            file
        });
        noted.await.ok()
    }
}

/// Somebody who is to hear of a message. What is dropped while the server runs was given up.
#[derive(Debug)]
pub(super) struct Telling {
    progress: RelayProgress,
    seq: u64,
    is_over: bool,
}

impl Telling {
    /// It was answered, or given up.
    pub(super) fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if self.is_over || !self.progress.stop.is_cancelled() {
            self.progress.end(self.seq);
        }
    }
}

/// The file: the id of the place, in one line.
#[derive(Debug)]
pub struct RelayFile(File);

impl RelayFile {
    fn open(folder: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(MODE);
        options.open(folder.join(NAME)).map(Self)
    }

    fn read(&self) -> Option<Id> {
        let mut bytes = [0; 16];
        let read = self.0.read_at(&mut bytes, 0).ok()?;
        str::from_utf8(&bytes[..read]).ok()?.strip_suffix('\n')?.parse().ok()
    }

    fn write(&self, id: Id) -> io::Result<()> {
        self.0.write_all_at(format!("{id}\n").as_bytes(), 0)
    }
}

//! What only a log on disk has to keep: starts, ends of every kind, damage.

mod checkpoint;
mod clock;
mod damage;
mod full;
mod model;
mod open;
mod retention;
mod scan;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorbell_protocol::GapReason;
use tempfile::TempDir;

use super::open::open;
use super::{SegmentLog, Sync};
use crate::log::contract::{KEEP, TestClock, page};
use crate::log::{Log, OpenError, Retention};
use crate::message::Message;

/// A folder in which logs are opened one after another.
pub(super) struct TestFolder {
    folder: TempDir,
    pub(super) clock: Arc<TestClock>,
    pub(super) boot: String,
    pub(super) retention: Retention,
    pub(super) sync: Sync,
}

impl TestFolder {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(TestClock::at(0)),
            boot: "one".into(),
            retention: KEEP,
            sync: Sync::Os,
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn try_open(&self) -> Result<SegmentLog, OpenError> {
        open(self.path(), self.sync, self.retention, self.clock.clone(), self.boot.clone(), false)
    }

    pub(super) fn open(&self) -> SegmentLog {
        self.try_open().unwrap()
    }

    /// The files that end so, oldest first.
    pub(super) fn files(&self, extension: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|own| own == extension));
        files.sort();
        files
    }
}

/// What a reader is told who reads on to the end.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) messages: Vec<Message>,
    /// After which place, up to which, and why.
    pub(super) gaps: Vec<(u64, u64, GapReason)>,
}

/// Reads from a place to the end in pages of so many messages.
pub(super) fn read_all(log: &dyn Log, filter: &str, after: u64, messages: usize) -> Told {
    let last = log.bounds().last;
    let mut told = Told::default();
    let mut place = after;
    while place < last {
        let page = page(log, filter, place, messages);
        assert!(page.through > place, "{filter} stays at {place}");
        assert!(page.messages.len() <= messages);
        if let Some(reason) = page.lost {
            assert!(page.messages.is_empty());
            told.gaps.push((place, page.through, reason));
        }
        for message in page.messages {
            let newest = told.messages.last().map_or(after, Message::seq);
            assert!(message.seq() > newest && message.seq() <= page.through, "{filter}");
            told.messages.push(message);
        }
        place = page.through;
    }
    told
}

/// How often something is tried: as often as is asked for, or so often.
pub(super) fn rounds(usual: u64) -> u64 {
    let given = std::env::var("DOORBELL_ROUNDS").ok();
    given.map_or(usual, |rounds| rounds.parse().expect("a number"))
}

/// What random choices begin with. It is printed where a test fails, and can be given.
pub(super) fn seed() -> u64 {
    let given = std::env::var("DOORBELL_SEED").ok();
    let seed = given.map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    println!("DOORBELL_SEED={seed}");
    seed
}

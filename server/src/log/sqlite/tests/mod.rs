//! What only this engine promises: what is left after crashes, damage and a full disk.

mod damage;
mod full;
mod open;
mod pages;
mod random;

use std::path::Path;
use std::process::Command;

use doorbell_protocol::GapReason;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{Retention, SqliteLog, Sync};
use crate::log::contract::{KEEP, append, page};
use crate::log::{Bounds, Log};
use crate::message::Message;

/// A log in a folder of its own.
struct Subject {
    folder: TempDir,
    log: Option<SqliteLog>,
}

impl Subject {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        Self { folder, log: Some(log) }
    }

    fn log(&self) -> &SqliteLog {
        self.log.as_ref().unwrap()
    }

    fn append(&self, topic: &str, texts: &[&str]) -> Vec<Message> {
        append(self.log(), topic, texts, 5)
    }

    fn close(&mut self) {
        self.log.take().unwrap().close().unwrap();
    }

    fn reopen(&mut self) {
        self.log = Some(open(self.folder.path()));
    }

    /// Closes the log, lets somebody change the tables, and opens it again.
    fn meddle(&mut self, meddle: impl FnOnce(&Connection)) {
        self.close();
        let connection = Connection::open(self.folder.path().join("doorbell.db")).unwrap();
        meddle(&connection);
        drop(connection);
        self.reopen();
    }
}

fn open(folder: &Path) -> SqliteLog {
    SqliteLog::open(folder, Sync::Os, KEEP).unwrap()
}

fn open_on_boot(folder: &Path, sync: Sync, boot_id: &str) -> SqliteLog {
    super::open::open(folder, sync, KEEP, Some(boot_id.to_owned())).unwrap()
}

/// The files as they would be found if the process died now. Another process copies them, since
/// reading them here would drop the locks on them.
fn copy_as_if_killed(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in ["doorbell.db", "doorbell.db-wal"] {
        let done = Command::new("cp").arg(folder.join(file)).arg(copy.path()).status().unwrap();
        assert!(done.success());
    }
    copy
}

type Gaps = Vec<(u64, u64, GapReason)>;

/// All that a reader gets after a place, page by page, and the gaps that it is told of.
fn read_all(log: &dyn Log, filter: &str, after: u64, messages: usize) -> (Vec<Message>, Gaps) {
    let Bounds { last, .. } = log.bounds();
    let (mut place, mut got, mut gaps) = (after, Vec::new(), Vec::new());
    while place < last {
        let page = page(log, filter, place, messages);
        assert!(page.through > place && page.through <= last, "from {place} to {}", page.through);
        if let Some(reason) = page.lost {
            assert!(page.messages.is_empty());
            gaps.push((place, page.through, reason));
        }
        for message in &page.messages {
            assert!(message.seq() > got.last().map_or(after, Message::seq));
            assert!(message.seq() <= page.through);
            got.push(message.clone());
        }
        place = page.through;
    }
    (got, gaps)
}

fn all_seqs(log: &dyn Log, filter: &str) -> (Vec<u64>, Gaps) {
    let (messages, gaps) = read_all(log, filter, 0, 100);
    (messages.iter().map(Message::seq).collect(), gaps)
}

fn assert_same(read: &[Message], appended: &[Message]) {
    assert_eq!(read.len(), appended.len());
    for (read, appended) in read.iter().zip(appended) {
        assert_eq!(read.id(), appended.id());
        assert_eq!(read.topic(), appended.topic());
        assert_eq!(read.time_us(), appended.time_us());
        assert_eq!(read.frame(), appended.frame());
    }
}

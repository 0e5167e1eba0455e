//! A disk without room, at every step of what is written; one that may only be read.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use super::super::open::open;
use super::read_all;
use crate::log::contract::{KEEP, TestClock, at, draft, entries};
use crate::log::segments::{SegmentLog, Sync};
use crate::log::{Log, LogError, OpenError, Retention};
use crate::message::Message;

const PAGE: usize = 4096;
/// Small segments.
const RETENTION: Retention = Retention { bytes: 2 << 20, ..KEEP };

/// A small disk, unmounted when it is dropped.
struct Disk(TempDir);

impl Disk {
    /// Needs the right to mount; `None` where that is missing.
    fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let is_mounted = disk.run("mount", &["-t", "tmpfs", "-o", "size=1m,nr_inodes=40", "tmpfs"]);
        if !is_mounted {
            println!("skipped: a full disk needs the right to mount a small file system");
        }
        is_mounted.then_some(disk)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let done = Command::new(program).args(arguments).arg(self.0.path()).output();
        done.is_ok_and(|output| output.status.success())
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn open(&self, sync: Sync) -> Result<SegmentLog, OpenError> {
        open(&self.data(), sync, RETENTION, Arc::new(TestClock::at(0)), "one".into(), false)
    }

    /// Leaves room for so many pages and new files.
    fn fill_up(&self, pages: u64, files: usize) {
        let path = self.0.path().join("filler");
        let mut filler = File::create(&path).unwrap();
        while filler.write_all(&[1; PAGE]).is_ok() {}
        let bytes = filler.metadata().unwrap().len();
        filler.set_len(bytes.saturating_sub(pages * PAGE as u64)).unwrap();
        let mut others = Vec::new();
        for number in 0.. {
            let path = self.0.path().join(format!("other{number}"));
            if File::create(&path).is_err() {
                break;
            }
            others.push(path);
        }
        others.iter().rev().take(files).for_each(|path| fs::remove_file(path).unwrap());
    }

    fn make_room(&self) {
        for entry in fs::read_dir(self.0.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.run("umount", &["--lazy"]);
    }
}

/// Appends until there is no room; returns what was acknowledged.
fn append_until_full(log: &SegmentLog, acknowledged: &mut Vec<Message>) {
    let text = "x".repeat(3000);
    for number in 0..1000 {
        let drafts = (0..=number % 3).map(|n| draft(["a", "b", "c"][n], &text));
        match log.append(&entries(drafts), at(5)) {
            Ok(messages) => acknowledged.extend(messages),
            Err(LogError::Full) => return,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk was never full");
}

fn assert_holds(log: &SegmentLog, acknowledged: &[Message], what: &str) {
    let told = read_all(log, ">", 0, 50);
    assert_eq!(told.gaps, [], "{what}");
    assert_eq!(told.messages.len(), acknowledged.len(), "{what}");
    for (read, own) in told.messages.iter().zip(acknowledged) {
        assert_eq!(read.frame(), own.frame(), "{what}");
    }
}

/// Every file is text to its end.
fn assert_text(folder: &Path, what: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "{what}: {}", path.display());
        assert!(!bytes.contains(&0), "{what}: {}", path.display());
    }
}

#[test]
fn where_there_is_no_room_a_batch_is_refused_whole_and_the_next_one_finds_some() {
    for (pages, files) in (0..24).map(|pages| (pages, 9)).chain((0..4).map(|files| (60, files))) {
        let Some(disk) = Disk::mount() else { return };
        let sync = if pages % 2 == 0 { Sync::Os } else { Sync::Always };
        let what = format!("room for {pages} pages and {files} files, {sync:?}");
        let log = disk.open(sync).unwrap();
        let mut acknowledged = log.append(&entries([draft("a", "first")]), at(5)).unwrap();
        disk.fill_up(pages, files);
        append_until_full(&log, &mut acknowledged);
        assert!(log.failure().is_none(), "{what}");
        assert_holds(&log, &acknowledged, &what);
        assert_text(&disk.data(), &what);
        // A start without room: what is held can be read.
        drop(log);
        let log = disk.open(sync).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_holds(&log, &acknowledged, &what);
        append_until_full(&log, &mut acknowledged);
        disk.make_room();
        acknowledged.extend(log.append(&entries([draft("a", "last")]), at(6)).unwrap());
        assert_holds(&log, &acknowledged, &what);
        log.close().unwrap();
        drop(log);
        let log = disk.open(sync).unwrap();
        assert_holds(&log, &acknowledged, &what);
        assert_text(&disk.data(), &what);
    }
}

#[test]
fn a_disk_that_may_only_be_read_is_refused_in_one_line() {
    let Some(disk) = Disk::mount() else { return };
    let log = disk.open(Sync::Os).unwrap();
    let acknowledged = log.append(&entries([draft("a", "first")]), at(5)).unwrap();
    log.close().unwrap();
    drop(log);
    assert!(disk.run("mount", &["-o", "remount,ro"]));
    let refused = disk.open(Sync::Os).unwrap_err().to_string();
    assert!(refused.contains("cannot write in the data folder"), "{refused}");
    assert!(disk.run("mount", &["-o", "remount,rw"]));
    assert_holds(&disk.open(Sync::Os).unwrap(), &acknowledged, "writable again");
}

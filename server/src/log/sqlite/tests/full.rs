//! What happens when the disk is full.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use super::*;
use crate::log::LogError;
use crate::log::contract::{HOUR_US, draft};

/// A small disk, unmounted when it is dropped.
struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Needs the right to mount; `None` where that is missing.
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path());
        if mount.output().is_ok_and(|done| done.status.success()) {
            return Some(Self { folder });
        }
        eprintln!("skipped: mounting a small disk is not permitted here");
        None
    }

    /// Leaves no room at all.
    fn fill_up(&self) {
        for size in (12..26).rev().map(|power| 1 << power) {
            let file = tempfile::NamedTempFile::new_in(self.folder.path());
            let Ok((mut file, _)) = file.and_then(|file| Ok(file.keep()?)) else { continue };
            let _ = file.write_all(&vec![1; size]);
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

/// Appends until the disk is full and returns what was acknowledged.
fn fill(log: &SqliteLog, time_us: u64) -> Vec<Message> {
    let text = "x".repeat(4000);
    let batch: Vec<_> = (0..50).map(|n| draft(&format!("t.{}", n % 5), &text)).collect();
    let mut acknowledged = Vec::new();
    loop {
        match log.append(&batch, time_us) {
            Ok(messages) => acknowledged.extend(messages),
            Err(LogError::Full) => return acknowledged,
            Err(error) => panic!("{error}"),
        }
        assert!(acknowledged.len() < 100_000);
    }
}

fn assert_readable(log: &SqliteLog, acknowledged: &[Message]) {
    assert_eq!(log.bounds().last, acknowledged.last().unwrap().seq());
    let (read, gaps) = read_all(log, ">", acknowledged[0].seq() - 1, 100);
    assert_eq!(gaps, []);
    assert_same(&read, acknowledged);
}

#[test]
fn a_full_disk_refuses_messages_until_somebody_makes_room() {
    let Some(disk) = Disk::mount(48) else { return };
    let log = SqliteLog::open(&disk.data(), Sync::Os, KEEP).unwrap();
    let other = disk.folder.path().join("other");
    fs::write(&other, vec![1; 12 << 20]).unwrap();
    let mut acknowledged = fill(&log, 5);
    assert!(acknowledged.len() > 500, "{}", acknowledged.len());
    assert_readable(&log, &acknowledged);
    for _ in 0..3 {
        // Nothing is let go of because of it, and it stays as it is.
        assert!(!log.expire(6).unwrap());
        acknowledged.extend(fill(&log, 6));
    }
    assert_readable(&log, &acknowledged);

    let copy = copy_as_if_killed(&disk.data());
    let reopened = open(copy.path());
    assert_readable(&reopened, &acknowledged);
    drop(reopened);

    fs::remove_file(other).unwrap();
    acknowledged.extend(log.append(&[draft("t.1", "again")], 7).unwrap());
    assert_readable(&log, &acknowledged);
    log.close().unwrap();
    assert_readable(&open(&disk.data()), &acknowledged);
}

#[test]
fn retention_makes_room_on_a_full_disk() {
    let Some(disk) = Disk::mount(48) else { return };
    let retention = Retention { bytes: 1 << 40, ..KEEP };
    let log = SqliteLog::open(&disk.data(), Sync::Os, retention).unwrap();
    let mut last = 0;
    for round in 0..4 {
        let acknowledged = fill(&log, 5 + round * 2 * HOUR_US);
        assert!(acknowledged.len() > 500, "{}", acknowledged.len());
        last += acknowledged.len() as u64;
        assert_eq!(log.bounds().last, last);
        let now_us = 5 + (round + 1) * 2 * HOUR_US;
        for _ in 0..1000 {
            match log.expire(now_us) {
                Ok(_) | Err(LogError::Full) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(log.bounds().first, last + 1);
    }
}

#[test]
fn a_log_can_be_opened_and_read_on_a_full_disk() {
    let Some(disk) = Disk::mount(48) else { return };
    let log = SqliteLog::open(&disk.data(), Sync::Os, KEEP).unwrap();
    let drafts = vec![draft("a", &"x".repeat(1000)); 2000];
    let acknowledged = log.append(&drafts, 5).unwrap();
    log.close().unwrap();
    disk.fill_up();
    let log = SqliteLog::open(&disk.data(), Sync::Os, KEEP).unwrap();
    assert_readable(&log, &acknowledged);
    assert!(matches!(log.append(&drafts, 5), Err(LogError::Full)));
    assert_readable(&log, &acknowledged);
    drop(log);

    // With the ballast gone as well not even that is possible, and the operator is told why.
    disk.fill_up();
    let refused = SqliteLog::open(&disk.data(), Sync::Os, KEEP).unwrap_err().to_string();
    assert!(refused.contains("disk is full"), "{refused}");
}

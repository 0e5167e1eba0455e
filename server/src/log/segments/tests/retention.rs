//! What retention lets go of, and what it leaves alone.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use super::{TestFolder, read_all};
use crate::log::Log;
use crate::log::contract::{HOUR_US, append, at};
use crate::log::segments::SegmentLog;
use crate::message::Message;
use doorbell_protocol::GapReason;

/// Fills three segments and some of a fourth.
fn fill(log: &SegmentLog) {
    let text = "x".repeat(2000);
    for round in 0..100 {
        append(log, "a", &[&text], round);
    }
}

fn place_with_small_segments() -> TestFolder {
    let mut place = TestFolder::new();
    place.retention.bytes = 1 << 20;
    place
}

#[test]
fn what_is_let_go_is_told_though_its_summary_is_damaged() {
    let place = place_with_small_segments();
    let log = place.open();
    append(&log, "early", &["x"], 0);
    fill(&log);
    log.close().unwrap();
    let log = place.open();
    for path in place.files("sum") {
        let file = fs::File::options().write(true).open(&path).unwrap();
        let bytes = file.metadata().unwrap().len();
        file.write_all_at(&[b'?'; 20], bytes - 20).unwrap();
    }
    let late = append(&log, "a", &["late"], 2 * HOUR_US)[0].seq();
    log.expire(at(2 * HOUR_US));
    assert_eq!(log.bounds().first, late);
    assert_eq!(read_all(&log, "early", 0, 50).gaps, [(0, 1, GapReason::Expired)]);
}

#[test]
fn a_topic_that_comes_back_after_it_was_let_go_is_told_after_every_start() {
    let place = place_with_small_segments();
    let log = place.open();
    append(&log, "early", &["x"], 0);
    fill(&log);
    append(&log, "a", &["late"], 2 * HOUR_US);
    log.expire(at(2 * HOUR_US));
    drop(log);
    let log = place.open();
    let back = append(&log, "early", &["y"], 2 * HOUR_US)[0].seq();
    drop(log);
    let log = place.open();
    let told = read_all(&log, "early", 0, 50);
    assert_eq!(told.messages.iter().map(Message::seq).collect::<Vec<_>>(), [back]);
    assert!(matches!(told.gaps[..], [(0, _, GapReason::Expired)]), "{:?}", told.gaps);
}

#[test]
fn a_segment_of_which_nothing_can_be_read_goes_too() {
    let place = place_with_small_segments();
    let log = place.open();
    fill(&log);
    log.close().unwrap();
    drop(log);
    let path = place.files("log").remove(0);
    let bytes = fs::read(&path).unwrap();
    let heads = bytes.split(|byte| *byte == b'\n').take(2).map(|line| line.len() + 1).sum();
    let damaged = [&bytes[..heads], &vec![b'?'; bytes.len() - heads]].concat();
    fs::write(&path, damaged).unwrap();
    fs::remove_file(place.files("sum").remove(0)).unwrap();
    let log = place.open();
    let late = append(&log, "a", &["late"], 2 * HOUR_US)[0].seq();
    log.expire(at(2 * HOUR_US));
    assert_eq!(log.bounds().first, late);
}

#[test]
fn a_log_that_was_closed_is_left_as_it_is() {
    let place = place_with_small_segments();
    let log = place.open();
    append(&log, "a", &["one"], 5);
    log.close().unwrap();
    let files = place.files("log");
    let newest = fs::read(&files[0]).unwrap();
    log.expire(at(2 * HOUR_US));
    assert_eq!(place.files("log"), files);
    assert_eq!(fs::read(&files[0]).unwrap(), newest);
}

/// The names and bytes of all files of a folder.
fn all_of(folder: &std::path::Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<_> =
        entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn a_folder_that_was_put_in_its_place_is_left_alone() {
    let place = place_with_small_segments();
    let log = place.open();
    fill(&log);
    let elsewhere = tempfile::tempdir().unwrap();
    let files = all_of(place.path());
    fs::rename(place.path(), elsewhere.path().join("moved")).unwrap();
    fs::create_dir(place.path()).unwrap();
    for (name, bytes) in &files {
        fs::write(place.path().join(name), bytes).unwrap();
    }
    // Until it notices it appends to the file that it has open, and to no other.
    let text = "x".repeat(8000);
    let entries = crate::log::contract::entries([crate::log::contract::draft("a", &text)]);
    for round in 0..50 {
        let _ = log.append(&entries, at(round));
    }
    log.expire(at(2 * HOUR_US));
    let _ = log.close();
    drop(log);
    assert!(all_of(place.path()) == files);
}

#[test]
fn nothing_is_let_go_before_what_tells_of_its_places_is_on_the_disk() {
    let place = TestFolder::new();
    let log = place.open();
    append(&log, "a", &["x"], 0);
    log.expire(at(2 * HOUR_US));
    let oldest = log.inner.shared.view()[0].clone();
    assert_eq!(oldest.ordinal, 2);
    assert!(oldest.synced.load(Ordering::Acquire) > 0, "its head may be lost with the power");
}

//! Starts, and what the last run left.

use std::path::PathBuf;

use doorbell_protocol::{Draft, GapReason};

use super::{TestFolder, read_all};
use crate::clock::Now;
use crate::log::contract::{HOUR_US, append, at, draft, entries, heads, page, seqs};
use crate::log::{Located, Log};
use crate::message::Message;

#[test]
fn what_was_stored_is_there_after_a_start() {
    let place = TestFolder::new();
    let log = place.open();
    append(&log, "a", &["one", "two"], 5);
    append(&log, "b", &["three"], 6);
    log.close().unwrap();
    let log = place.open();
    assert_eq!((log.bounds().first, log.bounds().last), (1, 3));
    assert_eq!(seqs(&page(&log, ">", 0, 9)), [1, 2, 3]);
    assert_eq!(seqs(&page(&log, "a", 0, 9)), [1, 2]);
    assert_eq!(heads(&log, "a,b"), (3, vec![2, 3]));
    assert_eq!(seqs(&append_one(&log)), [4]);
}

#[test]
fn the_place_of_a_message_that_is_not_kept_is_not_given_out_again_and_no_loss() {
    let folder = TestFolder::new();
    let log = folder.open();
    append(&log, "a", &["one"], 1);
    let passing = Draft { is_kept: false, ..draft("a", "private") };
    let id = log.append(&entries([passing]), at(2)).unwrap()[0].id();
    drop(log);
    let written = folder.files("log").iter().any(|file| {
        let bytes = std::fs::read(file).unwrap();
        bytes.windows(7).any(|part| part == b"private")
    });
    assert!(!written, "its text is nowhere");
    let log = folder.open();
    assert_eq!(log.bounds().last, 2);
    assert!(append(&log, "a", &["two"], 3)[0].id() > id);
    for filter in ["a", ">"] {
        let told = read_all(&log, filter, 0, 10);
        let read: Vec<u64> = told.messages.iter().map(Message::seq).collect();
        assert_eq!((read, told.gaps), (vec![1, 3], vec![]), "{filter}");
    }
}

fn append_one(log: &dyn Log) -> crate::log::Page {
    append(log, "c", &["x"], 9);
    page(log, "c", 0, 9)
}

#[test]
fn a_process_that_dies_loses_nothing_and_nobody_is_told_of_a_gap() {
    let place = TestFolder::new();
    let log = place.open();
    let first = append(&log, "a", &["one", "two"], 5);
    drop(log);
    let log = place.open();
    append(&log, "a", &["three"], 6);
    assert_eq!(seqs(&page(&log, "a", 0, 9)), [1, 2, 3]);
    assert_eq!(log.epochs().locate(first[1].id(), 3), Located::At(2));
}

#[test]
fn an_end_that_was_being_written_is_cut_without_a_word() {
    let place = TestFolder::new();
    let log = place.open();
    append(&log, "a", &["one"], 5);
    drop(log);
    let path = place.files("log").pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let log = place.open();
    append(&log, "a", &["two", "three"], 6);
    drop(log);
    let longer = std::fs::read(&path).unwrap();
    // But for the end of the last line, it is all there.
    for end in whole.len()..longer.len() - 1 {
        std::fs::write(&path, &longer[..end]).unwrap();
        std::fs::remove_file(place.path().join("doorbell.lock")).unwrap();
        let log = place.open();
        let page = page(&log, "a", 0, 9);
        assert_eq!((seqs(&page), page.lost, page.through), (vec![1], None, 1), "{end}");
    }
}

#[test]
fn what_was_published_faster_than_files_are_made_is_there_after_a_start() {
    let fill = || {
        let mut place = TestFolder::new();
        place.retention.bytes = 2 << 20;
        let log = place.open();
        let text = "x".repeat(8000);
        for round in 0..80 {
            append(&log, "a", &[text.as_str(); 3], round);
        }
        log.close().unwrap();
        let log = place.open();
        let told = read_all(&log, ">", 0, 50);
        assert_eq!((told.messages.len(), told.gaps), (240, vec![]));
        let is_empty = |path: &PathBuf| std::fs::metadata(path).unwrap().len() == 0;
        assert!(place.files("log").into_iter().filter(is_empty).count() <= 1);
    };
    // Several at a time, so that the disk is slow.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(fill);
        }
    });
}

#[test]
fn a_machine_that_dies_is_told_once_as_a_loss() {
    let mut place = TestFolder::new();
    let log = place.open();
    let had = append(&log, "a", &["one", "two"], 5);
    drop(log);
    place.boot = "two".into();
    let log = place.open();
    append(&log, "a", &["three"], 6);
    let epochs = log.epochs();
    assert_eq!(epochs.locate(had[0].id(), 4), Located::At(1));
    let lost = page(&log, "a", 2, 9);
    assert_eq!((lost.lost, lost.through), (Some(GapReason::Lost), 3));
    assert_eq!(seqs(&page(&log, "a", 3, 9)), [4]);
    assert_eq!(seqs(&page(&log, "a", 0, 9)), [1, 2]);
    // What the machine took with it had places too.
    let gone = had[1].id().epoch().id(3);
    assert_eq!(epochs.locate(gone, 4), Located::Lost(3));
    assert_eq!(epochs.id(3).epoch(), epochs.current());
}

#[test]
fn a_loss_is_told_as_one_though_a_segment_ends_with_it() {
    let mut place = TestFolder::new();
    place.retention.bytes = 1 << 20;
    let log = place.open();
    append(&log, "a", &["one"], 5);
    drop(log);
    place.boot = "two".into();
    let log = place.open();
    append(&log, "a", &["x".repeat(30_000).as_str(); 3], 6);
    drop(log);
    let told = read_all(&place.open(), "a", 0, 9);
    assert_eq!(told.gaps, [(1, 2, GapReason::Lost)]);
}

#[test]
fn a_loss_is_told_though_all_before_it_was_let_go() {
    let mut place = TestFolder::new();
    let log = place.open();
    append(&log, "a", &["one", "two"], 5);
    drop(log);
    place.boot = "two".into();
    let log = place.open();
    log.expire(at(2 * HOUR_US));
    assert_eq!(log.bounds().first, 4);
    append(&log, "a", &["four"], 2 * HOUR_US);
    drop(log);
    place.clock.set(at(2 * HOUR_US));
    let told = read_all(&place.open(), "a", 2, 9);
    assert_eq!((told.messages.len(), told.gaps), (1, vec![(2, 3, GapReason::Lost)]));
}

#[test]
fn a_damaged_version_is_no_reason_to_refuse() {
    let place = TestFolder::new();
    let log = place.open();
    append(&log, "a", &["one", "two"], 5);
    log.close().unwrap();
    drop(log);
    let path = place.files("log").remove(0);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"version\":1", "\"version\":3", 1)).unwrap();
    assert_eq!(seqs(&page(&place.open(), ">", 0, 9)), [1, 2]);
}

#[test]
fn what_is_left_of_a_segment_that_never_reached_the_disk_is_begun_anew() {
    let head = "0a1b2c3d 0001 h 00000000000000 - {\"id\":\"0MV3k0000001\",\"event\":";
    let half_lost = [&[0; 4096][..], b"\":[],\"run\":{}}\n"].concat();
    for left in [b"0a1b", head.as_bytes(), &[0; 5000], &half_lost] {
        let place = TestFolder::new();
        std::fs::write(place.path().join("00000001.log"), left).unwrap();
        let log = place.open();
        append(&log, "a", &["one"], 5);
        log.close().unwrap();
        assert_eq!(seqs(&page(&place.open(), ">", 0, 9)), [1]);
        assert_eq!(place.files("log").len(), 1);
    }
}

#[test]
fn what_belongs_to_no_segment_is_cleared_and_files_of_others_are_not() {
    let mut place = TestFolder::new();
    place.retention.bytes = 1 << 20;
    let log = place.open();
    append(&log, "a", &["x".repeat(20_000).as_str(); 3], 5);
    append(&log, "a", &["x".repeat(20_000).as_str(); 3], 6);
    log.close().unwrap();
    drop(log);
    let path = |name: &str| place.path().join(name);
    std::fs::copy(path("00000001.sum"), path("00000077.sum")).unwrap();
    std::fs::write(path("20261129.sum"), "of another program").unwrap();
    std::fs::write(path("00000000.log"), "").unwrap();
    let log = place.open();
    assert_eq!(place.files("sum"), [path("00000001.sum"), path("20261129.sum")]);
    assert!(!path("00000000.log").exists());
    assert_eq!(seqs(&page(&log, "a", 0, 9)), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_file_that_is_no_segment_is_left_alone() {
    for other in [&b"Nov 29 a line of another log\n"[..], b"deadbeef 0001 h of another one\n"] {
        let place = TestFolder::new();
        let path = place.path().join("20261129.log");
        std::fs::write(&path, other).unwrap();
        let refused = place.try_open().unwrap_err().to_string();
        assert!(refused.contains("20261129.log is no segment of a log"), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), other);
    }
}

#[test]
fn a_segment_that_has_its_summary_is_not_written_to_again() {
    let mut place = TestFolder::new();
    place.retention.bytes = 1 << 20;
    let text = "x".repeat(8000);
    let log = place.open();
    for round in 0..7 {
        append(&log, "a", &[&text], round);
    }
    append(&log, "a", &[&text, &text], 8);
    log.close().unwrap();
    drop(log);
    // The machine dies before the first batch of the second one is on the disk.
    let path = &place.files("log")[1];
    let written = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = written.split_inclusive('\n').collect();
    std::fs::write(path, ["?", lines[0], lines[1]].concat()).unwrap();
    place.boot = "two".into();
    let log = place.open();
    append(&log, "late", &["one"], 10);
    for round in 10..30 {
        append(&log, "a", &[&text], round);
    }
    let late = append(&log, "late", &["two"], 40);
    let told = read_all(&log, "late", 0, 50);
    assert_eq!(told.messages.len(), 2, "{:?}", told.gaps);
    assert_eq!(told.messages[1].id(), late[0].id());
}

#[test]
fn a_start_begins_a_higher_epoch_and_places_of_all_of_them_stay() {
    let place = TestFolder::new();
    let mut ids = Vec::new();
    for round in 1..=5 {
        let log = place.open();
        ids.extend(append(&log, "a", &["x", "y"], round).iter().map(Message::id));
        assert!(ids.is_sorted());
        for id in &ids {
            assert_eq!(log.epochs().locate(*id, round * 2), Located::At(id.seq()));
        }
        let read = page(&log, ">", 0, 99);
        assert!(read.messages.iter().map(Message::id).eq(ids.iter().copied()));
        log.close().unwrap();
    }
}

#[test]
fn a_second_process_is_refused_in_one_line() {
    let place = TestFolder::new();
    let _log = place.open();
    let refused = place.try_open().unwrap_err().to_string();
    assert!(refused.contains("is held by another process"), "{refused}");
}

#[test]
fn a_step_of_the_wall_clock_deletes_nothing_and_keeps_nothing() {
    let test = TestFolder::new();
    let log = test.open();
    append(&log, "a", &["one"], 0);
    let year_us = 365 * 24 * HOUR_US;
    log.expire(Now { unix_us: year_us, since_boot_us: 1 });
    assert_eq!(seqs(&page(&log, "a", 0, 9)), [1], "a step forward deletes nothing");
    let passed = i64::try_from(2 * HOUR_US).unwrap();
    log.expire(Now { unix_us: 0, since_boot_us: passed });
    assert_eq!(page(&log, "a", 0, 9).lost, Some(GapReason::Expired), "a step back keeps nothing");
}

#[test]
fn an_age_that_only_the_wall_clock_tells_is_believed_when_it_has_stood() {
    let test = TestFolder::new();
    let log = test.open();
    append(&log, "a", &["one"], 0);
    drop(log);
    let week = Now { unix_us: 7 * 24 * HOUR_US, since_boot_us: 5 };
    test.clock.set(week);
    let log = test.open();
    log.expire(week);
    assert_eq!(seqs(&page(&log, "a", 0, 9)), [1]);
    let later = Now { unix_us: week.unix_us + HOUR_US, since_boot_us: 5 + 600_000_000 };
    log.expire(later);
    assert_eq!(page(&log, "a", 0, 9).lost, Some(GapReason::Expired));
}

#[test]
fn the_last_message_before_an_end_is_missed_when_it_is_damaged() {
    let test = TestFolder::new();
    let log = test.open();
    append(&log, "a", &["one"], 5);
    append(&log, "b", &["victim"], 6);
    log.close().unwrap();
    drop(log);
    let path = test.files("log").pop().unwrap();
    let stored = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, stored.replace("victim", "victin")).unwrap();
    let log = test.open();
    append(&log, "a", &["three"], 7);
    let lost = page(&log, "a", 1, 9);
    assert_eq!((lost.lost, lost.through), (Some(GapReason::Damaged), 2));
    assert_eq!(seqs(&page(&log, "a", 2, 9)), [3]);
}

/// Copies a folder over another one, each in its own way.
const WAYS_TO_RESTORE: [(&str, &str); 6] = [
    ("cp over", "cp -r $copy/. $data"),
    ("cp -a over", "cp -a $copy/. $data"),
    ("cp -a in its place", "rm -r $data && cp -a $copy $data"),
    ("moved in its place", "rm -r $data && mv $copy $data"),
    ("tar", "tar -C $copy -c . | tar -C $data -x"),
    // As a program does that leaves alone what has the same length and time, and writes the rest in
    // the files that are there.
    (
        "what differs, in place",
        "cd $copy && for file in *; do \
           test \"$(stat -c %s,%y $file)\" = \"$(stat -c %s,%y $data/$file)\" || \
             cat $file > $data/$file; done",
    ),
];

#[test]
fn an_older_copy_that_was_put_back_in_any_way_is_seen() {
    let jump = |restore: Option<&str>, is_closed: bool| {
        let folder = TestFolder::new();
        let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
        let open = || {
            let (clock, boot) = (folder.clock.clone(), "one".to_owned());
            crate::log::segments::open::open(
                &data,
                folder.sync,
                folder.retention,
                clock,
                boot,
                false,
            )
        };
        let log = open().unwrap();
        append(&log, "a", &["one"], 5);
        drop(log);
        let log = open().unwrap();
        append(&log, "a", &["two"], 6);
        let copied = std::process::Command::new("cp").arg("-a").args([&data, &copy]).status();
        assert!(copied.unwrap().success());
        append(&log, "a", &["three"], 7);
        let before = log.epochs().current();
        if is_closed {
            log.close().unwrap();
        }
        drop(log);
        if let Some(script) = restore {
            let mut shell = std::process::Command::new("sh");
            shell.arg("-ec").arg(script).env("data", &data).env("copy", &copy);
            assert!(shell.status().unwrap().success(), "{script}");
        }
        open().unwrap().epochs().current().bits() - before.bits()
    };
    for is_closed in [false, true] {
        assert!(jump(None, is_closed) <= 8, "nothing was put back: {is_closed}");
        for (way, script) in WAYS_TO_RESTORE {
            // It is drawn from some 65,000: all three are as low as that in one of 10^11 tries.
            let is_seen = (0..3).any(|_| jump(Some(script), is_closed) > 8);
            assert!(is_seen, "{way}, {is_closed}");
        }
    }
}

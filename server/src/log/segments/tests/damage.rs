//! Damage: each flipped bit costs one message at most, and what is lost is told.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use doorbell_protocol::GapReason;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{TestFolder, Told, read_all};
use crate::log::contract::{HOUR_US, append, at};
use crate::log::segments::{LogFolder, SegmentLog};
use crate::log::{Log, Retention};
use crate::message::Message;

const FILTERS: [&str; 5] = [">", "a", "b", "a,c", "b.>"];
/// Small segments.
const SMALL: Retention = Retention { age: std::time::Duration::from_secs(3600), bytes: 2 << 20 };

/// Fills some segments; returns what was appended.
fn fill(log: &SegmentLog, bytes: usize) -> Vec<Message> {
    let topics = ["a", "b", "c", "b.c", "a", "b.d"];
    let mut appended = Vec::new();
    let mut written = 0;
    for round in 0.. {
        let texts: Vec<_> = (0..=round % 4).map(|n| "x".repeat(n * 150 + round % 90)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let messages = append(log, topics[round % topics.len()], &texts, round as u64);
        written += messages.iter().map(|message| message.frame().len()).sum::<usize>();
        appended.extend(messages);
        if written > bytes {
            return appended;
        }
    }
    unreachable!("it ends when enough is written")
}

/// Asserts that a reader gets what was appended, each as it was, or is told that it is gone.
/// Returns how many are gone.
fn assert_told(told: &Told, appended: &[Message], filter: &str, what: &str) -> usize {
    let filter = filter.parse::<doorbell_protocol::Filter>().unwrap();
    let mut served = told.messages.iter().peekable();
    let mut lost = 0;
    for own in appended.iter().filter(|own| filter.matches(own.topic().as_str())) {
        if let Some(found) = served.next_if(|found| found.id() == own.id()) {
            assert_eq!(found.frame(), own.frame(), "{what}");
            continue;
        }
        let is_told = told.gaps.iter().any(|(after, through, reason)| {
            // What was cut off the end shares its places with what came later.
            let is_end = *reason == GapReason::Lost;
            *after < own.seq() && (own.seq() <= *through || is_end)
        });
        assert!(is_told, "{what}: {} of {} is missing in silence", own.seq(), own.topic());
        lost += 1;
    }
    assert_eq!(served.next().map(Message::seq), None, "{what}: this was never appended");
    lost
}

/// Changes a bit of a file that may be open.
fn flip(path: &Path, bit: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << (bit % 8)], bit / 8).unwrap();
}

/// Any bit of any of these files.
fn any_bit<'a>(random: &mut StdRng, files: &'a [PathBuf]) -> Option<(&'a Path, u64)> {
    let bytes = |path: &&PathBuf| fs::metadata(path).unwrap().len();
    // The next segment is made ahead, and empty.
    let files: Vec<&PathBuf> = files.iter().filter(|path| bytes(path) > 0).collect();
    if files.is_empty() {
        return None;
    }
    let path = files[random.random_range(0..files.len())];
    Some((path, random.random_range(0..bytes(&path) * 8)))
}

#[test]
fn each_bit_of_a_line_costs_no_more_than_its_message_in_a_running_log() {
    let place = TestFolder::new();
    let log = place.open();
    let appended = fill(&log, 5000);
    let path = place.files("log").pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    // One in the middle of a batch, and the one that ends it.
    for line in [4, 5] {
        let begin: usize = lines[..line].iter().map(|line| line.len()).sum();
        let end = begin + lines[line].len();
        let topic = appended[line - 2].topic().as_str();
        for bit in begin * 8..end * 8 {
            flip(&path, bit as u64);
            for filter in [">", topic] {
                let told = read_all(&log, filter, 0, 50);
                let lost = assert_told(&told, &appended, filter, &format!("bit {bit}, {filter}"));
                let is_end = bit / 8 + 1 == end;
                assert!(lost <= usize::from(!is_end), "bit {bit}, {filter}: {lost} lost");
            }
            flip(&path, bit as u64);
        }
    }
}

#[test]
fn a_bit_that_was_flipped_anywhere_costs_one_message_after_a_start_of_any_kind() {
    let mut random = StdRng::seed_from_u64(super::seed());
    for round in 0..30 {
        let mut place = TestFolder::new();
        place.retention = SMALL;
        let log = place.open();
        let appended = fill(&log, 200_000);
        log.close().unwrap();
        drop(log);
        let extension = ["log", "sum", "lock"][round % 3];
        let has_no_summaries = random.random_bool(0.5);
        if has_no_summaries {
            place.files("sum").iter().for_each(|path| fs::remove_file(path).unwrap());
        }
        if let Some((path, bit)) = any_bit(&mut random, &place.files(extension)) {
            flip(path, bit);
            let what = format!("bit {bit} of {}, {has_no_summaries}", path.display());
            if random.random_bool(0.3) {
                place.boot = "two".into();
            }
            let log = place.open();
            for filter in FILTERS {
                let told = read_all(&log, filter, 0, 50);
                let lost = assert_told(&told, &appended, filter, &what);
                assert!(
                    lost <= 1,
                    "{what}, {filter}: {lost} lost: {:?} of {}",
                    told.gaps,
                    appended.len()
                );
                let told = told.gaps.iter().filter(|gap| gap.2 != GapReason::Lost).count();
                assert!(told <= 1, "{what}, {filter}: {told} gaps");
            }
        }
    }
}

#[test]
fn a_summary_that_is_damaged_while_the_log_is_open_hides_nothing() {
    let mut random = StdRng::seed_from_u64(super::seed());
    let mut place = TestFolder::new();
    place.retention = SMALL;
    let log = place.open();
    let appended = fill(&log, 200_000);
    log.close().unwrap();
    drop(log);
    let log = place.open();
    for _ in 0..60 {
        let summaries = place.files("sum");
        let (path, bit) = any_bit(&mut random, &summaries).unwrap();
        flip(path, bit);
        for filter in FILTERS {
            let told = read_all(&log, filter, 0, 50);
            let what = format!("bit {bit} of {}, {filter}", path.display());
            assert_eq!(assert_told(&told, &appended, filter, &what), 0, "{what}");
            assert!(told.gaps.is_empty(), "{what}");
        }
        flip(path, bit);
    }
}

#[test]
fn the_first_message_of_a_topic_takes_nothing_with_it() {
    let place = TestFolder::new();
    let log = place.open();
    append(&log, "a", &["old"], 0);
    log.expire(at(2 * HOUR_US));
    let append = |topic| append(&log, topic, &["x"], 2 * HOUR_US);
    let appended: Vec<Message> = ["a", "b", "a", "b"].into_iter().flat_map(append).collect();
    log.close().unwrap();
    drop(log);
    let path = place.files("log").remove(0);
    let text = fs::read_to_string(&path).unwrap();
    let damaged = text.lines().position(|line| line.contains("\"seq\":3,")).unwrap();
    let before: usize = text.lines().take(damaged).map(|line| line.len() + 1).sum();
    flip(&path, (before as u64 + 9) * 8);
    place.clock.set(at(2 * HOUR_US));
    let told = read_all(&place.open(), "a,b", 0, 9);
    assert_eq!(assert_told(&told, &appended, "a,b", "seq 3"), 1);
    assert_eq!(told.gaps, [(0, 1, GapReason::Expired), (2, 3, GapReason::Damaged)]);
}

#[test]
fn a_file_that_was_cut_is_told_and_the_log_goes_on() {
    let mut random = StdRng::seed_from_u64(super::seed());
    for round in 0..20 {
        let mut place = TestFolder::new();
        place.retention = SMALL;
        let log = place.open();
        let mut appended = fill(&log, 200_000);
        log.close().unwrap();
        drop(log);
        let files = place.files(if round % 2 == 0 { "log" } else { "sum" });
        let (path, bit) = any_bit(&mut random, &files).unwrap();
        let length = bit / 8;
        fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
        let what = format!("{} was cut to {length}", path.display());
        let log = place.open();
        let newest = append(&log, "a", &["after"], 99);
        appended.extend(newest.iter().cloned());
        for filter in FILTERS {
            assert_told(&read_all(&log, filter, 0, 50), &appended, filter, &what);
        }
        let after = read_all(&log, "a", newest[0].seq() - 1, 50);
        assert_eq!((after.messages.len(), after.gaps), (1, vec![]), "{what}");
    }
}

#[test]
fn zeros_longer_than_what_a_page_looks_at_are_one_gap() {
    let mut place = TestFolder::new();
    place.retention = Retention { bytes: 1 << 30, ..SMALL };
    let log = place.open();
    let appended = fill(&log, 6 << 20);
    let path = place.files("log").pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle - (5 << 19)..middle + (5 << 19)].fill(0);
    fs::write(&path, bytes).unwrap();
    for filter in FILTERS {
        let told = read_all(&log, filter, 0, 500);
        assert_told(&told, &appended, filter, filter);
        assert_eq!(told.gaps.len(), 1, "{filter}");
    }
}

/// What was written and had not reached the disk when the machine died, is there in none of its
/// pages, in the middle of a segment or at its end.
#[test]
fn what_never_reached_the_disk_is_told_as_lost_after_every_start() {
    let fill_segments = |place: &mut TestFolder| {
        place.retention = SMALL;
        let appended = fill(&place.open(), 100_000);
        place.boot += "'";
        for path in place.files("sum") {
            fs::remove_file(path).unwrap();
        }
        appended
    };
    // Pages in the middle of a segment, or all from a page on.
    for (segment, is_end) in [(0, false), (1, false), (0, true)] {
        let mut place = TestFolder::new();
        let appended = fill_segments(&mut place);
        let path = &place.files("log")[segment];
        let file = fs::File::options().write(true).open(path).unwrap();
        if is_end {
            file.set_len(5 * 4096).unwrap();
        } else {
            file.write_all_at(&[0; 4096], 3 * 4096).unwrap();
        }
        for start in 0..3 {
            let log = place.open();
            if start == 1 {
                // Enough for what was the newest segment to be finished.
                fill(&log, 100_000);
            }
            let told = read_all(&log, "a", 0, 50);
            let (first, through, reason) = told.gaps[0];
            let lost = appended.iter().filter(|own| own.seq() > first && own.seq() <= through);
            let what = format!("segment {segment} at start {start}: {:?}", told.gaps);
            assert!(lost.count() > 2 && reason == GapReason::Lost, "{what}");
            assert!(told.gaps.iter().all(|gap| gap.2 == GapReason::Lost), "{what}");
            log.close().unwrap();
        }
    }
}

#[test]
fn whoever_verifies_a_log_is_told_why_messages_are_missing() {
    let damaged: fn(&TestFolder) = |place| {
        let path = &place.files("log")[0];
        let text = fs::read_to_string(path).unwrap();
        flip(path, 8 * text.find("\"seq\":20,").unwrap() as u64);
    };
    let damaged_end: fn(&TestFolder) = |place| {
        let path = &place.files("log")[0];
        flip(path, 8 * (fs::metadata(path).unwrap().len() - 30));
    };
    let zeroed: fn(&TestFolder) = |place| {
        let file = fs::File::options().write(true).open(&place.files("log")[0]).unwrap();
        file.write_all_at(&[0; 4096], 3 * 4096).unwrap();
    };
    let unwritten: fn(&TestFolder) = |place| {
        fs::remove_file(&place.files("sum")[0]).unwrap();
        let file = fs::File::options().write(true).open(&place.files("log")[0]).unwrap();
        file.write_all_at(&[0; 4096], 3 * 4096).unwrap();
    };
    let removed: fn(&TestFolder) = |place| fs::remove_file(&place.files("log")[1]).unwrap();
    for (what, change, reason) in [
        ("a bit is flipped", damaged, GapReason::Damaged),
        ("a bit of a segment's last line is flipped", damaged_end, GapReason::Damaged),
        ("a page was there and is zero", zeroed, GapReason::Damaged),
        ("a page was never written", unwritten, GapReason::Lost),
        ("a segment is gone", removed, GapReason::Lost),
    ] {
        let mut place = TestFolder::new();
        place.retention = SMALL;
        let log = place.open();
        fill(&log, 200_000);
        log.close().unwrap();
        drop(log);
        change(&place);
        let report = LogFolder::read(place.path()).unwrap().report().unwrap();
        let reasons: Vec<_> =
            report.iter().flat_map(|file| &file.missing).map(|run| run.reason).collect();
        assert_eq!(reasons, [reason], "{what}");
        let log = place.open();
        let told = read_all(&log, ">", 0, 50);
        let held: u64 = report.iter().filter_map(|file| file.messages).map(|run| run.2).sum();
        assert_eq!(held, told.messages.len() as u64, "{what}");
        assert_eq!(told.gaps.iter().map(|gap| gap.2).collect::<Vec<_>>(), reasons, "{what}");
    }
}

#[test]
fn whoever_verifies_a_log_is_told_of_a_start_after_a_loss_which_is_no_message() {
    let mut place = TestFolder::new();
    drop(append(&place.open(), "a", &["one", "two"], 5));
    place.boot = "two".into();
    append(&place.open(), "a", &["three"], 6);
    let report = LogFolder::read(place.path()).unwrap().report().unwrap();
    assert_eq!(report[0].messages, Some((1, 4, 3)));
    assert!(report[0].remarks.iter().any(|remark| remark.contains("a loss")), "{report:?}");
}

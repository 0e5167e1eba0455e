//! What a clean end notes for the next start: it is believed of the very log that it was noted of,
//! and a start without it comes to the same.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use doorbell_protocol::Topic;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{TestFolder, read_all};
use crate::log::contract::append;
use crate::log::heads::TopicHead;
use crate::log::segments::SegmentLog;
use crate::log::segments::checked::{self, CheckedFile};
use crate::log::segments::checkpoint::NAME;
use crate::log::segments::folder::Folder;
use crate::log::{Log, Retention};
use crate::message::Message;

/// Some three segments.
const SMALL: Retention = Retention { age: Duration::from_secs(3600), bytes: 200_000 };

/// A log of many topics that has let go of some.
fn filled(seed: u64) -> TestFolder {
    let mut place = TestFolder::new();
    place.retention = SMALL;
    let mut random = StdRng::seed_from_u64(seed);
    let log = place.open();
    for round in 0..400 {
        // Some come often and some seldom.
        let most = random.random_range(1..300);
        let number = random.random_range(1..=most);
        let topic = format!("t{}.{number}", number % 7);
        append(&log, &topic, &["x".repeat(random.random_range(0..2000)).as_str()], round);
        if round % 20 == 0 {
            log.expire(crate::log::contract::at(round));
        }
    }
    log.close().unwrap();
    place
}

fn all_heads(log: &SegmentLog) -> Vec<(Topic, TopicHead)> {
    let mut all = Vec::new();
    log.heads().for_each(|topic, head| all.push((topic.clone(), head)));
    all
}

/// Adds a topic to the checkpoint that no message has.
fn plant(folder: &Path) {
    let folder = Folder::open(folder).unwrap();
    let (_, text) = checked::read(&folder, NAME).unwrap().unwrap();
    let mut file = CheckedFile::create(&folder, NAME).unwrap();
    writeln!(file, "{}planted 1 0 00000000", &text[checked::CHECKSUM_BYTES..]).unwrap();
    file.finish().unwrap();
}

/// Whether a start believes the checkpoint in which a topic was planted.
fn is_believed(place: &TestFolder) -> bool {
    place.open().heads().get(&"planted".parse().unwrap()).is_some()
}

#[test]
fn a_start_comes_to_the_same_with_a_checkpoint_and_without() {
    let seed = super::seed();
    for round in 0..super::rounds(10) {
        let place = filled(seed.wrapping_add(round));
        let kept = fs::read(place.path().join(NAME)).unwrap();
        let log = place.open();
        let with = (all_heads(&log), log.bounds().first);
        assert!(with.1 > 1 && with.0.iter().any(|(_, head)| head.expired > 0), "it let go of some");
        drop(log);
        assert!(fs::read(place.path().join(NAME)).unwrap() == kept);
        let log = place.open();
        assert_eq!((all_heads(&log), log.bounds().first), with);
    }
}

#[test]
fn a_checkpoint_is_believed_after_a_clean_end() {
    let place = filled(1);
    plant(place.path());
    assert!(is_believed(&place));
}

#[test]
fn a_checkpoint_is_not_believed_once_the_log_went_on() {
    let place = filled(2);
    plant(place.path());
    drop(place.open());
    assert!(!is_believed(&place));
    append(&place.open(), "a", &["new"], 500);
    assert!(!is_believed(&place));
}

#[test]
fn a_checkpoint_is_not_believed_of_a_log_that_lost_a_segment_at_either_end() {
    for is_oldest in [true, false] {
        let place = filled(3);
        plant(place.path());
        let mut files = place.files("log");
        files.retain(|path| fs::metadata(path).unwrap().len() > 0);
        let removed = if is_oldest { &files[0] } else { &files[files.len() - 1] };
        fs::remove_file(removed).unwrap();
        assert!(!is_believed(&place), "{is_oldest}");
    }
}

#[test]
fn a_damaged_checkpoint_is_not_believed() {
    let place = filled(4);
    let log = place.open();
    let heads = all_heads(&log);
    log.close().unwrap();
    drop(log);
    let path = place.path().join(NAME);
    let whole = fs::read(&path).unwrap();
    let mut random = StdRng::seed_from_u64(super::seed());
    for _ in 0..40 {
        let mut damaged = whole.clone();
        let at = random.random_range(0..damaged.len());
        match random.random_range(0..3) {
            0 => damaged[at] ^= 1 << random.random_range(0..8),
            1 => damaged.truncate(at),
            _ => damaged[at..].fill(0),
        }
        let copy = TestFolder { retention: SMALL, ..TestFolder::new() };
        copy_files(place.path(), copy.path());
        fs::write(copy.path().join(NAME), &damaged).unwrap();
        assert_eq!(all_heads(&copy.open()), heads, "{at}");
    }
}

#[test]
fn a_checkpoint_of_another_log_or_of_another_time_is_not_believed() {
    // These two have the same in the same files, but for their epochs.
    let (one, other) = (filled(5), filled(5));
    let copy = TestFolder { retention: SMALL, ..TestFolder::new() };
    copy_files(one.path(), copy.path());
    let log = one.open();
    log.close().unwrap();
    drop(log);
    for (from, to) in [(&one, &copy), (&copy, &one), (&other, &copy), (&one, &other)] {
        let place = TestFolder { retention: SMALL, ..TestFolder::new() };
        copy_files(to.path(), place.path());
        fs::copy(from.path().join(NAME), place.path().join(NAME)).unwrap();
        plant(place.path());
        assert!(!is_believed(&place));
    }
}

#[test]
fn what_was_damaged_since_a_checkpoint_is_told() {
    let place = filled(6);
    let log = place.open();
    let held = read_all(&log, ">", log.bounds().first - 1, 100).messages;
    log.close().unwrap();
    drop(log);
    let mut damaged = Vec::new();
    for path in place.files("log") {
        let text = fs::read_to_string(&path).unwrap();
        let Some(line) = text.lines().rfind(|line| line.contains(" m ")) else { continue };
        fs::write(&path, text.replace(line, &line.replace("\"topic\"", "\"tipoc\""))).unwrap();
        damaged.push(line.split("\"seq\":").nth(1).unwrap().split(',').next().unwrap().to_owned());
    }
    assert!(damaged.len() > 2);
    let log = place.open();
    for filter in [">", "t1.>", held.last().unwrap().topic().as_str()] {
        let told = read_all(&log, filter, log.bounds().first - 1, 100);
        let wanted: doorbell_protocol::Filter = filter.parse().unwrap();
        let mut served = told.messages.iter().map(Message::seq).peekable();
        for own in held.iter().filter(|own| wanted.matches(own.topic().as_str())) {
            if served.next_if_eq(&own.seq()).is_none() {
                let is_told = told.gaps.iter().any(|gap| gap.0 < own.seq() && own.seq() <= gap.1);
                assert!(is_told && damaged.contains(&own.seq().to_string()), "{filter}");
            }
        }
        assert_eq!(served.next(), None);
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

//! What is read when the disk does not give back what was written.

use std::fs;

use super::*;
use crate::log::contract::draft;

const DAMAGED: GapReason = GapReason::Damaged;

/// Three topics: one of every row but some, one of every tenth, one of every hundredth.
fn topic_of(seq: u64) -> &'static str {
    match seq {
        _ if seq.is_multiple_of(100) => "rare",
        _ if seq.is_multiple_of(10) => "some",
        _ => "most",
    }
}

const LAST: u64 = 1200;

fn filled() -> Subject {
    let subject = Subject::new();
    for first in (1..=LAST).step_by(50) {
        let texts = (first..first + 50).map(|seq| draft(topic_of(seq), &format!("needle-{seq}.")));
        subject.log().append(&texts.collect::<Vec<_>>(), 5).unwrap();
    }
    subject
}

fn expected(filter: &str, lost: &[u64]) -> Vec<u64> {
    let filter: doorbell_protocol::Filter = filter.parse().unwrap();
    (1..=LAST).filter(|seq| filter.matches(topic_of(*seq)) && !lost.contains(seq)).collect()
}

const FILTERS: [&str; 6] = [">", "*", "most", "some", "rare", "rare,some"];

/// Readers of all kinds get all but what was lost, and whoever lost something is told of it.
fn assert_only_lost(log: &SqliteLog, lost: &[u64], context: &str) {
    for filter in FILTERS {
        let selected: doorbell_protocol::Filter = filter.parse().unwrap();
        for after in [0, lost[0] - 1] {
            let (read, gaps) = read_all(log, filter, after, 40);
            let read: Vec<u64> = read.iter().map(Message::seq).collect();
            let mut wanted = expected(filter, lost);
            wanted.retain(|seq| *seq > after);
            assert_eq!(read, wanted, "{context}: {filter} after {after}");
            for seq in lost.iter().filter(|s| **s > after && selected.matches(topic_of(**s))) {
                let told = |(from, through, reason): &(u64, u64, GapReason)| {
                    *from < *seq && *seq <= *through && *reason == DAMAGED
                };
                assert!(
                    gaps.iter().any(told),
                    "{context}: {filter} is not told of {seq}: {gaps:?}"
                );
            }
            for (from, through, _) in gaps {
                // A row that stands after all others counts as lost in its new place too.
                let expected =
                    lost.contains(&(from + 1)) || lost.contains(&through) || from == LAST;
                assert!(expected, "{context}: {from} to {through}");
            }
        }
    }
}

/// Changes one byte of the database file, in the text of a message.
fn flip_a_bit(folder: &Path, seq: u64) -> usize {
    let path = folder.join("doorbell.db");
    let mut bytes = fs::read(&path).unwrap();
    let needle = format!("needle-{seq}.");
    // The first page that holds it may be one that was split and keeps what it gave away.
    let at = bytes.windows(needle.len()).rposition(|found| found == needle.as_bytes()).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    at
}

#[test]
fn a_flipped_bit_in_a_body_is_a_gap_of_just_that_message() {
    for seq in [1, 77, 100, 1000, 1010, LAST] {
        let mut subject = filled();
        subject.close();
        flip_a_bit(subject.folder.path(), seq);
        subject.reopen();
        assert_only_lost(subject.log(), &[seq], &format!("bit in {seq}"));
        assert_eq!(subject.append("rare", &["x"])[0].seq(), LAST + 1);
    }
}

#[test]
fn readers_of_other_topics_do_not_notice() {
    let mut subject = filled();
    subject.close();
    flip_a_bit(subject.folder.path(), 77);
    subject.reopen();
    for filter in ["some", "rare", "some,rare"] {
        assert_eq!(all_seqs(subject.log(), filter), (expected(filter, &[]), vec![]));
    }
}

#[test]
fn neighbours_are_one_gap() {
    let mut subject = filled();
    subject.close();
    for seq in [999, 1000, 1001] {
        flip_a_bit(subject.folder.path(), seq);
    }
    subject.reopen();
    assert_only_lost(subject.log(), &[999, 1000, 1001], "neighbours");
    assert_eq!(all_seqs(subject.log(), ">").1, [(998, 1001, DAMAGED)]);
}

#[test]
fn damage_in_any_column_is_noticed() {
    for seq in [11, 64, 100, 990, LAST] {
        for change in [
            "tid = tid + 1",
            "tid = tid - 1",
            "tid = 12345678",
            "prev = prev - 1",
            "prev = prev - 10",
            "prev = prev / 2 + 1",
            "prev = prev + 1000000",
            "ts = ts + 1",
            "crc = crc + 1",
            "body = x'7b7d'",
            "seq = seq + 1000000",
        ] {
            let mut subject = filled();
            subject.meddle(|connection| {
                let sql = format!("UPDATE events SET {change} WHERE seq = {seq}");
                assert_eq!(connection.execute(&sql, []).unwrap(), 1);
            });
            if !(change.starts_with("seq") && seq == LAST) {
                assert_only_lost(subject.log(), &[seq], &format!("{change} in {seq}"));
            }
        }
    }
}

#[test]
fn a_row_that_is_missing_is_a_gap() {
    for missing in [&[500][..], &[1000, 1001], &[1]] {
        let mut subject = filled();
        subject.meddle(|connection| {
            for seq in missing {
                connection.execute("DELETE FROM events WHERE seq = ?1", [*seq]).unwrap();
            }
        });
        if missing != [1] {
            let missing: Vec<u64> =
                missing.iter().map(|seq| u64::try_from(*seq).unwrap()).collect();
            assert_only_lost(subject.log(), &missing, "missing");
        }
    }
}

#[test]
fn damage_that_is_found_while_heads_are_put_together_is_told_as_well() {
    for seq in [1u32, 50, 100, 1199, 1200] {
        let subject = filled();
        let copy = copy_as_if_killed(subject.folder.path());
        let connection = Connection::open(copy.path().join("doorbell.db")).unwrap();
        connection.execute("UPDATE events SET body = x'7b7d' WHERE seq = ?1", [seq]).unwrap();
        drop(connection);
        for _ in 0..2 {
            let log = open(copy.path());
            assert_only_lost(&log, &[seq.into()], &format!("{seq}"));
        }
        let log = open(copy.path());
        assert_eq!(append(&log, "rare", &["x"], 9)[0].seq(), LAST + 1);
    }
}

#[test]
fn a_page_of_rubbish_loses_its_rows_and_no_others() {
    for seq in (20..LAST).step_by(90) {
        let mut subject = filled();
        subject.close();
        let at = flip_a_bit(subject.folder.path(), seq);
        let path = subject.folder.path().join("doorbell.db");
        let mut bytes = fs::read(&path).unwrap();
        let page = at / 4096 * 4096;
        bytes[page..page + 4096].fill(0xa5);
        fs::write(&path, &bytes).unwrap();
        subject.reopen();
        let (read, gaps) = all_seqs(subject.log(), ">");
        let lost: Vec<u64> = (1..=LAST).filter(|seq| !read.contains(seq)).collect();
        assert!(lost.contains(&seq) && lost.len() < 60, "{lost:?}");
        assert_eq!(gaps, [(lost[0] - 1, *lost.last().unwrap(), DAMAGED)]);
        assert_only_lost(subject.log(), &lost, &format!("page of {seq}"));
    }
}

#[test]
fn a_damaged_list_of_topics_is_put_together_again() {
    for change in [
        "UPDATE topics SET head = head - 100 WHERE name = 'rare'",
        "UPDATE topics SET name = 'rave' WHERE name = 'rare'",
        "UPDATE topics SET expired = 7 WHERE name = 'most'",
        "UPDATE topics SET id = id + 40 WHERE name = 'most'",
    ] {
        let mut subject = filled();
        subject.meddle(|connection| assert_eq!(connection.execute(change, []).unwrap(), 1));
        for _ in 0..2 {
            for filter in FILTERS {
                let (read, gaps) = all_seqs(subject.log(), filter);
                assert_eq!((read, gaps), (expected(filter, &[]), vec![]), "{change}");
            }
            subject.close();
            subject.reopen();
        }
        subject.append("rare", &["x"]);
        assert_eq!(all_seqs(subject.log(), "rare").0.last(), Some(&(LAST + 1)));
    }
}

#[test]
fn marks_are_not_needed() {
    for change in [
        "DELETE FROM marks",
        "UPDATE marks SET seq = seq + 1",
        "UPDATE marks SET seq = seq + 100000",
        "UPDATE marks SET tid = tid + 10",
    ] {
        let mut subject = filled();
        subject.meddle(|connection| assert!(connection.execute(change, []).unwrap() > 0));
        for filter in FILTERS {
            let (read, gaps) = all_seqs(subject.log(), filter);
            assert_eq!((read, gaps), (expected(filter, &[]), vec![]), "{change}");
        }
    }
}

#[test]
fn many_damaged_rows_do_not_hold_up_retention() {
    use crate::log::contract::HOUR_US;
    for damaged in ["seq <= 700", "seq <= 400", "seq BETWEEN 2 AND 1000", "seq > 900"] {
        let mut subject = Subject::new();
        append(subject.log(), "a", &["x"; 1000], 10);
        append(subject.log(), "a", &["x"; 1000], HOUR_US + 10);
        subject.meddle(|connection| {
            let sql = format!("UPDATE events SET ts = ts * 2 + 1 WHERE {damaged}");
            assert!(connection.execute(&sql, []).unwrap() > 0);
        });
        for _ in 0..10 {
            subject.log().expire(HOUR_US + 20).unwrap();
        }
        // Those just before a good one that is kept may be as young as that one.
        let first = subject.log().bounds().first;
        assert!(first > 500, "{damaged}: {first}");
        subject.append("a", &["y"]);
        let (read, _) = all_seqs(subject.log(), "a");
        assert_eq!(read.last(), Some(&2001));
    }
}

#[test]
fn damaged_times_neither_hold_up_retention_nor_hurry_it() {
    use crate::log::contract::HOUR_US;
    for (damaged, ts) in [(1, i64::MAX), (1700, 0), (300, i64::MAX), (2500, 1)] {
        let mut subject = Subject::new();
        append(subject.log(), "a", &["x"; 1000], 10);
        append(subject.log(), "a", &["x"; 1000], HOUR_US + 10);
        append(subject.log(), "a", &["x"; 1000], 2 * HOUR_US + 10);
        subject.meddle(|connection| {
            let sql = "UPDATE events SET ts = ?2 WHERE seq = ?1";
            assert_eq!(connection.execute(sql, (damaged, ts)).unwrap(), 1);
        });
        while subject.log().expire(HOUR_US + 20).unwrap() {}
        assert_eq!(subject.log().bounds().first, 1001, "{damaged}");
        while subject.log().expire(2 * HOUR_US + 20).unwrap() {}
        assert_eq!(subject.log().bounds().first, 2001, "{damaged}");
        assert_eq!(subject.log().seek(2 * HOUR_US).unwrap(), 2000);
    }
}

//! How much work a page is.

use super::super::read::counted_page;
use super::super::scan;
use super::super::schema::MARK_EVERY;
use super::*;
use crate::log::contract::draft;
use crate::log::{Page, PageLimit, Query, Selection};

/// A page and the rows looked at for it.
fn counted(log: &SqliteLog, filter: &str, after: u64, messages: usize) -> (Page, u64) {
    let filters = [filter.parse().unwrap()];
    let limit = PageLimit { messages, bytes: 1 << 20 };
    let query = Query { selection: Selection(&filters), after, until: u64::MAX, limit };
    let shared = &log.shared;
    shared.readers.with(|connection| counted_page(shared, connection, &query)).unwrap()
}

/// 10,000 messages of one topic among 100,000 of a thousand others.
fn sparse() -> Subject {
    let subject = Subject::new();
    for round in 0..1000 {
        let mut batch: Vec<_> =
            (0..100).map(|n| draft(&format!("o.{}", n * 10 + round % 10), "y")).collect();
        for place in 0..10 {
            batch.insert(place * 11, draft("a", "x"));
        }
        subject.log().append(&batch, 5).unwrap();
    }
    subject
}

#[test]
fn a_page_of_a_sparse_topic_is_little_work_wherever_it_begins() {
    let mut subject = sparse();
    for reopened in [false, true] {
        let log = subject.log();
        for after in [0, 1, 5000, 57_123, 109_000] {
            let (page, rows) = counted(log, "o.123", after, 20);
            let expected = (100 - (after * 100).div_ceil(110_000)).min(20);
            let found = page.messages.len() as u64;
            assert!(found.abs_diff(expected) <= 1, "{found}");
            assert!(rows <= 2 * MARK_EVERY + 20, "{rows} rows after {after}");
        }
        if !reopened {
            // Without close the counts since the last marks come from the rows.
            subject.log = None;
            subject.reopen();
        }
    }
}

#[test]
fn pages_of_a_topic_rise_and_leave_nothing_out() {
    let subject = sparse();
    let log = subject.log();
    let (mut place, mut got, mut work) = (0, Vec::new(), 0);
    while place < log.bounds().last {
        let (page, rows) = counted(log, "a", place, 256);
        assert!(rows <= scan::ROWS_MAX, "{rows} rows after {place}");
        got.extend(page.messages.iter().map(Message::seq));
        place = page.through;
        work += rows;
    }
    let expected: Vec<u64> =
        (0..1000).flat_map(|round| (0..10).map(move |n| round * 110 + n * 11 + 1)).collect();
    assert_eq!(got, expected);
    assert!(work <= 130_000, "{work} rows");
}

#[test]
fn marks_hold_over_many_short_runs() {
    let mut subject = Subject::new();
    for run in 0..30 {
        for _ in 0..20 {
            subject.append("a", &["x"]);
            append(subject.log(), "b", &["y"; 30], 5);
        }
        match run % 2 {
            0 => subject.close(),
            _ => subject.log = None,
        }
        subject.reopen();
    }
    let (page, rows) = counted(subject.log(), "a", 3, 5);
    assert_eq!(page.messages.len(), 5);
    assert!(rows <= MARK_EVERY + 6, "{rows} rows");
}

#[test]
fn a_pattern_that_selects_nothing_is_little_work_a_page() {
    let subject = Subject::new();
    // More topics than a search for a pattern's looks at.
    for names in (0..20_000).collect::<Vec<_>>().chunks(4000) {
        let batch: Vec<_> = names.iter().map(|n| draft(&format!("{n}.o"), "y")).collect();
        subject.log().append(&batch, 5).unwrap();
    }
    for (pattern, through, rows) in [("x.*", 20_000, 0), ("*.x", scan::ROWS_MAX, scan::ROWS_MAX)] {
        let (page, looked_at) = counted(subject.log(), pattern, 0, 9);
        assert!(page.messages.is_empty() && page.lost.is_none());
        assert_eq!((page.through, looked_at), (through, rows), "{pattern}");
    }
    let (page, rows) = counted(subject.log(), "19000.o", 0, 9);
    assert_eq!((page.messages.len(), page.through), (1, 20_000));
    assert!(rows <= 2, "{rows} rows");
}

//! Reading lines back: any bytes may stand in a file.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::super::line::{self, BATCH_LINES_MAX, Kind, LogLine};
use super::super::scan::{Content, End, Rest, scan};
use super::TestFolder;
use crate::log::Owner;
use crate::log::contract::append;

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Message, Kind::Head, Kind::Start, Kind::End, Kind::Other])
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// The bytes of a segment with batches of several topics, and where in it each batch ends.
fn some_batches() -> (Vec<u8>, Vec<u64>) {
    let place = TestFolder::new();
    let log = place.open();
    let bytes = || std::fs::read(place.files("log").pop().unwrap()).unwrap();
    let mut ends = vec![bytes().len() as u64];
    for (topic, texts) in [
        ("a", &["one"][..]),
        ("b", &["two", "three", "four"]),
        ("a", &["five", ""]),
        ("b.c", &["a longer one, \"quoted\" and\nbroken"]),
        ("a", &["seven", "eight", "nine", "ten"]),
    ] {
        append(&log, topic, texts, 5);
        ends.push(bytes().len() as u64);
    }
    (bytes(), ends)
}

/// The last batch that is whole in so many bytes: the end of its last line may be missing.
fn whole(ends: &[u64], bytes: u64) -> Option<u64> {
    ends.iter().copied().rfind(|end| *end <= bytes + 1)
}

fn told(content: &Content) -> (u64, u64, usize, usize) {
    (content.bytes, content.last, content.topics.len(), content.holes.len())
}

#[test]
fn what_is_cut_anywhere_reads_as_a_prefix_of_batches() {
    let (bytes, ends) = some_batches();
    let seqs = [0, 1, 4, 6, 7, 11];
    let file = file_of(&bytes);
    for cut in ends[0]..=bytes.len() as u64 {
        let content = scan(&file, cut, Rest::Cut).unwrap();
        let end = whole(&ends, cut).unwrap();
        assert_eq!(content.bytes, end, "cut at {cut}");
        let batches = ends.iter().position(|own| *own == end).unwrap();
        assert_eq!((content.last, content.holes.len()), (seqs[batches], 0), "cut at {cut}");
        let is_whole = end == cut || end == cut + 1;
        assert_eq!(content.end, if is_whole { End::Whole } else { End::Torn }, "cut at {cut}");
    }
}

#[test]
fn what_stands_behind_a_cut_is_no_part_of_it() {
    let (bytes, ends) = some_batches();
    for rest in [&[0; 5000][..], b"\n", b"no line\n", b"deadbeef ---- m 00000000000000 - {"] {
        for cut in (ends[0]..=bytes.len() as u64).step_by(7) {
            let file = file_of(&[&bytes[..usize::try_from(cut).unwrap()], rest].concat());
            let until = file.metadata().unwrap().len();
            let content = scan(&file, until, Rest::Cut).unwrap();
            // A line without its end may be a whole one, of which the rest is no part either.
            let expected = [whole(&ends, cut), whole(&ends, cut.saturating_sub(1))];
            assert!(expected.contains(&Some(content.bytes)), "cut at {cut} before {rest:?}");
            assert!(content.holes.is_empty(), "cut at {cut} before {rest:?}");
        }
    }
}

/// Whole lines, parts of them, and anything else.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let (bytes, _) = some_batches();
    let lines: Vec<Vec<u8>> = bytes.split_inclusive(|byte| *byte == b'\n').map(Vec::from).collect();
    let line = prop::sample::select(lines);
    let part = (line.clone(), any::<prop::sample::Index>(), any::<prop::sample::Index>());
    let piece = prop_oneof![
        6 => line,
        2 => part.prop_map(|(line, a, b)| {
            let (a, b) = (a.index(line.len()), b.index(line.len()));
            line[a.min(b)..a.max(b)].to_vec()
        }),
        1 => prop::collection::vec(any::<u8>(), 0..100),
        1 => (0_usize..9000).prop_map(|zeros| vec![0; zeros]),
        1 => Just(b"\n".to_vec()),
        1 => Just(b" {\"id\":\"".to_vec()),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_line_reads_as_it_was_written(
        ends in prop::option::of(1..=BATCH_LINES_MAX),
        kind in kinds(),
        chain in 0_u64..99_999_999_999_999,
        owner in "[!-~]{1,20}",
        json in "[ -~é]{0,200}",
    ) {
        let owner = Owner::named(&owner);
        let mut bytes = Vec::new();
        line::push(&mut bytes, ends, kind, chain, &owner, json.as_bytes());
        prop_assert_eq!(bytes.pop(), Some(b'\n'));
        let expected = LogLine { ends, kind, chain, owner: owner.as_str(), json: json.as_bytes() };
        prop_assert_eq!(line::parse(&bytes), Some(expected));
        prop_assert_eq!(expected.bytes(), bytes.len() + 1);
        // Every other checksum is a wrong one.
        for at in 8..bytes.len() {
            bytes[at] ^= 1;
            prop_assert_eq!(line::parse(&bytes), None);
            bytes[at] ^= 1;
        }
    }

    #[test]
    fn any_bytes_can_be_taken_for_a_line(bytes in pieces()) {
        line::seq_of(&bytes);
        let mut next = 0;
        for (begin, line) in line::readable(&bytes) {
            let end = begin + line.bytes() - 1;
            prop_assert_eq!(line::parse(&bytes[begin..end]), Some(line));
            prop_assert!(begin >= next, "two lines share bytes");
            line.message();
            next = end + 1;
        }
    }

    #[test]
    fn any_bytes_can_be_scanned_and_what_counts_counts_again(bytes in pieces()) {
        let file = file_of(&bytes);
        let until = bytes.len() as u64;
        for tail in [Rest::Cut, Rest::Kept] {
            let content = scan(&file, until, tail).unwrap();
            prop_assert!(content.bytes <= until + 1 && content.after <= content.last);
            let mut place = content.after;
            for hole in &content.holes {
                prop_assert!(hole.after >= place && hole.through > hole.after, "{:?}", content.holes);
                place = hole.through;
            }
            prop_assert!(place <= content.last);
            // As a start does it: cut, and the newest line given its end.
            let again = file_of(&bytes);
            again.set_len(content.bytes).unwrap();
            if content.bytes > until {
                again.write_all_at(b"\n", until).unwrap();
            }
            let second = scan(&again, content.bytes, tail).unwrap();
            prop_assert_eq!(told(&second), told(&content));
        }
    }
}

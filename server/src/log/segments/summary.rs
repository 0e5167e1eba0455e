//! What a sealed segment holds, in a file beside it: a start reads it instead of the segment, and a
//! reader of a few topics finds out whether it has to look into the segment at all.
//!
//! ```text
//! 00000017.log   the segment
//! 00000017.sum   4c1a09e7 {"format":"doorbell-summary","version":1,"segment":17,…}
//!                0 41             where lines are: offset, and the seq of the first message there
//!                4113 58
//!                alarms 57 12     by name: the topic, its newest message here, the one before
//!                orders.eu 58 0   this segment
//! ```
//!
//! The checksum is that of all that follows it. A summary that is missing or wrong is made again
//! from its segment. It is written after the segment is on the disk, so one that fits says that the
//! segment is whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::scan::{Content, Run, WrittenSpan};
use super::segment::{Hole, Index, IndexEntry, Notes, Times};
use super::topics::{TopicRow, TopicTable};
use crate::log::Owner;

const FORMAT: &str = "doorbell-summary";
const VERSION: u32 = 1;
/// Bytes of the checksum and the space after it.
const CHECKSUM_BYTES: usize = 9;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    format: String,
    version: u32,
    segment: u64,
    /// Bytes of the segment.
    bytes: u64,
    after: u64,
    last: u64,
    times: Times,
    owners: BTreeMap<String, u64>,
    holes: Vec<Hole>,
    epochs: Vec<WrittenSpan>,
    run: Option<Run>,
    /// Lines of the index.
    index: usize,
    /// Lines of topics, up to the end.
    topics: usize,
}

/// Writes the summary of a segment.
pub(super) fn write(folder: &Folder, ordinal: u64, content: &Content) -> io::Result<TopicTable> {
    let entries = content.index.entries();
    let owners = &content.notes.owners;
    let written = Written {
        format: FORMAT.to_owned(),
        version: VERSION,
        segment: ordinal,
        bytes: content.bytes,
        after: content.after,
        last: content.last,
        times: content.notes.times,
        owners: owners.iter().map(|(owner, bytes)| (owner.as_str().into(), *bytes)).collect(),
        holes: content.holes.clone(),
        epochs: content.spans.iter().map(|span| (*span).into()).collect(),
        run: content.run.clone(),
        index: entries.len(),
        topics: content.topics.len(),
    };
    let mut text = format!("{:08x} {}\n", 0, serde_json::to_string(&written)?);
    for IndexEntry { offset, seq } in entries {
        let _ = writeln!(text, "{offset} {seq}");
    }
    let at = text.len() as u64;
    let mut topics: Vec<_> = content.topics.iter().collect();
    topics.sort_unstable_by_key(|(name, _)| *name);
    for (name, row) in topics {
        row.write(name, &mut text);
    }
    let checksum = crc32fast::hash(&text.as_bytes()[CHECKSUM_BYTES..]);
    text.replace_range(..CHECKSUM_BYTES - 1, &format!("{checksum:08x}"));
    let file = folder.write_summary(ordinal, text.as_bytes())?;
    Ok(TopicTable::new(file, at, text.len() as u64))
}

/// A summary that was read, but for its topics.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) content: Content,
    /// Where they are.
    pub(super) topics: TopicTable,
}

/// Reads the summary of a segment of so many bytes; `None` if there is none that can be trusted.
/// Its topics are handed to `take` one by one.
pub(super) fn read(
    folder: &Folder,
    ordinal: u64,
    bytes: u64,
    mut take: impl FnMut(&str, TopicRow),
) -> io::Result<Option<Summary>> {
    let Some((file, text)) = folder.read_summary(ordinal)? else { return Ok(None) };
    let Some((head, mut rest)) = verified(&text) else { return Ok(None) };
    if head.version != VERSION || (head.segment, head.bytes) != (ordinal, bytes) {
        return Ok(None);
    }
    let mut next_line = || {
        let (line, after) = rest.split_once('\n')?;
        rest = after;
        Some(line)
    };
    let mut index = Vec::with_capacity(head.index.min(text.len()));
    for _ in 0..head.index {
        let entry = next_line().and_then(|line| line.split_once(' '));
        let Some((offset, seq)) = entry.and_then(|(o, s)| Some((o.parse().ok()?, s.parse().ok()?)))
        else {
            return Ok(None);
        };
        index.push(IndexEntry { offset, seq });
    }
    let at = text.len() - rest.len();
    for line in rest.lines() {
        if let Some((name, row)) = TopicRow::parse(line) {
            take(name, row);
        }
    }
    let owners = head.owners.iter().map(|(owner, bytes)| (Owner::named(owner), *bytes));
    let content = Content {
        bytes: head.bytes,
        after: head.after,
        last: head.last,
        index: Index::restore(index),
        notes: Notes { times: head.times, owners: owners.collect() },
        holes: head.holes,
        spans: head.epochs.iter().map(Into::into).collect(),
        run: head.run,
        ..Content::default()
    };
    let topics = TopicTable::new(file, at as u64, text.len() as u64);
    Ok(Some(Summary { content, topics }))
}

fn verified(text: &str) -> Option<(Written, &str)> {
    let (checksum, rest) = text.split_at_checked(CHECKSUM_BYTES)?;
    let checksum = u32::from_str_radix(checksum.strip_suffix(' ')?, 16).ok()?;
    if checksum != crc32fast::hash(rest.as_bytes()) {
        return None;
    }
    let (head, rest) = rest.split_once('\n')?;
    Some((serde_json::from_str(head).ok()?, rest))
}

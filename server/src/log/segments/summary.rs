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
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::checked::{self, CheckedFile};
use super::folder::{Folder, SUMMARY, name};
use super::scan::{Content, Run, WrittenSpan};
use super::segment::{Hole, Index, IndexEntry, Notes, Times};
use super::topics::{TopicTable, number};
use crate::log::Owner;

const FORMAT: &str = "doorbell-summary";
const VERSION: u32 = 1;

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
    let mut file = CheckedFile::create(folder, &name(ordinal, SUMMARY))?;
    writeln!(file, "{}", serde_json::to_string(&written)?)?;
    for IndexEntry { offset, seq } in entries {
        writeln!(file, "{offset} {seq}")?;
    }
    let at = file.bytes();
    for (name, row) in content.rows_in_order() {
        row.write(name, &mut file)?;
    }
    let end = file.bytes();
    Ok(TopicTable::new(file.finish()?, at, end))
}

/// A summary that was read.
#[derive(Debug)]
pub(super) struct Summary {
    /// What it says, but for its topics.
    pub(super) content: Content,
    /// Where they are.
    pub(super) topics: TopicTable,
    /// Their lines.
    pub(super) rows: String,
}

/// Reads the summary of a segment of so many bytes; `None` if there is none that can be trusted.
pub(super) fn read(folder: &Folder, ordinal: u64, bytes: u64) -> io::Result<Option<Summary>> {
    let Some((file, mut text)) = checked::read(folder, &name(ordinal, SUMMARY))? else {
        return Ok(None);
    };
    let Some((head, mut rest)) = parse_head(&text) else { return Ok(None) };
    if head.version != VERSION || (head.segment, head.bytes) != (ordinal, bytes) {
        return Ok(None);
    }
    let mut index = Vec::with_capacity(head.index.min(text.len()));
    for _ in 0..head.index {
        let (Some(offset), Some(seq)) = (number(&mut rest), number(&mut rest)) else {
            return Ok(None);
        };
        index.push(IndexEntry { offset, seq });
    }
    let at = text.len() - rest.len();
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
    Ok(Some(Summary { content, topics, rows: text.split_off(at) }))
}

/// Removes the summaries of segments that are not there: one may have been let go of while its
/// summary was being written, or a copy may have passed over it.
pub(super) fn clear_orphans(folder: &Folder, ordinals: &[u64]) -> io::Result<()> {
    for ordinal in folder.ordinals(SUMMARY)? {
        let name = name(ordinal, SUMMARY);
        let is_orphan = ordinals.binary_search(&ordinal).is_err();
        // Others may call their files so too.
        let is_ours =
            |text: String| parse_head(&text).is_some_and(|(head, _)| head.format == FORMAT);
        if is_orphan && checked::read(folder, &name)?.is_some_and(|(_, text)| is_ours(text)) {
            folder.clear(&name);
        }
    }
    Ok(())
}

fn parse_head(text: &str) -> Option<(Written, &str)> {
    let (head, rest) = text.get(checked::CHECKSUM_BYTES..)?.split_once('\n')?;
    Some((serde_json::from_str(head).ok()?, rest))
}

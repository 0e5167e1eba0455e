//! Reading a few topics of a segment along their chains.
//!
//! ```text
//! lines of one topic:   o . . . . o . . . . o . . . o     walked from the newest of the segment
//! place                      ^<───┘<────────┘<──────┘     back to the place, then read forwards
//! ```
//!
//! The newest of a topic is known: from the heads for the newest segments, from its summary for one
//! that is finished. A chain is a shortcut and is trusted no further than it proves itself: where a
//! line is not what the chain promised, or there are so many that it pays to look at all of them,
//! the segment is read line by line instead.

use std::io;
use std::ops::ControlFlow;

use doorbell_protocol::Topic;

use super::Shared;
use super::line::LogLine;
use super::page::{PageBuilder, PageEnd};
use super::segment::Segment;

/// Lines walked in one segment for one page: about as costly as the part of it that would be read
/// instead.
const HOPS_MAX: usize = 1024;

/// Reads what a segment has of some topics; `None` if it is better read line by line.
pub(super) fn follow(
    shared: &Shared,
    segment: &Segment,
    topics: &[Topic],
    reading: &mut PageBuilder<'_>,
) -> io::Result<Option<ControlFlow<PageEnd>>> {
    let Some(seqs) = walk(shared, segment, topics, reading)? else { return Ok(None) };
    let mut bytes = Vec::new();
    for seq in seqs {
        let line = segment.line(seq, &mut bytes)?;
        let stored = line.as_ref().and_then(LogLine::message);
        let (Some(line), Some(stored)) = (line, stored) else { return Ok(None) };
        if reading.take(&stored, line.json).is_break() {
            reading.place = seq - 1;
            return Ok(Some(ControlFlow::Break(PageEnd::Here)));
        }
        // Everything up to here is in the page, should the rest have to be read line by line.
        reading.place = seq;
    }
    Ok(Some(ControlFlow::Continue(())))
}

/// The seqs of these topics in a segment, rising.
fn walk(
    shared: &Shared,
    segment: &Segment,
    topics: &[Topic],
    reading: &PageBuilder<'_>,
) -> io::Result<Option<Vec<u64>>> {
    let stop = reading.place.max(segment.after);
    let mut seqs = Vec::new();
    let mut hops = 0;
    let mut bytes = Vec::new();
    for topic in topics {
        let Some(newest) = newest_in(shared, segment, topic) else { return Ok(None) };
        let mut seq = newest;
        while seq > stop {
            hops += 1;
            let line = segment.line(seq, &mut bytes)?.filter(|line| is_of(line, topic));
            let Some(line) = line.filter(|line| line.chain < seq && hops <= HOPS_MAX) else {
                return Ok(None);
            };
            if seq <= reading.until {
                seqs.push(seq);
            }
            seq = line.chain;
        }
    }
    seqs.sort_unstable();
    Ok(Some(seqs))
}

fn is_of(line: &LogLine<'_>, topic: &Topic) -> bool {
    line.message().is_some_and(|own| own.topic == topic.as_str())
}

/// The newest message of a topic in a segment, 0 if there is none; `None` if that is not known.
fn newest_in(shared: &Shared, segment: &Segment, topic: &Topic) -> Option<u64> {
    let newest = shared.heads.get(topic).map_or(0, |head| head.newest);
    if newest <= segment.after {
        return Some(0);
    }
    if newest <= segment.last() {
        return Some(newest);
    }
    let table = segment.topics.get()?;
    match table.find(topic.as_str()) {
        Ok(row) => Some(row.map_or(0, |row| row.last)),
        Err(error) => {
            tracing::debug!(%error, segment = segment.ordinal, "a summary could not be read");
            None
        }
    }
}

//! From a time to a place.

use std::io;

use super::Shared;
use super::line;
use super::lines::LineReader;
use super::segment::Segment;

/// Bytes looked at in one step backwards.
const STEP: usize = 256 << 10;

/// The place after the last message that is older than `time_us`: clocks may have gone either way,
/// and nothing that came after it is left out.
pub(super) fn seek(shared: &Shared, time_us: u64) -> io::Result<u64> {
    let view = shared.segments.load_full();
    for segment in view.iter().rev() {
        let times = segment.notes().times;
        if times.is_empty() {
            continue;
        }
        if times.greatest < time_us {
            return Ok(segment.last());
        }
        if times.least < time_us
            && let Some(place) = last_older(segment, time_us)?
        {
            return Ok(place);
        }
    }
    Ok(view.first().map_or(0, |oldest| oldest.after))
}

/// The last message of a segment that is older, looked for from its end.
fn last_older(segment: &Segment, time_us: u64) -> io::Result<Option<u64>> {
    let mut end = segment.bytes();
    while end > 0 {
        let begin = segment.line_before(end.saturating_sub(STEP as u64));
        let mut lines = LineReader::new(&segment.file, begin, end, STEP);
        let mut found = None;
        while let Some(read) = lines.next()? {
            let messages = line::readable(lines.get(&read)).filter_map(|(_, line)| line.message());
            let older = messages.filter(|own| own.time_us < time_us).last();
            found = older.map(|own| own.id.seq()).or(found);
        }
        if found.is_some() {
            return Ok(found);
        }
        end = begin;
    }
    Ok(None)
}

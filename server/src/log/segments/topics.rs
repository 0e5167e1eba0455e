//! The topics of a segment, as they stand in its summary.

use std::cmp::Ordering;
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::lines::LineReader;

/// Bytes read to find one topic: more than any line has.
const TOPIC_READ: usize = 512;

/// One topic in one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TopicRow {
    /// Its newest message before this segment, 0 if there was none.
    pub(super) before: u64,
    /// Its newest message in it.
    pub(super) last: u64,
}

impl TopicRow {
    /// Appends its line.
    pub(super) fn write(self, name: &str, out: &mut String) {
        let _ = writeln!(out, "{name} {} {}", self.last, self.before);
    }

    /// Reads its line, given without its end.
    pub(super) fn parse(line: &str) -> Option<(&str, Self)> {
        let mut words = line.split(' ');
        let (name, last, before) = (words.next()?, words.next()?, words.next()?);
        Some((name, Self { last: last.parse().ok()?, before: before.parse().ok()? }))
    }
}

/// Where the topics of a segment stand in its summary, in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TopicTable {
    at: u64,
    end: u64,
}

impl TopicTable {
    /// The lines between these offsets.
    pub(super) fn new(at: u64, end: u64) -> Self {
        Self { at, end }
    }

    /// Looks a topic up by halving.
    pub(super) fn find(&self, file: &File, topic: &str) -> io::Result<Option<TopicRow>> {
        let (mut low, mut high) = (self.at, self.end);
        let mut bytes = [0; TOPIC_READ];
        while low < high {
            let middle = low + (high - low) / 2;
            // The line that begins at `middle` or before it.
            let from = middle.saturating_sub(TOPIC_READ as u64 / 2).max(self.at);
            let read = file.read_at(&mut bytes, from)?;
            let within = usize::try_from(middle - from).unwrap_or(read).min(read);
            let begin = memchr::memrchr(b'\n', &bytes[..within]).map_or(0, |end| end + 1);
            let Some(length) = memchr::memchr(b'\n', &bytes[begin..read]) else { return Ok(None) };
            let line = str::from_utf8(&bytes[begin..begin + length]).unwrap_or_default();
            let Some((name, row)) = TopicRow::parse(line) else { return Ok(None) };
            match name.cmp(topic) {
                Ordering::Equal => return Ok(Some(row)),
                Ordering::Less => low = from + (begin + length) as u64 + 1,
                Ordering::Greater => high = from + begin as u64,
            }
        }
        Ok(None)
    }

    /// Hands out all topics.
    pub(super) fn for_each(
        &self,
        file: &File,
        mut take: impl FnMut(&str, TopicRow),
    ) -> io::Result<()> {
        let mut lines = LineReader::new(file, self.at, self.end, 64 << 10);
        while let Some(read) = lines.next()? {
            let line = str::from_utf8(lines.get(&read)).unwrap_or_default();
            if let Some((name, row)) = TopicRow::parse(line) {
                take(name, row);
            }
        }
        Ok(())
    }
}

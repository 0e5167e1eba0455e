//! The topics of a segment, as they stand in its summary.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Write};
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
    /// Writes its line. Its checksum is its own, since lines are read one by one.
    pub(super) fn write(self, name: &str, out: &mut impl Write) -> io::Result<()> {
        let row = format!("{name} {} {}", self.last, self.before);
        writeln!(out, "{row} {:08x}", crc32fast::hash(row.as_bytes()))
    }

    /// Reads its line, given without its end. `None` if it is damaged.
    pub(super) fn parse(line: &str) -> Option<(&str, Self)> {
        let (row, checksum) = line.rsplit_once(' ')?;
        let is_right = u32::from_str_radix(checksum, 16).ok()? == crc32fast::hash(row.as_bytes());
        if is_right { Self::columns(line) } else { None }
    }

    /// Reads a line that was found to be right before.
    fn columns(line: &str) -> Option<(&str, Self)> {
        let (name, mut rest) = line.split_at(memchr::memchr(b' ', line.as_bytes())?);
        rest = &rest[1..];
        Some((name, Self { last: number(&mut rest)?, before: number(&mut rest)? }))
    }
}

/// Takes a number off the beginning of a text, with the byte that ends it.
pub(super) fn number(text: &mut &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse().ok()?;
    *text = text.get(digits + 1..).unwrap_or_default();
    Some(number)
}

/// The topics of a text that was found to be right as a whole.
pub(super) fn rows(text: &str) -> impl Iterator<Item = (&str, TopicRow)> {
    let lines = memchr::memchr_iter(b'\n', text.as_bytes());
    let begins = std::iter::once(0).chain(lines.clone().map(|end| end + 1));
    begins.zip(lines).filter_map(|(begin, end)| TopicRow::columns(&text[begin..end]))
}

/// Where the topics of a segment stand in its summary, in the order of their names.
#[derive(Debug)]
pub(super) struct TopicTable {
    /// Kept open: whatever becomes of its name, this is the one that was verified.
    summary: File,
    at: u64,
    end: u64,
}

impl TopicTable {
    /// The lines between these offsets.
    pub(super) fn new(summary: File, at: u64, end: u64) -> Self {
        Self { summary, at, end }
    }

    /// Looks a topic up by halving. Damage on the way is an error: what is behind it is not known.
    pub(super) fn find(&self, topic: &str) -> io::Result<Option<TopicRow>> {
        let (mut low, mut high) = (self.at, self.end);
        let mut bytes = [0; TOPIC_READ];
        while low < high {
            let middle = low + (high - low) / 2;
            // The line that begins at `middle` or before it.
            let from = middle.saturating_sub(TOPIC_READ as u64 / 2).max(self.at);
            let read = self.summary.read_at(&mut bytes, from)?;
            let within = usize::try_from(middle - from).unwrap_or(read).min(read);
            let begin = memchr::memrchr(b'\n', &bytes[..within]).map_or(0, |end| end + 1);
            let length = memchr::memchr(b'\n', &bytes[begin..read]).ok_or_else(damaged)?;
            let (name, row) = row_of(&bytes[begin..begin + length])?;
            match name.cmp(topic) {
                Ordering::Equal => return Ok(Some(row)),
                Ordering::Less => low = from + (begin + length) as u64 + 1,
                Ordering::Greater => high = from + begin as u64,
            }
        }
        Ok(None)
    }

    /// Hands out all topics, up to the first that is damaged.
    pub(super) fn for_each(&self, mut take: impl FnMut(&str, TopicRow)) -> io::Result<()> {
        let mut lines = LineReader::new(&self.summary, self.at, self.end, 64 << 10);
        let mut end = self.at;
        while let Some(read) = lines.next()? {
            let (name, row) = row_of(lines.get(&read))?;
            take(name, row);
            end = read.next_offset();
        }
        if end == self.end { Ok(()) } else { Err(damaged()) }
    }
}

fn row_of(line: &[u8]) -> io::Result<(&str, TopicRow)> {
    str::from_utf8(line).ok().and_then(TopicRow::parse).ok_or_else(damaged)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a summary is damaged")
}

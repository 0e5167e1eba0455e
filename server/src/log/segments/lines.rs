//! Reads a file line by line: from a place to another one, in blocks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memchr::memchr;

/// A line that was read: where it is in the reader's memory, and in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadLine {
    begin: usize,
    end: usize,
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// Whether it has its end. The last one of a file may not.
    pub(super) is_ended: bool,
}

impl ReadLine {
    /// Its bytes, without its end, in its reader's memory.
    pub(super) fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.begin..self.end]
    }

    /// Where the next line begins.
    pub(super) fn next_offset(&self) -> u64 {
        self.offset + (self.end - self.begin) as u64 + u64::from(self.is_ended)
    }
}

/// Reads a part of a file line by line, in blocks. Its memory grows to the longest line.
#[derive(Debug)]
pub(super) struct LineReader<'a> {
    file: &'a File,
    bytes: Vec<u8>,
    /// Where the next line begins in `bytes`.
    next: usize,
    /// Where `bytes` ends in the file.
    offset: u64,
    /// Where reading ends.
    until: u64,
    block: usize,
}

impl<'a> LineReader<'a> {
    pub(super) fn new(file: &'a File, offset: u64, until: u64, block: usize) -> Self {
        Self { file, bytes: Vec::new(), next: 0, offset, until, block }
    }

    /// Reads into memory that was used before.
    pub(super) fn lend(&mut self, bytes: &mut Vec<u8>) {
        bytes.clear();
        self.bytes = std::mem::take(bytes);
    }

    /// Its memory, in which the line that was read last can be found.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The next line, if there is one.
    pub(super) fn next(&mut self) -> io::Result<Option<ReadLine>> {
        // What has no end in it is not looked through again.
        let mut looked_at = self.next;
        loop {
            let offset = self.offset - (self.bytes.len() - self.next) as u64;
            if let Some(length) = memchr(b'\n', &self.bytes[looked_at..]) {
                let (begin, end) = (self.next, looked_at + length);
                self.next = end + 1;
                return Ok(Some(ReadLine { begin, end, offset, is_ended: true }));
            }
            if self.offset >= self.until {
                let (begin, end) = (self.next, self.bytes.len());
                self.next = end;
                let rest = ReadLine { begin, end, offset, is_ended: false };
                return Ok((begin < end).then_some(rest));
            }
            self.bytes.drain(..self.next);
            self.next = 0;
            looked_at = self.bytes.len();
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let held = self.bytes.len();
        let left = usize::try_from(self.until - self.offset).unwrap_or(usize::MAX);
        // A long line is read in ever larger steps.
        self.bytes.resize(held + left.min(self.block.max(held)), 0);
        let read = loop {
            match self.file.read_at(&mut self.bytes[held..], self.offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(held + *read.as_ref().unwrap_or(&0));
        self.offset += read? as u64;
        if self.bytes.len() == held {
            // The file is shorter than it was.
            self.until = self.offset;
        }
        Ok(())
    }

    /// The bytes of the line that was read last, without its end.
    pub(super) fn get(&self, line: &ReadLine) -> &[u8] {
        line.of(&self.bytes)
    }
}

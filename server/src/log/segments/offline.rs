//! What can be done with the folder of a log without opening it, also while a server writes to it:
//! verify it, read all of it, copy it.
//!
//! A segment is only ever added to, and retention lets go of the oldest first. So whoever takes the
//! newest one first, up to its last whole batch, and then the others, has what the log was at that
//! moment.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::folder::Folder;
use super::line;
use super::lines::LineReader;
use super::scan::{self, Content, End, Rest};
use super::summary;
use super::waiting::WAITING;
use crate::log::{Epochs, OpenError};

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;

/// A folder that is read from outside.
#[derive(Debug)]
pub struct LogFolder {
    folder: Folder,
    /// Oldest first.
    segments: Vec<Found>,
}

/// A segment, as far as it is whole.
#[derive(Debug)]
struct Found {
    ordinal: u64,
    file: File,
    /// Bytes of the file.
    bytes: u64,
    content: Content,
}

/// What was found in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// Messages that can be read: the first, the last, and how many.
    pub messages: Option<(u64, u64, u64)>,
    /// Bytes that hold something.
    pub bytes: u64,
    /// Runs of messages that cannot be read.
    pub damaged: Vec<(u64, u64)>,
    /// What else is to be said of it.
    pub remarks: Vec<&'static str>,
}

impl LogFolder {
    /// Reads what is in a folder: all of it, line by line.
    ///
    /// # Errors
    ///
    /// It cannot be read, or holds no log.
    pub fn read(path: &Path) -> Result<Self, OpenError> {
        let refuse = |error: io::Error| {
            OpenError(format!("cannot read the log in {}: {error}", path.display()))
        };
        let folder = Folder::open(path).map_err(refuse)?;
        let mut segments: Vec<Found> = Vec::new();
        for ordinal in folder.segments().map_err(refuse)?.into_iter().rev() {
            let file = match folder.read_segment(ordinal) {
                // Retention let go of it, and of all before it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                file => file.map_err(refuse)?,
            };
            let bytes = file.metadata().map_err(refuse)?.len();
            let rest = if segments.is_empty() { Rest::Cut } else { Rest::Kept };
            let content = scan::scan(&file, bytes, rest).map_err(refuse)?;
            if content.bytes > 0 {
                segments.push(Found { ordinal, file, bytes, content });
            }
        }
        segments.reverse();
        if segments.is_empty() {
            return Err(OpenError(format!("there is no log in {}", path.display())));
        }
        Ok(Self { folder, segments })
    }

    /// What is in each file, oldest first.
    ///
    /// # Errors
    ///
    /// A summary cannot be read.
    pub fn report(&self) -> io::Result<Vec<FileReport>> {
        let mut reports = Vec::new();
        let mut reached = None;
        for (index, found) in self.segments.iter().enumerate() {
            let Content { after, last, end, bytes, .. } = found.content;
            let mut damaged: Vec<_> =
                found.content.holes.iter().map(|hole| (hole.after + 1, hole.through)).collect();
            if let Some(reached) = reached.filter(|reached| *reached < after) {
                damaged.insert(0, (reached + 1, after));
            }
            let lost: u64 = damaged.iter().map(|(first, last)| last + 1 - first).sum();
            let first = reached.unwrap_or(after) + 1;
            let missing = lost + found.content.unkept;
            let held = (last + 1).saturating_sub(first).saturating_sub(missing);
            let mut remarks = Vec::new();
            let is_newest = index + 1 == self.segments.len();
            if found.content.head.is_none() {
                remarks.push("its head is damaged");
            }
            if is_newest {
                match end {
                    End::Closed => {}
                    End::Whole => remarks.push("it was not closed: a server writes to it, or died"),
                    End::Torn => remarks.push("it ends in the middle of a batch, which is cut off"),
                    End::Damaged => remarks.push("its last lines are damaged, and are cut off"),
                }
            } else if summary::read(&self.folder, found.ordinal, found.bytes)?.is_none() {
                remarks.push("it has no summary that fits; a start makes one");
            }
            let name = self.folder.segment_path(found.ordinal);
            let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let messages = (held > 0).then_some((after + 1, last, held));
            reports.push(FileReport { name, messages, bytes, damaged, remarks });
            reached = Some(last);
        }
        Ok(reports)
    }

    /// The starts that the log remembers.
    pub fn epochs(&self) -> Option<Epochs> {
        let spans = self.segments.iter().flat_map(|found| found.content.spans.iter().copied());
        Epochs::found(spans.collect())
    }

    /// The place before the first message, and the newest message.
    pub fn bounds(&self) -> (u64, u64) {
        let after = self.segments.first().map_or(0, |oldest| oldest.content.after);
        (after, self.segments.last().map_or(after, |newest| newest.content.last))
    }

    /// Hands out the JSON of each message, oldest first.
    ///
    /// # Errors
    ///
    /// Those of reading, and of whoever takes them.
    pub fn messages(
        &self,
        mut take: impl FnMut(&StoredMessage<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut reached = 0;
        for found in &self.segments {
            let mut lines = LineReader::new(&found.file, 0, found.content.bytes, BLOCK);
            while let Some(read) = lines.next()? {
                for (_, line) in line::readable(lines.get(&read)) {
                    let Some(stored) = line.message() else { continue };
                    let json = line.json;
                    if stored.id.seq() > reached {
                        reached = stored.id.seq();
                        let (time_us, topic) = (stored.time_us, stored.topic);
                        take(&StoredMessage { seq: reached, time_us, topic, json })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Copies the log, as it was when it was read, into a folder that holds none.
    ///
    /// # Errors
    ///
    /// The folder holds something, or those of reading and writing.
    pub fn copy(&self, to: &Path) -> Result<u64, OpenError> {
        let refuse =
            |error: io::Error| OpenError(format!("cannot write in {}: {error}", to.display()));
        if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(OpenError(format!("{} is not empty; name a new folder", to.display())));
        }
        let folder = Folder::create(to)?;
        let mut copied = 0;
        for found in &self.segments {
            let file = folder.create_segment(found.ordinal).map_err(refuse)?;
            copy_file(&found.file, &file, found.content.bytes).map_err(refuse)?;
            copied += found.content.bytes;
        }
        let waiting = self.folder.read_file(WAITING).map_err(refuse)?;
        if !waiting.is_empty() {
            folder.replace_file(WAITING, &waiting).map_err(refuse)?;
        }
        folder.sync().map_err(refuse)?;
        Ok(copied)
    }
}

/// A message that was read from a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredMessage<'a> {
    /// Its place.
    pub seq: u64,
    /// Unix microseconds of the acceptance.
    pub time_us: u64,
    /// Its topic's name.
    pub topic: &'a str,
    /// As it goes out on the wire.
    pub json: &'a [u8],
}

fn copy_file(from: &File, to: &File, bytes: u64) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let mut offset = 0;
    while offset < bytes {
        let length = usize::try_from(bytes - offset).unwrap_or(BLOCK).min(BLOCK);
        let read = from.read_at(&mut block[..length], offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all_at(&block[..read], offset)?;
        offset += read as u64;
    }
    to.sync_all()
}

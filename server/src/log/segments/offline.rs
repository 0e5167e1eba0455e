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

use doorbell_protocol::GapReason;

use super::folder::Folder;
use super::line;
use super::lines::LineReader;
use super::scan::{self, Content, End, Rest};
use super::segment::Hole;
use super::summary;
use super::waiting::WAITING;
use crate::log::{Epochs, OpenError};

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;

/// A folder that is read from outside.
#[derive(Debug)]
pub struct LogFolder {
    folder: Folder,
    /// The file of what waits for its time, as it was before the segments were read: what was
    /// published since then is in them, and a start finds it there.
    waiting: Vec<u8>,
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
    /// Runs of messages that it should hold and does not.
    pub missing: Vec<Missing>,
    /// What else is to be said of it.
    pub remarks: Vec<&'static str>,
}

/// A run of messages that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The first of them.
    pub first: u64,
    /// The last one.
    pub through: u64,
    /// What readers who come past are told.
    pub reason: GapReason,
}

impl Missing {
    /// How many they are.
    pub fn count(self) -> u64 {
        self.through + 1 - self.first
    }
}

impl From<Hole> for Missing {
    fn from(hole: Hole) -> Self {
        Self { first: hole.after + 1, through: hole.through, reason: hole.reason }
    }
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
        let waiting = folder.read_file(WAITING).map_err(refuse)?;
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
        Ok(Self { folder, waiting, segments })
    }

    /// What is in each file, oldest first.
    ///
    /// # Errors
    ///
    /// A summary cannot be read.
    pub fn report(&self) -> io::Result<Vec<FileReport>> {
        let mut reports = Vec::new();
        let (mut reached, mut is_damaged_behind) = (None, false);
        for (index, found) in self.segments.iter().enumerate() {
            let Content { after, last, end, bytes, .. } = found.content;
            let is_newest = index + 1 == self.segments.len();
            let summary = if is_newest {
                None
            } else {
                summary::read(&self.folder, found.ordinal, found.bytes)?
            };
            let was = summary.as_ref().map(|summary| &summary.content);
            let missing = found.missing(was, reached, is_damaged_behind);
            is_damaged_behind =
                found.content.is_damaged_behind || was.is_some_and(|was| was.last > last);
            let before = reached.unwrap_or(after);
            let losses = found.content.losses(before);
            let lost: u64 = missing.iter().map(|run| run.count()).sum();
            let held = last.saturating_sub(before + lost + found.content.unkept + losses);
            let mut remarks = Vec::new();
            if losses > 0 {
                remarks
                    .push("a start in it followed a loss: what had not reached the disk is gone");
            }
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
            } else if summary.is_none() {
                remarks.push("it has no summary that fits; a start makes one");
            }
            let name = self.folder.segment_path(found.ordinal);
            let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let messages = (held > 0).then_some((before + 1, last, held));
            reports.push(FileReport { name, messages, bytes, missing, remarks });
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
        if !self.waiting.is_empty() {
            folder.replace_file(WAITING, &self.waiting).map_err(refuse)?;
        }
        folder.sync().map_err(refuse)?;
        Ok(copied)
    }
}

impl Found {
    /// What is missing in it and before it, where the log had come so far. `was` is what its
    /// summary says, which was written when all of the segment was on the disk: what is missing
    /// since then is damaged.
    fn missing(
        &self,
        was: Option<&Content>,
        reached: Option<u64>,
        is_damaged_behind: bool,
    ) -> Vec<Missing> {
        let Content { after, is_damaged_before, ref holes, .. } = self.content;
        let before = reached.filter(|reached| *reached < after).map(|reached| {
            let is_damaged =
                is_damaged_behind || is_damaged_before || was.is_some_and(|was| was.after < after);
            Hole::new(reached, after, is_damaged)
        });
        let within = holes.iter().map(|hole| match was {
            Some(was) if !was.holes.contains(hole) => Hole::new(hole.after, hole.through, true),
            _ => *hole,
        });
        before.into_iter().chain(within).map(Missing::from).collect()
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

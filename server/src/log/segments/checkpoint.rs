//! The heads of all topics as they were when the log was closed, so that the next start need not
//! find them in the summaries of all segments.
//!
//! ```text
//! doorbell.topics   4c1a09e7 {"format":"doorbell-topics","version":1,"oldest":9,"newest":17,…}
//!                   alarms 57 12       by name: the topic, its newest message, and the newest one
//!                   orders.eu 58 0     that was let go
//! ```
//!
//! It is believed only of a log that ends with the very line with which that one was closed, and
//! begins with the same segment. That line has the epoch and the time of its end: no other log
//! has it, and this one has not once anything was written after it. Without a checkpoint a start
//! takes longer, and comes to the same.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use super::checked::{self, CheckedFile};
use super::folder::Folder;
use super::segment::Segment;
use super::topics::TopicRow;
use crate::log::Heads;
use crate::log::heads::TopicHead;

pub(super) const NAME: &str = "doorbell.topics";
const FORMAT: &str = "doorbell-topics";
const VERSION: u32 = 1;

/// Which log it is about: its first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Closed {
    format: String,
    version: u32,
    /// The ordinal of the oldest segment.
    oldest: u64,
    /// That of the newest one, and its bytes.
    newest: u64,
    bytes: u64,
    /// Its last line.
    line: String,
}

impl Closed {
    fn new(oldest: u64, newest: u64, bytes: u64, line: &[u8]) -> Self {
        let (format, line) = (FORMAT.to_owned(), String::from_utf8_lossy(line).into_owned());
        Self { format, version: VERSION, oldest, newest, bytes, line }
    }
}

/// Notes the heads of a log that was closed with this line, which is not on the disk with that.
pub(super) fn write(
    folder: &Folder,
    oldest: u64,
    newest: &Segment,
    line: &[u8],
    heads: &Heads,
) -> io::Result<()> {
    let closed = Closed::new(oldest, newest.ordinal, newest.bytes(), line);
    let mut file = CheckedFile::create(folder, NAME)?;
    writeln!(file, "{}", serde_json::to_string(&closed)?)?;
    let mut written = Ok(());
    heads.for_each(|topic, TopicHead { newest, expired }| {
        // One that holds nothing is not found in the summaries either.
        if newest > expired && written.is_ok() {
            written = TopicRow { before: expired, last: newest }.write(topic.as_str(), &mut file);
        }
    });
    written?;
    file.finish().map(drop)
}

/// Reads the topics of the checkpoint of the log that has these segments; `None` if there is none
/// that fits.
pub(super) fn read(folder: &Folder, oldest: u64, newest: (u64, &File, u64)) -> Option<String> {
    let (_, mut text) = checked::read(folder, NAME).ok()??;
    let head = text.get(checked::CHECKSUM_BYTES..)?.lines().next()?;
    let at = checked::CHECKSUM_BYTES + head.len() + 1;
    let closed: Closed = serde_json::from_str(head).ok()?;
    let (ordinal, file, bytes) = newest;
    let mut line = vec![0; closed.line.len()];
    let begin = bytes.checked_sub(closed.line.len() as u64)?;
    file.read_exact_at(&mut line, begin).ok()?;
    (closed == Closed::new(oldest, ordinal, bytes, &line)).then(|| text.split_off(at))
}

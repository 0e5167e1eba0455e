//! The file of messages that wait for their time, beside the segments.
//!
//! It has lines as segments do: `m` a message that waits, `p` the place of one that waits no more.
//! A message's JSON is what its publisher was answered: its place, and the time when it is due. The
//! file is written to its end, and now and then anew with those alone that still wait. It knows
//! nothing of time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use doorbell_protocol::{Event, Id};

use super::Sync;
use super::append::not_written;
use super::folder::Folder;
use super::line::{self, Kind};
use crate::log::{LogError, OpenError, Owner};
use crate::message::Message;

/// Its name.
pub(super) const WAITING: &str = "waiting.lines";

/// The file, open. The folder is claimed by the log whose it is.
#[derive(Debug)]
pub struct WaitingFile {
    folder: Folder,
    sync: Sync,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    /// Where the next line goes.
    end: u64,
    /// Lines that it has.
    lines: usize,
    is_synced: bool,
}

impl WaitingFile {
    /// Opens the file in the folder of a log, and gives what waits by it, with whose that is.
    ///
    /// # Errors
    ///
    /// It cannot be read or written.
    pub fn open(path: &Path, sync: Sync) -> Result<(Self, Vec<(Message, Owner)>), OpenError> {
        let refuse = |error: io::Error| {
            OpenError(format!("cannot use {}: {error}", path.join(WAITING).display()))
        };
        let folder = Folder::open(path).map_err(refuse)?;
        let bytes = folder.read_file(WAITING).map_err(refuse)?;
        let found = read(&bytes);
        if found.damaged > 0 {
            let (file, lines) = (path.join(WAITING), found.damaged);
            tracing::error!(?file, lines, "lines of messages that wait for their time are damaged");
        }
        let kept: Vec<_> = found.waiting.into_values().collect();
        let state = State::default();
        let file = Self { folder, sync, state: Mutex::new(state) };
        // There is none before it is needed.
        if !bytes.is_empty() {
            match file.rewrite(&kept) {
                Err(LogError::Full) => file.go_on(&bytes).map_err(refuse)?,
                rewritten => {
                    rewritten.map_err(|error| refuse(io::Error::other(error.to_string())))?;
                }
            }
        }
        Ok((file, kept))
    }

    /// Adds a message that waits.
    ///
    /// # Errors
    ///
    /// It was not written, or may not be on the disk.
    pub fn add(&self, message: &Message, owner: &Owner) -> Result<(), LogError> {
        self.append(&text(std::iter::once((message, owner))), 1)?;
        if self.sync == Sync::Always {
            self.sync().map_err(|error| LogError::Refused(error.to_string()))?;
        }
        Ok(())
    }

    /// Notes that messages wait no more.
    ///
    /// # Errors
    ///
    /// It was not written.
    pub fn forget(&self, ids: &[Id]) -> Result<(), LogError> {
        let mut lines = Vec::new();
        for id in ids {
            let json = format!("{{\"id\":\"{id}\",\"time\":0,\"event\":\"place\"}}");
            line::push(&mut lines, Some(1), Kind::Place, 0, &Owner::nobody(), json.as_bytes());
        }
        self.append(&lines, ids.len())
    }

    /// Lines that it has.
    pub fn lines(&self) -> usize {
        self.state().lines
    }

    /// Whether all of it is on the disk.
    pub fn is_synced(&self) -> bool {
        self.state().is_synced
    }

    /// Writes it anew with those that wait.
    ///
    /// # Errors
    ///
    /// It was not written, and is as it was.
    pub fn rewrite(&self, waiting: &[(Message, Owner)]) -> Result<(), LogError> {
        let mut state = self.state();
        let text = text(waiting.iter().map(|(message, owner)| (message, owner)));
        let file = self.folder.replace_file(WAITING, &text);
        state.file = Some(file.map_err(|error| not_written(&error))?);
        (state.end, state.lines) = (text.len() as u64, waiting.len());
        state.is_synced = true;
        Ok(())
    }

    /// Goes on in the file as it is: there is no room to write it anew.
    fn go_on(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        // Behind the last end of a line is what was being written when the process died.
        let end = memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
        state.file = Some(self.folder.open_to_write(WAITING)?);
        state.end = end as u64;
        state.lines = memchr::memchr_iter(b'\n', bytes).count();
        Ok(())
    }

    /// Has what was written reach the disk.
    ///
    /// # Errors
    ///
    /// That it may not.
    pub fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        if let Some(file) = state.file.as_ref().filter(|_| !state.is_synced) {
            file.sync_data()?;
            state.is_synced = true;
        }
        Ok(())
    }

    fn append(&self, bytes: &[u8], lines: usize) -> Result<(), LogError> {
        let mut state = self.state();
        let end = state.end;
        let write = |file: &File| file.write_all_at(bytes, end);
        let written = match &state.file {
            Some(file) => write(file),
            None => self.folder.replace_file(WAITING, b"").and_then(|file| {
                write(&file)?;
                state.file = Some(file);
                Ok(())
            }),
        };
        // What was written of it stands behind the end, and the next line in its place.
        written.map_err(|error| not_written(&error))?;
        state.end += bytes.len() as u64;
        state.lines += lines;
        state.is_synced = false;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Their lines.
fn text<'a>(waiting: impl Iterator<Item = (&'a Message, &'a Owner)>) -> Vec<u8> {
    let mut lines = Vec::new();
    for (message, owner) in waiting {
        line::push(&mut lines, Some(1), Kind::Message, 0, owner, &message.frame().json());
    }
    lines
}

#[derive(Debug, Default)]
struct Found {
    waiting: BTreeMap<Id, (Message, Owner)>,
    damaged: usize,
}

/// What waits by some lines. The last one may have been cut off.
fn read(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    let mut texts = bytes.split(|byte| *byte == b'\n');
    texts.next_back();
    for text in texts {
        let mut readable = line::readable(text).peekable();
        found.damaged += usize::from(readable.peek().is_none_or(|(begin, _)| *begin > 0));
        for (_, line) in readable {
            let Ok(event) = Event::parse(line.json) else { continue };
            let Some(id) = event.id else { continue };
            if line.kind == Kind::Place {
                found.waiting.remove(&id);
            } else if let Some(Ok(topic)) = event.topic.as_deref().map(str::parse) {
                let message = Message::from_storage(id, event.time_us, topic, line.json);
                found.waiting.insert(id, (message, Owner::named(line.owner)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use doorbell_protocol::Epoch;

    use super::*;

    fn message(seq: u64) -> Message {
        let id = Epoch::from_bits(1).id(seq);
        let json = format!(
            r#"{{"id":"{id}","seq":{seq},"time":9,"time_us":9000000,"event":"message","topic":"t","message":"m{seq}"}}"#
        );
        Message::from_storage(id, 9_000_000, "t".parse().unwrap(), json.as_bytes())
    }

    fn seqs(waiting: &[(Message, Owner)]) -> Vec<u64> {
        waiting.iter().map(|(message, _)| message.seq()).collect()
    }

    /// A file in which three wait, or a part of it, or something else.
    fn opened(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u64> {
        let folder = tempfile::tempdir().unwrap();
        let (file, found) = WaitingFile::open(folder.path(), Sync::Os).unwrap();
        assert!(found.is_empty());
        for seq in 1..=4 {
            file.add(&message(seq), &Owner::nobody()).unwrap();
        }
        file.forget(&[message(2).id()]).unwrap();
        drop(file);
        let path = folder.path().join(WAITING);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let (file, found) = WaitingFile::open(folder.path(), Sync::Os).unwrap();
        // Whatever it was, it is whole now, and goes on.
        file.add(&message(5), &Owner::nobody()).unwrap();
        file.rewrite(&found).unwrap();
        file.add(&message(6), &Owner::nobody()).unwrap();
        drop(file);
        let (_, again) = WaitingFile::open(folder.path(), Sync::Os).unwrap();
        let mut expected = seqs(&found);
        expected.push(6);
        assert_eq!(seqs(&again), expected);
        seqs(&found)
    }

    #[test]
    fn what_waits_is_found_again_without_what_is_forgotten() {
        assert_eq!(opened(|_| {}), [1, 3, 4]);
    }

    #[test]
    fn a_damaged_line_costs_itself_and_a_cut_end_what_was_not_whole() {
        let third = |bytes: &[u8]| bytes.windows(2).position(|pair| pair == b"m3").unwrap();
        assert_eq!(
            opened(|bytes| {
                let at = third(bytes);
                bytes[at] ^= 1;
            }),
            [1, 4]
        );
        assert_eq!(
            opened(|bytes| {
                let at = third(bytes);
                bytes.truncate(at);
            }),
            [1, 2]
        );
        assert!(opened(Vec::clear).is_empty());
    }
}

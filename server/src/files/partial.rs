//! A file that comes, and one that has come and waits for its message to be stored.

use std::fs::{self, File};
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use doorbell_protocol::{Code, Error};

use super::kind::FileKind;
use super::open::beginning;
use super::{FileId, Files, HeldFile, Opening, cost_of, remove};
use crate::clock::unix_seconds;
use crate::limits::FILE_PIECE_BYTES;
use crate::visitors::Visitor;

/// A file that comes. Dropped before it is whole, it leaves nothing.
#[derive(Debug)]
pub struct PartialFile {
    files: Files,
    id: FileId,
    file: Arc<File>,
    /// What was not written yet.
    waiting: Vec<u8>,
    /// How many have come.
    bytes: u64,
    /// What was taken of the room for all; nothing once the file is whole.
    cost: u64,
    _open: Opening,
}

/// A file that is whole and as durable as a message. Whoever knows its id may have it already.
/// Dropped before its message is [on its way](Self::hand_over), it leaves nothing.
#[derive(Debug)]
pub struct CompleteFile {
    files: Files,
    is_handed_over: bool,
    /// Its name.
    pub id: FileId,
    /// What it is.
    pub kind: FileKind,
    /// Its bytes.
    pub bytes: u64,
    /// Unix seconds when it goes.
    pub expires: u64,
}

impl Files {
    /// Begins a file of a visitor's.
    ///
    /// # Errors
    ///
    /// That there is no room for another.
    pub async fn begin(&self, visitor: &Visitor) -> Result<PartialFile, Error> {
        let open = self.opening(visitor)?;
        let cost = cost_of(0);
        self.take(cost)?;
        let id = FileId::generate();
        let (files, path) = (self.clone(), self.part(&id));
        let made = self.on_disk(move || files.create(&path));
        let file = match made.await {
            Ok(file) => Arc::new(file),
            Err(error) => {
                self.give_back(cost);
                return Err(error);
            }
        };
        let (files, waiting) = (self.clone(), Vec::new());
        Ok(PartialFile { files, id, file, waiting, bytes: 0, cost, _open: open })
    }
}

impl PartialFile {
    /// Takes the next piece.
    ///
    /// # Errors
    ///
    /// That the file is longer than it may be, or that there is no room for it.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), Error> {
        let bytes = self.bytes + piece.len() as u64;
        let limit = self.files.limits().bytes;
        if bytes > limit {
            let text = format!("file is longer than {limit} bytes, which is the limit");
            return Err(Error::new(Code::MessageTooLarge, text));
        }
        let cost = cost_of(bytes);
        self.files.take(cost - self.cost)?;
        (self.bytes, self.cost) = (bytes, cost);
        self.waiting.extend_from_slice(&piece);
        if self.waiting.len() >= FILE_PIECE_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let (file, mut piece) = (self.file.clone(), std::mem::take(&mut self.waiting));
        let written = self.files.on_disk(move || {
            (&*file).write_all(&piece)?;
            piece.clear();
            Ok(piece)
        });
        self.waiting = written.await?;
        Ok(())
    }

    /// All of it has come.
    ///
    /// # Errors
    ///
    /// That it could not be stored.
    pub async fn finish(mut self) -> Result<CompleteFile, Error> {
        self.flush().await?;
        let (files, file) = (self.files.clone(), self.file.clone());
        let finished = self.files.on_disk(move || {
            files.sync(&file)?;
            beginning(&file)
        });
        let kind = FileKind::of(&finished.await?);
        // It is kept for no shorter than was said.
        let age = self.files.limits().age;
        let expires = unix_seconds() + age.as_secs() + u64::from(age.subsec_nanos() > 0);
        // From here on it is in the index, and its room with it.
        let held = HeldFile { cost: std::mem::take(&mut self.cost), expires };
        self.files.held().files.insert(self.id.clone(), held);
        let (files, id, bytes) = (self.files.clone(), self.id.clone(), self.bytes);
        Ok(CompleteFile { files, is_handed_over: false, id, kind, bytes, expires })
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if self.cost > 0 {
            remove(&self.files.part(&self.id));
            self.files.give_back(self.cost);
        }
    }
}

impl CompleteFile {
    /// Its message is on its way. Whatever becomes of this process from here on, a start looks
    /// whether the message was stored.
    pub fn hand_over(&mut self) {
        self.is_handed_over = true;
    }

    /// Its message is not stored.
    pub fn discard(mut self) {
        self.is_handed_over = false;
    }

    /// Its message is stored.
    pub async fn keep(self) {
        let (part, path) = (self.files.part(&self.id), self.files.path(&self.id, self.expires));
        let renamed = self.files.on_disk(move || fs::rename(part, path)).await;
        // Where it keeps its name, a start finds its message.
        if renamed.is_err() {
            tracing::warn!(id = %self.id, "a file that is kept could not be given its name");
        }
    }
}

impl Drop for CompleteFile {
    fn drop(&mut self) {
        if !self.is_handed_over && self.files.forget(&self.id).is_some() {
            self.files.unlink(&self.id, self.expires);
        }
    }
}

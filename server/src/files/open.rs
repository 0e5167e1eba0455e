//! A file that is read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use doorbell_protocol::{Code, Error};

use super::kind::FileKind;
use super::{FileId, Files, Opening};
use crate::clock::unix_seconds;
use crate::limits::{FILE_KIND_BYTES, FILE_PIECE_BYTES};
use crate::visitors::Visitor;

/// A file that is open: it is read to its end also where it has had its time meanwhile.
#[derive(Debug)]
pub struct OpenFile {
    files: Files,
    file: Arc<File>,
    /// Its name.
    pub id: FileId,
    /// What it is.
    pub kind: FileKind,
    /// Its bytes.
    pub bytes: u64,
    /// Unix seconds when it goes.
    pub expires: u64,
    _open: Opening,
}

impl Files {
    /// Opens a file for a visitor by its id, behind which there may be an ending of any kind.
    ///
    /// # Errors
    ///
    /// That there is none, or that too many are open.
    pub async fn find(&self, name: &str, visitor: &Visitor) -> Result<OpenFile, Error> {
        let gone = || Error::new(Code::NotFound, "there is no such file, or it has had its time");
        let (id, _) = FileId::named(name).ok_or_else(gone)?;
        let expires = self.held().files.get(&id).map(|file| file.expires);
        let expires = expires.filter(|expires| *expires > unix_seconds()).ok_or_else(gone)?;
        let open = self.opening(visitor)?;
        let (path, part) = (self.path(&id, expires), self.part(&id));
        let opened = self.on_disk(move || {
            let is_absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
            // It is renamed at any time, but only once.
            let file = match File::open(&path) {
                Err(error) if is_absent(&error) => match File::open(part) {
                    Err(error) if is_absent(&error) => File::open(path),
                    opened => opened,
                },
                opened => opened,
            };
            let file = match file {
                Err(error) if is_absent(&error) => return Ok(None),
                file => file?,
            };
            Ok(Some((beginning(&file)?, file.metadata()?.len(), file)))
        });
        let (beginning, bytes, file) = opened.await?.ok_or_else(gone)?;
        let kind = FileKind::of(&beginning);
        let file = Arc::new(file);
        Ok(OpenFile { files: self.clone(), file, id, kind, bytes, expires, _open: open })
    }
}

impl OpenFile {
    /// The next piece of it, up to a place; empty at that, or at its end.
    ///
    /// # Errors
    ///
    /// That it cannot be read, or is shorter than it was.
    pub async fn piece(&self, from: u64, until: u64) -> Result<Bytes, Error> {
        let left = until.min(self.bytes).saturating_sub(from);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(FILE_PIECE_BYTES);
        let file = self.file.clone();
        let read = self.files.on_disk(move || {
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, from)?;
            Ok(piece)
        });
        Ok(read.await?.into())
    }
}

/// As much of a file as tells what it is.
pub(super) fn beginning(file: &File) -> io::Result<Vec<u8>> {
    let mut beginning = vec![0; FILE_KIND_BYTES];
    let mut filled = 0;
    loop {
        match file.read_at(&mut beginning[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    beginning.truncate(filled);
    Ok(beginning)
}

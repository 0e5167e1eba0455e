//! A file of text that begins with the checksum of all that follows it: CRC-32 in hex, and a space.
//!
//! It is written piece by piece, so that it takes no memory, and is never changed.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;

use super::folder::Folder;

/// Bytes of the checksum and the space after it.
pub(super) const CHECKSUM_BYTES: usize = 9;

/// One that is being written.
#[derive(Debug)]
pub(super) struct CheckedFile {
    file: BufWriter<File>,
    checksum: crc32fast::Hasher,
    bytes: u64,
}

impl CheckedFile {
    /// Begins a file, whatever was in it. Until it is finished its checksum is wrong.
    pub(super) fn create(folder: &Folder, name: &str) -> io::Result<Self> {
        let mut file = BufWriter::new(folder.begin_file(name)?);
        file.write_all(&[b' '; CHECKSUM_BYTES])?;
        Ok(Self { file, checksum: crc32fast::Hasher::new(), bytes: CHECKSUM_BYTES as u64 })
    }

    /// Bytes that it has so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives it its checksum. It can be read then, and is not on the disk yet.
    pub(super) fn finish(self) -> io::Result<File> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.write_all_at(format!("{:08x}", self.checksum.finalize()).as_bytes(), 0)?;
        Ok(file)
    }
}

impl Write for CheckedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.checksum.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// All of such a file, and the file; `None` if it is not there or its checksum is wrong.
pub(super) fn read(folder: &Folder, name: &str) -> io::Result<Option<(File, String)>> {
    let Some(mut file) = folder.open_file(name)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).ok().filter(|text| is_right(text));
    Ok(text.map(|text| (file, text)))
}

fn is_right(text: &str) -> bool {
    let parts = text.split_at_checked(CHECKSUM_BYTES);
    parts.is_some_and(|(checksum, rest)| {
        checksum == format!("{:08x} ", crc32fast::hash(rest.as_bytes()))
    })
}

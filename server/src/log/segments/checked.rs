//! A file of text that begins with the checksum of all that follows it: CRC-32 in hex, and a space.
//!
//! It is written piece by piece, so that it takes no memory, and is never changed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use super::folder::Folder;

/// Bytes of the checksum and the space after it.
pub(super) const CHECKSUM_BYTES: usize = 9;
/// Bytes written at a time.
const BLOCK: usize = 64 << 10;

/// One that is being written.
#[derive(Debug)]
pub(super) struct CheckedFile {
    file: File,
    checksum: crc32fast::Hasher,
    /// Bytes in the file, with room for the checksum.
    written: u64,
    unwritten: Vec<u8>,
}

impl CheckedFile {
    /// Begins a file, whatever was in it. Until it is finished its checksum is wrong.
    pub(super) fn create(folder: &Folder, name: &str) -> io::Result<Self> {
        let (file, checksum) = (folder.begin_file(name)?, crc32fast::Hasher::new());
        Ok(Self { file, checksum, written: CHECKSUM_BYTES as u64, unwritten: Vec::new() })
    }

    /// Bytes that it has so far.
    pub(super) fn bytes(&self) -> u64 {
        self.written + self.unwritten.len() as u64
    }

    /// Gives it its checksum. It can be read then, and is not on the disk yet.
    pub(super) fn finish(mut self) -> io::Result<File> {
        self.flush()?;
        self.file.write_all_at(format!("{:08x} ", self.checksum.finalize()).as_bytes(), 0)?;
        Ok(self.file)
    }
}

impl Write for CheckedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unwritten.extend_from_slice(bytes);
        if self.unwritten.len() >= BLOCK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.unwritten, self.written)?;
        self.checksum.update(&self.unwritten);
        self.written += self.unwritten.len() as u64;
        self.unwritten.clear();
        Ok(())
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

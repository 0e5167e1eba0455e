//! A copy of the files of a server, which may be running: each file of which a message told before
//! it was begun is in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::{FILE_MODE, FOLDER_MODE, FileId, PART};

/// Copies the files in a folder, which need not be there, to a new one. Returns their bytes. A
/// start looks for the messages of those that were under way, and removes what none tells of.
///
/// # Errors
///
/// Those of reading and writing.
pub fn copy_files(from: &Path, to: &Path) -> io::Result<u64> {
    if !from.is_dir() {
        return Ok(0);
    }
    DirBuilder::new().mode(FOLDER_MODE).create(to)?;
    let mut bytes = 0;
    // A file that gets its last name meanwhile is there under it when the others are looked for.
    for is_under_way in [true, false] {
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            let Some((id, Some(ending))) = name.to_str().and_then(FileId::named) else { continue };
            if (ending == PART) != is_under_way {
                continue;
            }
            match copy_file(&from.join(&name), &to.join(&name)) {
                // It has had its time.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                copied => bytes += copied?,
            }
            let part = to.join(format!("{id}.{PART}"));
            if !is_under_way && part.exists() {
                fs::remove_file(part)?;
            }
        }
    }
    File::open(to)?.sync_all()?;
    Ok(bytes)
}

/// Copies a file with the time of its last change, by which a start looks for its message.
fn copy_file(from: &Path, to: &Path) -> io::Result<u64> {
    let mut from = File::open(from)?;
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(to)?;
    let bytes = io::copy(&mut from, &mut copy)?;
    copy.set_modified(from.metadata()?.modified()?)?;
    copy.sync_all()?;
    Ok(bytes)
}

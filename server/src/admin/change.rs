//! A change to an access file: as a whole or not at all, one after another.
//!
//! The new text is written beside the file and takes its place by a rename. Whoever changes it has
//! a lock on it, and keeps one on what takes its place until the running server has applied it: so
//! that no change undoes another, and each is waited for.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

use super::document::Document;
use crate::access::wait_until_applied;
use crate::rights::AccessFile;

/// How long a running server may take to apply what was written.
pub(super) const APPLIED_WAIT: Duration = Duration::from_secs(10);

/// The mode of a new file: it says who may what.
const NEW_MODE: u32 = 0o600;

/// What was written, and the lock on it.
pub(super) struct Written {
    path: PathBuf,
    text: String,
    _lock: File,
}

impl Written {
    /// Waits until the running server has applied it. False if there is none.
    pub(super) fn wait(&self) -> io::Result<bool> {
        wait_until_applied(&self.path, self.text.as_bytes(), APPLIED_WAIT)
    }
}

/// Changes the file at a path, or makes it.
///
/// # Errors
///
/// Why it was not changed, in one sentence.
pub(super) fn change(
    path: &Path,
    change: impl FnOnce(&mut Document) -> Result<(), String>,
) -> Result<Written, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("access file {}: {why}", path.display());
    let before = lock(path).map_err(|error| wrong(&error))?;
    let old = match &before {
        Some(_) => fs::read_to_string(path).map_err(|error| wrong(&error))?,
        None => String::new(),
    };
    // What is broken already is said as the server says it.
    AccessFile::parse(&old).map_err(|error| wrong(&error))?;
    let mut document = Document::parse(&old).map_err(|error| wrong(&error))?;
    change(&mut document).map_err(|error| wrong(&error))?;
    let text = document.to_string();
    AccessFile::parse(&text).map_err(|error| wrong(&error))?;
    let lock = replace(path, before.as_ref(), &text).map_err(|error| wrong(&error))?;
    Ok(Written { path: path.to_owned(), text, _lock: lock })
}

/// The file with a lock on it, if there is one.
fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        file.lock()?;
        // While it was waited for, another one may have taken its place.
        if fs::metadata(path).is_ok_and(|now| file.metadata().is_ok_and(|own| is_same(&own, &now)))
        {
            return Ok(Some(file));
        }
    }
}

fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Puts a text in the place of a file, or where there was none. What it returns has a lock on it.
fn replace(path: &Path, before: Option<&File>, text: &str) -> io::Result<File> {
    // Behind a symbolic link it is what that points to.
    let path = match before {
        Some(_) => fs::canonicalize(path)?,
        None => path.to_owned(),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut new = NamedTempFile::with_prefix_in(".access-", folder)?;
    new.write_all(text.as_bytes())?;
    let mode = match before.map(File::metadata).transpose()? {
        Some(old) => {
            let own = new.as_file().metadata()?;
            if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
                fchown(new.as_file(), Some(old.uid()), Some(old.gid()))?;
            }
            old.mode()
        }
        None => NEW_MODE,
    };
    new.as_file().set_permissions(Permissions::from_mode(mode))?;
    new.as_file().sync_all()?;
    new.as_file().lock()?;
    let file = match before {
        Some(_) => new.persist(&path)?,
        None => new.persist_noclobber(&path)?,
    };
    File::open(folder)?.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_the_mode_and_the_link_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("access.toml"), folder.path().join("link"));
        drop(change(&file, |_| Ok(())).unwrap());
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, NEW_MODE);
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        drop(change(&link, |_| Ok(())).unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert!(change(&file, |_| Err("no".to_owned())).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn changes_at_the_same_time_are_all_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        fs::write(&file, "").unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let file = &file;
                scope.spawn(move || {
                    let entry = super::super::document::tests::entry(&format!("t{number}"));
                    change(file, |document| document.add("token", &entry)).unwrap();
                });
            }
        });
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(AccessFile::parse(&text).unwrap().entries.len(), 8);
    }
}

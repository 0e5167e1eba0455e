//! The folder of a log: its names, its lock, and what of it must reach the disk.
//!
//! Files that are not ours are left alone.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::log::OpenError;

const LOCK: &str = "doorbell.lock";
/// What the lock's file was when it was written last.
const STAMP: &str = "doorbell.stamp";
pub(super) const SEGMENT: &str = "log";
pub(super) const SUMMARY: &str = "sum";
/// What the log of an older version was kept in.
const OLD_DATABASE: &str = "doorbell.db";
/// Nobody else may read what was published.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
const DIGITS: usize = 8;

/// A folder, open and maybe locked.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Kept open so that what is made in it can be synced.
    handle: File,
}

/// The claim of one process on a folder. The kernel lets go of it when the process dies; the file
/// stays, since deleting it would let two processes hold two files of one name.
///
/// A second file tells which file the first one is and when it was changed last. No program that
/// copies can set that time, so what was put over these files is seen, whatever put it there.
#[derive(Debug)]
pub(super) struct Claim {
    lock: File,
    stamp: File,
}

impl Folder {
    /// Makes the folder, and those above it, if they are not there. Their names are on the disk
    /// then.
    pub(super) fn create(path: &Path) -> Result<Self, OpenError> {
        let refuse =
            |error| OpenError(format!("cannot use the data folder {}: {error}", path.display()));
        if fs::metadata(path).is_ok_and(|found| !found.is_dir()) {
            return Err(OpenError(format!(
                "the data folder {} is not a folder; name another one",
                path.display()
            )));
        }
        let absent: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
        // What is there already stays as it is: whoever made it may share it.
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(refuse)?;
        for made in absent {
            let above = made.parent().filter(|above| !above.as_os_str().is_empty());
            let above = above.unwrap_or(Path::new("."));
            File::open(above).and_then(|folder| folder.sync_all()).map_err(refuse)?;
        }
        Self::open(path).map_err(refuse)
    }

    /// Opens a folder that is there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), handle: File::open(path)? })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Claims it for this process.
    pub(super) fn claim(&self) -> Result<Claim, OpenError> {
        let path = self.path.join(LOCK);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let open = |path: &Path| {
            options.open(path).map_err(|error| {
                let folder = self.path.display();
                OpenError(format!("cannot write in the data folder {folder}: {error}"))
            })
        };
        let (lock, stamp) = (open(&path)?, open(&self.path.join(STAMP))?);
        match lock.try_lock() {
            Ok(()) => Ok(Claim { lock, stamp }),
            Err(TryLockError::WouldBlock) => Err(OpenError(format!(
                "the data folder {} is held by another process; stop that one or use another folder",
                self.path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(OpenError(format!(
                "cannot lock {}: {error}; use a data folder on a local disk",
                path.display()
            ))),
        }
    }

    /// Says so if others of this machine may read what is held, or put something else in its place.
    /// It is theirs to mend who made the folder.
    pub(super) fn warn_of_others(&self, newest: &File) {
        let for_others =
            |found: io::Result<fs::Metadata>| found.map_or(0, |own| own.mode() & 0o077);
        let (folder, file) = (for_others(self.handle.metadata()), for_others(newest.metadata()));
        if folder & 0o022 != 0 || folder != 0 && file != 0 {
            let folder = self.path.display();
            tracing::warn!("others may use the data folder: chmod -R go= '{folder}' ends that");
        }
    }

    /// Whether it holds the log of an older version.
    pub(super) fn old_database(&self) -> Option<PathBuf> {
        let path = self.path.join(OLD_DATABASE);
        path.exists().then_some(path)
    }

    /// The ordinals of the segments in it, rising.
    pub(super) fn segments(&self) -> io::Result<Vec<u64>> {
        self.ordinals(SEGMENT)
    }

    /// The ordinals of what has such a name, rising.
    pub(super) fn ordinals(&self, extension: &str) -> io::Result<Vec<u64>> {
        let mut ordinals = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            ordinals.extend(name.to_str().and_then(|name| ordinal_of(name, extension)));
        }
        ordinals.sort_unstable();
        Ok(ordinals)
    }

    /// Removes a file that nobody needs, and says so.
    pub(super) fn clear(&self, name: &str) {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Ok(()) => tracing::info!(?path, "a file that belongs to no segment was removed"),
            Err(error) => tracing::debug!(?path, %error, "a file could not be removed"),
        }
    }

    pub(super) fn segment_path(&self, ordinal: u64) -> PathBuf {
        self.path.join(name(ordinal, SEGMENT))
    }

    /// Opens a segment to read it and to write at its end.
    pub(super) fn open_segment(&self, ordinal: u64) -> io::Result<File> {
        File::options().read(true).write(true).open(self.segment_path(ordinal))
    }

    /// Opens a segment only to read it.
    pub(super) fn read_segment(&self, ordinal: u64) -> io::Result<File> {
        File::open(self.segment_path(ordinal))
    }

    /// Makes an empty segment. Its name is not on the disk before [`sync`](Self::sync).
    pub(super) fn create_segment(&self, ordinal: u64) -> io::Result<File> {
        self.check_path()?;
        let mut options = File::options();
        options.read(true).write(true).create_new(true).mode(FILE_MODE);
        options.open(self.segment_path(ordinal))
    }

    /// As [`create_segment`](Self::create_segment), with the next ordinal that nobody has.
    pub(super) fn create_segment_from(&self, mut ordinal: u64) -> io::Result<(u64, File)> {
        loop {
            match self.create_segment(ordinal) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => ordinal += 1,
                made => return Ok((ordinal, made?)),
            }
        }
    }

    /// Unlinks a segment and its summary, if the segment is this file; they are gone from the disk
    /// then. Whoever reads it reads on.
    pub(super) fn remove_segment(&self, ordinal: u64, file: &File) -> io::Result<()> {
        if self.has_lost(ordinal, file) {
            return Ok(());
        }
        // The summary first: a segment without one is a segment, one without the other is nothing.
        match fs::remove_file(self.path.join(name(ordinal, SUMMARY))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::remove_file(self.segment_path(ordinal))?;
        self.sync()
    }

    /// Brings the names in it to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    /// Whether the file is known not to be there under its name any more.
    pub(super) fn has_lost(&self, ordinal: u64, file: &File) -> bool {
        match (file.metadata(), fs::metadata(self.segment_path(ordinal))) {
            (Ok(own), Ok(found)) => identity(&own) != identity(&found),
            (_, Err(error)) => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            }
            (Err(_), _) => false,
        }
    }

    /// Makes a file that holds nothing, whatever it held.
    pub(super) fn begin_file(&self, name: &str) -> io::Result<File> {
        self.check_path()?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true).mode(FILE_MODE);
        options.open(self.path.join(name))
    }

    /// Opens a file to read it, if it is there.
    pub(super) fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        match File::open(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }

    /// Puts a file in the place of the one of that name. It is on the disk then.
    pub(super) fn replace_file(&self, name: &str, bytes: &[u8]) -> io::Result<File> {
        let new = format!("{name}.new");
        let file = self.begin_file(&new)?;
        let path = self.path.join(new);
        if let Err(error) = file.write_all_at(bytes, 0).and_then(|()| file.sync_all()) {
            // Where the disk is full, others need the room.
            let _ = fs::remove_file(path);
            return Err(error);
        }
        fs::rename(path, self.path.join(name))?;
        self.sync()?;
        Ok(file)
    }

    /// Opens a file that is there to write in it.
    pub(super) fn open_to_write(&self, name: &str) -> io::Result<File> {
        self.check_path()?;
        File::options().read(true).write(true).open(self.path.join(name))
    }

    /// All of a file; nothing if it is not there.
    pub(super) fn read_file(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(mut file) = self.open_file(name)? {
            file.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// Another folder may stand under this name by now: it is not ours to write in.
    fn check_path(&self) -> io::Result<()> {
        if identity(&self.handle.metadata()?) == identity(&fs::metadata(&self.path)?) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "another folder was put in its place"))
    }
}

/// What makes a file the same one, whatever its name.
fn identity(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// The name of a file of a segment.
pub(super) fn name(ordinal: u64, extension: &str) -> String {
    format!("{ordinal:0DIGITS$}.{extension}")
}

fn ordinal_of(file: &str, extension: &str) -> Option<u64> {
    let digits = file.strip_suffix(extension)?.strip_suffix('.')?;
    let is_ours = digits.len() >= DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_ours.then(|| digits.parse().ok()).flatten()
}

impl Claim {
    /// Which file this is: another one is there in a copy of the folder.
    pub(super) fn place(&self) -> String {
        let Ok(found) = self.lock.metadata() else { return String::new() };
        let since_epoch = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
        let born = found.created().ok().and_then(since_epoch).unwrap_or_default();
        format!("{}-{}", found.ino(), born.as_nanos())
    }

    /// Whether nobody else has written to the lock's file since it was noted last how far the log
    /// is. After a machine died it may look so though nobody has.
    pub(super) fn is_untouched(&self) -> bool {
        let mut bytes = [0; 64];
        let read = self.stamp.read_at(&mut bytes, 0).unwrap_or(0);
        stamp(&self.lock).is_ok_and(|stamp| stamp.as_bytes() == &bytes[..read])
    }

    /// Notes how far the log is on the disk.
    pub(super) fn note(&self, reached: SyncedTo) -> io::Result<()> {
        let SyncedTo { ordinal, bytes } = reached;
        // One length, whatever the numbers: an older note never shows behind a newer one.
        self.lock.write_all_at(format!("{ordinal:020} {bytes:020}\n").as_bytes(), 0)?;
        self.stamp.write_all_at(stamp(&self.lock)?.as_bytes(), 0)
    }

    /// What was noted last, if it can be read.
    pub(super) fn noted(&self) -> Option<SyncedTo> {
        let mut bytes = [0; 64];
        let read = self.lock.read_at(&mut bytes, 0).ok()?;
        let text = str::from_utf8(&bytes[..read]).ok()?;
        let (ordinal, bytes) = text.strip_suffix('\n')?.split_once(' ')?;
        Some(SyncedTo { ordinal: ordinal.parse().ok()?, bytes: bytes.parse().ok()? })
    }

    /// Lets go of the folder.
    pub(super) fn release(&self) {
        // Closing the file is not enough: a child that is being started holds it too for a moment.
        let _ = self.lock.unlock();
    }
}

/// Which file it is, and when it was changed last: the time that only the kernel sets.
fn stamp(file: &File) -> io::Result<String> {
    let found = file.metadata()?;
    let (file, seconds, nanos) = (found.ino(), found.ctime(), found.ctime_nsec());
    Ok(format!("{file:020} {seconds:020}.{nanos:09}\n"))
}

/// How far a log is on the disk: in which segment, and how many bytes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SyncedTo {
    pub(super) ordinal: u64,
    pub(super) bytes: u64,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.release();
    }
}

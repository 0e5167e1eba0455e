//! Files that were published: kept in a folder for a while, each under an id that nobody guesses.
//!
//! A file comes in pieces ([`PartialFile`]), is as durable as a message once it is whole
//! ([`CompleteFile`]), and is kept if its message is stored. It is told by its id alone
//! ([`OpenFile`]); whoever knows that may have it. What is kept of one in memory is its size and
//! when it goes.
//!
//! On disk it is called `ID.part` until its message is acknowledged, and `ID.EXPIRES` from there
//! on. So a start after a crash looks into the log for the few that were under way, and for no
//! others (`recovery`); a backup has both kinds (`copy`). It knows no transport, and no topic.

mod copy;
mod kind;
mod open;
mod partial;
mod recovery;

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorbell_protocol::{Code, Error};
use rand::distr::Alphanumeric;
use rand::{RngExt, rng};
use tokio::sync::Semaphore;

pub use self::copy::copy_files;
pub use self::kind::FileKind;
pub use self::open::OpenFile;
pub use self::partial::{CompleteFile, PartialFile};
use crate::clock::unix_seconds;
use crate::limits::{
    FILE_BYTES_MIN, FILE_WORKERS_MAX, FILES_MAX, FILES_OPEN_MAX, FILES_OPEN_PER_VISITOR_MAX,
    RETRY_AFTER_SECONDS,
};
use crate::log::Log;
use crate::message::Message;
use crate::stop::Stop;
use crate::visitors::Visitor;

/// Where they are, in the folder of the log.
pub const FILES_FOLDER: &str = "files";
/// Nobody else may read what was published.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
const PART: &str = "part";

/// What may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLimits {
    /// Bytes of one file.
    pub bytes: u64,
    /// Bytes of all of them; none is taken in if that is 0.
    pub total: u64,
    /// How long each is kept.
    pub age: Duration,
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileCounts {
    /// Files that are held.
    pub files: usize,
    /// Bytes that they, and those that come, take of the room for all.
    pub bytes: u64,
}

/// The name of a file, 119 bits of which nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileId(Box<str>);

impl FileId {
    /// Characters of one.
    const CHARS: usize = 20;

    /// One that was never given out.
    fn generate() -> Self {
        let characters = rng().sample_iter(Alphanumeric).take(Self::CHARS).map(char::from);
        Self(characters.collect::<String>().into())
    }

    /// The id before the ending of a name.
    fn named(name: &str) -> Option<(Self, Option<&str>)> {
        let (id, ending) = match name.split_once('.') {
            Some((id, ending)) => (id, Some(ending)),
            None => (name, None),
        };
        let is_one = id.len() == Self::CHARS && id.bytes().all(|b| b.is_ascii_alphanumeric());
        is_one.then(|| (Self(id.into()), ending))
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All files of a server. Clones share them.
#[derive(Debug, Clone)]
pub struct Files(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// It is made when there is something to be kept in it.
    folder: PathBuf,
    /// Whether it ends with the server.
    is_temporary: bool,
    /// Whether what is made in it must reach the disk.
    is_synced: bool,
    limits: FileLimits,
    held: Mutex<Held>,
    /// Permits to work on the disk.
    workers: Arc<Semaphore>,
    /// How many are open for each visitor, and for those that are not counted.
    open: Mutex<HashMap<Option<Arc<str>>, usize>>,
}

/// What is held.
#[derive(Debug, Default)]
struct Held {
    files: HashMap<FileId, HeldFile>,
    /// Bytes that are taken of the room for all.
    bytes: u64,
}

/// What is known of a file without a look at it.
#[derive(Debug, Clone, Copy)]
struct HeldFile {
    /// What it takes of the room for all.
    cost: u64,
    /// Unix seconds when it goes.
    expires: u64,
}

/// What a file of so many bytes takes of the room for all.
fn cost_of(bytes: u64) -> u64 {
    bytes.max(FILE_BYTES_MIN)
}

impl Files {
    /// Those in a folder, which need not be there; what of them nobody was told of, or has had its
    /// time, is removed. The log is the one beside it, and these messages wait for their time.
    ///
    /// # Errors
    ///
    /// That the folder cannot be used, or the log not be read.
    pub fn open(
        folder: &Path,
        is_synced: bool,
        limits: FileLimits,
        log: &dyn Log,
        waiting: &[Message],
    ) -> io::Result<Self> {
        let held = if folder.is_dir() {
            recovery::recover(folder, log, waiting)?
        } else {
            Held::default()
        };
        Ok(Self::new(folder.to_owned(), is_synced, limits, held))
    }

    /// None yet, in a folder that ends with the server.
    pub fn temporary(limits: FileLimits) -> Self {
        let name = format!("doorbell-files-{}", FileId::generate());
        let mut files = Self::new(std::env::temp_dir().join(name), false, limits, Held::default());
        if let Some(shared) = Arc::get_mut(&mut files.0) {
            shared.is_temporary = true;
        }
        files
    }

    /// Removes the folder if it ends with the server.
    pub fn close(&self) {
        let folder = &self.0.folder;
        if self.0.is_temporary
            && folder.is_dir()
            && let Err(error) = fs::remove_dir_all(folder)
        {
            tracing::warn!(%error, folder = %folder.display(), "files could not be removed");
        }
    }

    fn new(folder: PathBuf, is_synced: bool, limits: FileLimits, held: Held) -> Self {
        Self(Arc::new(Shared {
            folder,
            is_temporary: false,
            is_synced,
            limits,
            held: Mutex::new(held),
            workers: Arc::new(Semaphore::new(FILE_WORKERS_MAX)),
            open: Mutex::default(),
        }))
    }

    /// What may be kept.
    pub fn limits(&self) -> FileLimits {
        self.0.limits
    }

    /// How many are held.
    pub fn counts(&self) -> FileCounts {
        let held = self.held();
        FileCounts { files: held.files.len(), bytes: held.bytes }
    }

    /// Removes files that have had their time, until the stop.
    pub async fn keep(self, stop: Stop) {
        let age = self.0.limits.age;
        let every = (age / 10).clamp(Duration::from_millis(100), Duration::from_secs(10));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            let files = self.clone();
            let expired = self.expired(unix_seconds());
            if !expired.is_empty() {
                let removed = self.on_disk(move || {
                    for (id, file) in &expired {
                        files.unlink(id, file.expires);
                    }
                    Ok(())
                });
                // It was said in the server's own log, and nobody else waits for it.
                let _ = removed.await;
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn part(&self, id: &FileId) -> PathBuf {
        self.0.folder.join(format!("{id}.{PART}"))
    }

    fn path(&self, id: &FileId, expires: u64) -> PathBuf {
        self.0.folder.join(format!("{id}.{expires}"))
    }

    /// Makes a file in the folder, and the folder if need be.
    fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(FILE_MODE);
        match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = &self.0.folder;
                match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    _ => {}
                }
                if let Some(above) = folder.parent().filter(|_| self.0.is_synced) {
                    File::open(above)?.sync_all()?;
                }
                options.open(path)
            }
            made => made,
        }
    }

    /// Brings a file and its name to the disk, if it must be there.
    fn sync(&self, file: &File) -> io::Result<()> {
        if self.0.is_synced {
            file.sync_all()?;
            File::open(&self.0.folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Takes so much more of the room for all.
    fn take(&self, cost: u64) -> Result<(), Error> {
        let mut held = self.held();
        let total = self.0.limits.total;
        let is_many = held.files.len() >= FILES_MAX;
        if !is_many && held.bytes.saturating_add(cost) <= total {
            held.bytes += cost;
            return Ok(());
        }
        let next = held.files.values().map(|file| file.expires).min();
        let wait = next.map_or(RETRY_AFTER_SECONDS, |next| next.saturating_sub(unix_seconds()));
        let text = if is_many {
            format!("there are {} files, which is the limit, until older ones go", held.files.len())
        } else {
            let bytes = held.bytes;
            format!(
                "files fill {bytes} bytes, and {total} is the limit of all (--attachment-total), \
                 until older ones go"
            )
        };
        Err(Error::new(Code::TooManyBytes, text).with_retry_after(wait.max(1)))
    }

    fn give_back(&self, cost: u64) {
        let mut held = self.held();
        held.bytes = held.bytes.saturating_sub(cost);
    }

    /// Forgets a file.
    fn forget(&self, id: &FileId) -> Option<HeldFile> {
        let mut held = self.held();
        let file = held.files.remove(id)?;
        held.bytes = held.bytes.saturating_sub(file.cost);
        Some(file)
    }

    /// Forgets those that have had their time.
    fn expired(&self, now: u64) -> Vec<(FileId, HeldFile)> {
        let mut held = self.held();
        let expired: Vec<_> = held.files.extract_if(|_, file| file.expires <= now).collect();
        let cost: u64 = expired.iter().map(|(_, file)| file.cost).sum();
        held.bytes = held.bytes.saturating_sub(cost);
        expired
    }

    /// Removes a file from the folder, whichever of its names it has.
    fn unlink(&self, id: &FileId, expires: u64) {
        remove(&self.path(id, expires));
        remove(&self.part(id));
    }

    /// Counts a file that is open for a visitor.
    fn opening(&self, visitor: &Visitor) -> Result<Opening, Error> {
        let owner = visitor.owner().cloned();
        let mut open = self.open_files();
        let all: usize = open.values().sum();
        let own = open.get(&owner).copied().unwrap_or_default();
        let own_max = if owner.is_some() { FILES_OPEN_PER_VISITOR_MAX } else { FILES_OPEN_MAX };
        for (count, limit, whose) in
            [(all, FILES_OPEN_MAX, "the server"), (own, own_max, "one visitor")]
        {
            if count >= limit {
                let text = format!("{count} files are on their way, which is the limit of {whose}");
                return Err(Error::new(Code::Busy, text).with_retry_after(RETRY_AFTER_SECONDS));
            }
        }
        open.insert(owner.clone(), own + 1);
        Ok(Opening { files: self.clone(), owner })
    }

    fn open_files(&self) -> MutexGuard<'_, HashMap<Option<Arc<str>>, usize>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something on the disk, on a thread that may block.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let internal = || Error::new(Code::Internal, "the file could not be stored or read");
        let permit = self.0.workers.clone().acquire_owned().await.map_err(|_| internal())?;
        let result = tokio::task::spawn_blocking(move || {
            // Held until the work ends, also when nobody waits for it any more.
            let _permit = permit;
            work()
        });
        match result.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if is_full(&error) => {
                Err(Error::new(Code::StorageFull, "no room left to store files"))
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "a file could not be stored or read");
                Err(internal())
            }
            Err(error) => {
                tracing::error!(%error, "work on a file ended early");
                Err(internal())
            }
        }
    }
}

/// What counts a file that is open, until it is dropped.
#[derive(Debug)]
struct Opening {
    files: Files,
    owner: Option<Arc<str>>,
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut open = self.files.open_files();
        match open.get_mut(&self.owner) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.owner)),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Unlinks a file that may be gone already.
fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "a file could not be removed");
        }
        _ => {}
    }
}

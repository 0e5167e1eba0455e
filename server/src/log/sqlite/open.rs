//! Opening a log: claiming the folder, creating or recognising the database, and finding out how
//! the last run ended.
//!
//! A process that dies, however it dies, loses nothing that it acknowledged: the kernel has it. A
//! machine that dies can lose what was not synced, and a reader may have seen those messages and
//! hold their ids. Were the same places given out again, that reader would miss what is there now.
//! So after such an end the numbering jumps ahead, and the places between are told as lost.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, RwLock};

use doorbell_protocol::id::SEQ_MAX;
use doorbell_protocol::{Epoch, GapReason};
use rusqlite::{Connection, ErrorCode};

use super::ballast::Ballast;
use super::checkpoint::Checkpointer;
use super::failure::is_full;
use super::lock::Claim;
use super::readers::Readers;
use super::recover::{self, LOST_PLACES, Recovered};
use super::saver::Unsaved;
use super::schema::{self, Transaction, meta, set_meta};
use super::writer::SqliteWriter;
use super::{
    DamageSeen, FILE_MODE, FOLDER_MODE, Heads, Held, Hole, OpenError, Retention, Shared, SqliteLog,
    Sync, WriterSlot,
};

const DATABASE: &str = "doorbell.db";
/// The first SQLite in which a connection may checkpoint beside one that writes.
const SQLITE_MIN: i32 = 3_051_003;

/// A name for the time since the machine started, `None` where the kernel gives none.
pub(super) fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// Opens the log of a folder.
pub(super) fn open(
    folder: &Path,
    sync: Sync,
    retention: Retention,
    boot_id: Option<String>,
) -> Result<SqliteLog, OpenError> {
    let sqlite = rusqlite::version_number();
    if sqlite < SQLITE_MIN {
        return Err(OpenError(format!(
            "SQLite {} is too old: before 3.51.3 it can damage a log",
            rusqlite::version()
        )));
    }
    let folder = prepare_folder(folder)?;
    let claim = Claim::take(&folder)?;
    let ballast = Ballast::open(&folder);
    let database = folder.join(DATABASE);
    let refuse = |error: rusqlite::Error| refusal(&database, &error);
    // SQLite gives the files beside it the same mode. Where it cannot be created, SQLite says why.
    let _ = File::options().write(true).create_new(true).mode(FILE_MODE).open(&database);
    warn_of_others(&folder, &database);
    let connection = schema::connect_writer(&database).map_err(refuse)?;
    check_is_ours(&connection, &database)?;
    let run = Run { sync, boot_id };
    let mut recovered = begin_run(&connection, &run).map_err(refuse)?;
    let epoch = meta(&connection, "epoch").map_err(refuse)?.unwrap_or_default();
    let heads = Heads::default();
    let (topics, holes) = recovered.unpack(&heads);
    if recovered.last > SEQ_MAX {
        return Err(OpenError(format!(
            "the log {} has given out its last place; move it away to begin a new one",
            database.display()
        )));
    }
    let held = Held { first: recovered.first, last: recovered.last, bytes: 0, topics };
    let checkpointer = schema::connect_checkpointer(&database).map_err(refuse)?;
    let checkpointer = Checkpointer::start(checkpointer)
        .map_err(|error| OpenError(format!("cannot start a thread for checkpoints: {error}")))?;
    let mut writer = SqliteWriter {
        checkpointer,
        connection,
        ballast,
        times: recovered.times,
        unsaved: Unsaved::new(recovered.last),
        leaving: Vec::new(),
        forgotten: recovered.forgotten,
        uncounted: 0,
        claim,
    };
    let shared = Shared {
        epoch: Epoch::from_bits(epoch),
        retention,
        folder,
        heads,
        holes,
        held: RwLock::new(held),
        readers: Readers::new(&database),
        damage: DamageSeen::default(),
    };
    writer.look_around(&shared).map_err(refuse)?;
    let slot = WriterSlot { writer: Some(writer), failed: None, feed: None };
    Ok(SqliteLog { shared, writer: Mutex::new(slot) })
}

/// Creates the folder and gives its full name: a path that begins with `file:` would be something
/// else to SQLite.
fn prepare_folder(folder: &Path) -> Result<PathBuf, OpenError> {
    let refuse =
        |error| OpenError(format!("cannot use the data folder {}: {error}", folder.display()));
    if fs::metadata(folder).is_ok_and(|found| !found.is_dir()) {
        return Err(OpenError(format!(
            "the data folder {} is not a folder; name another one",
            folder.display()
        )));
    }
    // What is there already stays as it is: whoever made it may share it.
    let mut folders = fs::DirBuilder::new();
    folders.recursive(true).mode(FOLDER_MODE).create(folder).map_err(refuse)?;
    fs::canonicalize(folder).map_err(refuse)
}

/// Says so if others of this machine may read what is held, or put something else in its place. It
/// is theirs to mend who made the folder.
fn warn_of_others(folder: &Path, database: &Path) {
    let for_others = |path| fs::metadata(path).map_or(0, |found| found.mode() & 0o077);
    let (folder_mode, database_mode) = (for_others(folder), for_others(database));
    if folder_mode & 0o022 != 0 || folder_mode != 0 && database_mode != 0 {
        let folder = folder.display();
        tracing::warn!("others may use the data folder: chmod -R go= '{folder}' ends that");
    }
}

/// The sentence for an error of SQLite.
fn refusal(database: &Path, error: &rusqlite::Error) -> OpenError {
    let path = database.display();
    let folder = database.parent().unwrap_or(database);
    if is_full(error, folder) {
        return OpenError(format!("cannot open {path}: the disk is full; make some room"));
    }
    OpenError(match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            format!("{path} is not a database; move it away to begin a new log")
        }
        Some(ErrorCode::DatabaseCorrupt) => format!(
            "{path} is damaged beyond what can be skipped ({error}); \
             move it away to begin a new log, or save what `sqlite3` can recover from it"
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            format!("cannot open {path} to write: {error}; check who owns it")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{path} is locked by another program, maybe a `sqlite3` shell; end that one")
        }
        _ => format!("cannot open {path}: {error}"),
    })
}

/// Creates the tables in an empty file, and turns away a file that is something else.
fn check_is_ours(connection: &Connection, database: &Path) -> Result<(), OpenError> {
    let refuse = |error: rusqlite::Error| refusal(database, &error);
    let pragma = |name: &str| {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
    };
    let mode: String =
        connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(refuse)?;
    if mode != "wal" {
        return Err(OpenError(format!(
            "{} cannot use a write-ahead file; use a data folder on a local disk",
            database.display()
        )));
    }
    let version = pragma("user_version").map_err(refuse)?;
    let application = pragma("application_id").map_err(refuse)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(refuse)?;
    if tables == 0 && version == 0 {
        return create(connection).map_err(refuse);
    }
    if application != schema::APPLICATION_ID {
        return Err(OpenError(format!(
            "{} is a database of some other program; use another data folder",
            database.display()
        )));
    }
    if version != schema::VERSION {
        return Err(OpenError(format!(
            "{} was written by a newer doorbell (version {version}, this one knows {}); use that one",
            database.display(),
            schema::VERSION
        )));
    }
    Ok(())
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = Transaction::begin(connection)?;
    connection.execute_batch(schema::TABLES)?;
    connection.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", schema::VERSION)?;
    let epoch = Epoch::from_bits(rand::random());
    set_meta(connection, "epoch", epoch.bits())?;
    set_meta(connection, "clean", 1)?;
    transaction.commit()
}

/// What is noted of a run for the next one.
#[derive(Debug)]
struct Run {
    sync: Sync,
    boot_id: Option<String>,
}

impl Run {
    /// Whether the last run ended with the death of the machine and may have lost messages. Where
    /// it cannot be known, it is feared.
    fn follows_a_loss(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let clean: i64 = meta(connection, "clean")?.unwrap_or(0);
        let sync: Option<String> = meta(connection, "sync")?;
        let boot_id: Option<String> = meta(connection, "boot_id")?;
        let same_boot = self.boot_id.is_some() && boot_id == self.boot_id;
        Ok(clean == 0 && !same_boot && sync.as_deref() != Some(Sync::Always.as_str()))
    }

    /// Notes this run as one that has not ended well yet.
    fn note(&self, connection: &Connection) -> rusqlite::Result<()> {
        set_meta(connection, "clean", 0)?;
        set_meta(connection, "sync", self.sync.as_str())?;
        set_meta(connection, "boot_id", self.boot_id.as_deref().unwrap_or(""))
    }
}

/// Finds out what is there and notes that the log is open, in a transaction that reaches the disk
/// whatever the setting: it also makes all that the last run left unsynced durable.
fn begin_run(connection: &Connection, run: &Run) -> rusqlite::Result<Recovered> {
    let mut recovered = recover::recover(connection)?;
    if run.follows_a_loss(connection)? {
        let after = recovered.last;
        tracing::warn!(
            after,
            "the machine died with the log open: messages after this place may be lost"
        );
        let through = after + LOST_PLACES;
        recovered.add_hole(Hole { after, through, reason: GapReason::Lost });
    }
    schema::set_sync(connection, Sync::Always)?;
    let transaction = Transaction::begin(connection)?;
    recovered.save(connection)?;
    run.note(connection)?;
    transaction.commit()?;
    schema::set_sync(connection, run.sync)?;
    Ok(recovered)
}

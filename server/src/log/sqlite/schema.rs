//! The tables, and how connections to them are set up.
//!
//! ```text
//! events  seq* | tid | prev | ts | crc | body       one row a message, oldest deleted first
//!          17     3     9     …    …    {"id":…}    body: the JSON as every transport sends it
//!          18     5     0                           ts: unix microseconds, never falling
//!          19     3    17                           prev: the topic's message before, 0 if none
//!
//! topics  id* | name | head | expired | unmarked | crc
//!          3    …       19      9          2            head: newest message, maybe an older one
//!          5    …       18      0          1            expired: newest one that was let go
//!
//! marks   tid* | seq*       every 64th message of a topic
//! holes   after* | through | reason                     places that nothing can be read from
//! meta    name* | value     epoch, boot_id, sync, clean, heads_seq, expired_through, forgotten
//! ```
//!
//! There is no index by topic, since an index is what makes an insert dear: 10,000 topics are
//! 10,000 places to write at. In its stead each row names its topic's row before, so a topic is a
//! chain that begins at its head and is walked backwards. A reader goes forwards; the marks let it
//! begin the walk at most 64 messages ahead of its place, for the price of one insert in 64.
//!
//! Heads live in memory and are saved now and then. `heads_seq` says up to where the saved ones
//! are true; what came after is found by reading the rows above it.
//!
//! Anybody may look into a running log with the `sqlite3` shell.

use std::path::Path;
use std::time::Duration;

use doorbell_protocol::GapReason;
use rusqlite::types::FromSql;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Result, ToSql};

use super::row::{checksum, to_sql};
use super::{Hole, Sync};

/// The file's mark as a doorbell log ("DBLL"), in `PRAGMA application_id`.
pub(super) const APPLICATION_ID: i64 = 0x4442_4c4c;
/// The version of these tables, in `PRAGMA user_version`.
pub(super) const VERSION: i64 = 1;
/// Every so manieth message of a topic has a mark.
pub(super) const MARK_EVERY: u64 = 64;

/// Creates what is drawn above.
pub(super) const TABLES: &str = "
    CREATE TABLE meta(
        name TEXT PRIMARY KEY,
        value ANY NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE topics(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        head INTEGER NOT NULL,
        expired INTEGER NOT NULL,
        unmarked INTEGER NOT NULL,
        crc INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE events(
        seq INTEGER PRIMARY KEY,
        tid INTEGER NOT NULL,
        prev INTEGER NOT NULL,
        ts INTEGER NOT NULL,
        crc INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE marks(
        tid INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY(tid, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE holes(
        after INTEGER PRIMARY KEY,
        through INTEGER NOT NULL,
        reason TEXT NOT NULL
    ) STRICT;
";

/// How long a connection waits for another one. Nobody holds a lock for long: this is for a shell
/// that somebody opened on the file.
const BUSY: Duration = Duration::from_secs(10);
/// Prepared statements kept by a connection; there are not that many.
const STATEMENTS: usize = 48;

/// The connection that writes. Creates the file if it is not there.
///
/// Its cache is small: it writes at the end, and hardly ever comes back to a page. A large one
/// would only take new memory for each page until it is full.
pub(super) fn connect_writer(database: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(database, flags)?;
    connection.execute_batch(
        // The first two count before the first table only.
        "PRAGMA page_size = 4096;
         PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = WAL;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -2048;",
    )?;
    set_own_checkpoints(&connection, false)?;
    Ok(connection)
}

/// Sets after how many pages the writer makes a checkpoint itself, inside a commit. That is another
/// connection's work, and the number only bounds the write-ahead file where that one falls behind.
/// On a disk that is nearly full it is low: what is not moved into the database yet needs its room
/// a second time, and that must not be more than the ballast.
pub(super) fn set_own_checkpoints(connection: &Connection, nearly_full: bool) -> Result<()> {
    let pages = if nearly_full { 500 } else { 16_000 };
    connection.pragma_update(None, "wal_autocheckpoint", pages)
}

/// A connection that reads.
pub(super) fn connect_reader(database: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(database, flags)?;
    connection.execute_batch("PRAGMA cache_size = -8192;")?;
    Ok(connection)
}

/// The connection of the thread that makes checkpoints.
pub(super) fn connect_checkpointer(database: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(database, flags)?;
    connection.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024;")?;
    Ok(connection)
}

fn connect(database: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;")?;
    Ok(connection)
}

/// Sets what a commit waits for.
pub(super) fn set_sync(connection: &Connection, sync: Sync) -> Result<()> {
    connection.execute_batch(match sync {
        Sync::Os => "PRAGMA synchronous = NORMAL",
        Sync::Always => "PRAGMA synchronous = FULL",
    })
}

impl Sync {
    /// The word for it in `meta`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Always => "always",
        }
    }
}

/// A write transaction, rolled back unless it is committed.
#[derive(Debug)]
pub(super) struct Transaction<'a>(&'a Connection);

impl<'a> Transaction<'a> {
    /// Begins one. There is one writer, so it never has to wait for another.
    pub(super) fn begin(connection: &'a Connection) -> Result<Self> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self(connection))
    }

    /// Makes it true. If this fails, nothing of it is.
    pub(super) fn commit(self) -> Result<()> {
        self.0.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // After a commit there is none, and after some failures (a full disk) SQLite has rolled it
        // back by itself. Where rolling back fails too, the next BEGIN fails.
        if !self.0.is_autocommit() {
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

/// Stores a value in `meta`.
pub(super) fn set_meta(connection: &Connection, name: &str, value: impl ToSql) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO meta(name, value) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute((name, value))?;
    Ok(())
}

/// Reads a value from `meta`.
pub(super) fn meta<T: FromSql>(connection: &Connection, name: &str) -> Result<Option<T>> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    connection.query_row(sql, [name], |row| row.get(0)).optional()
}

/// Reads a place from `meta`, 0 if it was never stored.
pub(super) fn meta_seq(connection: &Connection, name: &str) -> Result<u64> {
    let stored: Option<i64> = meta(connection, name)?;
    Ok(stored.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0))
}

/// A row of `topics`.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopicRow<'a> {
    pub(super) tid: u64,
    pub(super) name: &'a str,
    pub(super) head: u64,
    pub(super) expired: u64,
    pub(super) unmarked: u64,
}

impl TopicRow<'_> {
    /// What the column `crc` holds.
    pub(super) fn checksum(&self) -> u64 {
        checksum(&[self.tid, self.head, self.expired, self.unmarked], self.name.as_bytes())
    }

    /// Stores it over what was stored of the topic.
    pub(super) fn save(&self, connection: &Connection) -> Result<()> {
        let sql = "INSERT INTO topics(id, name, head, expired, unmarked, crc)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT(id) DO UPDATE SET
                   head = ?3, expired = ?4, unmarked = ?5, crc = ?6";
        connection.prepare_cached(sql)?.execute((
            to_sql(self.tid),
            self.name,
            to_sql(self.head),
            to_sql(self.expired),
            to_sql(self.unmarked),
            to_sql(self.checksum()),
        ))?;
        Ok(())
    }
}

impl Hole {
    /// Stores it.
    pub(super) fn save(&self, connection: &Connection) -> Result<()> {
        let reason = match self.reason {
            GapReason::Damaged => "damaged",
            _ => "lost",
        };
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO holes(after, through, reason) VALUES (?1, ?2, ?3)",
            )?
            .execute((to_sql(self.after), to_sql(self.through), reason))?;
        Ok(())
    }
}

/// All holes, rising.
pub(super) fn holes(connection: &Connection) -> Result<Vec<Hole>> {
    let mut statement =
        connection.prepare("SELECT after, through, reason FROM holes ORDER BY after")?;
    let holes = statement.query_map([], |row| {
        let reason: String = row.get(2)?;
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, reason))
    })?;
    holes
        .map(|hole| {
            let (after, through, reason) = hole?;
            let reason = if reason == "damaged" { GapReason::Damaged } else { GapReason::Lost };
            let [after, through] = [after, through].map(|seq| u64::try_from(seq).unwrap_or(0));
            Ok(Hole { after, through, reason })
        })
        .collect()
}

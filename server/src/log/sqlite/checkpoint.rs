//! The thread that moves what was written from the write-ahead file into the database.
//!
//! Left alone, SQLite does this inside every so many commits, and a publisher waits for it. Here a
//! connection of its own does it meanwhile; the writer does it itself only where the thread falls
//! far behind. (Two connections of which one checkpoints could corrupt a database before SQLite
//! 3.51.3; the version is checked at open.)

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

/// Pages written before the thread is woken. Few, because the commit after that, which begins the
/// write-ahead file anew, waits for an `fsync` of what is not on the disk yet.
const PAGES: u64 = 2000;

/// The thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Checkpointer {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pages_written: u64,
    stop: bool,
}

impl Checkpointer {
    /// Starts the thread.
    pub(super) fn start(connection: Connection) -> io::Result<Self> {
        let signal = Arc::new(Signal::default());
        let thread = std::thread::Builder::new().name("doorbell-checkpoint".into()).spawn({
            let signal = signal.clone();
            move || {
                while signal.wait() {
                    checkpoint(&connection);
                }
            }
        })?;
        Ok(Self { signal, thread: Some(thread) })
    }

    /// Notes about how many pages a commit wrote.
    pub(super) fn note(&self, pages: u64) {
        let mut state = self.signal.state();
        state.pages_written = state.pages_written.saturating_add(pages);
        if state.pages_written >= PAGES {
            self.signal.changed.notify_one();
        }
    }
}

impl Signal {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to do; false if that is to stop.
    fn wait(&self) -> bool {
        let idle = |state: &mut State| state.pages_written < PAGES && !state.stop;
        let state = self.changed.wait_while(self.state(), idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.pages_written = 0;
        !state.stop
    }
}

/// A passive checkpoint waits for nobody: what readers still need stays for the next one.
fn checkpoint(connection: &Connection) {
    let result = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    match result {
        Ok((pages, moved)) => tracing::trace!(pages, moved, "checkpoint"),
        // The pages stay where they are and are read from there. The writer meets the same
        // trouble, and it is the one to say so.
        Err(error) => tracing::warn!(%error, "a checkpoint failed"),
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.signal.state().stop = true;
        self.signal.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there was printed there.
            let _ = thread.join();
        }
    }
}

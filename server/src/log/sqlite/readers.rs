//! Connections that only read. A reader takes one for a page and gives it back.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::failure::read_error;
use super::{LogError, schema};
use crate::limits::LOG_READERS_MAX;

/// The connections that nobody uses right now; `None` once the log is closed.
#[derive(Debug)]
pub(super) struct Readers {
    database: PathBuf,
    idle: Mutex<Option<Vec<Connection>>>,
}

impl Readers {
    /// No connection yet.
    pub(super) fn new(database: &Path) -> Self {
        Self { database: database.to_owned(), idle: Mutex::new(Some(Vec::new())) }
    }

    /// Reads with a connection of the caller's own. One that met an error is not used again.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let idle = match self.idle().as_mut() {
            None => return Err(LogError::Closed),
            Some(idle) => idle.pop(),
        };
        let connection = match idle {
            Some(connection) => connection,
            None => schema::connect_reader(&self.database).map_err(|error| read_error(&error))?,
        };
        let result = read(&connection)?;
        if let Some(idle) = self.idle().as_mut()
            && idle.len() < LOG_READERS_MAX
        {
            idle.push(connection);
        }
        Ok(result)
    }

    /// Closes the idle connections, and each busy one when its page is read.
    pub(super) fn close(&self) {
        *self.idle() = None;
    }

    fn idle(&self) -> MutexGuard<'_, Option<Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

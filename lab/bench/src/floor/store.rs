//! Appends what comes to a file, has the disk take it, and only then acknowledges: group commit and
//! nothing else. What comes while the disk is busy goes together with the next write.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::failure::Result;

use super::door::{Peers, Work, serve};

/// Serves; synchronises only if it is told to.
pub(super) fn run(file: &Path, sync: bool) -> Result<()> {
    serve(Store { file: File::create(file)?, sync, batch: Vec::new(), publishers: Vec::new() })
}

struct Store {
    file: File,
    sync: bool,
    batch: Vec<u8>,
    /// Connections to be answered, and how many lines of each are in the batch.
    publishers: Vec<(usize, usize)>,
}

impl Work for Store {
    type Role = ();

    fn hear(&mut self, _peers: &mut Peers<()>, key: usize, lines: &[u8]) {
        // A publisher's first line says that it is one.
        let lines = lines.strip_prefix(b"P\n").unwrap_or(lines);
        let count = memchr::memchr_iter(b'\n', lines).count();
        self.batch.extend_from_slice(lines);
        self.publishers.push((key, count));
    }

    fn rest(&mut self, peers: &mut Peers<()>) -> Result<()> {
        if self.batch.is_empty() {
            self.publishers.clear();
            return Ok(());
        }
        self.file.write_all(&self.batch)?;
        if self.sync {
            self.file.sync_data()?;
        }
        self.batch.clear();
        for (key, count) in self.publishers.drain(..) {
            peers.send(key, &b"ok\n".repeat(count));
        }
        Ok(())
    }
}

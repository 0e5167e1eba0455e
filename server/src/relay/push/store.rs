//! The file of subscriptions, beside the log: one JSON object a line, of which the last one of an
//! endpoint holds. It is written to its end, and anew when most of it holds no more. A line that
//! was cut off by a crash is passed over.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::subscription::WrittenPush;
use super::vapid::KEY;
use crate::limits::PUSH_LINES_SPARE;

pub(super) const NAME: &str = "web-push.lines";
/// Whoever has these can push to the browsers.
const MODE: u32 = 0o600;

/// Copies what is kept of subscriptions in one folder to another: them, and the key without which
/// they are worth nothing. A server may be running; what it writes meanwhile is there or not.
///
/// # Errors
///
/// Those of reading and writing.
pub fn copy_subscriptions(from: &Path, to: &Path) -> io::Result<()> {
    for name in [KEY, NAME] {
        match fs::copy(from.join(name), to.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            copied => {
                copied?;
                File::open(to.join(name))?.sync_all()?;
            }
        }
    }
    File::open(to)?.sync_all()
}

/// The file.
#[derive(Debug)]
pub(super) struct PushFile {
    path: PathBuf,
    /// Open once there is something in it.
    file: Option<File>,
    lines: usize,
}

impl PushFile {
    /// Opens the one in a folder, and gives what holds by it.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Vec<WrittenPush>)> {
        let path = folder.join(NAME);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let mut held = HashMap::new();
        let mut damaged = 0;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice::<WrittenPush>(line) {
                Ok(written) => drop(held.insert(written.endpoint.clone(), written)),
                Err(_) => damaged += 1,
            }
        }
        if damaged > 0 {
            tracing::warn!(file = %path.display(), damaged, "lines of subscriptions are damaged");
        }
        let held: Vec<_> = held.into_values().filter(|one| !one.topics.is_empty()).collect();
        let mut file = Self { path, file: None, lines: 0 };
        if !text.is_empty() {
            match file.rewrite(&held) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => file.go_on(&text)?,
                rewritten => rewritten?,
            }
        }
        Ok((file, held))
    }

    /// Goes on in the file as it is: there is no room to write it anew.
    fn go_on(&mut self, text: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().append(true).open(&self.path)?;
        // Behind the last end of a line is what was being written when the process died.
        let end = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
        file.set_len(end as u64)?;
        let lines = memchr::memchr_iter(b'\n', text).count();
        (self.file, self.lines) = (Some(file), lines);
        Ok(())
    }

    /// Adds a line and brings it to the disk. Blocks.
    pub(super) fn add(&mut self, written: &WrittenPush) -> io::Result<()> {
        if self.file.is_none() {
            self.rewrite(&[])?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = serde_json::to_vec(written)?;
        line.push(b'\n');
        let end = file.metadata()?.len();
        if let Err(error) = file.write_all(&line).and_then(|()| file.sync_data()) {
            // Half a line would spoil the next one.
            file.set_len(end)?;
            return Err(error);
        }
        self.lines += 1;
        Ok(())
    }

    /// Whether most of it holds no more, where so many do.
    pub(super) fn is_stale(&self, held: usize) -> bool {
        self.lines > 2 * held + PUSH_LINES_SPARE
    }

    /// Writes it anew. Blocks.
    pub(super) fn rewrite(&mut self, held: &[WrittenPush]) -> io::Result<()> {
        let mut text = Vec::new();
        for written in held {
            serde_json::to_writer(&mut text, written)?;
            text.push(b'\n');
        }
        let new = self.path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).mode(MODE).open(&new)?;
        file.set_len(0)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        (self.file, self.lines) = (Some(file), held.len());
        Ok(())
    }
}

//! What a start finds of files: those that are kept, those that have had their time, and those
//! whose publish a crash has ended. Of the last ones the log tells which were stored.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use doorbell_protocol::Filter;

use super::{FileId, Held, HeldFile, PART, cost_of, remove};
use crate::clock::unix_seconds;
use crate::limits::FILE_CLOCK_SLACK;
use crate::log::{Log, LogError, PageLimit, Query, Selection};
use crate::message::Message;

/// Tidies the folder, and says what is held. Files that are not ours are left alone.
pub(super) fn recover(folder: &Path, log: &dyn Log, waiting: &[Message]) -> io::Result<Held> {
    let now = unix_seconds();
    let mut held = Held::default();
    let mut unfinished = Vec::new();
    let mut since = SystemTime::now();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((id, Some(ending))) = name.to_str().and_then(FileId::named) else { continue };
        let found = entry.metadata()?;
        if ending == PART {
            since = since.min(found.modified()?);
            unfinished.push((id, found.len()));
        } else if let Ok(expires) = ending.parse() {
            if expires > now {
                held.insert(id, HeldFile { cost: cost_of(found.len()), expires });
            } else {
                remove(&entry.path());
            }
        }
    }
    if unfinished.is_empty() {
        return Ok(held);
    }
    let mut told = told_of(&unfinished, since, log).map_err(io::Error::other)?;
    told.extend(waiting.iter().filter_map(file_of));
    for (id, bytes) in unfinished {
        let part = folder.join(format!("{id}.{PART}"));
        match told.get(&id) {
            Some(&expires) if expires > now => {
                fs::rename(part, folder.join(format!("{id}.{expires}")))?;
                held.insert(id, HeldFile { cost: cost_of(bytes), expires });
            }
            _ => remove(&part),
        }
    }
    Ok(held)
}

impl Held {
    fn insert(&mut self, id: FileId, file: HeldFile) {
        self.bytes += file.cost;
        self.files.insert(id, file);
    }
}

/// Those files of which a message tells, and when each goes. Their messages are no older than the
/// last write to the oldest.
fn told_of(
    unfinished: &[(FileId, u64)],
    since: SystemTime,
    log: &dyn Log,
) -> Result<HashMap<FileId, u64>, LogError> {
    let mut told = HashMap::new();
    let is_unfinished = |id: &FileId| unfinished.iter().any(|(other, _)| other == id);
    let Ok(everything) = ">".parse::<Filter>() else { return Ok(told) };
    let since = since.checked_sub(FILE_CLOCK_SLACK).unwrap_or(SystemTime::UNIX_EPOCH);
    let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let until = log.bounds().last;
    let mut after = log.seek(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))?;
    while after < until {
        let selection = Selection(std::slice::from_ref(&everything));
        let page = log.read(&Query { selection, after, until, limit: PageLimit::BATCH })?;
        for message in &page.messages {
            told.extend(file_of(message).filter(|(id, _)| is_unfinished(id)));
        }
        if page.through <= after {
            break;
        }
        after = page.through;
    }
    Ok(told)
}

/// The file that a message tells of, and when it goes.
fn file_of(message: &Message) -> Option<(FileId, u64)> {
    let file = message.with_event(|event| event?.attachment.clone())?;
    let (id, _) = FileId::named(file.url.rsplit('/').next()?)?;
    Some((id, file.expires?))
}

//! Opening a log: claiming the folder, finding out what it holds and how the last run ended, and
//! beginning a new epoch.
//!
//! A process that dies loses nothing that it acknowledged: the kernel has it. A machine that dies
//! can lose what was not synced, and a reader may have seen those messages and hold their ids. The
//! new epoch tells such places apart from those that are given out from now on, and a reader that
//! comes past is told.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};

use serde::Deserialize;

use super::append::{Appender, not_written};
use super::folder::{self, Claim, Folder, SEGMENT, SyncedTo};
use super::line::{self, CHECKSUM_BYTES, HEAD_BEGINS};
use super::lines::LineReader;
use super::owners::Owners;
use super::scan::{self, Content, End, Rest, Run};
use super::segment::{Hole, Segment};
use super::tasks::Threads;
use super::topics::{self, TopicRow};
use super::{
    FORMAT, Inner, SEGMENT_AGES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENTS, SegmentLog,
    Shared, Stalls, Sync, VERSION, checkpoint, expire, summary,
};
use crate::clock::{Clock, Now};
use crate::log::epochs::{self, Span};
use crate::log::heads::TopicHead;
use crate::log::{Epochs, Heads, LogError, OpenError, Retention};

/// Bytes read at the beginning of a file.
const HEAD_READ: usize = 4096;

/// A name for the time since the machine started, empty where the kernel gives none.
pub(super) fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Opens the log of a folder.
pub(super) fn open(
    path: &Path,
    sync: Sync,
    retention: Retention,
    clock: Arc<dyn Clock>,
    boot: String,
    is_moved: bool,
) -> Result<SegmentLog, OpenError> {
    let folder = Folder::create(path)?;
    let claim = folder.claim()?;
    refuse_old(&folder)?;
    let now = clock.now();
    let run = Run { boot, sync: sync.as_str().to_owned(), place: claim.place() };
    let found = Found::read(&folder, &claim, &run)?;
    let Found { mut segments, topics, spans, last_run, is_torn, next_ordinal, prepared, .. } =
        found;
    let heads = topics.into_heads();
    heads.restore_forgotten(segments.first().map_or(0, |oldest| oldest.after));
    let written: Vec<_> = segments.iter().filter(|segment| !segment.is_empty()).collect();
    expire::find_ages(&written, retention.age, now, false);
    let last = segments.last().map_or(0, |newest| newest.last());
    let in_place = !is_moved
        && claim.is_untouched()
        && last_run.is_some_and(|last_run| last_run.place == run.place);
    let (epochs, start) = begin_epoch(spans, now, in_place, last, is_torn)
        .ok_or_else(|| OpenError(format!("the log in {} has no epochs left", path.display())))?;
    let mut next = prepared;
    // What has a summary is never written to again.
    if segments.last().is_none_or(|newest| newest.topics.get().is_some()) {
        let (ordinal, file) = match next.take() {
            Some(prepared) => prepared,
            None => {
                let made = folder.create_segment(next_ordinal);
                (next_ordinal, made.map_err(|error| cannot_open(path, &error))?)
            }
        };
        segments.push(Arc::new(Segment::new(ordinal, file, last)));
    }
    let newest = segments.last().expect("there is one now").clone();
    folder.warn_of_others(&newest.file);
    let began_us = newest.oldest_us().map(|oldest_us| expire::touched_at(now, oldest_us));
    let (tasks, to_do) = std::sync::mpsc::channel();
    let appender = Appender::new(newest, began_us, start, run, tasks.clone());
    let owners = Owners::default();
    for segment in &segments {
        owners.restore(&segment.notes().owners);
    }
    let shared = Shared {
        folder,
        claim,
        opened: now,
        clock,
        sync,
        retention,
        segment_bytes: (retention.bytes / SEGMENTS).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
        segment_age_us: i64::try_from(retention.age_us()).unwrap_or(i64::MAX) / SEGMENT_AGES,
        epochs,
        heads,
        owners,
        last: AtomicU64::new(start.from),
        segments: arc_swap::ArcSwap::from_pointee(segments),
        next: Mutex::new(next),
        is_next_asked_for: AtomicBool::new(false),
        feed: OnceLock::new(),
        failure: OnceLock::new(),
        synced_at: AtomicI64::new(now.since_boot_us),
        stalls: Stalls::default(),
    };
    let inner =
        Arc::new(Inner { shared, appender: Mutex::new(appender), retention: Mutex::new(()) });
    inner.begin(now).map_err(|error| cannot_begin(path, &error))?;
    let threads = Threads::start(&inner, tasks, to_do)
        .map_err(|error| OpenError(format!("cannot start a thread of the log: {error}")))?;
    Ok(SegmentLog { inner, threads: Mutex::new(Some(threads)) })
}

fn cannot_begin(folder: &Path, error: &LogError) -> OpenError {
    OpenError(match error {
        LogError::Failed(reason) | LogError::Refused(reason) => {
            format!("cannot write in the data folder {}: {reason}", folder.display())
        }
        LogError::Full | LogError::Unreachable(_) | LogError::Closed => error.to_string(),
    })
}

impl Inner {
    /// Writes that the log is open, and syncs it with all that the last run left unsynced.
    fn begin(&self, now: Now) -> Result<(), LogError> {
        let written = self.appender().write_start(&self.shared, now);
        if matches!(written, Err(LogError::Full)) {
            // What is held can be read. The first message that finds room brings the start.
            tracing::warn!("there is no room left to store messages");
            return Ok(());
        }
        written?;
        self.shared.folder.sync().map_err(|error| not_written(&error))
    }
}

/// Says how the messages of an older version come over.
fn refuse_old(folder: &Folder) -> Result<(), OpenError> {
    let Some(old) = folder.old_database() else { return Ok(()) };
    Err(OpenError(format!(
        "{} is the log of an older version; to bring its messages over, move it away and run: \
         sqlite3 AWAY/doorbell.db 'SELECT body FROM events ORDER BY seq' | \
         doorbell-server log import {}",
        old.display(),
        folder.path().display()
    )))
}

/// The epochs of the log with the one that begins, and the start of that one.
fn begin_epoch(
    spans: Vec<Span>,
    now: Now,
    in_place: bool,
    last: u64,
    is_torn: bool,
) -> Option<(Epochs, Span)> {
    let Some(mut found) = Epochs::found(spans) else {
        let epoch = epochs::next(None, now.unix_us, false)?;
        let start = Span { epoch, from: last, torn: false };
        return Some((Epochs::found(vec![start])?, start));
    };
    let epoch = epochs::next(Some(found.current()), now.unix_us, in_place)?;
    // The place of a loss is one that no message has.
    let start = Span { epoch, from: last + u64::from(is_torn), torn: is_torn };
    found.push(start);
    Some((found, start))
}

/// What is in a folder.
#[derive(Debug, Default)]
struct Found {
    /// Oldest first. Nothing is behind the last batch of the newest one.
    segments: Vec<Arc<Segment>>,
    topics: FoundTopics,
    /// Whether they were found in a checkpoint.
    has_topics: bool,
    spans: Vec<Span>,
    last_run: Option<Run>,
    /// Whether something that was damaged stands behind the last message so far.
    is_damaged_behind: bool,
    /// Whether the newest messages may have been lost.
    is_torn: bool,
    next_ordinal: u64,
    /// The next segment, made and never written to.
    prepared: Option<(u64, File)>,
}

/// The topics of the segments so far, by name: those of the next one are merged in one pass, which
/// takes a part of the time of looking each of them up.
#[derive(Debug, Default)]
struct FoundTopics(Vec<(Box<str>, TopicHead)>);

impl FoundTopics {
    /// Takes in those of a newer segment, in the order of their names.
    fn merge<'a>(&mut self, newer: impl Iterator<Item = (&'a str, TopicHead)>) {
        let known = std::mem::take(&mut self.0);
        self.0.reserve(known.len());
        let mut known = known.into_iter().peekable();
        for (name, head) in newer {
            while let Some(passed) = known.next_if(|(own, _)| **own <= *name) {
                self.0.push(passed);
            }
            match self.0.last_mut() {
                Some((own, known)) if **own == *name => known.newest = head.newest,
                _ => self.0.push((name.into(), head)),
            }
        }
        self.0.extend(known);
    }

    fn into_heads(self) -> Heads {
        let heads = Heads::default();
        heads.restore(self.0.iter().map(|(name, head)| (&**name, *head)));
        heads
    }
}

impl Found {
    fn read(folder: &Folder, claim: &Claim, run: &Run) -> Result<Self, OpenError> {
        let refuse = |error: io::Error| cannot_open(folder.path(), &error);
        let ordinals = folder.segments().map_err(refuse)?;
        let mut found =
            Self { next_ordinal: ordinals.last().map_or(1, |last| last + 1), ..Self::default() };
        summary::clear_orphans(folder, &ordinals).map_err(refuse)?;
        let (mut files, mut foreign, mut empty) = (Vec::new(), Vec::new(), Vec::new());
        for ordinal in ordinals {
            let file = folder.open_segment(ordinal).map_err(refuse)?;
            let bytes = file.metadata().map_err(refuse)?.len();
            if bytes == 0 {
                empty.push(ordinal);
                found.prepared = Some((ordinal, file));
            } else if is_ours(folder, ordinal, &file)? {
                found.prepared = None;
                files.push((ordinal, file, bytes));
            } else if is_begun(&file).map_err(refuse)? {
                file.set_len(0).map_err(refuse)?;
                found.prepared = Some((ordinal, file));
            } else {
                foreign.push(folder.segment_path(ordinal));
            }
        }
        if let (Some(path), true) = (foreign.first(), files.is_empty()) {
            return Err(OpenError(format!(
                "{} is no segment of a log, or damaged from its beginning; move it away to begin a \
                 new log",
                path.display()
            )));
        }
        for path in foreign {
            tracing::warn!(path = %path.display(), "this is no segment of a log: it is left alone");
        }
        let prepared = found.prepared.as_ref().map(|(ordinal, _)| *ordinal);
        for ordinal in empty.into_iter().filter(|ordinal| Some(*ordinal) != prepared) {
            folder.clear(&folder::name(ordinal, SEGMENT));
        }
        let newest = files.pop();
        if let Some((ordinal, file, bytes)) = &newest {
            let oldest = files.first().map_or(*ordinal, |(ordinal, ..)| *ordinal);
            if let Some(rows) = checkpoint::read(folder, oldest, (*ordinal, file, *bytes)) {
                found.note_topics(u64::MAX, topics::rows(&rows));
                found.has_topics = true;
            }
        }
        for (ordinal, file, bytes) in files {
            found.add_finished(folder, ordinal, file, bytes).map_err(refuse)?;
        }
        if let Some((ordinal, file, bytes)) = newest {
            let noted = claim.noted();
            found.add_newest(run, noted, ordinal, file, bytes).map_err(refuse)?;
        }
        Ok(found)
    }

    /// Takes in a segment that has a successor: from its summary, or from itself.
    fn add_finished(
        &mut self,
        folder: &Folder,
        ordinal: u64,
        file: File,
        bytes: u64,
    ) -> io::Result<()> {
        let (content, table) = match summary::read(folder, ordinal, bytes)? {
            Some(summary) => {
                if !self.has_topics {
                    self.note_topics(summary.content.after, topics::rows(&summary.rows));
                }
                (summary.content, Some(summary.topics))
            }
            None => {
                let content = scan::scan(&file, bytes, Rest::Kept)?;
                tracing::info!(segment = ordinal, "a segment had no summary and was read");
                file.set_len(content.bytes)?;
                file.sync_data()?;
                let table = summary::write(folder, ordinal, &content);
                let table = table.inspect_err(|error| {
                    tracing::warn!(%error, segment = ordinal, "a summary was not written");
                });
                self.note_topics(content.after, content.rows_in_order());
                (content, table.ok())
            }
        };
        let segment = self.add(ordinal, file, content);
        if let Some(table) = table {
            let _ = segment.topics.set(table);
        }
        Ok(())
    }

    /// Takes in the segment that was written to, and cuts off what was being written.
    fn add_newest(
        &mut self,
        run: &Run,
        noted: Option<SyncedTo>,
        ordinal: u64,
        file: File,
        bytes: u64,
    ) -> io::Result<()> {
        let mut content = scan::scan(&file, bytes, Rest::Cut)?;
        let last_run = content.run.clone().or_else(|| self.last_run.clone());
        let is_same = |part: fn(&Run) -> &String| {
            last_run.as_ref().is_some_and(|last_run| part(last_run) == part(run))
        };
        let same_boot = !run.boot.is_empty() && is_same(|run| &run.boot);
        let mut bad = 0;
        if content.end == End::Damaged && same_boot {
            // The kernel had all of it: these lines were written, and damaged later.
            content = scan::scan(&file, bytes, Rest::Kept)?;
            bad = content.bad.max(1);
        }
        let reached = SyncedTo { ordinal, bytes: content.bytes };
        // In a copy the note may be newer than the segment that was copied before it.
        let is_shorter = is_same(|run| &run.place) && noted.is_some_and(|noted| reached < noted);
        let was_synced = last_run.as_ref().is_some_and(|run| run.sync == Sync::Always.as_str());
        let died =
            content.end != End::Closed && !same_boot && !(was_synced && content.end == End::Whole);
        self.is_torn = died || is_shorter || bad > 0 || content.end == End::Damaged;
        if self.is_torn {
            tracing::warn!(
                after = content.last,
                "the log ended without being closed: messages after this place may be lost"
            );
        }
        // Also what was set aside beyond the end.
        file.set_len(content.bytes)?;
        if content.bytes > 0 && last_byte(&file, content.bytes)? != b'\n' {
            file.write_all_at(b"\n", content.bytes - 1)?;
        }
        if content.bytes == 0 {
            // Not even its head was written.
            file.set_len(0)?;
            self.prepared = Some((ordinal, file));
            return Ok(());
        }
        self.note_topics(content.after, content.rows_in_order());
        self.add(ordinal, file, content);
        Ok(())
    }

    /// Takes in the topics of a segment that begins after a place, by name.
    fn note_topics<'a>(&mut self, after: u64, rows: impl Iterator<Item = (&'a str, TopicRow)>) {
        let let_go = self.segments.first().map_or(after, |oldest| oldest.after);
        // What came before a topic's oldest message was let go, if it is not damaged.
        let head = |row: TopicRow| TopicHead { newest: row.last, expired: row.before.min(let_go) };
        self.topics.merge(rows.map(|(name, row)| (name, head(row))));
    }

    fn add(&mut self, ordinal: u64, file: File, content: Content) -> Arc<Segment> {
        let reached = self.segments.last().map(|newest| newest.last());
        let mut holes = content.holes;
        let after = match reached {
            // The end of the one before it is damaged or lost, or one between them is missing.
            Some(reached) if content.after > reached => {
                let is_damaged = self.is_damaged_behind || content.is_damaged_before;
                let hole = Hole::new(reached, content.after, is_damaged);
                tracing::error!(?hole, "messages are missing");
                holes.insert(0, hole);
                reached
            }
            Some(reached) => reached,
            None => content.after,
        };
        let segment = Arc::new(Segment::restore(ordinal, file, after, holes));
        segment.set(content.bytes, content.last.max(after), content.index, content.notes);
        self.is_damaged_behind = content.is_damaged_behind;
        self.spans.extend(content.spans);
        self.last_run = content.run.or(self.last_run.take());
        self.segments.push(segment.clone());
        segment
    }
}

/// Whether a file is a segment, of a version that is known.
fn is_ours(folder: &Folder, ordinal: u64, file: &File) -> Result<bool, OpenError> {
    let refuse = |error: io::Error| cannot_open(folder.path(), &error);
    let bytes = file.metadata().map_err(refuse)?.len();
    let mut lines = LineReader::new(file, 0, bytes, HEAD_READ);
    let first = lines.next().map_err(refuse)?;
    let head = first.and_then(|first| line::parse(lines.get(&first)));
    match head.and_then(|head| serde_json::from_slice::<Versioned>(head.json).ok()) {
        Some(Versioned { format, version }) if format == FORMAT && version > VERSION => {
            Err(OpenError(format!(
                "{} was written by a newer doorbell (version {version}, this one knows {VERSION}); \
                 use that one",
                folder.segment_path(ordinal).display()
            )))
        }
        Some(Versioned { format, .. }) if format == FORMAT => Ok(true),
        // Its head may be damaged.
        _ => {
            let content = scan::scan(file, bytes, Rest::Kept).map_err(refuse)?;
            Ok(content.run.is_some() || content.last > content.after)
        }
    }
}

/// What every version says in its head.
#[derive(Debug, Deserialize)]
struct Versioned {
    format: String,
    version: u32,
}

/// Whether a file is what is left of a segment whose machine died before anything of it was on the
/// disk: a part of its head, or pages that were never written.
fn is_begun(file: &File) -> io::Result<bool> {
    let mut bytes = [0; HEAD_READ];
    let read = file.read_at(&mut bytes, 0)?;
    let text = &bytes[..read];
    let (checksum, rest) = text.split_at(CHECKSUM_BYTES.min(read));
    let is_head = checksum.iter().all(u8::is_ascii_hexdigit)
        && rest.iter().zip(HEAD_BEGINS).all(|(own, head)| own == head);
    Ok(text.contains(&0) || (is_head && !text.contains(&b'\n')))
}

fn last_byte(file: &File, bytes: u64) -> io::Result<u8> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, bytes - 1)?;
    Ok(byte[0])
}

fn cannot_open(folder: &Path, error: &io::Error) -> OpenError {
    OpenError(match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("cannot open the log in {}: {error}; check who owns it", folder.display())
        }
        _ => format!("cannot open the log in {}: {error}", folder.display()),
    })
}

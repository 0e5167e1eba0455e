//! Appending: a batch becomes lines, the lines are written at the end of the newest segment in one
//! call, and only then do readers hear of them.
//!
//! Nothing here waits for anything but that one write, and for its sync with `--sync always`. The
//! next file was made ahead, and what is finished is sealed, synced and let go of by other threads.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Instant;

use doorbell_protocol::Epoch;

use super::line::{self, BATCH_LINES_MAX, Kind};
use super::scan::{HeadLine, MarkLine, Run, StartLine};
use super::segment::{Appended, Segment};
use super::tasks::Task;
use super::{FORMAT, Shared, Sync, VERSION};
use crate::clock::Now;
use crate::log::epochs::Span;
use crate::log::{Entry, LogError, Owner};
use crate::message::{Message, kept, number_batch};

/// What only one thread at a time may do: write.
#[derive(Debug)]
pub(super) struct Appender {
    /// Where lines go now.
    segment: Arc<Segment>,
    /// When its first message was appended, in microseconds since the machine started.
    began_us: Option<i64>,
    epoch: Epoch,
    run: Run,
    /// The start that is running, if it could not be written yet.
    unwritten: Option<Span>,
    /// The batch as it is written.
    bytes: Vec<u8>,
    /// Where its messages and their places begin there, and their seqs.
    messages: Vec<(u64, u64)>,
    /// Bytes of its lines, and whose they are.
    owned: Vec<(Owner, u64)>,
    /// Whether there may be something behind the end of the segment that is not ours.
    is_dirty: bool,
    is_closed: bool,
    tasks: Sender<Task>,
}

impl Appender {
    /// Goes on at the end of a segment. The start is to be written before anything else.
    pub(super) fn new(
        segment: Arc<Segment>,
        began_us: Option<i64>,
        start: Span,
        run: Run,
        tasks: Sender<Task>,
    ) -> Self {
        Self {
            segment,
            began_us,
            epoch: start.epoch,
            run,
            unwritten: Some(start),
            bytes: Vec::new(),
            messages: Vec::new(),
            owned: Vec::new(),
            is_dirty: false,
            is_closed: false,
            tasks,
        }
    }

    /// Stores a batch and tells of it.
    pub(super) fn append(
        &mut self,
        shared: &Shared,
        entries: &[Entry],
        now: Now,
    ) -> Result<Vec<Message>, LogError> {
        self.check(shared)?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        assert!(entries.len() < BATCH_LINES_MAX, "a batch of {} messages", entries.len());
        let began = Instant::now();
        let age_us = Some(shared.retention.age_us());
        let last = shared.last.load(Ordering::Relaxed);
        let drafts = entries.iter().map(|entry| &entry.draft);
        let messages = number_batch(drafts, self.epoch, last, now.unix_us, age_us);
        self.begin_segment(shared, now)?;
        self.encode(shared, entries, &messages, now)?;
        if self.is_roll_due(shared, now) {
            self.roll(shared, now)?;
        }
        self.write(shared)?;
        self.unwritten = None;
        self.publish(shared, &messages, now);
        shared.stalls.note(began.elapsed());
        if let Some(feed) = shared.feed.get() {
            feed.push(&messages);
        }
        Ok(messages)
    }

    /// Whether anything may be written.
    fn check(&self, shared: &Shared) -> Result<(), LogError> {
        if self.is_closed {
            return Err(LogError::Closed);
        }
        shared.failure().map_or(Ok(()), |reason| Err(LogError::Failed(reason.to_owned())))
    }

    /// Gives the segment its head, if it has none yet.
    fn begin_segment(&self, shared: &Shared, now: Now) -> Result<(), LogError> {
        if self.segment.bytes() > 0 {
            return Ok(());
        }
        self.write_head(shared, &self.segment, now)
    }

    /// Encodes a batch, each line with the one before it in its topic.
    fn encode(
        &mut self,
        shared: &Shared,
        entries: &[Entry],
        messages: &[Message],
        now: Now,
    ) -> Result<(), LogError> {
        self.bytes.clear();
        self.messages.clear();
        self.owned.clear();
        let lines = messages.len() + usize::from(self.unwritten.is_some());
        if let Some(span) = self.unwritten {
            let json = self.start(span, now)?;
            line::push(&mut self.bytes, None, Kind::Start, 0, &Owner::nobody(), &json);
        }
        // What a topic has had in this batch is not among the heads yet.
        let mut own = HashMap::<&str, u64, foldhash::fast::RandomState>::default();
        let before = shared.heads.newest_of(messages.iter().map(Message::topic));
        let last = messages.len() - 1;
        for (index, (message, entry)) in messages.iter().zip(entries).enumerate() {
            let mut chain = before[index];
            if last > 0 && message.is_kept() {
                let earlier = own.insert(message.topic().as_str(), message.seq());
                chain = earlier.unwrap_or(chain);
            }
            let ends = (index == last).then_some(lines);
            let begin = self.bytes.len();
            self.messages.push((begin as u64, message.seq()));
            if !message.is_kept() {
                let (id, event) = (message.id(), "place".to_owned());
                let json = json(&MarkLine { id, event, time_us: message.time_us() })?;
                line::push(&mut self.bytes, ends, Kind::Place, 0, &Owner::nobody(), &json);
                continue;
            }
            let json = message.frame().json();
            line::push(&mut self.bytes, ends, Kind::Message, chain, &entry.owner, &json);
            let bytes = (self.bytes.len() - begin) as u64;
            match self.owned.last_mut() {
                Some((owner, own)) if *owner == entry.owner => *own += bytes,
                _ => self.owned.push((entry.owner.clone(), bytes)),
            }
        }
        Ok(())
    }

    fn start(&self, span: Span, now: Now) -> Result<Vec<u8>, LogError> {
        let event = "start".to_owned();
        let start =
            StartLine { span: span.into(), event, time_us: now.unix_us, run: self.run.clone() };
        json(&start)
    }

    fn is_roll_due(&self, shared: &Shared, now: Now) -> bool {
        let is_full = self.segment.bytes() + self.bytes.len() as u64 > shared.segment_bytes;
        let is_old = |began| now.since_boot_us - began >= shared.segment_age_us;
        !self.segment.is_empty() && (is_full || self.began_us.is_some_and(is_old))
    }

    /// Writes what is encoded at the end of the segment. If it fails, the end is where it was.
    fn write(&mut self, shared: &Shared) -> Result<(), LogError> {
        let end = self.segment.bytes();
        let file = &self.segment.file;
        if self.is_dirty {
            file.set_len(end).map_err(|error| not_written(&error))?;
            self.is_dirty = false;
        }
        if let Err(error) = file.write_all_at(&self.bytes, end) {
            self.is_dirty = file.set_len(end).is_err();
            return Err(not_written(&error));
        }
        if shared.sync == Sync::Always {
            shared.sync_data(&self.segment, end + self.bytes.len() as u64)?;
        }
        Ok(())
    }

    /// Tells readers what was written: where it is, then that it is there.
    fn publish(&mut self, shared: &Shared, messages: &[Message], now: Now) {
        let end = self.segment.bytes();
        for (offset, _) in &mut self.messages {
            *offset += end;
        }
        self.began_us.get_or_insert(now.since_boot_us);
        self.segment.publish(&Appended {
            bytes: end + self.bytes.len() as u64,
            messages: &self.messages,
            owned: &self.owned,
            now,
        });
        // A reader looks at the newest seq first, and then finds each topic at least as new.
        shared.heads.advance(kept(messages));
        shared.owners.add(&self.owned);
        if let Some(last) = messages.last() {
            shared.last.store(last.seq(), Ordering::Release);
        }
        if self.segment.bytes() > shared.segment_bytes / 2 {
            self.prepare_next(shared);
        }
        self.shrink();
    }

    /// A large batch is no reason to keep as much memory for ever.
    fn shrink(&mut self) {
        self.bytes.shrink_to(1 << 20);
        self.messages.shrink_to(BATCH_LINES_MAX);
    }

    fn prepare_next(&self, shared: &Shared) {
        if !shared.is_next_asked_for.swap(true, Ordering::Relaxed) {
            // Without the thread that does it the file is made when it is needed.
            let _ = self.tasks.send(Task::Prepare(self.segment.ordinal + 1));
        }
    }

    /// Goes on in a new segment, though nothing is appended.
    pub(super) fn end_segment(&mut self, shared: &Shared, now: Now) -> Result<(), LogError> {
        self.check(shared)?;
        self.roll(shared, now)
    }

    /// Goes on in a new segment.
    fn roll(&mut self, shared: &Shared, now: Now) -> Result<(), LogError> {
        let next = shared.take_next(self.segment.ordinal + 1);
        let (ordinal, file) = next.map_err(|error| not_written(&error))?;
        // A start after a loss has a place too, and no message.
        let after = shared.last.load(Ordering::Relaxed);
        let segment = Arc::new(Segment::new(ordinal, file, after));
        let written = self.write_head(shared, &segment, now).and_then(|()| match shared.sync {
            Sync::Os => Ok(()),
            // Nearly always its name is there already.
            Sync::Always => shared.folder.sync().map_err(|error| not_written(&error)),
        });
        if let Err(error) = written {
            if let Some(segment) = Arc::into_inner(segment) {
                // It is as empty as it was, and is tried again.
                let _ = segment.file.set_len(0);
                *shared.next() = Some((ordinal, segment.file));
            }
            return Err(error);
        }
        shared.add_segment(&segment);
        let finished = std::mem::replace(&mut self.segment, segment);
        self.began_us = None;
        self.is_dirty = false;
        shared.is_next_asked_for.store(false, Ordering::Relaxed);
        let _ = self.tasks.send(Task::Seal(finished));
        Ok(())
    }

    fn write_head(&self, shared: &Shared, segment: &Segment, now: Now) -> Result<(), LogError> {
        let first_held = shared.view().first().map_or(segment.after, |oldest| oldest.after);
        let head = HeadLine {
            id: shared.epochs.id(segment.after),
            event: "segment".to_owned(),
            format: FORMAT.to_owned(),
            version: VERSION,
            segment: segment.ordinal,
            after: segment.after,
            time_us: now.unix_us,
            epochs: shared.epochs.since(first_held).iter().map(|span| (*span).into()).collect(),
            run: self.run.clone(),
        };
        let mut bytes = Vec::new();
        line::push(&mut bytes, Some(1), Kind::Head, 0, &Owner::nobody(), &json(&head)?);
        segment.file.write_all_at(&bytes, 0).map_err(|error| not_written(&error))?;
        segment.set_bytes(bytes.len() as u64);
        Ok(())
    }

    /// Writes the start that is running, and brings it to the disk: no place of it is given out
    /// before. If there is no room it is written with the first message.
    pub(super) fn write_start(&mut self, shared: &Shared, now: Now) -> Result<(), LogError> {
        let Some(span) = self.unwritten else { return Ok(()) };
        self.begin_segment(shared, now)?;
        self.bytes.clear();
        let json = self.start(span, now)?;
        line::push(&mut self.bytes, Some(1), Kind::Start, 0, &Owner::nobody(), &json);
        self.write_note(shared)?;
        self.unwritten = None;
        Ok(())
    }

    /// Writes one line that is no message, and brings it to the disk.
    fn write_note(&mut self, shared: &Shared) -> Result<(), LogError> {
        self.write(shared)?;
        let bytes = self.segment.bytes() + self.bytes.len() as u64;
        shared.sync_data(&self.segment, bytes)?;
        self.segment.set_bytes(bytes);
        Ok(())
    }

    /// Writes that the log ended as it should. Returns the line that says so, if it was written.
    pub(super) fn close(&mut self, shared: &Shared) -> Result<Option<Vec<u8>>, LogError> {
        if std::mem::replace(&mut self.is_closed, true) || shared.failure().is_some() {
            return Ok(None);
        }
        let last = shared.last.load(Ordering::Relaxed);
        let (id, event) = (shared.epochs.id(last), "end".to_owned());
        let ended = MarkLine { id, event, time_us: shared.clock.now().unix_us };
        self.bytes.clear();
        line::push(&mut self.bytes, Some(1), Kind::End, 0, &Owner::nobody(), &json(&ended)?);
        self.write_note(shared)?;
        Ok(Some(std::mem::take(&mut self.bytes)))
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, LogError> {
    serde_json::to_vec(value).map_err(|error| LogError::Refused(error.to_string()))
}

/// What it means that something was not written: nothing of it is there, and the next batch is
/// tried again.
pub(super) fn not_written(error: &io::Error) -> LogError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::Full,
        _ => LogError::Refused(error.to_string()),
    }
}

//! What nobody waits for: two threads that make the next file, seal what is finished, and bring to
//! the disk what was written.
//!
//! They are two so that sealing, which takes long, does not hold up a sync. A commit never waits
//! for either: what a file system makes others wait for is a sync, a new name or an unlink by the
//! thread that writes, not by another one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};

use super::folder::SyncedTo;
use super::scan::{self, Rest};
use super::segment::Segment;
use super::{Inner, Shared, Sync, summary};

/// Written pages are on their way to the disk after this long, so that a sync has little to do.
const WRITE_BACK_EVERY: Duration = Duration::from_millis(50);
/// What a machine that dies may lose with `--sync os`, and how late it is noticed that the folder
/// is gone.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Pages that are not full yet are left alone.
const PAGE: u64 = 4 << 10;

/// What there is to do with files.
#[derive(Debug)]
pub(super) enum Task {
    /// Make the file with this ordinal.
    Prepare(u64),
    /// Nothing is written to this one any more.
    Seal(Arc<Segment>),
    /// There is nothing more to do.
    Stop,
}

/// The two threads. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Threads {
    stop: Sender<()>,
    tasks: Sender<Task>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn start(
        inner: &Arc<Inner>,
        tasks: Sender<Task>,
        to_do: Receiver<Task>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = std::sync::mpsc::channel();
        let mut threads = Self { stop, tasks, handles: Vec::new() };
        let own = inner.clone();
        threads.spawn("log-sync", move || bring_to_disk(&own.shared, &stopped))?;
        let own = inner.clone();
        threads.spawn("log-files", move || {
            while let Ok(task) = to_do.recv() {
                match task {
                    Task::Prepare(ordinal) => own.shared.prepare(ordinal),
                    Task::Seal(segment) => own.finish(&segment),
                    Task::Stop => break,
                }
            }
        })?;
        Ok(threads)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        self.handles.push(std::thread::Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // One that has ended already needs not be told.
        let _ = self.stop.send(());
        let _ = self.tasks.send(Task::Stop);
        for handle in self.handles.drain(..) {
            if handle.join().is_err() {
                tracing::error!("a thread of the log ended in a panic");
            }
        }
    }
}

/// Has written pages brought to the disk until the log is closed.
fn bring_to_disk(shared: &Shared, stopped: &Receiver<()>) {
    let mut sent = (0, 0);
    let mut noted = None;
    let mut next_sync = Instant::now() + SYNC_EVERY;
    let mut is_quiet = true;
    loop {
        // A log that nobody writes to lets the machine sleep.
        let pause = if is_quiet { SYNC_EVERY } else { WRITE_BACK_EVERY };
        match stopped.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => break,
        }
        is_quiet = shared.sync == Sync::Always || !send_pages(shared, &mut sent);
        if is_quiet || Instant::now() >= next_sync {
            shared.sync_all(&mut noted);
            shared.look_at_folder();
            next_sync = Instant::now() + SYNC_EVERY;
        }
    }
    shared.sync_all(&mut noted);
}

/// Starts the writing of full pages and does not wait for it. Returns whether there were any.
fn send_pages(shared: &Shared, sent: &mut (u64, u64)) -> bool {
    let newest = shared.newest();
    let full = newest.bytes() / PAGE * PAGE;
    let from = if sent.0 == newest.ordinal { sent.1 } else { 0 };
    *sent = (newest.ordinal, full);
    if full <= from {
        return false;
    }
    // Linux begins to write what is dirty before it forgets what is not. These pages are dirty, so
    // none of them is forgotten; nothing is promised by this call, and nothing relies on it.
    let length = std::num::NonZero::new(full - from);
    if let Err(error) = fadvise(&newest.file, from, length, Advice::DontNeed) {
        tracing::debug!(%error, "pages could not be sent ahead of a sync");
    }
    true
}

impl Shared {
    /// Brings all that was written to the disk, older segments first, and notes how far it is.
    fn sync_all(&self, noted: &mut Option<SyncedTo>) {
        for segment in self.view().iter() {
            let bytes = segment.bytes();
            if segment.synced.load(Ordering::Acquire) < bytes
                && self.sync_data(segment, bytes).is_err()
            {
                return;
            }
        }
        self.synced_at.store(self.clock.now().since_boot_us, Ordering::Relaxed);
        let newest = self.newest();
        let bytes = newest.synced.load(Ordering::Acquire);
        let reached = SyncedTo { ordinal: newest.ordinal, bytes };
        if noted.replace(reached) != Some(reached)
            && let Err(error) = self.claim.note(reached)
        {
            tracing::debug!(%error, "it could not be noted how far the log is synced");
        }
    }

    /// Looks whether what is written can still be found.
    fn look_at_folder(&self) {
        let newest = self.newest();
        if self.folder.has_lost(newest.ordinal, &newest.file) {
            let path = self.folder.segment_path(newest.ordinal);
            self.fail(format!("{} was removed while it was written to", path.display()));
        }
    }
}

impl Inner {
    fn finish(&self, segment: &Segment) {
        // All topics of a segment take much memory for a moment: it goes back with its thread.
        let sealed = std::thread::scope(|scope| {
            let seal = || self.shared.seal(segment);
            std::thread::Builder::new()
                .name("log-seal".to_owned())
                .spawn_scoped(scope, seal)?
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        if let Err(error) = sealed {
            tracing::warn!(%error, segment = segment.ordinal, "a summary was not written");
        }
        self.expire(self.shared.clock.now());
    }
}

impl Shared {
    /// Makes the next file, with room on the disk and its name there too.
    fn prepare(&self, ordinal: u64) {
        let made = self.make_next(ordinal).and_then(|()| self.folder.sync());
        if let Err(error) = made {
            tracing::debug!(%error, ordinal, "a segment could not be made ahead");
        }
    }

    fn make_next(&self, ordinal: u64) -> std::io::Result<()> {
        let mut next = self.next();
        // It may have been made meanwhile, because it was needed.
        if next.is_none() && ordinal > self.newest().ordinal {
            let file = self.folder.create_segment(ordinal)?;
            let own = file.try_clone()?;
            *next = Some((ordinal, file));
            // A writer that needs it does not wait for its blocks.
            drop(next);
            // Beyond the end of the file: it stays a file of text. Not every file system can.
            let _ = fallocate(&own, FallocateFlags::KEEP_SIZE, 0, self.segment_bytes);
        }
        Ok(())
    }

    /// Writes the summary of a segment that is finished: read from the file, as after a crash.
    pub(super) fn seal(&self, segment: &Segment) -> std::io::Result<()> {
        let bytes = segment.bytes();
        // This frees what was set aside beyond the end.
        segment.file.set_len(bytes)?;
        if self.sync_data(segment, bytes).is_err() {
            return Ok(());
        }
        self.folder.sync()?;
        let content = scan::scan(&segment.file, bytes, Rest::Kept)?;
        let topics = summary::write(&self.folder, segment.ordinal, &content)?;
        let _ = segment.topics.set(topics);
        Ok(())
    }
}

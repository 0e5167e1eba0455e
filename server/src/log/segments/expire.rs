//! Retention: letting go of the oldest segments, whole.
//!
//! What is kept longer than asked is bounded: a segment ends after a tenth of the age, and goes
//! when its newest message is too old. Age is the time that passed, not what a clock on the wall
//! says it was: a step of that one deletes nothing early and keeps nothing for ever.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use doorbell_protocol::Topic;

use super::append::not_written;
use super::scan::{self, Rest};
use super::segment::Segment;
use super::{Inner, Shared};
use crate::clock::Now;
use crate::limits::{EXPIRE_MESSAGES_MAX, TOPICS_REMEMBERED_MAX};
use crate::log::LogError;

/// An age that a wall clock tells across a start is believed at once up to a day above what is
/// kept.
const DOUBTED_FROM: Duration = Duration::from_secs(24 * 3600);
/// A greater one is believed when that clock has stood for so long.
const DOUBTED_FOR: Duration = Duration::from_secs(600);

impl Inner {
    /// Lets go of all that is too old or too much. Publishers do not wait for it.
    pub(super) fn expire(&self, now: Now) {
        let _alone = self.retention.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &self.shared;
        loop {
            let view = shared.segments.load_full();
            shared.believe(&view, now);
            let Some((oldest, others)) = view.split_first() else { return };
            let bytes: u64 = view.iter().map(|segment| segment.bytes()).sum();
            let is_too_old = shared.is_too_old(oldest, now);
            let done = if let Some(next) = others.first() {
                // Damage may have left nothing of it.
                let is_due = oldest.is_empty() || is_too_old || bytes > shared.retention.bytes;
                is_due && self.let_go(oldest, next)
            } else {
                // The newest one is too old as a whole: the log has been idle for long.
                is_too_old && self.appender().end_segment(shared, now).is_ok()
            };
            if !done {
                return;
            }
        }
    }

    /// Lets go of the oldest segment. Returns false if that has to wait.
    fn let_go(&self, segment: &Arc<Segment>, next: &Segment) -> bool {
        let shared = &self.shared;
        if let Err(error) = shared.bring_to_disk(next) {
            let segment = segment.ordinal;
            tracing::warn!(%error, segment, "the oldest segment is kept: the next one is not synced");
            return false;
        }
        // Readers are told of what they miss before it is gone.
        if let Err(error) = shared.expire_topics(segment) {
            tracing::warn!(%error, segment = segment.ordinal, "the oldest segment cannot be read");
            return false;
        }
        let first_held = segment.last() + 1;
        shared.segments.rcu(|segments| {
            let held = |own: &&Arc<Segment>| own.ordinal != segment.ordinal;
            segments.iter().filter(held).cloned().collect::<Vec<_>>()
        });
        shared.owners.let_go(&segment.notes().owners);
        if let Some(feed) = shared.feed.get() {
            feed.trim(first_held);
        }
        if let Err(error) = shared.folder.remove_segment(segment.ordinal, &segment.file) {
            tracing::warn!(%error, segment = segment.ordinal, "an old segment cannot be removed");
        }
        true
    }
}

impl Shared {
    /// Brings to the disk what is the oldest segment now. Its head tells which places were given
    /// out: without that a log whose machine dies would begin anew, and give some of them again.
    fn bring_to_disk(&self, oldest: &Segment) -> Result<(), LogError> {
        if oldest.synced.load(Ordering::Acquire) == 0 {
            self.sync_data(oldest, oldest.bytes())?;
        }
        self.folder.sync().map_err(|error| not_written(&error))
    }

    /// Whether everything in a segment is older than what is kept.
    fn is_too_old(&self, segment: &Segment, now: Now) -> bool {
        let is_old = |touched| now.since_boot_us - touched > micros(self.retention.age);
        !segment.is_empty() && segment.touched().is_some_and(is_old)
    }

    /// Believes the wall clock once it has stood for long.
    fn believe(&self, segments: &[Arc<Segment>], now: Now) {
        if now.since_boot_us - self.opened.since_boot_us >= micros(DOUBTED_FOR) {
            let is_doubtful = |segment: &&Arc<Segment>| segment.touched().is_none();
            let doubtful: Vec<_> = segments.iter().filter(is_doubtful).collect();
            find_ages(&doubtful, self.retention.age, now, true);
        }
    }

    /// Notes in each topic what it loses, so that a quiet one is never told of a gap that it does
    /// not have. Some at a time: publishers look at the same topics.
    fn expire_topics(&self, segment: &Segment) -> io::Result<()> {
        let mut some = Vec::with_capacity(EXPIRE_MESSAGES_MAX);
        let mut take = |name: &str, last: u64| {
            if let Ok(topic) = name.parse::<Topic>() {
                some.push((topic, last));
            }
            if some.len() >= EXPIRE_MESSAGES_MAX {
                self.expire_some(&mut some);
            }
        };
        let table = segment.topics.get();
        let listed = table.map(|table| table.for_each(|name, row| take(name, row.last)));
        // There was no room for its summary, or it is damaged.
        if !matches!(listed, Some(Ok(()))) {
            let content = scan::scan(&segment.file, segment.bytes(), Rest::Kept)?;
            content.topics.iter().for_each(|(name, row)| take(name, row.last));
        }
        self.expire_some(&mut some);
        Ok(())
    }

    fn expire_some(&self, some: &mut Vec<(Topic, u64)>) {
        let places = some.iter().map(|(topic, seq)| (topic, *seq));
        self.heads.expire(places, TOPICS_REMEMBERED_MAX);
        some.clear();
    }
}

/// When a message was appended, in microseconds since the machine started, as the wall clock tells
/// it now. A stamp from the future tells nothing.
pub(super) fn touched_at(now: Now, time_us: u64) -> i64 {
    let age_us = now.unix_us.saturating_sub(time_us);
    now.since_boot_us.saturating_sub(i64::try_from(age_us).unwrap_or(i64::MAX))
}

/// Finds out how old segments are that were written before the log was opened, as the wall clock
/// tells it. Where it cannot be right, or has not stood for long and tells of a great age, that is
/// doubtful.
pub(super) fn find_ages(
    segments: &[&Arc<Segment>],
    retention_age: Duration,
    now: Now,
    is_believed: bool,
) {
    let doubted_us = retention_age.saturating_add(DOUBTED_FROM).as_micros();
    // What a message is no younger than, when no stamp can be right.
    let mut bound_us = now.unix_us;
    for segment in segments.iter().rev() {
        let times = segment.notes().times;
        // The clock may have been wrong when the newest message came: then the others know better.
        let stamps = [Some(times.newest), times.signed, Some(times.greatest)];
        let possible = stamps.into_iter().flatten().filter(|time_us| *time_us <= now.unix_us);
        let is_likely = |time_us: &u64| u128::from(now.unix_us - time_us) <= doubted_us;
        let likely = possible.clone().find(is_likely);
        bound_us = likely.or(possible.clone().next()).unwrap_or(bound_us);
        segment.set_touched(touched_at(now, bound_us), likely.is_none() && !is_believed);
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

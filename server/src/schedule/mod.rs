//! Messages that wait for their time: which they are, and when one is due.
//!
//! Each has a place in the log, of the moment at which it was accepted, and a name: its topic and
//! its sequence id. What is published under that name before it is due takes it away. It is kept
//! in memory, and in a file where the log is in files. How it is published is the hub's.
//!
//! **None is published twice.** It is published, and forgotten after that. A process that dies in
//! between finds in the log, at its next start, what was published under a name after the place of
//! the message that waits: it has been published then, or was taken away.
//!
//! **None waits too long.** It is due when the clock of the wall says so, and in any case after the
//! time that it was to wait when it was accepted, or when the server started.

pub(crate) mod moment;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorbell_protocol::limits::DELAY_SECONDS_MAX;
use doorbell_protocol::{Code, Draft, Error, Event, Filter, Id, Topic};
use foldhash::HashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Now;
use crate::limits::{
    PUBLISH_WAIT_MAX, SCHEDULE_BYTES_MAX, SCHEDULE_DEFAULT, SCHEDULE_DUE_MAX, SCHEDULE_FORGET,
    SCHEDULE_LINES_SPARE, SCHEDULE_SHARES,
};
use crate::log::{Entry, LogError, OpenError, Owner, Sync, WaitingFile};
use crate::message::Message;

/// What versions of one notification have in common.
pub(crate) type Series = (Topic, String);

/// A message that waits.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// As its publisher was told of it.
    pub(crate) message: Message,
    owner: Owner,
    /// When it is due, by the clock of the wall.
    due_us: u64,
    /// When it is due in any case, by the clock that never jumps.
    latest_us: i64,
}

impl Waiting {
    fn new(message: Message, owner: Owner, due_us: u64, now: Now) -> Self {
        let longest = DELAY_SECONDS_MAX * 1_000_000;
        let wait = due_us.saturating_sub(now.unix_us).min(longest);
        let latest_us = now.since_boot_us.saturating_add_unsigned(wait);
        Self { message, owner, due_us, latest_us }
    }

    fn id(&self) -> Id {
        self.message.id()
    }

    fn remaining_us(&self, now: Now) -> u64 {
        let by_wall = self.due_us.saturating_sub(now.unix_us);
        let latest = self.latest_us.saturating_sub(now.since_boot_us);
        by_wall.min(latest.try_into().unwrap_or(0))
    }

    /// What is to be published now.
    pub(crate) fn entry(&self) -> Option<Entry> {
        let draft = self.message.with_event(|event| event?.clone().into_draft().ok())?;
        let sequence_id = Some(name_of(&draft, self.id()).1);
        Some(Entry { draft: Draft { sequence_id, ..draft }, owner: self.owner.clone() })
    }
}

/// What is published under the sequence id of a draft, or under its own id if it has none.
fn name_of(draft: &Draft, id: Id) -> Series {
    let sequence_id = draft.sequence_id.clone().unwrap_or_else(|| id.to_string());
    (draft.topic.clone(), sequence_id)
}

/// All that wait.
#[derive(Debug)]
pub struct Schedule {
    /// Whether there is anywhere to wait.
    has_place: bool,
    max: usize,
    file: Option<WaitingFile>,
    state: Mutex<State>,
    /// Held by whoever adds, takes away, publishes or lists: these go one after the other, once
    /// what the file has is settled.
    turn: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<Series, Waiting>,
    bytes: usize,
    /// What waits no more and still stands in the file, and from when on it need not.
    gone: Vec<(i64, Id)>,
}

impl State {
    fn insert(&mut self, name: Series, waiting: Waiting) -> Option<Waiting> {
        self.bytes += waiting.message.weight();
        let before = self.waiting.insert(name, waiting);
        self.bytes -= before.as_ref().map_or(0, |before| before.message.weight());
        before
    }

    fn remove(&mut self, name: &Series) -> Option<Waiting> {
        let waiting = self.waiting.remove(name)?;
        self.bytes -= waiting.message.weight();
        Some(waiting)
    }
}

/// None waits yet, and those that will end with the process.
impl Default for Schedule {
    fn default() -> Self {
        Self::in_memory(SCHEDULE_DEFAULT)
    }
}

impl Schedule {
    /// So many may wait, and end with the process.
    pub fn in_memory(max: usize) -> Self {
        let turn = Arc::new(Semaphore::new(1));
        Self { has_place: true, max, file: None, state: Mutex::default(), turn }
    }

    /// None may wait: the server keeps nothing.
    pub fn nowhere() -> Self {
        Self { has_place: false, ..Self::in_memory(0) }
    }

    /// Those that wait in the folder of an opened log, which may be so many.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written.
    pub fn open(folder: &Path, sync: Sync, max: usize, now: Now) -> Result<Self, OpenError> {
        let (file, found) = WaitingFile::open(folder, sync)?;
        let mut state = State::default();
        for (message, owner) in found {
            // In the file a message has the time when it is due.
            let due_us = message.time_us();
            let draft = message.with_event(|event| event?.clone().into_draft().ok());
            if let Some(draft) = draft {
                let name = name_of(&draft, message.id());
                state.insert(name, Waiting::new(message, owner, due_us, now));
            }
        }
        let turn = Arc::new(Semaphore::new(0));
        Ok(Self { has_place: true, max, file: Some(file), state: Mutex::new(state), turn })
    }

    /// What the file has is settled: the turns begin.
    pub(crate) fn begin(&self) {
        if self.file.is_some() {
            self.turn.add_permits(1);
        }
    }

    /// Whether one of these is to wait, or takes one away that does.
    pub(crate) fn concerns(&self, entries: &[Entry]) -> bool {
        entries.iter().any(|Entry { draft, .. }| {
            let replaces = |id: &String| self.has(&(draft.topic.clone(), id.clone()));
            draft.due_us().is_some() || draft.sequence_id.as_ref().is_some_and(replaces)
        })
    }

    fn has(&self, name: &Series) -> bool {
        let state = self.state();
        !state.waiting.is_empty() && state.waiting.contains_key(name)
    }

    /// The turn of whoever changes what waits, or looks at it.
    ///
    /// # Errors
    ///
    /// It did not come in time.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        let turn = self.turn.clone().acquire_owned();
        let turn = tokio::time::timeout(PUBLISH_WAIT_MAX, turn).await.ok().and_then(Result::ok);
        turn.ok_or_else(|| {
            let text = "what waits for its time is not at hand; try again shortly";
            Error::new(Code::Unavailable, text)
        })
    }

    /// Whether another one of an owner may wait.
    ///
    /// # Errors
    ///
    /// There are as many as may be, or they hold as much; or so it is with the owner's share, if it
    /// is somebody's.
    pub(crate) fn check_room(&self, owner: &Owner, now: Now) -> Result<(), Error> {
        let state = self.state();
        if !self.has_place {
            let text = "this server takes no messages that are to be delivered later";
            return Err(Error::new(Code::DelayInvalid, text));
        }
        let full = |text: String| Err(Error::new(Code::StorageFull, text));
        if state.waiting.len() >= self.max {
            return full(format!("{} messages wait for their time, which is the limit", self.max));
        }
        if state.bytes >= SCHEDULE_BYTES_MAX {
            let bytes = state.bytes;
            let text = format!("messages that wait hold {bytes} bytes, limit {SCHEDULE_BYTES_MAX}");
            return full(text);
        }
        if *owner == Owner::nobody() {
            return Ok(());
        }
        let (mut count, mut bytes, mut next_us) = (0, 0, u64::MAX);
        for own in state.waiting.values().filter(|waiting| waiting.owner == *owner) {
            count += 1;
            bytes += own.message.weight();
            next_us = next_us.min(own.remaining_us(now));
        }
        let most = self.max.div_ceil(SCHEDULE_SHARES);
        if count < most && bytes < SCHEDULE_BYTES_MAX / SCHEDULE_SHARES {
            return Ok(());
        }
        let text = format!(
            "{count} messages of this visitor wait for their time and hold {bytes} bytes; its share \
             is {most} messages and {} bytes",
            SCHEDULE_BYTES_MAX / SCHEDULE_SHARES
        );
        let seconds = Duration::from_micros(next_us).as_secs() + 1;
        Err(Error::new(Code::TooManyMessages, text).with_retry_after(seconds))
    }

    /// Adds a message that has its place, in the stead of the one of its name. Blocks.
    ///
    /// # Errors
    ///
    /// It was not written.
    pub(crate) fn add(&self, message: Message, entry: &Entry, now: Now) -> Result<(), LogError> {
        let Some(due_us) = entry.draft.due_us() else { return Ok(()) };
        if let Some(file) = &self.file {
            file.add(&message, &entry.owner)?;
        }
        let name = name_of(&entry.draft, message.id());
        let waiting = Waiting::new(message, entry.owner.clone(), due_us, now);
        let mut state = self.state();
        if let Some(before) = state.insert(name, waiting)
            && self.file.is_some()
        {
            state.gone.push((now.since_boot_us, before.id()));
        }
        Ok(())
    }

    /// Takes away what waits under the name of something that was published at this place. It is
    /// forgotten later: what was published may not be on the disk yet.
    pub(crate) fn take(&self, name: &Series, published: u64, now: Now) {
        let mut state = self.state();
        if state.waiting.get(name).is_some_and(|waiting| waiting.message.seq() < published)
            && let Some(waiting) = state.remove(name)
            && self.file.is_some()
        {
            let forget_us = i64::try_from(SCHEDULE_FORGET.as_micros()).unwrap_or(i64::MAX);
            state.gone.push((now.since_boot_us.saturating_add(forget_us), waiting.id()));
        }
    }

    /// The first of those that are due.
    pub(crate) fn due(&self, now: Now) -> Vec<(Series, Waiting)> {
        let state = self.state();
        let mut due: Vec<_> = state.waiting.iter().collect();
        due.retain(|(_, waiting)| waiting.remaining_us(now) == 0);
        due.sort_by_key(|(_, waiting)| (waiting.due_us, waiting.id()));
        due.truncate(SCHEDULE_DUE_MAX);
        due.into_iter().map(|(name, waiting)| (name.clone(), waiting.clone())).collect()
    }

    /// How long it is until one is due; `None` if none waits.
    pub(crate) fn until_next(&self, now: Now) -> Option<Duration> {
        let state = self.state();
        let next = state.waiting.values().map(|waiting| waiting.remaining_us(now)).min();
        next.map(Duration::from_micros)
    }

    /// Those that wait for a filter, as they are due.
    pub(crate) fn list(&self, filter: &Filter) -> Vec<Message> {
        let state = self.state();
        let mut wanted: Vec<_> = state.waiting.values().collect();
        wanted.retain(|waiting| filter.matches(waiting.message.topic().as_str()));
        wanted.sort_by_key(|waiting| (waiting.due_us, waiting.id()));
        wanted.into_iter().map(|waiting| waiting.message.clone()).collect()
    }

    /// All that wait, in no order.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.state().waiting.values().map(|waiting| waiting.message.clone()).collect()
    }

    /// The topics of those that wait, with the place of the first of each.
    pub(crate) fn topics(&self) -> Vec<(Topic, u64)> {
        let mut topics = HashMap::<Topic, u64>::default();
        for ((topic, _), waiting) in &self.state().waiting {
            let first = topics.entry(topic.clone()).or_insert(u64::MAX);
            *first = waiting.message.seq().min(*first);
        }
        topics.into_iter().collect()
    }

    /// Whether the file is to be brought up to date.
    pub(crate) fn is_to_be_kept(&self) -> bool {
        self.file.as_ref().is_some_and(|file| !file.is_synced() || !self.state().gone.is_empty())
    }

    /// Brings the file up to date, and to the disk. Blocks.
    ///
    /// # Errors
    ///
    /// It was not written; it can be tried again.
    pub(crate) fn keep(&self, now: Now) -> Result<(), LogError> {
        let Some(file) = &self.file else { return Ok(()) };
        let (forgotten, later): (Vec<_>, Vec<_>) = {
            let gone = std::mem::take(&mut self.state().gone);
            gone.into_iter().partition(|(from, _)| *from <= now.since_boot_us)
        };
        let ids: Vec<_> = forgotten.iter().map(|(_, id)| *id).collect();
        let noted = if ids.is_empty() { Ok(()) } else { file.forget(&ids) };
        let mut state = self.state();
        state.gone.extend(later);
        if let Err(error) = noted {
            state.gone.extend(forgotten);
            return Err(error);
        }
        if state.gone.is_empty() && file.lines() > 2 * state.waiting.len() + SCHEDULE_LINES_SPARE {
            let of = |waiting: &Waiting| (waiting.message.clone(), waiting.owner.clone());
            let waiting: Vec<_> = state.waiting.values().map(of).collect();
            drop(state);
            return file.rewrite(&waiting);
        }
        drop(state);
        file.sync().map_err(|error| LogError::Refused(error.to_string()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name under which an event was published, if it has one.
pub(crate) fn name_in(message: &Message) -> Option<Series> {
    let sequence_id = |event: Option<&Event<'_>>| event?.sequence_id.as_deref().map(str::to_owned);
    Some((message.topic().clone(), message.with_event(sequence_id)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_makes_none_wait_longer_and_one_set_forward_makes_it_due() {
        let accepted = Now { unix_us: 1_000_000_000, since_boot_us: 5_000_000 };
        let id = doorbell_protocol::Epoch::from_bits(1).id(1);
        let message = Message::from_storage(id, 0, "t".parse().unwrap(), b"{}");
        let due_us = accepted.unix_us + 10_000_000;
        let waiting = Waiting::new(message, Owner::nobody(), due_us, accepted);
        let remaining = |unix_us: u64, since_boot_us: i64| {
            waiting.remaining_us(Now { unix_us, since_boot_us: since_boot_us + 5_000_000 })
        };
        assert_eq!(remaining(1_004_000_000, 4_000_000), 6_000_000);
        assert_eq!(remaining(0, 4_000_000), 6_000_000, "set back");
        assert_eq!(remaining(0, 10_000_000), 0, "set back");
        assert_eq!(remaining(9_000_000_000, 1), 0, "set forward");
    }
}

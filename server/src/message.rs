//! A stored message as the server holds it: encoded once, shared by every reader.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use doorbell_protocol::{Conditions, Draft, Epoch, Event, Frame, Gap, Id, Topic};

/// A message with its place. Clones share one allocation.
#[derive(Debug, Clone)]
pub struct Message(Arc<Stored>);

#[derive(Debug)]
struct Stored {
    id: Id,
    time_us: u64,
    topic: Topic,
    frame: Frame,
    /// Whether it is there for those who come later.
    is_kept: bool,
    /// Whether it is there for those who read already.
    is_told: bool,
    /// When this process accepted it, or had it from the one that did; absent on what was read back
    /// from storage.
    accepted: Option<Instant>,
}

impl Message {
    /// Gives a draft its place and encodes it. `expires` is in unix seconds. Of one that is to be
    /// published later it is the place alone, and tells when that will be.
    pub fn new(
        draft: &Draft,
        id: Id,
        time_us: u64,
        expires: Option<u64>,
        accepted: Instant,
    ) -> Self {
        let is_told = draft.due_us().is_none();
        let is_kept = draft.is_kept && is_told;
        let event_us = draft.due_us().unwrap_or(time_us);
        let expires = expires.filter(|_| is_kept);
        Self(Arc::new(Stored {
            id,
            time_us,
            topic: draft.topic.clone(),
            frame: Frame::new(id, &Event::message(draft, id, event_us, expires)),
            is_kept,
            is_told,
            accepted: is_told.then_some(accepted),
        }))
    }

    /// A message whose JSON was read back from storage.
    pub fn from_storage(id: Id, time_us: u64, topic: Topic, json: &[u8]) -> Self {
        let frame = Frame::from_json(id, json);
        let (is_kept, is_told) = (true, true);
        Self(Arc::new(Stored { id, time_us, topic, frame, is_kept, is_told, accepted: None }))
    }

    /// A message that another server accepted, and that came here just now.
    pub fn from_elsewhere(id: Id, time_us: u64, topic: Topic, json: &[u8], is_kept: bool) -> Self {
        let (frame, accepted) = (Frame::from_json(id, json), Some(Instant::now()));
        let is_told = true;
        Self(Arc::new(Stored { id, time_us, topic, frame, is_kept, is_told, accepted }))
    }

    /// The place.
    pub fn id(&self) -> Id {
        self.0.id
    }

    /// The place as a number.
    pub fn seq(&self) -> u64 {
        self.0.id.seq()
    }

    /// Unix microseconds of the acceptance, as the clock told it then: it may fall as the seq
    /// rises.
    pub fn time_us(&self) -> u64 {
        self.0.time_us
    }

    /// The topic.
    pub fn topic(&self) -> &Topic {
        &self.0.topic
    }

    /// Whether it is kept. Else only those get it who read already when it is published: the log
    /// has its place, and not its text.
    pub fn is_kept(&self) -> bool {
        self.0.is_kept
    }

    /// Whether it is for anybody now. Else it waits for its time: the log has its place.
    pub fn is_told(&self) -> bool {
        self.0.is_told
    }

    /// The encoded event.
    pub fn frame(&self) -> &Frame {
        &self.0.frame
    }

    /// The encoded event with what was lost before it, if anything was.
    pub fn frame_after(&self, gap: Option<&Gap>) -> Frame {
        match gap {
            None => self.0.frame.clone(),
            Some(gap) => self.0.frame.with_gap(self.0.id, gap),
        }
    }

    /// The members of the event.
    pub fn with_event<T>(&self, f: impl FnOnce(Option<&Event<'_>>) -> T) -> T {
        f(Event::parse(&self.0.frame.json()).ok().as_ref())
    }

    /// Whether it meets a reader's conditions.
    pub fn meets(&self, conditions: &Conditions) -> bool {
        self.with_event(|event| event.is_some_and(|event| conditions.met_by(event)))
    }

    /// The text alone on one line, for readers that know nothing but lines.
    pub fn raw_line(&self) -> Bytes {
        self.with_event(|event| {
            let text = event.and_then(|event| event.message.as_deref()).unwrap_or_default();
            let mut line = text.replace("\r\n", " ").replace(['\n', '\r'], " ");
            line.push('\n');
            line.into()
        })
    }

    /// When this process accepted it, or had it from the one that did.
    pub fn accepted(&self) -> Option<Instant> {
        self.0.accepted
    }

    /// Bytes that it keeps in memory, its share of the structures around it included.
    pub fn weight(&self) -> usize {
        const OVERHEAD: usize = 128;
        self.0.frame.len() + OVERHEAD
    }
}

/// The topics and seqs of those that are kept.
pub fn kept(messages: &[Message]) -> impl Iterator<Item = (&Topic, u64)> {
    let kept = messages.iter().filter(|message| message.is_kept());
    kept.map(|message| (message.topic(), message.seq()))
}

/// Gives each message of a batch its place after `last`.
///
/// `retention_age_us` sets the events' `expires`, where retention by age is on.
pub fn number_batch<'a>(
    drafts: impl Iterator<Item = &'a Draft>,
    epoch: Epoch,
    last: u64,
    time_us: u64,
    retention_age_us: Option<u64>,
) -> Vec<Message> {
    let expires = retention_age_us.map(|age| (time_us.saturating_add(age)) / 1_000_000);
    let accepted = Instant::now();
    (last + 1..)
        .zip(drafts)
        .map(|(seq, draft)| Message::new(draft, epoch.id(seq), time_us, expires, accepted))
        .collect()
}

//! The tail: what the stream tells of, brought into one unbroken order and told to the feed.
//!
//! The stream's leader tells every front of each message that is stored. That is quick and may be
//! lost on its way, so a place that is missing is fetched before anything behind it is told; and
//! that nothing more is missing is learnt by asking the leader for its end, once a second and
//! whenever the connection was another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Subscriber;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Shared;
use super::client::{FETCH_MESSAGES_MAX, Held, SourceFault};
use super::payload::Payload;
use crate::message::{Message, kept};

/// Messages that are told together.
const TOLD_AT_ONCE: usize = 256;
/// How soon a replica that lags, or a cluster without a leader, is asked again.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How often the leader is asked where the stream ends.
const LOOK: Duration = Duration::from_secs(1);
/// How long the leader may give no answer before that is told.
const SILENT_MAX: Duration = Duration::from_millis(2500);
/// How long the stream may end before what was told of it, as a new leader may say for a moment.
const SHORTER_MAX: Duration = Duration::from_secs(30);

/// Tells the feed of everything behind a place, until the log is closed.
pub(super) async fn follow(shared: Arc<Shared>, mut live: Subscriber, from: u64) {
    let mut end = shared.end.subscribe();
    // What there was before is looked for at once.
    end.mark_changed();
    let mut follower = Follower { shared, last: from, told: Vec::new() };
    loop {
        let next = tokio::select! {
            next = live.next() => match next {
                Some(message) => Some(message),
                // The client was closed.
                None => return,
            },
            changed = end.changed() => match changed {
                Ok(()) => None,
                Err(_) => return,
            },
        };
        let mut next = next;
        while let Some(message) = next {
            if let Some(held) = follower.shared.source.held(message) {
                follower.take(held).await;
            }
            let is_enough = follower.told.len() >= TOLD_AT_ONCE;
            next = if is_enough { None } else { live.next().now_or_never().flatten() };
        }
        follower.tell();
        let known = *end.borrow_and_update();
        if known > follower.last {
            follower.fill(known + 1).await;
            follower.tell();
        }
    }
}

struct Follower {
    shared: Arc<Shared>,
    /// The newest place that was brought into order.
    last: u64,
    /// What is in order and was not told yet.
    told: Vec<Message>,
}

impl Follower {
    /// Takes what came, and first what is missing before it.
    async fn take(&mut self, held: Held) {
        if held.seq > self.last + 1 {
            self.fill(held.seq).await;
        }
        self.append(&held);
    }

    /// Fetches what is missing before a place, as long as it takes.
    async fn fill(&mut self, before: u64) {
        while self.last + 1 < before {
            self.shared.counters.fills.fetch_add(1, Ordering::Relaxed);
            let from = self.last + 1;
            let most = usize::try_from(before - from).unwrap_or(FETCH_MESSAGES_MAX);
            let fetched = match self.shared.source.fetch(None, from, most).await {
                Ok(fetched) => fetched,
                Err(fault) => {
                    tracing::debug!(%fault, from, "what is missing could not be fetched");
                    sleep(ASK_AGAIN).await;
                    continue;
                }
            };
            let is_whole = fetched.held.first().is_some_and(|first| first.seq == from);
            if !is_whole && !self.pass(from, before, fetched.held.first()).await {
                sleep(ASK_AGAIN).await;
                continue;
            }
            for held in fetched.held {
                self.append(&held);
                if self.told.len() >= TOLD_AT_ONCE {
                    self.tell();
                }
            }
        }
    }

    /// Goes on although a place has nothing any more: it was not to be kept, or retention let go of
    /// it before it could be told here. Returns false if it may still come.
    async fn pass(&mut self, from: u64, before: u64, next: Option<&Held>) -> bool {
        let Ok(Some(info)) = self.shared.source.info().await else { return false };
        let first = info.state.first_sequence;
        if first > from {
            self.tell();
            self.last = (first - 1).min(before - 1);
            self.shared.pass_untold(self.last);
            return true;
        }
        // A replica that has a later place has all before it that there are.
        let next = next.map(|held| held.seq);
        let next = match next {
            Some(next) => Some(next),
            None => {
                let all = self.shared.source.names.all_stored();
                match self.shared.source.next_at_leader(&all, from).await {
                    // It is there, and the replica that was asked lags.
                    Ok(Some(next)) if next < before => return false,
                    Ok(next) => next,
                    Err(_) => return false,
                }
            }
        };
        self.last = next.map_or(before - 1, |next| (next - 1).min(before - 1));
        true
    }

    /// Adds what comes next in order; what was had already is passed over.
    fn append(&mut self, held: &Held) {
        if held.seq <= self.last {
            return;
        }
        self.last = held.seq;
        let Some(message) = self.shared.message(held, true) else { return };
        self.told.push(message.clone());
        if let Some(message_id) = &held.message_id {
            self.shared.own.note(message_id, message);
        }
    }

    /// Tells the feed, and then the publisher whose messages these were.
    fn tell(&mut self) {
        self.shared.tell(&self.told, self.last);
        self.told.clear();
    }
}

impl Shared {
    /// The message at a place; `None` if it is none of ours.
    pub(super) fn message(&self, held: &Held, is_live: bool) -> Option<Message> {
        let stored = Payload::read(&held.payload)?;
        let (id, topic) = (self.epochs.id(held.seq), held.topic.clone()?);
        let (time_us, json) = (stored.time_us, stored.json(id));
        Some(if is_live {
            Message::from_elsewhere(id, time_us, topic, &json, stored.is_kept)
        } else {
            Message::from_storage(id, time_us, topic, &json)
        })
    }

    /// Makes messages visible: the heads know them, the feed is told, and who published them.
    fn tell(&self, messages: &[Message], last: u64) {
        let feed = self.feed();
        let known = self.heads_known.load(Ordering::Relaxed);
        self.heads.advance(kept(messages).filter(|(_, seq)| *seq > known));
        self.told.send_if_modified(|told| {
            let is_news = last > *told;
            *told = last.max(*told);
            is_news
        });
        feed.iter().for_each(|feed| feed.push(messages));
        drop(feed);
        self.own.answer();
    }

    /// Goes on behind what retention let go before this front was told of it.
    fn pass_untold(&self, through: u64) {
        tracing::warn!(through, "retention let go of messages before this front had them");
        let feed = self.feed();
        self.untold.fetch_max(through, Ordering::AcqRel);
        self.told.send_modify(|told| *told = through.max(*told));
        feed.iter().for_each(|feed| feed.skip(through));
    }
}

/// Looks how it stands with the stream, once a second and whenever it is asked to.
pub(super) async fn look(shared: Arc<Shared>, mut asked: watch::Receiver<u64>) {
    let mut shorter_since: Option<Instant> = None;
    loop {
        match shared.source.info().await {
            Ok(Some(info)) => {
                shared.note_contact();
                if let Some(failure) = shared.other_log(&info) {
                    shared.fail(failure);
                    return;
                }
                let (last, told) = (info.state.last_sequence, *shared.told.borrow());
                if last >= told {
                    shorter_since = None;
                } else if shorter_since.get_or_insert_with(Instant::now).elapsed() > SHORTER_MAX {
                    let name = &shared.source.names.stream;
                    shared.fail(format!(
                        "the stream {name} ends at {last}, and messages up to {told} were there"
                    ));
                    return;
                }
                shared.note_state(&info);
            }
            Ok(None) => {
                shared.fail(format!("the stream {} is gone", shared.source.names.stream));
                return;
            }
            Err(SourceFault::Refused { text, .. }) => shared.note_silence(&text, Duration::ZERO),
            Err(SourceFault::Away(text)) => shared.note_silence(&text, SILENT_MAX),
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            changed = asked.changed() => if changed.is_err() { return },
        }
    }
}

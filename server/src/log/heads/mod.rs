//! What is known of each topic without looking at the log: its newest message, and the newest one
//! that retention let go.
//!
//! A message of a known topic costs a look into a table. What a filter selects is found in steps
//! ([`HeadSearch`]), each of which keeps publishers waiting no longer than its bound.

mod branches;
mod search;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use doorbell_protocol::Topic;

use self::branches::Branches;
use super::Selection;
use crate::limits::TOPICS_FORGOTTEN_MAX;

pub use self::search::{Expired, Finding, HeadSearch, Latest, Newest};

/// One topic's entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicHead {
    /// The newest message, whether or not it is still held.
    pub newest: u64,
    /// The newest message that retention let go, 0 if none was.
    pub expired: u64,
}

impl TopicHead {
    fn holds_some(self) -> bool {
        self.newest > self.expired
    }
}

/// The heads of all topics. It moves only after a batch is stored.
#[derive(Debug, Default)]
pub struct Heads(RwLock<Known>);

/// The topics, in the ways in which they are looked for.
#[derive(Debug, Default)]
struct Known {
    topics: HashMap<Topic, KnownTopic, foldhash::fast::RandomState>,
    in_order: BTreeSet<Topic>,
    branches: Branches,
    /// Those that hold no message any more, each with its newest one.
    idle: BTreeSet<(u64, Topic)>,
    /// The newest expired message of all topics whose entry was dropped: what is not in the map may
    /// have lost messages up to here.
    forgotten: u64,
}

#[derive(Debug)]
struct KnownTopic {
    head: TopicHead,
    /// The longest branch that it is on.
    branch: usize,
}

impl Heads {
    /// Notes a stored message. Call in the order of the seqs.
    pub fn advance<'a>(&self, messages: impl Iterator<Item = (&'a Topic, u64)>) {
        let mut known = self.known_mut();
        let known = &mut *known;
        for (topic, seq) in messages {
            let Some(entry) = known.topics.get_mut(topic) else {
                // One that was forgotten and comes back may have lost messages up to the mark.
                known.add(topic.clone(), TopicHead { newest: seq, expired: known.forgotten });
                continue;
            };
            if !entry.head.holds_some() {
                known.idle.remove(&(entry.head.newest, topic.clone()));
            }
            entry.head.newest = seq;
            known.branches.advance(entry.branch, seq);
        }
    }

    /// Puts back what an engine stored of topics, older messages first: the newest message of each,
    /// and what was let go when the first of them is told.
    pub fn restore<'a>(&self, topics: impl Iterator<Item = (&'a str, TopicHead)>) {
        let mut known = self.known_mut();
        for (name, head) in topics {
            known.restore(name, head);
        }
    }

    /// Puts back how far messages of forgotten topics were let go.
    pub fn restore_forgotten(&self, seq: u64) {
        self.known_mut().forgotten = seq;
    }

    /// Notes that retention let go of these messages, then forgets topics that hold none any more,
    /// those first that are idle for longest, if there are more than `topics_max`: some at a time.
    /// Returns the forgotten ones and the mark to store.
    pub fn expire<'a>(
        &self,
        messages: impl Iterator<Item = (&'a Topic, u64)>,
        topics_max: usize,
    ) -> (Vec<Topic>, u64) {
        let mut known = self.known_mut();
        for (topic, seq) in messages {
            known.expire(topic, seq);
        }
        let mut gone = Vec::new();
        while known.topics.len() > topics_max && gone.len() < TOPICS_FORGOTTEN_MAX {
            let Some(topic) = known.forget_one() else { break };
            gone.push(topic);
        }
        (gone, known.forgotten)
    }

    /// The newest message of each of these topics. One that is not known may have been forgotten:
    /// its messages were let go up to the place that stands for it, which is 0 if none ever was.
    pub fn newest_of<'a>(&self, topics: impl Iterator<Item = &'a Topic>) -> Vec<u64> {
        let known = self.known();
        let newest = |topic| known.head(topic).map_or(known.forgotten, |head| head.newest);
        topics.map(newest).collect()
    }

    /// The head of one topic.
    pub fn get(&self, topic: &Topic) -> Option<TopicHead> {
        self.known().head(topic)
    }

    /// Hands out the heads of all topics, by name. Publishers wait for as long as it takes.
    pub fn for_each(&self, mut take: impl FnMut(&Topic, TopicHead)) {
        let known = self.known();
        for topic in &known.in_order {
            take(topic, known.head(topic).unwrap_or_default());
        }
    }

    /// How many topics are known.
    pub fn len(&self) -> usize {
        self.known().topics.len()
    }

    /// Whether no topic is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest message that the selection wanted and retention let go, 0 if none was. It may
    /// take long where patterns select much.
    pub fn newest_expired(&self, selection: &Selection<'_>) -> u64 {
        let expired = |filter| HeadSearch::new(filter, Expired::default()).finish(self).seq();
        selection.0.iter().map(expired).max().unwrap_or_default()
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn head(&self, topic: &Topic) -> Option<TopicHead> {
        self.topics.get(topic).map(|entry| entry.head)
    }

    /// What is the newest of all topics that go on behind a prefix; `None` if that is not kept.
    fn branch(&self, prefix: &str) -> Option<TopicHead> {
        self.branches.get(prefix)
    }

    /// The topics from a name on, in the order of their bytes.
    fn in_order<'a>(&'a self, from: &str) -> impl Iterator<Item = &'a Topic> + use<'a> {
        self.in_order.range::<str, _>((Bound::Included(from), Bound::Unbounded))
    }

    fn add(&mut self, topic: Topic, head: TopicHead) {
        let branch = self.branches.add(topic.as_str(), head);
        if !head.holds_some() {
            self.idle.insert((head.newest, topic.clone()));
        }
        self.in_order.insert(topic.clone());
        self.topics.insert(topic, KnownTopic { head, branch });
    }

    fn restore(&mut self, name: &str, head: TopicHead) {
        // Looked up first: most topics are known by then, and a name costs an allocation.
        match self.topics.get_mut(name) {
            Some(known) => {
                known.head.newest = known.head.newest.max(head.newest);
                self.branches.advance(known.branch, head.newest);
            }
            None => {
                if let Ok(topic) = name.parse() {
                    self.add(topic, head);
                }
            }
        }
    }

    fn expire(&mut self, topic: &Topic, seq: u64) {
        let Some(KnownTopic { head, branch }) = self.topics.get_mut(topic) else { return };
        let held_some = head.holds_some();
        head.expired = head.expired.max(seq);
        self.branches.expire(*branch, seq);
        if held_some && !head.holds_some() {
            self.idle.insert((head.newest, topic.clone()));
        }
    }

    /// Forgets the topic that is idle for longest. As the oldest messages are let go first, one
    /// with the newest message of a branch is the last that is idle there.
    fn forget_one(&mut self) -> Option<Topic> {
        let (_, topic) = self.idle.pop_first()?;
        self.in_order.remove(&topic);
        self.branches.remove(topic.as_str());
        let entry = self.topics.remove(&topic)?;
        self.forgotten = self.forgotten.max(entry.head.expired);
        Some(topic)
    }
}

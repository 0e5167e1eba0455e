//! What is known of each topic without looking at the log: its newest message, and the newest one
//! that retention let go.

use std::sync::{PoisonError, RwLock};

use doorbell_protocol::Topic;
use foldhash::HashMap;

use super::Selection;

/// One topic's entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicHead {
    /// The newest message, whether or not it is still held.
    pub newest: u64,
    /// The newest message that retention let go, 0 if none was.
    pub expired: u64,
}

/// The heads of all topics. It moves only after a batch is stored.
#[derive(Debug, Default)]
pub struct Heads(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    topics: HashMap<Topic, TopicHead>,
    /// The newest expired message of all topics whose entry was dropped: what is not in the map may
    /// have lost messages up to here.
    forgotten: u64,
}

impl Heads {
    /// Notes a stored message. Call in the order of the seqs.
    pub fn advance<'a>(&self, messages: impl Iterator<Item = (&'a Topic, u64)>) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        for (topic, seq) in messages {
            match inner.topics.get_mut(topic) {
                Some(head) => head.newest = seq,
                None => {
                    // One that was forgotten and comes back may have lost messages up to the mark.
                    let head = TopicHead { newest: seq, expired: inner.forgotten };
                    inner.topics.insert(topic.clone(), head);
                }
            }
        }
    }

    /// Puts back what an engine stored of a topic.
    pub fn restore(&self, topic: Topic, head: TopicHead) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.topics.insert(topic, head);
    }

    /// Puts back how far messages of forgotten topics were let go.
    pub fn restore_forgotten(&self, seq: u64) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).forgotten = seq;
    }

    /// Notes that retention let go of these messages, then forgets topics that hold none any more
    /// if there are more than `topics_max`. Returns the forgotten ones and the mark to store.
    pub fn expire<'a>(
        &self,
        messages: impl Iterator<Item = (&'a Topic, u64)>,
        topics_max: usize,
    ) -> (Vec<Topic>, u64) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (topic, seq) in messages {
            if let Some(head) = inner.topics.get_mut(topic) {
                head.expired = head.expired.max(seq);
            }
        }
        let mut gone = Vec::new();
        if inner.topics.len() > topics_max {
            let mut forgotten = inner.forgotten;
            inner.topics.retain(|topic, head| {
                let holds_some = head.newest > head.expired;
                if !holds_some {
                    forgotten = forgotten.max(head.expired);
                    gone.push(topic.clone());
                }
                holds_some
            });
            inner.forgotten = forgotten;
        }
        (gone, inner.forgotten)
    }

    /// The head of one topic.
    pub fn get(&self, topic: &Topic) -> Option<TopicHead> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).topics.get(topic).copied()
    }

    /// How many topics are known.
    pub fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).topics.len()
    }

    /// Whether no topic is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest message that the selection wants, 0 if there never was one.
    pub fn newest(&self, selection: &Selection<'_>) -> u64 {
        self.fold(selection, 0, |newest, head| newest.max(head.newest))
    }

    /// The newest message that the selection wanted and retention let go, 0 if none was.
    pub fn newest_expired(&self, selection: &Selection<'_>) -> u64 {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let expired = |topic| inner.topics.get(topic).map_or(inner.forgotten, |head| head.expired);
        match selection.exact() {
            Some(topics) => topics.into_iter().map(expired).max().unwrap_or_default(),
            None => {
                let wanted = inner.topics.iter().filter(|(topic, _)| selection.matches(topic));
                wanted.map(|(_, head)| head.expired).fold(inner.forgotten, u64::max)
            }
        }
    }

    /// The newest held message of each wanted topic, rising, at most the `limit` newest ones.
    pub fn latest(&self, selection: &Selection<'_>, limit: usize) -> Vec<u64> {
        let mut latest = self.fold(selection, Vec::new(), |mut latest, head| {
            if head.newest > head.expired {
                latest.push(head.newest);
            }
            latest
        });
        latest.sort_unstable();
        latest.split_off(latest.len().saturating_sub(limit))
    }

    fn fold<T>(&self, selection: &Selection<'_>, start: T, f: impl FnMut(T, TopicHead) -> T) -> T {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match selection.exact() {
            Some(topics) => topics
                .into_iter()
                .filter_map(|topic| inner.topics.get(topic).copied())
                .fold(start, f),
            None => {
                let wanted = inner.topics.iter().filter(|(topic, _)| selection.matches(topic));
                wanted.map(|(_, head)| *head).fold(start, f)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_topic_that_comes_back_may_have_lost_messages() {
        let heads = Heads::default();
        let topic: Topic = "a".parse().unwrap();
        let filters = ["a".parse().unwrap()];
        heads.advance([(&topic, 7)].into_iter());
        let (gone, forgotten) = heads.expire([(&topic, 7)].into_iter(), 0);
        assert_eq!((gone, forgotten), (vec![topic.clone()], 7));
        heads.advance([(&topic, 9)].into_iter());
        assert_eq!(heads.newest_expired(&Selection(&filters)), 7);
        assert_eq!(heads.latest(&Selection(&filters), 9), [9]);
    }
}

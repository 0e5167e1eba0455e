//! The newest messages of all topics that begin alike: a branch is their common beginning, of one
//! segment or a few. It knows nothing of the topics themselves.

use foldhash::HashMap;
use slab::Slab;

use super::TopicHead;
use crate::limits::BRANCH_SEGMENTS_MAX;

/// Every branch that has a topic, and the root, which all topics are below.
#[derive(Debug)]
pub(super) struct Branches {
    all: Slab<Branch>,
    by_prefix: HashMap<Box<str>, usize>,
}

#[derive(Debug, Default)]
struct Branch {
    /// The newest of each of its topics. They never fall.
    head: TopicHead,
    parent: usize,
    topics: usize,
}

/// The branch of all topics.
const ROOT: usize = 0;

impl Default for Branches {
    fn default() -> Self {
        let mut all = Slab::new();
        all.insert(Branch::default());
        Self { all, by_prefix: HashMap::default() }
    }
}

impl Branches {
    /// Adds a topic. Returns the longest branch that it is on.
    pub(super) fn add(&mut self, topic: &str, head: TopicHead) -> usize {
        let mut branch = ROOT;
        self.all[ROOT].topics += 1;
        for prefix in prefixes(topic) {
            branch = match self.by_prefix.get(prefix) {
                Some(child) => *child,
                None => {
                    let child = self.all.insert(Branch { parent: branch, ..Branch::default() });
                    self.by_prefix.insert(prefix.into(), child);
                    child
                }
            };
            self.all[branch].topics += 1;
        }
        self.advance(branch, head.newest);
        self.expire(branch, head.expired);
        branch
    }

    /// Takes a topic away.
    pub(super) fn remove(&mut self, topic: &str) {
        self.all[ROOT].topics -= 1;
        if self.all[ROOT].topics == 0 {
            self.all[ROOT].head = TopicHead::default();
        }
        for prefix in prefixes(topic) {
            let Some(branch) = self.by_prefix.get(prefix).copied() else { return };
            self.all[branch].topics -= 1;
            if self.all[branch].topics == 0 {
                self.all.remove(branch);
                self.by_prefix.remove(prefix);
            }
        }
    }

    /// Notes a message on a branch, and so on those that it is part of.
    pub(super) fn advance(&mut self, branch: usize, newest: u64) {
        self.note(branch, |head| head.newest = head.newest.max(newest));
    }

    /// Notes a message that retention let go.
    pub(super) fn expire(&mut self, branch: usize, expired: u64) {
        self.note(branch, |head| head.expired = head.expired.max(expired));
    }

    fn note(&mut self, mut branch: usize, change: impl Fn(&mut TopicHead)) {
        loop {
            let own = &mut self.all[branch];
            change(&mut own.head);
            if branch == ROOT {
                return;
            }
            branch = own.parent;
        }
    }

    /// The newest of all topics that go on behind a prefix; `None` if that is not kept.
    pub(super) fn get(&self, prefix: &str) -> Option<TopicHead> {
        let branch = if prefix.is_empty() { ROOT } else { *self.by_prefix.get(prefix)? };
        Some(self.all[branch].head)
    }

    /// How many branches are kept beside the root.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_prefix.len()
    }
}

/// The prefixes of a topic that branches are kept of.
fn prefixes(topic: &str) -> impl Iterator<Item = &str> {
    topic.match_indices('.').take(BRANCH_SEGMENTS_MAX).map(|(at, _)| &topic[..at])
}

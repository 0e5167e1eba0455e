//! What is asked of the heads of all topics that a filter selects, answered in steps: between two
//! of them publishers come in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use doorbell_protocol::{Filter, Topic};

use super::walk::Walk;
use super::{Heads, TopicHead};
use crate::limits::HEAD_STEPS_MAX;

/// A question that is being answered.
#[derive(Debug)]
pub struct HeadSearch<F> {
    filter: Filter,
    /// `None` if all topics are named.
    walk: Option<Walk>,
    found: F,
}

/// What is looked for.
pub trait Finding: Send + 'static {
    /// Whether the newest of many topics will do for all of them.
    const BY_BRANCH: bool;

    /// Takes the head of a topic that is selected, or what is the newest on a branch.
    fn add(&mut self, topic: &Topic, head: TopicHead);

    /// Takes how far topics may have lost messages that are forgotten.
    fn add_forgotten(&mut self, _: u64) {}
}

impl<F: Finding> HeadSearch<F> {
    /// A question about what a filter selects.
    pub fn new(filter: &Filter, found: F) -> Self {
        let walk = filter.exact().is_none().then(|| Walk::new(filter));
        Self { filter: filter.clone(), walk, found }
    }

    /// Goes on with it for a while, during which no publisher comes in. Breaks with all that is
    /// found.
    ///
    /// What was there when it began is found; of what comes meanwhile some may be.
    pub fn go_on(mut self, heads: &Heads) -> ControlFlow<F, Self> {
        let Self { filter, walk, found } = &mut self;
        let known = heads.known();
        match walk {
            Some(walk) => {
                let mut add = |topic: &Topic, head| found.add(topic, head);
                let is_all = walk.go_on(&known, HEAD_STEPS_MAX, F::BY_BRANCH, &mut add);
                found.add_forgotten(known.forgotten);
                if !is_all {
                    return ControlFlow::Continue(self);
                }
            }
            None => {
                for topic in filter.exact().into_iter().flatten() {
                    match known.head(topic) {
                        Some(head) => found.add(topic, head),
                        None => found.add_forgotten(known.forgotten),
                    }
                }
            }
        }
        ControlFlow::Break(self.found)
    }

    /// What was found so far.
    pub fn found(&self) -> &F {
        &self.found
    }

    /// All that there is. It may take long.
    pub fn finish(mut self, heads: &Heads) -> F {
        loop {
            match self.go_on(heads) {
                ControlFlow::Continue(search) => self = search,
                ControlFlow::Break(found) => return found,
            }
        }
    }
}

/// The newest message of all topics; 0 if there never was one.
#[derive(Debug, Default)]
pub struct Newest(u64);

impl Newest {
    /// Its seq.
    pub fn seq(&self) -> u64 {
        self.0
    }
}

impl Finding for Newest {
    const BY_BRANCH: bool = true;

    fn add(&mut self, _: &Topic, head: TopicHead) {
        self.0 = self.0.max(head.newest);
    }
}

/// The newest message that retention let go, 0 if none was.
#[derive(Debug, Default)]
pub struct Expired(u64);

impl Expired {
    /// Its seq.
    pub fn seq(&self) -> u64 {
        self.0
    }
}

impl Finding for Expired {
    const BY_BRANCH: bool = true;

    fn add(&mut self, _: &Topic, head: TopicHead) {
        self.0 = self.0.max(head.expired);
    }

    fn add_forgotten(&mut self, forgotten: u64) {
        self.0 = self.0.max(forgotten);
    }
}

/// The newest held message of each topic, as many of them as are asked for.
#[derive(Debug)]
pub struct Latest {
    /// Those that are the newest so far, the oldest of them first.
    seqs: BinaryHeap<Reverse<u64>>,
    limit: usize,
}

impl Latest {
    /// Nothing so far, and at most the `limit` newest ones.
    pub fn new(limit: usize) -> Self {
        Self { seqs: BinaryHeap::new(), limit }
    }

    /// Their seqs, rising.
    pub fn seqs(self) -> Vec<u64> {
        let mut seqs: Vec<u64> = self.seqs.into_iter().map(|Reverse(seq)| seq).collect();
        seqs.sort_unstable();
        seqs
    }
}

impl Finding for Latest {
    const BY_BRANCH: bool = false;

    fn add(&mut self, _: &Topic, head: TopicHead) {
        if head.newest > head.expired {
            self.seqs.push(Reverse(head.newest));
            if self.seqs.len() > self.limit {
                self.seqs.pop();
            }
        }
    }
}

//! Through the topics that a filter selects, in the order of their names, a few at a time: what
//! lies between them is leapt over, and where all that begins alike is wanted, its branch tells.
//!
//! Between two steps there is nothing but a name to go on from. So topics may come and go: one that
//! was there all the time is found.

use doorbell_protocol::topic::Pattern;
use doorbell_protocol::{Filter, Topic};

use super::{Known, TopicHead};
use crate::patterns::{PatternTrie, ROOT, first_segment};

/// How far a walk has come.
#[derive(Debug)]
pub(super) struct Walk {
    wanted: PatternTrie<()>,
    excluded: PatternTrie<()>,
    /// It goes on at this name, or the first one above it; `None` at the end.
    place: Option<String>,
}

/// How a walk goes on behind a topic.
#[derive(Debug)]
enum Next {
    /// With the next topic.
    Topic,
    /// At a name.
    At(String),
    /// Nowhere: what is left is not selected.
    End,
}

impl Walk {
    /// A walk that has not begun.
    pub(super) fn new(filter: &Filter) -> Self {
        let trie = |patterns: &[Pattern]| {
            let mut trie = PatternTrie::default();
            for pattern in patterns {
                *trie.value_mut(pattern.as_str()) = ();
            }
            trie
        };
        Self {
            wanted: trie(filter.patterns()),
            excluded: trie(filter.excluded()),
            place: Some(String::new()),
        }
    }

    /// Goes on for so many steps, each of which holds a segment against a pattern. Returns whether
    /// it has come to the end.
    ///
    /// What is selected is told to `found`: a topic or, where `by_branch` allows that, one topic of
    /// a branch with what is the newest on it.
    pub(super) fn go_on(
        &mut self,
        known: &Known,
        mut steps: usize,
        by_branch: bool,
        found: &mut impl FnMut(&Topic, TopicHead),
    ) -> bool {
        while let Some(place) = self.place.take() {
            let mut last = None;
            let mut topics = known.in_order(&place);
            self.place = loop {
                if steps == 0 {
                    // Behind the last one there is no name before this.
                    break Some(last.map_or(place, |last: &Topic| format!("{last}\0")));
                }
                let Some(topic) = topics.next() else { break None };
                last = Some(topic);
                match self.look_at(known, topic, &mut steps, by_branch, found) {
                    Next::Topic => {}
                    Next::At(name) => break Some(name),
                    Next::End => break None,
                }
            };
            if steps == 0 {
                break;
            }
        }
        self.place.is_none()
    }

    /// Looks at one topic, and says where there may be another one.
    fn look_at(
        &self,
        known: &Known,
        topic: &Topic,
        steps: &mut usize,
        by_branch: bool,
        found: &mut impl FnMut(&Topic, TopicHead),
    ) -> Next {
        let text = topic.as_str();
        let (mut wanted, mut excluded) = (vec![ROOT], vec![ROOT]);
        // Whether a pattern takes all that follows the segments looked at so far.
        let mut takes_rest = false;
        let mut rest = Some(text);
        while let Some(unread) = rest {
            let prefix = &text[..text.len() - unread.len()];
            if has_rest(&self.excluded, &excluded) {
                return behind(prefix);
            }
            takes_rest = takes_rest || has_rest(&self.wanted, &wanted);
            if takes_rest
                && by_branch
                && excluded.iter().all(|node| self.excluded.is_leaf(*node))
                && let Some(head) = known.branch(prefix.strip_suffix('.').unwrap_or(prefix))
            {
                found(topic, head);
                return behind(prefix);
            }
            let (segment, after) = first_segment(unread);
            *steps = steps.saturating_sub(wanted.len() + excluded.len());
            let next = self.wanted.advance(&wanted, segment);
            if next.is_empty() && !takes_rest {
                return self.leap(&wanted, prefix, unread);
            }
            wanted = next;
            excluded = self.excluded.advance(&excluded, segment);
            rest = after;
        }
        let ends = |trie: &PatternTrie<()>, nodes: &[usize]| {
            nodes.iter().any(|node| trie.value(*node).is_some())
        };
        let is_wanted = takes_rest || ends(&self.wanted, &wanted);
        if is_wanted
            && !ends(&self.excluded, &excluded)
            && let Some(head) = known.head(topic)
        {
            found(topic, head);
        }
        Next::Topic
    }

    /// Where there may be a topic that begins with `prefix` and comes after `unread` there, if
    /// patterns stand at these nodes and none goes on with the first segment of `unread`.
    fn leap(&self, nodes: &[usize], prefix: &str, unread: &str) -> Next {
        let (segment, _) = first_segment(unread);
        let mut nearest: Option<String> = None;
        let mut consider = |name: String| {
            if nearest.as_ref().is_none_or(|nearest| name < *nearest) {
                nearest = Some(name);
            }
        };
        for node in nodes {
            // A hyphen comes before the dot: below `a` is what comes after all of `a-b`.
            for (at, _) in segment.match_indices('-') {
                if self.wanted.names(*node, &segment[..at]).next() == Some(&segment[..at]) {
                    consider(format!("{}.", &segment[..at]));
                }
            }
            if let Some(name) = self.wanted.names(*node, segment).find(|name| *name > unread) {
                consider(name.to_owned());
            }
        }
        nearest.map_or_else(|| behind(prefix), |name| Next::At(format!("{prefix}{name}")))
    }
}

fn has_rest(trie: &PatternTrie<()>, nodes: &[usize]) -> bool {
    nodes.iter().any(|node| trie.rest(*node).is_some())
}

/// Behind everything that begins with a prefix, which is empty or ends with a dot.
fn behind(prefix: &str) -> Next {
    // The slash comes after the dot, and before whatever else may follow.
    prefix.strip_suffix('.').map_or(Next::End, |name| Next::At(format!("{name}/")))
}

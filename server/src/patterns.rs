//! Patterns as a trie of their segments: which of very many match a topic is found at the cost of
//! the topic's segments. Equal beginnings are kept once. It knows nothing of what is kept with a
//! pattern.

use std::collections::BTreeMap;
use std::ops::Bound;

use slab::Slab;

/// Patterns, topics among them, each with a value.
#[derive(Debug)]
pub struct PatternTrie<T> {
    nodes: Slab<Node<T>>,
}

#[derive(Debug)]
struct Node<T> {
    /// By the next segment. `*` and `>` are among them: no segment of a topic is called so.
    children: BTreeMap<Box<str>, usize>,
    /// There if a pattern ends here.
    value: Option<T>,
}

/// Where all patterns begin.
pub const ROOT: usize = 0;

impl<T> Default for PatternTrie<T> {
    fn default() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node::default());
        Self { nodes }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { children: BTreeMap::new(), value: None }
    }
}

impl<T: Default> PatternTrie<T> {
    /// The value of a pattern, which is there from now on.
    pub fn value_mut(&mut self, pattern: &str) -> &mut T {
        let mut node = ROOT;
        for segment in pattern.split('.') {
            let child = self.nodes[node].children.get(segment).copied();
            node = child.unwrap_or_else(|| {
                let child = self.nodes.insert(Node::default());
                self.nodes[node].children.insert(segment.into(), child);
                child
            });
        }
        self.nodes[node].value.get_or_insert_default()
    }
}

impl<T> PatternTrie<T> {
    /// Changes the value of a pattern. If `change` says that it is of no use any more, nothing of
    /// the pattern stays.
    pub fn release(&mut self, pattern: &str, change: impl FnOnce(&mut T) -> bool) {
        let mut node = ROOT;
        let mut path = Vec::new();
        for segment in pattern.split('.') {
            let Some(child) = self.child(node, segment) else { return };
            path.push((node, segment));
            node = child;
        }
        let value = &mut self.nodes[node].value;
        if value.as_mut().is_some_and(change) {
            return;
        }
        *value = None;
        for (parent, segment) in path.into_iter().rev() {
            let Node { children, value } = &self.nodes[node];
            if value.is_some() || !children.is_empty() {
                break;
            }
            self.nodes.remove(node);
            self.nodes[parent].children.remove(segment);
            node = parent;
        }
    }

    /// Visits the value of each pattern.
    pub fn for_each<'a>(&'a self, visit: &mut impl FnMut(&'a T)) {
        self.nodes.iter().filter_map(|(_, node)| node.value.as_ref()).for_each(visit);
    }

    /// Visits the value of each pattern that matches the topic, once.
    pub fn matching<'a>(&'a self, topic: &str, visit: &mut impl FnMut(&'a T)) {
        self.matching_below(ROOT, Some(topic), visit);
    }

    /// `rest` is what is left of the topic at this node.
    fn matching_below<'a>(
        &'a self,
        node: usize,
        rest: Option<&str>,
        visit: &mut impl FnMut(&'a T),
    ) {
        let Some(rest) = rest else { return self.value(node).into_iter().for_each(visit) };
        if self.is_leaf(node) {
            return;
        }
        let (segment, rest) = first_segment(rest);
        for name in [segment, "*"] {
            if let Some(child) = self.child(node, name) {
                self.matching_below(child, rest, visit);
            }
        }
        self.rest(node).into_iter().for_each(visit);
    }

    /// The nodes below these at which the patterns stand that go on with a segment.
    pub fn advance(&self, nodes: &[usize], segment: &str) -> Vec<usize> {
        let below = nodes.iter().flat_map(|node| [segment, "*"].map(|name| (*node, name)));
        below.filter_map(|(node, name)| self.child(node, name)).collect()
    }

    /// The value of the pattern that ends at a node.
    pub fn value(&self, node: usize) -> Option<&T> {
        self.nodes[node].value.as_ref()
    }

    /// The value of the pattern that takes whatever follows a node.
    pub fn rest(&self, node: usize) -> Option<&T> {
        self.value(self.child(node, ">")?)
    }

    /// The names that patterns go on with at a node, from one on, in their order.
    pub fn names(&self, node: usize, from: &str) -> impl Iterator<Item = &str> {
        let names =
            self.nodes[node].children.range::<str, _>((Bound::Included(from), Bound::Unbounded));
        names.map(|(name, _)| &**name)
    }

    /// Whether no pattern goes on at a node.
    pub fn is_leaf(&self, node: usize) -> bool {
        self.nodes[node].children.is_empty()
    }

    /// Whether no pattern is there.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    fn child(&self, node: usize, segment: &str) -> Option<usize> {
        self.nodes[node].children.get(segment).copied()
    }
}

/// The first segment of a topic, and what follows it.
pub fn first_segment(topic: &str) -> (&str, Option<&str>) {
    topic.split_once('.').map_or((topic, None), |(segment, rest)| (segment, Some(rest)))
}

#[cfg(test)]
mod tests {
    use doorbell_protocol::topic::Pattern;
    use proptest::prelude::*;

    use super::*;

    const SEGMENT: &str = "(a|b|a-b|\\*)";

    fn pattern() -> impl Strategy<Value = String> {
        let segments = prop::collection::vec(SEGMENT, 1..4);
        (segments, any::<bool>()).prop_map(|(segments, is_open)| {
            let text = segments.join(".");
            if is_open { format!("{text}.>") } else { text }
        })
    }

    fn topic() -> impl Strategy<Value = String> {
        prop::collection::vec("(a|b|a-b|c)", 1..5).prop_map(|segments| segments.join("."))
    }

    proptest! {
        /// Patterns come and go as readers do: each value is the readers of a pattern.
        #[test]
        fn it_matches_as_a_list_of_its_patterns_does_and_nothing_is_left_of_those_that_went(
            patterns in prop::collection::vec((prop_oneof![pattern(), Just(">".to_owned())], any::<bool>()), 0..20),
            topics in prop::collection::vec(topic(), 1..10),
        ) {
            let mut trie = PatternTrie::<Vec<usize>>::default();
            for (reader, (pattern, _)) in patterns.iter().enumerate() {
                trie.value_mut(pattern).push(reader);
            }
            let leave = |trie: &mut PatternTrie<Vec<usize>>, reader: usize| {
                trie.release(&patterns[reader].0, |readers| {
                    readers.retain(|other| *other != reader);
                    !readers.is_empty()
                });
            };
            let (going, staying): (Vec<usize>, Vec<usize>) =
                (0..patterns.len()).partition(|reader| patterns[*reader].1);
            for reader in going {
                leave(&mut trie, reader);
            }
            for topic in &topics {
                let mut found: Vec<usize> = Vec::new();
                trie.matching(topic, &mut |readers| found.extend(readers));
                found.sort_unstable();
                let matches = |reader: &usize| {
                    patterns[*reader].0.parse::<Pattern>().unwrap().matches(topic)
                };
                let expected: Vec<usize> = staying.iter().copied().filter(matches).collect();
                prop_assert_eq!(found, expected, "{}", topic);
            }
            for reader in staying {
                leave(&mut trie, reader);
            }
            prop_assert!(trie.is_empty(), "{trie:?}");
        }
    }
}

//! The heads against a plain list of topics that is looked through from end to end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use doorbell_protocol::Filter;
use doorbell_protocol::topic::Pattern;
use proptest::prelude::*;

use super::walk::Walk;
use super::*;

#[test]
fn a_forgotten_topic_that_comes_back_may_have_lost_messages() {
    let heads = Heads::default();
    let topic: Topic = "a".parse().unwrap();
    let filter = "a".parse().unwrap();
    heads.advance([(&topic, 7)].into_iter());
    let (gone, forgotten) = heads.expire([(&topic, 7)].into_iter(), 0);
    assert_eq!((gone, forgotten), (vec![topic.clone()], 7));
    heads.advance([(&topic, 9)].into_iter());
    assert_eq!(heads.newest_expired(&Selection(std::slice::from_ref(&filter))), 7);
    assert_eq!(HeadSearch::new(&filter, Latest::new(9)).finish(&heads).seqs(), [9]);
}

#[test]
fn nothing_is_left_of_topics_that_are_forgotten() {
    let heads = Heads::default();
    let topics: Vec<Topic> =
        ["a", "a.b", "a.b.c.d.e", "a-b.c", "b"].iter().map(|text| text.parse().unwrap()).collect();
    heads.advance(topics.iter().zip(1..));
    assert_eq!(heads.known().branches.len(), 4, "a, a.b, a.b.c and a-b");
    let (gone, _) = heads.expire(topics.iter().zip(1..), 0);
    assert_eq!(gone, topics);
    let known = heads.known();
    assert!(known.topics.is_empty() && known.in_order.is_empty() && known.idle.is_empty());
    assert_eq!((known.branches.len(), known.branch("")), (0, Some(TopicHead::default())));
}

/// As many topics as there may be, and patterns of which each has to look at every first segment.
/// Publishers come in between two steps.
#[test]
fn a_search_among_very_many_topics_keeps_publishers_waiting_for_one_step_only() {
    let heads = Heads::default();
    let topics: Vec<Topic> = (0..100_000).map(|n| format!("t{n}.x").parse().unwrap()).collect();
    heads.advance(topics.iter().zip(1..));
    let patterns: Vec<String> = (0..64).map(|n| format!("*.y{n}.>")).collect();
    let filter: Filter = patterns.join(",").parse().unwrap();
    let mut search = HeadSearch::new(&filter, Newest::default());
    let (mut longest, mut steps) = (Duration::ZERO, 0);
    let newest = loop {
        let begun = Instant::now();
        let went = search.go_on(&heads);
        longest = longest.max(begun.elapsed());
        steps += 1;
        match went {
            std::ops::ControlFlow::Continue(next) => search = next,
            std::ops::ControlFlow::Break(found) => break found.seq(),
        }
        assert!(heads.0.try_write().is_ok(), "a publisher waits between two steps");
    };
    assert_eq!(newest, 0);
    assert!(steps > 50, "all of it in {steps} steps, the longest of {longest:?}");
}

const SEGMENTS: [&str; 4] = ["a", "b", "a-b", "ab"];

fn topic() -> impl Strategy<Value = Topic> {
    let segment = prop::sample::select(&SEGMENTS[..]);
    prop::collection::vec(segment, 1..6).prop_map(|parts| parts.join(".").parse().unwrap())
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let segment = prop_oneof![4 => prop::sample::select(&SEGMENTS[..]), 2 => Just("*")];
    let ends = prop_oneof![2 => Just(""), 1 => Just(".>")];
    let parts = (prop::collection::vec(segment, 1..4), ends);
    let text = parts.prop_map(|(parts, end)| format!("{}{end}", parts.join(".")));
    prop_oneof![9 => text, 1 => Just(">".to_owned())].prop_map(|text| text.parse().unwrap())
}

fn filter() -> impl Strategy<Value = Filter> {
    let patterns = prop::collection::vec(pattern(), 1..5);
    let excluded =
        prop_oneof![Just(vec![]).boxed(), prop::collection::vec(pattern(), 1..3).boxed()];
    (patterns, excluded).prop_map(|(patterns, excluded)| {
        let texts: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
        texts.join(",").parse::<Filter>().unwrap().without(&excluded)
    })
}

#[derive(Debug, Clone)]
enum Change {
    Publish(Topic),
    /// Lets go of the oldest so many messages.
    Expire(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => topic().prop_map(Change::Publish),
        1 => (1usize..6).prop_map(Change::Expire),
    ]
}

const REMEMBERED: usize = 6;

/// What the heads are to know, in the plainest form.
#[derive(Debug, Default)]
struct Model {
    held: Vec<(Topic, u64)>,
    topics: BTreeMap<Topic, TopicHead>,
    forgotten: u64,
    last: u64,
}

impl Model {
    fn change(&mut self, change: &Change) {
        match change {
            Change::Publish(topic) => {
                self.last += 1;
                self.held.push((topic.clone(), self.last));
                let new = TopicHead { newest: 0, expired: self.forgotten };
                self.topics.entry(topic.clone()).or_insert(new).newest = self.last;
            }
            Change::Expire(count) => {
                for (topic, seq) in self.held.drain(..(*count).min(self.held.len())) {
                    self.topics.get_mut(&topic).unwrap().expired = seq;
                }
                while self.topics.len() > REMEMBERED {
                    let idle = self.topics.iter().filter(|(_, head)| head.newest <= head.expired);
                    let oldest = idle.min_by_key(|(_, head)| head.newest);
                    let Some((topic, head)) = oldest.map(|(topic, head)| (topic.clone(), *head))
                    else {
                        break;
                    };
                    self.forgotten = self.forgotten.max(head.expired);
                    self.topics.remove(&topic);
                }
            }
        }
    }

    fn selected(&self, filter: &Filter) -> Vec<TopicHead> {
        let selected = self.topics.iter().filter(|(topic, _)| filter.matches(topic.as_str()));
        selected.map(|(_, head)| *head).collect()
    }

    /// The newest, the newest expired and the latest ones.
    fn told(&self, filter: &Filter) -> (u64, u64, Vec<u64>) {
        let selected = self.selected(filter);
        let newest = selected.iter().map(|head| head.newest).max().unwrap_or(0);
        let expired = match filter.exact() {
            Some(topics) => topics
                .map(|topic| self.topics.get(topic).map_or(self.forgotten, |head| head.expired))
                .max()
                .unwrap_or(0),
            None => selected.iter().map(|head| head.expired).fold(self.forgotten, u64::max),
        };
        let holding = selected.iter().filter(|head| head.newest > head.expired);
        let mut latest: Vec<u64> = holding.map(|head| head.newest).collect();
        latest.sort_unstable();
        (newest, expired, latest.split_off(latest.len().saturating_sub(LATEST)))
    }
}

const LATEST: usize = 3;

fn apply(heads: &Heads, model: &mut Model, change: &Change) {
    let oldest: Vec<(Topic, u64)> = match change {
        Change::Publish(_) => Vec::new(),
        Change::Expire(count) => model.held.iter().take(*count).cloned().collect(),
    };
    model.change(change);
    match change {
        Change::Publish(topic) => heads.advance([(topic, model.last)].into_iter()),
        Change::Expire(_) => {
            let places = oldest.iter().map(|(topic, seq)| (topic, *seq));
            let (_, forgotten) = heads.expire(places, REMEMBERED);
            assert_eq!(forgotten, model.forgotten);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_they_tell_is_what_the_list_of_topics_tells(
        changes in prop::collection::vec(change(), 0..40),
        filters in prop::collection::vec(filter(), 1..6),
    ) {
        let (heads, mut model) = (Heads::default(), Model::default());
        for change in &changes {
            apply(&heads, &mut model, change);
        }
        prop_assert_eq!(heads.len(), model.topics.len());
        for filter in &filters {
            let newest = HeadSearch::new(filter, Newest::default()).finish(&heads).seq();
            let expired = heads.newest_expired(&Selection(std::slice::from_ref(filter)));
            let latest = HeadSearch::new(filter, Latest::new(LATEST)).finish(&heads).seqs();
            prop_assert_eq!((newest, expired, latest), model.told(filter), "{:?}", filter);
        }
    }

    /// One step after the other, each as short as can be.
    #[test]
    fn topics_may_come_and_go_while_a_filter_is_looked_for(
        before in prop::collection::vec(change(), 0..40),
        meanwhile in prop::collection::vec(change(), 0..20),
        filter in filter(),
    ) {
        let (heads, mut model) = (Heads::default(), Model::default());
        for change in &before {
            apply(&heads, &mut model, change);
        }
        let mut there: BTreeSet<Topic> = model.topics.keys().cloned().collect();
        let mut walk = Walk::new(&filter);
        let mut found = Vec::new();
        let mut changes = meanwhile.iter();
        loop {
            let mut add = |topic: &Topic, _: TopicHead| found.push(topic.clone());
            if walk.go_on(&heads.known(), 1, false, &mut add) {
                break;
            }
            changes.next().into_iter().for_each(|change| apply(&heads, &mut model, change));
            there.retain(|topic| model.topics.contains_key(topic));
        }
        prop_assert!(found.is_sorted_by(|one, next| one < next), "{:?}", found);
        prop_assert!(found.iter().all(|topic| filter.matches(topic.as_str())), "{:?}", found);
        for topic in there.iter().filter(|topic| filter.matches(topic.as_str())) {
            prop_assert!(found.contains(topic), "{} is missing among {:?}", topic, found);
        }
    }
}

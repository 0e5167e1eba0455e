//! What was published, as everybody together knows it, and what may have become of it.
//!
//! Every place belongs to a message, so that nothing can be missing without its being noticed.

use std::collections::HashMap;

use serde_json::Value;

use super::publishers::{END, Published, author, text, topic};
use super::readers::Visit;
use crate::support::Event;
use crate::support::id::epoch_and_seq;

/// Bytes of a stored message besides its text, at least.
const MESSAGE_BYTES: u64 = 180;
/// Bytes that retention lets go of at once, and those of lines that are no messages.
const SLACK: u64 = (64 + 32) << 10;

/// What is known of one message.
struct Record {
    id: String,
    topic: String,
    text: String,
    /// As somebody had it, if somebody had.
    event: Option<Value>,
}

/// All messages, by their seqs from 1 on.
pub(super) struct History {
    records: Vec<Option<Record>>,
    /// How many texts each publisher sent.
    sent: HashMap<u64, u64>,
    retention: u64,
    pub(super) counts: Counts,
}

/// What it is made of.
#[derive(Debug, Default)]
pub(super) struct Counts {
    acknowledged: usize,
    /// Messages that readers had.
    heard: usize,
    gaps: usize,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.heard += other.heard;
        self.gaps += other.gaps;
    }
}

impl History {
    pub(super) fn new(retention: u64) -> Self {
        Self { records: Vec::new(), sent: HashMap::new(), retention, counts: Counts::default() }
    }

    /// Notes what a publisher was told.
    pub(super) fn note_published(&mut self, own: &Published, told: &str) {
        let publisher = own.publisher;
        self.sent.insert(publisher, own.sent);
        for (number, answer) in &own.acknowledged {
            let (topic, text) = (topic(publisher, *number), text(publisher, *number));
            let event = (answer.kind() == "message").then(|| answer.plain());
            self.note(answer.id(), topic, &text, event, told);
            self.counts.acknowledged += 1;
        }
    }

    /// Notes the messages that somebody had.
    pub(super) fn note_heard(&mut self, events: &[Event], told: &str) {
        for event in events.iter().filter(|event| event.kind() == "message") {
            let topic = event["topic"].as_str().unwrap();
            self.note(event.id(), topic, event.message(), Some(event.plain()), told);
            self.counts.heard += 1;
        }
    }

    fn note(&mut self, id: &str, topic: &str, text: &str, event: Option<Value>, told: &str) {
        let index = usize::try_from(epoch_and_seq(id).1).unwrap() - 1;
        if index >= self.records.len() {
            self.records.resize_with(index + 1, || None);
        }
        let new = Record { id: id.into(), topic: topic.into(), text: text.into(), event };
        let Some(known) = &mut self.records[index] else {
            self.records[index] = Some(new);
            return;
        };
        let is_same = known.id == id && known.topic == topic && known.text == text;
        assert!(is_same, "{told}: {id} is {topic} {text}, and was {} {}", known.id, known.text);
        if let (Some(known), Some(new)) = (&known.event, &new.event) {
            assert_eq!(known, new, "{told}: altered");
        }
        known.event = known.event.take().or(new.event);
    }

    /// What is known behind a place, with the seqs.
    fn behind(&self, place: u64) -> impl Iterator<Item = (u64, &Record)> {
        let records = self.records.iter().skip(usize::try_from(place).unwrap());
        (place + 1..).zip(records).filter_map(|(seq, record)| Some((seq, record.as_ref()?)))
    }

    /// Checks that what is held is the end of what is known, that each text is there once, and each
    /// publisher's texts are in order.
    pub(super) fn check(&mut self, held: &[Event], told: &str) {
        self.note_heard(held, told);
        let unknown = self.records.iter().position(Option::is_none).map(|index| index + 1);
        assert_eq!(unknown, None, "{told}: nobody knows what was at this seq");
        let first = held.first().map_or(1, Event::seq);
        let known = self.behind(first - 1).map(|(_, own)| own.id.as_str());
        let mut held = held.iter().map(Event::id);
        for id in known {
            assert_eq!(held.next(), Some(id), "{told}: what is held, and what was stored");
        }
        assert_eq!(held.next(), None, "{told}: held twice");
        assert!(first == 1 || self.may_be_let_go(first - 1), "{told}: {first} is the first held");
        assert!(self.behind(0).map(|(_, own)| &own.id).is_sorted(), "{told}: ids rise");
        let mut newest = HashMap::new();
        for (seq, record) in self.behind(0).filter(|(_, record)| record.topic != END) {
            let (publisher, number) = author(&record.text).expect("a text of ours");
            let is_ours = record.text == text(publisher, number)
                && record.topic == topic(publisher, number)
                && self.sent.get(&publisher).is_some_and(|sent| number < *sent);
            assert!(is_ours, "{told}: {seq} is altered: {} {}", record.topic, record.text);
            let before = newest.insert(publisher, number);
            assert!(
                before < Some(number),
                "{told}: {seq} is {number} of {publisher} after {before:?}"
            );
        }
    }

    /// Whether retention may have let go of this one, and all before it: because there is enough
    /// behind it.
    fn may_be_let_go(&self, seq: u64) -> bool {
        let bytes_of = |record: &Record| record.text.len() as u64 + MESSAGE_BYTES;
        let bytes: u64 = self.behind(seq).map(|(_, record)| bytes_of(record)).sum();
        bytes + SLACK >= self.retention
    }

    /// Checks that somebody new had everything that is held, but for what was let go meanwhile.
    pub(super) fn check_from_the_beginning(&self, events: &[Event], held: &[Event], told: &str) {
        let messages = events.iter().filter(|event| event.kind() == "message");
        let messages: Vec<Value> = messages.map(Event::plain).collect();
        let let_go = held.len().checked_sub(messages.len()).expect("no more than is held");
        let still_held: Vec<Value> = held[let_go..].iter().map(Event::plain).collect();
        assert_eq!(messages, still_held, "{told}");
        assert!(let_go == 0 || self.may_be_let_go(held[let_go - 1].seq()), "{told}");
    }

    /// Checks that somebody had everything wanted once, in order, or was told that it is gone.
    pub(super) fn check_visit(&mut self, visit: &Visit, told: &str) {
        let seq_of = |id: &str| epoch_and_seq(id).1;
        let mut place = if visit.since == "all" { 0 } else { seq_of(&visit.since) };
        let mut is_first = true;
        for event in &visit.events {
            let told =
                format!("{told}: after {place} {}", &event.line[..event.line.len().min(300)]);
            if let Some(gap) = event.gap() {
                assert_eq!(gap["reason"], "expired", "{told}");
                let [after, before] = ["after", "before"].map(|end| gap[end].as_str().unwrap());
                assert!(!is_first || after == visit.since, "{told}: not what was asked for");
                let [after, before] = [after, before].map(seq_of);
                assert!(place <= after && after + 1 < before, "{told}");
                assert!(self.may_be_let_go(before - 1), "{told}: there was room for it");
                place = before - 1;
                self.counts.gaps += 1;
            }
            is_first = false;
            let seq = seq_of(event.id());
            let is_message = event.kind() == "message";
            if is_message {
                let topic = event["topic"].as_str().unwrap();
                assert!(visit.filter.matches(topic), "{told}: not wanted");
                assert!(seq > place, "{told}: twice, or out of order");
            }
            // A message itself is there.
            let through = if is_message { seq - 1 } else { seq };
            let skipped = self.behind(place).take_while(|(seq, _)| *seq <= through);
            let mut wanted = skipped.filter(|(_, record)| visit.filter.matches(&record.topic));
            let missing = wanted.next().map(|(seq, _)| seq);
            assert_eq!(missing, None, "{told}: missing in silence");
            place = place.max(seq);
        }
    }
}

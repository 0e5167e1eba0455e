//! A run of messages in memory, oldest first: the whole of a log that lives in memory, or the
//! newest part of any log.

use std::collections::VecDeque;

use super::{Page, Query};
use crate::limits::RING_TESTS_MAX;
use crate::message::Message;

/// Messages in the order of their seqs, with the bytes that they hold.
#[derive(Debug, Default)]
pub struct Ring {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Ring {
    /// Adds the newest message.
    ///
    /// # Panics
    ///
    /// When its seq does not rise: a reader would miss it.
    pub fn push(&mut self, message: Message) {
        let newest = self.messages.back().map_or(0, Message::seq);
        assert!(message.seq() > newest, "seq {} after {newest}", message.seq());
        self.bytes += message.weight();
        self.messages.push_back(message);
    }

    /// Takes the oldest message.
    pub fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.weight();
        Some(message)
    }

    /// The oldest message.
    pub fn oldest(&self) -> Option<&Message> {
        self.messages.front()
    }

    /// Messages held.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The last message that was accepted before `time_us`.
    pub fn last_before(&self, time_us: u64) -> Option<&Message> {
        self.messages.iter().rfind(|message| message.time_us() < time_us)
    }

    /// The message at a position, the oldest being 0.
    pub fn get(&self, index: usize) -> Option<&Message> {
        self.messages.get(index)
    }

    /// How many messages have this seq or a lower one.
    ///
    /// Seqs rise by one as a rule. Then the place is known without a search, which would go through
    /// messages that nobody has looked at for long, and wait for memory at each of them.
    fn count_through(&self, seq: u64) -> usize {
        let oldest = self.oldest().map_or(0, Message::seq);
        let count = usize::try_from((seq + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        let count = count.min(self.len());
        let is_within = |index| self.get(index).map(|message| message.seq() <= seq);
        let before = count.checked_sub(1).and_then(is_within);
        if before != Some(false) && is_within(count) != Some(true) {
            return count;
        }
        self.messages.partition_point(|message| message.seq() <= seq)
    }

    /// Reads a page. The caller knows that the ring holds everything above `query.after`.
    pub fn read(&self, query: &Query<'_>) -> Page {
        let start = self.count_through(query.after);
        let mut page = Page { through: query.until.max(query.after), ..Page::default() };
        let mut bytes = 0;
        let rows = (RING_TESTS_MAX / query.selection.patterns().max(1)).max(1);
        for (row, message) in self.messages.range(start..).enumerate() {
            if message.seq() > query.until {
                break;
            }
            if row == rows {
                page.through = message.seq() - 1;
                break;
            }
            if !query.selection.matches(message.topic()) {
                continue;
            }
            let full = page.messages.len() >= query.limit.messages
                || (bytes + message.frame().len() > query.limit.bytes && bytes > 0);
            if full {
                page.through = page.messages.last().map_or(query.after, Message::seq);
                break;
            }
            bytes += message.frame().len();
            page.messages.push(message.clone());
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use doorbell_protocol::{Draft, Epoch, Filter};

    use super::super::{PageLimit, Selection};
    use super::*;

    #[test]
    fn reading_begins_after_any_place_also_where_seqs_have_holes() {
        let mut ring = Ring::default();
        let draft = Draft::text("a".parse().unwrap(), "x", 10).unwrap();
        let seqs = [3, 4, 5, 9, 10, 20];
        for seq in seqs {
            let id = Epoch::from_bits(1).id(seq);
            ring.push(Message::new(&draft, id, seq, None, Instant::now()));
        }
        let filters = ["a".parse::<Filter>().unwrap()];
        let limit = PageLimit { messages: 10, bytes: 10_000 };
        for after in 0..25 {
            let selection = Selection(&filters);
            let page = ring.read(&Query { selection, after, until: 30, limit });
            let read: Vec<u64> = page.messages.iter().map(Message::seq).collect();
            let above: Vec<u64> = seqs.into_iter().filter(|seq| *seq > after).collect();
            assert_eq!(read, above, "after {after}");
        }
    }

    #[test]
    fn a_page_holds_no_more_patterns_against_messages_than_the_bound() {
        let mut ring = Ring::default();
        let draft = Draft::text("a".parse().unwrap(), "x", 10).unwrap();
        for seq in 1..=1000 {
            ring.push(Message::new(&draft, Epoch::from_bits(1).id(seq), seq, None, Instant::now()));
        }
        let names: Vec<String> = (0..64).map(|n| format!("x{n}.*")).collect();
        let filters = [names.join(",").parse::<Filter>().unwrap()];
        let limit = PageLimit { messages: 10, bytes: 1000 };
        let mut place = 0;
        let mut pages = 0;
        while place < 1000 {
            let selection = Selection(&filters);
            let page = ring.read(&Query { selection, after: place, until: 1000, limit });
            assert!(page.through > place && page.messages.is_empty());
            place = page.through;
            pages += 1;
        }
        assert_eq!(pages, 1000_usize.div_ceil(RING_TESTS_MAX / 64));
    }
}

//! The numbers that stand for topics in the tables.

use doorbell_protocol::Topic;
use foldhash::HashMap;

/// Topics by name and by number. What their newest messages are, `Heads` knows.
#[derive(Debug, Default)]
pub(super) struct Topics {
    by_name: HashMap<Topic, Entry>,
    by_tid: HashMap<u64, Topic>,
}

/// What the tables need to know of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number.
    pub(super) tid: u64,
    /// Messages since the newest one with a mark.
    pub(super) unmarked: u64,
}

impl Topics {
    /// Adds a topic, or changes its entry.
    pub(super) fn set(&mut self, topic: &Topic, entry: Entry) {
        if let Some(known) = self.by_name.get_mut(topic) {
            *known = entry;
            return;
        }
        self.by_name.insert(topic.clone(), entry);
        self.by_tid.insert(entry.tid, topic.clone());
    }

    /// Forgets a topic and returns its number.
    pub(super) fn remove(&mut self, topic: &Topic) -> Option<u64> {
        let entry = self.by_name.remove(topic)?;
        self.by_tid.remove(&entry.tid);
        Some(entry.tid)
    }

    /// The entry of a name.
    pub(super) fn get(&self, topic: &Topic) -> Option<Entry> {
        self.by_name.get(topic).copied()
    }

    /// The name of a number.
    pub(super) fn name(&self, tid: u64) -> Option<&Topic> {
        self.by_tid.get(&tid)
    }
}

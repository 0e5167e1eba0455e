//! Whatever is done to it, it tells the same as the log in memory.

use std::time::Duration;

use doorbell_protocol::Draft;
use proptest::prelude::*;

use super::*;
use crate::log::contract::{draft, heads};
use crate::log::{MemoryLog, PageLimit, Query, Selection};

const TOPICS: [&str; 6] = ["a", "b", "c.1", "c.2", "c.1.x", "d"];
const FILTERS: [&str; 9] =
    ["a", "b,c.1", "d", "c.*", "c.>", "*", ">", "nobody", "a,b,c.1,c.2,c.1.x,d"];
const AGE: Duration = Duration::from_millis(1);

#[derive(Debug, Clone)]
enum Step {
    Append {
        topics: Vec<usize>,
        micros: u64,
    },
    /// Many messages of one topic, so that pages take several walks.
    Flood {
        topic: usize,
        messages: usize,
    },
    Expire {
        micros: u64,
    },
    Close,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (prop::collection::vec(0..TOPICS.len(), 1..20), 0u64..300)
            .prop_map(|(topics, micros)| Step::Append { topics, micros }),
        2 => (0..TOPICS.len(), 1usize..900)
            .prop_map(|(topic, messages)| Step::Flood { topic, messages }),
        2 => (0u64..600).prop_map(|micros| Step::Expire { micros }),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
    ];
    prop::collection::vec(step, 1..25)
}

/// The places and texts that a reader gets, and the gaps.
fn told(log: &dyn Log, filter: &str, after: u64, messages: usize) -> (Vec<(u64, String)>, Gaps) {
    let (messages, gaps) = read_all(log, filter, after, messages);
    let text = |message: &Message| {
        let text = message.with_event(|event| event.unwrap().message.clone().unwrap().into_owned());
        (message.seq(), text)
    };
    (messages.iter().map(text).collect(), gaps)
}

fn compare(memory: &MemoryLog, sqlite: &SqliteLog) -> Result<(), TestCaseError> {
    let (expected, found) = (memory.bounds(), sqlite.bounds());
    prop_assert_eq!((expected.first, expected.last), (found.first, found.last));
    let last = expected.last;
    for (index, filter) in FILTERS.iter().enumerate() {
        let middle = expected.first + (last - expected.first.min(last)) * index as u64 / 9;
        for (after, messages) in [(0, 50), (last / 2, 1000), (middle, 7), (last, 5)] {
            prop_assert_eq!(
                told(memory, filter, after, messages),
                told(sqlite, filter, after, messages),
                "{} after {}",
                filter,
                after
            );
        }
        let filters = [filter.parse().unwrap()];
        let selection = Selection(&filters);
        prop_assert_eq!(heads(memory, filter), heads(sqlite, filter));
        let limit = PageLimit { messages: 5, bytes: 700 };
        let query = Query { selection, after: middle, until: middle + 20, limit };
        let (expected, found) = (memory.read(&query).unwrap(), sqlite.read(&query).unwrap());
        prop_assert_eq!(expected.lost, found.lost);
        prop_assert_eq!(expected.messages.len(), found.messages.len());
        prop_assert!(found.through >= expected.through && found.through <= last.max(middle));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn it_tells_the_same_as_the_log_in_memory(steps in steps()) {
        let retention = Retention { age: AGE, bytes: 1 << 40 };
        let memory = MemoryLog::new(retention);
        let mut folder = tempfile::tempdir().unwrap();
        let open = |folder: &TempDir| SqliteLog::open(folder.path(), Sync::Os, retention).unwrap();
        let mut sqlite = open(&folder);
        let mut now_us = 0;
        for step in steps {
            match step {
                Step::Append { topics, micros } => {
                    now_us += micros;
                    let text = |topic: &usize| draft(TOPICS[*topic], &now_us.to_string());
                    let drafts: Vec<Draft> = topics.iter().map(text).collect();
                    memory.append(&drafts, now_us).unwrap();
                    sqlite.append(&drafts, now_us).unwrap();
                }
                Step::Flood { topic, messages } => {
                    let drafts = vec![draft(TOPICS[topic], "flood"); messages];
                    memory.append(&drafts, now_us).unwrap();
                    sqlite.append(&drafts, now_us).unwrap();
                }
                Step::Expire { micros } => {
                    now_us += micros;
                    while memory.expire(now_us).unwrap() {}
                    while sqlite.expire(now_us).unwrap() {}
                }
                Step::Close => {
                    sqlite.close().unwrap();
                    drop(sqlite);
                    sqlite = open(&folder);
                }
                Step::Kill => {
                    folder = copy_as_if_killed(folder.path());
                    sqlite = open(&folder);
                }
            }
        }
        compare(&memory, &sqlite)?;
    }
}

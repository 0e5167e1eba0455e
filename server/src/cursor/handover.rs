//! What every reader may rely on, whatever happens between two of its steps: nothing is lost,
//! doubled or out of order, and what is missing is told.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use doorbell_protocol::limits::{FILTER_TOPICS_MAX, SUBSCRIPTIONS_DEFAULT};
use doorbell_protocol::{Code, Draft, Gap, GapReason, Since};
use futures_util::poll;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::{Batch, Cursor, Reached};
use crate::access::{Access, Gate, Readable};
use crate::clock::SystemClock;
use crate::hub::{Hub, WireLimits};
use crate::limits::{CLAIMS_MAX, LOG_READERS_MAX};
use crate::log::{Log, MemoryLog, PageLimit, Retention, SegmentLog, Sync};
use crate::message::Message;
use crate::session::wait_for;
use crate::visitors::Visitor;

const LIMIT: PageLimit = PageLimit { messages: 5, bytes: 1 << 20 };
const FOREVER: Duration = Duration::from_secs(3600);
/// For what must come, on a slow machine too.
const PATIENCE: Duration = Duration::from_secs(30);

fn hub(log: Arc<dyn Log>, retention: &Retention) -> Hub {
    let limits = WireLimits {
        message_bytes: 4096,
        filter_topics: FILTER_TOPICS_MAX,
        subscriptions: SUBSCRIPTIONS_DEFAULT,
    };
    Hub::start(
        log,
        1 << 20,
        retention,
        limits,
        Arc::new(SystemClock),
        crate::schedule::Schedule::default(),
    )
    .unwrap()
}

fn memory(bytes: u64) -> Hub {
    let retention = Retention { age: FOREVER, bytes };
    hub(Arc::new(MemoryLog::new(retention)), &retention)
}

fn segments(folder: &TempDir) -> Hub {
    let retention = Retention { age: FOREVER, bytes: 1 << 30 };
    hub(
        Arc::new(
            SegmentLog::open(folder.path(), Sync::Os, retention, Arc::new(SystemClock)).unwrap(),
        ),
        &retention,
    )
}

fn filter(text: &str) -> Readable {
    Readable::everything(text.parse().unwrap())
}

async fn publish(hub: &Hub, topic: &str) -> u64 {
    let draft = Draft::text(topic.parse().unwrap(), "x", 4096).unwrap();
    hub.publish(draft).await.unwrap().seq()
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// An access to all of it.
fn access(hub: &Hub) -> Access {
    Gate::open(hub.clone(), None).anonymous(&Visitor::default())
}

const TOPICS: [&str; 4] = ["a", "b", "c.x", "c.y"];
const FILTERS: [&str; 6] = ["a", "b", "a,b", "c.*", "a,c.>", ">"];

/// A cursor, and what came out of it.
struct Reader {
    cursor: Cursor,
    filter: Readable,
    start: u64,
    got: Vec<u64>,
    told: BTreeSet<u64>,
}

impl Reader {
    async fn new(hub: &Hub, which: usize, since: &Since) -> Self {
        let filter = filter(FILTERS[which % FILTERS.len()]);
        let cursor = Cursor::open(&access(hub), filter.clone(), since).await.unwrap();
        let start = cursor.place().seq();
        Self { cursor, filter, start, got: Vec::new(), told: BTreeSet::new() }
    }

    fn take(&mut self, batch: Batch) -> bool {
        let empty = batch.messages.is_empty() && batch.gap.is_none();
        if let Some(gap) = batch.gap {
            let after: doorbell_protocol::Id = gap.after.parse().unwrap();
            self.told.extend(after.seq() + 1..gap.before.seq());
        }
        assert!(batch.messages.len() <= LIMIT.messages);
        self.got.extend(batch.messages.iter().map(Message::seq));
        !empty
    }

    /// Begins to wait for news and gives up after a few polls, wherever it is then.
    async fn read_and_cancel(&mut self, polls: u8) {
        let batch = {
            let mut next = Box::pin(wait_for(&mut self.cursor, FOREVER, LIMIT));
            let mut batch = None;
            for _ in 0..polls {
                if let std::task::Poll::Ready(ready) = poll!(next.as_mut()) {
                    batch = Some(ready.unwrap());
                    break;
                }
                tokio::task::yield_now().await;
            }
            batch
        };
        if let Some(batch) = batch {
            self.take(batch);
        }
    }

    async fn drain(&mut self) {
        loop {
            let batch = self.cursor.next(LIMIT).await.unwrap();
            if !self.take(batch) {
                break;
            }
        }
    }

    fn check(&self, published: &[(u64, &str)]) {
        assert!(self.got.is_sorted_by(|a, b| a < b), "order: {:?}", self.got);
        let got: BTreeSet<u64> = self.got.iter().copied().collect();
        for (seq, topic) in published.iter().filter(|(seq, _)| *seq > self.start) {
            let wanted = self.filter.matches(topic);
            assert!(wanted || !got.contains(seq), "{seq} on {topic} is not for {:?}", self.filter);
            let accounted = got.contains(seq) || self.told.contains(seq);
            assert!(!wanted || accounted, "{seq} on {topic} was skipped for {:?}", self.filter);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Publish(usize),
    /// A new reader: which filter, and how many messages back it begins.
    Join(usize, u64),
    /// Which reader, and how often its future is polled before it is dropped.
    Read(usize, u8),
    Drain(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..TOPICS.len()).prop_map(Step::Publish),
        1 => (0..FILTERS.len(), 0u64..40).prop_map(|(filter, back)| Step::Join(filter, back)),
        4 => (0usize..8, 0u8..4).prop_map(|(reader, polls)| Step::Read(reader, polls)),
        1 => (0usize..8).prop_map(Step::Drain),
    ];
    proptest::collection::vec(step, 1..120)
}

async fn run_steps(hub: &Hub, steps: Vec<Step>) {
    let mut published = Vec::new();
    let mut readers = Vec::new();
    for step in steps {
        match step {
            Step::Publish(topic) => {
                let topic = TOPICS[topic];
                published.push((publish(hub, topic).await, topic));
            }
            Step::Join(filter, back) => {
                let place = hub.id(hub.visible().saturating_sub(back));
                readers.push(Reader::new(hub, filter, &Since::Id(place)).await);
            }
            Step::Read(reader, polls) if reader < readers.len() => {
                readers[reader].read_and_cancel(polls).await;
            }
            Step::Drain(reader) if reader < readers.len() => readers[reader].drain().await,
            Step::Read(..) | Step::Drain(_) => {}
        }
    }
    for reader in &mut readers {
        reader.drain().await;
        reader.check(&published);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn between_any_two_steps_nothing_is_lost_doubled_or_disordered(
        steps in steps(), bytes in prop_oneof![Just(3_000u64), Just(12_000), Just(1 << 30)]
    ) {
        runtime().block_on(async {
            let hub = memory(bytes);
            run_steps(&hub, steps).await;
            hub.close();
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_same_holds_on_disk(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let hub = segments(&folder);
            run_steps(&hub, steps).await;
            hub.close();
        });
    }
}

#[test]
fn a_page_that_was_begun_for_an_earlier_look_is_not_all_that_there_is() {
    use Step::{Join, Publish, Read};
    for _ in 0..20 {
        runtime().block_on(async {
            let hub = memory(3000);
            let mut steps = vec![Publish(1); 11];
            steps.extend([Join(0, 11), Read(0, 1), Publish(0)]);
            run_steps(&hub, steps).await;
            hub.close();
        });
    }
}

#[test]
fn readers_that_join_while_others_publish_miss_nothing() {
    runtime().block_on(async {
        let hub = memory(1 << 30);
        let mut publishers = tokio::task::JoinSet::new();
        for publisher in 0..4 {
            let hub = hub.clone();
            publishers.spawn(async move {
                let mut published = Vec::new();
                for round in 0..500 {
                    let topic = TOPICS[(publisher + round) % TOPICS.len()];
                    published.push((publish(&hub, topic).await, topic));
                }
                published
            });
        }
        let mut readers = tokio::task::JoinSet::new();
        for which in 0..24 {
            let hub = hub.clone();
            readers.spawn(async move {
                let place = hub.id(hub.visible());
                let mut reader = Reader::new(&hub, which, &Since::Id(place)).await;
                loop {
                    let wait = Duration::from_secs(2);
                    let batch = wait_for(&mut reader.cursor, wait, LIMIT).await.unwrap();
                    let quiet = !reader.take(batch);
                    if quiet && reader.cursor.place().seq() >= 2000 {
                        return reader;
                    }
                }
            });
            tokio::task::yield_now().await;
        }
        let published = publishers.join_all().await.concat();
        for reader in readers.join_all().await {
            assert!(reader.told.is_empty());
            reader.check(&published);
        }
        hub.close();
    });
}

#[test]
fn several_subscriptions_are_one_union_without_repeats() {
    runtime().block_on(async {
        let hub = memory(1 << 30);
        for topic in ["a", "b", "a", "b", "c.x"] {
            publish(&hub, topic).await;
        }
        let mut cursor = Cursor::open(&access(&hub), filter("a"), &Since::All).await.unwrap();
        let mut got = Vec::new();
        let mut read = async |cursor: &mut Cursor| {
            loop {
                let batch = cursor.next(LIMIT).await.unwrap();
                if batch.messages.is_empty() {
                    return std::mem::take(&mut got);
                }
                got.extend(batch.messages.iter().map(Message::seq));
            }
        };
        assert_eq!(read(&mut cursor).await, [1, 3]);
        cursor.subscribe(filter("*"), &Since::All).await.unwrap();
        assert_eq!(
            read(&mut cursor).await,
            [2, 4],
            "what came for one filter comes for none again"
        );
        cursor.subscribe(filter("c.x"), &Since::None).await.unwrap();
        publish(&hub, "a").await;
        publish(&hub, "c.x").await;
        assert_eq!(read(&mut cursor).await, [6, 7]);
        cursor.subscribe(filter("c.x,a"), &Since::All).await.unwrap();
        assert_eq!(read(&mut cursor).await, [5]);
        assert!(cursor.unsubscribe(&filter("*")));
        assert!(!cursor.unsubscribe(&filter("nobody")));
        publish(&hub, "b").await;
        publish(&hub, "a").await;
        assert_eq!(read(&mut cursor).await, [9]);
        hub.close();
    });
}

#[test]
fn each_form_of_since_begins_where_it_says() {
    runtime().block_on(async {
        let hub = memory(1 << 30);
        for topic in ["a", "b", "a", "b", "b"] {
            publish(&hub, topic).await;
        }
        let id = |seq| hub.id(seq);
        let other = doorbell_protocol::Epoch::from_bits(hub.epoch().bits() ^ 1).id(3);
        let foreign =
            |after: String| Some(Gap { after, before: id(1), reason: GapReason::Foreign });
        let ahead = Gap { after: id(9).to_string(), before: id(6), reason: GapReason::Lost };
        let cases = [
            (Since::All, vec![1, 2, 3, 4, 5], None),
            (Since::None, vec![], None),
            (Since::Latest, vec![3, 5], None),
            (Since::Id(id(3)), vec![4, 5], None),
            (Since::Time(0), vec![1, 2, 3, 4, 5], None),
            (Since::Ago(FOREVER), vec![1, 2, 3, 4, 5], None),
            (Since::Ago(Duration::ZERO), vec![], None),
            (Since::Id(other), vec![1, 2, 3, 4, 5], foreign(other.to_string())),
            (
                Since::Foreign("zwQ2YpKdmg12".into()),
                vec![1, 2, 3, 4, 5],
                foreign("zwQ2YpKdmg12".into()),
            ),
            (Since::Id(id(9)), vec![], Some(ahead)),
        ];
        for (since, expected, gap) in cases {
            let mut cursor = Cursor::open(&access(&hub), filter("a,b"), &since).await.unwrap();
            assert_eq!(cursor.take_gap(), gap, "{since:?}");
            let mut got = Vec::new();
            loop {
                let batch = cursor.next(LIMIT).await.unwrap();
                if batch.messages.is_empty() {
                    break;
                }
                got.extend(batch.messages.iter().map(Message::seq));
            }
            assert_eq!(got, expected, "{since:?}");
        }
        hub.close();
    });
}

#[tokio::test(start_paused = true)]
async fn a_wait_without_news_ends_with_an_empty_batch_in_time() {
    let hub = memory(1 << 30);
    let mut cursor = Cursor::open(&access(&hub), filter("a"), &Since::None).await.unwrap();
    let began = tokio::time::Instant::now();
    let batch = wait_for(&mut cursor, Duration::from_secs(30), LIMIT).await.unwrap();
    assert!(batch.messages.is_empty() && batch.gap.is_none());
    assert_eq!(began.elapsed().as_secs(), 30);
    hub.close();
}

#[test]
fn a_read_of_the_log_that_is_dropped_half_way_skips_nothing() {
    runtime().block_on(async {
        let hub = memory(1 << 30);
        let mut reader = Reader::new(&hub, 1, &Since::None).await;
        reader.read_and_cancel(1).await;
        let mut published = vec![(publish(&hub, "b").await, "b")];
        for _ in 0..20 {
            published.push((publish(&hub, "a").await, "a"));
        }
        // The message for `b` has left the tail; the reader is dropped while the log is read.
        reader.read_and_cancel(1).await;
        published.push((publish(&hub, "b").await, "b"));
        reader.drain().await;
        reader.check(&published);
        hub.close();
    });
}

// In one thread, so that the page is not there before the reader has turned away.
#[tokio::test]
async fn who_goes_on_with_a_smaller_limit_gets_no_more_than_that() {
    let hub = memory(1 << 30);
    for _ in 0..100 {
        publish(&hub, "a").await;
    }
    let mut cursor = Cursor::open(&access(&hub), filter("a"), &Since::All).await.unwrap();
    let look = poll_fn(|context| Poll::Ready(cursor.poll_next(LIMIT, context).is_pending()));
    assert!(look.await, "the beginning has left the memory and is not read yet");
    let one = PageLimit { messages: 1, ..LIMIT };
    for seq in [1, 2] {
        let batch = wait_for(&mut cursor, PATIENCE, one).await.unwrap();
        let seqs: Vec<u64> = batch.messages.iter().map(Message::seq).collect();
        assert_eq!(seqs, [seq]);
    }
    hub.close();
}

// In one thread, so that no page is there before its reader has turned away.
#[tokio::test]
async fn readers_that_turned_away_while_the_log_is_read_keep_no_turn() {
    let hub = memory(1 << 30);
    for _ in 0..100 {
        publish(&hub, "a").await;
    }
    let mut waiting = Vec::new();
    for _ in 0..4 * LOG_READERS_MAX {
        let mut cursor = Cursor::open(&access(&hub), filter("a"), &Since::All).await.unwrap();
        // One look: its page is asked for, and then it has something else to do.
        let look = poll_fn(|context| Poll::Ready(cursor.poll_next(LIMIT, context).is_pending()));
        assert!(look.await, "the beginning has left the memory and is not read yet");
        waiting.push(cursor);
    }
    let mut reader = Cursor::open(&access(&hub), filter("a"), &Since::All).await.unwrap();
    let batch = wait_for(&mut reader, PATIENCE, LIMIT).await.unwrap();
    assert!(!batch.messages.is_empty());
    for cursor in &mut waiting {
        let batch = wait_for(cursor, PATIENCE, LIMIT).await.unwrap();
        assert_eq!(batch.messages[0].seq(), 1, "nothing was skipped meanwhile");
    }
    hub.close();
}

#[tokio::test]
async fn others_see_how_far_a_reader_is_and_whether_it_waits() {
    let hub = memory(1 << 30);
    let mut cursor = Cursor::new(&access(&hub));
    assert!(cursor.progress().is_none(), "nothing is kept for who reads nothing");
    cursor.subscribe(filter("a,b"), &Since::None).await.unwrap();
    cursor.subscribe(filter("c.*"), &Since::None).await.unwrap();
    let progress = cursor.progress().unwrap().clone();
    assert_eq!(progress.filter().as_deref(), Some("a,b,c.*"));
    let seen = |place, waiting| assert_eq!(progress.reached(), Reached { place, waiting });
    seen(0, false);
    publish(&hub, "a").await;
    seen(0, false);
    let batch = cursor.next(LIMIT).await.unwrap();
    assert_eq!(batch.messages.len(), 1);
    seen(1, false);
    {
        let mut next = std::pin::pin!(wait_for(&mut cursor, FOREVER, LIMIT));
        assert!(poll!(next.as_mut()).is_pending());
        seen(1, true);
        publish(&hub, "elsewhere").await;
        seen(1, true);
    }
    // A wait that ends without news has looked past what is not wanted, and what is published now
    // is still to be looked at.
    let batch = wait_for(&mut cursor, Duration::ZERO, LIMIT).await.unwrap();
    assert!(batch.messages.is_empty());
    seen(2, false);
    publish(&hub, "b").await;
    let batch = wait_for(&mut cursor, FOREVER, LIMIT).await.unwrap();
    assert_eq!(batch.messages.len(), 1);
    seen(3, false);
    assert!(cursor.unsubscribe(&filter("a,b")) && cursor.unsubscribe(&filter("c.*")));
    assert_eq!(progress.filter(), None);
    hub.close();
}

#[tokio::test]
async fn all_readers_together_wait_by_so_many_names_and_no_more() {
    let hub = memory(1 << 30);
    let access = access(&hub);
    // One name a topic, and two a pattern of two segments.
    let names = |from: usize| (from..from + 1000).map(|n| format!("t{n}"));
    let patterns = (0..12).map(|n| format!("*.{n}"));
    let all = filter(&names(0).chain(patterns).collect::<Vec<_>>().join(","));
    let mut readers = Vec::new();
    while readers.len() < CLAIMS_MAX / 1024 {
        readers.push(Cursor::open(&access, all.clone(), &Since::None).await.unwrap());
    }
    let one = || Cursor::open(&access, filter("t"), &Since::None);
    let refused = one().await.unwrap_err();
    assert_eq!(refused.code(), Code::TooManySubscriptions);
    assert!(refused.to_string().contains(&CLAIMS_MAX.to_string()), "{refused}");
    // One that leaves a group goes on with what it had.
    let member = readers[0].at(0);
    assert!(readers.pop().unwrap().unsubscribe(&all));
    assert!(one().await.is_err(), "the member has its place");
    drop(member);
    let mut last = one().await.unwrap();
    let more = names(0).take(1000).collect::<Vec<_>>().join(",");
    last.subscribe(filter(&more), &Since::None).await.unwrap();
    publish(&hub, "t7").await;
    assert_eq!(last.next(LIMIT).await.unwrap().messages.len(), 1);
    drop(readers);
    for _ in 0..2 * CLAIMS_MAX / 1024 {
        Cursor::open(&access, all.clone(), &Since::None).await.unwrap();
    }
    hub.close();
}

/// Topics and patterns of many shapes: the wait for each must end with its message, and with no
/// other.
#[tokio::test]
async fn what_a_filter_selects_ends_its_wait_and_nothing_else_does() {
    let hub = memory(1 << 30);
    let filters = ["a", "a.*", "*.b", "a.>,a.b", "*.*.c", ">", "a-b.*", "a,a.b.c"];
    let topics = ["a", "a.b", "a.b.c", "a-b.c", "b", "x.b"];
    let mut readers = Vec::new();
    for text in filters {
        readers.push(Cursor::open(&access(&hub), filter(text), &Since::None).await.unwrap());
    }
    for topic in topics {
        let mut waits = Vec::new();
        for reader in &mut readers {
            let wanted = reader.filters()[0].clone();
            let mut wait = Box::pin(wait_for(reader, PATIENCE, LIMIT));
            assert!(poll!(wait.as_mut()).is_pending());
            waits.push((wanted, wait));
        }
        let seq = publish(&hub, topic).await;
        for (wanted, mut wait) in waits {
            match poll!(wait.as_mut()) {
                Poll::Ready(batch) => {
                    let batch = batch.unwrap();
                    let seqs: Vec<u64> = batch.messages.iter().map(Message::seq).collect();
                    assert_eq!(seqs, [seq], "{topic} for {wanted}");
                    assert!(wanted.matches(topic), "{topic} is not for {wanted}");
                }
                Poll::Pending => assert!(!wanted.matches(topic), "{topic} is for {wanted}"),
            }
        }
    }
    hub.close();
}

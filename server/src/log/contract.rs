//! What every engine promises, as tests over a constructor. Each engine runs all of it.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use doorbell_protocol::{Draft, Filter, GapReason, Since};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;

use super::{
    Entry, Feed, HeadSearch, Latest, Log, MemoryLog, Newest, Page, PageLimit, Query, Retention,
    SegmentLog, Selection, Sync,
};
use crate::access::Gate;
use crate::clock::{Clock, Now, SystemClock, unix_micros};
use crate::cursor::Cursor;
use crate::hub::{Hub, WireLimits};
use crate::message::Message;
use crate::session::wait_for;
use crate::visitors::Visitor;

pub(super) const KEEP: Retention = Retention { age: Duration::from_secs(3600), bytes: 1 << 30 };
pub(super) const HOUR_US: u64 = 3_600_000_000;

/// A log under test, with the folder or the server that it lives in.
struct Subject {
    log: Arc<dyn Log>,
    /// By way of what others append to the same log.
    others: Arc<dyn Log>,
    _home: Box<dyn Any>,
}

impl Subject {
    fn new(log: impl Log, home: impl Any) -> Self {
        let log: Arc<dyn Log> = Arc::new(log);
        Self { others: log.clone(), log, _home: Box::new(home) }
    }
}

#[allow(clippy::unnecessary_wraps, reason = "the shape of an engine that may not be had")]
fn memory(retention: Retention) -> Option<Subject> {
    Some(Subject::new(MemoryLog::new(retention), ()))
}

#[allow(clippy::unnecessary_wraps, reason = "the shape of an engine that may not be had")]
fn segments(retention: Retention) -> Option<Subject> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock::at(0));
    let log = SegmentLog::open(folder.path(), Sync::Os, retention, clock).unwrap();
    Some(Subject::new(log, folder))
}

/// A front, and another one; both are followed, as what is read is what was told. `None` where
/// there is no server to be had.
#[cfg(feature = "cluster")]
fn jetstream(retention: Retention) -> Option<Subject> {
    use super::jetstream::tests::{NatsServer, Told};
    let server = NatsServer::start(1 << 20)?;
    let (log, others) = (server.front(retention), server.front(retention));
    others.follow(Arc::new(Told::default()));
    let subject = Subject::new(log, server);
    Some(Subject { others: Arc::new(others), ..subject })
}

pub(super) fn draft(topic: &str, text: &str) -> Draft {
    Draft::text(topic.parse().unwrap(), text, 1 << 20).unwrap()
}

pub(super) fn entries(drafts: impl IntoIterator<Item = Draft>) -> Vec<Entry> {
    drafts.into_iter().map(Entry::from).collect()
}

/// A moment at which both clocks tell the same.
pub(super) fn at(micros: u64) -> Now {
    Now { unix_us: micros, since_boot_us: i64::try_from(micros).unwrap() }
}

/// A clock that stands still until it is set.
#[derive(Debug)]
pub(super) struct TestClock(Mutex<Now>);

impl TestClock {
    pub(super) fn at(micros: u64) -> Self {
        Self(Mutex::new(at(micros)))
    }

    pub(super) fn set(&self, now: Now) {
        *self.0.lock().unwrap() = now;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        *self.0.lock().unwrap()
    }
}

pub(super) fn append(log: &dyn Log, topic: &str, texts: &[&str], time_us: u64) -> Vec<Message> {
    let entries = entries(texts.iter().map(|text| draft(topic, text)));
    log.append(&entries, at(time_us)).unwrap()
}

pub(super) fn page(log: &dyn Log, filter: &str, after: u64, messages: usize) -> Page {
    let filters = [filter.parse::<Filter>().unwrap()];
    let limit = PageLimit { messages, bytes: 1 << 20 };
    log.read(&Query { selection: Selection(&filters), after, until: u64::MAX, limit }).unwrap()
}

pub(super) fn seqs(page: &Page) -> Vec<u64> {
    page.messages.iter().map(Message::seq).collect()
}

fn seqs_are_given_in_order_from_one(subject: &Subject) {
    let log = subject.log.as_ref();
    assert_eq!((log.bounds().first, log.bounds().last), (1, 0));
    let first = append(log, "a", &["x", "y"], 5);
    let second = append(log, "b", &["z"], 6);
    let given: Vec<u64> = first.iter().chain(&second).map(Message::seq).collect();
    assert_eq!(given, [1, 2, 3]);
    assert_eq!((log.bounds().first, log.bounds().last), (1, 3));
    assert!(first.iter().all(|message| message.id().epoch() == log.epochs().current()));
}

fn what_is_read_is_what_was_appended(subject: &Subject) {
    let log = subject.log.as_ref();
    let mut appended = append(log, "a", &["x", "é\n\"", ""], 5);
    appended.extend(append(log, "b.c", &["z"], 6));
    let read = page(log, ">", 0, 10);
    assert_eq!(read.through, 4);
    assert_eq!(read.messages.len(), appended.len());
    for (read, appended) in read.messages.iter().zip(&appended) {
        assert_eq!(read.id(), appended.id());
        assert_eq!(read.time_us(), appended.time_us());
        assert_eq!(read.topic(), appended.topic());
        assert_eq!(read.frame(), appended.frame());
    }
}

fn a_message_that_is_not_kept_has_its_place_and_is_not_read(subject: &Subject) {
    let log = subject.log.as_ref();
    let passing = |topic: &str| Draft { is_kept: false, ..draft(topic, "passes") };
    let batch = [draft("a", "x"), passing("a"), passing("b"), draft("a", "y")];
    assert_eq!(log.append(&entries(batch), at(5)).unwrap().len(), 4);
    append(log, "a", &["z"], 6);
    log.append(&entries([passing("a")]), at(7)).unwrap();
    for (filter, kept) in [(">", vec![1, 4, 5]), ("a", vec![1, 4, 5]), ("b", vec![])] {
        let page = page(log, filter, 0, 10);
        assert_eq!((seqs(&page), page.through >= 6, page.lost), (kept, true, None), "{filter}");
    }
    assert_eq!(log.bounds().last, 6);
    let newest = |topic: &str| log.heads().get(&topic.parse().unwrap()).map(|head| head.newest);
    assert_eq!((newest("a"), newest("b")), (Some(5), None));
}

fn a_page_holds_the_oldest_wanted_messages_after_a_place(subject: &Subject) {
    let log = subject.log.as_ref();
    for round in 0..300 {
        append(log, "a", &["x"], round);
        append(log, "b.1", &["y", "y"], round);
        append(log, "c", &["z"], round);
    }
    for (filter, wanted) in [
        ("a", vec![1]),
        ("b.1,c", vec![2, 3, 0]),
        ("b.*", vec![2, 3]),
        ("a,b.>", vec![1, 2, 3]),
        (">", vec![0, 1, 2, 3]),
        ("nobody", vec![]),
    ] {
        let all: Vec<u64> = (1..=1200).filter(|seq| wanted.contains(&(seq % 4))).collect();
        for after in [0, 1, 599, 1199, 1200] {
            let mut place = after;
            let mut got = Vec::new();
            while place < 1200 {
                let page = page(log, filter, place, 77);
                assert!(page.through > place && page.lost.is_none());
                assert!(page.messages.len() <= 77);
                got.extend(seqs(&page));
                place = page.through;
            }
            let expected: Vec<u64> = all.iter().copied().filter(|seq| *seq > after).collect();
            assert_eq!(got, expected, "{filter} after {after}");
        }
    }
}

fn a_page_ends_at_its_bounds(subject: &Subject) {
    let log = subject.log.as_ref();
    let text = "x".repeat(1000);
    append(log, "a", &[text.as_str(); 10], 5);
    let filters = ["a".parse::<Filter>().unwrap()];
    let query = |after, until, messages, bytes| {
        let limit = PageLimit { messages, bytes };
        log.read(&Query { selection: Selection(&filters), after, until, limit }).unwrap()
    };
    assert_eq!(seqs(&query(0, u64::MAX, 10, 3500)), [1, 2, 3]);
    assert_eq!(query(0, u64::MAX, 10, 3500).through, 3);
    assert_eq!(seqs(&query(0, u64::MAX, 10, 10)), [1], "a message larger than a page comes alone");
    assert_eq!(seqs(&query(4, 6, 10, 1 << 20)), [5, 6]);
    assert_eq!(query(4, 6, 10, 1 << 20).through, 6);
    assert_eq!(query(10, u64::MAX, 10, 1 << 20).through, 10);
}

fn times_are_the_clocks_and_can_be_sought(subject: &Subject) {
    let log = subject.log.as_ref();
    for (text, time_us) in [("x", 100), ("y", 50), ("z", 300)] {
        append(log, "a", &[text], time_us);
    }
    log.append(&entries([Draft { is_kept: false, ..draft("a", "passes") }]), at(301)).unwrap();
    let times: Vec<u64> = page(log, "a", 0, 9).messages.iter().map(Message::time_us).collect();
    assert_eq!(times, [100, 50, 300]);
    for (time_us, place) in [(0, 0), (50, 0), (51, 2), (100, 2), (101, 2), (300, 2), (301, 3)] {
        assert_eq!(log.seek(time_us).unwrap(), place, "{time_us}");
    }
}

/// The newest message of a filter, and the newest of each of its topics.
pub(super) fn heads(log: &dyn Log, filter: &str) -> (u64, Vec<u64>) {
    let filter = filter.parse().unwrap();
    let newest = HeadSearch::new(&filter, Newest::default()).finish(log.heads());
    let latest = HeadSearch::new(&filter, Latest::new(9)).finish(log.heads());
    (newest.seq(), latest.seqs())
}

fn heads_know_the_newest_message_of_each_topic(subject: &Subject) {
    let log = subject.log.as_ref();
    append(log, "a", &["x", "y"], 5);
    append(log, "b", &["z"], 6);
    assert_eq!(heads(log, "a"), (2, vec![2]));
    assert_eq!(heads(log, "a,b"), (3, vec![2, 3]));
    assert_eq!(heads(log, "*"), (3, vec![2, 3]));
    assert_eq!(heads(log, "c"), (0, vec![]));
}

fn what_is_too_old_is_let_go_and_told(subject: &Subject) {
    let log = subject.log.as_ref();
    append(log, "a", &vec!["x"; 1200], 0);
    append(log, "quiet", &["y"], HOUR_US);
    append(log, "a", &["z"], HOUR_US + 1);
    log.expire(at(HOUR_US + 2));
    assert_eq!((log.bounds().first, log.bounds().last), (1201, 1202));
    let lost = page(log, "a", 7, 9);
    assert_eq!((lost.lost, lost.through, lost.messages.len()), (Some(GapReason::Expired), 1200, 0));
    assert_eq!(seqs(&page(log, "a", lost.through, 9)), [1202]);
    let quiet = page(log, "quiet", 7, 9);
    assert_eq!((quiet.lost, seqs(&quiet)), (None, vec![1201]), "it lost nothing");
    assert_eq!(page(log, "*", 7, 9).lost, Some(GapReason::Expired));
}

fn what_is_too_much_is_let_go(subject: &Subject) {
    let log = subject.log.as_ref();
    let text = "x".repeat(1000);
    for _ in 0..100 {
        append(log, "a", &[text.as_str(); 100], 5);
        log.expire(at(6));
    }
    let bounds = log.bounds();
    assert!(bounds.bytes <= 2 << 20, "{bounds:?}");
    assert!(bounds.first > 5000 && bounds.first < 9_900, "{bounds:?}");
    assert_eq!(bounds.last, 10_000);
}

fn an_empty_batch_changes_nothing(subject: &Subject) {
    let log = subject.log.as_ref();
    append(log, "a", &["x"], 5);
    assert!(log.append(&[], at(6)).unwrap().is_empty());
    assert_eq!(log.bounds().last, 1);
}

fn a_reader_of_many_topics_gets_each_message_once(subject: &Subject) {
    let log = subject.log.as_ref();
    for round in 0..10 {
        let drafts: Vec<_> = (0..200).map(|n| draft(&format!("t{n}"), "x")).collect();
        log.append(&entries(drafts), at(round)).unwrap();
    }
    let names: Vec<String> = (0..120).map(|n| format!("t{n}")).collect();
    let filters: Vec<Filter> =
        names.chunks(60).map(|names| names.join(",").parse().unwrap()).collect();
    let (mut place, mut got) = (0, Vec::new());
    while place < 2000 {
        let limit = PageLimit { messages: 50, bytes: 1 << 20 };
        let selection = Selection(&filters);
        let page = log.read(&Query { selection, after: place, until: u64::MAX, limit }).unwrap();
        assert!(page.through > place && page.lost.is_none());
        got.extend(seqs(&page));
        place = page.through;
    }
    let expected: Vec<u64> = (1..=2000).filter(|seq| (seq - 1) % 200 < 120).collect();
    assert_eq!(got, expected);
}

/// While messages come and go, each reader gets every message or is told that it is gone.
fn nothing_is_skipped_in_silence_while_it_grows_and_shrinks(subject: &Subject) {
    const BATCHES: u64 = 400;
    let log = subject.log.as_ref();
    let follow = |filter: &'static str, step: u64| {
        move || {
            let (mut place, mut got, mut lost) = (0, 0, 0);
            while place < BATCHES * 20 {
                let page = page(log, filter, place, 30);
                assert!(page.through <= log.bounds().last.max(place));
                let mut expected = (place + 1..=page.through).filter(|seq| seq % 20 % step == 0);
                if let Some(reason) = page.lost {
                    assert_eq!(reason, GapReason::Expired);
                    lost += expected.count();
                } else {
                    got += page.messages.len();
                    assert!(seqs(&page).into_iter().eq(expected.by_ref()), "{filter} at {place}");
                }
                place = page.through;
            }
            assert_eq!((got + lost) as u64, BATCHES * 20 / step);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(follow(">", 1));
        scope.spawn(follow("even,four", 2));
        scope.spawn(follow("four", 4));
        for batch in 0..BATCHES {
            let topic = |n| match n % 4 {
                0 => "four",
                2 => "even",
                _ => "odd",
            };
            let drafts: Vec<_> = (1..=20).map(|n| draft(topic(n), "x")).collect();
            log.append(&entries(drafts), at(batch * HOUR_US / 10)).unwrap();
            log.expire(at(batch * HOUR_US / 10));
        }
    });
}

/// Keeps what a log tells, and holds it against what the log knows then.
#[derive(Debug)]
struct Told {
    log: Weak<dyn Log>,
    seqs: Mutex<Vec<u64>>,
    first_held: AtomicU64,
}

impl Feed for Told {
    fn push(&self, batch: &[Message]) {
        let log = self.log.upgrade().unwrap();
        for message in batch {
            let seq = message.seq();
            assert!(log.bounds().last >= seq);
            assert_eq!(seqs(&page(log.as_ref(), ">", seq - 1, 1)), [seq]);
            self.seqs.lock().unwrap().push(seq);
        }
    }

    fn trim(&self, first_held: u64) {
        self.first_held.store(first_held, Ordering::Relaxed);
    }

    fn skip(&self, through: u64) {
        panic!("nothing was let go before it was told, and it skips to {through}");
    }
}

fn the_feed_is_told_before_a_publisher_is_answered(subject: &Subject) {
    let log = subject.log.as_ref();
    append(log, "a", &["before"], 5);
    let told = Arc::new(Told {
        log: Arc::downgrade(&subject.log),
        seqs: Mutex::default(),
        first_held: AtomicU64::new(0),
    });
    assert_eq!(log.follow(told.clone()), 1);
    assert!(told.seqs.lock().unwrap().is_empty());
    append(log, "a", &["x", "y"], 6);
    assert_eq!(*told.seqs.lock().unwrap(), [2, 3]);
    log.append(&[], at(7)).unwrap();
    append(log, "b", &["z"], 8);
    assert_eq!(*told.seqs.lock().unwrap(), [2, 3, 4]);
    log.expire(at(2 * HOUR_US));
    assert_eq!(told.first_held.load(Ordering::Relaxed), 5);
}

/// Somebody stores messages without our writer, while publishers publish and readers read.
fn others_messages_may_come_between_ours(subject: &Subject) {
    const OURS: usize = 200;
    let limits = WireLimits { message_bytes: 100, filter_topics: 10, subscriptions: 10 };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let hub = {
        let _runtime = runtime.enter();
        Hub::start(
            subject.log.clone(),
            1 << 20,
            &KEEP,
            limits,
            Arc::new(SystemClock),
            crate::schedule::Schedule::default(),
        )
        .unwrap()
    };
    let are_ours_stored = Arc::new(AtomicBool::new(false));
    let (log, enough) = (subject.others.clone(), are_ours_stored.clone());
    let others = std::thread::spawn(move || {
        let mut stored = Vec::new();
        while !enough.load(Ordering::Acquire) {
            let texts = &["x"; 3][..=stored.len() % 3];
            let batch = append(log.as_ref(), "theirs", texts, unix_micros());
            stored.extend(batch.iter().map(Message::seq));
        }
        stored
    });
    runtime.block_on(async {
        let mut readers = JoinSet::new();
        let access = Gate::open(hub.clone(), None).anonymous(&Visitor::default());
        for filter in ["ours", "theirs", ">"] {
            let cursor = Cursor::open(
                &access,
                access.readable(filter.parse().unwrap()).unwrap(),
                &Since::All,
            )
            .await
            .unwrap();
            readers.spawn_on(read_to_the_end(cursor, filter), &Handle::current());
        }
        let mut publishers = JoinSet::new();
        for publisher in 0..4 {
            publishers.spawn_on(publish_ours(hub.clone(), publisher, OURS), &Handle::current());
        }
        let ours = publishers.join_all().await.concat();
        are_ours_stored.store(true, Ordering::Release);
        let theirs = others.join().unwrap();
        let within = |seq: &u64| ours.iter().min() < Some(seq) && ours.iter().max() > Some(seq);
        assert!(theirs.iter().any(within), "nothing came between ours: this tested nothing");
        hub.publish(draft("ours", "end")).await.unwrap();
        append(subject.others.as_ref(), "theirs", &["end"], unix_micros());
        for (filter, got) in readers.join_all().await {
            let wanted = |own| filter == ">" || filter == own;
            let ours = ours.iter().filter(|_| wanted("ours"));
            let mut all: Vec<u64> =
                ours.chain(theirs.iter().filter(|_| wanted("theirs"))).copied().collect();
            all.sort_unstable();
            assert_eq!(got, all, "{filter}");
        }
        hub.close();
    });
}

/// Publishes messages one after the other, each visible when it is answered; returns their seqs.
async fn publish_ours(hub: Hub, publisher: usize, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    for number in 0..count {
        let text = format!("{publisher}.{number}");
        let message = hub.publish(draft("ours", &text)).await.unwrap();
        assert!(hub.visible() >= message.seq());
        assert_eq!(message.raw_line(), format!("{text}\n"), "the answer to somebody else");
        seqs.push(message.seq());
    }
    seqs
}

/// The seqs that a reader gets, in its order, up to the text that ends each topic.
async fn read_to_the_end(mut cursor: Cursor, filter: &str) -> (&str, Vec<u64>) {
    let mut open = if filter == ">" { 2 } else { 1 };
    let mut got = Vec::new();
    while open > 0 {
        let patience = Duration::from_secs(30);
        let batch = wait_for(&mut cursor, patience, PageLimit::BATCH).await.unwrap();
        assert!(batch.gap.is_none() && !batch.messages.is_empty(), "{filter}: {batch:?}");
        for message in batch.messages {
            if message.raw_line() == "end\n" {
                open -= 1;
            } else {
                got.push(message.seq());
            }
        }
    }
    (filter, got)
}

fn a_closed_log_takes_nothing_more(subject: &Subject) {
    let log = subject.log.as_ref();
    append(log, "a", &["x"], 5);
    log.close().unwrap();
    assert!(log.append(&entries([draft("a", "y")]), at(6)).is_err());
}

/// A test of the engine for each of these, where it is to be had.
macro_rules! contract {
    ($engine:ident: $($test:ident ($retention:expr);)+) => {
        $(#[test] fn $test() {
            if let Some(subject) = super::$engine($retention) {
                super::$test(&subject);
            }
        })+
    };
}

/// What holds whatever clock a log goes by.
macro_rules! by_any_clock {
    ($engine:ident) => {
        contract! { $engine:
            seqs_are_given_in_order_from_one(super::KEEP);
            what_is_read_is_what_was_appended(super::KEEP);
            a_message_that_is_not_kept_has_its_place_and_is_not_read(super::KEEP);
            a_page_holds_the_oldest_wanted_messages_after_a_place(super::KEEP);
            a_page_ends_at_its_bounds(super::KEEP);
            heads_know_the_newest_message_of_each_topic(super::KEEP);
            what_is_too_much_is_let_go(super::Retention { bytes: 2 << 20, ..super::KEEP });
            an_empty_batch_changes_nothing(super::KEEP);
            a_reader_of_many_topics_gets_each_message_once(super::KEEP);
            others_messages_may_come_between_ours(super::KEEP);
            a_closed_log_takes_nothing_more(super::KEEP);
        }
    };
}

/// What needs a clock that is passed in.
macro_rules! by_a_given_clock {
    ($engine:ident) => {
        contract! { $engine:
            times_are_the_clocks_and_can_be_sought(super::KEEP);
            what_is_too_old_is_let_go_and_told(super::KEEP);
            nothing_is_skipped_in_silence_while_it_grows_and_shrinks(super::KEEP);
            the_feed_is_told_before_a_publisher_is_answered(super::KEEP);
        }
    };
}

mod memory_keeps_the_contract {
    by_any_clock!(memory);
    by_a_given_clock!(memory);
}

mod segments_keep_the_contract {
    by_any_clock!(segments);
    by_a_given_clock!(segments);
}

/// A stream has a clock of its own.
#[cfg(feature = "cluster")]
mod jetstream_keeps_the_contract {
    by_any_clock!(jetstream);
}

//! The property that everything rests on: whoever joins wherever and whenever, and whatever road it
//! takes, gets each message once and in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::support::{Event, Lines, TestServer, Transport, eventually, messages};

/// Messages of one stream; three publishers share them.
const MESSAGES: usize = 360;
const PUBLISHERS: usize = 3;
const TOPICS: [&str; 4] = ["a", "b.x", "b.y", "c.x.y"];
/// Filters with the topics that they select.
const FILTERS: [(&str, &[&str]); 4] =
    [("a", &["a"]), ("b.*", &["b.x", "b.y"]), ("a,c.%3E", &["a", "c.x.y"]), ("%3E", &TOPICS)];
/// The text that ends a topic.
const END: &str = "end";

/// One reader's plan.
#[derive(Debug, Clone)]
struct Plan {
    /// Joins once so many messages are acknowledged.
    join_after: usize,
    from_the_start: bool,
    filter: usize,
    way: usize,
    /// After so many messages it goes away and comes back with its last id by another way.
    leave_after: usize,
    then_way: usize,
}

fn plan() -> impl Strategy<Value = Plan> {
    let ways = 0..Transport::ALL.len();
    (0..MESSAGES, any::<bool>(), 0..FILTERS.len(), ways.clone(), 1..60usize, ways).prop_map(
        |(join_after, from_the_start, filter, way, leave_after, then_way)| Plan {
            join_after,
            from_the_start,
            filter,
            way,
            leave_after,
            then_way,
        },
    )
}

/// How far the publishers and the readers are.
#[derive(Debug, Default)]
struct Progress {
    /// Messages that the server has acknowledged.
    acknowledged: AtomicUsize,
    /// Readers that have begun.
    joined: AtomicUsize,
}

/// Publishes this publisher's share, a few at a time, and counts what was acknowledged.
fn publish(server: &TestServer, share: usize, progress: &Progress) {
    let mut lines = server.lines();
    for n in (share..MESSAGES).step_by(PUBLISHERS) {
        let topic = TOPICS[(n / 7) % TOPICS.len()];
        let answer = lines.ask(format_args!("PUB {topic} {n}"));
        assert_eq!(answer.kind(), "ok");
        progress.acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

/// What a reader heard, and the newest acknowledged place that it may not miss what follows.
struct Heard {
    events: Vec<Event>,
    joined_at: usize,
}

fn read(server: &TestServer, plan: &Plan, progress: &Progress) -> Heard {
    let acknowledged = &progress.acknowledged;
    eventually("the time to join", || {
        (acknowledged.load(Ordering::SeqCst) >= plan.join_after).then_some(())
    });
    let (filter, topics) = FILTERS[plan.filter];
    let spelled = |way: Transport| match way {
        Transport::Tcp | Transport::Unix => filter.replace("%3E", ">"),
        _ => filter.to_owned(),
    };
    let since = if plan.from_the_start { "all" } else { "none" };
    let way = Transport::ALL[plan.way];
    let mut reader = way.read(server, &spelled(way), since);
    let joined_at = acknowledged.load(Ordering::SeqCst);
    progress.joined.fetch_add(1, Ordering::SeqCst);
    let mut events = Vec::new();
    let mut ends = 0;
    while ends < topics.len() {
        if events.len() == plan.leave_after {
            let last: &Event = events.last().unwrap();
            let way = Transport::ALL[plan.then_way];
            reader = way.read(server, &spelled(way), last.id());
        }
        let event = reader.message();
        ends += usize::from(event.message() == END);
        events.push(event);
    }
    Heard { events, joined_at }
}

/// Everything of the topics, as the log holds it in the end.
fn held(server: &TestServer, filter: &str) -> Vec<Event> {
    server.get(&format!("/{filter}/json?poll=1&since=all&max=10000")).events()
}

fn check(server: &TestServer, plan: &Plan, heard: &Heard) {
    let expected = held(server, FILTERS[plan.filter].0);
    let skipped = expected.len() - heard.events.len().min(expected.len());
    assert_eq!(heard.events, expected[skipped..], "the end of the log, unbroken: {plan:?}");
    if plan.from_the_start {
        assert_eq!(skipped, 0, "everything: {plan:?}");
    }
    // Acknowledgements come after visibility: what it skipped was published before it joined. At
    // most one message of each publisher was stored and not counted yet.
    let last_skipped = expected[..skipped].last().map_or(0, Event::seq);
    let bound = heard.joined_at + PUBLISHERS;
    assert!(last_skipped <= bound as u64, "skipped {last_skipped}, bound {bound}: {plan:?}");
}

fn run(plans: &[Plan], durable: bool) {
    let server = if durable { TestServer::durable("") } else { TestServer::start() };
    let progress = Progress::default();
    std::thread::scope(|scope| {
        let (server, progress) = (&server, &progress);
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|share| scope.spawn(move || publish(server, share, progress)))
            .collect();
        let readers: Vec<_> = plans
            .iter()
            .map(|plan| (plan, scope.spawn(move || read(server, plan, progress))))
            .collect();
        for publisher in publishers {
            publisher.join().unwrap();
        }
        eventually("every reader has begun", || {
            (progress.joined.load(Ordering::SeqCst) == plans.len()).then_some(())
        });
        for topic in TOPICS {
            server.publish(topic, END);
        }
        for (plan, reader) in readers {
            let heard = reader.join().unwrap();
            check(server, plan, &heard);
        }
    });
    assert_eq!(held(&server, "%3E").len(), MESSAGES + TOPICS.len());
}

/// A wake-up that is lost shows only where nothing follows it: two messages a moment apart, which
/// is another moment each time, and then silence until both are there.
#[test]
fn a_message_never_waits_for_the_next_one_to_wake_its_reader() {
    let server = TestServer::start();
    let mut readers: Vec<Lines> = (0..16).map(|_| server.lines()).collect();
    for reader in &mut readers {
        reader.subscribe("t");
    }
    let mut publisher = server.lines();
    for round in 0..1500_u32 {
        publisher.write(b"PUB t first\n");
        let apart = Duration::from_micros(u64::from(round % 500));
        let began = Instant::now();
        while began.elapsed() < apart {
            std::hint::spin_loop();
        }
        publisher.write(b"PUB t second\n");
        for reader in &mut readers {
            assert_eq!(messages(&reader.events(2)), ["first", "second"], "round {round}");
        }
        assert!(publisher.events(2).iter().all(|answer| answer.kind() == "ok"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        max_shrink_iters: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whoever_joins_wherever_gets_each_message_once_and_in_order(
        plans in proptest::collection::vec(plan(), 6..14), durable in any::<bool>()
    ) {
        run(&plans, durable);
    }
}

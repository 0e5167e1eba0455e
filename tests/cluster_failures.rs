//! A cluster whose servers, fronts and network fail, while many publish and read over every
//! transport, now by one front and now by the other. What every publisher was told and every reader
//! has had is held against each other.
//!
//! `DOORBELL_ROUNDS` says how many failures there are, and `DOORBELL_SEED` what random choices
//! begin with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;

use crate::support::nats::{NODES, NatsCluster};
use crate::support::relay::Relay;
use crate::support::{Event, Request, TestServer, Transport, eventually};

/// Failures, if nothing is said.
const ROUNDS: u64 = 3;
const PUBLISHERS: usize = 4;
/// How long a publisher waits after each answer.
const PAUSE: Duration = Duration::from_millis(10);
/// The quiet time after each failure, in which everybody goes on.
const CALM: Duration = Duration::from_millis(1500);
/// How long a cluster may take to elect a leader, or to come back as a whole.
const ELECTION_MAX: Duration = Duration::from_secs(30);
/// What readers may be silent longer than publishers are.
const SILENCE_MORE: Duration = Duration::from_secs(1);
/// How often a reader changes its front by itself.
const STAY: std::ops::Range<u64> = 20..200;

/// What fails.
#[derive(Debug, Clone, Copy)]
enum Failure {
    /// The server that leads the stream is killed.
    Leader,
    /// One of the others is killed.
    Follower,
    /// The leader stands still for a while, and goes on.
    Frozen(Duration),
    /// All three are killed.
    All,
    /// A front is killed.
    Front(usize),
    /// The network between the second front and the cluster is cut for a while.
    Cut(Duration),
}

impl Failure {
    const KINDS: u64 = 6;

    /// The first rounds have one of each kind that a user meets soonest.
    fn of(round: u64, random: &mut StdRng) -> Self {
        let kind = if round < Self::KINDS { round } else { random.random_range(0..Self::KINDS) };
        match kind {
            0 => Self::Leader,
            1 => Self::Front(random.random_range(0..2)),
            2 => Self::Frozen(Duration::from_secs(3)),
            3 => Self::Follower,
            4 => Self::Cut(Duration::from_secs(random.random_range(1..10))),
            _ if random.random_bool(0.5) => Self::Frozen(Duration::from_secs(15)),
            _ => Self::All,
        }
    }
}

/// Where the two fronts are, and whether it is over.
struct Shared {
    fronts: [Mutex<TestServer>; 2],
    is_over: AtomicBool,
}

impl Shared {
    fn http(&self, front: usize) -> std::net::SocketAddr {
        self.fronts[front % 2].lock().unwrap().http
    }
}

/// The answers that a publisher had, and its longest time without one.
#[derive(Default)]
struct Published {
    acknowledged: Vec<(u64, Event)>,
    gap: Duration,
}

fn publish(shared: &Shared, name: usize) -> Published {
    let mut own = Published::default();
    let mut front = name;
    let mut last = Instant::now();
    for number in 0.. {
        let text = format!("{name} {number}");
        // Each until it is stored: what was refused or broken off may be stored too.
        loop {
            if shared.is_over.load(Ordering::Acquire) {
                return own;
            }
            let request = Request::post(&format!("/p{name}"), text.as_str());
            match request.try_send_to(shared.http(front)) {
                Ok(told) if told.status == 200 => {
                    own.acknowledged.push((number, told.events().remove(0)));
                    break;
                }
                Ok(told) => assert_eq!(told.status, 503, "{}", told.text()),
                Err(_) => sleep(PAUSE),
            }
            front += 1;
        }
        own.gap = own.gap.max(last.elapsed());
        last = Instant::now();
        if number % 7 == 0 {
            front += 1;
        }
        sleep(PAUSE);
    }
    own
}

/// What a reader had, and its longest time without a message.
#[derive(Default)]
struct Had {
    events: Vec<Event>,
    silence: Duration,
}

fn read(shared: &Shared, transport: Transport, seed: u64) -> Had {
    let mut random = StdRng::seed_from_u64(seed);
    let mut own = Had::default();
    let mut last = Instant::now();
    let mut front = usize::try_from(seed).unwrap();
    while !shared.is_over.load(Ordering::Acquire) {
        front += 1;
        let since = own.events.last().map_or("all", Event::id).to_owned();
        let mut stay = random.random_range(STAY);
        let mut note = |event: Event| {
            if event.kind() == "message" {
                own.silence = own.silence.max(last.elapsed());
                last = Instant::now();
                own.events.push(event);
            }
            stay = stay.saturating_sub(1);
            stay > 0 && !shared.is_over.load(Ordering::Acquire)
        };
        if matches!(transport, Transport::Poll | Transport::LongPoll) {
            let wait = if transport == Transport::Poll { "" } else { "&wait=2s" };
            let mut place = since;
            loop {
                let path = format!("/%3E/json?poll=1&since={place}{wait}");
                let Ok(told) = Request::get(&path).try_send_to(shared.http(front)) else { break };
                if told.status != 200 {
                    assert_eq!(told.status, 503, "{}", told.text());
                    break;
                }
                told.next().clone_into(&mut place);
                let events = told.events_and_place();
                if events.is_empty() {
                    sleep(PAUSE);
                }
                // All of them are noted: the next place is behind them.
                let stays = events.into_iter().map(&mut note).collect::<Vec<_>>();
                if stays.contains(&false) || shared.is_over.load(Ordering::Acquire) {
                    break;
                }
            }
            continue;
        }
        let Some(mut reader) = begin(shared, front, transport, &since) else {
            sleep(PAUSE);
            continue;
        };
        while reader.try_event().is_some_and(&mut note) {}
    }
    own
}

/// Begins to read at a front that may be gone.
fn begin(
    shared: &Shared,
    front: usize,
    transport: Transport,
    since: &str,
) -> Option<crate::support::transport::Reader> {
    let server = shared.fronts[front % 2].lock().unwrap();
    let healthy = Request::get("/v1/health").try_send_to(server.http).ok()?;
    // A subscription to what must be read from the cluster is refused while that is away.
    (healthy.status == 200).then(|| transport.read(&server, ">", since))
}

#[test]
fn nothing_acknowledged_is_lost_or_told_twice_whatever_fails() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let rounds = number("DOORBELL_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("DOORBELL_SEED").unwrap_or_else(rand::random);
    println!("DOORBELL_SEED={seed}");
    let Some(mut cluster) = NatsCluster::start() else { return };
    let relays = cluster.relays();
    let by_relays = relays.iter().map(|relay| format!("nats://{}", relay.entry));
    let by_relays = by_relays.collect::<Vec<_>>().join(",");
    let front = |urls: &str| Mutex::new(TestServer::front(urls, "--keepalive 500ms"));
    let fronts = [front(&cluster.urls(0)), front(&by_relays)];
    let shared = Arc::new(Shared { fronts, is_over: AtomicBool::new(false) });
    let mut random = StdRng::seed_from_u64(seed);
    let publishers: Vec<JoinHandle<Published>> = (0..PUBLISHERS)
        .map(|name| {
            let shared = shared.clone();
            spawn(move || publish(&shared, name))
        })
        .collect();
    let readers: Vec<(Transport, JoinHandle<Had>)> = Transport::ALL
        .into_iter()
        .zip(1..)
        .map(|(transport, own)| {
            let shared = shared.clone();
            (transport, spawn(move || read(&shared, transport, seed.wrapping_mul(31) % 1000 + own)))
        })
        .collect();
    for round in 0..rounds {
        sleep(CALM);
        let failure = Failure::of(round, &mut random);
        println!("round {round}: {failure:?}");
        fail(&mut cluster, &relays, &shared, failure);
        eventually("both fronts are healthy again", || {
            let is_healthy = |front: &Mutex<TestServer>| {
                let server = front.lock().unwrap();
                let told = Request::get("/v1/health").try_send_to(server.http);
                told.is_ok_and(|told| told.status == 200)
            };
            shared.fronts.iter().all(is_healthy).then_some(())
        });
    }
    sleep(CALM);
    shared.is_over.store(true, Ordering::Release);
    let published: Vec<Published> =
        publishers.into_iter().map(|publisher| publisher.join().unwrap()).collect();
    // The last message ends the wait of those who wait.
    shared.fronts.iter().for_each(|front| drop(front.lock().unwrap().publish("end", "end")));
    let had: Vec<(Transport, Had)> = readers
        .into_iter()
        .map(|(transport, reader)| (transport, reader.join().unwrap()))
        .collect();
    check(&shared, &published, &had);
}

fn fail(cluster: &mut NatsCluster, relays: &[Relay], shared: &Shared, failure: Failure) {
    let leader = cluster.leader();
    let restart = |cluster: &mut NatsCluster, nodes: &[usize]| {
        for node in nodes {
            cluster.kill(*node);
        }
        sleep(CALM);
        for node in nodes {
            cluster.launch(*node);
        }
        for node in nodes {
            cluster.await_health(*node);
        }
    };
    match failure {
        Failure::Leader => restart(cluster, &[leader]),
        Failure::Follower => restart(cluster, &[(leader + 1) % NODES]),
        Failure::All => restart(cluster, &[0, 1, 2]),
        Failure::Frozen(duration) => {
            cluster.signal(leader, Signal::STOP);
            sleep(duration);
            cluster.signal(leader, Signal::CONT);
        }
        Failure::Cut(duration) => {
            for is_cut in [true, false] {
                for relay in relays {
                    relay.cut(is_cut);
                }
                sleep(if is_cut { duration } else { Duration::ZERO });
            }
        }
        Failure::Front(front) => {
            let mut server = shared.fronts[front].lock().unwrap();
            server.kill();
            server.restart();
        }
    }
}

fn check(shared: &Shared, published: &[Published], had: &[(Transport, Had)]) {
    // Everything that is stored, read to its end through one front.
    let server = shared.fronts[0].lock().unwrap();
    let mut stored: Vec<Event> = Vec::new();
    loop {
        let since = stored.last().map_or("all", Event::id);
        let told = server.get(&format!("/%3E/json?poll=1&since={since}"));
        let events = told.events();
        assert_eq!(told.header("doorbell-gap"), None);
        if events.is_empty() {
            break;
        }
        stored.extend(events);
    }
    let by_seq: BTreeMap<u64, &Event> = stored.iter().map(|event| (event.seq(), event)).collect();
    assert_eq!(by_seq.len(), stored.len(), "a place was given out twice");
    let mut acknowledged = 0;
    let gap = published.iter().map(|own| own.gap).max().unwrap();
    for own in published {
        let mut last = 0;
        for (number, event) in &own.acknowledged {
            let held = by_seq.get(&event.seq());
            let held = held.unwrap_or_else(|| panic!("acknowledged and lost: {}", event.line));
            assert_eq!(held.line, event.line, "text {number}");
            assert!(event.seq() > last, "out of order: {}", event.line);
            last = event.seq();
            acknowledged += 1;
        }
    }
    assert!(acknowledged > 100, "only {acknowledged} were stored: this tested little");
    for (transport, own) in had {
        let got: Vec<u64> = own.events.iter().map(Event::seq).collect();
        let last = *got.last().unwrap_or_else(|| panic!("{transport:?} had nothing"));
        let expected: Vec<u64> = by_seq.range(..=last).map(|(seq, _)| *seq).collect();
        assert_eq!(got, expected, "{transport:?}");
        for event in &own.events {
            assert_eq!(event.line, by_seq[&event.seq()].line, "{transport:?}");
        }
        println!("{transport:?}: {} messages, silent for at most {:?}", got.len(), own.silence);
        let most = gap + SILENCE_MORE + CALM;
        assert!(own.silence <= most, "{transport:?} was silent for {:?} of {most:?}", own.silence);
    }
    println!("{acknowledged} acknowledged, {} stored, gap {gap:?}", stored.len());
    assert!(gap < ELECTION_MAX, "no publish was stored for {gap:?}");
}

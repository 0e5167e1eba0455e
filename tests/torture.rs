//! Death at any moment: a server is killed again and again, while it stores what many publish,
//! while it finishes segments and lets go of others, and while it starts. What every publisher was
//! told and every reader has had is then held against each other.
//!
//! `DOORBELL_ROUNDS` says how often it dies, and `DOORBELL_SEED` what random choices begin with. A
//! seed brings back the choices and not the run, since several processes take part.

mod history;
mod publishers;
mod readers;

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;

use self::history::{Counts, History};
use self::publishers::{END, PUBLISHERS, Publisher};
use self::readers::{FILTERS, Reader, Visit, read};
use crate::support::{Event, PATIENCE, TestServer, Transport};

/// Rounds, if nothing is said.
const ROUNDS: u64 = 30;
/// Deaths of one log.
const ROUNDS_OF_A_LOG: u64 = 10;
/// What logs keep. The least of it fills one segment.
const RETENTIONS: [u64; 4] = [64 << 10, 128 << 10, 256 << 10, 1 << 20];
/// Acknowledgements and time until a server dies, and time until one dies that starts: at most.
const ACKNOWLEDGEMENTS_MAX: usize = 300;
const LIFE_MAX: Duration = Duration::from_millis(150);
const START_MAX: Duration = Duration::from_millis(60);

/// How many of those who come back are there at a time.
const PRESENT: f64 = 0.4;

/// One log, and everybody who comes back to it.
struct Trial {
    random: StdRng,
    server: TestServer,
    history: History,
    readers: Vec<Reader>,
    told: String,
    starts: u64,
}

/// When a server dies.
#[derive(Debug)]
enum Moment {
    /// After so many acknowledgements.
    Acknowledged(usize),
    /// After so long.
    Passed(Duration),
    /// When the next file appears or goes.
    FilesChanged,
}

impl Moment {
    fn any(random: &mut StdRng) -> Self {
        match random.random_range(0..3) {
            0 => Self::Acknowledged(random.random_range(0..ACKNOWLEDGEMENTS_MAX)),
            1 => Self::Passed(random.random_range(Duration::ZERO..LIFE_MAX)),
            _ => Self::FilesChanged,
        }
    }

    /// Waits for it, or for too long.
    fn wait(&self, server: &TestServer, acknowledged: &Receiver<()>) {
        match self {
            Self::Acknowledged(count) => {
                for _ in 0..*count {
                    let _ = acknowledged.recv_timeout(PATIENCE);
                }
            }
            Self::Passed(duration) => std::thread::sleep(*duration),
            Self::FilesChanged => {
                let (before, began) = (server.files(), Instant::now());
                while server.files() == before && began.elapsed() < 4 * LIFE_MAX {
                    std::thread::yield_now();
                }
            }
        }
    }
}

impl Trial {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let retention = RETENTIONS[random.random_range(0..RETENTIONS.len())];
        let flags = format!("--udp 127.0.0.1:0 --retention-bytes {retention}");
        Self {
            random,
            server: TestServer::durable(&flags),
            history: History::new(retention),
            readers: Transport::WITH_IDS.map(Reader::new).into(),
            told: format!("DOORBELL_SEED={seed}, {retention} bytes are kept"),
            starts: 1,
        }
    }

    fn run(&mut self, rounds: u64) {
        for round in 0..rounds {
            let moment = Moment::any(&mut self.random);
            let told = format!("{}, round {round}, {moment:?}", self.told);
            let visits = self.live_and_die(&moment, round);
            self.come_back();
            self.history.check(&self.everything(), &told);
            for visit in &visits {
                self.history.check_visit(visit, &format!("{told}, {visit}"));
            }
        }
        self.read_to_the_end();
    }

    /// Publishes and reads until the server is dead.
    fn live_and_die(&mut self, moment: &Moment, round: u64) -> Vec<Visit> {
        // In the first round everybody begins; later they stay away now and then, for long enough
        // that what they want next may be let go of.
        let mut is_there = || round == 0 || self.random.random_bool(PRESENT);
        let readers: Vec<_> = self.readers.iter_mut().filter(|_| is_there()).collect();
        let filters: Vec<_> =
            readers.iter().map(|_| &FILTERS[self.random.random_range(0..FILTERS.len())]).collect();
        let server = &self.server;
        let names = (0..PUBLISHERS).map(|index| round * PUBLISHERS + index);
        let publishers: Vec<_> = names.map(|name| Publisher::connect(server, name)).collect();
        let (begun, has_begun) = channel();
        let (acknowledge, acknowledged) = channel();
        let (visits, published) = std::thread::scope(|scope| {
            let reading: Vec<_> = readers
                .into_iter()
                .zip(filters)
                .map(|(reader, filter)| {
                    let begun = begun.clone();
                    scope.spawn(move || reader.visit(server, filter, begun, |_| false))
                })
                .collect();
            drop(begun);
            let are_all_there = reading.iter().all(|_| has_begun.recv_timeout(PATIENCE).is_ok());
            let publishing: Vec<_> = publishers
                .into_iter()
                .map(|publisher| {
                    let acknowledge = acknowledge.clone();
                    scope.spawn(move || publisher.publish(&acknowledge))
                })
                .collect();
            drop(acknowledge);
            if are_all_there {
                moment.wait(server, &acknowledged);
            }
            // Nobody may fail before: the others would go on for ever.
            server.signal(Signal::KILL);
            let visits: Vec<Visit> = reading.into_iter().map(|own| own.join().unwrap()).collect();
            let published: Vec<_> = publishing.into_iter().map(|own| own.join().unwrap()).collect();
            assert!(are_all_there, "a reader did not begin");
            (visits, published)
        });
        self.server.kill();
        for own in &published {
            self.history.note_published(own, &self.told);
        }
        for visit in &visits {
            self.history.note_heard(&visit.events, &self.told);
        }
        visits
    }

    /// Starts again, maybe after starts that died.
    fn come_back(&mut self) {
        while self.random.random_bool(0.3) {
            self.server.die_in_a_start(self.random.random_range(Duration::ZERO..START_MAX));
            self.starts += 1;
        }
        let sync = if self.random.random_bool(0.5) { "os" } else { "always" };
        self.server.restart_with(&format!("--sync {sync}"));
        self.starts += 1;
    }

    /// What is held; without what is let go of while it is read.
    fn everything(&self) -> Vec<Event> {
        let mut events = self.server.poll("%3E", "all");
        let told = events.iter().rposition(|event| event.gap().is_some());
        events.split_off(told.unwrap_or(0))
    }

    /// Lets everybody who came back read on to the end, and somebody new from the beginning.
    fn read_to_the_end(&mut self) {
        let end = self.server.publish(END, END);
        let is_end = |event: &Event| event.kind() == "message" && event.id() == end.id();
        let held = self.everything();
        self.history.note_heard(&held, &self.told);
        self.history.check(&held, &self.told);
        for (index, reader) in self.readers.iter_mut().enumerate() {
            let filter = &FILTERS[index % FILTERS.len()];
            let visit = reader.visit(&self.server, filter, channel().0, is_end);
            let told = format!("{}, the end, {visit}", self.told);
            assert!(visit.events.last().is_some_and(is_end), "{told}");
            self.history.check_visit(&visit, &told);
        }
        for way in Transport::ALL.into_iter().chain([Transport::Udp]) {
            let events = read(way, &self.server, &FILTERS[0], "all", channel().0, is_end);
            let told = format!("{}, the end, {way:?}", self.told);
            self.history.check_from_the_beginning(&events, &held, &told);
        }
    }
}

#[test]
fn whenever_it_dies_what_was_acknowledged_is_there_once_in_order_or_told_in_a_gap() {
    let seed = number("DOORBELL_SEED").unwrap_or_else(rand::random);
    let rounds = number("DOORBELL_ROUNDS").unwrap_or(ROUNDS);
    println!("DOORBELL_SEED={seed}");
    let (mut deaths, mut starts, mut counts) = (0, 0, Counts::default());
    while deaths < rounds {
        let mut trial = Trial::new(seed.wrapping_add(deaths / ROUNDS_OF_A_LOG));
        let own = ROUNDS_OF_A_LOG.min(rounds - deaths);
        trial.run(own);
        deaths += own;
        starts += trial.starts;
        counts += trial.history.counts;
    }
    println!("{deaths} deaths, {starts} starts, {counts:?}");
}

/// What a variable says.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|given| given.parse().expect("a number"))
}

//! What an acknowledgement is worth when the machine loses its power, at any moment and more than
//! once.
//!
//! A server runs under load on a disk that remembers what was done to it. Afterwards the power is
//! cut at many moments of that record, the server is started on what a disk may hold then, and what
//! it tells its readers is held against what was acknowledged. That start is recorded too, and cut
//! in its turn.
//!
//! `DOORBELL_ROUNDS` says how often the power is cut, and `DOORBELL_SEED` repeats what is chosen at
//! random; what the threads of a server do at the same time is not repeated by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::support::id::epoch_and_seq;
use crate::support::recorded_disk::{FIRST_BOOT, Image, Record, RecordedDisk};
use crate::support::{Event, TestServer, eventually};

const TOPICS: [&str; 4] = ["t.a", "t.b", "t.c", "t.seldom"];
const ALL: &str = "t.*";
/// Bytes of text that are published before the first cut.
const LOAD: usize = 400_000;
const PUBLISHERS: usize = 3;
/// Cuts of one record of a load.
const CUTS: usize = 10;
/// Places from which the log is read after a start.
const PLACES: usize = 4;
/// Messages that stand near the end.
const NEAR: usize = 100;

/// What somebody was told, and how far the disk's journal was by then.
type At<T> = (u64, T);

/// What is known of a log while a server runs.
struct Run {
    boot: String,
    /// On the disk when it started.
    held: BTreeSet<String>,
    /// Told to somebody by an earlier run, and not held.
    lost: BTreeSet<String>,
    /// Acknowledged by it.
    published: Vec<At<String>>,
    /// Given to a reader.
    places: Vec<At<String>>,
}

/// What must be so when a server starts after a cut.
struct Expected {
    /// To be served.
    held: BTreeSet<String>,
    /// To be served, or told as a gap.
    visible: BTreeSet<String>,
    places: Vec<String>,
    /// Up to here retention had let go.
    expired: String,
}

/// What one reader was told.
struct Told {
    filter: &'static str,
    /// The place that it came with; empty for one that wants everything.
    since: String,
    /// A gap that came by itself, behind an event or at first.
    gap: Option<(String, Value)>,
    events: Vec<Event>,
}

/// Which boot of the machine a server believes it is started in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Boot {
    /// Another one than before, as after every loss of power.
    Another,
    /// The machine does not tell.
    Unknown,
    /// That of the load: it may believe that only a process died, and then it tells nobody what is
    /// missing at the end.
    Same,
}

/// What was tried.
#[derive(Debug, Default)]
struct Count {
    cuts: usize,
    /// Cuts that cost something.
    lossy: usize,
    lost: usize,
    /// Messages that had to be there.
    held: usize,
    /// Events that were told to readers.
    events: usize,
}

struct History {
    disk: RecordedDisk,
    server: TestServer,
    random: StdRng,
    is_synced: bool,
    /// The JSON of each message that was ever stored and its topic, by its id.
    written: BTreeMap<String, (String, String)>,
    boots: u64,
    boot: Boot,
    what: String,
    count: Count,
    /// What the disk held at the last start.
    image: Image,
}

/// The ids and JSONs of the messages that a part of a segment has.
fn messages(text: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let checksum = line.get(..8).and_then(|text| std::str::from_utf8(text).ok());
        let Some(rest) = line.get(9..) else { continue };
        let is_whole = checksum == Some(&format!("{:08x}", crc32fast::hash(rest)));
        if is_whole && line[14] == b'm' {
            let json = std::str::from_utf8(&line[31..]).unwrap().split_once(' ').unwrap().1;
            found.push((json[7..19].to_owned(), json.to_owned()));
        }
    }
    found
}

fn newest_of(files: &[Vec<u8>]) -> String {
    let ids = files.iter().flat_map(|file| messages(file)).map(|(id, _)| id);
    ids.max().unwrap_or_default()
}

fn seed() -> u64 {
    let given = std::env::var("DOORBELL_SEED").ok();
    let seed = given.map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    println!("DOORBELL_SEED={seed}");
    seed
}

fn rounds() -> usize {
    let given = std::env::var("DOORBELL_ROUNDS").ok();
    given.map_or(40, |rounds| rounds.parse().expect("a number"))
}

impl History {
    fn new(seed: u64, is_synced: bool) -> Option<Self> {
        let disk = RecordedDisk::new()?;
        let mut random = StdRng::seed_from_u64(seed);
        let sync = if is_synced { "always" } else { "os" };
        let retention = ["64KiB", "256KiB", "1MiB"][random.random_range(0..3)];
        let flags = format!("--sync {sync} --retention-bytes {retention}");
        let server = disk.server(&flags);
        let what = format!("DOORBELL_SEED={seed} {flags}");
        let (written, image, count) = Default::default();
        let (boots, boot) = (0, Boot::Another);
        Some(Self { disk, server, random, is_synced, written, boots, boot, what, count, image })
    }

    /// Publishes so many bytes, by several publishers at once.
    fn publish(&mut self, bytes: usize) -> Vec<At<String>> {
        let seeds: [u64; PUBLISHERS] = self.random.random();
        let (disk, server) = (&self.disk, &self.server);
        std::thread::scope(|scope| {
            let publish =
                |seed| scope.spawn(move || publish(disk, server, seed, bytes / PUBLISHERS));
            let publishers = seeds.map(publish);
            publishers.into_iter().flat_map(|own| own.join().unwrap()).collect()
        })
    }

    /// Runs a new log under load.
    fn load(&mut self) -> (Run, Record) {
        let places = vec![self.place()];
        let mut published = Vec::new();
        for _ in 0..2 {
            published.extend(self.publish(LOAD / 2));
            let is_synced = || {
                let metrics = self.server.get("/metrics");
                metrics.text().contains("log_unsynced_bytes 0\n").then_some(())
            };
            eventually("all is on the disk", is_synced);
        }
        published.extend(self.publish(20_000));
        let (boot, held, lost) = (FIRST_BOOT.to_owned(), BTreeSet::new(), BTreeSet::new());
        let run = Run { boot, held, lost, published, places };
        (run, self.end())
    }

    /// The place that a reader of nothing is given.
    fn place(&self) -> At<String> {
        let next = self.server.get(&format!("/{ALL}/json?poll=1&since=none")).next().to_owned();
        (self.disk.position(), next)
    }

    /// Stops the server, and takes the record of what it did.
    fn end(&mut self) -> Record {
        assert!(self.server.stop().success(), "{}", self.what);
        let record = self.disk.record();
        for step in &record.steps {
            for (id, json) in messages(step.written()) {
                let topic = Event::parse(&json)["topic"].as_str().unwrap().to_owned();
                self.written.insert(id, (json, topic));
            }
        }
        record
    }

    /// Where the power is cut.
    fn any_moment(&mut self, record: &Record) -> usize {
        let all = record.steps.len();
        if self.random.random_bool(0.4) {
            return self.random.random_range(0..=all);
        }
        let seldom: Vec<usize> = (0..all).filter(|at| record.steps[*at].is_seldom()).collect();
        let near = seldom[self.random.random_range(0..seldom.len())];
        (near + self.random.random_range(0..3)).min(all)
    }

    fn expected(&self, run: &Run, record: &Record, steps: usize) -> Expected {
        let position = steps.checked_sub(1).map_or(0, |last| record.steps[last].end);
        let expired = newest_of(&record.unlinked(steps));
        let synced = record.cut(steps).synced();
        let synced: BTreeSet<String> =
            synced.values().flat_map(|file| messages(file)).map(|(id, _)| id).collect();
        let told = |all: &[At<String>]| {
            let told = all.iter().filter(|(at, _)| *at <= position);
            told.map(|(_, id)| id.clone()).collect::<Vec<String>>()
        };
        let acknowledged = told(&run.published);
        let own = run.published.iter().map(|(_, id)| id.clone());
        let mut held = run.held.clone();
        held.extend(own.filter(|id| synced.contains(id)));
        if self.is_synced {
            held.extend(acknowledged.iter().cloned());
        }
        let mut visible = &run.held | &run.lost;
        visible.extend(acknowledged);
        Expected { held, visible, places: told(&run.places), expired }
    }

    /// Cuts the power, starts on what may be left, and checks what readers are told.
    fn cut(&mut self, run: &Run, record: &Record) -> (Run, Record) {
        let steps = self.any_moment(record);
        let expected = self.expected(run, record, steps);
        self.image = record.cut(steps).any(&mut self.random);
        self.boots += 1;
        self.boot = match self.random.random_range(0..10) {
            0 => Boot::Unknown,
            1 => Boot::Same,
            _ => Boot::Another,
        };
        let boot = match self.boot {
            Boot::Unknown => String::new(),
            Boot::Same => run.boot.clone(),
            Boot::Another => format!("boot {}\n", self.boots),
        };
        self.disk.power_on(&self.image, &boot);
        self.server.restart();
        let place = self.place();
        let early = expected.visible.last().map(|newest| {
            let answer = self.server.get(&format!("/{ALL}/json?poll=1&since={newest}"));
            let events = answer.events();
            // One that no event tells comes after all of them.
            let gap = answer.header("doorbell-gap").map(|gap| {
                let newest = events.last().map_or(newest.as_str(), Event::id).to_owned();
                (newest, serde_json::from_str(gap).unwrap())
            });
            let gap = gap.filter(|_| events.iter().all(|event| event.gap().is_none()));
            let told = Told { filter: ALL, since: newest.clone(), gap, events };
            (told, answer.next().to_owned())
        });
        let bytes = if self.random.random_bool(0.2) { 150_000 } else { 8_000 };
        let mut published = self.publish(bytes);
        for topic in TOPICS {
            let event = self.server.publish(topic, "the last one");
            published.push((self.disk.position(), event.id().to_owned()));
        }
        published.sort_unstable_by(|one, other| one.1.cmp(&other.1));
        let mut told = self.read(&expected, &published.last().unwrap().1);
        told.extend(early.map(|(told, next)| self.poll_on(told, &next)));
        let record = self.end();
        let checked = self.check(&expected, &record, &published, &told);
        let (held, lost) = checked.unwrap_or_else(|fault| {
            panic!("{}, cut after {steps} steps, boot {boot:?}: {fault}", self.what)
        });
        self.count.cuts += 1;
        self.count.lossy += usize::from(!lost.is_empty());
        self.count.lost += lost.len();
        self.count.held += expected.held.len();
        self.count.events += told.iter().map(|told| told.events.len()).sum::<usize>();
        (Run { boot, held, lost, published, places: vec![place] }, record)
    }

    /// Reads from many places, up to a message.
    fn read(&mut self, expected: &Expected, last: &str) -> Vec<Told> {
        let everything = Told { filter: ALL, since: String::new(), gap: None, events: Vec::new() };
        let mut told = vec![self.poll_on(everything, "all")];
        let visible: Vec<&String> = expected.visible.iter().collect();
        let mut places = expected.places.clone();
        for _ in 0..PLACES.min(visible.len()) {
            // Most often one near the end, where most is lost.
            let near = if self.random.random_bool(0.7) { NEAR } else { visible.len() };
            let from = visible.len() - near.min(visible.len());
            places.push(visible[self.random.random_range(from..visible.len())].clone());
        }
        for (at, since) in places.iter().enumerate() {
            let topic = TOPICS[self.random.random_range(0..TOPICS.len())];
            told.push(self.poll(if at % 2 == 0 { ALL } else { topic }, since));
        }
        if let Some(since) = places.last() {
            let mut lines = self.server.lines();
            let gap = lines.subscribe(format_args!("{ALL} since={since}")).gap().cloned();
            let gap = gap.map(|gap| (since.clone(), gap));
            let mut events = Vec::new();
            while events.last().is_none_or(|event: &Event| event.id() != last) {
                events.push(lines.event());
            }
            told.push(Told { filter: ALL, since: since.clone(), gap, events });
        }
        told
    }

    fn poll(&self, filter: &'static str, since: &str) -> Told {
        self.poll_on(Told { filter, since: since.to_owned(), gap: None, events: Vec::new() }, since)
    }

    /// Polls once more for a reader, which has come so far.
    fn poll_on(&self, mut told: Told, next: &str) -> Told {
        let path = format!("/{}/json?poll=1&since={next}&max=10000", told.filter);
        told.events.extend(self.server.get(&path).events());
        told
    }

    /// Holds what readers were told against what is known; returns what is held of what was there
    /// before the cut, and what is lost.
    fn check(
        &self,
        expected: &Expected,
        record: &Record,
        published: &[At<String>],
        told: &[Told],
    ) -> Result<(BTreeSet<String>, BTreeSet<String>), String> {
        let expired = newest_of(&record.unlinked(record.steps.len())).max(expected.expired.clone());
        let new: BTreeSet<String> = published.iter().map(|(_, id)| id.clone()).collect();
        let first_new = new.first().unwrap();
        let given = expected.visible.iter().chain(&expected.places).max();
        if given.is_some_and(|given| given >= first_new) {
            return Err(format!("{first_new} is given out after {given:?}"));
        }
        let check = Check { history: self, expected, expired: &expired, new: &new };
        for told in told {
            check.told(told).map_err(|fault| {
                format!("a reader of {} since {:?}: {fault}", told.filter, told.since)
            })?;
        }
        let all = told[0].events.iter().map(|event| event.id().to_owned());
        let held: BTreeSet<String> = all.filter(|id| id < first_new).collect();
        let is_lost = |id: &&String| **id > expired && !held.contains(*id);
        let lost = expected.visible.iter().filter(is_lost).cloned().collect();
        Ok((held, lost))
    }
}

struct Check<'a> {
    history: &'a History,
    expected: &'a Expected,
    /// Up to here retention has let go by now.
    expired: &'a str,
    /// Published since the start.
    new: &'a BTreeSet<String>,
}

impl Check<'_> {
    fn told(&self, told: &Told) -> Result<(), String> {
        let wants = |id: &String| told.filter == ALL || self.history.written[id].1 == told.filter;
        let known = self.expected.visible.union(self.new);
        let mut known = known.filter(|id| **id > told.since && wants(id)).peekable();
        let mut place = told.since.as_str();
        for event in &told.events {
            let id = event.id();
            if id <= place || epoch_and_seq(id).1 <= place_seq(place, &told.since) {
                return Err(format!("{id} after {place}"));
            }
            self.is_as_written(event)?;
            let mut missing = Vec::new();
            while let Some(next) = known.next_if(|next| next.as_str() < id) {
                self.may_be_missing(next)?;
                missing.push(next);
            }
            known.next_if(|next| next.as_str() == id);
            self.gap(event, place, &missing, told)?;
            place = id;
        }
        match known.find(|next| next.as_str() > self.expired) {
            Some(next) => Err(format!("{next} is missing at the end")),
            None => Ok(()),
        }
    }

    fn is_as_written(&self, event: &Event) -> Result<(), String> {
        let Some((json, _)) = self.history.written.get(event.id()) else {
            return Err(format!("this was never stored: {}", event.line));
        };
        let own = without_gap(event);
        if own == *json { Ok(()) } else { Err(format!("{own} was stored as {json}")) }
    }

    fn may_be_missing(&self, id: &String) -> Result<(), String> {
        let is_held = self.expected.held.contains(id) || self.new.contains(id);
        if is_held && id.as_str() > self.expired {
            return Err(format!("{id} is missing"));
        }
        Ok(())
    }

    /// Whether an event tells that something is missing before it, if that is so.
    fn gap(
        &self,
        event: &Event,
        place: &str,
        missing: &[&String],
        told: &Told,
    ) -> Result<(), String> {
        let not_expired = missing.iter().any(|id| id.as_str() > self.expired);
        let before = told.gap.as_ref().filter(|(after, _)| after == place).map(|(_, gap)| gap);
        let Some(gap) = event.gap().or(before) else {
            // A reader that comes without a place misses nothing before the first that is held.
            let is_end = self.new.contains(event.id()) && !self.new.contains(place);
            let is_hidden = is_end && self.history.boot == Boot::Same;
            if !not_expired || is_hidden || place.is_empty() {
                return Ok(());
            }
            let (count, first, next) = (missing.len(), missing[0], event.id());
            return Err(format!("{count} from {first} on are missing before {next} in silence"));
        };
        let (before, reason) = (gap["before"].as_str().unwrap(), gap["reason"].as_str().unwrap());
        if before > event.id() {
            return Err(format!("a gap up to {before} before {}", event.id()));
        }
        let is_right = match reason {
            "expired" => place <= self.expired,
            "lost" => {
                // Stored when the power was cut, and maybe seen by a reader.
                let unheard = self.history.written.range::<str, _>((
                    std::ops::Bound::Excluded(place),
                    std::ops::Bound::Excluded(event.id()),
                ));
                let epoch = |id: &str| (!id.is_empty()).then(|| epoch_and_seq(id).0);
                let is_boundary = epoch(event.id()) != epoch(place);
                !missing.is_empty() || is_boundary || unheard.count() > 0 || told.filter != ALL
            }
            _ => false,
        };
        if is_right {
            Ok(())
        } else {
            Err(format!("after {place} and before {} this is told: {gap}", event.id()))
        }
    }
}

/// The seq that a place stands for as long as a reader only goes on.
fn place_seq(place: &str, since: &str) -> u64 {
    // What came with the reader may have been lost, and its seq given out again.
    if place == since { 0 } else { epoch_and_seq(place).1 }
}

fn without_gap(event: &Event) -> String {
    let Some(begin) = event.line.find(",\"gap\":{") else { return event.line.clone() };
    let end = begin + event.line[begin..].find('}').unwrap() + 1;
    [&event.line[..begin], &event.line[end..]].concat()
}

/// Publishes so many bytes in batches; returns the ids that were acknowledged.
fn publish(disk: &RecordedDisk, server: &TestServer, seed: u64, bytes: usize) -> Vec<At<String>> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut lines = server.lines();
    let mut acknowledged = Vec::new();
    let mut sent = 0;
    while sent < bytes {
        let count = random.random_range(1..8);
        let mut commands = String::new();
        for _ in 0..count {
            let topics = if random.random_bool(0.02) { TOPICS.len() } else { TOPICS.len() - 1 };
            let topic = TOPICS[random.random_range(0..topics)];
            let most = if random.random_bool(0.1) { 4000 } else { 400 };
            let text = "é x".repeat(random.random_range(1..most) / 4 + 1);
            let _ = writeln!(commands, "PUB {topic} {} {text}", acknowledged.len());
        }
        sent += commands.len();
        lines.write(commands.as_bytes());
        for _ in 0..count {
            let answer = lines.event();
            assert_eq!(answer.kind(), "ok", "{}", answer.line);
            acknowledged.push((disk.position(), answer.id().to_owned()));
        }
    }
    acknowledged
}

fn cut_the_power(is_synced: bool) {
    let rounds = (rounds() / 2).max(1);
    let mut count = Count::default();
    for seed in seed().. {
        let Some(mut history) = History::new(seed, is_synced) else { return };
        history.count = count;
        let (run, record) = history.load();
        let until = rounds.min(history.count.cuts + CUTS);
        while history.count.cuts < until {
            let (mut next, mut its_record) = history.cut(&run, &record);
            // In the same boot, parts of a batch are taken for what is left of it by damage: the
            // next start knows better if that one was not on the disk yet.
            while history.boot != Boot::Same
                && history.count.cuts < until
                && history.random.random_bool(0.5)
            {
                (next, its_record) = history.cut(&next, &its_record);
            }
        }
        count = std::mem::take(&mut history.count);
        if count.cuts == rounds {
            break;
        }
    }
    println!("{count:?}");
    // Of what is not synced something is lost now and then, or nothing was tried.
    assert!(is_synced || count.lost > 0 || rounds < 10, "{count:?}");
    assert!(!is_synced || count.lost == 0, "{count:?}");
}

#[test]
fn nothing_acknowledged_is_lost_with_the_power_when_each_message_is_synced() {
    cut_the_power(true);
}

#[test]
fn what_is_lost_with_the_power_was_not_synced_and_is_told() {
    cut_the_power(false);
}

/// Keeps what the disk held.
impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            RecordedDisk::keep(&self.image, &format!("power-cut-{}", std::process::id()));
        }
    }
}

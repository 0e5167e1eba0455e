//! A model of the whole log: whatever is done to it, a reader gets what was stored, or is told.
//!
//! The model is a list of what was acknowledged. It knows neither segments nor batches: where the
//! log lets go of something it asks the log how far, and holds that against what was allowed.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use doorbell_protocol::GapReason;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{TestFolder, read_all};
use crate::clock::Now;
use crate::log::contract::{at, draft, heads};
use crate::log::segments::{SegmentLog, Sync};
use crate::log::{Entry, Located, Log, Owner, Retention};
use crate::message::Message;

const TOPICS: [&str; 7] = ["a", "b", "c.1", "c.2", "c.1.x", "d", "seldom"];
const FILTERS: [&str; 9] =
    ["a", "b,c.1", "seldom", "c.*", "c.>", "*", ">", "nobody", "a,b,c.1,c.2,c.1.x,d,seldom"];
const OWNERS: [&str; 3] = ["-", "anna", "ben"];
const RETENTION: Retention = Retention { age: Duration::from_secs(1000), bytes: 400_000 };
const AGE_US: u64 = 1_000_000_000;
/// Bytes of heads and starts that the model does not count.
const HEADS_BYTES: u64 = 64 << 10;
const STEPS: usize = 150;

/// What was acknowledged.
#[derive(Debug)]
struct Record {
    message: Message,
    owner: Owner,
    /// Bytes of its line.
    bytes: u64,
    /// When it was, by a clock that never jumps.
    appended_us: u64,
}

impl Record {
    fn seq(&self) -> u64 {
        self.message.seq()
    }
}

struct Model {
    random: StdRng,
    place: TestFolder,
    /// None between two runs.
    log: Option<SegmentLog>,
    now_us: u64,
    /// In the order of their seqs; also what was let go.
    records: Vec<Record>,
    /// The file that was written to after the last start, and what was synced of it then.
    begun: (PathBuf, u64),
    /// The first one that was held when it was looked at last.
    first: u64,
    /// Places of which readers are told that they were lost: messages in holes, and starts after a
    /// loss.
    lost: Vec<u64>,
    told: String,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut place = TestFolder::new();
        place.retention = RETENTION;
        let mut random = StdRng::seed_from_u64(seed);
        place.sync = if random.random_bool(0.2) { Sync::Always } else { Sync::Os };
        let log = Some(place.open());
        let told = format!("DOORBELL_SEED={seed}");
        let begun = newest_file(&place);
        let (records, lost) = (Vec::new(), Vec::new());
        Self { random, place, log, now_us: AGE_US, records, begun, first: 1, lost, told }
    }

    fn run(&mut self) {
        for step in 0..STEPS {
            let begin = self.told.rfind(", step").unwrap_or(self.told.len());
            self.told.truncate(begin);
            let does = match self.random.random_range(0..100) {
                0..70 => Self::append,
                70..80 => Self::pass_time,
                80..84 => Self::close,
                84..89 => Self::crash,
                89..92 => Self::lose_power,
                _ => Self::check,
            };
            let _ = write!(self.told, ", step {step}");
            does(self);
        }
        self.check();
    }

    fn log(&self) -> &SegmentLog {
        self.log.as_ref().unwrap()
    }

    fn now(&self) -> Now {
        at(self.now_us)
    }

    fn last(&self) -> u64 {
        self.log().bounds().last
    }

    fn append(&mut self) {
        self.now_us += self.random.random_range(0..AGE_US / 100);
        self.place.clock.set(self.now());
        let count = self.random.random_range(1..20);
        let entries: Vec<Entry> = (0..count).map(|_| self.entry()).collect();
        let last = self.last();
        let messages = self.log().append(&entries, self.now()).unwrap();
        let seqs = messages.iter().map(Message::seq);
        assert!(seqs.eq(last + 1..=last + count), "{}", self.told);
        for (message, Entry { owner, .. }) in messages.into_iter().zip(entries) {
            assert_eq!(message.time_us(), self.now_us, "{}", self.told);
            // As `line` draws it.
            let bytes = (31 + owner.as_str().len() + 1 + message.frame().json().len() + 1) as u64;
            self.records.push(Record { message, owner, bytes, appended_us: self.now_us });
        }
    }

    fn entry(&mut self) -> Entry {
        let topics = if self.random.random_bool(0.01) { TOPICS.len() } else { TOPICS.len() - 1 };
        let topic = TOPICS[self.random.random_range(0..topics)];
        let most = if self.random.random_bool(0.05) { 9000 } else { 600 };
        let text = "é x".repeat(self.random.random_range(0..most) / 4);
        let owner = Owner::named(OWNERS[self.random.random_range(0..OWNERS.len())]);
        Entry { draft: draft(topic, &text), owner }
    }

    fn pass_time(&mut self) {
        self.now_us += self.random.random_range(0..AGE_US / 2);
        self.place.clock.set(self.now());
    }

    fn close(&mut self) {
        self.log().close().unwrap();
        self.reopen();
        self.check_places();
    }

    /// The process dies, maybe while it writes.
    fn crash(&mut self) {
        self.end();
        if self.random.random_bool(0.5) {
            let (path, _) = newest_file(&self.place);
            let mut bytes = std::fs::read(&path).unwrap();
            let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            let line = lines[lines.len() - 1];
            let torn = line[..self.random.random_range(0..line.len() - 1)].to_vec();
            bytes.extend(torn);
            std::fs::write(&path, bytes).unwrap();
        }
        self.reopen();
        self.check_places();
    }

    /// The machine dies: pages of what was written last may have been lost.
    fn lose_power(&mut self) {
        self.end();
        let (path, bytes) = newest_file(&self.place);
        let file = File::options().write(true).open(&path).unwrap();
        if self.place.sync == Sync::Os {
            let begun = if self.begun.0 == path { self.begun.1 } else { 0 };
            let from = bytes - self.random.random_range(0..=(bytes - begun).min(30_000));
            let mut page = from.next_multiple_of(4096);
            while page + 4096 < bytes {
                if self.random.random_bool(0.3) {
                    file.write_all_at(&[0; 4096], page).unwrap();
                }
                page += 4096;
            }
            if self.random.random_bool(0.5) {
                file.set_len(self.random.random_range(from..=bytes)).unwrap();
            }
        }
        self.place.boot += "'";
        let last = self.last_of_all();
        self.reopen();
        let start = self.last();
        let told = read_all(self.log(), ">", self.log().bounds().first - 1, 100);
        let held: Vec<u64> = told.messages.iter().map(Message::seq).collect();
        let first = self.log().bounds().first;
        let is_held = |seq: u64| held.binary_search(&seq).is_ok();
        let gone = self.records.extract_if(.., |own| own.seq() >= first && !is_held(own.seq()));
        let gone: Vec<u64> = gone.map(|own| own.seq()).collect();
        assert!(self.place.sync == Sync::Os || gone.is_empty(), "{}: {gone:?}", self.told);
        // What stood at the end shares its places with what comes now: the start tells of it.
        self.lost.extend(gone.into_iter().filter(|seq| *seq < start));
        if self.log().epochs().id(start).epoch() == self.log().epochs().current() {
            self.lost.push(start);
        } else {
            assert_eq!(start, last, "{}: a loss at the end that is not told", self.told);
        }
        self.check_places();
    }

    /// The newest seq that was ever given out in this history.
    fn last_of_all(&self) -> u64 {
        let last = self.records.last().map_or(0, Record::seq);
        last.max(self.lost.iter().copied().max().unwrap_or(0))
    }

    /// As a process ends that is killed: the kernel has what was written.
    fn end(&mut self) {
        self.log = None;
    }

    fn reopen(&mut self) {
        self.end();
        self.log = Some(self.place.open());
        self.begun = newest_file(&self.place);
    }

    /// Each place is the same after a start.
    fn check_places(&self) {
        let starts = self.log().epochs();
        for record in self.records.iter().filter(|own| own.seq() >= self.log().bounds().first) {
            let (id, seq) = (record.message.id(), record.seq());
            assert_eq!(starts.locate(id, self.last()), Located::At(seq), "{}", self.told);
        }
    }

    fn check(&mut self) {
        self.log().expire(self.now());
        let bounds = self.log().bounds();
        self.check_retention();
        self.first = bounds.first;
        for _ in 0..6 {
            let filter = FILTERS[self.random.random_range(0..FILTERS.len())];
            let after = match self.random.random_range(0..3) {
                0 => 0,
                1 => self.random.random_range(0..=bounds.last),
                _ => self.random.random_range(bounds.first - 1..=bounds.last),
            };
            let messages = self.random.random_range(1..60);
            self.check_read(filter, after, messages);
        }
        self.check_heads();
        self.check_seek();
        self.check_owners();
    }

    fn held(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter().filter(|own| own.seq() >= self.first)
    }

    fn check_retention(&self) {
        let bounds = self.log().bounds();
        let age_us = |own: &Record| self.now_us - own.appended_us;
        let too_old = |own: &&Record| age_us(own) > AGE_US + AGE_US / 10 + 1;
        let held = || self.records.iter().filter(|own| own.seq() >= bounds.first);
        let old = held().find(too_old);
        assert!(old.is_none(), "{}: {old:?} is held at {}", self.told, self.now_us);
        let is_one_segment = self.log().storage().unwrap().segments == 1;
        assert!(bounds.bytes <= RETENTION.bytes || is_one_segment, "{}: {bounds:?}", self.told);
        let let_go = self.held().filter(|own| own.seq() < bounds.first);
        let early: Vec<&Record> = let_go.filter(|own| age_us(own) <= AGE_US).collect();
        let bytes = bounds.bytes + early.iter().map(|own| own.bytes).sum::<u64>();
        let is_much = bytes + HEADS_BYTES > RETENTION.bytes;
        assert!(early.is_empty() || is_much, "{}: {} early", self.told, early.len());
    }

    fn check_read(&self, filter: &str, after: u64, messages: usize) {
        let what = format!("{}: {filter} after {after} by {messages}", self.told);
        let wants = filter.parse::<doorbell_protocol::Filter>().unwrap();
        let told = read_all(self.log(), filter, after, messages);
        let is_told = |seq: u64| told.gaps.iter().any(|gap| gap.0 < seq && seq <= gap.1);
        let mut served = told.messages.iter().peekable();
        let wanted =
            |own: &&Record| own.seq() > after && wants.matches(own.message.topic().as_str());
        for own in self.records.iter().filter(wanted) {
            match served.next_if(|found| found.seq() == own.seq()) {
                Some(found) => assert_eq!(found.frame(), own.message.frame(), "{what}"),
                None => {
                    let is_expired = own.seq() < self.first && is_told(own.seq());
                    assert!(is_expired, "{what}: {} is missing: {:?}", own.seq(), told.gaps);
                }
            }
        }
        assert!(served.next().is_none(), "{what}: this was never stored");
        // A start after a loss is remembered for a while after all before it was let go.
        for place in self.lost.iter().filter(|place| **place > after.max(self.first - 1)) {
            assert!(is_told(*place), "{what}: nobody tells of {place}: {:?}", told.gaps);
        }
        for (from, through, reason) in told.gaps {
            let is_within = |place: u64| from < place && place <= through;
            let is_right = if reason == GapReason::Expired {
                through < self.first
            } else {
                self.lost.iter().any(|place| is_within(*place))
            };
            assert!(is_right, "{what}: a gap up to {through} for {reason:?} of nothing");
        }
    }

    fn check_heads(&self) {
        for topic in TOPICS {
            let newest = self.held().rfind(|own| own.message.topic().as_str() == topic);
            if let Some(newest) = newest.map(Record::seq) {
                assert_eq!(heads(self.log(), topic), (newest, vec![newest]), "{}", self.told);
            }
        }
    }

    fn check_seek(&mut self) {
        let time_us = self.random.random_range(0..=self.now_us + 1);
        let older = self.held().rfind(|own| own.message.time_us() < time_us);
        let expected = older.map_or(self.first - 1, Record::seq);
        let found = self.log().seek(time_us).unwrap();
        // The place of a loss may stand between.
        let between = self.held().find(|own| own.seq() > expected && own.seq() <= found);
        let what = format!("{}: {found} for {expected} at {time_us}", self.told);
        assert!(found >= expected && between.is_none(), "{what}");
    }

    fn check_owners(&self) {
        for name in OWNERS {
            let owner = Owner::named(name);
            let held = self.held().filter(|own| own.owner == owner);
            let bytes: u64 = held.map(|own| own.bytes).sum();
            assert_eq!(self.log().held_of(&owner), bytes, "{} of {name}", self.told);
        }
    }
}

/// The file that is written to, and its length.
fn newest_file(place: &TestFolder) -> (PathBuf, u64) {
    let bytes = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
    let path = place.files("log").into_iter().rfind(|path| bytes(path) > 0).unwrap();
    let bytes = bytes(&path);
    (path, bytes)
}

#[test]
fn whatever_is_done_to_it_readers_get_what_was_stored_or_are_told() {
    let seed = super::seed();
    for run in 0..super::rounds(3) {
        Model::new(seed.wrapping_add(run)).run();
    }
}

//! Visitors: how much one of them may ask for, so that nobody takes everything.
//!
//! A visitor is an identity of the access file, else an address: one of IPv4, a network of 64 bits
//! of IPv6, which is what one household gets. It has a bucket for whatever costs the server
//! something, and a count of its connections. What asks carries its [`Visitor`] in its `Access`,
//! which charges it, so that no transport can forget to.
//!
//! A visitor at rest is nobody: nothing is kept of it. Bounds of one connection and of the server
//! are elsewhere and always hold.
//!
//! - `rate`: how much in how long, and a bucket; `network`: addresses that are one visitor

mod network;
mod rate;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use doorbell_protocol::{Code, Error};
use foldhash::fast::RandomState;

pub use self::network::Network;
use self::rate::Filled;
pub use self::rate::Rate;
use crate::limits::{
    RETRY_AFTER_SECONDS, VISITOR_CROWDS_MAX, VISITOR_NAMES_MAX, VISITORS_MAX, VISITORS_SWEEP,
};
use crate::stop::Stop;

/// What one visitor may ask for.
#[derive(Debug, Clone)]
pub struct VisitorLimits {
    /// That of each bucket, in the order of [`Bucket::ALL`].
    pub rates: [Rate; Bucket::ALL.len()],
    /// Connections of one address, where a reader that shares one with others counts as one;
    /// `u32::MAX` if they are not bounded.
    pub connections: u32,
    /// Bytes of the log that the messages of one address, and those of one identity, may fill;
    /// `u64::MAX` if they are not bounded.
    pub held: HeldLimits,
}

/// Bytes of the log that the messages of one visitor may fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLimits {
    /// Of one that has no name.
    pub of_address: u64,
    /// Of one that has.
    pub of_identity: u64,
}

impl Default for HeldLimits {
    /// All of it.
    fn default() -> Self {
        Self { of_address: u64::MAX, of_identity: u64::MAX }
    }
}

impl Default for VisitorLimits {
    /// Whatever it likes.
    fn default() -> Self {
        Self {
            rates: [Rate::OFF; Bucket::ALL.len()],
            connections: u32::MAX,
            held: HeldLimits::default(),
        }
    }
}

impl VisitorLimits {
    fn rate(&self, bucket: Bucket) -> Rate {
        self.rates[bucket as usize]
    }

    /// The refusal of one more connection.
    pub fn no_more_connections(&self) -> Error {
        let text = format!(
            "there are {} connections from this address, or readers that share one, which is the \
             limit of one visitor (--visitor-connections)",
            self.connections
        );
        Error::new(Code::TooManySubscriptions, text).with_retry_after(RETRY_AFTER_SECONDS)
    }
}

/// What is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Requests, and lines that are none.
    Requests,
    /// Messages published.
    Messages,
    /// Bytes of those.
    Bytes,
    /// Topics that were not known before.
    Topics,
    /// Bytes read that were held already.
    Replay,
    /// Credentials that were wrong.
    Failures,
    /// Messages that were sent as mail, too.
    Emails,
}

impl Bucket {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Requests,
        Self::Messages,
        Self::Bytes,
        Self::Topics,
        Self::Replay,
        Self::Failures,
        Self::Emails,
    ];

    /// Its name: that of its setting, behind `visitor-`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Messages => "messages",
            Self::Bytes => "bytes",
            Self::Topics => "topics",
            Self::Replay => "replay",
            Self::Failures => "failures",
            Self::Emails => "emails",
        }
    }

    /// What there was too much of.
    const fn excess(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Messages => "messages published",
            Self::Bytes => "bytes published",
            Self::Topics => "new topics",
            Self::Replay => "bytes read of what is held",
            Self::Failures => "wrong credentials",
            Self::Emails => "e-mails sent",
        }
    }

    const fn code(self) -> Code {
        match self {
            Self::Requests => Code::Busy,
            Self::Messages => Code::TooManyMessages,
            Self::Bytes | Self::Replay => Code::TooManyBytes,
            Self::Topics => Code::TooManyTopics,
            Self::Failures => Code::TooManyFailures,
            Self::Emails => Code::TooManyEmails,
        }
    }

    /// The refusal of more.
    fn refusal(self, rate: Rate, wait: Duration) -> Error {
        let (excess, name) = (self.excess(), self.name());
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let text = format!(
            "{excess} pass {rate}, which is the limit of one visitor (--visitor-{name}); \
             try again in {seconds} s"
        );
        Error::new(self.code(), text).with_retry_after(seconds)
    }
}

/// All visitors. Clones share them.
#[derive(Debug, Clone)]
pub struct Visitors(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: VisitorLimits,
    /// Whether programs of this machine are visitors.
    counts_loopback: bool,
    /// The clock of the buckets begins here.
    started: Instant,
    known: Mutex<Known>,
    /// How often each bucket was full, and in the end how often there were too many connections or
    /// names, or too much was held.
    limited: [AtomicU64; Bucket::ALL.len() + 3],
}

/// Where in that list those are that are no buckets.
const CONNECTIONS: usize = Bucket::ALL.len();
const NAMES: usize = CONNECTIONS + 1;
const HELD: usize = NAMES + 1;

/// Those addresses that are not at rest.
#[derive(Debug, Default)]
struct Known {
    by_network: HashMap<Network, Arc<Ledger>, RandomState>,
    /// Those that came when there was no room for them; neighbours share one.
    crowds: HashMap<u64, Arc<Ledger>, RandomState>,
    /// When those at rest were last forgotten.
    swept: u64,
}

/// What one visitor has had.
#[derive(Debug)]
struct Ledger {
    visitors: Visitors,
    /// Whose share of the log its messages fill, in one word.
    owner: Arc<str>,
    /// How much of it they may fill, in bytes.
    held_max: u64,
    buckets: [Filled; Bucket::ALL.len()],
    connections: AtomicU32,
    /// Names that its readers wait by.
    names: AtomicU32,
}

impl Visitors {
    /// Nobody yet; each will have these limits. Programs of this machine are visitors too if
    /// `counts_loopback`.
    pub fn new(limits: VisitorLimits, counts_loopback: bool) -> Self {
        Self(Arc::new(Shared {
            limits,
            counts_loopback,
            started: Instant::now(),
            known: Mutex::default(),
            limited: Default::default(),
        }))
    }

    /// Whoever comes from an address. `None` is the Unix socket, which has no limits.
    pub fn at(&self, address: Option<IpAddr>) -> Visitor {
        let Some(address) = address.map(|address| address.to_canonical()) else {
            return Visitor::default();
        };
        if address.is_loopback() && !self.0.counts_loopback {
            return Visitor::default();
        }
        self.everybody_at(address)
    }

    /// All who come from an address, also where its own programs are not counted: as one.
    pub fn everybody_at(&self, address: IpAddr) -> Visitor {
        Visitor(Some(self.ledger(Network::of(address))))
    }

    /// One that is known by its name and not by its address. It is for the caller to keep.
    pub fn named(&self, name: &str) -> Visitor {
        Visitor(Some(self.new_ledger(name, self.0.limits.held.of_identity)))
    }

    fn new_ledger(&self, owner: &str, held_max: u64) -> Arc<Ledger> {
        let (visitors, buckets) = (self.clone(), Default::default());
        let [connections, names] = [0, 0].map(AtomicU32::new);
        Arc::new(Ledger { visitors, owner: owner.into(), held_max, buckets, connections, names })
    }

    fn ledger(&self, network: Network) -> Arc<Ledger> {
        let mut known = self.known();
        if let Some(ledger) = known.by_network.get(&network) {
            return ledger.clone();
        }
        if known.by_network.len() >= VISITORS_MAX {
            let now = self.now();
            // A look at all of them is for once a second.
            if now >= known.swept + 1_000_000_000 {
                known.sweep(now);
            }
        }
        let Known { by_network, crowds, .. } = &mut *known;
        if by_network.len() < VISITORS_MAX {
            let ledger = || self.new_ledger(&network.to_string(), self.0.limits.held.of_address);
            return by_network.entry(network).or_insert_with(ledger).clone();
        }
        let hasher: &RandomState = crowds.hasher();
        let crowd = std::hash::BuildHasher::hash_one(hasher, network.wide()) % VISITOR_CROWDS_MAX;
        let ledger = || self.new_ledger(&format!("crowd-{crowd}"), self.0.limits.held.of_address);
        crowds.entry(crowd).or_insert_with(ledger).clone()
    }

    /// Forgets those at rest, now and then, until the stop.
    pub async fn keep(self, stop: Stop) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(VISITORS_SWEEP) => {}
            }
            let now = self.now();
            self.known().sweep(now);
        }
    }

    /// How many addresses are not at rest.
    pub fn len(&self) -> usize {
        let known = self.known();
        known.by_network.len() + known.crowds.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the limits, and how often each was passed.
    pub fn limited(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names =
            Bucket::ALL.iter().map(|bucket| bucket.name()).chain(["connections", "names", "held"]);
        names.zip(self.0.limited.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// What each may ask for.
    pub fn limits(&self) -> &VisitorLimits {
        &self.0.limits
    }

    fn note(&self, limit: usize) {
        self.0.limited[limit].fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Visitors {
    /// Nobody is counted.
    fn default() -> Self {
        Self::new(VisitorLimits::default(), false)
    }
}

impl Known {
    fn sweep(&mut self, now: u64) {
        self.swept = now;
        let is_busy = |ledger: &Arc<Ledger>| {
            // Whoever holds it may be about to charge it.
            Arc::strong_count(ledger) > 1 || !ledger.buckets.iter().all(|one| one.is_empty(now))
        };
        self.by_network.retain(|_, ledger| is_busy(ledger));
        self.crowds.retain(|_, ledger| is_busy(ledger));
    }
}

/// Whom something is charged to, if it is to anybody. Clones are the same visitor.
#[derive(Debug, Clone, Default)]
pub struct Visitor(Option<Arc<Ledger>>);

impl Visitor {
    /// Whether anything is charged.
    pub fn is_counted(&self) -> bool {
        self.0.is_some()
    }

    /// Whose share of the log its messages fill, if they are counted.
    pub fn owner(&self) -> Option<&Arc<str>> {
        Some(&self.0.as_ref()?.owner)
    }

    /// Holds what the log has of its messages, in bytes, against its share. `seconds` tells when
    /// the oldest of what is held will be let go.
    ///
    /// # Errors
    ///
    /// That it is above the share.
    pub fn check_held(&self, held: u64, seconds: impl FnOnce() -> u64) -> Result<(), Error> {
        let Some(ledger) = self.0.as_ref().filter(|ledger| held > ledger.held_max) else {
            return Ok(());
        };
        ledger.visitors.note(HELD);
        let limit = ledger.held_max;
        let text = format!(
            "messages of this visitor fill {held} bytes of the log, and {limit} is its share \
             (--visitor-held) until older ones go"
        );
        Err(Error::new(Code::TooManyBytes, text).with_retry_after(seconds()))
    }

    /// Charges so much to each of these buckets, if none of them is full. One that has room for
    /// one takes all of it, and is the longer full.
    ///
    /// # Errors
    ///
    /// The first limit that was passed, with when it is worth while to ask again. Nothing was
    /// charged.
    pub fn charge(&self, costs: &[(Bucket, u64)]) -> Result<(), Error> {
        let Some(ledger) = &self.0 else { return Ok(()) };
        let now = ledger.visitors.now();
        let limits = &ledger.visitors.0.limits;
        let costs = costs.iter().filter(|(_, cost)| *cost > 0);
        for (bucket, _) in costs.clone() {
            let rate = limits.rate(*bucket);
            if let Some(wait) = ledger.buckets[*bucket as usize].wait(rate, now) {
                ledger.visitors.note(*bucket as usize);
                return Err(bucket.refusal(rate, wait));
            }
        }
        for (bucket, cost) in costs {
            ledger.buckets[*bucket as usize].add(limits.rate(*bucket), *cost, now);
        }
        Ok(())
    }

    /// Charges what cannot be refused any more.
    pub fn owe(&self, bucket: Bucket, cost: u64) {
        let Some(ledger) = &self.0 else { return };
        let rate = ledger.visitors.0.limits.rate(bucket);
        ledger.buckets[bucket as usize].add(rate, cost, ledger.visitors.now());
    }

    /// Whether a bucket has room.
    ///
    /// # Errors
    ///
    /// That it has none.
    pub fn check(&self, bucket: Bucket) -> Result<(), Error> {
        let Some((ledger, rate, wait)) = self.full(bucket) else { return Ok(()) };
        ledger.visitors.note(bucket as usize);
        Err(bucket.refusal(rate, wait))
    }

    /// What a bucket holds in all, and what there is room for now; `None` if it has no bound.
    pub fn room(&self, bucket: Bucket) -> Option<(u64, u64)> {
        let ledger = self.0.as_deref()?;
        let rate = ledger.visitors.0.limits.rate(bucket);
        ledger.buckets[bucket as usize].room(rate, ledger.visitors.now())
    }

    /// Waits until a bucket has room.
    pub async fn turn(self, bucket: Bucket) {
        while let Some((_, _, wait)) = self.full(bucket) {
            tokio::time::sleep(wait).await;
        }
    }

    fn full(&self, bucket: Bucket) -> Option<(&Ledger, Rate, Duration)> {
        let ledger = self.0.as_deref()?;
        let rate = ledger.visitors.0.limits.rate(bucket);
        let wait = ledger.buckets[bucket as usize].wait(rate, ledger.visitors.now())?;
        Some((ledger, rate, wait))
    }

    /// Counts a connection until it [leaves](Self::leave); false if it may have no other.
    #[must_use]
    pub fn enter(&self) -> bool {
        let Some(ledger) = &self.0 else { return true };
        let most = ledger.visitors.0.limits.connections;
        let entered =
            ledger.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < most).then_some(open + 1)
            });
        if entered.is_err() {
            ledger.visitors.note(CONNECTIONS);
        }
        entered.is_ok()
    }

    /// Counts a reader that shares its connection with others as a connection, until what comes of
    /// it is dropped.
    ///
    /// # Errors
    ///
    /// That it may have no other.
    pub fn share(&self) -> Result<Sharing, Error> {
        match &self.0 {
            Some(ledger) if !self.enter() => Err(ledger.visitors.limits().no_more_connections()),
            _ => Ok(Sharing(self.clone())),
        }
    }

    /// Counts names that a reader waits by until they are [given back](Self::give_back); false if
    /// there would be more than [`VISITOR_NAMES_MAX`].
    #[must_use]
    pub fn claim(&self, names: u32) -> bool {
        let Some(ledger) = &self.0 else { return true };
        let more = |all: u32| all.checked_add(names).filter(|all| *all <= VISITOR_NAMES_MAX);
        let claimed = ledger.names.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if claimed.is_err() {
            ledger.visitors.note(NAMES);
        }
        claimed.is_ok()
    }

    /// Names that were claimed are waited by no more.
    pub fn give_back(&self, names: u32) {
        if let Some(ledger) = &self.0 {
            ledger.names.fetch_sub(names, Ordering::Relaxed);
        }
    }

    /// A connection that was counted has ended.
    pub fn leave(&self) {
        if let Some(ledger) = &self.0 {
            ledger.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A reader that counts as a connection of a visitor; or one of nobody's.
#[derive(Debug, Default)]
pub struct Sharing(Visitor);

impl Drop for Sharing {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitors(amount: u64) -> Visitors {
        let rates = [Rate::new(amount, Duration::from_secs(3600)).unwrap(); Bucket::ALL.len()];
        Visitors::new(VisitorLimits { rates, connections: 2, ..VisitorLimits::default() }, false)
    }

    fn at(visitors: &Visitors, number: u32) -> Visitor {
        visitors.at(Some(IpAddr::from(number.to_be_bytes())))
    }

    #[test]
    fn the_names_that_one_visitor_waits_by_have_a_bound_and_are_given_back() {
        let visitors = visitors(1);
        let [one, other] = [1 << 24, 2 << 24].map(|number| at(&visitors, number));
        assert!(one.claim(VISITOR_NAMES_MAX) && !one.claim(1) && other.claim(1));
        one.give_back(2);
        assert!(one.claim(2) && !one.claim(u32::MAX));
        assert!(Visitor::default().claim(u32::MAX));
        assert_eq!(visitors.limited().find(|(name, _)| *name == "names"), Some(("names", 2)));
    }

    #[test]
    fn one_visitor_at_its_limit_does_not_touch_another() {
        let visitors = visitors(2);
        let [one, same, other] = [1 << 24, 1 << 24, 2 << 24].map(|n| at(&visitors, n));
        for visitor in [&one, &same] {
            visitor.charge(&[(Bucket::Messages, 1), (Bucket::Bytes, 0)]).unwrap();
        }
        let refusal = one.charge(&[(Bucket::Bytes, 1), (Bucket::Messages, 1)]).unwrap_err();
        assert_eq!(refusal.retry_after(), Some(1800));
        assert!(refusal.text().contains("2/1h"), "{refusal}");
        // What was refused was not charged.
        one.charge(&[(Bucket::Bytes, 2)]).unwrap();
        other.charge(&[(Bucket::Messages, 1)]).unwrap();
        assert_eq!(visitors.limited().find(|(name, _)| *name == "messages"), Some(("messages", 1)));
    }

    #[test]
    fn the_unix_socket_has_no_limits_and_loopback_only_where_it_counts() {
        assert!(!visitors(1).at(None).is_counted());
        let loopback = Some(IpAddr::from([127, 0, 0, 1]));
        assert!(!visitors(1).at(loopback).is_counted());
        assert!(Visitors::new(VisitorLimits::default(), true).at(loopback).is_counted());
    }

    #[test]
    fn those_at_rest_are_forgotten_and_the_others_are_not() {
        let visitors = visitors(2);
        let held = at(&visitors, 1);
        at(&visitors, 2).owe(Bucket::Requests, 1);
        drop(at(&visitors, 3));
        visitors.known().sweep(visitors.now());
        assert_eq!(visitors.len(), 2);
        drop(held);
        visitors.known().sweep(visitors.now());
        assert_eq!(visitors.len(), 1);
    }

    #[test]
    fn there_are_never_more_than_the_bound_and_neighbours_share_what_is_left() {
        let visitors = visitors(2);
        let many = u32::try_from(VISITORS_MAX).unwrap();
        for number in 0..many + 5_000 {
            at(&visitors, number << 8 | 1).owe(Bucket::Requests, 1);
        }
        let most = VISITORS_MAX + usize::try_from(VISITOR_CROWDS_MAX).unwrap();
        assert!((VISITORS_MAX + 1..=most).contains(&visitors.len()), "{}", visitors.len());
        let [one, neighbour] = [2, 3].map(|low| at(&visitors, (many + 9) << 8 | low));
        one.owe(Bucket::Messages, 2);
        neighbour.charge(&[(Bucket::Messages, 1)]).unwrap_err();
    }

    #[test]
    fn connections_are_counted_until_they_leave() {
        let visitors = visitors(1);
        let visitor = at(&visitors, 7);
        assert!(visitor.enter() && at(&visitors, 7).enter());
        assert!(!visitor.enter() && at(&visitors, 8).enter());
        visitor.leave();
        let reader = visitor.share().unwrap();
        assert!(!visitor.enter() && visitor.share().is_err());
        drop(reader);
        assert!(visitor.enter());
    }

    #[test]
    fn a_visitor_is_small() {
        assert!(size_of::<Ledger>() <= 96, "{}", size_of::<Ledger>());
    }
}

//! Which lane pays for which bytes on the wire: what the kernel counts of connections, charged.
//!
//! A connection is charged to the lane of its last request. A request is a boundary: what the peer
//! said since the boundary before is the request itself and belongs to its lane; what the server
//! said since, and the peer's acknowledgements of it, belong to the lane before. So every packet is
//! charged to one lane, and all lanes together are what the kernel counted.
//!
//! Pure: counts come in, sums go out. It is the module above that asks the kernel.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorbell_wire::{Ip, Opener, TcpCounts};
use serde::Serialize;

use super::lane::{Lane, Name, PageName};
use crate::connections::{Connection, Ends};
use crate::limits::{LAB_CONNECTIONS_MAX, LAB_LANES_MAX};

/// A connection whose end the kernel does not tell within this time is charged with what was last
/// known.
const END_WAIT_MAX: Duration = Duration::from_secs(1);

/// IP packets, their bytes with the headers of IP and TCP, and their payload, as the server sees
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Traffic {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    pub(crate) payload_in: u64,
    pub(crate) payload_out: u64,
}

impl Traffic {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            packets_in: self.packets_in + other.packets_in,
            packets_out: self.packets_out + other.packets_out,
            payload_in: self.payload_in + other.payload_in,
            payload_out: self.payload_out + other.payload_out,
        }
    }

    /// What came on top of an earlier count of the same.
    fn since(self, earlier: Self) -> Self {
        Self {
            bytes_in: self.bytes_in.saturating_sub(earlier.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(earlier.bytes_out),
            packets_in: self.packets_in.saturating_sub(earlier.packets_in),
            packets_out: self.packets_out.saturating_sub(earlier.packets_out),
            payload_in: self.payload_in.saturating_sub(earlier.payload_in),
            payload_out: self.payload_out.saturating_sub(earlier.payload_out),
        }
    }
}

/// What was counted of an accepted connection up to some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counted {
    all: Traffic,
    /// Of it, the segments of the peer that carried payload.
    said: Traffic,
}

impl Counted {
    fn of(counts: &TcpCounts, ip: Ip) -> Self {
        let wire = counts.wire(Opener::Passive, ip);
        let all = Traffic {
            bytes_in: wire.bytes_in,
            bytes_out: wire.bytes_out,
            packets_in: wire.packets_in,
            packets_out: wire.packets_out,
            payload_in: counts.bytes_received,
            payload_out: counts.bytes_sent,
        };
        let said = Traffic {
            bytes_in: counts.wire_bytes_data_in(ip),
            packets_in: counts.data_segments_in,
            payload_in: counts.bytes_received,
            ..Traffic::default()
        };
        Self { all, said }
    }
}

/// A request of so many bytes, in one segment as requests nearly always come.
fn request(counts: &TcpCounts, ip: Ip, bytes: u64) -> Traffic {
    let bytes_in = counts.header_bytes(ip) + bytes;
    Traffic { bytes_in, packets_in: 1, payload_in: bytes, ..Traffic::default() }
}

/// The sums of one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Sums {
    #[serde(flatten)]
    pub(crate) traffic: Traffic,
    /// Connections that were opened for it.
    pub(crate) connections: u64,
}

/// What came before a request on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing but the handshake, which is charged with it.
    Nothing,
    /// Other requests; this one has so many bytes.
    Others(u64),
}

/// The accounts of the pages that are watched.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    pages: HashMap<PageName, Account>,
    charged: HashMap<Ends, Charged>,
    /// Accounts opened so far.
    opened: u64,
}

#[derive(Debug, Default)]
struct Account {
    /// Tells this account from an earlier one of the same page.
    number: u64,
    lanes: BTreeMap<Name, Sums>,
    /// Connections charged to it now.
    charged: usize,
    /// What could not be charged, told once.
    refusal: Option<String>,
    refused: bool,
    /// The seat of its subscriber by datagrams.
    datagrams: Option<Arc<Connection>>,
}

#[derive(Debug)]
struct Charged {
    lane: Lane,
    /// What earlier lanes were charged of it, or nobody.
    paid: Traffic,
    /// What its client had said at the last request.
    said: Traffic,
    /// What is known of it.
    last: Counted,
    ip: Ip,
    connection: Option<Arc<Connection>>,
    /// Since when the kernel does not know it any more.
    missing: Option<Instant>,
}

impl Account {
    fn add(&mut self, name: &Name, traffic: Traffic) {
        if let Some(sums) = self.lanes.get_mut(name) {
            sums.traffic = sums.traffic.plus(traffic);
        }
    }

    /// Whether it can take a connection, `more` on top of those it has, for this lane.
    fn admits(&mut self, name: &Name, more: usize) -> bool {
        let text = if self.charged + more > LAB_CONNECTIONS_MAX {
            format!("the page is charged {LAB_CONNECTIONS_MAX} connections, which is the limit")
        } else if !self.lanes.contains_key(name) && self.lanes.len() >= LAB_LANES_MAX {
            format!("the page has {LAB_LANES_MAX} lanes, which is the limit")
        } else {
            return true;
        };
        if !std::mem::replace(&mut self.refused, true) {
            let name = name.as_str();
            self.refusal = Some(format!("{text}: more of lane {name} is not counted"));
        }
        false
    }
}

impl Charged {
    /// Whether a request on this connection is one on the connection that is charged. One that is
    /// not in the register yet has just been opened.
    fn is_of(&self, connection: Option<&Arc<Connection>>) -> bool {
        match (&self.connection, connection) {
            (Some(own), Some(connection)) => own.number() == connection.number(),
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }
}

impl Accounts {
    /// Opens the account of a page, at zero, in the place of an earlier one. Connections that were
    /// charged to that one are charged to this one from now on.
    pub(crate) fn open(&mut self, page: &PageName) -> u64 {
        self.opened += 1;
        let mut account = Account { number: self.opened, ..Account::default() };
        for charged in self.charged.values_mut().filter(|charged| charged.lane.page == *page) {
            charged.paid = charged.last.all;
            account.charged += 1;
            account.lanes.entry(charged.lane.name.clone()).or_default();
        }
        self.pages.insert(page.clone(), account);
        self.opened
    }

    /// Closes an account, unless another has taken its place.
    pub(crate) fn close(&mut self, page: &PageName, number: u64) {
        if self.pages.get(page).is_some_and(|account| account.number == number) {
            self.pages.remove(page);
            self.charged.retain(|_, charged| charged.lane.page != *page);
        }
    }

    /// A request has come on a connection, of a lane or of none. `counts` asks the kernel; it is
    /// called only if something depends on it.
    pub(crate) fn request(
        &mut self,
        ends: Ends,
        connection: Option<&Arc<Connection>>,
        lane: Option<Lane>,
        before: Before,
        counts: impl FnOnce() -> Option<TcpCounts>,
    ) {
        let Ends::Internet { peer, .. } = ends else { return };
        let ip = Ip::of(peer.ip());
        if self.charged.get(&ends).is_some_and(|charged| !charged.is_of(connection)) {
            // Its ends were given to another connection before its own end was told.
            self.end(ends, None);
        }
        let known = self.charged.get(&ends).map(|charged| &charged.lane);
        if known == lane.as_ref() {
            return;
        }
        let more = usize::from(
            known.is_none_or(|known| lane.as_ref().is_some_and(|lane| lane.page != known.page)),
        );
        let lane = lane.filter(|lane| {
            self.pages.get_mut(&lane.page).is_some_and(|account| account.admits(&lane.name, more))
        });
        if lane.is_none() && !self.charged.contains_key(&ends) {
            return;
        }
        let counts = counts();
        let now = counts.as_ref().map(|counts| Counted::of(counts, ip));
        let old = self.charged.remove(&ends);
        let is_new = old.is_none();
        let paid = match (old, before) {
            (Some(old), _) => {
                let now = now.unwrap_or(old.last);
                let said = now.said.since(old.said);
                let paid = now.all.since(said);
                self.leave(&old, paid.since(old.paid));
                Some(paid)
            }
            (None, Before::Nothing) => Some(Traffic::default()),
            (None, Before::Others(bytes)) => counts
                .as_ref()
                .zip(now)
                .map(|(counts, now)| now.all.since(request(counts, ip, bytes))),
        };
        let (Some(lane), Some(paid)) = (lane, paid) else { return };
        if let Some(account) = self.pages.get_mut(&lane.page) {
            account.charged += 1;
            let sums = account.lanes.entry(lane.name.clone()).or_default();
            sums.connections += u64::from(is_new && before == Before::Nothing);
        }
        let last = now.unwrap_or(Counted { all: paid, said: Traffic::default() });
        let (said, connection) = (last.said, connection.cloned());
        let charged = Charged { lane, paid, said, last, ip, connection, missing: None };
        self.charged.insert(ends, charged);
    }

    /// Names the connection with these ends, so that its row can be shown.
    pub(crate) fn name(&mut self, ends: Ends, connection: &Arc<Connection>) {
        if let Some(charged) = self.charged.get_mut(&ends) {
            charged.connection = Some(connection.clone());
        }
    }

    /// Counts a packet that no connection of the kernel's counts.
    pub(crate) fn add(&mut self, page: &PageName, name: &Name, traffic: Traffic) {
        if let Some(account) = self.pages.get_mut(page) {
            account.add(name, traffic);
        }
    }

    /// Opens the lane of a subscriber by datagrams.
    pub(crate) fn open_lane(&mut self, page: &PageName, name: &Name) {
        if let Some(account) = self.pages.get_mut(page)
            && account.admits(name, 0)
        {
            account.lanes.entry(name.clone()).or_default().connections += 1;
        }
    }

    /// The seat of the page's subscriber by datagrams, so that its row can be shown.
    pub(crate) fn seat(&mut self, page: &PageName, connection: Option<Arc<Connection>>) {
        if let Some(account) = self.pages.get_mut(page) {
            account.datagrams = connection;
        }
    }

    /// The connections that are charged to a page.
    pub(crate) fn of(&self, page: &PageName) -> Vec<Ends> {
        let own = self.charged.iter().filter(|(_, charged)| charged.lane.page == *page);
        own.map(|(ends, _)| *ends).collect()
    }

    /// What the kernel says of a connection now; `None` if it does not know it.
    pub(crate) fn heard(&mut self, ends: Ends, counts: Option<&TcpCounts>, now: Instant) {
        let Some(charged) = self.charged.get_mut(&ends) else { return };
        match counts.map(|counts| Counted::of(counts, charged.ip)) {
            Some(counted) => {
                charged.missing = None;
                // It was asked for before a request that has come since.
                if counted.all.packets_in >= charged.last.all.packets_in {
                    charged.last = counted;
                }
            }
            None => {
                let missing = *charged.missing.get_or_insert(now);
                if now.duration_since(missing) > END_WAIT_MAX {
                    self.end(ends, None);
                }
            }
        }
    }

    /// The last counts of a connection.
    pub(crate) fn ended(&mut self, ends: Ends, mut counts: TcpCounts) {
        let Some(charged) = self.charged.get(&ends) else { return };
        let read = charged.connection.as_ref().map(|connection| connection.received());
        let mut last = Counted::of(&counts, charged.ip);
        // A socket that closes first is freed when its FIN is acknowledged, and a stand-in takes
        // the peer's FIN and acknowledges it. Then the last byte that counts as received is no FIN.
        if read == Some(counts.bytes_received + 1) {
            counts.bytes_received += 1;
            counts.segments_in += 1;
            counts.segments_out += 1;
            last = Counted::of(&counts, charged.ip);
        }
        self.end(ends, Some(last));
    }

    fn end(&mut self, ends: Ends, last: Option<Counted>) {
        if let Some(charged) = self.charged.remove(&ends) {
            let last = last.unwrap_or(charged.last);
            self.leave(&charged, last.all.since(charged.paid));
        }
    }

    /// A connection leaves its lane, which is charged the rest.
    fn leave(&mut self, charged: &Charged, rest: Traffic) {
        if let Some(account) = self.pages.get_mut(&charged.lane.page) {
            account.charged = account.charged.saturating_sub(1);
            account.add(&charged.lane.name, rest);
        }
    }

    /// The sums of a page's lanes, as far as they are known.
    pub(crate) fn sums(&self, page: &PageName) -> BTreeMap<Name, Sums> {
        let mut lanes = self.pages.get(page).map(|page| page.lanes.clone()).unwrap_or_default();
        for charged in self.charged.values().filter(|charged| charged.lane.page == *page) {
            if let Some(sums) = lanes.get_mut(&charged.lane.name) {
                let rest = charged.last.all.since(charged.paid);
                sums.traffic = sums.traffic.plus(rest);
            }
        }
        lanes
    }

    /// The connections that are charged to a page, with their lanes.
    pub(crate) fn connections(&self, page: &PageName) -> Vec<(Arc<Connection>, Name)> {
        let own = self.charged.values().filter(|charged| charged.lane.page == *page);
        let mut found: Vec<(Arc<Connection>, Name)> = own
            .filter_map(|charged| Some((charged.connection.clone()?, charged.lane.name.clone())))
            .collect();
        let seat = self.pages.get(page).and_then(|account| account.datagrams.clone());
        found.extend(seat.map(|connection| (connection, Name::udp())));
        found
    }

    /// Whether a connection is charged to this lane now.
    pub(crate) fn serves(&self, ends: Ends, page: &PageName, name: &Name) -> bool {
        let lane = self.charged.get(&ends).map(|charged| &charged.lane);
        lane.is_some_and(|lane| lane.page == *page && lane.name == *name)
    }

    /// What could not be charged to a page, once.
    pub(crate) fn take_refusal(&mut self, page: &PageName) -> Option<String> {
        self.pages.get_mut(page)?.refusal.take()
    }
}

#[cfg(test)]
mod tests;

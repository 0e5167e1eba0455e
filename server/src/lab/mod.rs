//! The live lab: it shows who is connected and what that costs, while it happens. It observes and
//! carries no messages; what it does not show is not asked for.
//!
//! - `session`: serves a page over its WebSocket
//! - `frames`: what a page is told, and what it may ask for
//! - `table`: the rows of the table of connections
//! - `lane`, `accounts`: which bytes on the wire belong to which of a page's requests
//! - `subscribers`: readers over TCP and UDP that the server runs for a page, on real sockets
//! - `wiretap`: the packets of a page's connections, as dialogues
//!
//! It shows the addresses of everybody, so it is on only where nobody from elsewhere can ask,
//! unless it is switched on.

mod accounts;
mod frames;
mod lane;
pub(crate) mod session;
mod subscribers;
mod table;
mod wiretap;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use doorbell_protocol::{Code, Error, Filter};
use doorbell_wire::{Destroyed, Lookup, TcpCounts};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use self::accounts::{Accounts, Before, Sums, Traffic};
pub(crate) use self::lane::PageName;
use self::lane::{Lane, Name};
pub(crate) use self::table::Row;
pub(crate) use self::wiretap::check as check_capture;
use crate::access::{Access, Gate, Ticket};
use crate::connections::{Connection, Connections, Ends};
use crate::limits::{LAB_ROWS_MAX, LAB_SESSIONS_MAX, LAB_TRACES_MAX};
use crate::listen::Addresses;
use crate::metrics::Listener;

/// How long listening for the ends of sockets pauses after a failure.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);
/// Among so many of the newest connections the one that was just opened is looked for.
const NEWEST_SEARCHED: usize = 4096;

/// The lab of one server. Clones share it.
#[derive(Debug, Clone)]
pub struct Lab(Arc<Shared>);

/// What the lab observes, and what it may do.
#[derive(Debug)]
pub struct Parts {
    /// Whether anybody may look.
    pub on: bool,
    /// Whether it was switched on expressly, and so is for other machines too.
    pub asked_for: bool,
    /// Whether packets may be captured.
    pub trace: bool,
    /// The connections that are open.
    pub register: Arc<Connections>,
    /// Where the server listens.
    pub addresses: Arc<Addresses>,
    /// Knows the tasks that run for sessions.
    pub tasks: TaskTracker,
    /// Ends every session.
    pub stop: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    parts: Parts,
    sessions: Arc<Semaphore>,
    traces: Arc<Semaphore>,
    /// Sessions that are open: without any, a request costs one look at this.
    watchers: AtomicUsize,
    accounts: Mutex<Accounts>,
    /// Asks the kernel at a request that changes its connection's lane.
    lookup: Mutex<Option<Lookup>>,
    ends: Mutex<Weak<Ending>>,
}

/// Hears the ends of sockets for as long as a session holds it.
#[derive(Debug)]
struct Ending {
    _task: AbortOnDropHandle<()>,
}

impl Lab {
    /// A lab that nobody looks at yet.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Shared {
            parts,
            sessions: Arc::new(Semaphore::new(LAB_SESSIONS_MAX)),
            traces: Arc::new(Semaphore::new(LAB_TRACES_MAX)),
            watchers: AtomicUsize::new(0),
            accounts: Mutex::default(),
            lookup: Mutex::default(),
            ends: Mutex::default(),
        }))
    }

    /// Whether anybody may look.
    pub fn is_on(&self) -> bool {
        self.0.parts.on
    }

    /// Whether it was switched on expressly. By itself it is for this machine alone: a page from
    /// elsewhere may have a name that leads here, but not one of this machine's own.
    pub fn is_asked_for(&self) -> bool {
        self.0.parts.asked_for
    }

    /// Whether packets may be captured.
    pub fn traces(&self) -> bool {
        self.0.parts.trace
    }

    /// How many connections are open, and the rows of the newest of them. To be called where it may
    /// block.
    pub(crate) fn newest(&self, access: &Access, max: usize) -> (usize, Vec<Row>) {
        let (total, newest) = self.0.parts.register.newest(max);
        (
            total,
            self.rows(access, newest.into_iter().map(|connection| (connection, None)).collect()),
        )
    }

    fn rows(&self, access: &Access, connections: Vec<(Arc<Connection>, Option<Name>)>) -> Vec<Row> {
        table::rows(connections, access, self.0.parts.addresses.unix.as_deref())
    }

    /// Opens a session's place.
    pub(crate) fn enter(&self, page: PageName, gate: Gate, access: Access) -> Result<Seat, Error> {
        let permit = self.0.sessions.clone().try_acquire_owned().map_err(|_| {
            let text = format!("the lab has {LAB_SESSIONS_MAX} sessions, which is the limit");
            Error::new(Code::Unavailable, text)
        })?;
        let number = self.accounts().open(&page);
        self.0.watchers.fetch_add(1, Ordering::Relaxed);
        let ending = self.hear_ends();
        let lab = self.clone();
        Ok(Seat { lab, gate, access, page, number, _ending: ending, _permit: permit })
    }

    /// Listens to the ends of sockets, or shares in the listening.
    fn hear_ends(&self) -> Arc<Ending> {
        let mut ends = self.0.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ending) = ends.upgrade() {
            return ending;
        }
        let shared = Arc::downgrade(&self.0);
        let task = AbortOnDropHandle::new(self.0.parts.tasks.spawn(hear_ends(shared)));
        let ending = Arc::new(Ending { _task: task });
        *ends = Arc::downgrade(&ending);
        ending
    }

    fn is_watched(&self) -> bool {
        self.0.watchers.load(Ordering::Relaxed) > 0
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kernel's counts of one connection, at once.
    fn counts(&self, ends: Ends) -> Option<TcpCounts> {
        let Ends::Internet { local, peer } = ends else { return None };
        let mut lookup = self.0.lookup.lock().unwrap_or_else(PoisonError::into_inner);
        if lookup.is_none() {
            *lookup = Lookup::open().ok();
        }
        lookup.as_mut()?.counts(local, peer).ok().flatten()
    }

    /// A request of a lane, or of none, has come on a connection.
    fn request(
        &self,
        ends: Ends,
        connection: Option<&Arc<Connection>>,
        lane: Option<Lane>,
        before: Before,
    ) {
        self.accounts().request(ends, connection, lane, before, || self.counts(ends));
    }
}

async fn hear_ends(shared: Weak<Shared>) {
    let mut destroyed = match Destroyed::listen() {
        Ok(destroyed) => destroyed,
        Err(error) => {
            tracing::warn!(%error, "the ends of sockets are not told: sums lack a little");
            return;
        }
    };
    loop {
        let ended = destroyed.next().await;
        let Some(shared) = shared.upgrade() else { return };
        match ended {
            Ok(ended) => {
                let ends = Ends::internet(ended.local, ended.peer);
                let mut accounts = shared.accounts.lock().unwrap_or_else(PoisonError::into_inner);
                accounts.ended(ends, ended.counts);
            }
            Err(error) => {
                // More ended at once than the kernel could queue.
                tracing::debug!(%error, "the end of a socket was missed");
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
        }
    }
}

/// A session's place among the sessions, and its page's account; both end with it.
#[derive(Debug)]
pub(crate) struct Seat {
    lab: Lab,
    /// Where its subscribers show that they are the page's.
    gate: Gate,
    /// What the page may do.
    access: Access,
    page: PageName,
    number: u64,
    _ending: Arc<Ending>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.lab.0.watchers.fetch_sub(1, Ordering::Relaxed);
        self.lab.accounts().close(&self.page, self.number);
    }
}

/// What a session shows at one moment.
#[derive(Debug)]
struct View {
    total: usize,
    rows: Vec<Row>,
    lanes: BTreeMap<Name, Sums>,
    refusal: Option<String>,
}

impl Seat {
    /// What the page may do.
    fn access(&self) -> &Access {
        &self.access
    }

    /// What shows in lines that a subscriber is the page's; `None` where that shows nothing.
    fn pass(&self) -> Result<Option<Ticket>, Error> {
        self.is_somebodys().then(|| self.gate.pass(&self.access)).transpose()
    }

    /// The same by datagrams, to read a filter.
    fn ticket(&self, filter: Filter) -> Result<Option<Ticket>, Error> {
        self.is_somebodys().then(|| self.gate.ticket(&self.access, filter)).transpose()
    }

    fn is_somebodys(&self) -> bool {
        let identity = self.access.grant().identity();
        self.gate.has_access_file() && identity.is_some_and(|who| who.kind != "anonymous")
    }

    fn parts(&self) -> &Parts {
        &self.lab.0.parts
    }

    /// Looks at everything that the page is shown. To be called where it may block.
    fn look(&self, with_table: bool) -> View {
        self.ask_kernel();
        let (total, rows) = if with_table { self.table() } else { (0, Vec::new()) };
        let mut accounts = self.lab.accounts();
        let lanes = accounts.sums(&self.page);
        View { total, rows, lanes, refusal: accounts.take_refusal(&self.page) }
    }

    /// Brings the counts of the page's connections up to date. Nobody waits for it meanwhile.
    fn ask_kernel(&self) {
        let charged = self.lab.accounts().of(&self.page);
        for ends in charged {
            let counts = self.lab.counts(ends);
            self.lab.accounts().heard(ends, counts.as_ref(), Instant::now());
        }
    }

    /// The newest connections, and those of the page's lanes whatever their age.
    fn table(&self) -> (usize, Vec<Row>) {
        let register = &self.parts().register;
        let mut shown: BTreeMap<u64, (Arc<Connection>, Option<Name>)> = BTreeMap::new();
        for (connection, name) in self.lab.accounts().connections(&self.page) {
            if register.holds(&connection) {
                shown.insert(connection.number(), (connection, Some(name)));
            }
        }
        let (total, newest) = register.newest(LAB_ROWS_MAX);
        for connection in newest {
            if shown.len() >= LAB_ROWS_MAX {
                break;
            }
            shown.entry(connection.number()).or_insert((connection, None));
        }
        (total, self.lab.rows(&self.access, shown.into_values().rev().collect()))
    }

    /// Charges a connection that a subscriber has just opened, from its handshake on.
    fn charge(&self, ends: Ends, name: Name) {
        let lane = Some(Lane { page: self.page.clone(), name });
        self.lab.request(ends, None, lane, Before::Nothing);
    }

    /// Finds the server's end of a subscriber's connection, so that its row is shown.
    fn name(&self, ends: Ends) {
        let found = self.parts().register.find(Listener::Tcp, ends, NEWEST_SEARCHED);
        if let Some(connection) = found {
            self.lab.accounts().name(ends, &connection);
        }
    }

    /// The same for a subscriber by datagrams, whose seat has this peer.
    fn seat(&self, ends: Ends) {
        let found = self.parts().register.find(Listener::Udp, ends, NEWEST_SEARCHED);
        self.lab.accounts().seat(&self.page, found);
    }

    fn open_lane(&self, name: &Name) {
        self.lab.accounts().open_lane(&self.page, name);
    }

    fn count(&self, name: &Name, traffic: Traffic) {
        self.lab.accounts().add(&self.page, name, traffic);
    }
}

/// The requests of one HTTP connection, as the lab sees them.
#[derive(Debug)]
pub(crate) struct Requests(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    lab: Lab,
    connection: Arc<Connection>,
    /// Bytes that had come when the request before was begun or answered.
    received: AtomicU64,
}

impl Requests {
    /// Of a connection that has just been opened.
    pub(crate) fn new(lab: Lab, connection: Arc<Connection>) -> Self {
        Self(Arc::new(Seen { lab, connection, received: AtomicU64::new(0) }))
    }

    /// A request has come with this query. It is under way until the guard is dropped.
    pub(crate) fn begin(&self, query: Option<&str>) -> RequestGuard {
        let Seen { lab, connection, received } = &*self.0;
        let before = received.load(Ordering::Relaxed);
        self.0.note_received();
        if lab.is_watched() {
            let before = match before {
                0 => Before::Nothing,
                before => Before::Others(connection.received().saturating_sub(before)),
            };
            let lane = query.and_then(Lane::in_query);
            lab.request(connection.ends(), Some(connection), lane, before);
        }
        RequestGuard(self.0.clone())
    }
}

impl Seen {
    /// What has come so far belongs to the requests so far: a body may come while it is answered.
    fn note_received(&self) {
        self.received.store(self.connection.received(), Ordering::Relaxed);
    }
}

/// A request under way, to be dropped when it is answered.
#[derive(Debug)]
pub(crate) struct RequestGuard(Arc<Seen>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.note_received();
    }
}

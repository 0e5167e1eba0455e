//! What an open socket holds for as long as it lives, whoever serves it.
//!
//! It knows no stream and no protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::connections::{Connection, Registered};
use crate::metrics::Metrics;

/// How long a peer may be silent in which way.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// It may take nothing of what is written for this long.
    pub write_deadline: Duration,
    /// After this long without any other event the server gives a sign of life.
    pub keepalive: Duration,
}

/// What holds for every socket.
#[derive(Debug)]
pub struct Rules {
    /// Where its bytes are counted.
    pub metrics: Arc<Metrics>,
    /// How long its peer may be silent.
    pub timeouts: Timeouts,
}

/// Places for sockets.
#[derive(Debug)]
pub struct Places {
    size: usize,
    taken: AtomicUsize,
}

impl Places {
    /// So many.
    pub fn new(size: usize) -> Arc<Self> {
        Arc::new(Self { size, taken: AtomicUsize::new(0) })
    }

    /// One of them, if there is one.
    pub fn take(self: &Arc<Self>) -> Option<Place> {
        let one_more = |taken| (taken < self.size).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Place(self.clone()))
    }
}

/// A place that is taken.
#[derive(Debug)]
pub struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an open socket holds, whoever serves it in the end: its place, its share of the wait at
/// shutdown, its count in the metrics, its place in the register.
#[derive(Debug)]
pub struct ConnectionGuard {
    _place: Place,
    _token: TaskTrackerToken,
    rules: Arc<Rules>,
    registered: Registered,
}

impl ConnectionGuard {
    /// Counts the socket as open; its visitor has [entered](crate::visitors::Visitor::enter).
    pub fn new(
        place: Place,
        token: TaskTrackerToken,
        rules: &Arc<Rules>,
        registered: Registered,
    ) -> Self {
        rules.metrics.sockets.inc();
        Self { _place: place, _token: token, rules: rules.clone(), registered }
    }

    /// How long the peer may take nothing of what is written.
    pub fn write_deadline(&self) -> Duration {
        self.rules.timeouts.write_deadline
    }

    /// Counts bytes read. To be called by the one task that reads.
    pub fn count_received(&self, bytes: usize) {
        let connection = self.connection();
        connection.count_received(bytes);
        self.rules.metrics.socket_bytes(connection.listener()).received.inc_by(bytes as u64);
    }

    /// Counts bytes written. To be called by the one task that writes.
    pub fn count_sent(&self, bytes: usize) {
        let connection = self.connection();
        connection.count_sent(bytes);
        self.rules.metrics.socket_bytes(connection.listener()).sent.inc_by(bytes as u64);
    }

    /// Its entry in the register.
    pub fn connection(&self) -> &Arc<Connection> {
        self.registered.connection()
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.rules.metrics.sockets.dec();
        let connection = self.connection();
        connection.visitor().leave();
        // The one line of this connection.
        let (listener, peer) = (connection.listener(), connection.ends());
        let seconds = connection.age().as_secs_f64();
        tracing::debug!(?listener, %peer, seconds, "connection");
    }
}

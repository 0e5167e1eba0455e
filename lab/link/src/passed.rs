//! What became of what a relay was given.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of the datagrams or chunks of a relay so far, both directions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// Connections accepted, or clients that sent datagrams.
    pub clients: u64,
    /// Datagrams that came in. Of TCP nothing is counted, as a stream has no pieces.
    pub datagrams: u64,
    /// Datagrams that were lost on purpose.
    pub lost: u64,
    /// Datagrams that were held back so that later ones overtake them.
    pub reordered: u64,
    /// Datagrams that were sent twice.
    pub duplicated: u64,
    /// Datagrams for which the queue had no room.
    pub overflowed: u64,
}

/// The running counts behind [`Passed`].
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) clients: AtomicU64,
    pub(crate) datagrams: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) reordered: AtomicU64,
    pub(crate) duplicated: AtomicU64,
    pub(crate) overflowed: AtomicU64,
}

impl Counts {
    /// The counts at this moment.
    pub(crate) fn read(&self) -> Passed {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Passed {
            clients: read(&self.clients),
            datagrams: read(&self.datagrams),
            lost: read(&self.lost),
            reordered: read(&self.reordered),
            duplicated: read(&self.duplicated),
            overflowed: read(&self.overflowed),
        }
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

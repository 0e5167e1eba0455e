//! How far a reader is, for those who watch readers: written by its cursor alone, read by anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use doorbell_protocol::Filter;

/// Set beside the place while the reader waits for news.
const WAITING: u64 = 1 << 63;

/// What one cursor shows of itself. To show it costs the cursor a relaxed store a step.
#[derive(Debug, Default)]
pub struct Progress {
    place: AtomicU64,
    filters: Mutex<Box<[Filter]>>,
}

/// How far a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The seq up to which everything wanted was handed out.
    pub place: u64,
    /// Whether it has looked at everything that is for it and waits for news.
    pub waiting: bool,
}

impl Progress {
    /// How far the reader is now.
    pub fn reached(&self) -> Reached {
        let place = self.place.load(Ordering::Relaxed);
        Reached { place: place & !WAITING, waiting: place & WAITING != 0 }
    }

    /// What it reads, joined by commas; `None` if it has no filter left.
    pub fn filter(&self) -> Option<String> {
        let filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<String> = filters.iter().map(ToString::to_string).collect();
        (!names.is_empty()).then(|| names.join(","))
    }

    pub(super) fn reads(&self, filters: &[Filter]) {
        *self.filters.lock().unwrap_or_else(PoisonError::into_inner) = filters.into();
    }

    pub(super) fn reach(&self, place: u64) {
        self.place.store(place, Ordering::Relaxed);
    }

    /// It waits at its place until it reaches another.
    pub(super) fn wait(&self) {
        let place = self.reached().place;
        self.place.store(place | WAITING, Ordering::Relaxed);
    }
}

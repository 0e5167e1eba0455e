//! Whose messages fill the log, in bytes of their lines: what a share is held against.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::log::Owner;

/// Bytes held of each owner, in all segments.
#[derive(Debug, Default)]
pub(super) struct Owners(Mutex<HashMap<Owner, u64>>);

impl Owners {
    fn held(&self) -> MutexGuard<'_, HashMap<Owner, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a segment holds.
    pub(super) fn restore(&self, segment: &HashMap<Owner, u64>) {
        let mut held = self.held();
        for (owner, bytes) in segment {
            *held.entry(owner.clone()).or_default() += bytes;
        }
    }

    /// Takes in what was appended.
    pub(super) fn add(&self, owned: &[(Owner, u64)]) {
        add(&mut self.held(), owned);
    }

    /// Forgets what a segment held.
    pub(super) fn let_go(&self, segment: &HashMap<Owner, u64>) {
        let mut held = self.held();
        for (owner, bytes) in segment {
            if let Some(own) = held.get_mut(owner) {
                *own = own.saturating_sub(*bytes);
                if *own == 0 {
                    held.remove(owner);
                }
            }
        }
    }

    /// What is held of one.
    pub(super) fn of(&self, owner: &Owner) -> u64 {
        self.held().get(owner).copied().unwrap_or_default()
    }
}

/// Adds bytes to what is held.
pub(super) fn add(held: &mut HashMap<Owner, u64>, owned: &[(Owner, u64)]) {
    for (owner, bytes) in owned {
        match held.get_mut(owner) {
            Some(own) => *own += bytes,
            None => drop(held.insert(owner.clone(), *bytes)),
        }
    }
}

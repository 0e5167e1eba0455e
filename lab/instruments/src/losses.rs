//! What datagrams lost on the way, and what it cost to have everything all the same.

use crate::traffic::Traffic;

/// What became of the datagrams of one subscription so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Datagrams with a message, or the announcement of one, that arrived.
    pub arrived: u64,
    /// Messages whose datagram did not arrive; each was fetched.
    pub lost: u64,
    /// Datagrams that arrived after their message had been fetched.
    pub overtaken: u64,
    /// Datagrams that arrived more than once.
    pub repeated: u64,
    /// Messages that were too large for a datagram and were fetched when they were announced.
    pub large: u64,
    /// How often something had to be fetched.
    pub repairs: u64,
    /// What all that fetching cost: it is a part of the subscription's [`Traffic`].
    pub cost: Traffic,
}

impl Losses {
    /// Whether everything came as it was sent.
    pub fn is_none(&self) -> bool {
        self.lost + self.overtaken + self.repeated + self.large + self.repairs == 0
    }
}

//! Sends back what comes, as it came.

use crate::failure::Result;

use super::door::{Peers, Work, serve};

/// Serves.
pub(super) fn run() -> Result<()> {
    serve(Echo)
}

struct Echo;

impl Work for Echo {
    type Role = ();

    fn hear(&mut self, peers: &mut Peers<()>, key: usize, lines: &[u8]) {
        peers.send(key, lines);
    }
}

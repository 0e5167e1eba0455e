//! A link of one's own between client and server: a relay in user space that takes its time. It
//! needs no privilege.
//!
//! **What is emulated.** One-way delay with jitter, and a rate, for each connection and each
//! direction by itself, as if every client sat behind a line of its own. Order is kept. Over TCP
//! the handshake costs what it would: the client's first bytes reach the server 1.5 round trips
//! after it connected, the first answer the client after two, and so does the greeting of a server
//! that speaks first. The end of a direction travels like its bytes. Over UDP also loss,
//! duplication and reordering, drawn from a seeded generator.
//!
//! **What is not.** The client's `connect` itself returns at once, as the relay is near: only what
//! follows is late. TCP's own machinery sees loopback: no loss, no retransmission, no slow start,
//! no head-of-line blocking, acknowledgements without delay; a reset arrives as an end. Bytes
//! under way are bounded: 4 MiB, or with a rate what the line holds and a queue of 256 KiB before
//! it; then the sender is made to wait. The rate counts what would cross a wire: 52 bytes of
//! headers with each 1448 of a stream, 28 with each datagram. What the relay adds by itself is
//! about 0.1 ms a direction.

mod darkness;
mod line;
pub mod netem;
mod passed;
mod properties;
mod relay;
mod tcp;
mod udp;

pub use passed::Passed;
pub use properties::{DELAY_MAX, Link, LinkError, RATE};
pub use relay::Relay;

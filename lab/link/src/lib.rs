//! A link of one's own between client and server, in user space, in two ways that take the same
//! [`Link`].
//!
//! **[`PacketLink`]: packets.** It lies between the two halves of a
//! [`SplitNetwork`](doorbell_wire::SplitNetwork) and carries, delays, drops and reorders IP
//! packets, so that the kernels at its ends do what they do over such a line: handshakes, slow
//! start, acknowledgements, retransmissions, head-of-line blocking. It needs root or user
//! namespaces, and a server that it can start on the other side. What it counts are the packets
//! themselves.
//!
//! **[`Relay`]: streams and datagrams.** It needs no privilege and stands before any server.
//! One-way delay with jitter, and a rate. Order is kept. Over TCP the handshake costs what it
//! would: the client's first bytes reach the server 1.5 round trips after it connected, the first
//! answer the client after two, and so does the greeting of a server that speaks first. The end of
//! a direction travels like its bytes. Over UDP also loss, duplication and reordering. What it
//! cannot do: the client's `connect` itself returns at once, as the relay is near, and TCP's own
//! machinery sees loopback: no loss, no retransmission, no slow start, no head-of-line blocking,
//! acknowledgements without delay; a reset arrives as an end. Bytes under way are bounded: 4 MiB,
//! or with a rate what the line holds and the queue before it; then the sender is made to wait. The
//! rate counts what would cross a wire: 52 bytes of headers with each 1448 of a stream, 28 with
//! each datagram. What the relay adds by itself is about 0.1 ms a direction.
//!
//! In both each connection and each direction has a line for itself, as if every client sat behind
//! one of its own, with a queue of 256 KiB before a line that has a rate; chance is drawn from a
//! seeded generator.

mod darkness;
mod line;
mod packets;
mod passed;
mod properties;
mod relay;
mod tcp;
mod udp;

pub use packets::{Flow, Flows, Mishaps, PacketLink, Passing};
pub use passed::Passed;
pub use properties::{DELAY_MAX, Link, LinkError, RATE};
pub use relay::Relay;

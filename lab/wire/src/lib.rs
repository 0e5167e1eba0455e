//! What the kernel knows about a TCP connection, and what really crossed the wire.
//!
//! * [`tcp_info`]: the kernel's own counts of a socket, and from them the exact bytes of its
//!   packets, headers and all ([`TcpCounts::wire`]). No privilege is needed.
//! * [`Watched`]: the same for a socket that somebody else owns, up to its last acknowledgement.
//! * [`Lookup`]: the same for a socket of which nothing is known but its addresses.
//! * [`Destroyed`]: the last counts of every TCP socket of this network namespace as it is freed.
//! * [`Capture`]: the packets themselves, with the kernel's times. Needs `CAP_NET_RAW`.
//! * [`Alarm`]: sleeping more exactly than the runtime's clock.
//! * [`Dialogue`]: the packets of one connection in order, told in words.
//! * [`SplitNetwork`]: a client's network and a server's, with a [`Device`] at each end of what is
//!   between them.
//!
//! This is not a general packet library: Linux only, TCP only, and a capture is of one interface
//! and a few ports. It is the one crate of the workspace with unsafe code, all of it around a
//! system call or the memory that the kernel shares.

mod alarm;
mod capture;
mod counts;
mod destroyed;
mod device;
mod dialogue;
mod filter;
mod lookup;
mod namespace;
mod ring;
mod segment;
mod split;
mod watched;
mod words;

pub use alarm::Alarm;
pub use capture::{Capture, MISSING_PRIVILEGE};
pub use counts::{Ip, Opener, State, TcpCounts, WireCounts, tcp_info};
pub use destroyed::{Destroyed, Ended};
pub use device::{Device, ETHERNET_MTU};
pub use dialogue::{Dialogue, Phase, Side, Step, Sum};
pub use lookup::Lookup;
pub use namespace::Namespace;
pub use segment::{Flags, Options, Segment};
pub use split::{MISSING_NAMESPACE, SplitNetwork};
pub use watched::Watched;

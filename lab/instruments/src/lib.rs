//! What the experiments of the laboratory share.
//!
//! - [`Meter`]: counts what goes over the connections of a subscription, at the sockets
//!   ([`Traffic`]), on the wire, and what datagrams lost ([`Losses`])
//! - [`OwnServer`]: a server for one experiment
//! - [`Failure`]: why an experiment or a command ends early; [`missing_privilege`]: what it lacks
//!   to capture packets
//! - [`time`], [`time_between`]: times on a command line
//!
//! It draws no conclusions: what is compared with what is each experiment's own business.

mod failure;
mod farewells;
mod ledger;
mod losses;
mod meter;
mod own_server;
mod privilege;
mod times;
mod traffic;

pub use failure::Failure;
pub use ledger::{CLOSING_MAX, Connection};
pub use losses::Losses;
pub use meter::Meter;
pub use own_server::{OwnServer, OwnServerSettings};
pub use privilege::missing_privilege;
pub use times::{INTERVAL, time, time_between};
pub use traffic::Traffic;

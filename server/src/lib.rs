//! doorbell's server: one durable log, read by cursors, worn by every transport.
//!
//! Read it in the order of a message's path. In: [`mod@line`] or [`http`], [`access`], [`hub`],
//! [`writer`], [`log`]. Out: [`tail`], [`cursor`], [`session`], and the transport again.
//! `ARCHITECTURE.md` has the map.

pub mod access;
pub mod alarm;
pub mod clock;
pub mod conditions;
pub mod config;
pub mod connections;
pub mod cursor;
pub mod datagram;
pub mod guard;
pub mod http;
pub mod hub;
pub mod lab;
pub mod limits;
pub mod line;
pub mod listen;
pub mod log;
pub mod message;
pub mod metrics;
mod process;
pub mod rights;
pub mod serve;
pub mod session;
mod start;
pub mod stop;
pub mod stream;
pub mod tail;
pub mod visitors;
pub mod writer;

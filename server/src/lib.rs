//! doorbell's server: one durable log, read by cursors, worn by every transport.
//!
//! Read it in the order of a message's path. In: [`mod@line`] or [`http`], [`access`], [`hub`],
//! [`writer`], [`log`]. Out: [`tail`], [`cursor`], [`session`], and the transport again.
//! `ARCHITECTURE.md` has the map.

pub mod access;
pub mod admin;
pub mod alarm;
pub mod announce;
pub mod audit;
pub mod clock;
pub mod config;
pub mod connections;
pub mod counters;
pub mod cursor;
pub mod datagram;
pub mod files;
pub mod guard;
pub mod http;
pub mod hub;
pub mod inherited;
pub mod lab;
pub mod limits;
pub mod line;
pub mod listen;
pub mod log;
pub mod message;
pub mod metrics;
pub mod outbound;
pub mod patterns;
mod process;
pub mod proxy;
pub mod relay;
pub mod rights;
pub mod schedule;
pub mod serve;
pub mod session;
mod start;
pub mod stop;
pub mod stream;
pub mod tail;
pub mod templates;
pub mod tls;
pub mod visitors;
#[cfg(feature = "cluster")]
mod waiting;
mod web;
mod websocket;
pub mod writer;

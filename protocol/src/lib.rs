//! The words of doorbell's wire: what a topic, a filter, an id, an event, a command and an error
//! are, and how each is written and read.
//!
//! This crate does no I/O and knows no runtime. The server and the client both speak through it,
//! so a word has one spelling.
//!
//! - [`topic`]: topics and the filters that select them
//! - [`id`]: the place of a message in the log, as 12 characters
//! - [`since`]: where a reader wants to begin; [`conditions`]: what it asks of messages;
//!   [`coalesce`]: how long it lets them wait for others
//! - [`draft`]: a message before it has a place, and the parameters that make one
//! - [`action`]: the buttons of a message; [`attachment`]: a file that belongs to it
//! - [`event`]: the JSON objects that the server sends
//! - [`command`]: the lines that a client sends over TCP, a Unix socket or a WebSocket
//! - [`datagram`]: the lines of UDP, one a datagram, and how a loss is noticed
//! - [`transport`]: the ways of receiving, and what each is called
//! - [`lenient`]: JSON as others of the dialect write it
//! - [`code`]: the errors, their numbers and their HTTP status
//! - [`limits`]: every bound of the wire

pub mod action;
pub mod attachment;
pub mod coalesce;
pub mod code;
pub mod command;
pub mod conditions;
pub mod datagram;
pub mod draft;
pub mod event;
pub mod id;
mod json;
pub mod lenient;
pub mod limits;
pub mod since;
pub mod topic;
pub mod transport;

pub use coalesce::CoalesceWindow;
pub use code::{Code, Error};
pub use command::{Command, Format};
pub use conditions::Conditions;
pub use draft::{Draft, Parameter};
pub use event::{Event, Frame, Gap, GapReason, Kind};
pub use id::{Epoch, Id};
pub use since::Since;
pub use topic::{Filter, Topic};
pub use transport::{Family, Transport};

//! The client of doorbell: messages pushed to you, or fetched, from one log.
//!
//! ```no_run
//! use doorbell::Update;
//! use futures_util::StreamExt;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = doorbell::connect("localhost").await?;
//!     let mut updates = client.subscribe("hello".parse()?).stream();
//!     while let Some(update) = updates.next().await {
//!         match update? {
//!             Update::Connected => {
//!                 client.publish("hello".parse()?, "It rings!").title("Door").send().await?;
//!             }
//!             Update::Message(received) => {
//!                 println!("{}", received.event.message.unwrap_or_default());
//!                 break;
//!             }
//!             _ => {}
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! - [`connect`] reaches a server; a [`Client`] is one that may not be there yet.
//! - [`Client::subscribe`] gives a stream of [`Update`]s that survives its connections: when one
//!   breaks, it resumes where it was. [`Subscribe`] says from where, how and how often.
//! - [`Client::publish`] sends one message and returns the server's answer. A [`Publisher`] has
//!   many under way at once.
//!
//! The words of the wire ([`Topic`], [`Filter`], [`Id`], [`Event`], …) are those of the
//! `doorbell-protocol` crate. Over TLS a server shows who it is, as
//! [`Trust`] asks for; a client shows who it is by a [`Credential`] or an [`Own`] certificate. All
//! that is said of a [`Server`] before a client of it is made. Everything runs on tokio.

mod address;
mod backoff;
mod browser;
mod client;
mod content;
mod conversation;
mod credential;
mod error;
mod http;
pub mod laboratory;
mod lines;
mod listeners;
mod options;
mod publish;
mod publisher;
mod received;
mod socket;
mod source;
mod subscribe;
mod subscription;
mod talk;
mod trust;
mod upload;

pub use address::{Authority, Endpoint, Server, Site};
pub use client::{Client, connect};
pub use credential::Credential;
pub use doorbell_protocol::{
    CoalesceWindow, Conditions, Draft, Event, Filter, Gap, GapReason, Id, Kind, Since, Topic,
    Transport,
};
pub use error::{Error, Refusal};
pub use publish::Publish;
pub use publisher::{Publisher, Receipt};
pub use received::Received;
pub use subscribe::Subscribe;
pub use subscription::{Subscription, Update};
pub use talk::Talk;
pub use trust::{Fingerprint, Own, Tls, Trust};

/// The example of the book is compiled with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../docs/client.md")]
struct Book;

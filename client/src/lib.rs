//! The client of doorbell: messages pushed to you, or fetched, from one log.
//!
//! A [`Subscription`] is a stream of messages that survives its connections: when one breaks, it
//! resumes where it was. A [`Publisher`] sends messages and yields the server's answers.
//!
//! ```no_run
//! use doorbell::{Draft, Publisher, Server, Since, Subscription, Update, Via};
//! use futures_util::StreamExt;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let server: Server = "tcp://127.0.0.1:1989".parse()?;
//!     let mut updates =
//!         Subscription::new(server.clone(), "hello".parse()?, Since::None, Via::Tcp)?;
//!     while let Some(update) = updates.next().await {
//!         match update? {
//!             Update::Connected => {
//!                 let draft = Draft::text("hello".parse()?, "It rings!", 4096)?;
//!                 Publisher::new(server.clone()).publish(draft).await?;
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
//! The words of the wire ([`Topic`], [`Filter`], [`Id`], [`Event`], …) are those of the
//! `doorbell-protocol` crate. TLS is not spoken.

mod address;
mod backoff;
mod conversation;
mod error;
mod http;
mod ledger;
mod lines;
mod listeners;
mod losses;
mod publisher;
mod received;
mod socket;
mod source;
mod subscription;
mod via;

pub use address::{Authority, Endpoint, Server};
pub use doorbell_protocol::{Draft, Event, Filter, Gap, GapReason, Id, Kind, Since, Topic};
pub use error::{Error, Refusal};
pub use ledger::Connection;
pub use losses::Losses;
pub use publisher::{Publisher, Receipt};
pub use received::Received;
pub use socket::{Meter, Traffic};
pub use subscription::{Subscription, Update};
pub use via::Via;

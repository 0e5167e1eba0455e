//! HTTP: from connections to answers.
//!
//! - `connection`: one connection, request after request, over its `wire`; `fallback`: the HTTP
//!   library, for those that are not plain, with `timeout`: requests that are not finished in time,
//!   and `stalled`: answers that are not taken
//! - `request`: a request as handlers see it, and the reader of plain ones; `params`: its
//!   parameters, with `encoded_words` in headers; `requester`: who it is from; `credentials`: what
//!   its client says of itself; `dispatch`: the one table of addresses, and what stands there;
//!   `reply`: the answer and its two writers; `policy`: what is done to every answer
//! - `origin`: which pages may use the server, and under which names it is asked; `base_path`: the
//!   path under which a proxy offers it; `base_url`: the address that everybody knows
//! - `publish`, `poll`, `stream`, `websocket`: messages in and out; `bodies`: what is sent, as it
//!   was meant; `matrix`: the gateway of Matrix; `framing`: how messages stand in a body;
//!   `streaming`: a stream over a connection that is read here; `gzip`: compressed ones; `upgrade`:
//!   how a request becomes a WebSocket
//! - `templated`: a publish whose text is made of its body by a template
//! - `upload`: a publish whose body is a file; `download`: the file
//! - `webpush`: subscriptions of browsers that are pushed to
//! - `identity`: the account of whoever asks, and tickets
//! - `page`: the demo page; `observe`: health, configuration, statistics, metrics; `lab`: who is
//!   connected, and the page that watches

mod base_path;
mod base_url;
mod bodies;
mod connection;
mod credentials;
mod dispatch;
mod download;
mod encoded_words;
mod fallback;
mod framing;
mod gzip;
mod identity;
mod lab;
mod matrix;
mod observe;
mod origin;
mod page;
mod params;
mod policy;
mod poll;
mod publish;
mod reply;
mod request;
mod requester;
mod stalled;
mod stream;
mod streaming;
mod templated;
mod timeout;
mod upgrade;
mod upload;
mod webpush;
mod websocket;
mod wire;

use std::sync::{Arc, Once};
use std::time::Duration;

pub use self::base_path::BasePath;
pub use self::base_url::BaseUrl;
pub use self::connection::Http;
pub use self::encoded_words::decode_words;
pub use self::gzip::GzipTurns;
pub use self::origin::{AllowedOrigin, HostName, Origins};
use crate::files::{FileLimits, Files};
use crate::lab::Lab;
use crate::listen::Addresses;
use crate::outbound::Outbound;
use crate::proxy::Proxies;
use crate::relay::Push;
use crate::session::SessionConfig;
use crate::templates::Templates;

/// What every request may need.
#[derive(Debug, Clone)]
pub struct App {
    /// The gate, keepalive, limits and counters, shared with the line protocol.
    pub config: Arc<SessionConfig>,
    /// Where the server listens.
    pub addresses: Arc<Addresses>,
    /// Connections that the server takes.
    pub connections: usize,
    /// Bytes of a message text.
    pub message_bytes: usize,
    /// What those that poll are told to wait.
    pub poll_interval: Option<Duration>,
    /// Bytes of a header block.
    pub header_bytes: usize,
    /// Those who watch the connections.
    pub lab: Lab,
    /// Streams that may be compressed.
    pub gzip: GzipTurns,
    /// Says once that a credential means nothing here.
    pub credentials_ignored: Arc<Once>,
    /// Says once that requests come by way of a proxy that nobody has named.
    pub proxy_unnamed: Arc<Once>,
    /// The proxies in front.
    pub proxies: Arc<Proxies>,
    /// Whose requests are taken.
    pub origins: Arc<Origins>,
    /// The path before every address, where a proxy leaves it there.
    pub base_path: Arc<BasePath>,
    /// The address under which everybody knows the server, if it was told.
    pub base_url: Option<Arc<BaseUrl>>,
    /// Files that were published.
    pub files: Files,
    /// The way out, whose errands are counted.
    pub outbound: Outbound,
    /// The browsers that are pushed to, if any may be.
    pub push: Option<Push>,
    /// Named templates.
    pub templates: Arc<Templates>,
}

impl App {
    /// What files are taken in, if any are.
    fn takes_files(&self) -> Option<FileLimits> {
        Some(self.files.limits()).filter(|limits| limits.total > 0)
    }
}

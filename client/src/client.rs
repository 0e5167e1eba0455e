//! A client of one server: where subscriptions and publishes begin.

use std::sync::Arc;

use doorbell_protocol::{Draft, Filter, Topic};
use tokio::sync::Mutex;

use crate::address::Server;
use crate::error::Error;
use crate::publish::Publish;
use crate::publisher::Publisher;
use crate::subscribe::Subscribe;
use crate::talk::Talk;

/// Reaches a server by the address of one of its listeners: `http://host:port`, `ws://host:port`,
/// `tcp://host:port`, `unix:PATH`, over TLS `https://`, `wss://` and `tcps://`, or a host with or
/// without a port, which stands for `http://host:8080`. From an HTTP address the server's other
/// listeners are learned.
///
/// # Errors
///
/// [`Error::Address`] if the address is malformed, [`Error::Connect`] and others if no doorbell
/// server answers there. [`Client::new`] takes an address without trying it.
pub async fn connect(address: &str) -> Result<Client, Error> {
    let client = Client::new(Server::from_host_or_url(address)?);
    client.server.reach().await?;
    Ok(client)
}

/// A client of one server. Clones are cheap and share one connection for publishing.
///
/// Each subscription has a connection of its own, so a slow one holds up no other.
#[derive(Debug, Clone)]
pub struct Client {
    server: Server,
    publisher: Arc<Mutex<Publisher>>,
}

impl Client {
    /// A client of the server at an address. Nothing is opened before it is needed, so the server
    /// need not be there yet.
    pub fn new(server: Server) -> Self {
        let publisher = Arc::new(Mutex::new(Publisher::new(server.clone())));
        Self { server, publisher }
    }

    /// Where the server is.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Begins a subscription to the messages of a filter, by default to what is published from now
    /// on, as lines over TCP.
    pub fn subscribe(&self, filter: Filter) -> Subscribe {
        Subscribe::new(self.server.clone(), filter)
    }

    /// Begins a message. An empty text is published as `triggered`.
    pub fn publish(&self, topic: Topic, text: impl Into<String>) -> Publish {
        Publish::new(Arc::clone(&self.publisher), Draft::unchecked(topic, text))
    }

    /// Opens a connection for lines that are written by hand, such as those of a person.
    ///
    /// # Errors
    ///
    /// Why no connection came about, or that the server has no listener for lines.
    pub async fn talk(&self) -> Result<Talk, Error> {
        Talk::open(&self.server).await
    }

    /// A publisher with a connection of its own, for many messages: it does not wait for the answer
    /// to one before it sends the next.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.server.clone())
    }
}

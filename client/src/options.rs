//! What a subscription was asked for.

use std::net::SocketAddr;
use std::time::Duration;

use doorbell_protocol::{CoalesceWindow, Conditions, Filter, Since, Transport};

use crate::address::Server;
use crate::error::Error;
use crate::http::HttpClient;
use crate::laboratory::{Habits, Observed};

/// From one poll to the next, unless somebody says otherwise.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(5);

/// What [`Subscribe`](crate::Subscribe) collects and [`Subscription`](crate::Subscription) keeps.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) server: Server,
    pub(crate) filter: Filter,
    /// What a message must meet to be told.
    pub(crate) conditions: Conditions,
    /// How long the server lets messages wait for others.
    pub(crate) coalesce: CoalesceWindow,
    /// Where the next connection begins.
    pub(crate) since: Since,
    pub(crate) via: Transport,
    /// From one poll to the next, if it polls.
    pub(crate) interval: Duration,
    /// Whether it ends with what the server held when it was first asked.
    pub(crate) ends: bool,
    /// Where datagrams go, if not to where the server hears them.
    pub(crate) relay: Option<SocketAddr>,
    pub(crate) habits: Habits,
    pub(crate) observed: Observed,
}

impl Options {
    pub(crate) fn new(server: Server, filter: Filter) -> Self {
        Self {
            server,
            filter,
            conditions: Conditions::default(),
            coalesce: CoalesceWindow::default(),
            since: Since::None,
            via: Transport::Tcp,
            interval: INTERVAL_DEFAULT,
            ends: false,
            relay: None,
            habits: Habits::default(),
            observed: Observed::default(),
        }
    }

    /// A client for the requests of this subscription.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if only the server's listener for lines is known.
    pub(crate) fn http(&self) -> Result<HttpClient, Error> {
        Ok(HttpClient::new(self.server.http()?.clone(), self.observed.clone(), self.habits))
    }

    /// The filter as the first segment of a path.
    pub(crate) fn path(&self) -> String {
        format!("/{}", in_path(&self.filter))
    }

    /// What a stream asks for: the place, what messages must meet, and how long they may wait.
    pub(crate) fn query(&self) -> String {
        format!("since={}{}{}", self.since, self.conditions.query(), self.coalesce_query())
    }

    /// How long messages may wait, as a parameter behind an `&`.
    pub(crate) fn coalesce_query(&self) -> String {
        if self.coalesce.is_none() {
            return String::new();
        }
        format!("&coalesce={}", self.coalesce)
    }
}

/// A filter as it stands in addresses. Of its letters only `>` may not.
pub(crate) fn in_path(filter: &Filter) -> String {
    filter.to_string().replace('>', "%3E")
}

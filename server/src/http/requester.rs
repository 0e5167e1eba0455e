//! Whom a request is from, as far as its connection and its proxy tell.

use std::borrow::Cow;
use std::net::IpAddr;

use doorbell_protocol::Error;

use super::App;
use super::request::Request;
use crate::connections::Connection;
use crate::visitors::{Sharing, Visitor};

/// An address, and whom a request from there is charged to as long as it does not say who it is.
pub(super) struct Requester<'c> {
    /// The client's, if it has one.
    pub(super) address: Option<IpAddr>,
    pub(super) visitor: Cow<'c, Visitor>,
}

impl<'c> Requester<'c> {
    /// That of a request.
    ///
    /// # Errors
    ///
    /// That a trusted proxy tells of two.
    pub(super) fn of(
        app: &App,
        request: &Request<'_>,
        connection: &'c Connection,
    ) -> Result<Self, Error> {
        let visitors = app.config.gate.visitors();
        if app.proxies.stand_before(connection) {
            let address = app.proxies.client(connection.ends(), request.headers.iter())?;
            connection.asks_for(address);
            return Ok(Self { address, visitor: Cow::Owned(visitors.at(address)) });
        }
        let (address, own) = (connection.ends().address(), connection.visitor());
        let visitor = match address {
            // It is the proxy that is of this machine: whoever comes by way of it is not.
            Some(proxy) if !own.is_counted() && request.names_a_proxy() => {
                app.proxy_unnamed.call_once(|| {
                    tracing::warn!(
                        "requests come by way of a proxy on this machine, and all its clients are \
                         one visitor: --trusted-proxies {proxy} tells them apart"
                    );
                });
                Cow::Owned(visitors.everybody_at(proxy))
            }
            _ => Cow::Borrowed(own),
        };
        Ok(Self { address, visitor })
    }

    /// Counts a reader whose connection is not counted for it alone: over HTTP/2 a client has many,
    /// and those of a proxy are their clients'.
    ///
    /// # Errors
    ///
    /// That its visitor may have no other.
    pub(super) fn share(
        &self,
        request: &Request<'_>,
        connection: &Connection,
    ) -> Result<Sharing, Error> {
        if request.is_multiplexed() || !connection.visitor().is_counted() {
            return self.visitor.share();
        }
        Ok(Sharing::default())
    }
}

//! Proxies in front of the server: which are trusted, and what those may tell of a client. What is
//! told by others is not heard.
//!
//! - `forwarded`: headers of requests, `Forwarded` and `X-Forwarded-For`
//! - `header`: the PROXY header at the beginning of a connection

mod forwarded;
mod header;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use doorbell_protocol::Error;
use ipnet::IpNet;
use tokio::io::AsyncRead;

pub use self::forwarded::names_a_proxy;
use crate::connections::{Connection, Ends};
use crate::metrics::Listener;

/// The proxies that are trusted, and where they stand.
#[derive(Debug, Default)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    /// Listeners of which each connection begins with a PROXY header.
    headed: Vec<Listener>,
}

/// A range of addresses; one address is a range as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range(IpNet);

impl Range {
    /// The range as a network.
    pub fn network(self) -> IpNet {
        self.0
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = || text.parse().map(|address: IpAddr| address.to_canonical().into()).ok();
        let range = text.parse().ok().or_else(one);
        range.map(Self).ok_or_else(|| "a range looks like 10.0.0.0/8, fd00::/8 or ::1".to_owned())
    }
}

impl Proxies {
    /// Those in these ranges. On some listeners they must tell whose each connection is.
    pub fn new(trusted: &[Range], headed: &[Listener]) -> Self {
        let trusted = trusted.iter().map(|range| range.0).collect();
        Self { trusted, headed: headed.to_vec() }
    }

    /// Whether there is none.
    pub fn are_none(&self) -> bool {
        self.trusted.is_empty()
    }

    /// Whether each connection of a listener begins with a PROXY header.
    pub fn head(&self, listener: Listener) -> bool {
        self.headed.contains(&listener)
    }

    /// Whether what comes over a connection has come by way of one of them.
    pub fn stand_before(&self, connection: &Connection) -> bool {
        self.forward(connection.listener(), connection.ends())
    }

    /// Whether a connection to a listener is one of theirs.
    pub fn forward(&self, listener: Listener, ends: Ends) -> bool {
        self.head(listener) || self.trust(ends)
    }

    /// Reads the PROXY header at the beginning of a stream, and nothing beyond it; the ends of the
    /// connection that the proxy forwards.
    ///
    /// # Errors
    ///
    /// That the peer is none of them, or has sent something else.
    pub async fn told_ends<S>(&self, stream: &mut S, ends: Ends) -> io::Result<Ends>
    where
        S: AsyncRead + Unpin,
    {
        let Ends::Internet { local, .. } = ends else { return Ok(ends) };
        if !self.trust(ends) {
            let text = "it is no trusted proxy (--trusted-proxies), and the listener is for those";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let client: Option<SocketAddr> = header::read(stream).await?;
        Ok(client.map_or(ends, |client| Ends::internet(local, client)))
    }

    /// The address of the client that a request is from; none over a Unix socket.
    ///
    /// # Errors
    ///
    /// That a trusted proxy tells of two.
    pub fn client<'a>(
        &self,
        ends: Ends,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Option<IpAddr>, Error> {
        let Ends::Internet { peer, .. } = ends else { return Ok(None) };
        let is_proxy = |address| self.is_proxy(address);
        forwarded::client(peer.ip(), is_proxy, headers).map(Some)
    }

    fn trust(&self, ends: Ends) -> bool {
        matches!(ends, Ends::Internet { peer, .. } if self.is_proxy(peer.ip()))
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|range| range.contains(&address))
    }
}

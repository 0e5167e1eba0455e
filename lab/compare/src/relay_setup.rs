//! The way from the contenders to the server: straight, or over an emulated link.

use std::net::SocketAddr;

use doorbell::{Authority, Endpoint, Server};
use doorbell_instruments::Failure;
use doorbell_link::{Link, Relay};
use tokio::net::lookup_host;

use crate::contender::Places;

/// Relays that make a near server a distant one. Dropped, they end.
pub(crate) struct RelaySetup {
    relays: Vec<Relay>,
}

impl RelaySetup {
    /// Puts a link before each of a server's listeners, and says where to go instead. A Unix socket
    /// has no network before it, so it takes no part.
    pub(crate) async fn build(
        link: Link,
        places: &Places,
        seed: u64,
    ) -> Result<(Self, Places), Failure> {
        let mut relays = Vec::new();
        // What is lost, doubled or overtaken are datagrams; TCP has the rest of the link.
        let reliable = Link { loss: 0.0, reorder: 0.0, duplicate: 0.0, ..link };
        let upstream = address(places.http.http()?.authority()).await?;
        let relay = Relay::tcp(reliable, upstream, seed).await?;
        let https = relay.local_addr();
        let http = format!("http://{https}").parse::<Server>()?;
        relays.push(relay);
        let mut tcp = None;
        if let Some(Endpoint::Tcp(authority) | Endpoint::Tls(authority, _)) = &places.tcp {
            let upstream = address(authority).await?;
            let relay = Relay::tcp(reliable, upstream, seed.wrapping_add(1)).await?;
            if let Server::Lines(endpoint, _) = format!("tcp://{}", relay.local_addr()).parse()? {
                tcp = Some((relay.local_addr(), endpoint));
            }
            relays.push(relay);
        }
        let mut udp = None;
        if let Some(upstream) = places.udp {
            let relay = Relay::udp(link, upstream, seed.wrapping_add(2)).await?;
            udp = Some(relay.local_addr());
            relays.push(relay);
        }
        let (tcps, tcp) = tcp.unzip();
        let near = Places { http, tcp, unix: None, udp, ..*places };
        let near = match places.fingerprint {
            Some(fingerprint) => near.encrypted((https, tcps), fingerprint)?,
            None => near,
        };
        Ok((Self { relays }, near))
    }
}

impl RelaySetup {
    /// Lets nothing pass, or everything again.
    pub(crate) fn set_dark(&self, is_dark: bool) {
        for relay in &self.relays {
            relay.set_dark(is_dark);
        }
    }
}

/// The first address of a server.
pub(crate) async fn address(authority: &Authority) -> Result<SocketAddr, Failure> {
    let mut found = lookup_host((authority.host(), authority.port())).await?;
    found.next().ok_or_else(|| Failure::Failed(format!("{authority} has no address")))
}

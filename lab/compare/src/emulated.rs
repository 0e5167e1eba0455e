//! An emulated link between the contenders and the server: of packets, or of relays.

use std::net::SocketAddr;

use doorbell::{Authority, Endpoint, Server};
use doorbell_instruments::Failure;
use doorbell_link::{Link, PacketLink, Passing, Relay};
use tokio::net::lookup_host;

use crate::contender::Places;

/// A link. Dropped, it ends.
pub(crate) enum Emulated {
    Packets(PacketLink),
    Relays(RelaySetup),
}

impl Emulated {
    /// Lets nothing pass, or everything again.
    pub(crate) fn set_dark(&self, is_dark: bool) {
        match self {
            Self::Packets(link) => {
                link.let_pass(if is_dark { Passing::Nothing } else { Passing::AsSet });
            }
            Self::Relays(setup) => {
                for relay in &setup.relays {
                    relay.set_dark(is_dark);
                }
            }
        }
    }
}

/// Clears a link for as long as it is there: what does not depend on it need not wait for it.
pub(crate) struct Cleared<'a>(Option<&'a PacketLink>);

impl<'a> Cleared<'a> {
    pub(crate) fn new(emulated: Option<&'a Emulated>) -> Self {
        let link = match emulated {
            Some(Emulated::Packets(link)) => Some(link),
            Some(Emulated::Relays(_)) | None => None,
        };
        if let Some(link) = link {
            link.let_pass(Passing::AtOnce);
        }
        Self(link)
    }
}

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.0 {
            link.let_pass(Passing::AsSet);
        }
    }
}

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
        let upstream = address(places.http.http()?.authority()).await?;
        let relay = Relay::tcp(link, upstream, seed).await?;
        let https = relay.local_addr();
        let http = format!("http://{https}").parse::<Server>()?;
        relays.push(relay);
        let mut tcp = None;
        if let Some(Endpoint::Tcp(authority) | Endpoint::Tls(authority, _)) = &places.tcp {
            let upstream = address(authority).await?;
            let relay = Relay::tcp(link, upstream, seed.wrapping_add(1)).await?;
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
        let near = Places { http, tcp, unix: None, udp, ..places.clone() };
        let near = match places.fingerprint {
            Some(fingerprint) => near.encrypted((https, tcps), fingerprint)?,
            None => near,
        };
        Ok((Self { relays }, near))
    }
}

/// The first address of a server.
pub(crate) async fn address(authority: &Authority) -> Result<SocketAddr, Failure> {
    let mut found = lookup_host((authority.host(), authority.port())).await?;
    found.next().ok_or_else(|| Failure::Failed(format!("{authority} has no address")))
}

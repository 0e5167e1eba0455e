//! A relay: the running link.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use crate::darkness::Darkness;
use crate::passed::{Counts, Passed};
use crate::properties::Link;
use crate::tcp;
use crate::udp;

/// A running relay: connect to [`local_addr`](Self::local_addr) instead of to the server. Dropping
/// it stops everything and closes all of its sockets.
///
/// ```no_run
/// use doorbell_link::{Link, Relay};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let link = Link::parse("delay 40ms rate 10mbit")?;
/// let relay = Relay::tcp(link, "127.0.0.1:8080".parse()?, 7).await?;
/// println!("slow server at http://{}", relay.local_addr());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Relay {
    local: SocketAddr,
    counts: Arc<Counts>,
    darkness: Darkness,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Relays TCP connections to a server, from a free port on 127.0.0.1. The seed decides the
    /// jitter.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the link has properties for UDP only; what binding says.
    pub async fn tcp(link: Link, upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        let link =
            link.for_tcp().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let local = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let darkness = Darkness::new();
        let mut tasks = JoinSet::new();
        let (counted, dark) = (Arc::clone(&counts), darkness.clone());
        tasks.spawn(tcp::relay(listener, link, upstream, seed, counted, dark));
        Ok(Self { local, counts, darkness, _tasks: tasks })
    }

    /// Relays datagrams to a server and back, from a free port on 127.0.0.1. The seed decides what
    /// is lost, held back or doubled: the same datagrams in the same order fare the same.
    ///
    /// # Errors
    ///
    /// What binding says.
    pub async fn udp(link: Link, upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let local = socket.local_addr()?;
        let counts = Arc::new(Counts::default());
        let darkness = Darkness::new();
        let mut tasks = JoinSet::new();
        let (counted, dark) = (Arc::clone(&counts), darkness.clone());
        tasks.spawn(udp::relay(Arc::new(socket), link, upstream, seed, counted, dark));
        Ok(Self { local, counts, darkness, _tasks: tasks })
    }

    /// Where clients are to connect or to send to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Lets nothing pass, or everything again. What comes over TCP meanwhile waits, as what TCP
    /// sends again and again does, but goes on at once when it is light: TCP would wait for its
    /// timer, up to as long as the dark was. Datagrams are lost.
    pub fn set_dark(&self, is_dark: bool) {
        self.darkness.set(is_dark);
    }

    /// What became of it all so far.
    pub fn passed(&self) -> Passed {
        self.counts.read()
    }
}

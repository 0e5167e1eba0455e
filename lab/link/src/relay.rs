//! A relay: the running link.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

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
        let mut tasks = JoinSet::new();
        tasks.spawn(tcp::relay(listener, link, upstream, seed, Arc::clone(&counts)));
        Ok(Self { local, counts, _tasks: tasks })
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
        let mut tasks = JoinSet::new();
        tasks.spawn(udp::relay(Arc::new(socket), link, upstream, seed, Arc::clone(&counts)));
        Ok(Self { local, counts, _tasks: tasks })
    }

    /// Where clients are to connect or to send to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What became of it all so far.
    pub fn passed(&self) -> Passed {
        self.counts.read()
    }
}

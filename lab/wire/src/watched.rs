//! The counts of a connection that somebody else owns, up to its very end.
//!
//! The descriptor is duplicated, so whoever owns the original (an HTTP client, a WebSocket) need
//! not know. As long as the duplicate is there, dropping the original closes nothing: it is
//! [`Watched::finish`] that says goodbye in order and counts that as well.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::counts::{Ip, Opener, State, TcpCounts, WireCounts, tcp_info};

/// Between two looks at a socket that waits for its last acknowledgement, which takes one round
/// trip and wakes nobody.
const LOOK: Duration = Duration::from_millis(1);

/// A second handle of a connected socket, for its counts.
#[derive(Debug)]
pub struct Watched {
    socket: std::net::TcpStream,
    opener: Opener,
    peer: SocketAddr,
}

impl Watched {
    /// Watches a connected socket.
    ///
    /// # Errors
    ///
    /// If it is not connected, or no descriptor is left.
    pub fn new(socket: impl AsFd, opener: Opener) -> io::Result<Self> {
        let socket: OwnedFd = socket.as_fd().try_clone_to_owned()?;
        let socket = std::net::TcpStream::from(socket);
        let peer = socket.peer_addr()?;
        Ok(Self { socket, opener, peer })
    }

    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The counts at this moment.
    ///
    /// # Errors
    ///
    /// As of [`tcp_info`].
    pub fn counts(&self) -> io::Result<TcpCounts> {
        tcp_info(&self.socket)
    }

    /// What crossed the wire up to this moment.
    ///
    /// # Errors
    ///
    /// As of [`tcp_info`].
    pub fn wire(&self) -> io::Result<WireCounts> {
        Ok(self.counts()?.wire(self.opener, Ip::of(self.peer.ip())))
    }

    /// Ends the connection in order and returns its last counts: sends the FIN, drops what still
    /// comes, and waits for the other side's FIN and for the last acknowledgement.
    ///
    /// The original must not be read by somebody else at the same time. If the other side does not
    /// end the connection before the deadline, the counts are those at the deadline, and
    /// [`TcpCounts::state`] says so: it is not [`State::Closed`].
    ///
    /// # Errors
    ///
    /// As of [`tcp_info`]. That the other side broke the connection off is no error.
    pub async fn finish(self, deadline: Duration) -> io::Result<TcpCounts> {
        // A peer that is gone already is no trouble.
        let _ = self.socket.shutdown(Shutdown::Write);
        self.socket.set_nonblocking(true)?;
        let stream = TcpStream::from_std(self.socket)?;
        let _ = timeout(deadline, async {
            drain(&stream).await;
            while tcp_info(&stream)?.state != State::Closed {
                sleep(LOOK).await;
            }
            Ok::<(), io::Error>(())
        })
        .await;
        tcp_info(&stream)
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Reads to the end.
async fn drain(stream: &TcpStream) {
    let mut bytes = vec![0; 16 << 10];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut bytes) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn both_ends_agree_after_the_last_acknowledgement() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(connecting, listener.accept());
        let (mut near, mut far) = (near.unwrap(), far.unwrap().0);
        let client = Watched::new(&near, Opener::Active).unwrap();
        let server = Watched::new(&far, Opener::Passive).unwrap();
        near.write_all(b"hello").await.unwrap();
        far.read_exact(&mut [0; 5]).await.unwrap();
        far.write_all(&[7; 1000]).await.unwrap();
        near.read_exact(&mut [0; 1000]).await.unwrap();
        // Dropping the owner's handle does not end the connection.
        drop(near);
        assert_eq!(client.counts().unwrap().state, State::Established);
        let limit = Duration::from_secs(5);
        let (client, server) = tokio::join!(client.finish(limit), server.finish(limit));
        let (client, server) = (client.unwrap(), server.unwrap());
        assert_eq!((client.state, server.state), (State::Closed, State::Closed));
        assert_eq!((client.bytes_sent, client.bytes_received), (5, 1000));
        assert_eq!((server.bytes_sent, server.bytes_received), (1000, 5));
        let near = client.wire(Opener::Active, Ip::V4);
        let far = server.wire(Opener::Passive, Ip::V4);
        assert_eq!((near.bytes_out, near.packets_out), (far.bytes_in, far.packets_in));
        assert_eq!((near.bytes_in, near.packets_in), (far.bytes_out, far.packets_out));
    }

    #[tokio::test]
    async fn a_peer_that_stays_is_not_waited_for_beyond_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let client = Watched::new(&near, Opener::Active).unwrap();
        let counts = client.finish(Duration::from_millis(20)).await.unwrap();
        assert!(matches!(counts.state, State::FinWait1 | State::FinWait2), "{:?}", counts.state);
    }
}

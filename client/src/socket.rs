//! Opening sockets, and how long they may be silent.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::address::Endpoint;
use crate::error::Error;
use crate::laboratory::{ByteStream, Observed, Socket};

/// A socket that is not connected after this long never will be.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// A connection on which nothing came for this long is dead: servers say something every 45 s.
pub(crate) const SILENCE_DEADLINE: Duration = Duration::from_secs(120);

/// Opens a socket.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    observed: &Observed,
) -> Result<Box<dyn ByteStream>, Error> {
    let connecting = async {
        Ok::<Socket, io::Error>(match endpoint {
            Endpoint::Tcp(authority) | Endpoint::Tls(authority, _) => {
                let stream = TcpStream::connect((authority.host(), authority.port())).await?;
                stream.set_nodelay(true)?;
                Socket::Tcp(stream)
            }
            Endpoint::Unix(path) => Socket::Unix(UnixStream::connect(path).await?),
        })
    };
    let failed = |source| Error::Connect {
        endpoint: match endpoint {
            Endpoint::Tcp(authority) | Endpoint::Tls(authority, _) => authority.to_string(),
            Endpoint::Unix(path) => path.display().to_string(),
        },
        source,
    };
    let connecting = async {
        let stream = observed.connected(connecting.await.map_err(failed)?);
        match endpoint {
            Endpoint::Tls(authority, tls) => {
                let place = authority.to_string();
                tls.encrypt(authority.host(), &place, stream).await
            }
            Endpoint::Tcp(_) | Endpoint::Unix(_) => Ok(stream),
        }
    };
    let connected = timeout(CONNECT_DEADLINE, connecting).await;
    connected.unwrap_or_else(|_| Err(failed(io::ErrorKind::TimedOut.into())))
}

/// What the other side sends, or [`Error::Silent`] when it sends nothing for too long.
pub(crate) async fn heard<T>(
    deadline: Duration,
    what: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(deadline, what).await.unwrap_or(Err(Error::Silent(deadline)))
}

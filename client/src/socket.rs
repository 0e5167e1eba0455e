//! Opening sockets, and how long they may be silent.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::address::Endpoint;
use crate::error::Error;
use crate::laboratory::{ByteStream, Observation, Observed, Socket};
use crate::trust::Handshake;

/// A socket that is not connected after this long never will be.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long a connection may be silent before it counts as dead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Silence(Duration);

/// That with a server that does not say how often it shows that it lives: most do every 45 s.
const SILENCE_DEADLINE: Duration = Duration::from_secs(120);
/// Signs of life that may be missed.
const KEEPALIVES_MISSED: u32 = 3;
/// No server is waited for longer.
const SILENCE_DEADLINE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Silence {
    fn default() -> Self {
        Self(SILENCE_DEADLINE)
    }
}

impl Silence {
    /// With a server that says after how many seconds it shows that it lives.
    pub(crate) fn with_keepalive(seconds: u64) -> Self {
        let wait = Duration::from_secs(seconds).saturating_mul(KEEPALIVES_MISSED);
        Self(wait.clamp(SILENCE_DEADLINE, SILENCE_DEADLINE_MAX))
    }

    /// What the other side sends, or [`Error::Silent`] when it sends nothing for too long.
    pub(crate) async fn hear<T>(
        self,
        what: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        heard(self.0, what).await
    }
}

/// Opens a socket; where it is encrypted, by such a handshake.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    observed: &Observed,
    handshake: Handshake<'_>,
) -> Result<Box<dyn ByteStream>, Error> {
    let connecting = async {
        Ok::<Socket, io::Error>(match endpoint {
            Endpoint::Tcp(authority) | Endpoint::Tls(authority, _) => {
                let stream = TcpStream::connect((authority.host(), authority.port())).await;
                if let Err(error) = &stream
                    && error.kind() == io::ErrorKind::ConnectionRefused
                {
                    let to = authority.host().parse().ok();
                    observed.note(Observation::ConnectRefused { to });
                }
                let stream = stream?;
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
                tls.encrypt(authority.host(), &place, handshake, stream).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_the_servers_keepalive_and_has_bounds() {
        let seconds = |keepalive| Silence::with_keepalive(keepalive).0.as_secs();
        assert_eq!(Silence::default().0.as_secs(), 120);
        assert_eq!([0, 1, 40].map(seconds), [120, 120, 120]);
        assert_eq!(seconds(300), 900);
        assert_eq!([1_000_000, u64::MAX].map(seconds), [86_400, 86_400]);
    }
}

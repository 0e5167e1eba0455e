//! What a server does while its log is not there yet: it listens, and tells everybody so.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use doorbell_protocol::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::limits::REFUSALS_MAX;
use crate::listen::UnixSocket;
use crate::writer::unreachable;

/// How long one that is told is listened to.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// How long nobody is accepted after that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the log is not there.
#[derive(Debug)]
pub(crate) struct MissingLog(Mutex<String>);

impl MissingLog {
    /// For a reason that is told to those who connect alone.
    pub(crate) fn because_of(why: &str) -> Self {
        Self(Mutex::new(why.to_owned()))
    }

    /// Notes why, and says so to whoever started the server, once for each reason.
    pub(crate) fn because(&self, why: &dyn Display) {
        let why = why.to_string();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != why {
            tracing::warn!("waiting for the log: {why}");
            *known = why;
        }
    }

    fn error(&self) -> Error {
        unreachable(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells everybody who connects, for as long as it is waited for.
    pub(crate) async fn tell(&self, listener: Option<&TcpListener>, text: fn(&Error) -> String) {
        let Some(listener) = listener else { return std::future::pending().await };
        self.tell_all(async || Ok(listener.accept().await?.0), text).await;
    }

    /// The same over a Unix socket.
    pub(crate) async fn tell_unix(
        &self,
        listener: Option<&UnixSocket>,
        text: fn(&Error) -> String,
    ) {
        let Some(listener) = listener else { return std::future::pending().await };
        self.tell_all(async || listener.accept_stream().await, text).await;
    }

    /// Some at a time; the others wait in the kernel's queue.
    async fn tell_all<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        accept: impl AsyncFn() -> std::io::Result<S>,
        text: fn(&Error) -> String,
    ) {
        let tell_each = async || {
            loop {
                match accept().await {
                    Ok(stream) => {
                        let text = text(&self.error());
                        let _ = timeout(TOLD_WITHIN, say(stream, &text)).await;
                    }
                    Err(_) => sleep(PAUSE).await,
                }
            }
        };
        futures_util::future::join_all((0..REFUSALS_MAX).map(|_| tell_each())).await;
    }
}

/// Says it, and waits for the peer to hear it.
async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> std::io::Result<()> {
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

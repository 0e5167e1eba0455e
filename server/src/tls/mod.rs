//! TLS: what is needed to begin, and the handshake.
//!
//! What is spoken over an encrypted stream is not known here, but for the names by which clients
//! choose it.
//!
//! - `certificates`: the identity of the server, read from files and read again when they change;
//!   `self_signed`: a certificate of the server's own, for trying out; `x509`: what stands in one
//! - `stream`: the encrypted stream

mod certificates;
mod self_signed;
mod stream;
mod x509;

use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rustls::{InvalidMessage, ServerConnection};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

pub use self::certificates::{Certificates, Source};
pub use self::self_signed::SelfSigned;
pub use self::stream::Encrypted;
use crate::limits::{TLS_HANDSHAKE_MAX, TLS_HINT_MAX};
use crate::listen::{Acceptor, Listen, Refusals, listen_address};
use crate::metrics::{Handshake, Listener, Metrics};
use crate::stop::{Stop, detach};
use crate::stream::{AcceptedStream, Guarded};

/// HTTP/2, as clients ask for it in the handshake.
const HTTP2_PROTOCOL: &[u8] = b"h2";
/// HTTP/1.1.
const HTTP1_PROTOCOL: &[u8] = b"http/1.1";
/// Lines. Nobody need ask for it, but those that ask for something else, as browsers do, are
/// refused.
const LINES_PROTOCOL: &[u8] = b"doorbell";

/// Where the self-signed certificate is tried out.
const SELF_SIGNED_HTTPS: &str = "127.0.0.1:8443";
const SELF_SIGNED_TCPS: &str = "127.0.0.1:1993";

/// The settings of TLS.
#[derive(Debug, Clone, Args)]
pub struct TlsConfig {
    /// Address of the listener for HTTP over TLS; port 0 picks a free one
    #[arg(long, value_name = "ADDR", env = "DOORBELL_HTTPS", value_parser = listen_address)]
    pub https: Option<Listen>,

    /// Address of the listener for lines over TLS; port 0 picks a free one
    #[arg(long, value_name = "ADDR", env = "DOORBELL_TCPS", value_parser = listen_address)]
    pub tcps: Option<Listen>,

    /// The server's certificate and those that lead to its authority, as PEM; read again when it
    /// changes
    #[arg(long, value_name = "FILE", env = "DOORBELL_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// The key of the certificate, as PEM
    #[arg(long, value_name = "FILE", env = "DOORBELL_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// Authorities of client certificates, as PEM: clients may show one, and it must be theirs
    #[arg(long, value_name = "FILE", env = "DOORBELL_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,

    /// Make a certificate for trying out, keep it in the data folder, and print its fingerprint;
    /// without --https and --tcps it is shown at 127.0.0.1:8443 and 127.0.0.1:1993
    #[arg(long, env = "DOORBELL_TLS_SELF_SIGNED")]
    pub tls_self_signed: bool,
}

impl TlsConfig {
    /// Where HTTP and lines are served over TLS.
    pub fn listeners(&self) -> (Listen, Listen) {
        if self.tls_self_signed && self.https.is_none() && self.tcps.is_none() {
            return (SELF_SIGNED_HTTPS.parse().ok(), SELF_SIGNED_TCPS.parse().ok());
        }
        (self.https.flatten(), self.tcps.flatten())
    }

    /// Finds settings that make no sense together.
    ///
    /// # Errors
    ///
    /// The first of them.
    pub fn check(&self) -> Result<(), String> {
        let Self { tls_cert, tls_key, tls_client_ca, .. } = self;
        let files =
            [("tls-cert", tls_cert), ("tls-key", tls_key), ("tls-client-ca", tls_client_ca)];
        let (https, tcps) = self.listeners();
        let listener = https.map(|at| ("https", at)).or(tcps.map(|at| ("tcps", at)));
        let given = files.into_iter().find_map(|(name, file)| Some((name, file.as_ref()?)));
        match (listener, given) {
            (None, Some((name, file))) => {
                let file = file.display();
                return Err(format!("--{name} {file} is of no use without --https or --tcps"));
            }
            (Some((name, at)), _) if !self.tls_self_signed && tls_cert.is_none() => {
                return Err(format!("--{name} {at} needs --tls-cert, or --tls-self-signed"));
            }
            _ => {}
        }
        match (tls_cert, tls_key) {
            (Some(cert), None) => Err(format!("--tls-cert {} needs --tls-key", cert.display())),
            (None, Some(key)) => Err(format!("--tls-key {} needs --tls-cert", key.display())),
            (Some(cert), Some(_)) if self.tls_self_signed => Err(format!(
                "--tls-cert {} and --tls-self-signed exclude each other",
                cert.display()
            )),
            _ => Ok(()),
        }
    }
}

/// What is spoken over a listener's encrypted streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP, of the version that is agreed on.
    Http,
    /// Lines.
    Lines,
}

/// What the listeners for TLS share.
#[derive(Debug)]
pub struct Tls<'a> {
    /// The identity that is shown.
    pub certificates: &'a Arc<Certificates>,
    /// Where handshakes are counted.
    pub metrics: &'a Arc<Metrics>,
    /// What accepts.
    pub acceptor: &'a Acceptor,
}

impl Tls<'_> {
    /// Accepts from a listener, if there is one, and serves what is encrypted. `hint` is said to
    /// those who do not speak TLS.
    pub fn listen<F, T>(
        &self,
        socket: Option<TcpListener>,
        listener: Listener,
        spoken: Spoken,
        hint: String,
        serve: F,
    ) where
        F: Fn(Encrypted<Guarded<TcpStream>>) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let handshakes = Handshakes {
            spoken,
            certificates: self.certificates.clone(),
            metrics: self.metrics.clone(),
            stop: self.acceptor.stop.clone(),
            hint,
        };
        let shared = Arc::new((handshakes, serve));
        // A client for whom there is no room hears nothing, as nobody has agreed on a key with it.
        self.acceptor.listen(socket, listener, Refusals::default(), move |stream| {
            let shared = shared.clone();
            async move {
                let (handshakes, serve) = shared.as_ref();
                if let Some(stream) = handshakes.accept(stream).await {
                    // In a task of its own, which does not keep the room of the handshake.
                    detach(serve(stream));
                }
            }
        });
    }
}

/// Turns the accepted streams of one listener into encrypted ones.
struct Handshakes {
    spoken: Spoken,
    certificates: Arc<Certificates>,
    metrics: Arc<Metrics>,
    /// Ends those that are under way.
    stop: Stop,
    /// What a client is told that does not speak TLS.
    hint: String,
}

/// Why there is no encrypted stream.
enum Failure<S> {
    /// There was no time for it.
    Stopped,
    /// It was not over in time.
    Late,
    /// Something else than TLS came over this stream.
    Plain(S),
    /// The rules were broken, or the other side could not accept ours.
    Refused(rustls::Error),
    /// The connection broke or was closed.
    Broken(io::Error),
}

impl Handshakes {
    /// An encrypted stream; `None` where none came about, which was then noted.
    async fn accept<S: AcceptedStream>(&self, socket: S) -> Option<Encrypted<S>> {
        let peer = socket.connection().ends();
        let (outcome, error) = match self.shake_hands(socket).await {
            Ok(stream) => {
                self.metrics.handshake(Handshake::Done);
                if let Some(leaf) = stream.session().peer_certificates().and_then(<[_]>::first) {
                    stream.connection().set_certificate_names(x509::names(leaf));
                }
                return Some(stream);
            }
            Err(Failure::Stopped) => return None,
            Err(Failure::Late) => {
                let error = format!("not done within {} s", TLS_HANDSHAKE_MAX.as_secs());
                (Handshake::Late, error)
            }
            Err(Failure::Plain(socket)) => {
                self.give_hint(socket).await;
                (Handshake::Plain, "the client does not speak TLS".to_owned())
            }
            Err(Failure::Refused(error)) => (Handshake::Refused, error.to_string()),
            Err(Failure::Broken(error)) => (Handshake::Broken, error.to_string()),
        };
        self.metrics.handshake(outcome);
        tracing::trace!(%peer, ?outcome, error, "TLS handshake failed");
        None
    }

    async fn shake_hands<S: AcceptedStream>(&self, socket: S) -> Result<Encrypted<S>, Failure<S>> {
        let config = self.certificates.config(self.spoken);
        let session = ServerConnection::new(config).map_err(Failure::Refused)?;
        let mut stream = Encrypted::new(socket, session);
        let handshake = poll_fn(|context| stream.poll_handshake(context));
        let shaken = tokio::select! {
            () = self.stop.cancelled() => return Err(Failure::Stopped),
            shaken = timeout(TLS_HANDSHAKE_MAX, handshake) => shaken.map_err(|_| Failure::Late)?,
        };
        let Err(error) = shaken else { return Ok(stream) };
        match error.downcast::<rustls::Error>() {
            Ok(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                Err(Failure::Plain(stream.into_socket()))
            }
            Ok(error) => {
                poll_fn(|context| {
                    stream.tell_fault(context);
                    std::task::Poll::Ready(())
                })
                .await;
                Err(Failure::Refused(error))
            }
            Err(error) => Err(Failure::Broken(error)),
        }
    }

    /// Says in plain words that TLS is spoken here.
    async fn give_hint<S: AcceptedStream>(&self, mut socket: S) {
        let say = async {
            socket.write_all(self.hint.as_bytes()).await?;
            socket.shutdown().await?;
            // Closing while bytes wait unread would reset the connection before they are heard.
            tokio::io::copy(&mut socket, &mut tokio::io::sink()).await
        };
        let _ = timeout(TLS_HINT_MAX, say).await;
    }
}

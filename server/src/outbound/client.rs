//! One request to a server that somebody has named: resolved, held against what may be called,
//! connected to that very address, and answered within bounds. No redirect is followed, no proxy
//! is asked, no connection is kept.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::code::said;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Response};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use super::address::may_be_called;
use crate::limits::{OUTBOUND_ADDRESSES_MAX, OUTBOUND_ANSWER_BYTES_MAX, OUTBOUND_CONNECT_MAX};

/// How the server names itself.
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("doorbell/", env!("CARGO_PKG_VERSION")));

/// What sends requests.
pub(super) struct Client {
    /// Networks that may be called beside the public internet.
    allowed: Vec<IpNet>,
    /// Made when it is needed for the first time.
    tls: OnceCell<TlsConnector>,
}

/// A request.
#[derive(Debug, Clone)]
pub struct OutboundRequest {
    /// What is asked.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// Its headers, but for those of the connection.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// What was answered.
#[derive(Debug)]
pub struct OutboundAnswer {
    /// The status.
    pub status: u16,
    /// After how long it is worth while to come again.
    pub retry_after: Option<Duration>,
    /// The beginning of its body.
    pub body: Vec<u8>,
    /// The same, fit to be logged.
    pub said: String,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It may not be called.
    #[error("{host} is at {address}, which is called only if --outbound-allow names its network")]
    Forbidden {
        /// As it was named.
        host: String,
        /// One of its addresses.
        address: IpAddr,
    },
    /// The address is none of the web.
    #[error("the address has no host of the web")]
    NoHost,
    /// Its name is not known.
    #[error("{host} is not found: {error}")]
    Unresolved {
        /// As it was named.
        host: String,
        /// What the resolver says.
        error: io::Error,
    },
    /// There is no connection to it.
    #[error("no connection to {host}: {error}")]
    Unreachable {
        /// As it was named.
        host: String,
        /// What the last of its addresses says.
        error: io::Error,
    },
    /// The exchange broke.
    #[error("the exchange broke: {0}")]
    Broken(#[from] hyper::Error),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Late(Duration),
}

impl Client {
    /// One that may call the public internet and these networks, and trusts whom the system trusts.
    pub(super) fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed, tls: OnceCell::new() }
    }

    async fn tls(&self) -> io::Result<&TlsConnector> {
        let load = || async { Ok(tokio::task::spawn_blocking(connector).await?) };
        self.tls.get_or_try_init(load).await
    }

    /// Whether a server may be called, as far as its address stands in its name.
    ///
    /// # Errors
    ///
    /// That it may not.
    pub(super) fn check(&self, url: &Url) -> Result<(), Failure> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(name)) if is_local(name) => IpAddr::from([127, 0, 0, 1]),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(Failure::NoHost),
        };
        self.check_address(url, address)
    }

    fn check_address(&self, url: &Url, address: IpAddr) -> Result<(), Failure> {
        if may_be_called(address, &self.allowed) {
            return Ok(());
        }
        Err(Failure::Forbidden { host: host(url), address })
    }

    /// Sends a request and takes its answer.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) async fn send(&self, request: OutboundRequest) -> Result<OutboundAnswer, Failure> {
        let url = request.url.clone();
        let unreachable = |error| Failure::Unreachable { host: host(&url), error };
        let stream = self.connect(&url).await?;
        if url.scheme() != "https" {
            return speak(stream, request).await;
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()),
            Some(Host::Ipv4(address)) => Ok(IpAddr::V4(address).into()),
            Some(Host::Ipv6(address)) => Ok(IpAddr::V6(address).into()),
            None => return Err(Failure::NoHost),
        };
        let name = name.map_err(|error| unreachable(io::Error::other(error)))?;
        let tls = self.tls().await.map_err(unreachable)?;
        let encrypted = tls.connect(name, stream).await.map_err(unreachable)?;
        speak(encrypted, request).await
    }

    /// Connects to one of the addresses of a server that may be called: the very one that was
    /// looked at, so that nothing is resolved in between.
    async fn connect(&self, url: &Url) -> Result<TcpStream, Failure> {
        let port = url.port_or_known_default().ok_or(Failure::NoHost)?;
        let addresses: Vec<SocketAddr> = match url.host().ok_or(Failure::NoHost)? {
            Host::Ipv4(address) => vec![(address, port).into()],
            Host::Ipv6(address) => vec![(address, port).into()],
            Host::Domain(name) => {
                let found = lookup_host((name, port)).await;
                let unresolved = |error| Failure::Unresolved { host: host(url), error };
                found.map_err(unresolved)?.take(OUTBOUND_ADDRESSES_MAX).collect()
            }
        };
        let error = io::Error::new(io::ErrorKind::NotFound, "it has no address");
        let mut failure = Failure::Unresolved { host: host(url), error };
        for address in addresses {
            if let Err(forbidden) = self.check_address(url, address.ip()) {
                failure = forbidden;
                continue;
            }
            let late = || io::Error::from(io::ErrorKind::TimedOut);
            let stream = timeout(OUTBOUND_CONNECT_MAX, TcpStream::connect(address)).await;
            match stream.unwrap_or_else(|_| Err(late())) {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Failure::Unreachable { host: host(url), error },
            }
        }
        Err(failure)
    }
}

/// Trusts whom the system trusts. Blocks.
fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "authorities that the system trusts could not be read");
    }
    roots.add_parsable_certificates(found.certs);
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the provider has what TLS needs")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Whether a name is this machine on any machine (RFC 6761).
fn is_local(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

fn host(url: &Url) -> String {
    said(url.host_str().unwrap_or_default())
}

/// One request and its answer over a connection, which ends with it.
async fn speak<S>(stream: S, request: OutboundRequest) -> Result<OutboundAnswer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let OutboundRequest { method, url, mut headers, body } = request;
    let authority = &url[Position::BeforeHost..Position::AfterPort];
    headers.insert(HOST, HeaderValue::from_str(authority).map_err(|_| Failure::NoHost)?);
    headers.insert(USER_AGENT, AGENT);
    let mut head = hyper::Request::new(Full::new(body));
    *head.method_mut() = method;
    let target = url[Position::BeforePath..Position::AfterQuery].parse();
    *head.uri_mut() = target.map_err(|_| Failure::NoHost)?;
    *head.headers_mut() = headers;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(OUTBOUND_ANSWER_BYTES_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let exchange = pin!(async move { answer(sender.send_request(head).await?).await });
    match select(exchange, pin!(connection)).await {
        Either::Left((answered, _)) => answered,
        // What has come of the answer before the connection ended is still to be read.
        Either::Right((_, exchange)) => exchange.await,
    }
}

async fn answer(response: Response<Incoming>) -> Result<OutboundAnswer, Failure> {
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|value| value.trim().parse().ok());
    let (status, mut body) = (response.status().as_u16(), response.into_body());
    let mut begun = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        begun.extend_from_slice(&data);
        if begun.len() > OUTBOUND_ANSWER_BYTES_MAX {
            break;
        }
    }
    let said = said(String::from_utf8_lossy(&begun).trim());
    let retry_after = retry_after.map(Duration::from_secs);
    Ok(OutboundAnswer { status, retry_after, body: begun, said })
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

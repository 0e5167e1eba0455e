//! Where a server is: the addresses that a person writes.
//!
//! ```text
//! address   = ("tcp" / "tcps") "://" authority
//!           / ("http" / "https" / "ws" / "wss") "://" authority [prefix]
//!           / "unix:" path
//! authority = host [":" port]       host: a name, an IPv4 address or "[" IPv6 address "]"
//! prefix    = a path before all of the server's own, as a proxy may have it
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use doorbell_protocol::Transport;
use doorbell_protocol::code::quoted;
use hyper::header::HeaderValue;

use crate::credential::Credential;
use crate::error::Error;
use crate::trust::{Own, Tls, Trust};

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;
const LINE_PORT: u16 = 1989;
const LINE_PORT_TLS: u16 = 1993;
/// Where a server speaks HTTP unless it is told otherwise.
const HTTP_PORT_DEFAULT: u16 = 8080;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    host: String,
    port: u16,
}

impl Authority {
    /// A name or an IP address; an IPv6 address stands without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn parse(text: &str, port_default: u16) -> Option<Self> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, rest)
            }
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let host_fits = host.contains(':') || host.bytes().all(is_name);
        if host.is_empty() || !host_fits {
            return None;
        }
        let port = match rest.strip_prefix(':') {
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok()?,
            None if rest.is_empty() => port_default,
            _ => return None,
        };
        Some(Self { host: host.to_owned(), port })
    }

    /// A listener as the server names it, seen from a client that reached the server at `self`:
    /// an unspecified address stands for the host that was reached.
    pub(crate) fn beside(&self, listener: &str) -> Option<Self> {
        let mut authority = Self::parse(listener, 0)?;
        let address = authority.host.parse::<IpAddr>();
        if address.is_ok_and(|address| address.is_unspecified()) {
            authority.host.clone_from(&self.host);
        }
        Some(authority)
    }

    /// Whether what is sent there does not leave this machine.
    fn is_here(&self) -> bool {
        let address = self.host.parse::<IpAddr>().map(|address| address.to_canonical());
        self.host.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.is_loopback())
    }

    fn local(port: u16) -> Self {
        Self { host: "127.0.0.1".to_owned(), port }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Something to open a socket to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A host and a port.
    Tcp(Authority),
    /// A host and a port where TLS is spoken.
    Tls(Authority, Tls),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// Refuses to send a credential there, if others could read it on the way.
    pub(crate) fn protects(&self, credential: &Credential) -> Result<(), Error> {
        match self {
            Self::Tcp(authority) if !credential.goes_in_the_clear() && !authority.is_here() => {
                Err(Error::Address(format!(
                    "everybody on the way to {authority} could read the credential: use TLS \
                     (https://, wss://, tcps://), or say --insecure if the way is safe"
                )))
            }
            Self::Tcp(_) | Self::Tls(..) | Self::Unix(_) => Ok(()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(authority) => write!(f, "tcp://{authority}"),
            Self::Tls(authority, _) => write!(f, "tcps://{authority}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where HTTP is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    authority: Authority,
    tls: Option<Tls>,
    path: String,
    credential: Option<Credential>,
}

impl Site {
    fn plain(authority: Authority) -> Self {
        Self { authority, tls: None, path: String::new(), credential: None }
    }

    fn parse(text: &str, tls: Option<Tls>) -> Option<Self> {
        let (authority, path) = text.split_at(text.find('/').unwrap_or(text.len()));
        let port = if tls.is_some() { HTTPS_PORT } else { HTTP_PORT };
        let authority = Authority::parse(authority, port)?;
        let path = path.trim_end_matches('/');
        let stands_in_paths =
            |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@".contains(&b);
        let path = path.bytes().all(stands_in_paths).then(|| path.to_owned())?;
        Some(Self { authority, tls, path, credential: None })
    }

    /// The host and the port.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What stands before every path of the server; it does not end in a slash, and mostly there is
    /// nothing.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The scheme and the authority.
    pub(crate) fn origin(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }

    /// How it is encrypted, where it is.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Whether it is said who asks there.
    pub(crate) fn has_credential(&self) -> bool {
        self.credential.is_some()
    }

    /// The value of `Authorization` in what is asked there, if it is said who asks.
    pub(crate) fn authorization(&self) -> Result<Option<&HeaderValue>, Error> {
        let Some(credential) = &self.credential else { return Ok(None) };
        self.endpoint().protects(credential)?;
        Ok(Some(credential.authorization()))
    }

    /// What to open a socket to.
    pub(crate) fn endpoint(&self) -> Endpoint {
        let authority = self.authority.clone();
        match &self.tls {
            Some(tls) => Endpoint::Tls(authority, tls.clone()),
            None => Endpoint::Tcp(authority),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

/// A server, by the address of one of its listeners.
///
/// ```
/// let server: doorbell::Server = "http://127.0.0.1:8080".parse()?;
/// assert_eq!(server.to_string(), "http://127.0.0.1:8080");
/// # Ok::<(), doorbell::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// It speaks HTTP here; from there its other listeners can be learned.
    Http(Site),
    /// It speaks the line protocol here, with whoever this says.
    Lines(Endpoint, Option<Credential>),
}

impl Server {
    /// The default address on this machine for a way of receiving.
    pub fn local(via: Transport) -> Self {
        match via {
            Transport::Tcp => Self::Lines(Endpoint::Tcp(Authority::local(LINE_PORT)), None),
            _ => Self::Http(Site::plain(Authority::local(HTTP_PORT_DEFAULT))),
        }
    }

    /// As it is parsed, and a host with or without a port as the address where HTTP is spoken.
    pub(crate) fn from_host_or_url(text: &str) -> Result<Self, Error> {
        text.parse().or_else(|error| match Authority::parse(text, HTTP_PORT_DEFAULT) {
            Some(authority) => Ok(Self::Http(Site::plain(authority))),
            None => Err(error),
        })
    }

    /// The same, whose word is taken as this says. Without it, the system's authorities are
    /// trusted. Where TLS is not spoken a server shows no identity, and nothing changes.
    #[must_use]
    pub fn trusting(mut self, trust: Trust) -> Self {
        if let Some(tls) = self.tls() {
            tls.trust = trust;
        }
        self
    }

    /// The same, which is shown this certificate where TLS is spoken.
    #[must_use]
    pub fn showing(mut self, own: Own) -> Self {
        if let Some(tls) = self.tls() {
            tls.own = Some(own);
        }
        self
    }

    /// The same, which is told who asks.
    #[must_use]
    pub fn with(mut self, credential: Credential) -> Self {
        match &mut self {
            Self::Http(Site { credential: known, .. }) | Self::Lines(_, known) => {
                *known = Some(credential);
            }
        }
        self
    }

    fn tls(&mut self) -> Option<&mut Tls> {
        match self {
            Self::Http(Site { tls: Some(tls), .. }) | Self::Lines(Endpoint::Tls(_, tls), _) => {
                Some(tls)
            }
            Self::Http(_) | Self::Lines(..) => None,
        }
    }

    /// What shows who asks, if anything does.
    pub(crate) fn credential(&self) -> Option<&Credential> {
        match self {
            Self::Http(site) => site.credential.as_ref(),
            Self::Lines(_, credential) => credential.as_ref(),
        }
    }

    /// Whether TLS is spoken there.
    pub fn is_encrypted(&self) -> bool {
        match self {
            Self::Http(site) => site.tls.is_some(),
            Self::Lines(endpoint, _) => matches!(endpoint, Endpoint::Tls(..)),
        }
    }

    /// Where it speaks HTTP.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if only the line protocol is known.
    pub fn http(&self) -> Result<&Site, Error> {
        match self {
            Self::Http(site) => Ok(site),
            Self::Lines(endpoint, _) => Err(Error::Address(format!(
                "{endpoint} speaks the line protocol: give the server's http:// address"
            ))),
        }
    }
}

impl FromStr for Server {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = |form: &str| {
            let text = quoted(text);
            Error::Address(format!("server address {text} is malformed: {form}"))
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(malformed("unix: needs a path")),
                path => Ok(Self::Lines(Endpoint::Unix(path.into()), None)),
            };
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        match scheme.to_ascii_lowercase().as_str() {
            "tcp" => Authority::parse(rest, LINE_PORT)
                .map(|authority| Self::Lines(Endpoint::Tcp(authority), None))
                .ok_or_else(|| malformed("write tcp://host:port")),
            "tcps" => Authority::parse(rest, LINE_PORT_TLS)
                .map(|authority| Self::Lines(Endpoint::Tls(authority, Tls::default()), None))
                .ok_or_else(|| malformed("write tcps://host:port")),
            "http" | "ws" => Site::parse(rest, None)
                .map(Self::Http)
                .ok_or_else(|| malformed("write http://host:port, or http://host:port/path")),
            "https" | "wss" => Site::parse(rest, Some(Tls::default()))
                .map(Self::Http)
                .ok_or_else(|| malformed("write https://host:port, or https://host:port/path")),
            _ => Err(malformed(
                "write http://host:port, ws://host:port, tcp://host:port, over TLS https://, wss:// \
                 and tcps://, or unix:PATH",
            )),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(site) => site.fmt(f),
            Self::Lines(endpoint, _) => endpoint.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_is_told_apart_and_written_back() {
        let cases = [
            ("tcp://127.0.0.1:1989", "tcp://127.0.0.1:1989"),
            ("tcp://example.org", "tcp://example.org:1989"),
            ("HTTP://localhost:8080/", "http://localhost:8080"),
            ("ws://a-b.c:9", "http://a-b.c:9"),
            ("http://[::1]:80", "http://[::1]:80"),
            ("unix:/run/door bell.sock", "unix:/run/door bell.sock"),
            ("https://example.org/", "https://example.org:443"),
            ("wss://example.org/bell/", "https://example.org:443/bell"),
            ("http://x:81/a/b", "http://x:81/a/b"),
            ("tcps://example.org", "tcps://example.org:1993"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Server>().unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_bare_host_speaks_http_at_the_usual_port() {
        for (text, expected) in [
            ("example.org", "http://example.org:8080"),
            ("127.0.0.1:81", "http://127.0.0.1:81"),
            ("[::1]", "http://[::1]:8080"),
            ("tcp://example.org", "tcp://example.org:1989"),
            ("unix:80", "unix:80"),
        ] {
            assert_eq!(Server::from_host_or_url(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_a_reason() {
        let cases = [
            ("https://x/?y", "write https://"),
            ("wss://", "write https://"),
            ("tcps://x/y", "write tcps://"),
            ("x:80", "write http://"),
            ("http://x/ y", "write http://host:port, or"),
            ("http://u@x", "write http://host:port, or"),
            ("http://::1", "write http://host:port, or"),
            ("tcp://[x]:1", "write tcp://"),
            ("tcp://x:70000", "write tcp://"),
            ("tcp://x:+1", "write tcp://"),
            ("tcp://", "write tcp://"),
            ("unix:", "needs a path"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Server>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn an_unspecified_listener_is_at_the_host_that_was_reached() {
        let reached = Authority::parse("example.org:8080", 80).unwrap();
        let beside = |listener| reached.beside(listener).unwrap().to_string();
        assert_eq!(beside("0.0.0.0:1989"), "example.org:1989");
        assert_eq!(beside("[::]:1989"), "example.org:1989");
        assert_eq!(beside("10.0.0.1:1989"), "10.0.0.1:1989");
        assert!(reached.beside("/run/x.sock").is_none());
    }

    #[test]
    fn a_credential_goes_in_the_clear_to_this_machine_alone() {
        let token = Credential::token("tk_secret").unwrap();
        let sent = |address: &str, credential: &Credential| match address.parse().unwrap() {
            Server::Http(site) => site.endpoint().protects(credential),
            Server::Lines(endpoint, _) => endpoint.protects(credential),
        };
        for address in [
            "http://localhost:1",
            "tcp://127.9.9.9",
            "http://[::1]",
            "ws://[::ffff:127.0.0.1]",
            "https://example.org",
            "tcps://example.org",
            "unix:/run/x",
        ] {
            assert!(sent(address, &token).is_ok(), "{address}");
        }
        for address in ["http://example.org", "tcp://10.0.0.1", "tcp://localhost.example.org"] {
            let error = sent(address, &token).unwrap_err().to_string();
            assert!(error.contains("--insecure") && !error.contains("secret"), "{error}");
            assert!(sent(address, &token.clone().even_in_the_clear()).is_ok(), "{address}");
        }
        let server = Server::local(Transport::Tcp).with(token);
        assert!(!format!("{server} {server:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "(tcps?://|https?://|unix:)?.{0,40}") {
            if let Ok(server) = text.parse::<Server>() {
                prop_assert_eq!(server.to_string().parse::<Server>().unwrap(), server);
            }
        }

        #[test]
        fn every_host_and_port_round_trips(host in "[a-z0-9.-]{1,20}", port in any::<u16>()) {
            let text = format!("http://{host}:{port}");
            prop_assert_eq!(text.parse::<Server>().unwrap().to_string(), text);
        }
    }
}

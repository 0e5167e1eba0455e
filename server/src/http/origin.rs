//! Whose requests are taken while there is nobody to ask for a name: the pages that may use the
//! server, and the hosts under which it may be asked. Without it any page that somebody visits
//! could read and publish with their browser, on servers that only they can reach.
//!
//! A program says what it likes. What is held here against a request are the headers that browsers
//! write themselves and no page can change.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use doorbell_protocol::code::quoted;
use doorbell_protocol::{Code, Error};

use super::request::Request;
use crate::connections::{Connection, Ends};
use crate::proxy::Proxies;

/// Which pages and hosts are taken.
#[derive(Debug)]
pub struct Origins {
    pages: Vec<AllowedOrigin>,
    hosts: Vec<HostName>,
    proxies: Arc<Proxies>,
}

/// An origin of pages that may use the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Any, also that of a page that has none.
    Any,
    /// As browsers write it.
    Of(String),
}

impl FromStr for AllowedOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let host = text.split_once("://").map_or("", |(_, host)| host);
        if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            return Err("an origin looks like https://example.com, or is *".to_owned());
        }
        Ok(Self::Of(text.to_ascii_lowercase()))
    }
}

/// A host's name or address, without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.trim_start_matches('[').trim_end_matches(']');
        let is_address = name.parse::<IpAddr>().is_ok();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if name.is_empty() || !is_address && !name.chars().all(is_plain) {
            return Err("a host looks like push.example.com, without a port".to_owned());
        }
        Ok(Self(name.to_owned()))
    }
}

/// The pages that may see an answer.
#[derive(Debug, Default)]
pub(super) enum Audience {
    /// Those of the server itself.
    #[default]
    Own,
    /// All, of which one asks.
    All,
    /// All, but it is no page that asks.
    AllUnseen,
    /// Those of one more origin.
    Of(Box<[u8]>),
}

impl Origins {
    /// These, beside the server's own pages and the addresses that it listens on.
    pub fn new(
        pages: &[AllowedOrigin],
        mut hosts: Vec<HostName>,
        own: impl Iterator<Item = IpAddr>,
        proxies: Arc<Proxies>,
    ) -> Self {
        hosts.extend(own.map(|own| HostName(own.to_string())));
        Self { pages: pages.to_vec(), hosts, proxies }
    }

    /// Whether the host that a request means is this server.
    ///
    /// # Errors
    ///
    /// That it is not.
    pub(super) fn check_host(
        &self,
        request: &Request<'_>,
        connection: &Connection,
    ) -> Result<(), Error> {
        let host = request.host();
        if self.is_own(host, connection) {
            return Ok(());
        }
        let host = quoted(host);
        let text = format!(
            "{host} is no name of this server; --allow-host adds one, and a proxy named by \
             --trusted-proxies may use any"
        );
        Err(Error::new(Code::Misdirected, text))
    }

    /// Whether a request is from no page, or from one that may use the server as anybody may.
    ///
    /// # Errors
    ///
    /// That it is from a page that may not.
    pub(super) fn check_page(&self, request: &Request<'_>, publishes: bool) -> Result<(), Error> {
        let host = request.host();
        let header = |name| request.headers.get(name);
        let page = match (header("origin"), header("sec-fetch-site")) {
            (Some(origin), _) if is_of(origin, host) || self.allows(origin) => return Ok(()),
            (Some(origin), _) => quoted(&String::from_utf8_lossy(origin)),
            // Browsers name no origin where a page embeds something, such as an image. By a link
            // one may come to read, but not to publish.
            (None, Some(b"cross-site" | b"same-site")) if !self.allows_all() => {
                if header("sec-fetch-mode") == Some(b"navigate") && !publishes {
                    return Ok(());
                }
                "another origin".to_owned()
            }
            (None, _) => return Ok(()),
        };
        let host = quoted(host);
        let text = format!("a page of {page} may not use {host}; --allow-origin lets others");
        Err(Error::new(Code::Forbidden, text))
    }

    /// Which pages may see the answer to a request. One that brings a credential may, wherever it
    /// is from, and asks first whether it may bring it.
    pub(super) fn audience(&self, request: &Request<'_>, brings_credential: bool) -> Audience {
        match request.headers.get("origin") {
            Some(_) if brings_credential => Audience::All,
            None if self.allows_all() => Audience::AllUnseen,
            Some(_) if self.allows_all() => Audience::All,
            Some(origin) if self.allows(origin) => Audience::Of(origin.into()),
            _ => Audience::Own,
        }
    }

    fn is_own(&self, host: &str, connection: &Connection) -> bool {
        let name = name_of(host);
        let is_address = || match connection.ends() {
            Ends::Internet { local, .. } => address(name) == Some(local.ip()),
            Ends::Unix { .. } => false,
        };
        // No browser leaves it out.
        host.is_empty()
            || is_loopback(host)
            || is_address()
            || self.hosts.iter().any(|known| known.0.eq_ignore_ascii_case(name))
            || self.proxies.stand_before(connection)
    }

    fn allows(&self, origin: &[u8]) -> bool {
        self.pages.iter().any(|page| match page {
            AllowedOrigin::Any => true,
            AllowedOrigin::Of(known) => known.as_bytes().eq_ignore_ascii_case(origin),
        })
    }

    fn allows_all(&self) -> bool {
        self.pages.contains(&AllowedOrigin::Any)
    }
}

/// Whether a host is this machine, wherever the request comes from: no page of elsewhere has one
/// of these names.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = name_of(host);
    address(name).map_or(name.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

/// Whether an origin is that of the pages of a host.
pub(super) fn is_of(origin: &[u8], host: &str) -> bool {
    let own = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    own.is_some_and(|own| own.eq_ignore_ascii_case(host.as_bytes()))
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
}

fn address(name: &str) -> Option<IpAddr> {
    name.parse().ok().map(|address: IpAddr| address.to_canonical())
}

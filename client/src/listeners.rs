//! What a server says about where it listens, at `/v1/config`.

use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use doorbell_protocol::Code;
use hyper::Request;
use hyper::http::request::Builder;
use serde::Deserialize;
use tokio::net::lookup_host;

use crate::address::{Endpoint, Server, Site};
use crate::content::Content;
use crate::conversation::Conversation;
use crate::error::{Error, Refusal};
use crate::http::{ANSWER_DEADLINE, HttpClient};
use crate::laboratory::{Habits, Observed};

#[derive(Deserialize)]
struct Config {
    listen: Listen,
}

#[derive(Deserialize)]
struct Ticket {
    ticket: String,
}

#[derive(Deserialize)]
struct Listen {
    #[serde(default)]
    http: Option<String>,
    #[serde(default)]
    https: Option<String>,
    #[serde(default)]
    tcp: Option<String>,
    #[serde(default)]
    tcps: Option<String>,
    #[serde(default)]
    unix: Option<PathBuf>,
    #[serde(default)]
    udp: Option<String>,
}

impl Listen {
    /// Whether the server says of no listener where it is, not even of the one that was asked.
    fn is_hidden(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }
}

impl Server {
    /// Where the server speaks the line protocol. If only its HTTP address is known, it is asked.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if it has no listener for lines, and what can go wrong with a request.
    pub async fn lines(&self) -> Result<Endpoint, Error> {
        let site = match self {
            Self::Lines(endpoint, _) => return Ok(endpoint.clone()),
            Self::Http(site) => site,
        };
        let listen = listeners(site).await?;
        // Whoever came over TLS does not go on without it.
        let listener = if site.tls().is_some() { &listen.tcps } else { &listen.tcp };
        let beside = listener.as_deref().and_then(|at| site.authority().beside(at));
        if let Some(authority) = beside {
            return Ok(match site.tls() {
                Some(tls) => Endpoint::Tls(authority, tls.clone()),
                None => Endpoint::Tcp(authority),
            });
        }
        let over = if site.tls().is_some() { "TLS" } else { "TCP" };
        listen
            .unix
            .map(Endpoint::Unix)
            .ok_or_else(|| Error::Address(format!("{self} has no listener for lines over {over}")))
    }

    /// The server's Unix socket. If only its HTTP address is known, it is asked.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if it has none, and what can go wrong with a request.
    pub async fn unix(&self) -> Result<Endpoint, Error> {
        let unix = match self {
            Self::Lines(endpoint @ Endpoint::Unix(_), _) => return Ok(endpoint.clone()),
            Self::Lines(Endpoint::Tcp(_) | Endpoint::Tls(..), _) => None,
            Self::Http(site) => listeners(site).await?.unix,
        };
        unix.map(Endpoint::Unix)
            .ok_or_else(|| Error::Address(format!("{self} has no Unix socket for lines")))
    }

    /// Finds out whether a doorbell server answers there.
    pub(crate) async fn reach(&self) -> Result<(), Error> {
        match self {
            Self::Http(site) => listeners(site).await.map(drop),
            Self::Lines(endpoint, credential) => {
                let observed = Observed::default();
                Conversation::open(endpoint, credential.as_ref(), &observed).await.map(drop)
            }
        }
    }

    /// Where the server hears datagrams: it is asked over HTTP.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if it hears none or only its listener for lines is known, and what can go
    /// wrong with a request.
    pub async fn udp(&self) -> Result<SocketAddr, Error> {
        let site = self.http()?;
        let listen = listeners(site).await?;
        let Some(udp) = listen.udp.and_then(|udp| site.authority().beside(&udp)) else {
            return Err(Error::Address(format!(
                "{self} hears no datagrams: start the server with --udp ADDR"
            )));
        };
        let endpoint = format!("udp://{udp}");
        let failed = |source| Error::Connect { endpoint: endpoint.clone(), source };
        let mut found = lookup_host((udp.host(), udp.port())).await.map_err(failed)?;
        found.next().ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
    }

    /// What the server tells about itself, as JSON: at `/v1/config`, `/v1/stats` or `/v1/health`.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if its HTTP address is not known, and what can go wrong with a request.
    pub async fn about(&self, path: &str) -> Result<Bytes, Error> {
        ask(self.http()?, Request::get(path)).await
    }
}

/// A ticket, by which datagrams may ask for a filter, which is written as in a path.
pub(crate) async fn ticket(site: &Site, filter: &str) -> Result<String, Error> {
    let body = ask(site, Request::post(format!("/v1/ticket?filter={filter}"))).await?;
    match serde_json::from_slice::<Ticket>(&body) {
        Ok(Ticket { ticket }) => Ok(ticket),
        // What came may have a ticket in it.
        Err(_) => Err(Error::Unexpected(format!("/v1/ticket of {site} gives no ticket"))),
    }
}

async fn ask(site: &Site, request: Builder) -> Result<Bytes, Error> {
    let mut client = HttpClient::new(site.clone(), Observed::default(), Habits::default());
    let answer = client.send(request, Bytes::new(), ANSWER_DEADLINE).await?;
    Content::of(answer)?.whole().await
}

async fn listeners(site: &Site) -> Result<Listen, Error> {
    let body = ask(site, Request::get("/v1/config")).await?;
    match serde_json::from_slice::<Config>(&body) {
        Ok(config) if config.listen.is_hidden() => Err(Error::Refused(Refusal {
            code: Code::Forbidden.number(),
            status: Code::Forbidden.status(),
            text: format!(
                "{site} names its listeners to nobody who may read nothing: show who you are by \
                 --token-file or --user"
            ),
            retry_after: None,
        })),
        Ok(config) => Ok(config.listen),
        Err(error) => Err(Error::Unexpected(format!(
            "/v1/config of {site} does not name the listeners: {error}"
        ))),
    }
}

//! A request as handlers see it, whichever reader has read it; and the reader of plain ones.
//!
//! Plain requests of HTTP/1.1 are read as they stand in a connection's buffer: a whole head, and a
//! body of known length that has come with it. Everything else (chunks, upgrades, expectations,
//! `HEAD`, HTTP/1.0) is the HTTP library's to read. What the library would refuse without a word is
//! refused here.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::str::from_utf8;

use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Method, Uri, Version, header};
use doorbell_protocol::code::quoted;
use doorbell_protocol::{Code, Error};
use httparse::{Header, Status};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;

use crate::proxy;

/// Headers of a plain request.
const HEADERS_MAX: usize = 64;
/// Headers of any request: what the HTTP library takes by itself. Told a number, it would allocate
/// room for them each time.
const LIBRARY_HEADERS_MAX: usize = 100;

/// A request without its body.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// The method, as it was sent.
    pub(super) method: &'a str,
    /// The path, with its escapes.
    pub(super) path: &'a str,
    /// What follows the path's `?`.
    pub(super) query: Option<&'a str>,
    pub(super) headers: Headers<'a>,
    /// What becomes a WebSocket, if the client asks for one.
    pub(super) upgrade: Option<Upgradable<'a>>,
}

/// Headers as their reader has them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Headers<'a> {
    /// As they stand in the connection's buffer.
    Plain(&'a [Header<'a>]),
    /// As the HTTP library has read them.
    Parsed(&'a Parts),
}

impl<'a> Headers<'a> {
    /// All of them, their names in any case.
    pub(super) fn iter(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let (plain, parsed) = match self {
            Self::Plain(headers) => (headers, None),
            Self::Parsed(parts) => (&[][..], Some(&parts.headers)),
        };
        let plain = plain.iter().map(|header| (header.name, header.value));
        let parsed = parsed.into_iter().flatten();
        plain.chain(parsed.map(|(name, value)| (name.as_str(), value.as_bytes())))
    }

    /// The first value of a header; `name` in lower case.
    pub(super) fn get(self, name: &str) -> Option<&'a [u8]> {
        match self {
            Self::Plain(headers) => {
                let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
                found.map(|header| header.value)
            }
            Self::Parsed(parts) => Some(parts.headers.get(name)?.as_bytes()),
        }
    }
}

/// A request that may become a WebSocket.
#[derive(Debug)]
pub(super) struct Upgradable<'a> {
    /// The connection, once the answer is out.
    pub(super) connection: OnUpgrade,
    /// All of the request.
    pub(super) parts: &'a Parts,
}

impl<'a> Request<'a> {
    /// A request that was read by the HTTP library, and its connection if that may change its
    /// protocol.
    pub(super) fn parsed(parts: &'a Parts, connection: Option<OnUpgrade>) -> Self {
        Self {
            // What asks for a WebSocket over HTTP/2 asks for what GET does over HTTP/1.1.
            method: if is_websocket(parts) { "GET" } else { parts.method.as_str() },
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: Headers::Parsed(parts),
            upgrade: connection.map(|connection| Upgradable { connection, parts }),
        }
    }

    /// The host that the client means.
    pub(super) fn host(&self) -> &'a str {
        let authority = match self.headers {
            Headers::Plain(_) => None,
            Headers::Parsed(parts) => parts.uri.authority().map(Authority::as_str),
        };
        let host = || from_utf8(self.headers.get(header::HOST.as_str())?).ok();
        authority.or_else(host).unwrap_or_default()
    }

    /// Whether others may come over its connection before it is answered.
    pub(super) fn is_multiplexed(&self) -> bool {
        matches!(self.headers, Headers::Parsed(parts) if parts.version >= Version::HTTP_2)
    }

    /// Whether it has passed a proxy that says so.
    pub(super) fn names_a_proxy(&self) -> bool {
        self.headers.iter().any(|(name, _)| proxy::names_a_proxy(name))
    }

    /// Whether it looks as if it had passed a proxy: those that say nothing of themselves mostly
    /// speak HTTP/1.0.
    pub(super) fn is_forwarded(&self) -> bool {
        let is_old = match self.headers {
            Headers::Plain(_) => false,
            Headers::Parsed(parts) => parts.version <= Version::HTTP_10,
        };
        is_old || self.names_a_proxy()
    }
}

/// Whether a request asks for a WebSocket over HTTP/2 (RFC 8441).
pub(super) fn is_websocket(parts: &Parts) -> bool {
    let protocol = parts.extensions.get::<Protocol>();
    parts.method == Method::CONNECT
        && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// Whether that is a host and perhaps a port (RFC 9110, section 7.2).
pub(super) fn is_host(host: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(byte);
    let address = |byte: &u8| byte.is_ascii_hexdigit() || b":.".contains(byte);
    let after = match host.strip_prefix(b"[") {
        Some(rest) => match rest.split(|byte| *byte == b']').next() {
            Some(inner) if inner.len() < rest.len() && inner.iter().all(address) => {
                &rest[inner.len() + 1..]
            }
            _ => return false,
        },
        None => &host[host.iter().take_while(|byte| plain(byte)).count()..],
    };
    match after {
        [] => true,
        [b':', port @ ..] => port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// A part of a path with its escapes decoded.
pub(super) fn decoded(segment: &str) -> Result<Cow<'_, str>, Error> {
    if !segment.contains('%') {
        return Ok(segment.into());
    }
    let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
    decoded.map_err(|_| Error::new(Code::TopicInvalid, "address is not UTF-8"))
}

/// What stands at the beginning of a buffer.
#[derive(Debug)]
pub(super) enum Parsed<'b> {
    /// A whole request.
    Plain(Plain<'b>),
    /// The beginning of a head, or nothing.
    Head,
    /// A plain head and less than its body; all of it has so many bytes.
    Body(usize),
    /// Nothing plain.
    Other,
    /// Nothing that can be read.
    Refused(Error),
}

/// A plain request.
#[derive(Debug)]
pub(super) struct Plain<'b> {
    /// All but its body.
    pub(super) request: Request<'b>,
    /// The whole body.
    pub(super) body: &'b [u8],
    /// Whether the client means to go on with the connection.
    pub(super) keep_alive: bool,
    /// Bytes of its head.
    pub(super) head: usize,
    /// Bytes of all of it.
    pub(super) length: usize,
}

/// Room for the headers of a request.
pub(super) type Room<'b> = [MaybeUninit<Header<'b>>; HEADERS_MAX];

/// Room that is not used yet.
pub(super) const fn room<'b>() -> Room<'b> {
    [const { MaybeUninit::uninit() }; HEADERS_MAX]
}

/// Reads the request at the beginning of a buffer.
pub(super) fn parse<'b>(bytes: &'b [u8], room: &'b mut Room<'b>) -> Parsed<'b> {
    let mut request = httparse::Request::new(&mut []);
    let head = match request.parse_with_uninit_headers(bytes, room) {
        Ok(Status::Complete(head)) => head,
        Ok(Status::Partial) => return Parsed::Head,
        Err(httparse::Error::TooManyHeaders) => return with_many_headers(bytes),
        // It may be HTTP/2, which begins like a request of it.
        Err(httparse::Error::Version) if bytes.starts_with(b"PRI ") => return Parsed::Other,
        Err(error) => return malformed(error),
    };
    let (Some(method), Some(target), Some(1)) = (request.method, request.path, request.version)
    else {
        return Parsed::Other;
    };
    let headers: &'b [Header<'b>] = request.headers;
    let is_plain = is_plain(target) && !matches!(method, "HEAD" | "CONNECT");
    let Some((body, keep_alive)) = framing(headers).filter(|_| is_plain) else {
        return check(target, headers).map_or_else(Parsed::Refused, |()| Parsed::Other);
    };
    let Some(length) = head.checked_add(body) else { return Parsed::Other };
    let Some(body) = bytes.get(head..length) else { return Parsed::Body(length) };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let headers = Headers::Plain(headers);
    let request = Request { method, path, query, headers, upgrade: None };
    Parsed::Plain(Plain { request, body, keep_alive, head, length })
}

/// A head with more headers than plain requests have.
fn with_many_headers<'b>(bytes: &[u8]) -> Parsed<'b> {
    let mut headers = vec![httparse::EMPTY_HEADER; LIBRARY_HEADERS_MAX];
    match httparse::Request::new(&mut headers).parse(bytes) {
        Ok(Status::Complete(_)) => Parsed::Other,
        Ok(Status::Partial) => Parsed::Head,
        Err(httparse::Error::TooManyHeaders) => {
            let text = format!(
                "request head has more than {LIBRARY_HEADERS_MAX} headers, which is the limit"
            );
            Parsed::Refused(Error::new(Code::HeadTooLong, text))
        }
        Err(error) => malformed(error),
    }
}

fn malformed<'b>(error: httparse::Error) -> Parsed<'b> {
    Parsed::Refused(Error::new(Code::BadRequest, format!("request head is malformed: {error}")))
}

/// Finds what the HTTP library takes for no request at all, although its head can be read.
fn check(target: &str, headers: &[Header<'_>]) -> Result<(), Error> {
    let bad = |text: String| Err(Error::new(Code::BadRequest, text));
    if let Err(error) = target.parse::<Uri>() {
        return bad(format!("address {} is malformed: {error}", quoted(target)));
    }
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let in_number = |byte: &u8| byte.is_ascii_digit() || b", \t".contains(byte);
        let shown = || quoted(&String::from_utf8_lossy(header.value));
        if is("content-length") && !header.value.iter().all(in_number) {
            return bad(format!("Content-Length {} is no number of bytes", shown()));
        }
        if is("transfer-encoding") && !header.value.eq_ignore_ascii_case(b"chunked") {
            return bad("Transfer-Encoding may be chunked, once, and nothing else".to_owned());
        }
    }
    Ok(())
}

/// Whether a target is a path whose every byte stands for itself (RFC 3986) or begins an escape.
fn is_plain(target: &str) -> bool {
    target.starts_with('/') && target.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// Bytes of the body, and whether the connection goes on after the answer; `None` if that is not
/// plain.
fn framing(headers: &[Header<'_>]) -> Option<(usize, bool)> {
    let (mut length, mut keep_alive, mut has_host) = (None, true, false);
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let digits = header.value.iter().all(u8::is_ascii_digit);
            let value = from_utf8(header.value).ok().filter(|_| digits && length.is_none())?;
            length = Some(value.parse().ok()?);
        } else if is("connection") {
            match header.value {
                value if value.eq_ignore_ascii_case(b"keep-alive") => {}
                value if value.eq_ignore_ascii_case(b"close") => keep_alive = false,
                _ => return None,
            }
        } else if is("host") {
            if has_host || !is_host(header.value) {
                return None;
            }
            has_host = true;
        } else if is("transfer-encoding") || is("upgrade") || is("expect") {
            return None;
        }
    }
    has_host.then_some((length.unwrap_or(0), keep_alive))
}

/// Which bytes may stand in a plain target; `%` is among them.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut rest: &[u8] = b"0123456789-._~!$&'()*+,;=:@/?%\
        ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    while let [byte, more @ ..] = rest {
        plain[*byte as usize] = true;
        rest = more;
    }
    plain
};

//! Requests of HTTP/1.1 as they stand in a connection's buffer.
//!
//! Only plain ones are read here: a whole head, and a body of known length that has come with it.
//! Everything else (chunks, upgrades, expectations, `HEAD`, HTTP/1.0, what is malformed) is the HTTP
//! library's to read or to refuse.

use std::mem::MaybeUninit;
use std::str::from_utf8;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, Uri};
use bytes::Bytes;
use doorbell_protocol::topic::RESERVED;
use httparse::{Header, Status};

use super::stream::Framing;

/// Headers of a plain request.
const HEADERS_MAX: usize = 64;

/// What stands at the beginning of a buffer.
#[derive(Debug)]
pub(super) enum Parsed<'b, 'h> {
    /// A whole request.
    Plain(Plain<'b, 'h>),
    /// The beginning of a head, or nothing.
    Head,
    /// A plain head and less than its body; all of it has so many bytes.
    Body(usize),
    /// Nothing plain.
    Other,
}

/// A plain request.
#[derive(Debug)]
pub(super) struct Plain<'b, 'h> {
    method: &'b str,
    target: &'b str,
    headers: &'h [Header<'b>],
    /// The whole body.
    pub(super) body: &'b [u8],
    /// Whether the client means to go on with the connection.
    pub(super) keep_alive: bool,
    /// Bytes of all of it.
    pub(super) length: usize,
}

/// The addresses that are answered without the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address<'b> {
    /// `GET /FILTER/json` and its like.
    Read(&'b str, Framing),
    /// `POST` or `PUT /TOPIC`.
    Publish(&'b str),
}

/// Room for the headers of a request.
pub(super) type Room<'b> = [MaybeUninit<Header<'b>>; HEADERS_MAX];

/// Room that is not used yet.
pub(super) const fn room<'b>() -> Room<'b> {
    [const { MaybeUninit::uninit() }; HEADERS_MAX]
}

/// Reads the request at the beginning of a buffer.
pub(super) fn parse<'b, 'h>(bytes: &'b [u8], room: &'h mut Room<'b>) -> Parsed<'b, 'h> {
    let mut request = httparse::Request::new(&mut []);
    let head = match request.parse_with_uninit_headers(bytes, room) {
        Ok(Status::Complete(head)) => head,
        Ok(Status::Partial) => return Parsed::Head,
        Err(_) => return Parsed::Other,
    };
    let (Some(method), Some(target), Some(1)) = (request.method, request.path, request.version)
    else {
        return Parsed::Other;
    };
    let headers: &'h [Header<'b>] = request.headers;
    let Some((body, keep_alive)) =
        framing(headers).filter(|_| !matches!(method, "HEAD" | "CONNECT"))
    else {
        return Parsed::Other;
    };
    let Some(length) = head.checked_add(body) else { return Parsed::Other };
    match bytes.get(head..length) {
        Some(body) => Parsed::Plain(Plain { method, target, headers, body, keep_alive, length }),
        None => Parsed::Body(length),
    }
}

/// Bytes of the body, and whether the connection goes on after the answer; `None` if that is not plain.
fn framing(headers: &[Header<'_>]) -> Option<(usize, bool)> {
    let (mut length, mut keep_alive) = (None, true);
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
        } else if is("transfer-encoding") || is("upgrade") || is("expect") {
            return None;
        }
    }
    Some((length.unwrap_or(0), keep_alive))
}

impl<'b, 'h> Plain<'b, 'h> {
    /// The headers, their names as they were sent.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + use<'b, 'h> {
        self.headers.iter().map(|header| (header.name, header.value))
    }

    /// The first value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&'b [u8]> {
        let mut headers = self.headers();
        headers.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The query of the target.
    pub(super) fn query(&self) -> Option<&'b str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// What it asks for, if the router need not say; a target with anything odd is for the router.
    pub(super) fn address(&self) -> Option<Address<'b>> {
        if !self.target.bytes().all(|byte| PLAIN[usize::from(byte)]) {
            return None;
        }
        let (path, _) = self.target.split_once('?').unwrap_or((self.target, ""));
        let (name, rest) = match path.strip_prefix('/')?.split_once('/') {
            Some((name, rest)) => (name, Some(rest)),
            None => (&path[1..], None),
        };
        if name.is_empty() || RESERVED.contains(&name) || name.contains('%') {
            return None;
        }
        match (self.method, rest) {
            ("GET", Some("json")) => Some(Address::Read(name, Framing::Ndjson)),
            ("GET", Some("sse")) => Some(Address::Read(name, Framing::Sse)),
            ("GET", Some("raw")) => Some(Address::Read(name, Framing::Raw)),
            ("POST" | "PUT", None) => Some(Address::Publish(name)),
            _ => None,
        }
    }

    /// The same for the router; `None` if the library must refuse it.
    pub(super) fn to_request(&self) -> Option<Request> {
        let mut request = Request::new(Body::from(Bytes::copy_from_slice(self.body)));
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).ok()?;
        *request.uri_mut() = Uri::try_from(self.target).ok()?;
        for (name, value) in self.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            request.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
        }
        Some(request)
    }
}

/// Which bytes stand for themselves in every part of an address (RFC 3986); `%` is among them.
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

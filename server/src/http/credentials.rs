//! The credential that a request brings: in the header `Authorization` (RFC 6750, RFC 7617), in the
//! dialect's parameter `auth`, in a WebSocket's sub-protocol, for pages, which can set no header
//! there, or as a ticket.
//!
//! Whether it is true is for the gate to say.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use doorbell_protocol::{Code, Error, Filter};

use super::request::Request;
use crate::access::Principal;

/// The sub-protocol that is answered to a client that brings a token as another one.
pub(super) const SUBPROTOCOL: &str = "doorbell";
/// How the sub-protocol with a token begins; its base64url follows.
const SUBPROTOCOL_TOKEN: &str = "bearer.";

/// What a client says of itself. It is shown nowhere.
pub(super) enum Credential<'a> {
    /// A token.
    Token(Cow<'a, str>),
    /// A name, and what proves it.
    Password(String, String),
    /// What one reader may use once.
    Ticket(String),
}

impl Credential<'_> {
    /// What asks, by it, for the filter that is to be read.
    ///
    /// # Errors
    ///
    /// That it is a ticket, and nothing is to be read.
    pub(super) fn principal<'b>(
        &'b self,
        filter: Option<&'b Filter>,
    ) -> Result<Principal<'b>, Error> {
        Ok(match (self, filter) {
            (Self::Token(token), _) => Principal::Token(token),
            (Self::Password(name, password), _) => Principal::Password { name, password },
            (Self::Ticket(ticket), Some(filter)) => Principal::Ticket { ticket, filter },
            (Self::Ticket(_), None) => {
                return Err(Error::new(Code::Unauthorized, "a ticket is for reading alone"));
            }
        })
    }
}

/// Whether a request brings something like a credential.
pub(super) fn are_in(request: &Request<'_>) -> bool {
    let in_query = |query: &str| {
        let mut names = query.split('&').map(|member| member.split('=').next());
        names.any(|name| matches!(name, Some("auth" | "authorization")))
    };
    request.headers.get("authorization").is_some()
        || request.query.is_some_and(in_query)
        || request.headers.get("sec-websocket-protocol").is_some_and(|value| {
            value.windows(SUBPROTOCOL_TOKEN.len()).any(|part| part == SUBPROTOCOL_TOKEN.as_bytes())
        })
}

/// Whether a request brings a ticket.
pub(super) fn is_ticket_in(request: &Request<'_>) -> bool {
    let query = request.query.unwrap_or_default();
    let is_ticket = |(name, _): (Cow<'_, str>, _)| name == "ticket";
    query.contains("ticket") && form_urlencoded::parse(query.as_bytes()).any(is_ticket)
}

/// The credential of a request, if it brings one of a kind that means something.
///
/// # Errors
///
/// That it brings two, or one that is malformed.
pub(super) fn of<'a>(request: &Request<'a>) -> Result<Option<Credential<'a>>, Error> {
    let mut found = None;
    let mut note = |credential: Option<Credential<'a>>| match (&found, credential) {
        (Some(_), Some(_)) => {
            let text = "the request has two credentials, of which one may be somebody else's";
            Err(Error::new(Code::BadRequest, text))
        }
        (None, credential) => {
            found = credential;
            Ok(())
        }
        (Some(_), None) => Ok(()),
    };
    for (name, value) in request.headers.iter() {
        if name.eq_ignore_ascii_case("authorization") {
            let value = std::str::from_utf8(value).map_err(|_| malformed())?;
            note(of_header(value)?)?;
        } else if name.eq_ignore_ascii_case("sec-websocket-protocol") {
            let value = std::str::from_utf8(value).unwrap_or_default();
            let words = value.split(',').map(str::trim);
            for token in words.filter_map(|word| word.strip_prefix(SUBPROTOCOL_TOKEN)) {
                note(Some(Credential::Token(text_of(&URL_SAFE_NO_PAD, token)?.into())))?;
            }
        }
    }
    let is_there = |query: &&str| query.contains("auth") || query.contains("ticket");
    let query = request.query.filter(is_there);
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if name == "ticket" {
            note(Some(Credential::Ticket(value.into_owned())))?;
        } else if matches!(&*name, "auth" | "authorization") {
            let header = text_of(&URL_SAFE_NO_PAD, value.trim_end_matches('='))?;
            note(of_header(&header)?.map(Credential::into_owned))?;
        }
    }
    Ok(found)
}

impl Credential<'_> {
    fn into_owned(self) -> Credential<'static> {
        match self {
            Self::Token(token) => Credential::Token(token.into_owned().into()),
            Self::Password(name, password) => Credential::Password(name, password),
            Self::Ticket(ticket) => Credential::Ticket(ticket),
        }
    }
}

/// The value of the header. Schemes that mean nothing here are ignored, as in the dialect.
fn of_header(value: &str) -> Result<Option<Credential<'_>>, Error> {
    let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Credential::Token(rest.into())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let pair = text_of(&STANDARD, rest)?;
    let (name, secret) = pair.split_once(':').ok_or_else(malformed)?;
    Ok(Some(match name {
        "" => Credential::Token(secret.to_owned().into()),
        name => Credential::Password(name.to_owned(), secret.to_owned()),
    }))
}

fn text_of(coding: &impl Engine, text: &str) -> Result<String, Error> {
    let bytes = coding.decode(text).map_err(|_| malformed())?;
    String::from_utf8(bytes).map_err(|_| malformed())
}

/// It does not say what was there.
fn malformed() -> Error {
    Error::new(Code::Unauthorized, "the credential is malformed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::{Parsed, parse, room};

    /// What a request with these headers and this query says, as text.
    fn said(query: &str, headers: &str) -> Result<Option<String>, Code> {
        let text = format!("GET /a/json{query} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let mut room = room();
        let Parsed::Plain(plain) = parse(text.as_bytes(), &mut room) else { panic!("{text}") };
        let credential = of(&plain.request).map_err(|error| error.code())?;
        Ok(credential.map(|credential| match credential {
            Credential::Token(token) => token.into_owned(),
            Credential::Password(name, password) => format!("{name} {password}"),
            Credential::Ticket(ticket) => format!("ticket {ticket}"),
        }))
    }

    #[test]
    fn a_credential_is_found_wherever_clients_put_it() {
        let auth = |value: &str| format!("?poll=1&auth={}", URL_SAFE_NO_PAD.encode(value));
        for (query, headers, expected) in [
            ("", "", None),
            ("?auth=", "", None),
            ("", "authorization: Bearer tk_a\r\n", Some("tk_a")),
            ("", "Authorization: bearer  tk_a \r\n", Some("tk_a")),
            // phil:a:b and :tk_a
            ("", "Authorization: Basic cGhpbDphOmI=\r\n", Some("phil a:b")),
            ("", "Authorization: Basic OnRrX2E=\r\n", Some("tk_a")),
            ("", "Authorization: Digest x\r\n", None),
            ("", "Sec-WebSocket-Protocol: doorbell, bearer.dGtfYQ\r\n", Some("tk_a")),
            ("?ticket=a-b_c", "", Some("ticket a-b_c")),
            (&auth("Bearer tk_a"), "", Some("tk_a")),
            (&auth("Basic cGhpbDphOmI="), "", Some("phil a:b")),
            (&auth("Digest x").replace("auth", "authorization"), "", None),
        ] {
            assert_eq!(said(query, headers).unwrap().as_deref(), expected, "{query} {headers}");
        }
    }

    #[test]
    fn two_credentials_or_a_malformed_one_are_refused() {
        let one = "Authorization: Bearer a\r\n";
        let by_query = format!("?auth={}", URL_SAFE_NO_PAD.encode("Bearer a"));
        for (query, headers, expected) in [
            ("", &format!("{one}{one}")[..], Code::BadRequest),
            (&by_query, one, Code::BadRequest),
            ("?ticket=a", one, Code::BadRequest),
            ("", "Authorization: Basic !\r\n", Code::Unauthorized),
            ("", "Authorization: Basic YQ==\r\n", Code::Unauthorized),
            ("?auth=!", "", Code::Unauthorized),
        ] {
            assert_eq!(said(query, headers), Err(expected), "{query} {headers}");
        }
    }
}

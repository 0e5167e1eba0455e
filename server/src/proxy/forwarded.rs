//! The headers in which proxies tell whose request they forward: `Forwarded` (RFC 7239) and
//! `X-Forwarded-For`.
//!
//! Each proxy adds a client at the end, so they are read from there: as long as the one that told
//! is trusted, what it told is believed. What it did not tell in a way that can be read makes it
//! the client itself.

use std::net::{IpAddr, SocketAddr};

use doorbell_protocol::{Code, Error};

use crate::limits::{FORWARDED_ENTRY_BYTES_MAX, FORWARDED_PROXIES_MAX};

/// Whether a header is one that proxies add.
pub fn names_a_proxy(header: &str) -> bool {
    let begins =
        |name: &str| header.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
    begins("x-forwarded")
        || ["forwarded", "via", "x-real-ip"].iter().any(|name| header.eq_ignore_ascii_case(name))
}

/// The address of the client that a request is from, which came from `peer`.
///
/// # Errors
///
/// The two headers say different things. Proxies mostly write one of them and let the other one
/// through, which is then the client's own.
pub(super) fn client<'a>(
    peer: IpAddr,
    is_proxy: impl Fn(IpAddr) -> bool,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Result<IpAddr, Error> {
    if !is_proxy(peer) {
        return Ok(peer);
    }
    let (mut standard, mut usual) = (Vec::new(), Vec::new());
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("forwarded") {
            standard.extend(split(value, b','));
        } else if name.eq_ignore_ascii_case("x-forwarded-for") {
            usual.extend(split(value, b','));
        }
    }
    let told_by_standard = follow(peer, &is_proxy, &standard, node);
    let told_by_usual = follow(peer, &is_proxy, &usual, address);
    match (standard.is_empty(), usual.is_empty()) {
        (false, false) if told_by_standard != told_by_usual => {
            let text = format!(
                "Forwarded says that {told_by_standard} asks, X-Forwarded-For says {told_by_usual}"
            );
            Err(Error::new(Code::BadRequest, text))
        }
        (false, _) => Ok(told_by_standard),
        (true, _) => Ok(told_by_usual),
    }
}

/// Follows the entries from the last one as far as they are told by proxies.
fn follow(
    peer: IpAddr,
    is_proxy: impl Fn(IpAddr) -> bool,
    entries: &[&[u8]],
    read: impl Fn(&str) -> Option<IpAddr>,
) -> IpAddr {
    let mut client = peer;
    for entry in entries.iter().rev().take(FORWARDED_PROXIES_MAX) {
        if !is_proxy(client) {
            break;
        }
        let text = std::str::from_utf8(entry).ok();
        let text = text.filter(|text| text.len() <= FORWARDED_ENTRY_BYTES_MAX);
        let Some(told) = text.and_then(&read) else { break };
        client = told;
    }
    client
}

/// The parts of a list; what stands in quotes is not looked into, and an empty part is none.
fn split(list: &[u8], mark: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = list.split(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => return *byte == mark && !quoted,
        }
        false
    });
    parts.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// The client in an element of `Forwarded`.
fn node(element: &str) -> Option<IpAddr> {
    let mut pairs = split(element.as_bytes(), b';');
    let found = pairs.find_map(|pair| {
        let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    })?;
    address(found.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(found))
}

/// An address, which may have a port and, if it has colons, brackets.
fn address(text: &str) -> Option<IpAddr> {
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse().map(|address: SocketAddr| address.ip()).ok();
    let address = text.parse().ok().or_else(with_port).or_else(in_brackets)?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    /// The client of a request from a peer; 10.0.0.0/8 are proxies.
    fn told(peer: &str, headers: &[(&str, &str)]) -> Result<String, String> {
        let is_proxy = |address| matches!(address, IpAddr::V4(four) if four.octets()[0] == 10);
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let client = client(peer.parse().unwrap(), is_proxy, headers);
        client.map(|address| address.to_string()).map_err(|error| error.to_string())
    }

    fn by_usual(value: &str) -> String {
        told(PROXY, &[("X-Forwarded-For", value)]).unwrap()
    }

    fn by_standard(value: &str) -> String {
        told(PROXY, &[("Forwarded", value)]).unwrap()
    }

    #[test]
    fn the_client_is_the_last_one_that_a_proxy_told_of() {
        assert_eq!(by_usual("203.0.113.9"), "203.0.113.9");
        assert_eq!(by_usual("1.1.1.1, 203.0.113.9, 10.0.0.2"), "203.0.113.9", "1.1.1.1 is a claim");
        assert_eq!(by_usual("10.0.0.3, 10.0.0.2"), "10.0.0.3", "one of the proxies' own network");
        assert_eq!(by_usual("203.0.113.9:4711"), "203.0.113.9");
        assert_eq!(by_usual("[2001:db8::9]:4711"), "2001:db8::9");
        assert_eq!(by_usual("[2001:db8::9]"), "2001:db8::9");
        assert_eq!(by_usual("2001:db8::9"), "2001:db8::9");
        assert_eq!(by_usual("::ffff:203.0.113.9"), "203.0.113.9");
        assert_eq!(by_standard("for=203.0.113.9;proto=https;by=10.0.0.1"), "203.0.113.9");
        assert_eq!(by_standard("For=\"[2001:db8::9]:4711\""), "2001:db8::9");
        assert_eq!(by_standard("for=1.1.1.1, by=x;for=203.0.113.9,for=10.0.0.2"), "203.0.113.9");
        assert_eq!(by_standard(r#"for="1,\",1", for=203.0.113.9"#), "203.0.113.9");
    }

    #[test]
    fn the_headers_of_one_name_are_one_list() {
        let headers = [("x-forwarded-for", "1.1.1.1"), ("X-FORWARDED-FOR", "203.0.113.9")];
        assert_eq!(told(PROXY, &headers).unwrap(), "203.0.113.9");
    }

    #[test]
    fn others_are_not_heard() {
        let headers = [("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=2.2.2.2")];
        assert_eq!(told("203.0.113.9", &headers).unwrap(), "203.0.113.9");
    }

    #[test]
    fn what_cannot_be_read_leaves_the_proxy_that_sent_it() {
        let long = format!("203.0.113.9{}", " ".repeat(60) + "x");
        for value in ["", "unknown", "203.0.113.9, _hidden", "1.2.3", "::1%eth0", &long] {
            assert_eq!(by_usual(value), PROXY, "{value}");
        }
        for value in ["for=unknown", "for=_x", "proto=https", "for", "for=\"1.1.1.1", "203.0.113.9"]
        {
            assert_eq!(by_standard(value), PROXY, "{value}");
        }
        let many = vec!["10.0.0.2"; 1000].join(",");
        assert_eq!(by_usual(&format!("203.0.113.9,{many}")), "10.0.0.2", "it has a bound");
    }

    #[test]
    fn two_headers_must_agree() {
        let both = |standard| [("forwarded", standard), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(told(PROXY, &both("for=203.0.113.9")).unwrap(), "203.0.113.9");
        let error = told(PROXY, &both("for=1.1.1.1")).unwrap_err();
        assert!(error.contains("1.1.1.1") && error.contains("203.0.113.9"), "{error}");
        assert!(told(PROXY, &both("for=unknown")).is_err());
    }

    proptest! {
        #[test]
        fn any_value_is_read(value in "[for=0-9.:,;\"\\\\\\[\\] x]{0,80}") {
            for name in ["forwarded", "x-forwarded-for"] {
                prop_assert!(told(PROXY, &[(name, &value)]).is_ok());
            }
        }
    }
}

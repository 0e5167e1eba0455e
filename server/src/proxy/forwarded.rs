//! The headers in which proxies tell whose request they forward: `Forwarded` (RFC 7239) and
//! `X-Forwarded-For`.
//!
//! Each proxy adds a client at the end, so they are read from there, and no further than they are
//! believed: as long as the one that told is trusted. What it did not tell in a way that can be
//! read makes it the client itself. What stands before is anybody's, be it a quote that never ends.

use std::net::{IpAddr, SocketAddr};

use doorbell_protocol::{Code, Error};

use crate::limits::FORWARDED_PROXIES_MAX;

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
            standard.push(value);
        } else if name.eq_ignore_ascii_case("x-forwarded-for") {
            usual.push(value);
        }
    }
    let nodes = standard.iter().rev().flat_map(|list| split(list, b',')).map(node);
    let addresses = usual.iter().rev().flat_map(|list| list.rsplit(|byte| *byte == b','));
    let addresses = addresses.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty());
    let told_by_standard = follow(peer, &is_proxy, nodes);
    let told_by_usual = follow(peer, &is_proxy, addresses.map(address));
    match (told_by_standard, told_by_usual) {
        (Some(standard), Some(usual)) if standard != usual => {
            let text = format!("Forwarded says that {standard} asks, X-Forwarded-For says {usual}");
            Err(Error::new(Code::BadRequest, text))
        }
        (standard, usual) => Ok(standard.or(usual).unwrap_or(peer)),
    }
}

/// Follows what was told, the last of it first, as far as it is told by proxies; `None` if nothing
/// was told.
fn follow(
    peer: IpAddr,
    is_proxy: impl Fn(IpAddr) -> bool,
    told: impl Iterator<Item = Option<IpAddr>>,
) -> Option<IpAddr> {
    let mut told = told.take(FORWARDED_PROXIES_MAX).peekable();
    told.peek()?;
    let mut client = peer;
    while is_proxy(client)
        && let Some(Some(next)) = told.next()
    {
        client = next;
    }
    Some(client)
}

/// The parts of a list, the last one first; what stands in quotes is not looked into, and an empty
/// part is none. Read from the end, a quote is one of a text in quotes if backslashes stand before
/// it, an odd number of them.
fn split(list: &[u8], mark: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    // Whether the quote that was met last counts, while there are only backslashes before it.
    let mut quote: Option<bool> = None;
    let parts = list.rsplit(move |byte| {
        if let (b'\\', Some(counts)) = (byte, &mut quote) {
            *counts = !*counts;
            return false;
        }
        quoted ^= quote.take().unwrap_or(false);
        quote = (*byte == b'"').then_some(true);
        *byte == mark && !quoted
    });
    parts.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// The client in an element of `Forwarded`, which tells of one.
fn node(element: &[u8]) -> Option<IpAddr> {
    let mut told = split(element, b';').filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        name.eq_ignore_ascii_case(b"for").then_some(value)
    });
    let (value, None) = (told.next()?, told.next()) else { return None };
    let in_quotes = || value.strip_prefix(b"\"")?.strip_suffix(b"\"");
    address(in_quotes().unwrap_or(value))
}

/// An address, which may have a port and, if it has colons, brackets.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
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
    fn what_stands_before_cannot_reach_into_what_a_proxy_told() {
        for before in ["\"", "x=\"", "for=1.1.1.1;x=\"", "for=1.1.1.1;x=\"\\", "\"a\\\"", "\\", ";"]
        {
            assert_eq!(by_usual(&format!("{before}, 203.0.113.9")), "203.0.113.9", "{before}");
            for told in ["for=203.0.113.9", r#"by="\\\"";for="203.0.113.9";host="a,\\""#] {
                assert_eq!(by_standard(&format!("{before}, {told}")), "203.0.113.9", "{before}");
            }
        }
    }

    #[test]
    fn what_a_proxy_tells_beside_the_client_may_be_long() {
        let host = "a-bell-with-a-long-name.in-a-department.of-some-company.example";
        let element = format!("for=\"[2001:db8::9]:4711\";host={host};proto=https");
        assert_eq!(by_standard(&element), "2001:db8::9");
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
        let two = "for=1.1.1.1;for=2.2.2.2";
        for value in
            ["for=unknown", "for=_x", "proto=https", "for", "for=\"1.1.1.1", "203.0.113.9", two]
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

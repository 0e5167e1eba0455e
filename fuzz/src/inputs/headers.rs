//! What stands in headers: text beyond ASCII, and what proxies tell of their clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use doorbell_server::connections::Ends;
use doorbell_server::http::decode_words;
use doorbell_server::limits::{
    FORWARDED_PROXIES_MAX, PROXY_HEADER_BYTES_MAX, PROXY_LINE_BYTES_MAX,
};
use doorbell_server::proxy::Proxies;

pub(crate) const ENCODED_WORDS: &[&str] = &[
    "=?",
    "?=",
    "?",
    "utf-8",
    "iso-8859-1",
    "utf-16be",
    "*en",
    "?q?",
    "?B?",
    "=C3=A9",
    "w6k=",
    "_",
    " ",
    "\t",
    "=?utf-8?q?a?=",
    "=?utf-8?b?w6k=?=",
    "\u{e9}",
];
pub(crate) const FORWARDED: &[&str] = &[
    "Forwarded:",
    "X-Forwarded-For:",
    "for=",
    ";for=",
    "by=",
    ";proto=https",
    ",",
    ", ",
    "\"",
    "\\",
    "\\\"",
    "[",
    "]",
    ":80",
    "unknown",
    "203.0.113.9",
    "10.0.0.2",
    "2001:db8::9",
    "\"[2001:db8::9]:80\"",
    "::ffff:10.0.0.3",
    "\n",
];
pub(crate) const PROXY_HEADER: &[&str] = &[
    "PROXY ",
    "TCP4 ",
    "TCP6 ",
    "UNKNOWN",
    "203.0.113.9 10.0.0.1 ",
    "2001:db8::9 2001:db8::1 ",
    "::ffff:203.0.113.9 ",
    "4711 80",
    " 0",
    " 65536",
    " ",
    "\r\n",
    SIGNATURE,
    "\x20\0\0\0",
    "!\0\0\0",
    "!\x11\0\x0c",
    "!\x21\0\x24",
    "!\x31\0\0",
];

/// How a PROXY header of version 2 begins.
const SIGNATURE: &str = "\r\n\r\n\0\r\nQUIT\n";

const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 40_000);
const STRANGER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 40_000);

/// The proxies that are trusted: 10.0.0.0/8.
static PROXIES: LazyLock<Proxies> =
    LazyLock::new(|| Proxies::new(&["10.0.0.0/8".parse().unwrap()], &[]));

fn is_proxy(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets()[0] == 10)
}

/// What parts of a value mean is not changed by a part that is none, and any text that is written
/// as words is read the same.
pub(crate) fn encoded_words(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let decoded = decode_words(text);
    assert!(text.contains("=?") || decoded == text);
    // A byte may be one that stands for no character, which is shown by one of three bytes.
    assert!(decoded.len() <= 3 * text.len());
    // A word may have blanks, and ends at a question mark.
    let parts = || text.split(' ');
    let apart = parts().collect::<Vec<_>>().join(" ?? ");
    let each = parts().map(|part| decode_words(part).into_owned()).collect::<Vec<_>>();
    assert_eq!(decode_words(&apart), each.join(" ?? "));
    let quoted = |part: &str| {
        let digit = |four: u8| char::from_digit(four.into(), 16).unwrap();
        let digits = part.bytes().flat_map(|byte| ['=', digit(byte >> 4), digit(byte & 15)]);
        format!("=?utf-8?Q?{}?=", digits.collect::<String>())
    };
    let words: Vec<String> = text.split_inclusive(' ').map(quoted).collect();
    assert_eq!(decode_words(&words.join(" ")), text);
}

/// The client is the last one that was told of by a proxy that is trusted, by a second reading. Of
/// what others tell nothing is heard, and nothing that stands before what a proxy appends changes
/// that. A line is a header.
pub(crate) fn forwarded(bytes: &[u8]) {
    let header = |line| {
        let colon = position(line, b':')?;
        Some((str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]))
    };
    let headers: Vec<(&str, &[u8])> =
        bytes.split(|byte| *byte == b'\n').filter_map(header).collect();
    let client = |peer, headers: &[(&str, &[u8])]| {
        PROXIES.client(Ends::internet(HERE, peer), headers.iter().copied())
    };
    assert_eq!(client(STRANGER, &headers), Ok(Some(STRANGER.ip())));
    let named = |name: &str| {
        let named = headers.iter().rev().filter(|header| header.0.eq_ignore_ascii_case(name));
        named.map(|header| header.1).collect::<Vec<_>>()
    };
    let standard = named("forwarded").into_iter().flat_map(|list| parts(list, b',', true));
    let standard = follow(&standard.map(element).collect::<Vec<_>>());
    let usual = named("x-forwarded-for").into_iter().flat_map(|list| parts(list, b',', false));
    let usual = follow(&usual.map(address).collect::<Vec<_>>());
    let told = match (standard, usual) {
        (Some(standard), Some(usual)) if standard != usual => None,
        (standard, usual) => Some(standard.or(usual).unwrap_or(PROXY.ip())),
    };
    assert_eq!(client(PROXY, &headers).ok(), told.map(Some));
    let them = IpAddr::from([203, 0, 113, 9]);
    for (name, told) in
        [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", r#"by="\\\"";for="203.0.113.9""#)]
    {
        for (_, before) in &headers {
            let appended = [before, &b","[..], told.as_bytes()].concat();
            assert_eq!(client(PROXY, &[(name, &appended)]), Ok(Some(them)));
        }
    }
}

/// The parts of a list from its end, said once more: a mark counts if the quotes behind it are in
/// pairs, but for those with an odd number of backslashes before them.
fn parts(list: &[u8], mark: u8, has_quotes: bool) -> Vec<&[u8]> {
    let (mut parts, mut end, mut quotes) = (Vec::new(), list.len(), 0);
    for at in (0..list.len()).rev() {
        let escapes = list[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        quotes += usize::from(has_quotes && list[at] == b'"' && escapes % 2 == 0);
        if list[at] == mark && quotes % 2 == 0 {
            parts.push(list[at + 1..end].trim_ascii());
            end = at;
        }
    }
    parts.push(list[..end].trim_ascii());
    parts.retain(|part| !part.is_empty());
    parts
}

/// Where telling leads to, the last of it first.
fn follow(told: &[Option<IpAddr>]) -> Option<IpAddr> {
    fn from(client: IpAddr, told: &[Option<IpAddr>]) -> IpAddr {
        match told {
            [Some(next), told @ ..] if is_proxy(client) => from(*next, told),
            _ => client,
        }
    }
    (!told.is_empty()).then(|| from(PROXY.ip(), &told[..told.len().min(FORWARDED_PROXIES_MAX)]))
}

/// The client in an element of `Forwarded`.
fn element(element: &[u8]) -> Option<IpAddr> {
    let pairs = parts(element, b';', true).into_iter().filter_map(|pair| {
        let (name, value) = pair.split_at(position(pair, b'=')?);
        name.eq_ignore_ascii_case(b"for").then_some(&value[1..])
    });
    match pairs.collect::<Vec<_>>()[..] {
        [[b'"', value @ .., b'"'] | value] => address(value),
        _ => None,
    }
}

/// An address, with a port or without one.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?;
    let bare = || text.strip_prefix('[')?.strip_suffix(']');
    let with_port = text.parse().map(|address: SocketAddr| address.ip());
    let address = with_port.ok().or_else(|| bare().unwrap_or(text).parse().ok());
    address.map(|address| address.to_canonical())
}

fn position(bytes: &[u8], of: u8) -> Option<usize> {
    bytes.iter().position(|byte| *byte == of)
}

/// A header is what its specification says, nothing behind it is read, and what it tells is written
/// in either version and read the same.
pub(crate) fn proxy_header(bytes: &[u8]) {
    let told = match (told_ends(bytes), header(bytes)) {
        (Some((length, ends)), Some((length_again, client))) => {
            assert_eq!(length, length_again);
            assert_eq!(ends, Ends::internet(HERE, client.unwrap_or(PROXY)));
            client
        }
        (None, None) => None,
        (read, again) => panic!("{read:?} is {again:?} by a second reading"),
    };
    let Some(client) = told else { return };
    let ip = client.ip();
    let family = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
    let text = format!("PROXY {family} {ip} {ip} {} 80\r\n", client.port());
    let addresses = match ip {
        IpAddr::V4(ip) => [ip.octets(); 2].concat(),
        IpAddr::V6(ip) => [ip.octets(); 2].concat(),
    };
    let (kind, length) = if ip.is_ipv4() { (0x11, 12) } else { (0x21, 36) };
    let fixed = [0x21, kind, 0, length];
    let ports = [client.port().to_be_bytes(), [0, 80]].concat();
    let binary = [SIGNATURE.as_bytes(), &fixed, &addresses, &ports].concat();
    for written in [text.as_bytes(), &binary] {
        let read = told_ends(&[written, bytes].concat());
        assert_eq!(read, Some((written.len(), Ends::internet(HERE, client))));
    }
}

/// The bytes of a header and what it tells; `None` if it is refused.
fn told_ends(bytes: &[u8]) -> Option<(usize, Ends)> {
    let mut rest = bytes;
    let read = {
        let reading = pin!(PROXIES.told_ends(&mut rest, Ends::internet(HERE, PROXY)));
        match reading.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => read,
            Poll::Pending => panic!("all of it is there"),
        }
    };
    Some((bytes.len() - rest.len(), read.ok()?))
}

/// The bytes of a header and the client that it tells of, said once more.
fn header(bytes: &[u8]) -> Option<(usize, Option<SocketAddr>)> {
    if let Some(rest) = bytes.strip_prefix(SIGNATURE.as_bytes()) {
        let number = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
        let (length, address) = (usize::from(number(2)?), |at: usize| rest.get(4 + at..));
        let whole = SIGNATURE.len() + 4 + length;
        if whole > PROXY_HEADER_BYTES_MAX || bytes.len() < whole {
            return None;
        }
        let (ip, ports) = match (rest[0], rest[1], length) {
            (0x20, ..) | (0x21, 0x00 | 0x31 | 0x32, _) => return Some((whole, None)),
            (0x21, 0x11 | 0x12, 12..) => (IpAddr::from(*address(0)?.first_chunk::<4>()?), 8),
            (0x21, 0x21 | 0x22, 36..) => (IpAddr::from(*address(0)?.first_chunk::<16>()?), 32),
            _ => return None,
        };
        return Some((whole, Some(SocketAddr::new(ip, number(4 + ports)?))));
    }
    let whole = position(bytes, b'\n')? + 1;
    let line = &bytes[..whole];
    if whole > PROXY_LINE_BYTES_MAX || !line.ends_with(b"\r\n") {
        return None;
    }
    if line == b"PROXY UNKNOWN\r\n" || line.starts_with(b"PROXY UNKNOWN ") {
        return Some((whole, None));
    }
    let words: Vec<&str> = str::from_utf8(line).ok()?.split_ascii_whitespace().collect();
    let [_, family, source, destination, source_port, destination_port] = words[..] else {
        return None;
    };
    let (ip, other): (IpAddr, IpAddr) = (source.parse().ok()?, destination.parse().ok()?);
    let ports: (u16, u16) = (source_port.parse().ok()?, destination_port.parse().ok()?);
    // Written in the only way there is, but for the addresses of IPv6.
    let own = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
    let again = format!("PROXY {own} {source} {destination} {} {}\r\n", ports.0, ports.1);
    let is_whole = line == again.as_bytes() && family == own && ip.is_ipv4() == other.is_ipv4();
    is_whole.then(|| (whole, Some(SocketAddr::new(ip, ports.0))))
}

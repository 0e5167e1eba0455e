//! The PROXY header (versions 1 and 2), in which a proxy says at the beginning of a connection
//! whose it is. It is required or not there at all: it is never guessed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limits::{PROXY_HEADER_BYTES_MAX, PROXY_LINE_BYTES_MAX};

/// How a header of version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The version that stands behind it, and for whom the proxy speaks: for itself or a client.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// Reads a header and nothing of what follows it; the client's address, unless the proxy speaks
/// for itself or does not say.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<SocketAddr>> {
    // No header of version 1 is shorter.
    let mut beginning = [0; SIGNATURE.len()];
    stream.read_exact(&mut beginning).await?;
    if beginning == *SIGNATURE {
        read_block(stream).await
    } else if beginning.starts_with(b"PROXY ") {
        read_line(stream, beginning.to_vec()).await
    } else {
        Err(invalid("it did not begin with a PROXY header"))
    }
}

/// The rest of a header of version 2, which says how long it is.
async fn read_block<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<SocketAddr>> {
    let mut fixed = [0; 4];
    stream.read_exact(&mut fixed).await?;
    let [command, family, length @ ..] = fixed;
    let length = usize::from(u16::from_be_bytes(length));
    let whole = SIGNATURE.len() + fixed.len() + length;
    if whole > PROXY_HEADER_BYTES_MAX {
        let text = format!("its PROXY header has {whole} bytes, above {PROXY_HEADER_BYTES_MAX}");
        return Err(invalid(&text));
    }
    let mut block = vec![0; length];
    stream.read_exact(&mut block).await?;
    let told = match (command, family) {
        // Whatever a proxy says of itself is to be ignored. Else it is no family, or Unix sockets.
        (LOCAL, _) | (PROXY, 0x00 | 0x31 | 0x32) => return Ok(None),
        (PROXY, 0x11 | 0x12) => binary_source::<4>(&block),
        (PROXY, 0x21 | 0x22) => binary_source::<16>(&block),
        _ => None,
    };
    told.map(Some).ok_or_else(malformed)
}

/// The first of two addresses of so many bytes, which are followed by the port of each.
fn binary_source<const BYTES: usize>(block: &[u8]) -> Option<SocketAddr>
where
    IpAddr: From<[u8; BYTES]>,
{
    let (address, rest) = block.split_first_chunk::<BYTES>()?;
    let (_, rest) = rest.split_first_chunk::<BYTES>()?;
    let [high, low, _, _] = *rest.first_chunk()?;
    Some(SocketAddr::new((*address).into(), u16::from_be_bytes([high, low])))
}

/// The rest of a header of version 1, which is a line. It is read a byte at a time, because what
/// follows it is not ours.
async fn read_line<S: AsyncRead + Unpin>(
    stream: &mut S,
    mut line: Vec<u8>,
) -> io::Result<Option<SocketAddr>> {
    while line.last() != Some(&b'\n') {
        if line.len() == PROXY_LINE_BYTES_MAX {
            return Err(invalid("its PROXY header is a line that does not end"));
        }
        line.push(stream.read_u8().await?);
    }
    let line = line.strip_suffix(b"\r\n").ok_or_else(malformed)?;
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let told = match words[..] {
        // Whatever stands behind it is to be ignored.
        [_, b"UNKNOWN", ..] => return Ok(None),
        [_, b"TCP4", ref ends @ ..] => text_source::<Ipv4Addr>(ends),
        [_, b"TCP6", ref ends @ ..] => text_source::<Ipv6Addr>(ends),
        _ => None,
    };
    told.map(Some).ok_or_else(malformed)
}

/// The source in two addresses and the port of each.
fn text_source<A: FromStr + Into<IpAddr>>(ends: &[&[u8]]) -> Option<SocketAddr> {
    let [source, destination, source_port, destination_port] = *ends else { return None };
    let source = SocketAddr::new(parse::<A>(source)?.into(), port(source_port)?);
    let _: (A, u16) = (parse(destination)?, port(destination_port)?);
    Some(source)
}

/// A port without a sign or a zero in front.
fn port(word: &[u8]) -> Option<u16> {
    parse(word).filter(|port: &u16| port.to_string().as_bytes() == word)
}

fn parse<T: FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn malformed() -> io::Error {
    invalid("its PROXY header is malformed")
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read of some bytes, and what is left of them.
    fn read_from(mut bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let told = runtime.block_on(read(&mut bytes));
        (told, bytes.to_vec())
    }

    /// A header of version 2.
    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    #[test]
    fn the_client_is_read_from_either_version_and_nothing_behind_it() {
        let client = "203.0.113.9:4711".parse().unwrap();
        let four = [203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
        // A proxy may tell more: of its own TLS, or whose network it is.
        let more = [&four[..], &[0x04, 0, 3, 1, 2, 3]].concat();
        for header in [
            &b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n"[..],
            &binary(0x21, 0x11, &four),
            &binary(0x21, 0x11, &more),
        ] {
            let (told, left) = read_from(&[header, b"PUB t hello\n"].concat());
            assert_eq!(told.unwrap(), Some(client));
            assert_eq!(left, b"PUB t hello\n");
        }
        let (told, _) = read_from(b"PROXY TCP6 2001:db8::9 2001:db8::1 4711 80\r\n");
        assert_eq!(told.unwrap(), Some("[2001:db8::9]:4711".parse().unwrap()));
    }

    #[test]
    fn a_proxy_that_does_not_say_or_speaks_for_itself_is_the_client() {
        for header in [
            &b"PROXY UNKNOWN\r\n"[..],
            b"PROXY UNKNOWN 203.0.113.9 10.0.0.1 4711 80\r\n",
            &binary(0x20, 0x00, &[]),
            &binary(0x20, 0x11, &[203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x67, 0, 80]),
            &binary(0x21, 0x00, &[]),
            &binary(0x21, 0x31, &[b'x'; 216]),
            // What stands beside these words is to be ignored, whatever it is.
            b"PROXY UNKNOWN a b c d e f \xff \r g\r\n",
            &binary(0x20, 0x11, &[]),
            &binary(0x20, 0xff, &[1, 2, 3]),
        ] {
            assert_eq!(read_from(header).0.unwrap(), None);
        }
    }

    #[test]
    fn what_is_no_header_or_too_long_is_refused() {
        let endless = [b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat();
        for bytes in [
            &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
            b"PUB t hello and more\n",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 4711\r\n",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 99999 80\r\n",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\n",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80 \r\n",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 04711 80\r\n",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 +4711 80\r\n",
            b"PROXY TCP6 203.0.113.9 10.0.0.1 4711 80\r\n",
            b"PROXY UNKNOWNS\r\n",
            &endless,
            &binary(0x21, 0x11, &[0; 5000]),
            &binary(0x21, 0x11, &[1, 2, 3]),
            &binary(0x31, 0x11, &[0; 12]),
            &binary(0x22, 0x11, &[0; 12]),
            &binary(0x21, 0x41, &[0; 12]),
            &binary(0x21, 0x10, &[0; 12]),
            b"",
        ] {
            assert!(read_from(bytes).0.is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            version in any::<bool>(),
            rest in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let beginning = if version { &SIGNATURE[..] } else { b"PROXY TCP4 " };
            let _ = read_from(&[beginning, &rest].concat());
        }
    }
}

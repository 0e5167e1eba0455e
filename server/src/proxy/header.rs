//! The PROXY header (versions 1 and 2), in which a proxy says at the beginning of a connection
//! whose it is. It is required or not there at all: it is never guessed.

use std::io;
use std::net::SocketAddr;

use ppp::v2::{self, Command};
use ppp::{HeaderResult, v1};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limits::{PROXY_HEADER_BYTES_MAX, PROXY_LINE_BYTES_MAX};

/// Reads a header and nothing of what follows it; the client's address, unless the proxy speaks
/// for itself or does not say.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<SocketAddr>> {
    // Both versions have as many, and are told apart by them.
    let mut bytes = vec![0; v2::PROTOCOL_PREFIX.len()];
    stream.read_exact(&mut bytes).await?;
    if bytes == v2::PROTOCOL_PREFIX {
        read_rest(stream, &mut bytes).await?;
    } else if bytes.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        read_line(stream, &mut bytes).await?;
    } else {
        return Err(invalid("it did not begin with a PROXY header"));
    }
    match HeaderResult::parse(&bytes) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(told) => Some((told.source_address, told.source_port).into()),
            v1::Addresses::Tcp6(told) => Some((told.source_address, told.source_port).into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) if header.command == Command::Local => Ok(None),
        HeaderResult::V2(Ok(header)) => Ok(match header.addresses {
            v2::Addresses::IPv4(told) => Some((told.source_address, told.source_port).into()),
            v2::Addresses::IPv6(told) => Some((told.source_address, told.source_port).into()),
            v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
        }),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => {
            Err(invalid("its PROXY header is malformed"))
        }
    }
}

/// The rest of a header of version 2, which says how long it is.
async fn read_rest<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut fixed = [0; 4];
    stream.read_exact(&mut fixed).await?;
    bytes.extend(fixed);
    let [_, _, length @ ..] = fixed;
    let begun = bytes.len();
    let whole = begun + usize::from(u16::from_be_bytes(length));
    if whole > PROXY_HEADER_BYTES_MAX {
        let text = format!("its PROXY header has {whole} bytes, above {PROXY_HEADER_BYTES_MAX}");
        return Err(invalid(&text));
    }
    bytes.resize(whole, 0);
    stream.read_exact(&mut bytes[begun..]).await.map(drop)
}

/// The rest of a header of version 1, which is a line. It is read a byte at a time, because what
/// follows it is not ours.
async fn read_line<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut Vec<u8>) -> io::Result<()> {
    while bytes.last() != Some(&b'\n') {
        if bytes.len() == PROXY_LINE_BYTES_MAX {
            return Err(invalid("its PROXY header is a line that does not end"));
        }
        bytes.push(stream.read_u8().await?);
    }
    Ok(())
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
        [v2::PROTOCOL_PREFIX, &[command, family], &length, rest].concat()
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
            &endless,
            &binary(0x21, 0x11, &[0; 5000]),
            &binary(0x21, 0x11, &[1, 2, 3]),
            &binary(0x31, 0x11, &[0; 12]),
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
            let beginning = if version { v2::PROTOCOL_PREFIX } else { b"PROXY TCP4 " };
            let _ = read_from(&[beginning, &rest].concat());
        }
    }
}

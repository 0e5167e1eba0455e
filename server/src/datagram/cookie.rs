//! Cookies: what an address must send back to show that it hears, before anything is kept for it.
//!
//! A cookie is a keyed hash (SipHash-2-4) of the address and of the minute, so that the server can
//! tell its own without remembering any. The key is drawn at the start and never leaves the
//! process.

use std::net::{IpAddr, SocketAddr};

use doorbell_protocol::datagram::COOKIE_CHARS;
use siphasher::sip::SipHasher24;
use tokio::time::Instant;

use crate::limits::DATAGRAM_COOKIE_WINDOW;

/// Bits of one character.
const CHAR_BITS: u32 = 5;

/// Makes cookies and knows them again.
#[derive(Debug)]
pub(super) struct Cookies {
    keyed: SipHasher24,
    started: Instant,
}

impl Cookies {
    /// Cookies of a fresh key.
    pub(super) fn new() -> Self {
        let key: [u8; 16] = rand::random();
        Self { keyed: SipHasher24::new_with_key(&key), started: Instant::now() }
    }

    /// The cookie of an address at this time.
    pub(super) fn of(&self, peer: SocketAddr) -> String {
        self.at(peer, self.window())
    }

    /// Whether it is the cookie of an address, from this window of time or the one before.
    pub(super) fn accepts(&self, peer: SocketAddr, cookie: &str) -> bool {
        let now = self.window();
        cookie == self.at(peer, now)
            || now.checked_sub(1).is_some_and(|before| cookie == self.at(peer, before))
    }

    fn window(&self) -> u64 {
        self.started.elapsed().as_secs() / DATAGRAM_COOKIE_WINDOW.as_secs()
    }

    fn at(&self, peer: SocketAddr, window: u64) -> String {
        let ip = match peer.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut bytes = Vec::with_capacity(26);
        bytes.extend_from_slice(&ip.octets());
        bytes.extend_from_slice(&peer.port().to_be_bytes());
        bytes.extend_from_slice(&window.to_be_bytes());
        let mut bits = self.keyed.hash(&bytes);
        let mut cookie = String::with_capacity(COOKIE_CHARS);
        for _ in 0..COOKIE_CHARS {
            let digit = (bits & ((1 << CHAR_BITS) - 1)) as u32;
            cookie.extend(char::from_digit(digit, 1 << CHAR_BITS));
            bits >>= CHAR_BITS;
        }
        cookie
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cookie_is_good_for_one_address_and_two_windows() {
        let cookies = Cookies::new();
        let peer: SocketAddr = "10.0.0.1:7".parse().unwrap();
        let cookie = cookies.of(peer);
        assert_eq!(cookie.len(), COOKIE_CHARS);
        assert!(cookies.accepts(peer, &cookie));
        for other in ["10.0.0.1:8", "10.0.0.2:7", "[::1]:7"] {
            assert!(!cookies.accepts(other.parse().unwrap(), &cookie), "{other}");
        }
        assert!(!Cookies::new().accepts(peer, &cookie));
        tokio::time::advance(DATAGRAM_COOKIE_WINDOW).await;
        assert!(cookies.accepts(peer, &cookie));
        assert_ne!(cookies.of(peer), cookie);
        tokio::time::advance(DATAGRAM_COOKIE_WINDOW).await;
        assert!(!cookies.accepts(peer, &cookie));
    }
}

//! Sockets that whoever starts the server has bound for it and hands over, as systemd does for
//! `.socket` units: `LISTEN_FDS` says how many, from descriptor 3 on, `LISTEN_PID` for which
//! process, and `LISTEN_FDNAMES` which listener each is.
//!
//! Here they are only told apart; `listen` makes listeners of them.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

/// The sockets of one server, each in the place of one that it would bind.
#[derive(Debug, Default)]
pub struct Inherited {
    /// HTTP.
    pub http: Option<TcpListener>,
    /// Lines over TCP.
    pub tcp: Option<TcpListener>,
    /// HTTP over TLS.
    pub https: Option<TcpListener>,
    /// Lines over TLS.
    pub tcps: Option<TcpListener>,
    /// Lines over a Unix socket.
    pub unix: Option<UnixListener>,
    /// Datagrams over UDP.
    pub udp: Option<UdpSocket>,
}

/// The first of the descriptors.
const FIRST: usize = 3;
const NAMES: [&str; 6] = ["http", "tcp", "https", "tcps", "unix", "udp"];

impl Inherited {
    /// Takes what this process was handed over. One that has the name of a listener is that; of
    /// others the first over TCP speaks HTTP, the second lines, and the rest is told by its kind.
    ///
    /// # Errors
    ///
    /// That a socket is of no kind that its listener can serve, or one too many.
    pub fn take() -> Result<Self, String> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<&str> = names.split(':').collect();
        let mut sockets = ListenFd::from_env();
        let mut inherited = Self::default();
        for index in 0..sockets.len() {
            let name = names.get(index).copied().filter(|name| NAMES.contains(name));
            if let Ok(Some(socket)) = sockets.take_tcp_listener(index) {
                let place = match name {
                    Some("http") => &mut inherited.http,
                    Some("tcp") => &mut inherited.tcp,
                    Some("https") => &mut inherited.https,
                    Some("tcps") => &mut inherited.tcps,
                    Some(name) => return Err(unfit(index, name, "a listener over TCP")),
                    None if inherited.http.is_none() => &mut inherited.http,
                    None => &mut inherited.tcp,
                };
                put(place, socket, index, "over TCP")?;
            } else if let Ok(Some(socket)) = sockets.take_unix_listener(index) {
                match name {
                    None | Some("unix") => put(&mut inherited.unix, socket, index, "of Unix")?,
                    Some(name) => return Err(unfit(index, name, "a Unix socket")),
                }
            } else if let Ok(Some(socket)) = sockets.take_udp_socket(index) {
                match name {
                    None | Some("udp") => put(&mut inherited.udp, socket, index, "over UDP")?,
                    Some(name) => return Err(unfit(index, name, "a socket for UDP")),
                }
            } else {
                let descriptor = FIRST + index;
                return Err(format!(
                    "descriptor {descriptor} of LISTEN_FDS is no listening socket of TCP or Unix, \
                     and none of UDP"
                ));
            }
        }
        Ok(inherited)
    }
}

fn put<T>(place: &mut Option<T>, socket: T, index: usize, kind: &str) -> Result<(), String> {
    if place.replace(socket).is_none() {
        return Ok(());
    }
    Err(format!(
        "descriptor {} of LISTEN_FDS is one socket too many {kind}: LISTEN_FDNAMES says which \
         listener each is, {}",
        FIRST + index,
        NAMES.join(", ")
    ))
}

fn unfit(index: usize, name: &str, what: &str) -> String {
    let descriptor = FIRST + index;
    format!("LISTEN_FDNAMES calls descriptor {descriptor} {name}, and it is {what}")
}

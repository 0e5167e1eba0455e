//! The counts of single TCP sockets by their addresses, whoever owns them: `sock_diag`, asked for
//! one socket at a time. No privilege is needed, and no descriptor of the socket.
//!
//! The kernel finds the socket as it would for a packet, so the cost does not grow with the number
//! of sockets: two system calls of some microseconds.

use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr as NetlinkAddr};

use crate::counts::TcpCounts;
use crate::destroyed::ended;

/// One answer has about 450 bytes.
const ANSWER_BYTES_MAX: usize = 4096;
/// `INET_DIAG_NOCOOKIE`: the socket is known by its addresses alone.
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// Asks the kernel for the counts of TCP sockets of this network namespace.
#[derive(Debug)]
pub struct Lookup {
    socket: Socket,
    /// The number of the last question: an answer has the number of its question.
    asked: u32,
}

impl Lookup {
    /// Opens a way to ask.
    ///
    /// # Errors
    ///
    /// If the kernel has no `sock_diag`, or no descriptor is left.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        // The kernel answers within the question's system call, so there is nothing to wait for.
        socket.set_non_blocking(true)?;
        socket.bind(&NetlinkAddr::new(0, 0))?;
        Ok(Self { socket, asked: 0 })
    }

    /// The counts of the socket with these ends, `None` if there is no such socket or only what the
    /// kernel remembers of one that has ended. IPv4 may come in the clothes of IPv6.
    ///
    /// # Errors
    ///
    /// What talking to the kernel says.
    pub fn counts(&mut self, local: SocketAddr, peer: SocketAddr) -> io::Result<Option<TcpCounts>> {
        let (local, peer) = (canonical(local), canonical(peer));
        self.asked = self.asked.wrapping_add(1);
        self.socket.send(&question(local, peer, self.asked), 0)?;
        let mut bytes = [0; ANSWER_BYTES_MAX];
        loop {
            let length = self.socket.recv(&mut &mut bytes[..], 0)?;
            let answer = NetlinkMessage::<SockDiagMessage>::deserialize(&bytes[..length])
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            if answer.header.sequence_number != self.asked {
                continue; // To an earlier question, which was given up.
            }
            return match answer.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                    // Without such a connection the kernel answers with the listener.
                    let found = ended(&response).filter(|found| canonical(found.peer) == peer);
                    Ok(found.map(|found| found.counts))
                }
                NetlinkPayload::Error(error) => match error.to_io() {
                    error if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    error => Err(error),
                },
                _ => Ok(None),
            };
        }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn question(local: SocketAddr, peer: SocketAddr, number: u32) -> Vec<u8> {
    let family = if matches!(local.ip(), IpAddr::V4(_)) { AF_INET } else { AF_INET6 };
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::INFO,
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: local.port(),
            destination_port: peer.port(),
            source_address: local.ip(),
            destination_address: peer.ip(),
            interface_id: 0,
            cookie: NO_COOKIE,
        },
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    header.sequence_number = number;
    let payload = NetlinkPayload::from(SockDiagMessage::InetRequest(request));
    let mut message = NetlinkMessage::new(header, payload);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::counts::tcp_info;

    /// A connection to a listener, on which both sides have said something.
    fn pair(listen: &str, connect: &str) -> Option<(TcpStream, TcpStream, TcpListener)> {
        let listener = TcpListener::bind((listen, 0)).ok()?;
        let port = listener.local_addr().unwrap().port();
        let mut client = TcpStream::connect((connect, port)).ok()?;
        let mut server = listener.accept().unwrap().0;
        client.write_all(&[1; 700]).unwrap();
        server.read_exact(&mut [0; 700]).unwrap();
        server.write_all(&[2; 90]).unwrap();
        client.read_exact(&mut [0; 90]).unwrap();
        Some((client, server, listener))
    }

    fn assert_same(stream: &TcpStream) {
        let mut lookup = Lookup::open().unwrap();
        let (local, peer) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        let mut before = tcp_info(stream).unwrap();
        // An acknowledgement may cross between the two looks: then look again.
        loop {
            let found = lookup.counts(local, peer).unwrap().expect("the socket");
            let after = tcp_info(stream).unwrap();
            if before == after {
                assert_eq!(found, after, "{local} {peer}");
                return;
            }
            before = after;
        }
    }

    #[test]
    fn a_socket_is_found_by_its_addresses_with_the_counts_that_its_owner_sees() {
        for (listen, connect) in
            [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1"), ("::", "::1")]
        {
            let Some((client, server, _listener)) = pair(listen, connect) else {
                println!("skipped: no {listen} or no {connect} on this machine");
                continue;
            };
            assert_same(&client);
            assert_same(&server);
        }
    }

    #[test]
    fn what_is_not_there_is_not_found_although_somebody_listens() {
        let (client, server, listener) = pair("127.0.0.1", "127.0.0.1").unwrap();
        let (local, peer) = (server.local_addr().unwrap(), server.peer_addr().unwrap());
        let mut lookup = Lookup::open().unwrap();
        let nobody = SocketAddr::new(peer.ip(), 1);
        assert_eq!(lookup.counts(local, nobody).unwrap(), None, "the listener is not taken for it");
        drop((client, server, listener));
        assert_eq!(lookup.counts(local, nobody).unwrap(), None);
        let elsewhere = "[2001:db8::1]:7".parse().unwrap();
        assert_eq!(lookup.counts(elsewhere, elsewhere).unwrap(), None);
    }
}

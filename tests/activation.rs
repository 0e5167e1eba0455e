//! Sockets that are bound by whoever starts the server (`LISTEN_FDS`): they are served, and nothing
//! is bound in their place.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};

use crate::support::client::RunningClient;
use crate::support::server::{binary, listener, run};
use crate::support::{Lines, Request, datagrams};

/// The server, which finds these sockets from descriptor 3 on and is told these names.
fn activated(sockets: &[OwnedFd], names: Option<&str>, flags: &[&str]) -> Command {
    // Each is found by the shell, which puts it where the server looks for it.
    let script: Vec<String> = (3..)
        .zip(sockets)
        .map(|(place, socket)| {
            fcntl_setfd(socket, FdFlags::empty()).unwrap();
            format!("exec {place}<&{}; ", socket.as_raw_fd())
        })
        .collect();
    let script = script.concat();
    let mut command = Command::new("/bin/bash");
    command
        .args(["-c", &format!("{script} LISTEN_PID=$$ exec \"$@\""), "sh"])
        .arg(binary("doorbell-server"))
        .arg("--ephemeral")
        .args(flags)
        .env("LISTEN_FDS", sockets.len().to_string());
    if let Some(names) = names {
        command.env("LISTEN_FDNAMES", names);
    }
    command
}

fn tcp() -> (OwnedFd, std::net::SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (high(socket), address)
}

/// The same socket beyond the descriptors that a shell puts others in.
fn high(socket: impl Into<OwnedFd>) -> OwnedFd {
    let socket: OwnedFd = socket.into();
    rustix::io::fcntl_dupfd_cloexec(&socket, 20).unwrap()
}

#[test]
fn inherited_sockets_are_served_by_their_names() {
    let ((lines, tcp_at), (http, http_at)) = (tcp(), tcp());
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp_at = udp.local_addr().unwrap();
    let sockets = [lines, high(udp), http];
    let mut running = RunningClient::start(&mut activated(&sockets, Some("tcp:udp:http"), &[]));
    drop(sockets);
    let ready = running.line().unwrap();
    for (name, at) in [("http", http_at), ("tcp", tcp_at), ("udp", udp_at)] {
        assert_eq!(listener(&ready, name), Some(at), "{name} in {ready}");
    }
    assert_eq!(Request::post("/t", "x").send_to(http_at).status, 200);
    assert_eq!(Lines::greeted(tcp_at).ask("PING x").message(), "x");
    assert_eq!(datagrams::ask("127.0.0.1", udp_at, "SUB t").kind(), "ok");
}

#[test]
fn without_names_inherited_sockets_are_known_by_kind_and_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bell.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let ((http, http_at), (lines, tcp_at)) = (tcp(), tcp());
    for names in [None, Some("doorbell.socket:doorbell.socket:doorbell.socket")] {
        let sockets = [
            http.try_clone().unwrap(),
            high(unix.try_clone().unwrap()),
            lines.try_clone().unwrap(),
        ];
        let mut running = RunningClient::start(&mut activated(&sockets, names, &[]));
        let ready = running.line().unwrap();
        assert_eq!(listener(&ready, "http"), Some(http_at), "{ready}");
        assert_eq!(listener(&ready, "tcp"), Some(tcp_at), "{ready}");
        assert!(ready.contains(&format!("unix={}", path.display())), "{ready}");
        assert_eq!(Request::get("/v1/health").send_to(http_at).status, 200);
        assert_eq!(Lines::greeted_unix(&path).ask("PING x").message(), "x");
    }
    assert!(path.exists(), "its file is not the server's to remove");
}

#[test]
fn inherited_sockets_that_cannot_be_served_are_refused_in_one_line() {
    let refused = |sockets: &[OwnedFd], names: Option<&str>, flags: &[&str]| {
        let output = run(&mut activated(sockets, names, flags));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
        stderr
    };
    let udp = || high(UdpSocket::bind("127.0.0.1:0").unwrap());
    let line = refused(&[udp()], Some("http"), &[]);
    assert!(line.contains("LISTEN_FDNAMES") && line.contains("http"), "{line}");
    let line = refused(&[tcp().0, tcp().0, tcp().0], None, &[]);
    assert!(line.contains("LISTEN_FDNAMES"), "{line}");
    let line = refused(&[tcp().0, tcp().0], Some("http:http"), &[]);
    assert!(line.contains("http"), "{line}");
    let line = refused(&[tcp().0], Some("https"), &[]);
    assert!(line.contains("https") && line.contains("--tls-cert"), "{line}");
}

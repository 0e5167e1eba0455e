//! The kernel's counts against a capture of the same connection: equal to the byte.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use doorbell_wire::{
    Capture, Destroyed, Ended, Ip, MISSING_PRIVILEGE, Opener, Segment, State, TcpCounts, Watched,
    WireCounts,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(10);
/// Connections on which something may be sent twice before the test gives up.
const ATTEMPTS: usize = 10;
/// Set in the child that runs the tests in a network of its own.
const INNER: &str = "DOORBELL_WIRE_TEST_INNER";

/// A capture, or `None` and a line that says why not.
fn capture(port: u16) -> Option<Capture> {
    match Capture::open("lo", &[port]) {
        Ok(capture) => Some(capture),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            println!("skipped: {MISSING_PRIVILEGE}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

struct Pair {
    client: TcpStream,
    server: TcpStream,
    capture: Capture,
    destroyed: Destroyed,
}

impl Pair {
    async fn open(host: &str) -> Option<Self> {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let capture = capture(address.port())?;
        let destroyed = Destroyed::listen().unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (client, server) = (client.unwrap(), server.unwrap().0);
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        Some(Self { client, server, capture, destroyed })
    }

    async fn push(&mut self, bytes: usize) {
        let mut received = vec![0; bytes];
        let sending = vec![7; bytes];
        let (sent, read) =
            tokio::join!(self.server.write_all(&sending), self.client.read_exact(&mut received));
        sent.unwrap();
        read.unwrap();
    }

    async fn upload(&mut self, bytes: usize) {
        self.client.write_all(&vec![7; bytes]).await.unwrap();
        self.server.read_exact(&mut vec![0; bytes]).await.unwrap();
    }
}

/// All segments up to the acknowledgement of both FINs, and nothing behind it.
async fn segments(capture: &mut Capture) -> Vec<Segment> {
    let mut all: Vec<Segment> = Vec::new();
    let acknowledged = |all: &[Segment], fin: &Segment| {
        let end = fin.sequence.wrapping_add(fin.sequence_length());
        all.iter().any(|s| s.source == fin.destination && s.acknowledgement == end)
    };
    loop {
        let fins = all.iter().filter(|segment| segment.flags.fin);
        if fins.clone().count() == 2 && fins.clone().all(|fin| acknowledged(&all, fin)) {
            break;
        }
        all.push(timeout(LIMIT, capture.next()).await.unwrap().unwrap());
    }
    assert_eq!(capture.until_quiet(Duration::from_millis(30)).await.unwrap(), []);
    assert_eq!(capture.dropped().unwrap(), 0);
    all
}

/// What a capture says that one end sent and received.
fn captured(segments: &[Segment], end: SocketAddr) -> WireCounts {
    let mut counts = WireCounts::default();
    for segment in segments {
        let flags = segment.flags;
        let ack = u64::from(segment.payload.is_empty() && !flags.syn && !flags.fin);
        if segment.source == end {
            counts.bytes_out += segment.wire_bytes();
            counts.packets_out += segment.segments;
            counts.acks_out += ack;
        } else {
            counts.bytes_in += segment.wire_bytes();
            counts.packets_in += segment.segments;
            counts.acks_in += ack;
        }
    }
    counts
}

/// The last counts of both ends, as the kernel tells when it frees them.
async fn ended(destroyed: &mut Destroyed, client: SocketAddr) -> (TcpCounts, TcpCounts) {
    let (mut near, mut far) = (None, None);
    while near.is_none() || far.is_none() {
        let Ended { local, peer, counts } =
            timeout(LIMIT, destroyed.next()).await.unwrap().unwrap();
        if local == client {
            near = Some(counts);
        } else if peer == client {
            far = Some(counts);
        }
    }
    (near.unwrap(), far.unwrap())
}

/// Ends the connection and compares what was counted with what was captured. On a machine that has
/// no processor left for a moment a segment may be sent twice, and then the counts are not exact:
/// `false`.
async fn compare(pair: Pair, ip: Ip, client_first: bool) -> bool {
    let Pair { client, server, mut capture, mut destroyed } = pair;
    let address = client.local_addr().unwrap();
    let near = Watched::new(&client, Opener::Active).unwrap();
    let far = Watched::new(&server, Opener::Passive).unwrap();
    drop((client, server));
    let (near, far) = if client_first {
        tokio::join!(near.finish(LIMIT), far.finish(LIMIT))
    } else {
        let (far, near) = tokio::join!(far.finish(LIMIT), near.finish(LIMIT));
        (near, far)
    };
    let (near, far) = (near.unwrap(), far.unwrap());
    assert_eq!((near.state, far.state), (State::Closed, State::Closed));
    let all = segments(&mut capture).await;
    if near.retransmits + far.retransmits > 0 {
        return false;
    }
    let expected = captured(&all, address);
    assert_eq!(near.wire(Opener::Active, ip), expected, "client: {near:?}");
    let mirrored = WireCounts {
        bytes_out: expected.bytes_in,
        bytes_in: expected.bytes_out,
        packets_out: expected.packets_in,
        packets_in: expected.packets_out,
        acks_out: expected.acks_in,
        acks_in: expected.acks_out,
    };
    assert_eq!(far.wire(Opener::Passive, ip), mirrored, "server: {far:?}");
    let (freed_near, freed_far) = ended(&mut destroyed, address).await;
    assert_eq!(freed_near.wire(Opener::Active, ip), expected);
    assert_eq!(freed_far.wire(Opener::Passive, ip), mirrored);
    println!(
        "timestamps {}: {} packets and {} bytes out, {} and {} in: counted as captured",
        near.timestamps,
        expected.packets_out,
        expected.bytes_out,
        expected.packets_in,
        expected.bytes_in
    );
    true
}

async fn exchange(host: &str, ip: Ip, client_first: bool) {
    for _ in 0..ATTEMPTS {
        let Some(mut pair) = Pair::open(host).await else {
            return;
        };
        for _ in 0..20 {
            pair.push(100).await;
        }
        pair.upload(30).await;
        pair.push(200_000).await;
        if compare(pair, ip, client_first).await {
            return;
        }
    }
    panic!("something was sent twice on each of {ATTEMPTS} connections");
}

#[tokio::test]
async fn over_ipv4_when_the_client_ends_it() {
    exchange("127.0.0.1", Ip::V4, true).await;
}

#[tokio::test]
async fn over_ipv4_when_the_server_ends_it() {
    exchange("127.0.0.1", Ip::V4, false).await;
}

#[tokio::test]
async fn over_ipv6() {
    if TcpListener::bind("[::1]:0").await.is_err() {
        println!("skipped: no IPv6 on this machine");
        return;
    }
    exchange("::1", Ip::V6, true).await;
}

#[tokio::test]
async fn a_connection_on_which_nothing_was_said() {
    if let Some(pair) = Pair::open("127.0.0.1").await {
        assert!(compare(pair, Ip::V4, true).await, "something was sent twice");
    }
}

/// Runs the tests above once more in a network of their own, made by this script.
fn in_a_network_with(setup: &str) {
    if std::env::var_os(INNER).is_some() {
        return;
    }
    let script = format!("ip link set lo up && {setup} && exec \"$0\" over_ a_connection");
    let output = Command::new("unshare")
        .args(["-rn", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(INNER, "1")
        .output();
    match output {
        Ok(output) if output.status.success() => {
            assert!(String::from_utf8_lossy(&output.stdout).contains("4 passed"), "{output:?}");
        }
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("running") => {
            panic!("{}", String::from_utf8_lossy(&output.stdout));
        }
        Ok(output) => println!(
            "skipped: no network namespace of its own: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) => println!("skipped: no network namespace of its own: unshare: {error}"),
    }
}

#[test]
fn without_timestamps() {
    in_a_network_with("echo 0 > /proc/sys/net/ipv4/tcp_timestamps");
}

#[test]
fn on_a_network_like_ethernet() {
    in_a_network_with("ip link set lo mtu 1500 gso_max_segs 1");
}

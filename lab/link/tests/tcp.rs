//! Connections over a relay, and the times that they take.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};

use doorbell_link::{Link, Relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(10);
/// How long a machine may be too busy to show what the link itself takes.
const PATIENCE: Duration = Duration::from_secs(20);

async fn relay(link: &str) -> (Relay, TcpListener) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = Link::parse(link).unwrap();
    let relay = Relay::tcp(link, server.local_addr().unwrap(), 1).await.unwrap();
    (relay, server)
}

async fn pair(link: &str) -> (Relay, TcpStream, TcpStream) {
    let (relay, server) = relay(link).await;
    let client = TcpStream::connect(relay.local_addr()).await.unwrap();
    let server = timeout(LIMIT, server.accept()).await.unwrap().unwrap().0;
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    (relay, client, server)
}

async fn exchange(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"ping").await.unwrap();
    timeout(LIMIT, to.read_exact(&mut [0; 4])).await.unwrap().unwrap();
}

/// Whether more must be measured: a busy machine delays one or the other, but not all for so
/// long.
fn is_unproven(times: &[Duration], most: Duration, end: Instant) -> bool {
    times.len() < 7 || (times.iter().all(|time| *time >= most) && Instant::now() < end)
}

/// All take so long at least, and the quickest not as long as this.
fn assert_between(times: &[Duration], least: Duration, most: Duration) {
    assert!(times.iter().all(|time| *time >= least), "{times:?}");
    assert!(times.iter().any(|time| *time < most), "{times:?}");
}

#[tokio::test]
async fn nothing_passes_in_the_dark_and_all_of_it_afterwards() {
    let (relay, mut client, mut server) = pair("delay 1ms").await;
    exchange(&mut client, &mut server).await;
    relay.set_dark(true);
    client.write_all(b"ping").await.unwrap();
    let nothing = timeout(Duration::from_millis(100), server.read_exact(&mut [0; 4])).await;
    assert!(nothing.is_err(), "{nothing:?}");
    relay.set_dark(false);
    timeout(LIMIT, server.read_exact(&mut [0; 4])).await.unwrap().unwrap();
    exchange(&mut server, &mut client).await;
}

#[tokio::test]
async fn a_round_trip_takes_twice_the_delay() {
    let (_relay, mut client, mut server) = pair("delay 10ms").await;
    let (least, most) = (Duration::from_millis(20), Duration::from_millis(23));
    let (mut times, end) = (Vec::new(), Instant::now() + PATIENCE);
    while is_unproven(&times, most, end) {
        let begin = Instant::now();
        exchange(&mut client, &mut server).await;
        exchange(&mut server, &mut client).await;
        times.push(begin.elapsed());
    }
    assert_between(&times, least, most);
}

#[tokio::test]
async fn a_handshake_costs_a_round_trip() {
    let (relay, server) = relay("delay 10ms").await;
    // SYN, SYN-ACK, and a round trip with the ACK or the request.
    let (least, most) = (Duration::from_millis(40), Duration::from_millis(45));
    let mut clients = 0;
    for is_greeting in [true, false] {
        let (mut times, end) = (Vec::new(), Instant::now() + PATIENCE);
        while is_unproven(&times, most, end) {
            let begin = Instant::now();
            let mut client = TcpStream::connect(relay.local_addr()).await.unwrap();
            if !is_greeting {
                client.write_all(b"ping").await.unwrap();
            }
            let mut server = timeout(LIMIT, server.accept()).await.unwrap().unwrap().0;
            if !is_greeting {
                server.read_exact(&mut [0; 4]).await.unwrap();
            }
            exchange(&mut server, &mut client).await;
            times.push(begin.elapsed());
            clients += 1;
        }
        assert_between(&times, least, most);
    }
    assert_eq!(relay.passed().clients, clients);
}

#[tokio::test]
async fn a_rate_is_kept_and_so_are_order_and_end() {
    // 400,000 bytes and 277 headers at a megabyte a second.
    let (least, most) = (Duration::from_millis(414), Duration::from_millis(500));
    let (mut times, end) = (Vec::new(), Instant::now() + PATIENCE);
    while times.is_empty() || times.last() >= Some(&most) && Instant::now() < end {
        times.push(transfer().await);
    }
    assert_between(&times, least, most);
}

async fn transfer() -> Duration {
    let (_relay, mut client, mut server) = pair("delay 5ms rate 8mbit").await;
    let sent: Vec<u8> = (0..400_000_u32).map(|n| (n % 251) as u8).collect();
    let begin = Instant::now();
    let sending = async {
        server.write_all(&sent).await.unwrap();
        server.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let receiving = timeout(LIMIT, client.read_to_end(&mut received));
    let ((), outcome) = tokio::join!(sending, receiving);
    outcome.unwrap().unwrap();
    let time = begin.elapsed();
    assert_eq!(received, sent);
    // The other direction is still open.
    client.write_all(b"bye").await.unwrap();
    drop(client);
    let mut rest = Vec::new();
    timeout(LIMIT, server.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, b"bye");
    time
}

#[tokio::test]
async fn without_a_rate_much_is_under_way_at_once() {
    let (_relay, mut client, mut server) = pair("delay 20ms jitter 10ms").await;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let sending = async {
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let receiving = timeout(LIMIT, server.read_to_end(&mut received));
    let ((), outcome) = tokio::join!(sending, receiving);
    outcome.unwrap().unwrap();
    assert!(received == sent);
}

#[tokio::test]
async fn a_reader_that_stops_makes_the_sender_wait() {
    let (_relay, client, mut server) = pair("delay 1ms rate 1gbit").await;
    let chunk = vec![7; 1 << 20];
    let mut written = 0;
    // Kernel buffers at four ends, and the relay's room in between.
    while let Ok(outcome) = timeout(Duration::from_millis(200), server.write(&chunk)).await {
        written += outcome.unwrap();
        assert!(written < 64 << 20, "it takes everything");
    }
    drop(client);
}

#[tokio::test]
async fn nothing_is_left_when_the_relay_is_dropped() {
    let (relay, mut client, mut server) = pair("delay 5ms").await;
    exchange(&mut client, &mut server).await;
    let address = relay.local_addr();
    drop(relay);
    for stream in [&mut client, &mut server] {
        let read = timeout(LIMIT, stream.read(&mut [0; 1])).await.unwrap();
        assert!(matches!(read, Ok(0) | Err(_)));
    }
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_not_there_ends_the_connection() {
    let (relay, server) = relay("delay 1ms").await;
    drop(server);
    let mut client = TcpStream::connect(relay.local_addr()).await.unwrap();
    let read = timeout(LIMIT, client.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));
    let udp_only = Link::parse("loss 1%").unwrap();
    assert!(Relay::tcp(udp_only, relay.local_addr(), 1).await.is_err());
}

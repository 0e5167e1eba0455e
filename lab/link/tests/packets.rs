//! The kernel's TCP over a link of packets, in networks of this process's own.
//!
//! A program of its own and not one of the harness, whose threads would be in the way: only a
//! process of one thread can move to another network.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use doorbell_link::{Flow, Link, Mishaps, PacketLink, Passing};
use doorbell_wire::{
    Capture, ETHERNET_MTU, MISSING_NAMESPACE, Namespace, Segment, SplitNetwork, WireCounts,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Handle};
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_secs(60);
/// How often something is tried that a busy machine may spoil.
const ATTEMPTS: usize = 10;
/// After this long without a segment nothing more comes.
const QUIET: Duration = Duration::from_millis(700);

type Check = (&'static str, fn());

const CHECKS: &[Check] = &[
    (
        "a_handshake_takes_three_ways_and_a_long_message_on_a_new_connection_as_many",
        a_handshake_takes_three_ways_and_a_long_message_on_a_new_connection_as_many,
    ),
    (
        "segments_that_are_lost_are_sent_again_and_all_is_counted_as_it_is_captured",
        segments_that_are_lost_are_sent_again_and_all_is_counted_as_it_is_captured,
    ),
    (
        "as_many_datagrams_are_lost_as_was_asked_for_and_the_rest_keeps_its_order",
        as_many_datagrams_are_lost_as_was_asked_for_and_the_rest_keeps_its_order,
    ),
    ("what_follows_a_lost_segment_waits_for_it", what_follows_a_lost_segment_waits_for_it),
    ("a_rate_is_kept_and_a_full_queue_drops", a_rate_is_kept_and_a_full_queue_drops),
    (
        "in_the_dark_nothing_passes_and_tcp_comes_back_by_its_own_timer",
        in_the_dark_nothing_passes_and_tcp_comes_back_by_its_own_timer,
    ),
];

/// Says what the harness would say, in the words that are counted.
fn main() -> ExitCode {
    match SplitNetwork::enter() {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            println!("---- packets stdout ----\nskipped: {MISSING_NAMESPACE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => panic!("{error}"),
    }
    let wanted = wanted();
    let mut outcomes = Vec::new();
    for (name, check) in CHECKS {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            let holds = catch_unwind(check).is_ok();
            println!("test {name} ... {}", if holds { "ok" } else { "FAILED" });
            outcomes.push(holds);
        }
    }
    let passed = outcomes.iter().filter(|holds| **holds).count();
    let failed = outcomes.len() - passed;
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed;");
    ExitCode::from(u8::from(failed > 0))
}

/// The parts of names that were given; what else is there is for the harness.
fn wanted() -> Vec<String> {
    let mut words = std::env::args().skip(1);
    let mut wanted = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--skip" | "--test-threads" | "--format" | "--color" => drop(words.next()),
            _ if word.starts_with('-') => {}
            _ => wanted.push(word),
        }
    }
    wanted
}

/// A link, and the server's side of it.
struct Setup {
    link: PacketLink,
    beyond: Namespace,
}

/// Does something in two new networks with such a link between them.
fn over<T>(link: &str, seed: u64, work: impl AsyncFnOnce(&Setup) -> T) -> T {
    let SplitNetwork { client, server, beyond } = SplitNetwork::enter().unwrap();
    let link = PacketLink::start(Link::parse(link).unwrap(), client, server, seed).unwrap();
    let setup = Setup { link, beyond };
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async { timeout(LIMIT, work(&setup)).await });
    outcome.expect("all of it takes less than a minute")
}

impl Setup {
    /// Makes something that needs the runtime on the server's side.
    fn there<T: Send>(&self, make: impl FnOnce() -> io::Result<T> + Send) -> T {
        let runtime = Handle::current();
        let outcome = self.beyond.run(|| {
            let _inside = runtime.enter();
            make()
        });
        outcome.unwrap().unwrap()
    }

    fn listen(&self) -> TcpListener {
        self.there(|| {
            let listener = std::net::TcpListener::bind((SplitNetwork::SERVER, 0))?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
    }

    async fn connect(&self, listener: &TcpListener) -> (TcpStream, TcpStream) {
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(connecting, listener.accept());
        let (near, far) = (near.unwrap(), far.unwrap().0);
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        (near, far)
    }
}

/// How long so many bytes take from one end to the other.
async fn transfer(from: &mut TcpStream, to: &mut TcpStream, bytes: usize) -> Duration {
    let sending: Vec<u8> = (0..bytes).map(|at| at.to_le_bytes()[0]).collect();
    let mut received = vec![0; bytes];
    let began = Instant::now();
    let (sent, read) = tokio::join!(from.write_all(&sending), to.read_exact(&mut received));
    sent.unwrap();
    read.unwrap();
    assert!(received == sending, "what arrives is what was sent");
    began.elapsed()
}

/// Says that something is not as it should be, which a busy machine may do a few times.
fn in_the_end(mut attempt: impl FnMut() -> Result<(), String>) {
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        match attempt() {
            Ok(()) => return,
            Err(reason) => last = reason,
        }
    }
    panic!("each of {ATTEMPTS} attempts failed, the last: {last}");
}

fn a_handshake_takes_three_ways_and_a_long_message_on_a_new_connection_as_many() {
    in_the_end(|| {
        let (opened, fresh, kept) = over("delay 40ms", 1, async |setup| {
            let listener = setup.listen();
            let began = Instant::now();
            let (mut near, mut far) = setup.connect(&listener).await;
            let opened = began.elapsed();
            // Fourteen segments, of which a new connection may send ten.
            let fresh = transfer(&mut far, &mut near, 20_000).await;
            for _ in 0..3 {
                transfer(&mut far, &mut near, 20_000).await;
            }
            (opened, fresh, transfer(&mut far, &mut near, 20_000).await)
        });
        let ms = Duration::from_millis;
        // No machine is too quick. The server has the connection when the client's answer is there.
        assert!(
            opened >= ms(120) && fresh >= ms(120) && kept >= ms(40),
            "{opened:?} {fresh:?} {kept:?}"
        );
        let is_prompt = opened < ms(160) && fresh < ms(160) && kept < ms(80);
        if is_prompt { Ok(()) } else { Err(format!("{opened:?} {fresh:?} {kept:?}")) }
    });
}

/// What was captured of a connection, as its client saw it.
fn captured(out: &[Segment], back: &[Segment]) -> WireCounts {
    let acks = |all: &[Segment]| {
        all.iter().filter(|one| one.sequence_length() == 0 && !one.flags.rst).count() as u64
    };
    let bytes = |all: &[Segment]| all.iter().map(Segment::wire_bytes).sum();
    WireCounts {
        bytes_out: bytes(out),
        bytes_in: bytes(back),
        packets_out: out.len() as u64,
        packets_in: back.len() as u64,
        acks_out: acks(out),
        acks_in: acks(back),
    }
}

fn segments_that_are_lost_are_sent_again_and_all_is_counted_as_it_is_captured() {
    in_the_end(|| {
        let (flow, out, back) =
            over("delay 5ms loss 5% reorder 2% duplicate 1%", 3, async |setup| {
                let listener = setup.listen();
                let address = listener.local_addr().unwrap();
                let mut here = Capture::open_sent(&[address.port()]).unwrap();
                let mut there = setup.there(|| Capture::open_sent(&[address.port()]));
                let (mut near, mut far) = setup.connect(&listener).await;
                let local = near.local_addr().unwrap();
                transfer(&mut far, &mut near, 300_000).await;
                transfer(&mut near, &mut far, 30_000).await;
                drop(near);
                assert_eq!(far.read(&mut [0; 1]).await.unwrap(), 0);
                drop(far);
                let (out, back) = tokio::join!(here.until_quiet(QUIET), there.until_quiet(QUIET));
                assert_eq!((here.dropped().unwrap(), there.dropped().unwrap()), (0, 0));
                let flow = setup.link.flows().connection(local, address).unwrap();
                (flow, out.unwrap(), back.unwrap())
            });
        let Mishaps { lost_out, lost_in, again_out, again_in } = flow.mishaps();
        // Some 210 segments of the server with data, 25 of the client, and acknowledgements.
        assert!((1..=40).contains(&lost_in) && again_in > 0, "{lost_in} {again_in}");
        assert!(lost_out <= 30 && again_out <= again_in, "{lost_out} {again_out}");
        let largest = out.iter().chain(&back).map(Segment::wire_bytes).max();
        assert_eq!(largest, Some(ETHERNET_MTU.into()));
        let captured = captured(&out, &back);
        // The last may have come while the capture was already at rest.
        if captured == flow.wire() {
            Ok(())
        } else {
            Err(format!("{captured:?} {:?}", flow.wire()))
        }
    });
}

fn as_many_datagrams_are_lost_as_was_asked_for_and_the_rest_keeps_its_order() {
    const COUNT: u32 = 4000;
    let received = over("delay 5ms jitter 4ms loss 5%", 3, async |setup| {
        let server = setup.there(|| {
            let socket = StdUdpSocket::bind((SplitNetwork::SERVER, 0))?;
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket)
        });
        let address = server.local_addr().unwrap();
        let client = UdpSocket::bind((SplitNetwork::CLIENT, 0)).await.unwrap();
        client.connect(address).await.unwrap();
        let flow = setup.link.flows().datagrams(client.local_addr().unwrap(), address).unwrap();
        let mut received = Vec::new();
        for number in 0..COUNT {
            client.send(&number.to_be_bytes()).await.unwrap();
            if number % 50 == 49 {
                take(&server, Duration::from_millis(20), &mut received).await;
            }
        }
        take(&server, Duration::from_millis(200), &mut received).await;
        let wire = flow.wire();
        assert_eq!((wire.packets_out, wire.bytes_out), (COUNT.into(), u64::from(COUNT) * 32));
        assert_eq!(flow.mishaps().lost_out + received.len() as u64, u64::from(COUNT));
        received
    });
    assert!(received.is_sorted(), "jitter alone lets nothing overtake");
    let lost = f64::from(COUNT) - f64::from(u32::try_from(received.len()).unwrap());
    let (expected, deviation) = (f64::from(COUNT) * 0.05, (f64::from(COUNT) * 0.05 * 0.95).sqrt());
    assert!(
        (lost - expected).abs() < 4.0 * deviation,
        "{lost} lost, {expected} ± {deviation} expected"
    );
}

/// Takes what comes until it is quiet.
async fn take(socket: &UdpSocket, quiet: Duration, into: &mut Vec<u32>) {
    let mut buffer = [0; 4];
    while let Ok(length) = timeout(quiet, socket.recv(&mut buffer)).await {
        assert_eq!(length.unwrap(), 4);
        into.push(u32::from_be_bytes(buffer));
    }
}

fn what_follows_a_lost_segment_waits_for_it() {
    const COUNT: u64 = 300;
    let step = Duration::from_millis(5);
    let (late, lost) = over("delay 20ms loss 3%", 5, async |setup| {
        let listener = setup.listen();
        let (mut near, mut far) = setup.connect(&listener).await;
        let flow = setup.link.flows();
        let flow: std::sync::Arc<Flow> =
            flow.connection(near.local_addr().unwrap(), near.peer_addr().unwrap()).unwrap();
        let began = Instant::now();
        let sending = async {
            for number in 0..COUNT {
                sleep((step * u32::try_from(number).unwrap()).saturating_sub(began.elapsed()))
                    .await;
                let sent = u64::try_from(began.elapsed().as_micros()).unwrap();
                far.write_all(&sent.to_be_bytes()).await.unwrap();
            }
        };
        let receiving = async {
            let mut late = Vec::new();
            for _ in 0..COUNT {
                let sent = Duration::from_micros(near.read_u64().await.unwrap());
                late.push(began.elapsed().saturating_sub(sent));
            }
            late
        };
        let ((), late) = tokio::join!(sending, receiving);
        (late, flow.mishaps().lost_in)
    });
    // One way at least, and a lost one three of them: it is missed when the next acknowledges.
    assert!(late.iter().all(|late| *late >= Duration::from_millis(20)), "{late:?}");
    let waited = late.iter().filter(|late| **late >= Duration::from_millis(55)).count() as u64;
    assert!(lost > 0 && waited >= lost, "{lost} lost, {waited} of {COUNT} waited");
    // Nearly all that follow within a round trip wait with it.
    assert!(waited >= 3 * lost, "{lost} lost, {waited} of {COUNT} waited");
}

fn a_rate_is_kept_and_a_full_queue_drops() {
    let (took, lost) = over("delay 1ms rate 8mbit", 1, async |setup| {
        let listener = setup.listen();
        let (mut near, mut far) = setup.connect(&listener).await;
        let took = transfer(&mut far, &mut near, 1_000_000).await;
        let client = UdpSocket::bind((SplitNetwork::CLIENT, 0)).await.unwrap();
        let server: SocketAddr = (SplitNetwork::SERVER, 9).into();
        let flow = setup.link.flows().datagrams(client.local_addr().unwrap(), server).unwrap();
        for _ in 0..400 {
            client.send_to(&[0; 972], server).await.unwrap();
        }
        while flow.wire().packets_out < 400 {
            sleep(Duration::from_millis(5)).await;
        }
        (took, flow.mishaps().lost_out)
    });
    // A million bytes with their headers, a microsecond each, less what the socket has read of
    // them.
    assert!(took >= Duration::from_millis(1030), "{took:?}");
    // The queue has 256 KiB, and the line took some meanwhile.
    assert!((1..=138).contains(&lost), "{lost}");
}

fn in_the_dark_nothing_passes_and_tcp_comes_back_by_its_own_timer() {
    over("delay 5ms", 1, async |setup| {
        let listener = setup.listen();
        let (mut near, mut far) = setup.connect(&listener).await;
        transfer(&mut far, &mut near, 100).await;
        let ends = (near.local_addr().unwrap(), near.peer_addr().unwrap());
        let flow = setup.link.flows().connection(ends.0, ends.1).unwrap();
        setup.link.let_pass(Passing::Nothing);
        far.write_all(b"ping").await.unwrap();
        let nothing = timeout(Duration::from_millis(300), near.read_exact(&mut [0; 4])).await;
        assert!(nothing.is_err(), "{nothing:?}");
        let again = flow.mishaps().again_in;
        assert!(again > 0, "it was sent again in the dark");
        setup.link.let_pass(Passing::AsSet);
        near.read_exact(&mut [0; 4]).await.unwrap();
        assert!(flow.mishaps().again_in > again);
        // Where everything passes at once, an exchange takes less than one way did.
        setup.link.let_pass(Passing::AtOnce);
        let began = Instant::now();
        for _ in 0..100 {
            transfer(&mut far, &mut near, 10).await;
            transfer(&mut near, &mut far, 10).await;
        }
        assert!(began.elapsed() < Duration::from_millis(5) * 200, "{:?}", began.elapsed());
    });
}

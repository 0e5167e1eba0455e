//! Datagrams over a relay: late, lost, twice, and overtaken.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};

use doorbell_link::{Link, Passed, Relay};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(10);
/// How long a machine may be too busy to show what the link itself takes.
const PATIENCE: Duration = Duration::from_secs(20);
const DATAGRAMS: u32 = 2000;
/// So many are sent before some are received, or the kernel's buffers overflow.
const BURST: u32 = 50;

async fn ends(link: &str) -> (Relay, UdpSocket, UdpSocket) {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let link = Link::parse(link).unwrap();
    let relay = Relay::udp(link, server.local_addr().unwrap(), 7).await.unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(relay.local_addr()).await.unwrap();
    (relay, client, server)
}

/// Sends numbered datagrams and returns the numbers that arrive, in their order. The last one
/// of each burst is sent until it is there, and not returned.
async fn send(client: &UdpSocket, server: &UdpSocket) -> Vec<u32> {
    let mut received = Vec::new();
    for burst in 0..DATAGRAMS / BURST {
        for number in burst * BURST..(burst + 1) * BURST {
            client.send(&number.to_be_bytes()).await.unwrap();
        }
        let end = u32::MAX - burst;
        'burst: loop {
            client.send(&end.to_be_bytes()).await.unwrap();
            let mut bytes = [0; 4];
            // Long enough for what is held back.
            while let Ok(length) = timeout(Duration::from_millis(30), server.recv(&mut bytes)).await
            {
                assert_eq!(length.unwrap(), 4);
                match u32::from_be_bytes(bytes) {
                    number if number == end => break 'burst,
                    number if number < DATAGRAMS => received.push(number),
                    _ => {}
                }
            }
        }
    }
    // What was held back in the last burst.
    let mut bytes = [0; 4];
    while timeout(Duration::from_millis(30), server.recv(&mut bytes)).await.is_ok() {
        let number = u32::from_be_bytes(bytes);
        received.extend((number < DATAGRAMS).then_some(number));
    }
    received
}

#[tokio::test]
async fn the_shares_are_those_asked_for() {
    let (relay, client, server) = ends("loss 10% reorder 5% duplicate 4%").await;
    let received = send(&client, &server).await;
    let mut distinct = received.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let lost = u64::from(DATAGRAMS) - distinct.len() as u64;
    let Passed { lost: counted, reordered, duplicated, overflowed, datagrams, .. } = relay.passed();
    assert_eq!(overflowed, 0);
    // Expected 200, standard deviation 13.4: four of them.
    assert!(lost.abs_diff(200) < 54, "{lost} lost");
    assert!(counted >= lost);
    // 5 % and 4 % of all that were not lost; standard deviations 10 and 9.
    let kept = datagrams - counted;
    assert!(reordered.abs_diff(kept / 20) < 40, "{reordered} of {kept} reordered");
    assert!(duplicated.abs_diff(kept / 25) < 36, "{duplicated} of {kept} doubled");
    let mut highest = 0;
    let is_overtaken = |number: &&u32| {
        highest = highest.max(**number);
        **number < highest
    };
    let overtaken = received.iter().filter(is_overtaken).count() as u64;
    // Some of those held back were doubled, some had nobody behind them.
    assert!(overtaken.abs_diff(reordered) < 30, "{overtaken} of {reordered} overtaken");
    assert!(received.len() > distinct.len());
}

#[tokio::test]
async fn without_mishaps_all_come_in_order_and_late() {
    let (_relay, client, server) = ends("delay 10ms jitter 3ms").await;
    let (mut times, end) = (Vec::new(), Instant::now() + PATIENCE);
    // With the jitter some take less than twice the delay; a busy machine may hide that a while.
    let is_quick = |time: &f64| *time < 20.0;
    for number in 0_u32.. {
        if number >= 40 && (times.iter().any(is_quick) || Instant::now() >= end) {
            break;
        }
        let begin = Instant::now();
        client.send(&number.to_be_bytes()).await.unwrap();
        let mut bytes = [0; 4];
        let (_, from) = timeout(LIMIT, server.recv_from(&mut bytes)).await.unwrap().unwrap();
        assert_eq!(u32::from_be_bytes(bytes), number);
        server.send_to(&bytes, from).await.unwrap();
        timeout(LIMIT, client.recv(&mut bytes)).await.unwrap().unwrap();
        assert_eq!(u32::from_be_bytes(bytes), number);
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    assert!(times.iter().all(|time| *time >= 14.0), "{times:?}");
    assert!(times.iter().any(is_quick), "{times:?}");
    times.sort_by(f64::total_cmp);
    assert!(times[times.len() / 2] >= 18.0, "{times:?}");
    let received = send(&client, &server).await;
    assert_eq!(received, (0..DATAGRAMS).collect::<Vec<_>>());
}

#[tokio::test]
async fn two_clients_get_their_own_answers_and_a_dropped_relay_is_silent() {
    let (relay, one, server) = ends("delay 1ms").await;
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    other.connect(relay.local_addr()).await.unwrap();
    for (client, text) in [(&one, b"one"), (&other, b"two"), (&one, b"six")] {
        client.send(text).await.unwrap();
        let mut bytes = [0; 3];
        let (_, from) = timeout(LIMIT, server.recv_from(&mut bytes)).await.unwrap().unwrap();
        server.send_to(&bytes, from).await.unwrap();
        timeout(LIMIT, client.recv(&mut bytes)).await.unwrap().unwrap();
        assert_eq!(&bytes, text);
    }
    assert_eq!(relay.passed().clients, 2);
    let address = relay.local_addr();
    drop(relay);
    // The port is free again as soon as the runtime has dropped the tasks.
    let again = async {
        while UdpSocket::bind(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, again).await.unwrap();
}

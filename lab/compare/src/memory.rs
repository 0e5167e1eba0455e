//! Memory of subscribers that wait: of the server's process, and of the kernel for their sockets.

use std::time::Duration;

use doorbell::{Filter, Server, Transport};
use doorbell_instruments::Failure;
use doorbell_protocol::Family;
use serde::Serialize;
use tokio::time::sleep;

use crate::contender::{Contender, Places};
use crate::figure::float;
use crate::idle_subscribers::{IdleSubscribers, REST, fresh_topic};
use crate::slab::{SOURCE, Slabs};
use crate::usage::Usage;
use crate::way::Way;

/// Subscribers whose memory is measured, of each way.
const SUBSCRIBERS: usize = 100;
/// Subscribers that come first and take the room that others have left.
const FIRST: usize = 100;
/// How far the sockets that came may be from those that were opened, as a share of them, if nobody
/// else opens or closes any. The kernel itself counts some late.
const SOCKETS_AWAY: f64 = 0.15;
/// From one poll to the next: none while it is measured but the first.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Memory for each subscriber that waits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Of the server's process.
    pub(crate) resident_bytes: Option<f64>,
    /// Of the kernel, for both ends of each connection.
    pub(crate) kernel_bytes: Option<f64>,
}

/// Where the kernel's figures are from, or why there are none.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct KernelSource {
    pub(crate) source: Option<&'static str>,
    /// Client and server are on one machine, so both sockets of a connection are counted.
    pub(crate) ends: u32,
    /// Why there is no figure, or not of all ways.
    pub(crate) missing: Option<String>,
}

impl KernelSource {
    /// Nothing is measured.
    pub(crate) fn missing(reason: impl Into<String>) -> Self {
        Self { missing: Some(reason.into()), ..Self::default() }
    }
}

/// Measures these ways against a server of this machine. All stay until the last is measured, so
/// that none takes the room that another has left.
pub(crate) async fn measure(
    ways: &[Way],
    server: &Server,
    places: &Places,
) -> Result<(Vec<Memory>, KernelSource), Failure> {
    let mut kernel = match Slabs::read() {
        Ok(_) => KernelSource { source: Some(SOURCE), ends: 2, missing: None },
        Err(error) => KernelSource::missing(format!("{SOURCE}: {error}")),
    };
    // What was measured before has to be gone, and what it left to be taken.
    sleep(REST).await;
    let first = if places.tcp.is_some() { Way::TCP } else { Way::Best(Transport::Sse) };
    let mut crowds = vec![open(first, FIRST, places).await?];
    let mut measured = Vec::new();
    for way in ways {
        // A poll on a new connection leaves nothing behind.
        if *way == Way::PollNew {
            measured.push(Memory::default());
            continue;
        }
        let resident = async || Usage::of(server).await.and_then(|usage| usage.resident_bytes);
        let (before, slabs) = (resident().await, Slabs::read().ok());
        crowds.push(open(*way, SUBSCRIBERS, places).await?);
        let (after, slabs) = (resident().await, slabs.zip(Slabs::read().ok()));
        let count = SUBSCRIBERS as u64;
        let grown = before.zip(after).map(|(before, after)| after.saturating_sub(before));
        let kernel_bytes = slabs.and_then(|(before, after)| {
            let away = after.sockets_since(&before, count) / sockets(*way) - 1.0;
            (away.abs() <= SOCKETS_AWAY).then(|| after.grown_since(&before, count))
        });
        if kernel_bytes.is_none() && kernel.source.is_some() {
            kernel.missing = Some("others opened or closed sockets at the time".to_owned());
        }
        measured.push(Memory {
            resident_bytes: grown.map(|grown| float(grown) / float(count)),
            kernel_bytes,
        });
    }
    Ok((measured, kernel))
}

/// Sockets of a subscriber: its own and, but for datagrams, the server's for it alone.
fn sockets(way: Way) -> f64 {
    if way.transport() == Transport::Udp { 1.0 } else { 2.0 }
}

async fn open(way: Way, count: usize, places: &Places) -> Result<IdleSubscribers, Failure> {
    let interval = (way.family() == Family::Poll).then_some(INTERVAL);
    let contender = Contender { way, interval };
    let filter = Filter::from(fresh_topic()?);
    let subscription = |_| contender.subscribe(places, filter.clone());
    IdleSubscribers::connect((0..count).map(subscription).collect::<Result<_, _>>()?).await
}

//! Memory of subscribers that wait: of the server's process, and of the kernel for their sockets.

use std::time::Duration;

use doorbell::{Filter, Server, Transport};
use doorbell_instruments::Failure;
use doorbell_protocol::Family;
use serde::Serialize;
use tokio::time::sleep;

use crate::contender::{Contender, Places};
use crate::figure::{float, float_of};
use crate::idle_subscribers::{IdleSubscribers, REST, fresh_topic};
use crate::line::Estimate;
use crate::slab::{SOURCE, Slabs};
use crate::usage::Usage;
use crate::way::Way;

/// Subscribers whose memory is measured at a time, of each way, and how often that is done: from
/// how far the times are apart follows how sure their mean is.
const SUBSCRIBERS: usize = 60;
const TIMES: usize = 3;
/// Subscribers that come first and take the room that others have left.
const FIRST: usize = 100;
/// How far the sockets that came may be from those that were opened, as a share of them, if nobody
/// else opens or closes any. The kernel itself counts some late.
const SOCKETS_AWAY: f64 = 0.15;
/// From one poll to the next: none while it is measured but the first.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Memory for each subscriber that waits, and one standard error of it.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Memory {
    /// Of the server's process.
    #[serde(rename = "resident_bytes_per_subscriber")]
    resident_bytes: Option<f64>,
    #[serde(rename = "resident_bytes_per_subscriber_error")]
    resident_error: Option<f64>,
    /// Of the kernel, for both ends of each connection.
    #[serde(rename = "kernel_bytes_per_subscriber")]
    kernel_bytes: Option<f64>,
    #[serde(rename = "kernel_bytes_per_subscriber_error")]
    kernel_error: Option<f64>,
}

impl Memory {
    fn new(resident: Option<Estimate>, kernel: Option<Estimate>) -> Self {
        Self {
            resident_bytes: resident.map(|estimate| estimate.value),
            resident_error: resident.map(|estimate| estimate.error),
            kernel_bytes: kernel.map(|estimate| estimate.value),
            kernel_error: kernel.map(|estimate| estimate.error),
        }
    }

    /// Of the server's process.
    pub(crate) fn resident(&self) -> Option<Estimate> {
        estimate(self.resident_bytes, self.resident_error)
    }

    /// Of the kernel, for both ends of each connection.
    pub(crate) fn kernel(&self) -> Option<Estimate> {
        estimate(self.kernel_bytes, self.kernel_error)
    }
}

fn estimate(value: Option<f64>, error: Option<f64>) -> Option<Estimate> {
    value.zip(error).map(|(value, error)| Estimate { value, error })
}

/// Where the kernel's figures are from, or why there are none.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
        if way.connects_anew() {
            measured.push(Memory::default());
            continue;
        }
        let count = SUBSCRIBERS as u64;
        let (mut resident, mut slabs) = (Vec::new(), vec![Slabs::read().ok()]);
        for _ in 0..TIMES {
            let before = resident_bytes(server).await;
            crowds.push(open(*way, SUBSCRIBERS, places).await?);
            let grown = before.zip(resident_bytes(server).await);
            let grown = grown.map(|(before, after)| after.saturating_sub(before));
            resident.extend(grown.map(|grown| float(grown) / float(count)));
            slabs.push(Slabs::read().ok());
        }
        let grown = slabs.windows(2).filter_map(|pair| {
            let (before, after) = (pair[0].as_ref()?, pair[1].as_ref()?);
            let away = after.sockets_since(before, count) / sockets(*way) - 1.0;
            (away.abs() <= SOCKETS_AWAY).then(|| after.grown_since(before, count))
        });
        let grown: Vec<f64> = grown.collect();
        // A time at which others opened or closed sockets is left out.
        let kernel_bytes = if grown.len() > TIMES / 2 { mean(&grown) } else { None };
        if kernel_bytes.is_none() && kernel.source.is_some() {
            kernel.missing = Some("others opened or closed sockets at the time".to_owned());
        }
        measured.push(Memory::new(mean(&resident), kernel_bytes));
    }
    Ok((measured, kernel))
}

async fn resident_bytes(server: &Server) -> Option<u64> {
    Usage::of(server).await.and_then(|usage| usage.resident_bytes)
}

/// The mean of some figures, and how sure it is from how far they are apart.
fn mean(values: &[f64]) -> Option<Estimate> {
    let count = float_of(values.len());
    let value = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|each| (each - value).powi(2)).sum();
    let error = (squares / (count - 1.0) / count).sqrt();
    (values.len() > 1).then_some(Estimate { value, error })
}

/// Sockets of a subscriber: its own and, but for datagrams, the server's for it alone.
fn sockets(way: Way) -> f64 {
    if way.transport() == Transport::Udp { 1.0 } else { 2.0 }
}

async fn open(way: Way, count: usize, places: &Places) -> Result<IdleSubscribers, Failure> {
    let interval = (way.family() == Family::Poll).then_some(INTERVAL);
    let contender = Contender { interval, ..way.into() };
    let filter = Filter::from(fresh_topic()?);
    let subscription = |_| contender.subscribe(places, filter.clone());
    let subscriptions = (0..count).map(subscription).collect::<Result<_, _>>()?;
    IdleSubscribers::connect(places, subscriptions).await
}

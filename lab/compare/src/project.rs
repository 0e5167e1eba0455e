//! What many clients would cost: what was measured of some, on a line through three numbers of them
//! for what grows, and multiplied for what each has to itself. A projection, not a measurement.

use serde::Serialize;

use crate::figure::float;
use crate::line::{Estimate, Line};
use crate::row::Row;

/// What is taken for granted when a small run is multiplied.
const ASSUMPTIONS: [&str; 4] = [
    "every client receives every message, at the rate of this run",
    "costs go on growing as they grew from the least to the most subscribers that were measured, by \
     the slope of a line; caches, queues and herds add to that",
    "processor time is that of this machine, loopback's receive work included",
    "bytes are those of IPv4 packets without loss",
];

/// So many clients.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Projection {
    pub(crate) clients: u64,
    /// The most subscribers of which processor time was measured.
    pub(crate) measured_subscribers: usize,
    pub(crate) assumptions: [&'static str; 4],
    pub(crate) contenders: Vec<Projected>,
}

/// One way of receiving with so many clients.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Projected {
    pub(crate) name: String,
    pub(crate) requests_per_s: f64,
    pub(crate) mbit_per_s: Estimate,
    pub(crate) idle_bytes_per_day: Option<f64>,
    /// Cores of the server.
    pub(crate) cores: Option<Estimate>,
    /// By how much the line of the cores is not straight: the middle lies above it by this share.
    pub(crate) cores_bend: Option<f64>,
    /// Memory of the server's process, and of its kernel for its end of each socket.
    pub(crate) resident_bytes: Option<Estimate>,
    pub(crate) kernel_bytes: Option<Estimate>,
}

impl Projection {
    /// Works out what so many would cost, from what was measured of the rows.
    pub(crate) fn new(
        clients: u64,
        measured_subscribers: usize,
        rows: &[Row],
        lines: &[Option<Line>],
    ) -> Self {
        let each = rows.iter().zip(lines);
        let contenders = each.filter_map(|(row, line)| projected(clients, row, *line)).collect();
        Self { clients, measured_subscribers, assumptions: ASSUMPTIONS, contenders }
    }
}

fn projected(clients: u64, row: &Row, line: Option<Line>) -> Option<Projected> {
    if row.window.seconds <= 0.0 {
        return None;
    }
    let clients = float(clients);
    // Of one client in one second.
    let share = clients / (row.window.seconds * f64::from(row.subscribers));
    let megabits = float(row.window_bytes()) * 8.0 / 1e6 * share;
    let error = row.wire_bytes_per_delivery_error.zip(row.wire_bytes_per_delivery);
    let error = error.map_or(0.0, |(error, each)| error / each.max(f64::MIN_POSITIVE));
    let memory = |each: Option<Estimate>| each.map(|each| each.times(clients));
    Some(Projected {
        name: row.name.clone(),
        requests_per_s: float(row.window.requests) * share,
        mbit_per_s: Estimate { value: megabits, error: megabits * error },
        idle_bytes_per_day: row.idle.map(|idle| idle.wire_bytes_per_hour * 24.0 * clients),
        cores: line.map(|line| line.slope.times(clients)),
        cores_bend: line.map(|line| line.bend),
        resident_bytes: memory(row.memory.resident()),
        // Both ends of a connection are on this machine.
        kernel_bytes: memory(row.memory.kernel().map(|each| each.times(0.5))),
    })
}

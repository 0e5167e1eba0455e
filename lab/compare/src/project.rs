//! What many clients would cost: the measured cost of one, multiplied. A projection, not a
//! measurement.

use serde::Serialize;

use crate::figure::float;
use crate::row::Row;

/// What is taken for granted when a small run is multiplied.
const ASSUMPTIONS: [&str; 5] = [
    "every client receives every message, at the rate of this run",
    "costs grow in proportion to the number of clients; caches, queues and herds add to that",
    "processor time is that of this machine, loopback's receive work included",
    "bytes are those of IPv4 packets without TLS and without loss",
    "memory is the server process's; the kernel's few kB a socket come on top",
];

/// So many clients.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Projection {
    pub(crate) clients: u64,
    pub(crate) assumptions: [&'static str; 5],
    pub(crate) contenders: Vec<Projected>,
}

/// One way of receiving with so many clients.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Projected {
    pub(crate) name: String,
    pub(crate) requests_per_s: f64,
    pub(crate) mbit_per_s: f64,
    pub(crate) idle_bytes_per_day: Option<f64>,
    /// Known only if the server worked for one contender at a time.
    pub(crate) cores: Option<f64>,
    pub(crate) resident_bytes: Option<f64>,
}

impl Projection {
    /// Multiplies what was measured; processor time below the noise is not.
    pub(crate) fn new(clients: u64, rows: &[Row], noise: Option<f64>) -> Self {
        let noise = noise.unwrap_or(0.0);
        let contenders = rows.iter().filter_map(|row| projected(clients, row, noise)).collect();
        Self { clients, assumptions: ASSUMPTIONS, contenders }
    }
}

fn projected(clients: u64, row: &Row, noise: f64) -> Option<Projected> {
    if row.window.seconds <= 0.0 {
        return None;
    }
    // Of one client in one second.
    let share = float(clients) / (row.window.seconds * f64::from(row.subscribers));
    Some(Projected {
        name: row.name.clone(),
        requests_per_s: float(row.window.requests) * share,
        mbit_per_s: float(row.window_bytes()) * 8.0 / 1e6 * share,
        idle_bytes_per_day: row.idle.map(|idle| idle.wire_bytes_per_hour * 24.0 * float(clients)),
        cores: row
            .server_cores_per_subscriber
            .filter(|_| row.server_cpu_us_per_delivery.is_some_and(|cpu| cpu >= noise))
            .map(|cores| cores * float(clients)),
        resident_bytes: row.resident_bytes_per_subscriber.map(|bytes| bytes * float(clients)),
    })
}

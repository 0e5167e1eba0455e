//! One look at a server: its counters, and who is connected if it says so.

use std::collections::BTreeMap;
use std::time::Instant;

use doorbell::{Error, Server};
use doorbell_instruments::Failure;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What was seen.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) stats: Stats,
    /// The connections, or why they are not told.
    pub(super) connections: Result<Connections, String>,
}

/// `/v1/stats`, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stats {
    pub(super) messages: u64,
    pub(super) messages_refused: u64,
    pub(super) deliveries: u64,
    pub(super) polls: u64,
    pub(super) polls_empty: u64,
    pub(super) sockets: u64,
    pub(super) topics: u64,
    pub(super) log: Log,
    pub(super) process: Process,
    pub(super) uptime_seconds: f64,
    pub(super) transports: BTreeMap<String, Counters>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Log {
    pub(super) bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) cpu_seconds: f64,
}

/// What one way of receiving has brought.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct Counters {
    pub(super) deliveries: u64,
    pub(super) bytes: u64,
    pub(super) readers: i64,
    pub(super) gaps: u64,
}

/// `/v1/connections`.
#[derive(Debug, Deserialize)]
pub(super) struct Connections {
    pub(super) total: usize,
    pub(super) rows: Vec<Row>,
}

/// A connection; one that reads has a filter.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) via: String,
    pub(super) peer: String,
    pub(super) client: Option<String>,
    pub(super) age_s: f64,
    pub(super) filter: Option<String>,
    pub(super) behind: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) rtt_us: Option<u64>,
}

impl Look {
    /// Looks now.
    pub(super) async fn take(server: &Server, rows: u16) -> Result<Self, Failure> {
        let stats = ask(server, "/v1/stats").await?;
        let connections = match ask(server, &format!("/v1/connections?max={rows}")).await {
            Ok(connections) => Ok(connections),
            Err(Error::Refused(refusal)) => Err(refusal.to_string()),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { at: Instant::now(), stats, connections })
    }
}

async fn ask<T: DeserializeOwned>(server: &Server, path: &str) -> Result<T, Error> {
    let body = server.about(path).await?;
    serde_json::from_slice(&body).map_err(|error| {
        Error::Unexpected(format!("{path} of {server} is not as expected: {error}"))
    })
}

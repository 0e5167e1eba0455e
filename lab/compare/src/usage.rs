//! What the two processes used: the server's, as it tells at `/v1/stats`, and this one's.

use std::time::Duration;

use doorbell::Server;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// What a server has used since its start.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    #[serde(default)]
    pub(crate) context_switches: Option<u64>,
    #[serde(default)]
    pub(crate) resident_bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Stats {
    process: Usage,
}

/// What a server used between two moments.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Spent {
    pub(crate) cpu_seconds: f64,
    pub(crate) context_switches: u64,
}

impl Usage {
    /// Asks a server; `None` if it does not say.
    pub(crate) async fn of(server: &Server) -> Option<Self> {
        let stats = server.about("/v1/stats").await.ok()?;
        serde_json::from_slice::<Stats>(&stats).ok().map(|stats| stats.process)
    }

    /// What was used since an earlier moment.
    pub(crate) fn since(&self, earlier: &Self) -> Spent {
        let switches = self.context_switches.zip(earlier.context_switches);
        Spent {
            cpu_seconds: self.cpu_seconds - earlier.cpu_seconds,
            context_switches: switches.map_or(0, |(now, then)| now.saturating_sub(then)),
        }
    }
}

impl Spent {
    /// Adds what was used at another time.
    pub(crate) fn add(&mut self, other: Self) {
        self.cpu_seconds += other.cpu_seconds;
        self.context_switches += other.context_switches;
    }
}

/// Processor time of this process so far, all threads.
pub(crate) fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

//! The results of a comparison, as figures. What is written as JSON is this, member by member.
//!
//! Names say their units. What is not measured but worked out from measured figures stands in
//! members called `expected` or `computed`.

use serde::Serialize;

use crate::compressed::Compressed;
use crate::expect::Checked;
use crate::flags::{HeaderBlock, Mode, Phases, Process};
use crate::machine::Machine;
use crate::memory::KernelSource;
use crate::network::{EmulatedLink, Network};
use crate::outage::Outage;
use crate::price::Money;
use crate::project::Projection;
use crate::ramp::Ramp;
use crate::row::Row;
use crate::sweep::Sweep;
use crate::unit_cost::UnitCost;
use crate::verdict::Verdict;

/// Raised when a member changes its meaning or goes away.
pub(crate) const SCHEMA: u32 = 1;

/// Everything that was asked for and measured.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    pub(crate) schema: u32,
    /// Which way is cheapest, by lateness and rate: worked out from `units`.
    pub(crate) verdict: Option<Verdict>,
    pub(crate) machine: Machine,
    pub(crate) versions: Versions,
    pub(crate) run: Run,
    pub(crate) generator: Generator,
    /// What was expected of it, and whether it holds.
    pub(crate) expectations: Vec<Checked>,
    pub(crate) contenders: Vec<Row>,
    /// What one of each costs, measured before the run.
    pub(crate) units: Vec<UnitCost>,
    /// What push would save if its stream were compressed with a window that is kept: worked out
    /// from the messages, also where it was measured.
    pub(crate) compressed_push: Option<Compressed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) projection: Option<Projection>,
    /// What it costs by the prices that were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sweep: Option<Sweep>,
    /// How many messages a second each contender keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ramp: Option<Ramp>,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Versions {
    pub(crate) client: &'static str,
    pub(crate) server: Option<String>,
}

/// What was asked for.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Run {
    /// The command line, word by word.
    pub(crate) command: Vec<String>,
    /// A command line for a shell that makes this run again, with its seed.
    pub(crate) repeat: String,
    /// Unix seconds.
    pub(crate) began: u64,
    pub(crate) server: String,
    /// Whether the server was started for this run alone.
    pub(crate) own_server: bool,
    /// Whether the server is known to keep its log in memory alone.
    pub(crate) log_in_memory: bool,
    /// Whether the contenders' connections were encrypted.
    pub(crate) tls: bool,
    /// Whether answers over HTTP might come compressed, and what stood in the heads of requests.
    pub(crate) compress: bool,
    pub(crate) headers: HeaderBlock,
    /// From one poll to the next.
    pub(crate) intervals_s: Vec<f64>,
    /// In which what is pushed was gathered, beside what was sent at once.
    pub(crate) coalesce_s: Vec<f64>,
    pub(crate) phase: Phases,
    /// What was made to fail in the middle of the run.
    pub(crate) outage: Option<Outage>,
    /// Of the times of messages, the phases of polls, the order of contenders, and the link.
    pub(crate) seed: u64,
    /// Messages a second, as asked for or as in the file.
    pub(crate) rate: f64,
    pub(crate) process: Process,
    pub(crate) duration_s: f64,
    pub(crate) payload_bytes: u32,
    pub(crate) topics: u32,
    pub(crate) subscribers: u32,
    pub(crate) mode: Mode,
    pub(crate) rounds: u32,
    /// Rounds that were run to their end.
    pub(crate) rounds_done: u32,
    pub(crate) keepalive_s: f64,
    pub(crate) network: Network,
    /// The network in words, and what was put before the server.
    pub(crate) link: String,
    /// The link that was asked for.
    pub(crate) emulated_link: Option<EmulatedLink>,
    /// How this kernel's TCP decides how much to send.
    pub(crate) congestion_control: Option<String>,
    /// How long contenders were watched while nothing was published, at most.
    pub(crate) idle_s: f64,
    pub(crate) kernel_memory: KernelSource,
    pub(crate) interrupted: bool,
    /// Messages sent by the publisher, all rounds of one contender together.
    pub(crate) published: usize,
    pub(crate) accepted: usize,
    /// What went wrong with publishing, if something did.
    pub(crate) trouble: Option<String>,
    /// In mode `apart`: the server's processor time for publishing alone, in microseconds a
    /// message. It is taken off each contender's.
    pub(crate) publishing_cpu_us: Option<f64>,
    /// In mode `apart`: less than this in a delivery is not told from nothing, as it is a
    /// difference of two runs. A tenth of what publishing takes.
    pub(crate) cpu_noise_us: Option<f64>,
    /// In mode `together`: the server's processor time for all of it, in microseconds a delivery.
    pub(crate) shared_cpu_us_per_delivery: Option<f64>,
}

/// The process that published and received, which must not be what is measured.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Generator {
    /// The busiest race: processor time over time, 1 being one core.
    pub(crate) cpu_share: f64,
    /// The most by which a message was published late; it is part of every latency.
    pub(crate) schedule_lag_us: u64,
    /// Why the figures may be those of this process and not of the server.
    pub(crate) warnings: Vec<String>,
}

impl Generator {
    /// What a link did not take in time is lost, and not by chance.
    pub(crate) fn warn_of_dropped(&mut self, dropped: u64) {
        if dropped > 0 {
            self.warnings.push(format!(
                "the kernel dropped {dropped} packets that the link did not take in time, so more \
                 was lost than was asked for"
            ));
        }
    }
}

impl Report {
    /// The report as one JSON object on lines of their own.
    pub(crate) fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(self).expect("plain structs are always written");
        format!("{json}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `--json` writes, for whoever reads it. Made again by running this test with
    /// `DOORBELL_WRITE_SCHEMA=1`.
    #[test]
    fn the_schema_in_the_documents_is_that_of_these_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compare.schema.json");
        let schema = serde_json::to_value(schemars::schema_for!(Report)).unwrap();
        if std::env::var_os("DOORBELL_WRITE_SCHEMA").is_some() {
            let text = serde_json::to_string_pretty(&schema).unwrap();
            std::fs::write(path, format!("{text}\n")).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        let written: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert!(written == schema, "DOORBELL_WRITE_SCHEMA=1 makes docs/compare.schema.json again");
    }
}

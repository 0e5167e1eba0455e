//! What can be measured, its name in JSON and its heading in a table.

use serde::{Deserialize, Serialize};

/// A kind of figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Figure {
    DeliveriesPerSecond,
    PublishesPerSecond,
    AnswersPerSecond,
    /// Seconds of the server's processor time for a million deliveries.
    CpuPerMillion,
    UserPerMillion,
    SystemPerMillion,
    /// The same for a million answered requests.
    CpuPerMillionAnswers,
    LatencyP50,
    LatencyP99,
    LatencyP999,
    LatencyMost,
    /// The share of what was due that had not arrived.
    Behind,
    /// The server's memory for one subscriber.
    BytesEach,
    /// The memory for a stream that stands for a connection.
    StreamBytesEach,
    /// Seconds of processor time for a million sessions, from their beginning until they wait.
    CpuPerMillionOpened,
    /// The kernel's memory for one end of a connection.
    KernelBytesEach,
    /// How far readings lie from a straight line.
    Bend,
    /// Memory of the server and the kernel that a million subscribers would take, by that line.
    MillionBytes,
    /// Cores that a million subscribers that wait would take.
    MillionCores,
    /// Memory that the server took while it was measured.
    GrowthBytes,
    /// Seconds until everything was there.
    Seconds,
    /// The server's share of one core.
    ServerCore,
    /// This process's share of one core.
    GeneratorCore,
    /// The 99th percentile without an attack, and while the same is done to somebody else.
    AloneP99,
    ControlP99,
    /// The 99th percentile under an attack, divided by the latter.
    TimesControl,
    /// How far the server's memory grew at most, how far it may, and what is left of it later.
    PeakMib,
    BoundMib,
    AfterMib,
    AboveBound,
    /// How long somebody new waited for an answer, and whether none came.
    NewcomerMillis,
    Refused,
    Lost,
    Disordered,
    Damaged,
    Closed,
}

/// How a figure is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) key: &'static str,
    pub(crate) heading: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) decimals: usize,
}

impl Figure {
    /// How it is shown.
    pub(crate) fn look(self) -> Look {
        let (key, heading, unit, decimals) = match self {
            Self::DeliveriesPerSecond => ("deliveries_per_second", "deliveries/s", "1/s", 0),
            Self::PublishesPerSecond => ("publishes_per_second", "publishes/s", "1/s", 0),
            Self::AnswersPerSecond => ("answers_per_second", "answers/s", "1/s", 0),
            Self::CpuPerMillion => ("server_cpu_per_million", "CPU s/M", "s", 3),
            Self::UserPerMillion => ("server_user_per_million", "user", "s", 3),
            Self::SystemPerMillion => ("server_system_per_million", "system", "s", 3),
            Self::CpuPerMillionAnswers => {
                ("server_cpu_per_million_answers", "CPU s/M answers", "s", 2)
            }
            Self::LatencyP50 => ("latency_p50_ms", "p50 ms", "ms", 3),
            Self::LatencyP99 => ("latency_p99_ms", "p99 ms", "ms", 3),
            Self::LatencyP999 => ("latency_p99_9_ms", "p99.9 ms", "ms", 3),
            Self::LatencyMost => ("latency_most_ms", "most ms", "ms", 1),
            Self::Behind => ("behind_share", "behind", "share", 3),
            Self::BytesEach => ("user_bytes_each", "B each", "B", 0),
            Self::StreamBytesEach => ("stream_bytes_each", "stream B each", "B", 0),
            Self::CpuPerMillionOpened => {
                ("server_cpu_per_million_opened", "CPU s/M opened", "s", 2)
            }
            Self::KernelBytesEach => ("kernel_bytes_each", "kernel B each", "B", 0),
            Self::Bend => ("distance_from_line", "bend", "share", 3),
            Self::MillionBytes => ("million_gib_projected", "GiB at 1M", "GiB", 2),
            Self::MillionCores => ("million_cores_projected", "cores at 1M", "cores", 2),
            Self::GrowthBytes => ("growth_bytes", "growth B", "B", 0),
            Self::Seconds => ("seconds", "seconds", "s", 2),
            Self::ServerCore => ("server_core_share", "server core", "cores", 2),
            Self::GeneratorCore => ("generator_core_share", "generator core", "cores", 2),
            Self::AloneP99 => ("alone_p99_ms", "alone p99", "ms", 2),
            Self::ControlP99 => ("control_p99_ms", "control p99", "ms", 2),
            Self::TimesControl => ("p99_ratio_to_control", "p99 × control", "1", 2),
            Self::PeakMib => ("peak_growth_mib", "peak MiB", "MiB", 1),
            Self::BoundMib => ("bound_mib", "bound MiB", "MiB", 0),
            Self::AfterMib => ("growth_after_mib", "after MiB", "MiB", 1),
            Self::AboveBound => ("above_bound", "above bound", "1", 0),
            Self::NewcomerMillis => ("newcomer_ms", "newcomer ms", "ms", 1),
            Self::Refused => ("newcomer_refused", "newcomer refused", "1", 0),
            Self::Lost => ("lost", "lost", "1", 0),
            Self::Disordered => ("disordered", "disordered", "1", 0),
            Self::Damaged => ("damaged", "damaged", "1", 0),
            Self::Closed => ("closed", "closed", "1", 0),
        };
        Look { key, heading, unit, decimals }
    }
}

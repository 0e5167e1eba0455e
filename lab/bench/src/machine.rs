//! On what the figures were measured.

use std::fs;
use std::thread::available_parallelism;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

/// The machine, as far as it tells.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    architecture: &'static str,
    kernel: Option<String>,
    processor: Option<String>,
    cores: usize,
    memory_bytes: Option<u64>,
    /// Descriptors that one process may hold.
    descriptors: Option<u64>,
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        let value = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = read("/proc/meminfo").and_then(|text| value(&text, "MemTotal"));
        let kibibytes = memory.and_then(|text| text.strip_suffix(" kB")?.parse::<u64>().ok());
        Self {
            architecture: std::env::consts::ARCH,
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            processor: read("/proc/cpuinfo").and_then(|text| value(&text, "model name")),
            cores: available_parallelism().map_or(1, usize::from),
            memory_bytes: kibibytes.map(|kibibytes| kibibytes * 1024),
            descriptors: getrlimit(Resource::Nofile).maximum,
        }
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} × {}, {:.0} GiB, Linux {}, {} descriptors a process",
            self.cores,
            self.processor.as_deref().unwrap_or(self.architecture),
            self.memory_bytes.unwrap_or(0) as f64 / f64::from(1 << 30),
            self.kernel.as_deref().unwrap_or("unknown"),
            self.descriptors.map_or_else(|| "unlimited".into(), |count| count.to_string()),
        )
    }
}

/// Processes that ran or wanted to, on average over the last minute. What others run beside a
/// measurement shows here.
pub(crate) fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Raises this process's limit of descriptors as far as it may; returns how many it is.
pub(crate) fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let current = if raised.is_ok() { limit.maximum } else { limit.current };
    current.unwrap_or(u64::MAX)
}

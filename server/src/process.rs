//! What this process has used so far: processor time, context switches, memory.

use std::fs;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// The members of `process` in `/v1/stats`. What the system does not tell is `null`.
pub(crate) fn usage() -> Value {
    json!({
        "cpu_seconds": cpu_seconds(),
        "context_switches": context_switches(),
        "resident_bytes": resident_bytes(),
    })
}

/// Seconds of processor time of all threads, in user and kernel mode.
#[allow(clippy::cast_precision_loss, reason = "microseconds stay exact for centuries")]
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Context switches, voluntary or not, of the threads that are there. Linux only.
fn context_switches() -> Option<u64> {
    let mut sum = 0;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let Ok(status) = fs::read_to_string(thread.ok()?.path().join("status")) else {
            continue; // It has just ended.
        };
        let switches = status.lines().filter(|line| line.contains("ctxt_switches:"));
        sum += switches.filter_map(number).sum::<u64>();
    }
    Some(sum)
}

/// Bytes of memory that this process has in place. Linux only.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let kibibytes = status.lines().find(|line| line.starts_with("VmRSS:")).and_then(number)?;
    Some(kibibytes * 1024)
}

/// The number in a line such as `VmRSS:      1234 kB`.
fn number(line: &str) -> Option<u64> {
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_grows() {
        let before = cpu_seconds();
        let mut sum = 0_u64;
        while cpu_seconds() - before < 0.01 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let usage = usage();
        assert!(usage["cpu_seconds"].as_f64().unwrap() >= before + 0.01);
        assert!(usage["resident_bytes"].as_u64().unwrap() > 100_000);
        assert!(usage["context_switches"].as_u64().unwrap() > 0);
    }
}

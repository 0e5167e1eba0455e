//! What a process has used so far: processor time and memory, as the kernel counts them.

use std::fs;
use std::ops::Sub;

use rustix::time::{ClockId, clock_gettime};

use crate::failure::{Failure, Result};

/// Processor time in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cpu {
    /// All of it, to the nanosecond: what the scheduler gave the process's threads.
    pub(crate) total: f64,
    /// The part in user space. The kernel tells the parts in hundredths of a second.
    pub(crate) user: f64,
    /// The part in the kernel.
    pub(crate) system: f64,
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let total = (self.total - before.total).max(0.0);
        let user = (self.user - before.user).max(0.0);
        let system = (self.system - before.system).max(0.0);
        // The kernel samples the parts; their sum is the finer figure.
        let scale = if user + system > 0.0 { total / (user + system) } else { 0.0 };
        Self { total, user: user * scale, system: system * scale }
    }
}

/// Ticks of `/proc/PID/stat` in a second: `USER_HZ`, the same on every Linux.
const TICKS: f64 = 100.0;
/// The fields of `/proc/PID/stat` are counted from its third one here: `utime` is its 14th.
const STAT_UTIME: usize = 11;

impl Cpu {
    /// Of a process and its children that live.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        Self::sum(&family(pid)?)
    }

    /// Of this process, without its children.
    pub(crate) fn own() -> Result<Self> {
        Self::sum(&[std::process::id()])
    }

    fn sum(pids: &[u32]) -> Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let stat = read(&format!("/proc/{pid}/stat"))?;
            let (user, system) = ticks_in(&stat).ok_or_else(|| strange("stat", &stat))?;
            let (user, system) = (user / TICKS, system / TICKS);
            sum.user += user;
            sum.system += system;
            // Threads that have ended are in the ticks only; those that live are finer in theirs.
            sum.total += scheduled(*pid)?.max(user + system - 1.0 / TICKS);
        }
        Ok(sum)
    }
}

/// Seconds of processor time of all other threads of this process, those that have ended among
/// them.
pub(crate) fn other_threads_seconds() -> f64 {
    let seconds = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    seconds(ClockId::ProcessCPUTime) - seconds(ClockId::ThreadCPUTime)
}

/// The processes that a process consists of: itself and its children.
fn family(pid: u32) -> Result<Vec<u32>> {
    let mut family = vec![pid];
    for thread in threads(pid)? {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{thread}/children"));
        let children = children.unwrap_or_default();
        family.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(family)
}

/// The threads of a process.
fn threads(pid: u32) -> Result<Vec<u32>> {
    let gone = |error| Failure(format!("process {pid} has ended: {error}"));
    let entries = fs::read_dir(format!("/proc/{pid}/task")).map_err(gone)?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

/// Seconds for which the threads of a process ran.
fn scheduled(pid: u32) -> Result<f64> {
    let mut sum = 0;
    for thread in threads(pid)? {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")) else {
            continue; // It has just ended.
        };
        let ran = text.split_whitespace().next().and_then(|ran| ran.parse::<u64>().ok());
        sum += ran.ok_or_else(|| strange("schedstat", &text))?;
    }
    Ok(sum as f64 / 1e9)
}

/// The ticks in user space and in the kernel. The name of the program may hold spaces and brackets.
fn ticks_in(stat: &str) -> Option<(f64, f64)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_whitespace().skip(STAT_UTIME);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Memory in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Memory {
    /// What the process has in place (RSS).
    pub(crate) resident: f64,
    /// The same, shared pages counted in parts (PSS).
    pub(crate) proportional: f64,
}

impl Memory {
    /// Of a process and its children that live.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let mut sum = Self::default();
        for pid in family(pid)? {
            let text = read(&format!("/proc/{pid}/smaps_rollup"))?;
            let bytes = |name: &str| kibibytes(&text, name).ok_or_else(|| strange(name, &text));
            sum.resident += bytes("Rss:")?;
            sum.proportional += bytes("Pss:")?;
        }
        Ok(sum)
    }
}

/// Lets the kernel begin anew to note the most memory of a process.
pub(crate) fn forget_peak(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    // The word that means just this (proc_pid_clear_refs(5)).
    fs::write(&path, "5").map_err(|error| Failure(format!("{path}: {error}")))
}

/// The most memory that a process has had in place since then, in bytes.
pub(crate) fn peak(pid: u32) -> Result<f64> {
    let text = read(&format!("/proc/{pid}/status"))?;
    kibibytes(&text, "VmHWM:").ok_or_else(|| strange("status", &text))
}

/// What the kernel holds in its slabs, in bytes; `None` where only root may know.
pub(crate) fn slab_bytes() -> Option<f64> {
    let text = fs::read_to_string("/proc/slabinfo").ok()?;
    let sum: u64 = text.lines().skip(2).filter_map(slab_pages).sum();
    Some(sum as f64 * rustix::param::page_size() as f64)
}

/// The pages of one line: slabs times pages a slab.
fn slab_pages(line: &str) -> Option<u64> {
    let field = |place: usize| line.split_whitespace().nth(place)?.parse::<u64>().ok();
    Some(field(5)? * field(14)?)
}

/// Bytes of the buffers of all TCP sockets, by `/proc/net/sockstat`.
pub(crate) fn socket_buffer_bytes() -> Result<f64> {
    let text = read("/proc/net/sockstat")?;
    let pages = text.lines().find(|line| line.starts_with("TCP:")).and_then(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "mem");
        words.nth(1)?.parse::<u64>().ok()
    });
    let pages = pages.ok_or_else(|| strange("sockstat", &text))?;
    Ok(pages as f64 * rustix::param::page_size() as f64)
}

/// The value of a line such as `Rss:  1234 kB`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes as f64 * 1024.0)
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Failure(format!("{path}: {error}")))
}

fn strange(name: &str, text: &str) -> Failure {
    Failure(format!("{name} says what is not understood: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_is_spent_is_counted_once() {
        let before = Cpu::own().unwrap();
        let began = std::time::Instant::now();
        while began.elapsed().as_secs_f64() < 0.2 {
            std::hint::black_box(began.elapsed());
        }
        let spent = Cpu::own().unwrap() - before;
        assert!(spent.total > 0.02, "{spent:?}");
        assert!((spent.user + spent.system - spent.total).abs() < 0.02, "{spent:?}");
    }

    #[test]
    fn a_name_with_brackets_hides_no_field() {
        let stat = "12 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 70 30 0 0";
        assert_eq!(ticks_in(stat), Some((70.0, 30.0)));
    }

    #[test]
    fn the_memory_of_a_process_is_known() {
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.resident >= memory.proportional && memory.proportional > 0.0);
        assert_eq!(kibibytes("Pss: 2 kB\nRss:   3 kB\n", "Rss:"), Some(3072.0));
        assert!(socket_buffer_bytes().is_ok());
    }

    #[test]
    fn the_pages_of_a_slab_are_its_slabs_times_their_pages() {
        let line = "TCP 26 26 2368 13 8 : tunables 0 0 0 : slabdata 2 2 0";
        assert_eq!(slab_pages(line), Some(16));
    }
}

//! What a subscriber costs that waits: memory in the server and in the kernel, and the time that
//! its keepalives take. One server holds more and more connections; the costs are read at each
//! count and a straight line is laid through them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::bench::Bench;
use crate::failure::Result;
use crate::generator::subscribers::From;
use crate::peer::Contender;
use crate::report::figure::Figure;
use crate::report::{Measured, Report};
use crate::statistics::Line;
use crate::usage::{Cpu, Memory, slab_bytes, socket_buffer_bytes};

const CONTENDERS: &[&str] = &[
    "floor",
    "doorbell-tcp",
    "doorbell-ws",
    "doorbell-sse",
    "doorbell-longpoll",
    "redis",
    "nats",
    "mosquitto",
    "nchan-ws",
    "nchan-sse",
    "nchan-longpoll",
];
const COLUMNS: &[Figure] = &[
    Figure::BytesEach,
    Figure::KernelBytesEach,
    Figure::Bend,
    Figure::GrowthBytes,
    Figure::ServerCore,
    Figure::MillionBytes,
    Figure::MillionCores,
];
/// Until what connecting left behind has been put away, in a whole run and in a first look.
const SETTLE: Duration = Duration::from_secs(1);
const SETTLE_QUICK: Duration = Duration::from_millis(200);
/// doorbell's own keepalive: the whole of it passes while idle time is measured.
const KEEPALIVE_SECONDS: f64 = 40.0;

/// Runs it.
pub(super) fn run(bench: &Bench) -> Result<Report> {
    let flags = &bench.flags;
    let mut report = Report::new("idle", COLUMNS, &[]);
    let counts = flags.or(&flags.subscribers, &[100, 500, 1000], &[1000, 5000, 10_000, 19_000]);
    let idle = flags.duration(0.5, flags.keepalive.unwrap_or(KEEPALIVE_SECONDS))?;
    let contenders = bench.contenders(CONTENDERS)?;
    let words: Vec<String> = counts.iter().map(usize::to_string).collect();
    let case = [("subscribers", words.join(" ")), ("idle seconds", idle.as_secs_f64().to_string())];
    bench.rounds(
        &mut report,
        &case,
        &contenders,
        |_| "floor",
        |contender| measure(bench, contender, &counts, idle),
    );
    Ok(report)
}

/// Memory at one count.
struct Reading {
    count: f64,
    server: f64,
    kernel: Option<f64>,
}

impl Reading {
    fn take(pid: u32, count: usize) -> Result<Self> {
        let buffers = socket_buffer_bytes()?;
        Ok(Self {
            count: count as f64,
            server: Memory::of(pid)?.resident,
            kernel: slab_bytes().map(|slabs| slabs + buffers),
        })
    }
}

fn measure(
    bench: &Bench,
    contender: Contender,
    counts: &[usize],
    idle: Duration,
) -> Result<Measured> {
    let running = bench.start(contender, &bench.setting)?;
    let pid = running.program.pid();
    let mut generator = bench.generator(1)?;
    let settle = if bench.flags.quick { SETTLE_QUICK } else { SETTLE };
    std::thread::sleep(settle);
    let mut readings = vec![Reading::take(pid, 0)?];
    let mut connected = 0;
    for count in counts {
        let more = vec![0..1; count.saturating_sub(connected)];
        generator.subscribe(running.subscribe_at, &running.subscriber, &more, From::Now)?;
        connected += more.len();
        let settled = Instant::now() + settle;
        while Instant::now() < settled {
            generator.turn(Some(settled.saturating_duration_since(Instant::now())))?;
        }
        readings.push(Reading::take(pid, connected)?);
    }
    if let Some(confirm) = &running.confirm {
        confirm(connected)?;
    }
    let before = Cpu::of(pid)?;
    let began = Instant::now();
    while let Some(left) = idle.checked_sub(began.elapsed()) {
        generator.turn(Some(left))?;
    }
    let spent = (Cpu::of(pid)? - before).total / began.elapsed().as_secs_f64();

    // The line goes through what connections cost; what the first ones woke up is its base.
    let points: Vec<_> = readings.iter().skip(1).map(|r| (r.count, r.server)).collect();
    let all: Vec<_> = readings.iter().map(|r| (r.count, r.server)).collect();
    let kernel: Option<Vec<_>> =
        readings.iter().map(|r| r.kernel.map(|kernel| (r.count, kernel))).collect();
    let mut figures = Measured::from([(Figure::ServerCore, spent)]);
    if let Some(line) = Line::through(&points).or(Line::through(&all)) {
        figures.extend([(Figure::BytesEach, line.slope), (Figure::Bend, line.worst)]);
    }
    if let (Some(first), Some(last)) = (readings.first(), readings.last()) {
        figures.insert(Figure::GrowthBytes, last.server - first.server);
    }
    if let Some(line) = kernel.and_then(|points| Line::through(&points)) {
        // Both ends of a connection are on this machine.
        figures.insert(Figure::KernelBytesEach, line.slope / 2.0);
    }
    let projected = projected(&figures, connected);
    figures.extend(projected);
    Ok(figures)
}

/// What a million subscribers would take if each costs what these did: a process here holds fewer.
fn projected(figures: &Measured, connected: usize) -> BTreeMap<Figure, f64> {
    const MILLION: f64 = 1e6;
    const GIBIBYTE: f64 = (1 << 30) as f64;
    let value = |figure| figures.get(&figure).copied();
    let bytes = value(Figure::BytesEach).zip(value(Figure::KernelBytesEach));
    let bytes = bytes.map(|(server, kernel)| (server + kernel) * MILLION / GIBIBYTE);
    let cores = value(Figure::ServerCore).map(|cores| cores * MILLION / connected as f64);
    let projected = [(Figure::MillionBytes, bytes), (Figure::MillionCores, cores)];
    projected.into_iter().filter_map(|(figure, value)| Some((figure, value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_subscribers_are_projected_from_what_one_costs() {
        let figures = Measured::from([
            (Figure::BytesEach, 1000.0),
            (Figure::KernelBytesEach, 4000.0),
            (Figure::ServerCore, 0.01),
        ]);
        let projected = projected(&figures, 10_000);
        assert!((projected[&Figure::MillionBytes] - 4.657).abs() < 0.001);
        assert!((projected[&Figure::MillionCores] - 1.0).abs() < 0.001);
    }
}

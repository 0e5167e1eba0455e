//! Readers that come back at once, all of them far behind.

use std::time::Instant;

use super::bench::Bench;
use crate::failure::Result;
use crate::generator::subscribers::From;
use crate::peer::Contender;
use crate::report::figure::Figure;
use crate::report::{Measured, Report};
use crate::usage::{Cpu, Memory};

const CONTENDERS: &[&str] =
    &["floor-keep", "doorbell-tcp", "doorbell-cluster", "doorbell-ws", "doorbell-sse", "jetstream"];
const COLUMNS: &[Figure] = &[
    Figure::Seconds,
    Figure::DeliveriesPerSecond,
    Figure::CpuPerMillion,
    Figure::UserPerMillion,
    Figure::SystemPerMillion,
    Figure::GrowthBytes,
    Figure::ServerCore,
    Figure::GeneratorCore,
];
const RATIOS: &[Figure] = &[Figure::CpuPerMillion, Figure::DeliveriesPerSecond];

/// Runs it.
pub(super) fn run(bench: &Bench) -> Result<Report> {
    let flags = &bench.flags;
    let mut report = Report::new("catch-up", COLUMNS, RATIOS);
    let contenders = bench.contenders(CONTENDERS)?;
    let behind = flags.messages.unwrap_or(if flags.quick { 5000 } else { 100_000 });
    for readers in flags.or(&flags.subscribers, &[20], &[1000]) {
        let case = [
            ("readers", readers.to_string()),
            ("messages behind", behind.to_string()),
            ("bytes", flags.payload().to_string()),
        ];
        bench.rounds(
            &mut report,
            &case,
            &contenders,
            |_| "floor-keep",
            |contender| measure(bench, contender, readers, behind),
        );
    }
    Ok(report)
}

fn measure(bench: &Bench, contender: Contender, readers: usize, behind: u64) -> Result<Measured> {
    let running = bench.start(contender, &bench.setting)?;
    let pid = running.program.pid();
    let mut generator = bench.generator(1)?;
    generator.connect_publishers(running.publish_at, &running.publisher, 1)?;
    generator.publish_all(behind)?;

    let (memory, server, own) = (Memory::of(pid)?, Cpu::of(pid)?, Cpu::own()?);
    let began = Instant::now();
    let ranges = vec![0..1; readers];
    generator.subscribe(running.subscribe_at, &running.subscriber, &ranges, From::Beginning)?;
    let wanted = behind * readers as u64;
    generator.run_until("readers to catch up", |generator| {
        generator.tally.deliveries + generator.tally.faults.lost >= wanted
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let (server, own) = (Cpu::of(pid)? - server, Cpu::own()? - own);
    let million = generator.tally.deliveries as f64 / 1e6;
    let faults = generator.tally.faults;
    Ok(Measured::from([
        (Figure::Seconds, seconds),
        (Figure::DeliveriesPerSecond, generator.tally.deliveries as f64 / seconds),
        (Figure::CpuPerMillion, server.total / million),
        (Figure::UserPerMillion, server.user / million),
        (Figure::SystemPerMillion, server.system / million),
        (Figure::GrowthBytes, Memory::of(pid)?.resident - memory.resident),
        (Figure::ServerCore, server.total / seconds),
        (Figure::GeneratorCore, own.total / seconds),
        (Figure::Lost, faults.lost as f64),
        (Figure::Disordered, faults.disordered as f64),
        (Figure::Damaged, faults.damaged as f64),
        (Figure::Closed, faults.closed as f64),
    ]))
}

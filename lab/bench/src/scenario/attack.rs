//! Each attack beside one who behaves: what he notices alone, while the same is done to a program
//! that only reads, and while it is done to the server; how much memory the server takes for it,
//! and whether a newcomer is served meanwhile.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use super::bench::Bench;
use crate::attack::client::{Client, Noticed, newcomer};
use crate::attack::{ATTACKS, Attack};
use crate::failure::{Failure, Result};
use crate::launch::{Program, folder};
use crate::peer::{Contender, Running, Setting, Storage};
use crate::report::figure::Figure;
use crate::report::{Measured, Report};
use crate::usage::{Memory, forget_peak, peak};

const COLUMNS: &[Figure] = &[
    Figure::AloneP99,
    Figure::ControlP99,
    Figure::LatencyP50,
    Figure::LatencyP99,
    Figure::TimesControl,
    Figure::Lost,
    Figure::PeakMib,
    Figure::BoundMib,
    Figure::AfterMib,
    Figure::NewcomerMillis,
];
/// Messages that the one who behaves publishes in a second.
const RATE: f64 = 200.0;
/// What is held before: large answers have something to be made of.
const HELD: usize = 1200;
const HELD_BYTES: usize = 900;
/// Between the end of an attack and the last look at the memory.
const AFTER: Duration = Duration::from_secs(1);
/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

/// Runs it.
pub(super) fn run(bench: &Bench) -> Result<Report> {
    let mut report = Report::new("attack", COLUMNS, &[]);
    let rate = bench.flags.or(&bench.flags.rate, &[RATE], &[RATE])[0];
    let case = [("messages a second", rate.to_string())];
    let wanted = ATTACKS.iter().copied().filter(|attack| bench.flags.wants(attack.name));
    let wanted: Vec<Attack> = wanted.collect();
    if wanted.is_empty() {
        let known: Vec<_> = ATTACKS.iter().map(|attack| attack.name).collect();
        return Err(Failure(format!("--contenders names none of {}", known.join(", "))));
    }
    bench.rounds(&mut report, &case, &wanted, |_| "", |attack| measure(bench, attack, rate));
    for attack in &wanted {
        for (figure, what) in [
            (Figure::Lost, "messages were lost"),
            (Figure::Refused, "a newcomer was not served"),
            (Figure::AboveBound, "the memory grew above the bound"),
        ] {
            let breaches = report.middles(attack.name, figure).filter(|(_, value)| *value > 0.0);
            if breaches.count() > 0 {
                report.notes.push(format!("{}: {what}", attack.name));
            }
        }
    }
    Ok(report)
}

fn measure(bench: &Bench, attack: Attack, rate: f64) -> Result<Measured> {
    let doorbell = Contender::named("doorbell-tcp")
        .ok_or_else(|| Failure("doorbell-tcp is no contender".into()))?;
    let setting = Setting { storage: Storage::Ephemeral, ..bench.setting.clone() };
    let running = bench.start(doorbell, &setting)?;
    let pid = running.program.pid();
    let http = running.http.ok_or_else(|| Failure("the server speaks no HTTP".into()))?;
    fill(&running)?;
    let mut client = Client::connect(running.publish_at, rate)?;
    client.observe(bench.warm_up())?;
    let duration = bench.flags.duration(1.0, 4.0)?;
    let alone = client.observe(duration)?;

    let (sink, ready) = Program::telling(folder()?, own().arg("sink"))?;
    let attacker = attacker(attack, &addresses(&ready)?)?;
    let control = client.observe(duration)?;
    drop((attacker, sink));

    let before = Memory::of(pid)?.resident;
    forget_peak(pid)?;
    let udp = udp(http)?;
    let attacker = self::attacker(attack, &[http, running.publish_at, udp])?;
    let under = client.observe(duration)?;
    let served = newcomer(http);
    let highest = peak(pid)? - before;
    drop(attacker);
    let later = client.observe(AFTER)?;
    let after = Memory::of(pid)?.resident - before;

    let at = |noticed: &Noticed, quantile| noticed.latency.value_at_quantile(quantile) as f64 / 1e6;
    let mut figures = Measured::from([
        (Figure::AloneP99, at(&alone, 0.99)),
        (Figure::ControlP99, at(&control, 0.99)),
        (Figure::LatencyP50, at(&under, 0.5)),
        (Figure::LatencyP99, at(&under, 0.99)),
        (Figure::TimesControl, at(&under, 0.99) / at(&control, 0.99)),
        (Figure::Lost, (under.lost + later.lost) as f64),
        (Figure::PeakMib, highest / MIB),
        (Figure::BoundMib, attack.bound_mib),
        (Figure::AboveBound, f64::from(u8::from(highest / MIB > attack.bound_mib))),
        (Figure::AfterMib, after / MIB),
        (Figure::Refused, f64::from(u8::from(served.is_none()))),
    ]);
    figures.extend(served.map(|served| (Figure::NewcomerMillis, served.as_secs_f64() * 1e3)));
    Ok(figures)
}

/// This program.
fn own() -> Command {
    // On Linux it is always there.
    Command::new("/proc/self/exe")
}

/// Starts an attack on HTTP, lines and datagrams at these addresses.
fn attacker(attack: Attack, addresses: &[SocketAddr; 3]) -> Result<Program> {
    let [http, tcp, udp] = addresses.map(|address| address.to_string());
    let words = ["attacker", attack.name, "--http", &http, "--tcp", &tcp, "--udp", &udp];
    Ok(Program::telling(folder()?, own().args(words))?.0)
}

fn addresses(ready: &str) -> Result<[SocketAddr; 3]> {
    let address = |name: &str| {
        let word = ready.split_whitespace().find_map(|word| word.strip_prefix(name));
        let address = word.and_then(|address| address.parse().ok());
        address.ok_or_else(|| Failure(format!("no {name} in {ready:?}")))
    };
    Ok([address("http=")?, address("tcp=")?, address("udp=")?])
}

/// Where the server hears datagrams. One that does not is attacked where nobody hears.
fn udp(http: SocketAddr) -> Result<SocketAddr> {
    let mut stream = TcpStream::connect(http)?;
    let request = "GET /v1/config HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let found = answer.split("\"udp\":\"").nth(1).and_then(|rest| rest.split('"').next());
    Ok(found.and_then(|address| address.parse().ok()).unwrap_or(http))
}

/// Puts something into the log.
fn fill(running: &Running) -> Result<()> {
    let mut stream = TcpStream::connect(running.publish_at)?;
    let line = format!("PUB big {}\n", "x".repeat(HELD_BYTES));
    for _ in 0..HELD {
        stream.write_all(line.as_bytes())?;
    }
    stream.write_all(b"QUIT\n")?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

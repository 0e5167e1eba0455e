//! The report for people: tables, and what follows from the figures.

use crate::figure::{bytes, count, float, percent, short_time, time, within};
use crate::finding;
use crate::grid::{Grid, NOTHING, heading, wrap};
use crate::idle::Basis;
use crate::line::Estimate;
use crate::price::Money;
use crate::project::Projection;
use crate::rearm::Rearm;
use crate::report::Report;
use crate::row::{Latency, Row};
use crate::strip;

/// The answer, the picture, the tables with their errors, how it was measured and how it is made
/// again, in this order.
pub(crate) fn render(report: &Report) -> String {
    let mut text = String::new();
    for sentence in finding::answers(report) {
        wrap(&mut text, &sentence);
    }
    text.push('\n');
    if let Some(verdict) = &report.verdict {
        text += &verdict.grid().render();
    }
    if let Some(picture) = strip::draw(report) {
        heading(&mut text, "How late messages came, from none (left) to the most");
        text += &picture;
        if let Some(seen) = finding::seen(report) {
            wrap(&mut text, seen);
        }
        text.push('\n');
    }
    text += &delay(report).render();
    text += &correctness(report).render();
    text += &cost(report).render();
    text += &waiting(report).render();
    if let Some(money) = &report.money {
        text += &price(money).render();
    }
    if let Some(recovered) = recovered(report) {
        text += &recovered.render();
    }
    if let Some(captured) = captured(report) {
        text += &captured.render();
    }
    if let Some(theory) = theory(report) {
        text += &theory.render();
    }
    if let Some(long_polls) = long_polls(report) {
        text += &long_polls.render();
    }
    if report.run.rounds_done > 1 {
        text += &spread(report).render();
    }
    if let Some(projection) = &report.projection {
        text += &projected(projection).render();
        let assumptions = projection.assumptions.join("; ");
        wrap(&mut text, &format!("A projection, not a measurement. It assumes: {assumptions}."));
        text.push('\n');
    }
    for sentence in finding::notes(report) {
        wrap(&mut text, &sentence);
    }
    wrap(&mut text, "To make it again:");
    text += "  ";
    text += &report.run.repeat;
    text.push('\n');
    text
}

fn figure(value: Option<f64>, show: fn(f64) -> String) -> String {
    value.map_or_else(|| NOTHING.to_owned(), show)
}

fn nothing() -> String {
    NOTHING.to_owned()
}

/// A figure with its error.
fn estimate(estimate: Option<Estimate>, show: fn(f64) -> String) -> String {
    estimate.map_or_else(
        || NOTHING.to_owned(),
        |Estimate { value, error }| {
            let (shown, least) = (show(value), show(error));
            if least == show(0.0) { shown } else { format!("{shown} ± {least}") }
        },
    )
}

pub(crate) fn delay(report: &Report) -> Grid {
    let columns =
        ["contender", "mean", "p50", "p90", "p99", "p99.9", "max", "ack p50", "ack p99", "first"];
    let mut grid = Grid::new("Delay from planned to delivered", &columns);
    for row in &report.contenders {
        let of = |latency: &Option<Latency>, value: fn(&Latency) -> Option<u64>| {
            figure(latency.as_ref().and_then(value).map(float), time)
        };
        let planned = &row.latency_us;
        let accepted = &row.latency_from_accepted_us;
        grid.row(vec![
            row.name.clone(),
            figure(planned.as_ref().map(|latency| latency.mean), time),
            of(planned, |latency| Some(latency.p50)),
            of(planned, |latency| latency.p90),
            of(planned, |latency| latency.p99),
            of(planned, |latency| latency.p999),
            of(planned, |latency| Some(latency.max)),
            of(accepted, |latency| Some(latency.p50)),
            of(accepted, |latency| latency.p99),
            figure(row.first_event_us.map(float), time),
        ]);
    }
    grid
}

pub(crate) fn correctness(report: &Report) -> Grid {
    let columns = [
        "contender",
        "due",
        "delivered",
        "missed",
        "repeated",
        "disorder",
        "gaps",
        "requests",
        "empty",
        "304",
        "connects",
    ];
    let mut grid = Grid::new("What arrived, and what was asked for it", &columns);
    for row in &report.contenders {
        let mut cells = vec![row.name.clone(), row.due.to_string(), row.delivered.to_string()];
        cells.push(row.missed.to_string());
        let counts = [
            row.repeated,
            row.out_of_order,
            row.gaps,
            row.requests,
            row.empty,
            row.not_modified,
            row.connects,
        ];
        cells.extend(counts.map(|count| count.to_string()));
        grid.row(cells);
    }
    grid
}

pub(crate) fn cost(report: &Report) -> Grid {
    let columns = [
        "contender",
        "wire in",
        "wire out",
        "B/ev",
        "text",
        "pkt/ev",
        "wake/ev",
        "lost",
        "sent again",
        "CPU/ev",
        "sw/ev",
    ];
    let mut grid = Grid::new("What it cost on the wire and in the server", &columns);
    for row in &report.contenders {
        let wire = match row.wire_bytes.sum() {
            0 => row.app_bytes,
            _ => row.wire_bytes,
        };
        grid.row(vec![
            row.name.clone(),
            bytes(float(wire.r#in)),
            bytes(float(wire.out)),
            each(row),
            figure(row.text_share, percent),
            figure(row.packets_per_delivery, |packets| format!("{packets:.2}")),
            figure(row.wakeups_per_delivery, |reads| format!("{reads:.2}")),
            row.lost_packets.map_or_else(nothing, |lost| lost.sum().to_string()),
            row.segments_sent_again.map_or_else(nothing, |again| again.sum().to_string()),
            processor(report, row),
            figure(row.server_context_switches_per_delivery, |count| format!("{count:.2}")),
        ]);
    }
    grid
}

/// Bytes of a message and their error, where chance has a say in them.
fn each(row: &Row) -> String {
    let figure = figure(row.wire_bytes_per_delivery, bytes);
    match row.wire_bytes_per_delivery_error {
        Some(error) if error >= 0.5 => format!("{figure} ± {}", bytes(error)),
        _ => figure,
    }
}

/// What it costs to be connected and to wait.
pub(crate) fn waiting(report: &Report) -> Grid {
    let columns = [
        "contender",
        "connect",
        "idle B/h",
        "idle pkt/h",
        "idle from",
        "RSS",
        "kernel",
        "radio awake",
    ];
    let mut grid = Grid::new("What one subscriber costs that waits", &columns);
    for row in &report.contenders {
        let from = row.idle.map(|idle| match idle.basis {
            Basis::Measured => format!("{} × {}", idle.periods, short_time(idle.period_s * 1e6)),
            Basis::Scaled => "scaled".to_owned(),
        });
        grid.row(vec![
            row.name.clone(),
            figure(row.connect_wire_bytes.map(float), bytes),
            figure(row.idle.map(|idle| idle.wire_bytes_per_hour), bytes),
            figure(row.idle.and_then(|idle| idle.packets_per_hour), count),
            from.unwrap_or_else(|| NOTHING.to_owned()),
            estimate(row.memory.resident(), bytes),
            estimate(row.memory.kernel(), bytes),
            figure(row.radio.map(|radio| radio.awake_share), percent),
        ]);
    }
    grid
}

/// What each contender costs by the prices that were given.
pub(crate) fn price(money: &Money) -> Grid {
    let columns = ["contender", "a month", "cheaper than push above"];
    let title = format!("One client in {}, for 30 days at this rate", money.prices.currency);
    let mut grid = Grid::new(title, &columns);
    for cost in &money.contenders {
        grid.row(vec![
            cost.name.clone(),
            format!("{:.4}", cost.per_month),
            figure(cost.cheaper_above, |rate| format!("{} messages/s", count(rate))),
        ]);
    }
    grid
}

/// How contenders came through what was made to fail.
pub(crate) fn recovered(report: &Report) -> Option<Grid> {
    let outage = report.run.outage?;
    let columns = [
        "contender",
        "heard again",
        "slowest",
        "never",
        "missed",
        "repeated",
        "connects",
        "bytes each",
    ];
    let title = format!("{}: after its end", outage.told());
    let mut grid = Grid::new(title, &columns);
    for row in &report.contenders {
        let Some(recovery) = row.outage else { continue };
        let after = |seconds: Option<f64>| figure(seconds.map(|seconds| seconds * 1e6), time);
        grid.row(vec![
            row.name.clone(),
            after(recovery.median_again_s),
            after(recovery.slowest_again_s),
            (recovery.subscribers - recovery.again).to_string(),
            row.missed.to_string(),
            row.repeated.to_string(),
            row.connects.to_string(),
            bytes(recovery.wire_bytes_per_subscriber),
        ]);
    }
    Some(grid)
}

/// What was captured beside what the kernel counted.
pub(crate) fn captured(report: &Report) -> Option<Grid> {
    let columns =
        ["contender", "packets captured", "counted", "bytes captured", "counted", "agree"];
    let mut grid = Grid::new("Captured beside counted", &columns);
    let mut any = false;
    for row in &report.contenders {
        let Some(captured) = row.capture else {
            continue;
        };
        any = true;
        grid.row(vec![
            row.name.clone(),
            captured.packets().to_string(),
            row.packets.sum().to_string(),
            captured.bytes().to_string(),
            row.wire_bytes.sum().to_string(),
            if captured.agrees { "yes" } else { "no" }.to_owned(),
        ]);
    }
    any.then_some(grid)
}

/// The server's processor time a delivery, or that it is too little to be seen.
fn processor(report: &Report, row: &Row) -> String {
    match (row.server_cpu_us_per_delivery, report.run.cpu_noise_us) {
        (Some(cpu), Some(noise)) if cpu < noise => format!("<{}", time(noise)),
        (cpu, _) => figure(cpu, time),
    }
}

pub(crate) fn theory(report: &Report) -> Option<Grid> {
    let columns = [
        "contender",
        "mean expected",
        "measured",
        "empty expected",
        "measured",
        "B/s expected",
        "measured",
    ];
    let mut grid = Grid::new("Theory beside measurement", &columns);
    let mut any = false;
    for row in &report.contenders {
        let (Some(expected), Some(latency)) = (row.expected, row.latency_us) else {
            continue;
        };
        any = true;
        grid.row(vec![
            row.name.clone(),
            format!("{} ± {}", time(expected.mean_us), time(expected.mean_error_us)),
            time(latency.mean),
            format!(
                "{} ± {}",
                percent(expected.empty_share_of_these_times),
                percent(expected.empty_share_error)
            ),
            figure(row.window.empty_share(), percent),
            bytes(expected.wire_bytes_per_s),
            bytes(float(row.window_bytes()) / row.window.seconds),
        ]);
    }
    any.then_some(grid)
}

/// The median of some figures, and the least and the largest.
pub(crate) fn median_and_range(mut values: Vec<f64>) -> Option<(f64, f64, f64)> {
    values.sort_by(f64::total_cmp);
    let (least, most) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = match values.len() % 2 {
        0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    };
    Some((median, least, most))
}

pub(crate) fn spread(report: &Report) -> Grid {
    let columns = ["contender", "p50", "p99", "B/ev", "CPU/ev"];
    let title = format!("{} rounds: median, least to most", report.run.rounds_done);
    let mut grid = Grid::new(title, &columns);
    for row in &report.contenders {
        let shown = |values: Vec<f64>, show: fn(f64) -> String| {
            median_and_range(values).map_or_else(
                || NOTHING.to_owned(),
                |(median, least, most)| within(&show(median), &show(least), &show(most)),
            )
        };
        let rounds = &row.rounds;
        grid.row(vec![
            row.name.clone(),
            shown(rounds.iter().map(|round| float(round.p50_us)).collect(), time),
            shown(rounds.iter().filter_map(|round| round.p99_us.map(float)).collect(), time),
            shown(rounds.iter().filter_map(|round| round.wire_bytes_per_delivery).collect(), bytes),
            shown(
                rounds.iter().filter_map(|round| round.server_cpu_us_per_delivery).collect(),
                time,
            ),
        ]);
    }
    grid
}

pub(crate) fn projected(projection: &Projection) -> Grid {
    let columns = [
        "contender",
        "requests/s",
        "Mbit/s",
        "idle a day",
        "cores",
        "bend",
        "server's memory",
        "its kernel's",
    ];
    let title = format!("Projected: {} clients", count(float(projection.clients)));
    let mut grid = Grid::new(title, &columns);
    for projected in &projection.contenders {
        let cores = projected.cores.map(|cores| {
            let shown = estimate(Some(cores), |cores| format!("{cores:.1}"));
            if cores.is_told() { shown } else { format!("not told ({shown})") }
        });
        grid.row(vec![
            projected.name.clone(),
            count(projected.requests_per_s),
            estimate(Some(projected.mbit_per_s), count),
            figure(projected.idle_bytes_per_day, bytes),
            cores.unwrap_or_else(|| NOTHING.to_owned()),
            figure(projected.cores_bend, |bend| format!("{:.0} %", bend * 100.0)),
            estimate(projected.resident_bytes, bytes),
            estimate(projected.kernel_bytes, bytes),
        ]);
    }
    grid
}

/// What a round trip between two long polls costs, by arithmetic and as it was measured.
pub(crate) fn long_polls(report: &Report) -> Option<Grid> {
    let columns = [
        "contender",
        "round trip",
        "extra wait: formula",
        "these times",
        "measured",
        "questions/s: formula",
        "these times",
        "measured",
    ];
    let mut grid = Grid::new("A round trip between two long polls", &columns);
    let mut any = false;
    for row in &report.contenders {
        let Some(polls) = row.rearm else { continue };
        any = true;
        let wait = |rearm: Rearm| time(rearm.extra_wait_s * 1e6);
        let questions = |rearm: Rearm| format!("{:.2}", rearm.questions_per_s);
        let formula =
            |show: &dyn Fn(Rearm) -> String| polls.formula.map_or_else(|| NOTHING.to_owned(), show);
        grid.row(vec![
            row.name.clone(),
            time(polls.round_trip_us),
            formula(&wait),
            wait(polls.of_these_times),
            format!("{} ± {}", time(polls.extra_wait_us), time(polls.extra_wait_error_us)),
            formula(&questions),
            questions(polls.of_these_times),
            format!("{:.2}", polls.questions_per_s),
        ]);
    }
    any.then_some(grid)
}

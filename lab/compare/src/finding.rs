//! What follows from the figures, in sentences.

use std::fmt::Write;

use doorbell::Transport;
use doorbell_protocol::Family;

use crate::capture::Captured;
use crate::expect::Checked;
use crate::figure::{bytes, float, percent, short_time, time};
use crate::flags::{HeaderBlock, Mode};
use crate::idle::Basis;
use crate::network::Network;
use crate::report::Report;
use crate::results::INTERVALS_MIN;
use crate::row::{Latency, Row, complete};
use crate::theory;
use crate::verdict::Verdict;
use crate::way::Way;

/// What is to be known before everything else: the answer, and what speaks against it.
pub(crate) fn answers(report: &Report) -> Vec<String> {
    let mut out = report.verdict.as_ref().map(Verdict::sentences).unwrap_or_default();
    out.extend(fewest_bytes(report));
    out.extend(quickest(report));
    out.extend(report.expectations.iter().map(Checked::told));
    out.extend(report.run.trouble.as_ref().map(|text| format!("Publishing: {text}.")));
    out.extend(report.contenders.iter().filter_map(trouble));
    out.extend(report.generator.warnings.iter().map(|text| format!("Warning: {text}.")));
    out.extend(disagreement(report));
    out
}

/// What the picture of the run shows, if there is something to see.
pub(crate) fn seen(report: &Report) -> Option<&'static str> {
    let has = |polls: bool| report.contenders.iter().any(|row| row.polls() == polls);
    (has(true) && has(false)).then_some(
        "What is polled comes at any time of its interval, so half of it late on average; what is \
         pushed stands at the left edge.",
    )
}

/// The sentences below the tables.
pub(crate) fn notes(report: &Report) -> Vec<String> {
    let mut out = vec![summary(report)];
    out.extend(report.contenders.iter().filter_map(lost));
    out.extend(report.contenders.iter().filter_map(|row| gathered(report, row)));
    out.extend(equal_pushes(report));
    out.extend(captured(report));
    out.extend(compressed_push(report));
    out.extend(processor(report));
    out.extend(how(report));
    out.push(memory(report));
    out.extend(idle(report));
    out.extend(radio(report));
    out.push(format!(
        "This process used {} of a core. {}",
        percent(report.generator.cpu_share),
        report.run.link
    ));
    out
}

fn summary(report: &Report) -> String {
    let run = &report.run;
    let rounds = match run.rounds_done {
        0 | 1 => String::new(),
        rounds => format!(", {rounds} rounds"),
    };
    format!(
        "{} messages were published, {} stored; {:.3} a second in {} s{rounds}, seed {}.{}",
        run.published,
        run.accepted,
        run.rate,
        run.duration_s,
        run.seed,
        if run.interrupted { " The run was cut short." } else { "" },
    )
}

/// What went wrong with one contender, beyond the columns.
fn trouble(row: &Row) -> Option<String> {
    let mut parts = Vec::new();
    if row.disconnects > 0 {
        parts.push(format!("{} disconnected", row.disconnects));
    }
    parts.extend(row.trouble.clone());
    (!parts.is_empty()).then(|| format!("{}: {}.", row.name, parts.join(", ")))
}

/// What datagrams lost on the way.
fn lost(row: &Row) -> Option<String> {
    let datagrams = row.datagrams.filter(|datagrams| datagrams.repairs > 0)?;
    Some(format!(
        "{}: {} of {} datagrams were lost; {} polls fetched what was missing, {} on the wire.",
        row.name,
        datagrams.lost,
        datagrams.lost + datagrams.arrived,
        datagrams.repairs,
        bytes(float(datagrams.repair_wire_bytes))
    ))
}

/// Theory and measurement further apart than chance explains, where there are polls enough for
/// their mean to have an error like that of many.
fn disagreement(report: &Report) -> Vec<String> {
    let apart = |row: &Row| {
        let (expected, latency) = (row.expected?, row.latency_us?);
        let polls = report.run.duration_s / row.interval_s?;
        if polls < f64::from(INTERVALS_MIN) {
            return None;
        }
        let away = (latency.mean - expected.mean_us).abs() / expected.mean_error_us;
        (away > 4.0 && row.missed == 0).then(|| {
            format!(
                "{}: its mean delay is {away:.0} standard errors from T/2, which chance does not \
                 explain.",
                row.name
            )
        })
    };
    report.contenders.iter().filter_map(apart).collect()
}

/// By how much two contenders may differ that are served together, for each that stands between
/// them: the server serves one after another, in the order in which they came.
const TURN_US: u64 = 100;

/// The quickest, and those that are not told from it.
fn quickest(report: &Report) -> Option<String> {
    let rows = complete(&report.contenders);
    let with_latency = rows.iter().filter_map(|row| Some((*row, row.latency_us?)));
    let rows: Vec<(&Row, Latency)> = with_latency.collect();
    let (quickest, best) = rows.iter().min_by_key(|(_, latency)| latency.p50)?;
    let (slowest, worst) = rows.iter().max_by_key(|(_, latency)| latency.p50)?;
    let turns = match report.run.mode {
        Mode::Together => TURN_US * (rows.len() as u64 - 1),
        Mode::Apart => 0,
    };
    let is_alike = |latency: &Latency| latency.p50_range.0 <= best.p50_range.1 + turns;
    let alike: Vec<_> = rows.iter().filter(|(_, latency)| is_alike(latency)).collect();
    let (least, most) = (time(float(best.p50)), time(float(worst.p50)));
    if alike.len() == rows.len() {
        return (rows.len() > 1).then(|| {
            format!(
                "No difference in delay is told from chance: half of the messages of each within \
                 {least} to {most}."
            )
        });
    }
    let slowest = format!("slowest: {}, {most}.", slowest.name);
    Some(if alike.len() == 1 {
        format!("Quickest: {}, half of the messages within {least}; {slowest}", quickest.name)
    } else {
        let names: Vec<&str> = alike.iter().map(|(row, _)| row.name.as_str()).collect();
        let slowest_of_them = alike.iter().map(|(_, latency)| latency.p50).max()?;
        format!(
            "Quickest, without a difference that is told from chance and from the order in which \
             they are served: {}, half of the messages within {least} to {}; {slowest}",
            names.join(", "),
            time(float(slowest_of_them))
        )
    })
}

/// Which contender moved the fewest bytes, said as plainly when it was not push.
fn fewest_bytes(report: &Report) -> Option<String> {
    let rows = complete(&report.contenders);
    let bytes_of = |row: &Row| row.wire_bytes_per_delivery.unwrap_or(f64::INFINITY);
    let fewest = |polls: bool| {
        let rows = rows
            .iter()
            .filter(|row| row.wire_bytes.sum() > 0 && row.via.family() != Family::Longpoll)
            // A text alone is not what the others bring.
            .filter(|row| row.via != Way::Best(Transport::Raw));
        let rows = rows.filter(|row| row.polls() == polls);
        rows.min_by(|left, right| bytes_of(left).total_cmp(&bytes_of(right)))
    };
    let (poll, push) = (fewest(true)?, fewest(false)?);
    let error_of = |row: &Row| row.wire_bytes_per_delivery_error.unwrap_or_default();
    let told = |row: &Row| match error_of(row) {
        error if error >= 0.5 => {
            format!("{} {} ± {}", row.name, bytes(bytes_of(row)), bytes(error))
        }
        _ => format!("{} {}", row.name, bytes(bytes_of(row))),
    };
    let crossing = crossing(report, poll, push).unwrap_or_default();
    let error = error_of(poll).hypot(error_of(push));
    Some(if (bytes_of(poll) - bytes_of(push)).abs() < 2.0 * error {
        format!(
            "Polling and push moved as many bytes for each message, as far as so few of them tell: \
             {}, {}.{crossing}",
            told(poll),
            told(push)
        )
    } else if bytes_of(poll) < bytes_of(push) {
        format!(
            "Polling moved fewer bytes for each message than push: {}, {}. One answer brings many \
             messages, and each of them waited for it.{crossing}",
            told(poll),
            told(push)
        )
    } else {
        format!(
            "Push moved fewer bytes for each message than polling: {}, {}.{crossing}",
            told(push),
            told(poll)
        )
    })
}

/// Where the two change places, worked out from the unit costs.
fn crossing(report: &Report, poll: &Row, push: &Row) -> Option<String> {
    let unit = |row: &Row| report.units.iter().find(|unit| unit.via == row.via);
    let (cost, other) = (unit(poll)?.poll?, unit(push)?.push?);
    let interval = poll.interval_s.filter(|_| poll.via.is_even())?;
    let pushed = |rate: f64| match push.coalesce_s {
        Some(window) => other.coalesced(rate, window),
        None => other.rate(rate),
    };
    let rate = theory::crossover(|rate| cost.rate(rate, interval), pushed)?;
    Some(format!(
        " Worked out: {} moves fewer bytes than {} above {rate:.3} messages a second.",
        poll.name, push.name
    ))
}

/// What letting messages wait for others saved, and how much later they came.
fn gathered(report: &Report, row: &Row) -> Option<String> {
    row.coalesce_s?;
    let same = |other: &&Row| other.via == row.via && other.coalesce_s.is_none();
    let at_once = report.contenders.iter().find(same)?;
    let both = |value: fn(&Row) -> Option<f64>| Some((value(row)?, value(at_once)?));
    let (each, each_at_once) = both(|row| row.wire_bytes_per_delivery)?;
    let (woken, woken_at_once) = both(|row| row.wakeups_per_delivery)?;
    let (mean, mean_at_once) = both(|row| row.latency_us.map(|latency| latency.mean))?;
    Some(format!(
        "{}: {} a message in place of {}, and its client woken {woken:.2} times for each in place of \
         {woken_at_once:.2}; messages came {} late on average in place of {}.",
        row.name,
        bytes(each),
        bytes(each_at_once),
        time(mean),
        time(mean_at_once)
    ))
}

/// That framing is not the story.
fn equal_pushes(report: &Report) -> Option<String> {
    let of = |via: Way| {
        let row = report.contenders.iter().find(|row| row.via == via)?;
        row.wire_bytes_per_delivery
    };
    let (tcp, ws) = (of(Way::TCP)?, of(Way::Best(Transport::Websocket))?);
    Some(format!(
        "A WebSocket message took {} on the wire, a line over TCP {}: {} apart. Headers of packets \
         and acknowledgements are what counts, not the framing.",
        bytes(ws),
        bytes(tcp),
        percent((ws / tcp - 1.0).abs())
    ))
}

/// What compression would save of push that came without.
fn compressed_push(report: &Report) -> Option<String> {
    let saving = report.compressed_push?;
    let of = |via: Transport| {
        let row = report.contenders.iter().find(|row| row.via == Way::Best(via))?;
        row.wire_bytes_per_delivery
    };
    let is_measured = report.run.compress && report.run.own_server;
    let told: Vec<String> = [
        (Transport::Sse, "server-sent events in gzip", saving.sse),
        (Transport::Websocket, "a WebSocket with permessage-deflate", saving.websocket),
    ]
    .into_iter()
    .filter(|(via, ..)| !(is_measured && *via == Transport::Sse))
    .filter_map(|(via, name, saving)| {
        let now = of(via)?;
        let then = now - saving.plain + saving.compressed;
        Some(format!("{name} {} instead of {}", bytes(then), bytes(now)))
    })
    .collect();
    (!told.is_empty()).then(|| {
        format!(
            "Worked out, not measured: with a window of compression kept for each connection a \
             message would take by {}. Such a window takes 370 kB of memory, where a connection that \
             waits takes a few kB.{}",
            told.join(", by "),
            if is_measured { "" } else { " --compress measures it for streams over HTTP." }
        )
    })
}

fn processor(report: &Report) -> Option<String> {
    let run = &report.run;
    match run.mode {
        Mode::Together => run.shared_cpu_us_per_delivery.map(|cpu| {
            format!(
                "The server used {} of processor time a delivery, all contenders and publishing \
                 together; --mode apart tells them apart.",
                time(cpu)
            )
        }),
        Mode::Apart => run.publishing_cpu_us.map(|cpu| {
            format!(
                "Publishing alone used {} of the server's processor time a message; it is taken off \
                 the others, and what is less than a tenth of it is not told from nothing. More \
                 --subscribers make it more exact.",
                time(cpu)
            )
        }),
    }
}

/// Whether the packets that were captured are those that were counted.
fn captured(report: &Report) -> Option<String> {
    let rows: Vec<(&Row, Captured)> =
        report.contenders.iter().filter_map(|row| Some((row, row.capture?))).collect();
    let drops = rows.first()?.1.drops;
    let names = |agrees: bool| {
        let names = rows.iter().filter(|(_, captured)| captured.agrees == agrees);
        names.map(|(row, _)| row.name.as_str()).collect::<Vec<_>>()
    };
    let differ = names(false);
    Some(if differ.is_empty() {
        let packets: u64 = rows.iter().map(|(_, captured)| captured.packets()).sum();
        format!(
            "What was captured is what the {} counted, to the byte: {packets} packets of {} \
             contenders.",
            if report.run.network == Network::Ethernet { "link" } else { "kernel" },
            rows.len()
        )
    } else {
        format!(
            "Captured and counted differ for {} of {} contenders ({}); the capture had no room for \
             {drops} packets. A machine that is too busy sends segments twice, which the two count \
             differently.",
            differ.len(),
            rows.len(),
            differ.join(", ")
        )
    })
}

/// How it was measured.
fn how(report: &Report) -> Vec<String> {
    let over_link = report.run.network == Network::Ethernet;
    let mut told = vec![
        format!(
            "Delay counts from the planned time of sending; the publisher was {} late at most, which \
             is in it. \"ack\" counts from the moment when the publisher heard that the message was \
             stored, on the same clock; 0 if the delivery came first. \"first\" is a new \
             subscriber's wait for a message that is held.",
            time(float(report.generator.schedule_lag_us))
        ),
        format!(
            "Wire bytes are {} counts of packets with the headers of IP and TCP, handshakes and closes \
             included, {}; a Unix socket has no packets. B/ev, pkt/ev and wake/ev (how often the \
             client had something to read) count only while messages were published; in B/ev those \
             that came later are added at what one costs. \"±\" is one standard error, were the run \
             made again. A percentile is shown where at least one message lies beyond it.",
            if over_link { "the link's" } else { "the kernel's" },
            if over_link {
                "where they were sent, so that what was lost is among them and what was sent again \
                 counts again"
            } else {
                "as the client sees them"
            },
        ),
    ];
    if report.run.tls {
        told.push(
            "The connections of the contenders were encrypted; each new one shook hands in full, with \
             a certificate that has no other above it, but for those of poll-new-resumed. The publisher's was not."
                .to_owned(),
        );
    }
    if report.run.compress {
        told.push(format!(
            "Answers to polls came compressed where they are long enough, and {}; the heads of \
             requests were those of {}.",
            if report.run.own_server {
                "streams over HTTP with a window that is kept, for 370 kB of memory each"
            } else {
                "streams over HTTP if that server does so"
            },
            match report.run.headers {
                HeaderBlock::Client => "this client",
                HeaderBlock::Browser => "a browser",
                HeaderBlock::BrowserCookie => "a browser with a cookie",
            }
        ));
    }
    if report.run.own_server {
        let log = if report.run.log_in_memory { "in memory" } else { "on disk" };
        told.push(format!("The server was started for this run, and keeps its log {log}."));
    }
    told
}

/// Whose memory is shown.
fn memory(report: &Report) -> String {
    let kernel = &report.run.kernel_memory;
    let told = match (kernel.source, &kernel.missing) {
        (Some(source), missing) => format!(
            "\"kernel\" is what the kernel holds for the sockets besides, by {source}: for both ends \
             of each connection, as both are on this machine.{}",
            missing
                .as_ref()
                .map_or_else(String::new, |reason| format!(" Where it is not known {reason}."))
        ),
        (None, Some(reason)) => {
            format!("The kernel's memory for the sockets is not in it and not known: {reason}.")
        }
        (None, None) => "The kernel's memory for the sockets is not in it.".to_owned(),
    };
    format!(
        "\"RSS\" is the memory of the server's process for one subscriber of many that wait. {told}"
    )
}

/// How long a phone's radio would be awake, and what that means.
fn radio(report: &Report) -> Option<String> {
    let radios = || report.contenders.iter().filter_map(|row| Some((row, row.radio?)));
    let (longest, most) = radios().max_by(|a, b| a.1.awake_share.total_cmp(&b.1.awake_share))?;
    Some(format!(
        "\"radio awake\" is worked out: the share of this run's time in which a phone's radio would be \
         in its high state, which it keeps for {} after each packet. At 1.06 W there and 15 Wh of \
         battery {} would take {} of a battery a day; --radio-tail has other radios.",
        short_time(most.tail_s * 1e6),
        longest.name,
        percent(most.battery_share_per_day)
    ))
}

/// How the cost of waiting was come by.
fn idle(report: &Report) -> Option<String> {
    let idle = || report.contenders.iter().filter_map(|row| row.idle);
    idle().next()?;
    let mut text = format!(
        "\"idle\" was counted in whole polls or keepalives while nothing was published, for {} at \
         most, and is for an hour.",
        short_time(report.run.idle_s * 1e6)
    );
    let longer = idle().filter(|idle| idle.basis != Basis::Measured);
    if let Some(longest) = longer.map(|idle| idle.period_s).max_by(f64::total_cmp) {
        let _ = write!(
            text,
            " Where one of them takes longer it is from what one costs, counted where they come more \
             often; what the kernel itself sends into a longer silence is not in that. --idle {}s \
             counts all.",
            longest.ceil()
        );
    }
    Some(text)
}

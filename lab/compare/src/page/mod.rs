//! The report as one HTML file that needs nothing else: pictures, tables, how it was measured.

mod bytes;
mod chart;
mod delays;
mod html;
mod interval;
mod palette;
mod picture;
mod timeline;

use std::fmt::Write;

use doorbell_protocol::Family;

use self::html::{escape, figure, table};
pub(crate) use self::picture::draw as picture;
use crate::figure::{self, float, percent, time};
use crate::finding;
use crate::report::Report;
use crate::row::{Row, Window, complete};
use crate::table as tables;
use crate::way::Way;

const STYLE: &str = include_str!("style.css");

/// The whole file.
pub(crate) fn render(report: &Report) -> String {
    let style = STYLE.replace("/* dark */", &palette::dark_rules());
    let mut body = head(report);
    body += &answer_section(report);
    body += &run_section(report);
    body += &delay_section(report);
    body += &bytes_section(report);
    body += &waiting_section(report);
    if let Some(money) = &report.money {
        body += "<section><h2>In money</h2>";
        body += &table(&tables::price(money));
        body += "</section>";
    }
    body += &outage_section(report);
    body += &interval_section(report);
    body += &theory_section(report);
    body += &method_section(report);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>doorbell: polling against push</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <style>\n{style}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

fn head(report: &Report) -> String {
    let run = &report.run;
    let lead = if report.contenders.is_empty() {
        "Bytes against the rate of messages: where polling and push change places.".to_owned()
    } else {
        format!(
            "{} messages, published to {} contenders at times planned beforehand. Each contender \
             received the same messages from the same log; only who takes the initiative differs.",
            run.published / published_times(report),
            report.contenders.len()
        )
    };
    let mut out = format!("<header><h1>Polling against push</h1><p class=\"lead\">{lead}</p>");
    let facts = facts(report);
    if !facts.is_empty() {
        out += "<dl class=\"facts\">";
        for (name, value, more, class) in facts {
            let _ = write!(
                out,
                "<div><dt>{name}</dt><dd class=\"{class}\">{value}<small>{more}</small></dd></div>"
            );
        }
        out += "</dl>";
    }
    out + "</header>"
}

/// How often the same messages were published: once a contender if they raced apart.
fn published_times(report: &Report) -> usize {
    let all: usize = report.contenders.iter().map(|row| row.published).sum();
    match report.run.mode {
        crate::flags::Mode::Together => 1,
        crate::flags::Mode::Apart => {
            (all / report.contenders.first().map_or(1, |row| row.published.max(1))).max(1)
        }
    }
}

type Fact = (String, String, String, &'static str);

/// The four figures that a reader should take away.
fn facts(report: &Report) -> Vec<Fact> {
    let rows = complete(&report.contenders);
    let p50 = |row: &Row| row.latency_us.map_or(f64::INFINITY, |latency| float(latency.p50));
    let quick = |left: &&&Row, right: &&&Row| p50(left).total_cmp(&p50(right));
    let pushes = || rows.iter().filter(|row| !row.polls() && row.via.family() != Family::Longpoll);
    let push = pushes().find(|row| row.via == Way::TCP).or_else(|| pushes().min_by(quick));
    let poll = rows.iter().filter(|row| row.polls()).max_by(quick);
    let empty = |row: &Row| row.window.empty_share().unwrap_or(0.0);
    let polls = rows.iter().filter(|row| row.polls());
    let emptiest = polls.max_by(|left, right| empty(left).total_cmp(&empty(right)));
    let mut facts = Vec::new();
    for (row, class, verb) in [(push, "told", "told by"), (poll, "asks", "asking by")] {
        if let Some((row, latency)) = row.and_then(|row| Some((row, row.latency_us?))) {
            facts.push((
                format!(
                    "Half of the messages came within this, {verb} <b>{}</b>",
                    escape(&row.name)
                ),
                time(float(latency.p50)),
                latency.p99.map_or_else(
                    || format!("all {} within {}", latency.count, time(float(latency.max))),
                    |p99| format!("99 of 100 within {}", time(float(p99))),
                ),
                class,
            ));
        }
    }
    facts.extend(emptiest.and_then(|row| asked_for_nothing(row)));
    facts.extend(push.zip(poll).and_then(|(push, poll)| on_the_wire(push, poll)));
    facts
}

fn asked_for_nothing(row: &Row) -> Option<Fact> {
    let (share, expected) = (row.window.empty_share()?, row.expected?.empty_share_of_these_times);
    let Window { empty, requests, .. } = row.window;
    Some((
        format!("Asked for nothing, <b>{}</b>", escape(&row.name)),
        percent(share),
        format!("{empty} of {requests} answers; theory expects {}", percent(expected)),
        "asks",
    ))
}

fn on_the_wire(push: &Row, poll: &Row) -> Option<Fact> {
    let (told, asked) = (push.wire_bytes_per_delivery?, poll.wire_bytes_per_delivery?);
    let names = (escape(&push.name), escape(&poll.name));
    Some((
        format!("On the wire for each message, <b>{}</b>", names.0),
        figure::bytes(told),
        format!("headers of packets included; {} took {}", names.1, figure::bytes(asked)),
        "told",
    ))
}

/// The names of contenders in their colours.
fn keys(rows: &[&Row]) -> String {
    let item = |(index, row): (usize, &&Row)| {
        key(Some(row.via), palette::alike_before(rows, index), &row.name)
    };
    let items: String = rows.iter().enumerate().map(item).collect();
    format!("<ul class=\"keys\">{items}</ul>")
}

/// A name in its colour, as its curve is drawn; that of what is worked out is of no way.
fn key(via: Option<Way>, alike: usize, name: &str) -> String {
    let ink = via.map_or(palette::GATHERED, palette::of).light;
    let class = match alike {
        _ if via.is_none() => "chip dash",
        0 => "chip",
        1 => "chip dashed",
        _ => "chip dotted",
    };
    format!(
        "<li><span class=\"{class}\" data-ink=\"{ink}\" style=\"color:{ink}\"></span>{}</li>",
        escape(name)
    )
}

/// What to take away, before how it came about.
fn answer_section(report: &Report) -> String {
    let answers = finding::answers(report);
    if answers.is_empty() {
        return String::new();
    }
    let mut out = "<section><h2>The answer</h2>".to_owned();
    for answer in answers {
        let _ = write!(out, "<p>{}</p>", escape(&answer));
    }
    out.extend(report.verdict.as_ref().map(|verdict| table(&verdict.grid())));
    out + "</section>"
}

fn run_section(report: &Report) -> String {
    let Some(picture) = timeline::draw(report) else {
        return String::new();
    };
    let caption = "Each tick on top is a message at its planned time. Each dot is its arrival; the \
        bar before it is how long it was on its way or waited for a poll.";
    let mut out = format!(
        "<section><h2>What happened</h2><p>A message that is pushed arrives where it was sent. A \
         message that is polled waits until somebody asks.</p>{}",
        figure(&picture, caption)
    );
    out += &table(&tables::correctness(report));
    out + "</section>"
}

fn delay_section(report: &Report) -> String {
    let Some(picture) = delays::draw(report) else {
        return String::new();
    };
    let rows: Vec<&Row> = report.contenders.iter().collect();
    let caption = "Read it from the left: the further left a curve rises, the sooner messages came. \
        A poll's curve rises over its whole interval, as messages come at any time in it.";
    format!(
        "<section><h2>How late</h2><p>From the moment at which a message was to be sent to the \
         moment at which it was there, so that nothing that waits is left out.</p>{}{}{}</section>",
        keys(&rows),
        figure(&picture, caption),
        table(&tables::delay(report))
    )
}

fn bytes_section(report: &Report) -> String {
    let mut out = "<section><h2>How many bytes</h2>".to_owned();
    if let Some(sweep) = &report.sweep {
        let interval = sweep.points.iter().find_map(|point| point.interval_s).unwrap_or(1.0);
        if let Some(picture) = bytes::draw(report, sweep, interval) {
            let shown = time(interval * 1e6).replace(".00", "");
            let window = sweep.crossovers.first().map_or(0.1, |crossover| crossover.coalesce_s);
            let keys: String = [
                (Some(Way::PollNew), format!("poll every {shown}, new connections")),
                (Some(Way::PollPlain), "kept connection".to_owned()),
                (Some(Way::POLL), "kept connection and ETag".to_owned()),
                (Some(Way::TCP), "push over TCP".to_owned()),
                (None, format!("push that gathers messages for {} ms", window * 1e3)),
            ]
            .iter()
            .map(|(via, name)| key(*via, 0, name))
            .collect();
            let caption = "Dots are measured, packets' headers and acknowledgements included; curves \
                are worked out from what one poll and one push cost. Push pays for each message, \
                polling for each question: when messages are many, one answer brings a lot of them.";
            let _ = write!(
                out,
                "<p>Push moves fewer bytes while messages are rare, polling when they are many and \
                 may wait.</p><ul class=\"keys\">{keys}</ul>{}",
                figure(&picture, caption)
            );
            out += &table(&crate::sweep::changes(sweep));
        }
    }
    if !report.contenders.is_empty() {
        out += &table(&tables::cost(report));
        if let Some(captured) = tables::captured(report) {
            out += &table(&captured);
        }
    }
    out + "</section>"
}

fn waiting_section(report: &Report) -> String {
    if report.contenders.is_empty() {
        return String::new();
    }
    format!(
        "<section><h2>What waiting costs</h2><p>Most of the time nothing happens. A poll asks all the \
         same; push says now and then that it is still there, and takes memory for each connection, \
         of the server's process and of the kernel.</p>{}</section>",
        table(&tables::waiting(report))
    )
}

fn outage_section(report: &Report) -> String {
    tables::recovered(report).map_or_else(String::new, |recovered| {
        format!(
            "<section><h2>After a failure</h2><p>From its end to the first message that came after \
             it, and what crossed the wire from its beginning until then.</p>{}</section>",
            table(&recovered)
        )
    })
}

fn interval_section(report: &Report) -> String {
    let Some(picture) = interval::draw(report) else {
        return String::new();
    };
    let caption = "Curves are worked out for polls on a kept connection with an ETag, at this run's \
        rate of messages; dots are the polls of this run. No interval is good at both.";
    format!(
        "<section><h2>The price of an interval</h2><p>Ask more often and messages come sooner, but \
         most questions are for nothing. Ask less often and it is the other way round.</p>{}\
         </section>",
        figure(&picture, caption)
    )
}

fn theory_section(report: &Report) -> String {
    let mut out = String::new();
    if let Some(theory) = tables::theory(report) {
        out += "<section><h2>Theory beside measurement</h2><p>A message waits half an interval on \
            average, and a share e<sup>−λT</sup> of the polls finds nothing. ± is one standard error: \
            what chance alone may do to a run of this length.</p>";
        out += &table(&theory);
        out += "</section>";
    }
    if let Some(long_polls) = tables::long_polls(report) {
        out += "<section><h2>The gap between two long polls</h2><p>While an answer and the next \
            question are under way nobody asks: a message that comes then waits for the question.</p>";
        out += &table(&long_polls);
        out += "</section>";
    }
    if report.run.rounds_done > 1 {
        out += "<section><h2>From round to round</h2>";
        out += &table(&tables::spread(report));
        out += "</section>";
    }
    if let Some(projection) = &report.projection {
        let clients = figure::count(float(projection.clients));
        let _ = write!(
            out,
            "<section><h2>With {clients} clients</h2><p>A projection, not a measurement. It assumes:</p>\
             <ul class=\"notes\">"
        );
        for assumption in projection.assumptions {
            let _ = write!(out, "<li>{}</li>", escape(assumption));
        }
        out += "</ul>";
        out += &table(&tables::projected(projection));
        out += "</section>";
    }
    out
}

fn method_section(report: &Report) -> String {
    let machine = &report.machine;
    let mut out = "<section><h2>How it was measured</h2><ul class=\"notes\">".to_owned();
    if !report.contenders.is_empty() {
        for sentence in finding::notes(report) {
            let _ = write!(out, "<li>{}</li>", escape(&sentence));
        }
    }
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let memory = machine
        .memory_bytes
        .map_or_else(String::new, |bytes| format!(", {} of memory", figure::bytes(float(bytes))));
    let _ = write!(
        out,
        "<li>Machine: {}, {} cores{memory}; {} {} on {}; client {}, server {}.</li>\
         <li>{}</li></ul>",
        escape(&known(&machine.cpu)),
        machine.cores,
        machine.os,
        escape(&known(&machine.kernel)),
        machine.arch,
        report.versions.client,
        escape(&known(&report.versions.server)),
        escape(&report.run.link)
    );
    let _ = write!(
        out,
        "<p>To make it again with the same times:</p><pre>{}</pre>",
        escape(&report.run.repeat)
    );
    out + "</section><footer>Made by doorbell compare.</footer>"
}

//! What a trace shows, whatever it is drawn with: rows from top to bottom, sums and remarks.

use std::net::SocketAddr;

use doorbell::Transport;
use doorbell_wire::{Dialogue, Phase, Side, Step, Sum};
use serde_json::json;

use crate::scenario::{Outcome, Scenario};

/// A silence from this on is drawn as one, in microseconds.
const SILENCE_US: f64 = 2000.0;

/// A finished trace.
pub(crate) struct Picture {
    pub(crate) via: Transport,
    pub(crate) topic: String,
    pub(crate) message: String,
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    pub(crate) dialogue: Dialogue,
    /// When the message was published, on the clock of the steps.
    pub(crate) published_us: f64,
}

/// One row of the drawing.
pub(crate) enum Row<'a> {
    /// A segment.
    Step(&'a Step),
    /// Nothing crossed the wire for so many microseconds.
    Silence(f64),
    /// Somebody else published the message.
    Published,
}

impl Picture {
    pub(crate) fn new(
        scenario: &Scenario,
        outcome: &Outcome,
        server: SocketAddr,
        dialogue: Dialogue,
    ) -> Self {
        let published = outcome.published.saturating_sub(dialogue.began);
        Self {
            via: scenario.via,
            topic: scenario.draft.topic.to_string(),
            message: scenario.draft.message.clone(),
            client: outcome.client,
            server,
            dialogue,
            published_us: published.as_secs_f64() * 1e6,
        }
    }

    /// From top to bottom.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        let mut now = 0.0;
        let mut published = Some(self.published_us);
        for step in &self.dialogue.steps {
            if let Some(at) = published.filter(|at| *at <= step.at_us) {
                silence(&mut rows, at - now);
                rows.push(Row::Published);
                published = None;
                now = at;
            }
            silence(&mut rows, step.at_us - now);
            rows.push(Row::Step(step));
            now = step.at_us;
        }
        rows
    }

    /// The sums of the phases that there are.
    pub(crate) fn sums(&self) -> Vec<(Phase, Sum)> {
        let sums = Phase::ALL.map(|phase| (phase, self.dialogue.sum(phase)));
        sums.into_iter().filter(|(_, sum)| sum.packets > 0).collect()
    }

    /// The segment that brought the message.
    fn delivery(&self) -> Option<&Step> {
        self.dialogue.steps.iter().find(|step| {
            step.from == Side::Server
                && step.at_us >= self.published_us
                && step.words.contains("message '")
        })
    }

    /// What a person should know about it, a sentence or two each.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(step) = self.delivery() {
            remarks.push(format!(
                "The message came {} after it was published. Its {} bytes of text took a packet \
                 of {} bytes.",
                duration(step.at_us - self.published_us),
                self.message.len(),
                step.wire_bytes
            ));
        }
        let requests = self.dialogue.steps.iter().filter(|step| step.phase == Phase::Request);
        let requests = requests.filter(|step| step.payload_bytes > 0).count();
        if requests > 1 {
            remarks.push(format!("The client asked {requests} times for one message."));
        }
        remarks.extend(self.goodbye());
        if !self.dialogue.has_begin {
            remarks.push(
                "The handshake was not seen: numbers count from the first segment \
                that was."
                    .to_owned(),
            );
        }
        remarks.push(self.headers());
        remarks
    }

    /// What is counted.
    fn headers(&self) -> String {
        let ip = if self.server.is_ipv6() { 40 } else { 20 };
        let of = |step: &Step| (step.wire_bytes - step.payload_bytes) / step.packets.max(1) - ip;
        let is_syn = |step: &&Step| step.flags.contains(&"SYN");
        let steps = &self.dialogue.steps;
        let plain = steps.iter().find(|step| !is_syn(step)).map_or(32, of);
        let syn = steps.iter().find(is_syn).map_or(40, of);
        format!(
            "Bytes are those of the IP packets: each has {ip} bytes of IP and {plain} of TCP header \
             (a SYN {syn}) before its payload. Loopback has no frames; Ethernet would add 18 bytes \
             to each."
        )
    }

    /// Why the close looks as it does.
    fn goodbye(&self) -> Option<String> {
        if !self.dialogue.has_end {
            return Some("The end of the connection was not seen in time.".to_owned());
        }
        let steps = &self.dialogue.steps;
        let first = steps.iter().position(|step| step.flags.contains(&"FIN"))?;
        let second =
            first + 1 + steps[first + 1..].iter().position(|step| step.flags.contains(&"FIN"))?;
        let name = |side| if side == Side::Client { "client" } else { "server" };
        let (one, other) = (name(steps[first].from), name(steps[second].from));
        let is_fin_alone =
            steps[first + 1..second].iter().all(|step| step.from != steps[second].from);
        Some(if is_fin_alone {
            format!(
                "The goodbye has three segments: the {other} closed at once, so its FIN is also \
                 its acknowledgement of the {one}'s FIN. When it waits, there are four."
            )
        } else {
            format!(
                "The goodbye has four segments: the {one}'s FIN and the {other}'s ACK of it, then \
                 the {other}'s FIN and the {one}'s ACK. When the {other} does not wait, its ACK \
                 and its FIN are one segment."
            )
        })
    }

    pub(crate) fn to_json(&self) -> String {
        let phases: serde_json::Map<_, _> =
            self.sums().iter().map(|(phase, sum)| (phase.to_string(), json!(sum))).collect();
        let value = json!({
            "schema": 1,
            "via": self.via.name(),
            "topic": self.topic,
            "message": self.message,
            "client": self.client.to_string(),
            "server": self.server.to_string(),
            "published_us": self.published_us,
            "complete": self.dialogue.has_begin && self.dialogue.has_end,
            "segments": self.dialogue.steps,
            "phases": phases,
            "client_sent": self.dialogue.sent_by(Side::Client),
            "server_sent": self.dialogue.sent_by(Side::Server),
            "total": self.dialogue.total(),
            "remarks": self.remarks(),
        });
        format!("{value:#}\n")
    }
}

fn silence(rows: &mut Vec<Row<'_>>, microseconds: f64) {
    if microseconds >= SILENCE_US {
        rows.push(Row::Silence(microseconds));
    }
}

/// A time as people read it, at most ten characters.
pub(crate) fn duration(microseconds: f64) -> String {
    match microseconds {
        us if us < 999.95 => format!("{us:.1} µs"),
        us if us < 999_950.0 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.3} s", us / 1e6),
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The numbers of a segment in the words of TCP. A mere acknowledgement says so in its words.
pub(crate) fn details(step: &Step) -> String {
    let mut parts = Vec::new();
    if step.payload_bytes > 0 {
        parts.push(step.flags.join(" "));
    }
    parts.push(format!("seq {}", step.seq));
    parts.extend(step.ack.map(|ack| format!("ack {ack}")));
    if step.payload_bytes > 0 {
        parts.push(format!("len {}", step.payload_bytes));
    }
    if step.packets > 1 {
        parts.push(format!("{} packets", step.packets));
    }
    parts.join("  ")
}

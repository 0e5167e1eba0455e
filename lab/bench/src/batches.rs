//! How many messages went together: into the log by one commit, and to a reader by one write, as
//! the server counts them. Other contenders do not tell.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::failure::Result;

/// Both histograms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Batches {
    commits: Sizes,
    handouts: Sizes,
}

/// How many had at most so many messages, by that bound. [`u64::MAX`] stands for no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sizes(BTreeMap<u64, u64>);

impl Batches {
    /// Those of a server up to now, if it tells them.
    pub(crate) fn read(http: SocketAddr) -> Result<Option<Self>> {
        let mut stream = TcpStream::connect(http)?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(Self::parse(&answer))
    }

    fn parse(metrics: &str) -> Option<Self> {
        let commits = Sizes::parse(metrics, "doorbell_commit_messages_bucket{")?;
        let handouts = Sizes::parse(metrics, "doorbell_handout_messages_bucket{")?;
        Some(Self { commits, handouts })
    }

    /// What came after an earlier reading.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let (commits, handouts) = (&self.commits, &self.handouts);
        Self {
            commits: commits.combine(&earlier.commits, u64::saturating_sub),
            handouts: handouts.combine(&earlier.handouts, u64::saturating_sub),
        }
    }

    /// Those of two runs.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            commits: self.commits.combine(&other.commits, u64::saturating_add),
            handouts: self.handouts.combine(&other.handouts, u64::saturating_add),
        }
    }

    /// For a table's foot.
    pub(crate) fn words(&self) -> String {
        let (commits, handouts) = (self.commits.words(), self.handouts.words());
        format!("messages a commit: {commits}; a hand-out: {handouts}")
    }

    /// For the document.
    pub(crate) fn json(&self) -> Value {
        json!({"commit": self.commits.json(), "handout": self.handouts.json()})
    }
}

impl Sizes {
    /// The sum of all series that begin like that.
    fn parse(metrics: &str, series: &str) -> Option<Self> {
        let mut sizes = BTreeMap::new();
        for line in metrics.lines().filter(|line| line.starts_with(series)) {
            let (labels, count) = line.rsplit_once(' ')?;
            let bound = labels.split("le=\"").nth(1)?.split('"').next()?;
            let bound = match bound {
                "+Inf" => u64::MAX,
                bound => bound.parse::<f64>().ok()? as u64,
            };
            *sizes.entry(bound).or_default() += count.parse::<u64>().ok()?;
        }
        (!sizes.is_empty()).then_some(Self(sizes))
    }

    fn combine(&self, other: &Self, with: impl Fn(u64, u64) -> u64) -> Self {
        let both = self.0.iter().map(|(bound, count)| {
            let other = other.0.get(bound).copied().unwrap_or_default();
            (*bound, with(*count, other))
        });
        Self(both.collect())
    }

    /// Each bucket that is not empty: its bound and what is in it.
    fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut below = 0;
        let buckets = self.0.iter().map(move |(bound, count)| {
            let own = count.saturating_sub(below);
            below = *count;
            (*bound, own)
        });
        buckets.filter(|(_, count)| *count > 0)
    }

    fn words(&self) -> String {
        let all = self.0.values().max().copied().unwrap_or_default();
        let words = self.buckets().map(|(bound, count)| {
            let percent = 100.0 * count as f64 / all as f64;
            match bound {
                1 => format!("1 {percent:.1} %"),
                2 => format!("2 {percent:.1} %"),
                u64::MAX => format!("more {percent:.1} %"),
                bound => format!("{}-{bound} {percent:.1} %", bound / 2 + 1),
            }
        });
        words.collect::<Vec<_>>().join(", ")
    }

    fn json(&self) -> Value {
        let buckets = self.buckets().map(
            |(bound, count)| json!({"most": (bound != u64::MAX).then_some(bound), "count": count}),
        );
        buckets.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_histograms_of_a_run_are_what_its_readings_differ_by() {
        let metrics = |commits: [u64; 3], tcp: u64, websocket: u64| {
            let [one, two, all] = commits;
            Batches::parse(&format!(
                "doorbell_commit_messages_bucket{{le=\"1.0\"}} {one}\n\
                 doorbell_commit_messages_bucket{{le=\"4.0\"}} {two}\n\
                 doorbell_commit_messages_bucket{{le=\"+Inf\"}} {all}\n\
                 doorbell_handout_messages_bucket{{le=\"2.0\",transport=\"tcp\"}} {tcp}\n\
                 doorbell_handout_messages_bucket{{transport=\"ws\",le=\"2.0\"}} {websocket}\n"
            ))
            .unwrap()
        };
        let run = metrics([11, 15, 16], 3, 4).since(&metrics([10, 12, 12], 1, 0));
        assert_eq!(
            run.words(),
            "messages a commit: 1 25.0 %, 3-4 50.0 %, more 25.0 %; a hand-out: 2 100.0 %"
        );
        let two = run.plus(&run);
        assert_eq!(two.json()["commit"][2], json!({"most": null, "count": 2}));
        assert_eq!(two.json()["handout"][0], json!({"most": 2, "count": 12}));
        assert_eq!(Batches::parse("doorbell_publishes_total 1\n"), None, "an earlier build");
    }
}

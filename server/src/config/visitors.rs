//! The settings of what one visitor may ask for.

use clap::Args;

use super::{bytes, duration};
use crate::visitors::{HeldLimits, Rate, VisitorLimits};

/// A rate is so much at once, and as much again in that time.
#[derive(Debug, Clone, Args)]
pub struct VisitorSettings {
    /// Requests of one visitor, which is an identity or an address: so many at once, and as many
    /// again in that time; or off, as for each of these limits
    #[arg(long, value_name = "RATE", env = "DOORBELL_VISITOR_REQUESTS", default_value = "6000/1m",
        value_parser = count_rate)]
    pub visitor_requests: Rate,

    /// Messages that one visitor publishes
    #[arg(long, value_name = "RATE", env = "DOORBELL_VISITOR_MESSAGES", default_value = "6000/1m",
        value_parser = count_rate)]
    pub visitor_messages: Rate,

    /// Bytes of those, each message with some 256 beside its texts
    #[arg(long, value_name = "RATE", env = "DOORBELL_VISITOR_BYTES", default_value = "16MiB/1m",
        value_parser = byte_rate)]
    pub visitor_bytes: Rate,

    /// Topics that one visitor begins
    #[arg(long, value_name = "RATE", env = "DOORBELL_VISITOR_TOPICS", default_value = "1000/1h",
        value_parser = count_rate)]
    pub visitor_topics: Rate,

    /// Bytes of messages that one visitor reads by polls, or from a place back; what is pushed as
    /// it is published is not counted
    #[arg(long, value_name = "RATE", env = "DOORBELL_VISITOR_REPLAY", default_value = "256MiB/1m",
        value_parser = byte_rate)]
    pub visitor_replay: Rate,

    /// Wrong credentials from one address
    #[arg(long, value_name = "RATE", env = "DOORBELL_VISITOR_FAILURES", default_value = "30/30m",
        value_parser = count_rate)]
    pub visitor_failures: Rate,

    /// Messages of one visitor that are sent as e-mail, too
    #[arg(long, value_name = "RATE", env = "DOORBELL_VISITOR_EMAILS", default_value = "16/16h",
        value_parser = count_rate)]
    pub visitor_emails: Rate,

    /// Connections from one address at the same time, but never more than half of all; a reader
    /// that shares one, over HTTP/2 or by way of a trusted proxy, counts as one
    #[arg(long, value_name = "COUNT", env = "DOORBELL_VISITOR_CONNECTIONS", default_value = "1000",
        value_parser = count)]
    pub visitor_connections: u32,

    /// Bytes of the log that the messages of one visitor may fill; beyond it they are refused until
    /// older ones go [default: a quarter of --retention-bytes for an address, off for an identity]
    #[arg(long, value_name = "BYTES", env = "DOORBELL_VISITOR_HELD", value_parser = held)]
    pub visitor_held: Option<u64>,
}

impl VisitorSettings {
    /// The limits, on a server that takes so many connections and keeps so many bytes.
    pub fn limits(&self, connections: usize, retention_bytes: u64) -> VisitorLimits {
        let half = u32::try_from(connections / 2).unwrap_or(u32::MAX).max(1);
        let connections = match self.visitor_connections {
            u32::MAX => u32::MAX,
            count => count.min(half),
        };
        let rates = [
            self.visitor_requests,
            self.visitor_messages,
            self.visitor_bytes,
            self.visitor_topics,
            self.visitor_replay,
            self.visitor_failures,
            self.visitor_emails,
        ];
        let held = match self.visitor_held {
            Some(bytes) => HeldLimits { of_address: bytes, of_identity: bytes },
            None => HeldLimits { of_address: retention_bytes / 4, of_identity: u64::MAX },
        };
        VisitorLimits { rates, connections, held }
    }
}

fn count_rate(text: &str) -> Result<Rate, String> {
    rate(text, |amount| amount.parse().ok(), "a rate looks like 600/1m, or is off")
}

fn byte_rate(text: &str) -> Result<Rate, String> {
    rate(text, |amount| bytes(amount).ok(), "a rate looks like 16MiB/1m, or is off")
}

fn rate(text: &str, amount: impl Fn(&str) -> Option<u64>, help: &str) -> Result<Rate, String> {
    if text == "off" {
        return Ok(Rate::OFF);
    }
    let rate = text
        .split_once('/')
        .and_then(|(count, time)| Rate::new(amount(count)?, duration(time).ok()?));
    rate.ok_or_else(|| help.to_owned())
}

fn held(text: &str) -> Result<u64, String> {
    if text == "off" {
        Ok(u64::MAX)
    } else {
        bytes(text).map_err(|error| format!("{error}, or off"))
    }
}

fn count(text: &str) -> Result<u32, String> {
    if text == "off" {
        return Ok(u32::MAX);
    }
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "a number of connections is 1 or more, or off".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_an_amount_and_a_time_or_is_off() {
        for (text, shown) in [("600/1m", "600/1m"), ("1/1500ms", "1/1500ms"), ("off", "off")] {
            assert_eq!(count_rate(text).unwrap().to_string(), shown);
        }
        assert_eq!(byte_rate("2KiB/1h").unwrap().to_string(), "2048/1h");
        for text in ["", "600", "600/", "/1m", "0/1m", "600/0s", "-1/1m", "1KiB/1m", "OFF"] {
            assert!(count_rate(text).is_err(), "{text}");
        }
    }
}

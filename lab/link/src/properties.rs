//! The properties of a link, as they are written: `delay 40ms jitter 5ms rate 10mbit`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use doorbell_protocol::code::quoted;
use doorbell_protocol::since::parse_duration;

/// The longest one-way delay.
pub const DELAY_MAX: Duration = Duration::from_secs(10);
/// The lowest and the highest rate, in bits a second.
pub const RATE: (u64, u64) = (1_000, 10_000_000_000);

const NAMES: &str = "delay, jitter, rate, loss, reorder or duplicate";

/// The properties of a link: what [`Link::parse`] reads.
///
/// ```
/// use doorbell_link::Link;
///
/// let link = Link::parse("delay 40ms jitter 5ms rate 10mbit")?;
/// assert_eq!(link.to_string(), "delay 40ms jitter 5ms rate 10mbit");
/// assert_eq!(
///     Link::parse("delay 1h").unwrap_err().to_string(),
///     "delay '1h' is not a time up to 10s, such as 40ms"
/// );
/// # Ok::<(), doorbell_link::LinkError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Link {
    /// One way, so half of what it adds to a round trip.
    pub delay: Duration,
    /// How far each packet's delay is from that at most, both ways alike; not more than the delay.
    pub jitter: Duration,
    /// Bits a second, or as fast as it goes.
    pub rate: Option<u64>,
    /// The share of packets that are lost, 0 to 1. A relay has it for UDP only, as what follows.
    pub loss: f64,
    /// The share of packets that are held back so that later ones overtake them.
    pub reorder: f64,
    /// The share of packets that come twice.
    pub duplicate: f64,
}

/// Why a link cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(String);

impl Link {
    /// Reads pairs of a name and a value: `delay 40ms jitter 5ms rate 10mbit loss 1% reorder 2%
    /// duplicate 0.5%`.
    ///
    /// # Errors
    ///
    /// A sentence with the value that cannot be and the bound that it breaks.
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let mut link = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        let mut words = text.split_whitespace();
        while let Some(name) = words.next() {
            if seen.contains(&name) {
                return Err(LinkError(format!("{name} is given twice")));
            }
            let value = words.next();
            let value = || value.ok_or_else(|| LinkError(format!("{} has no value", quoted(name))));
            match name {
                "delay" => link.delay = time(name, value()?)?,
                "jitter" => link.jitter = time(name, value()?)?,
                "rate" => link.rate = Some(rate(value()?)?),
                "loss" => link.loss = share(name, value()?)?,
                "reorder" => link.reorder = share(name, value()?)?,
                "duplicate" => link.duplicate = share(name, value()?)?,
                _ => {
                    let name = quoted(name);
                    return Err(LinkError(format!("{name} is no property of a link: {NAMES}")));
                }
            }
            seen.push(name);
        }
        if seen.is_empty() {
            return Err(LinkError(format!("a link needs a property: {NAMES}")));
        }
        if link.jitter > link.delay {
            return Err(LinkError(format!(
                "jitter {:?} is more than the delay of {:?}: a packet cannot arrive before it is \
                 sent",
                link.jitter, link.delay
            )));
        }
        Ok(link)
    }

    /// The property that only a link of packets can have over TCP, if there is one: a relay can't
    /// take segments out of a connection.
    pub fn needs_packets(&self) -> Option<&'static str> {
        self.shares().into_iter().find_map(|(name, share)| (share > 0.0).then_some(name))
    }

    /// Whether a relay can have it for TCP.
    ///
    /// # Errors
    ///
    /// A sentence that names the property which it cannot have.
    pub fn for_tcp(self) -> Result<Self, LinkError> {
        match self.needs_packets() {
            Some(name) => Err(LinkError(format!(
                "{name} is for UDP: a relay in user space cannot take segments out of a TCP \
                 connection"
            ))),
            None => Ok(self),
        }
    }

    fn shares(&self) -> [(&'static str, f64); 3] {
        [("loss", self.loss), ("reorder", self.reorder), ("duplicate", self.duplicate)]
    }
}

fn time(name: &str, text: &str) -> Result<Duration, LinkError> {
    let time = if text == "0" { Some(Duration::ZERO) } else { parse_duration(text) };
    time.filter(|time| *time <= DELAY_MAX).ok_or_else(|| {
        let text = quoted(text);
        LinkError(format!("{name} {text} is not a time up to {DELAY_MAX:?}, such as 40ms"))
    })
}

const UNITS: [(&str, u64); 4] =
    [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

fn rate(text: &str) -> Result<u64, LinkError> {
    let refused = || {
        let text = quoted(text);
        LinkError(format!("rate {text} is not a rate from 1kbit to 10gbit, such as 10mbit"))
    };
    let unit = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)));
    let (number, unit) = unit.ok_or_else(refused)?;
    let is_plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let number = if is_plain { number.parse::<u64>().ok() } else { None };
    number
        .and_then(|number| number.checked_mul(unit))
        .filter(|rate| (RATE.0..=RATE.1).contains(rate))
        .ok_or_else(refused)
}

fn share(name: &str, text: &str) -> Result<f64, LinkError> {
    let number = text.strip_suffix('%').filter(|number| {
        number.starts_with(|c: char| c.is_ascii_digit())
            && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    });
    let percent = number.and_then(|number| number.parse::<f64>().ok());
    percent
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| LinkError(format!("{name} {} is not a share from 0% to 100%", quoted(text))))
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        Self::parse(text)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "delay {}", Time(self.delay))?;
        if !self.jitter.is_zero() {
            write!(f, " jitter {}", Time(self.jitter))?;
        }
        if let Some(rate) = self.rate {
            let unit = UNITS.iter().find(|(_, unit)| rate % unit == 0);
            let (name, unit) = unit.unwrap_or(&UNITS[3]);
            write!(f, " rate {}{name}", rate / unit)?;
        }
        for (name, share) in self.shares() {
            if share > 0.0 {
                // No more digits than were given, in spite of binary fractions.
                let percent = (share * 1e8).round() / 1e6;
                write!(f, " {name} {percent}%")?;
            }
        }
        Ok(())
    }
}

/// A time in seconds where they are whole, otherwise in milliseconds.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_micros() == 0 {
            return write!(f, "{}s", self.0.as_secs());
        }
        // Microseconds are all that is read, so three decimals lose nothing.
        let micros = self.0.as_micros();
        let text = format!("{}.{:03}", micros / 1000, micros % 1000);
        write!(f, "{}ms", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_property_is_read_and_written_back() {
        for text in [
            "delay 40ms",
            "delay 40ms jitter 5ms rate 10mbit",
            "delay 2s rate 1500kbit",
            "delay 1.5ms jitter 0.1ms",
            "delay 0s loss 1% reorder 2.5% duplicate 0.1%",
            "delay 10s rate 1001bit",
        ] {
            assert_eq!(Link::parse(text).unwrap().to_string(), text);
        }
        let link = Link::parse(" rate 1gbit  delay 0 ").unwrap();
        assert_eq!((link.rate, link.delay), (Some(1_000_000_000), Duration::ZERO));
    }

    #[test]
    fn what_cannot_be_is_refused_with_value_and_bound() {
        for (text, expected) in [
            ("", "needs a property"),
            ("delay", "'delay' has no value"),
            ("delay 40", "delay '40' is not a time up to 10s"),
            ("delay 11s", "delay '11s' is not a time up to 10s"),
            ("delay -1ms", "delay '-1ms'"),
            ("jitter 5ms", "jitter 5ms is more than the delay of 0ns"),
            ("rate 10", "rate '10' is not a rate from 1kbit to 10gbit"),
            ("rate 999bit", "rate '999bit'"),
            ("rate 11gbit", "rate '11gbit'"),
            ("rate 1.5mbit", "rate '1.5mbit'"),
            ("rate 99999999999999999999gbit", "rate '"),
            ("loss 1", "loss '1' is not a share from 0% to 100%"),
            ("loss 101%", "loss '101%'"),
            ("loss nan%", "loss 'nan%'"),
            ("loss +1%", "loss '+1%'"),
            ("latency 4ms", "'latency' is no property of a link: delay, jitter"),
            ("delay 1ms delay 2ms", "delay is given twice"),
        ] {
            let error = Link::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = Link::parse("loss 1%").unwrap().for_tcp().unwrap_err().to_string();
        assert!(error.contains("loss is for UDP"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            text in "((delay|jitter|rate|loss|reorder|duplicate|.{0,3}) ?[0-9.]{0,5}(ms|s|kbit|mbit|%)? ?){0,4}",
        ) {
            if let Ok(link) = Link::parse(&text) {
                let again = Link::parse(&link.to_string()).unwrap();
                prop_assert_eq!(
                    (again.delay, again.jitter, again.rate),
                    (link.delay, link.jitter, link.rate)
                );
                for (again, given) in [
                    (again.loss, link.loss),
                    (again.reorder, link.reorder),
                    (again.duplicate, link.duplicate),
                ] {
                    prop_assert!((again - given).abs() < 1e-7);
                }
            }
        }
    }
}

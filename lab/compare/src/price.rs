//! What a client costs in money, by somebody's prices.
//!
//! ```toml
//! currency = "$"
//! million_requests = 1.0             # polls and long polls
//! million_messages = 1.0             # pushed
//! million_connection_minutes = 0.25  # of push, connected or waiting
//! ```

use std::fs;
use std::path::Path;

use doorbell_instruments::Failure;
use doorbell_protocol::Family;
use serde::{Deserialize, Serialize};

use crate::figure::float;
use crate::row::Row;

const MONTH_S: f64 = 30.0 * 24.0 * 3600.0;
const MILLION: f64 = 1e6;

/// Prices, as a file has them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    pub(crate) currency: String,
    #[serde(default)]
    pub(crate) million_requests: f64,
    #[serde(default)]
    pub(crate) million_messages: f64,
    #[serde(default)]
    pub(crate) million_connection_minutes: f64,
}

/// What contenders cost by these prices.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Money {
    pub(crate) prices: Prices,
    pub(crate) contenders: Vec<Cost>,
}

/// What one contender costs.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Cost {
    pub(crate) name: String,
    /// Of one client, at the rate of this run.
    pub(crate) per_month: f64,
    /// The messages a second above which this poll is cheaper than push; `None` if never, or if it
    /// is no poll.
    pub(crate) cheaper_above: Option<f64>,
}

impl Prices {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] with what is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |error: String| Failure::Usage(format!("--price {}: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let prices: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let all =
            [prices.million_requests, prices.million_messages, prices.million_connection_minutes];
        if all.iter().any(|price| !price.is_finite() || *price < 0.0) {
            return Err(wrong("a price is a number that is not below zero".to_owned()));
        }
        Ok(prices)
    }

    /// What the contenders cost, at so many messages a second.
    pub(crate) fn money(&self, rows: &[Row], rate: f64) -> Money {
        let contenders = rows.iter().map(|row| self.cost(row, rate)).collect();
        Money { prices: self.clone(), contenders }
    }

    fn cost(&self, row: &Row, rate: f64) -> Cost {
        let per_s = match row.via.family() {
            Family::Push => self.pushed_per_s(rate),
            Family::Poll | Family::Longpoll => {
                let seconds = row.window.seconds * f64::from(row.subscribers);
                float(row.window.requests) / seconds.max(f64::MIN_POSITIVE) * self.request()
            }
        };
        let cheaper_above = row.interval_s.and_then(|interval| self.cheaper_above(interval));
        Cost { name: row.name.clone(), per_month: per_s * MONTH_S, cheaper_above }
    }

    fn request(&self) -> f64 {
        self.million_requests / MILLION
    }

    fn pushed_per_s(&self, rate: f64) -> f64 {
        (rate * self.million_messages + self.million_connection_minutes / 60.0) / MILLION
    }

    /// Where polls at an interval become cheaper than push.
    fn cheaper_above(&self, interval: f64) -> Option<f64> {
        let more = self.million_requests / interval - self.million_connection_minutes / 60.0;
        let rate = more.max(0.0) / self.million_messages;
        rate.is_finite().then_some(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_make_a_crossover_of_their_own() {
        let text = "currency = '$'\nmillion_requests = 1.0\nmillion_messages = 1.0\n\
                    million_connection_minutes = 0.25\n";
        let prices: Prices = toml::from_str(text).unwrap();
        // 1/T, less what it costs to be connected.
        let rate = prices.cheaper_above(5.0).unwrap();
        assert!((rate - (0.2 - 0.25 / 60.0)).abs() < 1e-9, "{rate}");
        let idle = prices.pushed_per_s(0.0) * MONTH_S;
        assert!((idle - 0.0108).abs() < 1e-4, "{idle}");
        assert!(toml::from_str::<Prices>("currency = '$'\nrequests = 1.0").is_err());
    }
}

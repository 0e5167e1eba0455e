//! Where a reader begins: the place that each form of `since` means, and what of it is lost.
//!
//! It asks the hub and changes nothing. The cursor takes it from here.

use doorbell_protocol::{Code, Error, Filter, Gap, GapReason, Since};

use crate::hub::Hub;
use crate::limits::{LATEST_MESSAGES_MAX, SINCE_AHEAD_MAX};
use crate::log::Located;

/// Where a subscription begins.
#[derive(Debug)]
pub(crate) struct Start {
    /// Reading begins after this place.
    pub(crate) place: u64,
    /// These come first.
    pub(crate) latest: Vec<u64>,
    /// What the reader asked for and cannot have.
    pub(crate) gap: Option<Gap>,
}

/// Finds the place that `since` means for a reader of this filter.
pub(crate) async fn resolve(hub: &Hub, filter: &Filter, since: &Since) -> Result<Start, Error> {
    if let Since::Id(id) = since {
        hub.reach(*id).await?;
    }
    let bounds = hub.bounds();
    let visible = hub.visible();
    let oldest = bounds.first.saturating_sub(1).min(visible);
    let at = |place| Start { place, latest: Vec::new(), gap: None };
    let lost = |after: String, place: u64, reason| Start {
        gap: Some(Gap { after, before: hub.id(place + 1), reason }),
        ..at(place)
    };
    Ok(match since {
        Since::All => at(oldest),
        Since::None => at(visible),
        Since::Id(id) => match hub.locate(*id) {
            // Nothing that comes after it was let go.
            Located::At(place) if place >= oldest => at(place),
            Located::At(place) => match hub.newest_expired(filter).await? {
                expired if expired > place => {
                    let place = expired.max(oldest).min(visible);
                    lost(id.to_string(), place, GapReason::Expired)
                }
                _ => at(place),
            },
            Located::Lost(place) => {
                lost(id.to_string(), place.clamp(oldest, visible), GapReason::Lost)
            }
            Located::Expired => lost(id.to_string(), oldest, GapReason::Expired),
            Located::Foreign => lost(id.to_string(), oldest, GapReason::Foreign),
        },
        Since::Foreign(id) => lost(id.to_string(), oldest, GapReason::Foreign),
        Since::Time(seconds) => {
            let now_us = hub.now().unix_us;
            check_time(*seconds, now_us / 1_000_000)?;
            // A stamp later than now is no older than any time.
            let time_us = seconds.saturating_mul(1_000_000).min(now_us + 1);
            at(hub.seek(time_us).await?.clamp(oldest, visible))
        }
        Since::Ago(duration) => {
            let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            let time_us = hub.now().unix_us.saturating_sub(micros);
            at(hub.seek(time_us).await?.clamp(oldest, visible))
        }
        Since::Latest => {
            let mut latest = hub.latest(filter, LATEST_MESSAGES_MAX).await?;
            latest.retain(|seq| *seq <= visible);
            Start { latest, ..at(visible) }
        }
    })
}

/// Refuses a time so far ahead that a reader of it would get nothing for longer than anybody means.
fn check_time(seconds: u64, now: u64) -> Result<(), Error> {
    let most = now.saturating_add(SINCE_AHEAD_MAX.as_secs());
    if seconds <= most {
        return Ok(());
    }
    // As milliseconds a date that is truly ahead would be one of 1970, which hardly anybody means.
    let seems_millis = (most / 2..=most).contains(&(seconds / 1000));
    let hint = if seems_millis { ", and this seems to be in milliseconds" } else { "" };
    let text =
        format!("since {seconds} is above {most}, a day from now: unix time is in seconds{hint}");
    Err(Error::new(Code::SinceInvalid, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_be_a_day_ahead_and_milliseconds_are_named() {
        let (now, day) = (1_763_850_000, 86_400);
        for seconds in [0, now, now + day] {
            assert_eq!(check_time(seconds, now), Ok(()));
        }
        for (seconds, seems_millis) in [
            (now + day + 1, false),
            (4_102_444_800, false),
            (now * 1000, true),
            ((now + day) * 1000 + 999, true),
            (now * 1_000_000, false),
            (u64::MAX, false),
        ] {
            let error = check_time(seconds, now).unwrap_err();
            assert_eq!(error.code(), Code::SinceInvalid);
            let text = error.to_string();
            assert!(text.contains("in seconds"), "{text}");
            assert_eq!(text.contains("milliseconds"), seems_millis, "{text}");
        }
    }
}

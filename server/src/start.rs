//! Where a reader begins: the place that each form of `since` means, and what of it is lost.
//!
//! It asks the hub and changes nothing. The cursor takes it from here.

use doorbell_protocol::{Error, Filter, Gap, GapReason, Since};

use crate::hub::Hub;
use crate::limits::LATEST_MESSAGES_MAX;
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
            // A stamp later than now is no older than any time.
            let time_us = seconds.saturating_mul(1_000_000).min(hub.now().unix_us + 1);
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

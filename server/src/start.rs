//! Where a reader begins: the place that each form of `since` means, and what of it is lost.
//!
//! It asks the hub and changes nothing. The cursor takes it from here.

use doorbell_protocol::{Error, Filter, Gap, GapReason, Since};

use crate::clock::unix_micros;
use crate::hub::Hub;
use crate::limits::LATEST_MESSAGES_MAX;

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
        gap: Some(Gap { after, before: bounds.epoch.id(place + 1), reason }),
        ..at(place)
    };
    Ok(match since {
        Since::All => at(oldest),
        Since::None => at(visible),
        Since::Id(id) if id.epoch() != bounds.epoch => {
            lost(id.to_string(), oldest, GapReason::Foreign)
        }
        Since::Id(id) if id.seq() > visible => lost(id.to_string(), visible, GapReason::Lost),
        // Nothing that comes after it was let go.
        Since::Id(id) if id.seq() >= oldest => at(id.seq()),
        Since::Id(id) => match hub.newest_expired(filter).await? {
            expired if expired > id.seq() => {
                let place = expired.max(oldest).min(visible);
                lost(id.to_string(), place, GapReason::Expired)
            }
            _ => at(id.seq()),
        },
        Since::Foreign(id) => lost(id.to_string(), oldest, GapReason::Foreign),
        Since::Time(seconds) => {
            at(hub.seek(seconds.saturating_mul(1_000_000)).await?.clamp(oldest, visible))
        }
        Since::Ago(duration) => {
            let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            let time_us = unix_micros().saturating_sub(micros);
            at(hub.seek(time_us).await?.clamp(oldest, visible))
        }
        Since::Latest => {
            let mut latest = hub.latest(filter, LATEST_MESSAGES_MAX).await?;
            latest.retain(|seq| *seq <= visible);
            Start { latest, ..at(visible) }
        }
    })
}

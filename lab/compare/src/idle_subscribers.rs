//! Subscriptions of a measurement that are read for as long as it takes.

use std::sync::Arc;
use std::time::Duration;

use doorbell::{Subscribe, Topic, Update};
use doorbell_instruments::{Failure, Meter, Traffic};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::contender::Places;

/// Nothing that is waited for here takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// How long traffic may take to come to rest.
pub(crate) const REST: Duration = Duration::from_millis(100);

/// Subscriptions that are read for as long as it is there.
pub(crate) struct IdleSubscribers {
    meters: Vec<Arc<Meter>>,
    _readers: JoinSet<()>,
}

impl IdleSubscribers {
    /// Waits until the server has taken all of them up.
    pub(crate) async fn connect(
        places: &Places,
        subscriptions: Vec<Subscribe>,
    ) -> Result<Self, Failure> {
        let (sender, mut connected) = watch::channel(0_usize);
        let sender = Arc::new(sender);
        let count = subscriptions.len();
        let mut readers = JoinSet::new();
        let mut meters = Vec::new();
        for subscribe in subscriptions {
            let meter = places.meter();
            let mut updates = subscribe.observed(Arc::clone(&meter) as _).stream();
            meters.push(meter);
            let sender = Arc::clone(&sender);
            readers.spawn(async move {
                while let Some(Ok(update)) = updates.next().await {
                    if matches!(update, Update::Connected) {
                        sender.send_modify(|connected| *connected += 1);
                    }
                }
            });
        }
        let all = connected.wait_for(|connected| *connected >= count);
        match timeout(DEADLINE, all).await {
            Ok(Ok(_)) => Ok(Self { meters, _readers: readers }),
            _ => Err(Failure::Failed(format!(
                "{count} subscribers are not connected after {} s",
                DEADLINE.as_secs()
            ))),
        }
    }

    /// The traffic of each so far.
    pub(crate) fn traffic(&self) -> Vec<Traffic> {
        self.meters.iter().map(|meter| meter.read()).collect()
    }

    /// The traffic of one so far.
    pub(crate) fn traffic_of(&self, index: usize) -> Traffic {
        self.meters[index].read()
    }
}

/// A topic that nobody else has.
pub(crate) fn fresh_topic() -> Result<Topic, Failure> {
    let topic = format!("compare-unit-{:016x}", rand::random::<u64>());
    topic.parse().map_err(|error| Failure::Failed(format!("{error}")))
}

//! The heads at the start: the newest message of each topic that the stream holds, by a consumer
//! that ends with its use.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, push};
use async_nats::jetstream::stream::Stream;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::client::ANSWER_WAIT;
use super::{ClusterFault, Shared};
use crate::log::heads::TopicHead;

/// How long the cluster keeps a consumer of which nothing is taken.
const UNUSED_FOR: Duration = Duration::from_secs(10);

impl Shared {
    /// Reads the heads. Returns the place up to which they are known: the newest that the stream
    /// held when it was asked, 0 if it held none.
    pub(super) async fn read_heads(&self) -> Result<u64, ClusterFault> {
        let away = |error: &dyn std::fmt::Display| ClusterFault::Away(error.to_string());
        let source = &self.source;
        let stream = source.context().get_stream_no_info(&source.names.stream).await;
        let stream: Stream<()> = stream.map_err(|error| away(&error))?;
        let config = push::Config {
            deliver_subject: source.client.new_inbox(),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ack_policy: AckPolicy::None,
            filter_subject: source.names.all_stored(),
            headers_only: true,
            flow_control: true,
            idle_heartbeat: Duration::from_secs(1),
            num_replicas: 1,
            memory_storage: true,
            inactive_threshold: UNUSED_FOR,
            ..push::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|error| away(&error))?;
        let (name, waiting) = {
            let info = consumer.cached_info();
            (info.name.clone(), info.num_pending)
        };
        let mut known = 0;
        if waiting > 0 {
            let mut messages = consumer.messages().await.map_err(|error| away(&error))?;
            loop {
                let next = timeout(ANSWER_WAIT, messages.next()).await;
                let late = |_| ClusterFault::Away("the stream's topics could not be read".into());
                let message = next.map_err(late)?.transpose().map_err(|error| away(&error))?;
                let gone = || ClusterFault::Away("the connection ended".to_owned());
                let message = message.ok_or_else(gone)?;
                let (seq, pending) = match message.info() {
                    Ok(info) => (info.stream_sequence, info.pending),
                    Err(error) => return Err(away(&error)),
                };
                if let Some(topic) = source.names.topic(&message.subject) {
                    let head = TopicHead { newest: seq, expired: 0 };
                    self.heads.restore(std::iter::once((topic.as_str(), head)));
                }
                known = known.max(seq);
                if pending == 0 {
                    break;
                }
            }
        }
        // It ends by itself where it cannot be ended.
        let _ = stream.delete_consumer(&name).await;
        Ok(known)
    }
}

//! From front to front: what one asks another for, over the connection that each has to the
//! cluster anyway. Nothing of that is stored, and no leader is needed for it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::client::RequestErrorKind;
use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use super::client::ANSWER_WAIT;
use super::stream::Names;
use crate::log::{FrontAnswer, Fronts, LogError};

/// Characters of a front's name.
const NAME_CHARS: usize = 16;

/// The way to the others.
pub(super) struct NatsFronts {
    client: Client,
    names: Names,
    own: String,
    /// What others ask, until it is answered.
    requests: Mutex<Option<Subscriber>>,
    runtime: Handle,
}

impl NatsFronts {
    /// From the front of this name. Others can ask it from now on.
    pub(super) async fn begin(
        client: Client,
        names: Names,
        own: String,
    ) -> Result<Arc<Self>, async_nats::SubscribeError> {
        let requests = client.subscribe(names.front(&own)).await?;
        let (requests, runtime) = (Mutex::new(Some(requests)), Handle::current());
        Ok(Arc::new(Self { client, names, own, requests, runtime }))
    }
}

/// A name that no front and no earlier one has.
pub(super) fn new_name() -> String {
    format!("{:0NAME_CHARS$x}", rand::random::<u64>())
}

/// Whether a front could be called so. Nothing else may get into a subject of NATS.
fn is_name(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == NAME_CHARS && text.bytes().all(is_digit)
}

impl Fronts for NatsFronts {
    fn own(&self) -> &str {
        &self.own
    }

    fn request(
        &self,
        front: &str,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Option<Bytes>, LogError>> {
        let subject = is_name(front).then(|| self.names.front(front));
        let client = self.client.clone();
        Box::pin(async move {
            let Some(subject) = subject else { return Ok(None) };
            let request = async_nats::Request::new().payload(body).timeout(Some(ANSWER_WAIT));
            match client.send_request(subject, request).await {
                Ok(answer) => Ok(Some(answer.payload)),
                Err(error) => match error.kind() {
                    RequestErrorKind::NoResponders => Ok(None),
                    RequestErrorKind::TimedOut => {
                        let wait = ANSWER_WAIT.as_secs();
                        let text = format!("another front gave no answer within {wait} s");
                        Err(LogError::Unreachable(text))
                    }
                    _ => Err(LogError::Unreachable(error.to_string())),
                },
            }
        })
    }

    fn answer(&self, answer: FrontAnswer) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut requests) = requests else { return };
        let client = self.client.clone();
        #[allow(clippy::disallowed_methods, reason = "it ends with the log's own runtime")]
        self.runtime.spawn(async move {
            while let Some(request) = requests.next().await {
                let Some(reply) = request.reply else { continue };
                if let Err(error) = client.publish(reply, answer(&request.payload)).await {
                    tracing::debug!(%error, "another front could not be answered");
                }
            }
        });
    }
}

impl fmt::Debug for NatsFronts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsFronts").field("own", &self.own).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_of_a_front_gets_into_no_subject() {
        assert!(is_name(&new_name()));
        for text in [
            "",
            "*",
            ">",
            "0123456789abcde",
            "0123456789abcdeF",
            "0123456789abcde.",
            "0123456789abcdef0",
        ] {
            assert!(!is_name(text), "{text}");
        }
    }
}

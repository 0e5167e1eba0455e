//! Storing a batch: one atomic batch in the stream, tried again until it is there.
//!
//! Every message has an id of its own, the same at each try, so that the stream stores it once
//! however often it is sent. Whether it is stored is seen where all fronts see it: on the tail. An
//! acknowledgement alone says no more than that it is on its way there.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_nats::client::RequestErrorKind;
use async_nats::{HeaderMap, Request};
use bytes::Bytes;
use doorbell_protocol::{Draft, Topic};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Shared;
use super::client::{MESSAGE_ID, StreamClient};
use super::follow::ASK_AGAIN;
use super::payload::{self, Chain};
use crate::clock::Now;
use crate::log::{Entry, LogError};
use crate::message::Message;

/// Messages of one atomic batch, as many as the server takes.
pub(super) const BATCH_MAX: usize = 1000;
/// How long one try may take.
const TRY_WAIT: Duration = Duration::from_secs(2);
/// What was stored comes by the tail within this time, or it is looked for.
const TOLD_WITHIN: Duration = Duration::from_millis(200);
/// How long the stream has one that is not kept: the least that can be said.
const NOT_KEPT: &str = "1s";

/// One message of a batch.
#[derive(Debug)]
pub(super) struct OutgoingMessage {
    pub(super) topic: Topic,
    pub(super) is_kept: bool,
    pub(super) payload: Bytes,
}

impl OutgoingMessage {
    pub(super) fn new(draft: &Draft, payload: Vec<u8>) -> Self {
        Self { topic: draft.topic.clone(), is_kept: draft.is_kept, payload: payload.into() }
    }
}

/// What became of one try.
#[derive(Debug)]
pub(super) enum Tried {
    /// It is stored: by this try or by one before it.
    Stored,
    /// It is not known, or it was not stored; another try may tell.
    Again(String),
    /// There is no room.
    Full,
    /// It is not taken.
    Refused(String),
}

#[derive(Deserialize)]
struct Answer {
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

/// A message of this batch was stored before.
const DUPLICATE_IN_BATCH: u32 = 10_201;
/// A message of this id is on its way.
const DUPLICATE_IN_PROCESS: u32 = 10_158;
/// Some messages of the batch did not arrive.
const BATCH_INCOMPLETE: u32 = 10_176;
/// The account, or the servers of JetStream, have no room.
const INSUFFICIENT_RESOURCES: [u32; 4] = [10_002, 10_023, 10_028, 10_047];
/// The server could not write.
const STORE_FAILED: u32 = 10_077;

/// Sends a batch once. `name` is the batch's, the same at each try; `attempt` is another at each.
pub(super) async fn send(
    source: &StreamClient,
    name: &str,
    attempt: u32,
    batch: &[OutgoingMessage],
) -> Tried {
    let count = batch.len();
    for (index, outgoing) in batch.iter().enumerate() {
        let subject = source.names.subject(outgoing.topic.as_str());
        let headers = headers(name, attempt, index, count, outgoing.is_kept);
        let payload = outgoing.payload.clone();
        if index + 1 < count {
            let sent = source.client.publish_with_headers(subject, headers, payload).await;
            if let Err(error) = sent {
                return Tried::Again(error.to_string());
            }
            continue;
        }
        let request = Request::new().headers(headers).payload(payload).timeout(Some(TRY_WAIT));
        return match source.client.send_request(subject, request).await {
            Ok(answer) => outcome(&answer.payload),
            Err(error) if error.kind() == RequestErrorKind::MaxPayloadExceeded => {
                Tried::Refused("it is larger than the NATS servers take".to_owned())
            }
            Err(error) => Tried::Again(match error.kind() {
                RequestErrorKind::NoResponders => "the stream has no leader".to_owned(),
                RequestErrorKind::TimedOut => {
                    format!("the stream did not acknowledge it within {} s", TRY_WAIT.as_secs())
                }
                _ => error.to_string(),
            }),
        };
    }
    Tried::Stored
}

fn headers(name: &str, attempt: u32, index: usize, count: usize, is_kept: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(MESSAGE_ID, message_id(name, index).as_str());
    if !is_kept {
        headers.insert("Nats-TTL", NOT_KEPT);
    }
    if count > 1 {
        headers.insert("Nats-Batch-Id", format!("{name}.{attempt}").as_str());
        headers.insert("Nats-Batch-Sequence", (index + 1).to_string().as_str());
        if index + 1 == count {
            headers.insert("Nats-Batch-Commit", "1");
        }
    }
    headers
}

/// The id of a message in a batch.
fn message_id(name: &str, index: usize) -> String {
    format!("{name}.{index}")
}

fn outcome(answer: &[u8]) -> Tried {
    let error = match serde_json::from_slice::<Answer>(answer) {
        Ok(Answer { error: None }) => return Tried::Stored,
        Ok(Answer { error: Some(error) }) => error,
        Err(_) => return Tried::Again("the stream's answer cannot be read".to_owned()),
    };
    let text = error.description;
    match error.err_code {
        DUPLICATE_IN_BATCH => Tried::Stored,
        DUPLICATE_IN_PROCESS | BATCH_INCOMPLETE => Tried::Again(text),
        code if INSUFFICIENT_RESOURCES.contains(&code) => Tried::Full,
        STORE_FAILED if text.contains("no space") || text.contains("insufficient") => Tried::Full,
        _ if error.code == 503 => Tried::Again(text),
        _ => Tried::Refused(text),
    }
}

impl Shared {
    /// Stores a batch of at most as many messages as the stream takes at once.
    pub(super) async fn store(
        &self,
        batch: Vec<OutgoingMessage>,
    ) -> Result<Vec<Message>, LogError> {
        let until = Instant::now() + self.publish_wait;
        let (name, mut told) = self.own.begin(batch.len());
        for attempt in 0.. {
            if let Some(failure) = self.failure.get() {
                return Err(LogError::Failed(failure.clone()));
            }
            let tried = tokio::select! {
                biased;
                messages = &mut told => return messages.map_err(|_| LogError::Closed),
                tried = send(&self.source, &name, attempt, &batch) => tried,
            };
            let why = match tried {
                Tried::Stored => return self.until_told(told, until).await,
                Tried::Full => return Err(LogError::Full),
                Tried::Refused(text) => return Err(LogError::Refused(text)),
                Tried::Again(why) => why,
            };
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
            // It may have been stored all the same, and come by the tail.
            if let Ok(messages) = timeout(ASK_AGAIN, &mut told).await {
                return messages.map_err(|_| LogError::Closed);
            }
            if Instant::now() > until {
                return Err(LogError::Unreachable(why));
            }
        }
        Err(LogError::Closed)
    }

    /// Waits for what was stored to come by the tail, as it does at once unless it was lost on its
    /// way.
    async fn until_told(
        &self,
        mut told: oneshot::Receiver<Vec<Message>>,
        until: Instant,
    ) -> Result<Vec<Message>, LogError> {
        loop {
            if let Ok(messages) = timeout(TOLD_WITHIN, &mut told).await {
                return messages.map_err(|_| LogError::Closed);
            }
            if Instant::now() > until {
                let text = "it was stored, and is not told here yet".to_owned();
                return Err(LogError::Unreachable(text));
            }
            self.looks.send_modify(|looks| *looks += 1);
        }
    }

    /// What is stored of these entries, in their order.
    pub(super) fn outgoing(&self, entries: &[Entry], now: Now) -> Vec<OutgoingMessage> {
        let age_us = u64::try_from(self.retention_age.as_micros()).unwrap_or(u64::MAX);
        let expires = now.unix_us.saturating_add(age_us) / 1_000_000;
        let as_of = *self.told.borrow();
        let topics = entries.iter().map(|entry| &entry.draft.topic);
        let mut latest: HashMap<&Topic, usize> = HashMap::with_capacity(entries.len());
        let mut outgoing = Vec::with_capacity(entries.len());
        for (index, (entry, topic)) in entries.iter().zip(topics).enumerate() {
            let chain = match latest.insert(topic, index) {
                Some(before) => Chain::Within((index - before) as u64),
                None => {
                    let newest = self.heads.get(topic).map_or(0, |head| head.newest);
                    Chain::Known { newest, as_of }
                }
            };
            let payload =
                payload::write(&entry.draft, now.unix_us, Some(expires), chain, &entry.owner);
            outgoing.push(OutgoingMessage::new(&entry.draft, payload));
        }
        outgoing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_stream_says_whether_another_try_may_help() {
        let told = |code: u16, err_code: u32, text: &str| {
            let error =
                serde_json::json!({"code": code, "err_code": err_code, "description": text});
            outcome(serde_json::json!({ "error": error }).to_string().as_bytes())
        };
        assert!(matches!(outcome(br#"{"stream":"doorbell","seq":5}"#), Tried::Stored));
        assert!(matches!(told(400, DUPLICATE_IN_BATCH, "duplicate"), Tried::Stored));
        assert!(matches!(told(409, DUPLICATE_IN_PROCESS, "in process"), Tried::Again(_)));
        assert!(matches!(told(503, 10_008, "temporarily unavailable"), Tried::Again(_)));
        assert!(matches!(outcome(b"no JSON"), Tried::Again(_)));
        for code in INSUFFICIENT_RESOURCES {
            assert!(matches!(told(503, code, "limits exceeded"), Tried::Full), "{code}");
        }
        assert!(matches!(told(503, STORE_FAILED, "no space left on device"), Tried::Full));
        assert!(matches!(told(503, STORE_FAILED, "write error"), Tried::Again(_)));
        assert!(matches!(told(400, 10_054, "message size exceeds"), Tried::Refused(_)));
    }
}

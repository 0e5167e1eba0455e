//! What is asked of the stream: its state and single facts of its leader, and messages of any
//! replica.
//!
//! A replica may lag behind the leader, so that there is no more at one of them says nothing of the
//! end; whoever has to know asks the leader.

use std::time::Duration;

use async_nats::jetstream::context::{Context, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Config, Info};
use async_nats::jetstream::{self, Error, ErrorCode};
use async_nats::{Client, HeaderMap, HeaderValue, Message as Delivered};
use bytes::Bytes;
use doorbell_protocol::Topic;
use futures_util::StreamExt;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::stream::Names;

/// How long a question may take.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// Messages asked for at once.
pub(super) const FETCH_MESSAGES_MAX: usize = 1000;
/// Bytes asked for at once.
const FETCH_BYTES_MAX: usize = 4 << 20;

/// The headers that say what was stored where.
const SEQUENCE: &str = "Nats-Sequence";
const SUBJECT: &str = "Nats-Subject";
pub(super) const MESSAGE_ID: &str = "Nats-Msg-Id";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceFault {
    /// There may be one later.
    #[error("{0}")]
    Away(String),
    /// The answer is that it is not done.
    #[error("{text}")]
    Refused { code: ErrorCode, text: String },
}

impl SourceFault {
    fn away(error: &dyn std::fmt::Display) -> Self {
        Self::Away(error.to_string())
    }
}

/// A place in the stream, and what is there.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) seq: u64,
    /// `None` if it is no subject of ours.
    pub(super) topic: Option<Topic>,
    /// What its publisher gave to it, so that it is stored once.
    pub(super) message_id: Option<String>,
    pub(super) payload: Bytes,
}

/// Messages in the order of their places.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) held: Vec<Held>,
    /// Whether the replica that answered had no more.
    pub(super) is_end: bool,
}

/// The stream of one log.
#[derive(Debug, Clone)]
pub(super) struct StreamClient {
    pub(super) client: Client,
    pub(super) names: Names,
    context: Context,
}

#[derive(Deserialize)]
struct AtLeader {
    message: Place,
}

#[derive(Deserialize)]
struct Place {
    seq: u64,
}

impl StreamClient {
    pub(super) fn new(client: Client, names: Names) -> Self {
        let mut context = jetstream::new(client.clone());
        context.set_timeout(ANSWER_WAIT);
        Self { client, names, context }
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// How it stands with the stream, as its leader tells it; `None` if there is no such stream.
    pub(super) async fn info(&self) -> Result<Option<Info>, SourceFault> {
        match self.ask("INFO", &json!({})).await {
            Ok(info) => Ok(Some(info)),
            Err(SourceFault::Refused { code: ErrorCode::STREAM_NOT_FOUND, .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Makes the stream.
    pub(super) async fn create(&self, config: &Config) -> Result<Info, SourceFault> {
        self.ask("CREATE", &config).await
    }

    /// Changes its settings.
    pub(super) async fn update(&self, config: &Config) -> Result<Info, SourceFault> {
        self.ask("UPDATE", &config).await
    }

    async fn ask<T: for<'a> Deserialize<'a>>(
        &self,
        what: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, SourceFault> {
        self.request(format!("STREAM.{what}.{}", self.names.stream), body).await
    }

    async fn request<T: for<'a> Deserialize<'a>>(
        &self,
        subject: String,
        body: &impl serde::Serialize,
    ) -> Result<T, SourceFault> {
        let answer = self.context.request(subject, body).await;
        match answer {
            Ok(Response::Ok(answer)) => Ok(answer),
            Ok(Response::Err { error }) if is_passing(&error) => Err(SourceFault::away(&error)),
            Ok(Response::Err { error }) => {
                Err(SourceFault::Refused { code: error.error_code(), text: error.to_string() })
            }
            Err(error) => Err(SourceFault::Away(match error.kind() {
                RequestErrorKind::NoResponders => {
                    "no JetStream answers: it is off, or has no leader".to_owned()
                }
                RequestErrorKind::TimedOut => {
                    format!("the stream gave no answer within {} s", ANSWER_WAIT.as_secs())
                }
                _ => error.to_string(),
            })),
        }
    }

    /// The next place from `from` on under a subject, as the leader knows it.
    pub(super) async fn next_at_leader(
        &self,
        subject: &str,
        from: u64,
    ) -> Result<Option<u64>, SourceFault> {
        let body = json!({"seq": from, "next_by_subj": subject});
        let subject = format!("STREAM.MSG.GET.{}", self.names.stream);
        match self.request::<AtLeader>(subject, &body).await {
            Ok(found) => Ok(Some(found.message.seq)),
            Err(SourceFault::Refused { code: ErrorCode::NO_MESSAGE_FOUND, .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Messages from a place on, at most so many, of one subject or of all.
    pub(super) async fn fetch(
        &self,
        subject: Option<&str>,
        from: u64,
        most: usize,
    ) -> Result<Fetched, SourceFault> {
        let mut body = json!({
            "seq": from,
            "batch": most.min(FETCH_MESSAGES_MAX),
            "max_bytes": FETCH_BYTES_MAX,
        });
        if let Some(subject) = subject {
            body["next_by_subj"] = subject.into();
        }
        self.get(&body).await
    }

    /// The first message that was stored at that time or later, in unix microseconds.
    pub(super) async fn first_since(&self, time_us: u64) -> Result<Option<Held>, SourceFault> {
        let micros = i64::try_from(time_us).unwrap_or(i64::MAX);
        let Ok(time) = Timestamp::from_microsecond(micros) else { return Ok(None) };
        let body = json!({
            "start_time": time.to_string(),
            "next_by_subj": self.names.all_stored(),
            "batch": 1,
        });
        Ok(self.get(&body).await?.held.into_iter().next())
    }

    async fn get(&self, body: &Value) -> Result<Fetched, SourceFault> {
        let subject = format!("$JS.API.DIRECT.GET.{}", self.names.stream);
        let inbox = self.client.new_inbox();
        let asked = async {
            let answers = self.client.subscribe(inbox.clone()).await;
            let mut answers = answers.map_err(|error| SourceFault::away(&error))?;
            let body = Bytes::from(body.to_string());
            let sent = self.client.publish_with_reply(subject, inbox, body).await;
            sent.map_err(|error| SourceFault::away(&error))?;
            let mut fetched = Fetched::default();
            loop {
                let answer = timeout(ANSWER_WAIT, answers.next()).await;
                let late = |_| SourceFault::Away("no replica of the stream answers".to_owned());
                let answer = answer.map_err(late)?;
                let gone = || SourceFault::Away("the connection ended".to_owned());
                let answer = answer.ok_or_else(gone)?;
                match answer.status.map(|status| status.as_u16()) {
                    None => fetched.held.extend(self.held(answer)),
                    Some(204) => {
                        let left = number(answer.headers.as_ref(), "Nats-Num-Pending");
                        fetched.is_end = left == Some(0);
                        return Ok(fetched);
                    }
                    Some(404) => return Ok(Fetched { is_end: true, ..fetched }),
                    Some(other) => {
                        let why = answer.description.unwrap_or_default();
                        return Err(SourceFault::Away(format!("status {other} {why}")));
                    }
                }
            }
        };
        asked.await
    }

    /// What came as the copy of a stored message.
    pub(super) fn held(&self, message: Delivered) -> Option<Held> {
        let headers = message.headers.as_ref();
        let seq = number(headers, SEQUENCE)?;
        // The server's own headers stand behind those of the publisher.
        let header = |name| headers?.get_last(name).map(HeaderValue::as_str);
        let topic = header(SUBJECT).and_then(|subject| self.names.topic(subject));
        let message_id = header(MESSAGE_ID).map(str::to_owned);
        Some(Held { seq, topic, message_id, payload: message.payload })
    }
}

/// Whether an error is one of a cluster that is not whole, and may be soon: servers that have only
/// just been started find each other one by one.
fn is_passing(error: &Error) -> bool {
    let lacks_peers = error.error_code() == ErrorCode::CLUSTER_NO_PEERS;
    error.code() == 503 || lacks_peers && error.to_string().contains("offline")
}

fn number(headers: Option<&HeaderMap>, name: &str) -> Option<u64> {
    headers?.get_last(name)?.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_whose_servers_have_not_found_each_other_is_waited_for() {
        let error = |code: u16, number: u32, text: &str| -> Error {
            let told = json!({"code": code, "err_code": number, "description": text});
            serde_json::from_value(told).unwrap()
        };
        let none = "no suitable peers for placement";
        assert!(is_passing(&error(400, 10_005, &format!("{none}, peer offline"))));
        assert!(is_passing(&error(503, 10_008, "JetStream system temporarily unavailable")));
        assert!(!is_passing(&error(400, 10_005, &format!("{none}, insufficient storage"))));
        assert!(!is_passing(&error(400, 10_058, "stream name already in use, peer offline")));
    }
}

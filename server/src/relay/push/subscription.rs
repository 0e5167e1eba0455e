//! One subscription: where a browser is pushed to, with what keys, what of, and by whose right.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use doorbell_protocol::code::quoted;
use doorbell_protocol::{Code, Error, Topic};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use url::Url;

use super::encryption::{BrowserKeys, POINT_BYTES, SECRET_BYTES};
use crate::access::Holder;
use crate::limits::{PUSH_ENDPOINT_BYTES_MAX, PUSH_TOPICS_MAX, PUSH_WAITING_MAX};

/// A subscription as a browser asks for it, in the form of the dialect.
#[derive(Debug, Default, Deserialize)]
pub struct AskedPush {
    /// Where it is pushed to; nobody else knows it.
    pub endpoint: String,
    #[serde(default)]
    auth: String,
    #[serde(default)]
    p256dh: String,
    /// What of; none ends it.
    #[serde(default)]
    topics: Vec<String>,
}

/// A subscription as it stands in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct WrittenPush {
    pub(super) endpoint: String,
    #[serde(default)]
    auth: String,
    #[serde(default)]
    p256dh: String,
    /// None if it has ended.
    #[serde(default)]
    pub(super) topics: Vec<String>,
    /// The address of this server, as the browser knows it.
    #[serde(default)]
    base_url: String,
    holder: Option<Holder>,
    /// Whose share of all subscriptions it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// When it was asked for last, in unix seconds.
    #[serde(default)]
    renewed: u64,
    /// Whether its browser was told since then that it is about to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) warned: bool,
}

impl WrittenPush {
    /// That a subscription has ended.
    pub(super) fn ended(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            auth: String::new(),
            p256dh: String::new(),
            topics: Vec::new(),
            base_url: String::new(),
            holder: None,
            owner: None,
            renewed: 0,
            warned: false,
        }
    }
}

/// A subscription.
#[derive(Debug)]
pub(super) struct PushSubscription {
    pub(super) endpoint: Url,
    pub(super) keys: BrowserKeys,
    pub(super) topics: Vec<Topic>,
    pub(super) base_url: String,
    pub(super) holder: Holder,
    pub(super) owner: Option<String>,
    pub(super) renewed: u64,
    /// Whether its browser was told since then that it is about to end.
    pub(super) warned: AtomicBool,
    /// What was published after this place is for it.
    pub(super) after: u64,
    /// Stays the same when it is renewed.
    pub(super) lane: Arc<PushLane>,
}

/// The way to one browser.
#[derive(Debug)]
pub(super) struct PushLane {
    /// Permits to wait for its push service.
    pub(super) room: Arc<Semaphore>,
    /// One is pushed after the other.
    pub(super) turn: Arc<Semaphore>,
    /// Pushes that failed, one after the other.
    pub(super) failures: AtomicU32,
    /// Until when its push service wants to be left alone, in unix seconds.
    pub(super) quiet_until: AtomicU64,
}

impl Default for PushLane {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(PUSH_WAITING_MAX)),
            turn: Arc::new(Semaphore::new(1)),
            failures: AtomicU32::new(0),
            quiet_until: AtomicU64::new(0),
        }
    }
}

/// Whose a subscription is, and how it came.
#[derive(Debug)]
pub struct PushOrigin {
    /// By whose right it is pushed to.
    pub holder: Holder,
    /// Whose share of all subscriptions it takes, if that is counted.
    pub owner: Option<String>,
    /// The address of this server, as the browser knows it.
    pub base_url: String,
}

impl PushSubscription {
    /// What a browser asks for.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn asked(
        asked: &AskedPush,
        origin: PushOrigin,
        now: u64,
        after: u64,
    ) -> Result<Self, Error> {
        let PushOrigin { holder, owner, base_url } = origin;
        Ok(Self {
            endpoint: endpoint(&asked.endpoint)?,
            keys: keys(&asked.p256dh, &asked.auth)?,
            topics: topics(&asked.topics)?,
            base_url,
            holder,
            owner,
            renewed: now,
            warned: AtomicBool::new(false),
            after,
            lane: Arc::default(),
        })
    }

    /// One that stands in the file; none if it has ended.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn read(written: WrittenPush, after: u64) -> Result<Option<Self>, Error> {
        let WrittenPush {
            endpoint,
            auth,
            p256dh,
            topics,
            base_url,
            holder,
            owner,
            renewed,
            warned,
        } = written;
        let Some(holder) = holder.filter(|_| !topics.is_empty()) else { return Ok(None) };
        let asked = AskedPush { endpoint, auth, p256dh, topics };
        let origin = PushOrigin { holder, owner, base_url };
        let read = Self::asked(&asked, origin, renewed, after)?;
        Ok(Some(Self { warned: AtomicBool::new(warned), ..read }))
    }

    /// As it stands in the file.
    pub(super) fn written(&self) -> WrittenPush {
        WrittenPush {
            endpoint: self.endpoint.to_string(),
            auth: URL_SAFE_NO_PAD.encode(self.keys.auth),
            p256dh: URL_SAFE_NO_PAD.encode(self.keys.p256dh),
            topics: self.topics.iter().map(|topic| topic.as_str().to_owned()).collect(),
            base_url: self.base_url.clone(),
            holder: Some(self.holder.clone()),
            owner: self.owner.clone(),
            renewed: self.renewed,
            warned: self.warned.load(Ordering::Relaxed),
        }
    }
}

/// The address of a push service.
///
/// # Errors
///
/// That it is none.
pub(super) fn endpoint(text: &str) -> Result<Url, Error> {
    let wrong = |text: String| Error::new(Code::PushEndpointUnknown, text);
    if text.len() > PUSH_ENDPOINT_BYTES_MAX {
        let bytes = text.len();
        return Err(wrong(format!(
            "endpoint is {bytes} bytes long, limit is {PUSH_ENDPOINT_BYTES_MAX}"
        )));
    }
    let url = Url::parse(text).ok();
    let url = url.filter(|url| url.scheme() == "https" && url.username().is_empty());
    url.ok_or_else(|| wrong(format!("endpoint {} is no https address", quoted(text))))
}

fn keys(p256dh: &str, auth: &str) -> Result<BrowserKeys, Error> {
    let wrong = |name: &str, bytes: usize| {
        let text = format!("{name} is not {bytes} bytes in base64url");
        Error::new(Code::PushInvalid, text)
    };
    let p256dh: Option<[u8; POINT_BYTES]> = decoded(p256dh);
    // What begins otherwise is no uncompressed point.
    let p256dh = p256dh.filter(|point| point[0] == 4);
    let auth: Option<[u8; SECRET_BYTES]> = decoded(auth);
    Ok(BrowserKeys {
        p256dh: p256dh.ok_or_else(|| wrong("p256dh", POINT_BYTES))?,
        auth: auth.ok_or_else(|| wrong("auth", SECRET_BYTES))?,
    })
}

fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    let engine = if text.ends_with('=') { URL_SAFE } else { URL_SAFE_NO_PAD };
    engine.decode(text).ok()?.try_into().ok()
}

fn topics(names: &[String]) -> Result<Vec<Topic>, Error> {
    if names.len() > PUSH_TOPICS_MAX {
        let text = format!("subscription has {} topics, limit is {PUSH_TOPICS_MAX}", names.len());
        return Err(Error::new(Code::PushTopicsTooMany, text));
    }
    let mut topics = Vec::with_capacity(names.len());
    for name in names {
        let topic: Topic = name.parse()?;
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    Ok(topics)
}

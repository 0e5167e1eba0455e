//! Web Push: browsers that are told of messages while no page is open, by way of the push services
//! of their makers.
//!
//! A browser gives an address of such a service and its keys (`subscription`); what it is pushed is
//! encrypted for it (`encryption`, `payload`) and signed by the server (`vapid`). A subscription is
//! kept beside the log (`store`). It ends when nobody renews it, when its push service no longer
//! knows it or refuses all that comes, and when the right that it was made with ends: that is asked
//! for each push, right before it is sent.

mod encryption;
mod payload;
mod store;
mod subscription;
mod vapid;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use doorbell_protocol::{Code, Error, Event, Kind, Topic};
use futures_util::FutureExt;
use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use url::Url;

use self::encryption::encrypt;
use self::payload::{EXPIRING, payload};
use self::store::PushFile;
pub use self::store::copy_subscriptions;
pub use self::subscription::{AskedPush, PushOrigin};
use self::subscription::{PushLane, PushSubscription, WrittenPush, endpoint};
pub use self::vapid::PushContact;
use self::vapid::Vapid;
use super::progress::{RelayProgress, Telling};
use crate::access::{Access, Gate, Standing};
use crate::clock::unix_seconds;
use crate::limits::{
    PUSH_FAILURES_MAX, PUSH_GOOD_FOR, PUSH_LOOK, PUSH_RETRY_MAX, PUSH_SUBSCRIPTIONS_MAX,
    PUSH_SUBSCRIPTIONS_PER_VISITOR_MAX, PUSH_TRIES_MAX, PUSH_TTL_SECONDS, PUSH_WARNED_AFTER,
};
use crate::message::Message;
use crate::outbound::{Errand, Outbound, OutboundAnswer, OutboundRequest};
use crate::stop::Stop;

const TTL: HeaderName = HeaderName::from_static("ttl");
const URGENCY: HeaderName = HeaderName::from_static("urgency");
/// Of pushes with the same one, a push service keeps the newest for a browser that is off.
const PUSH_TOPIC: HeaderName = HeaderName::from_static("topic");
const PUSH_TOPIC_CHARS: usize = 32;

/// All subscriptions of browsers. Clones share them.
#[derive(Debug, Clone)]
pub struct Push(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    vapid: Vapid,
    gate: Gate,
    outbound: Outbound,
    book: Mutex<Book>,
    /// Absent if they end with the process. Held while the disk is waited for.
    file: Arc<tokio::sync::Mutex<Option<PushFile>>>,
    /// From which place on there is somebody to push to; none if there is nobody.
    begun: watch::Sender<Option<u64>>,
}

/// Which browsers are subscribed to what.
#[derive(Debug, Default)]
struct Book {
    /// Each by its address.
    endpoints: HashMap<String, Arc<PushSubscription>>,
    topics: HashMap<Topic, Vec<Arc<PushSubscription>>>,
    /// How many each has.
    owners: HashMap<String, usize>,
}

impl Book {
    fn insert(&mut self, subscription: PushSubscription) {
        let subscription = Arc::new(subscription);
        self.remove(subscription.endpoint.as_str());
        for topic in &subscription.topics {
            self.topics.entry(topic.clone()).or_default().push(subscription.clone());
        }
        if let Some(owner) = &subscription.owner {
            *self.owners.entry(owner.clone()).or_default() += 1;
        }
        self.endpoints.insert(subscription.endpoint.to_string(), subscription);
    }

    fn remove(&mut self, endpoint: &str) -> Option<Arc<PushSubscription>> {
        let gone = self.endpoints.remove(endpoint)?;
        for topic in &gone.topics {
            if let Some(list) = self.topics.get_mut(topic) {
                list.retain(|one| !Arc::ptr_eq(one, &gone));
                if list.is_empty() {
                    self.topics.remove(topic);
                }
            }
        }
        if let Some(owner) = &gone.owner
            && let Some(count) = self.owners.get_mut(owner)
        {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(owner);
            }
        }
        Some(gone)
    }

    /// Whether there is room for one more of an owner.
    fn check_room(&self, owner: Option<&String>) -> Result<(), Error> {
        let own = owner.and_then(|owner| self.owners.get(owner)).copied().unwrap_or_default();
        for (count, limit, whose) in [
            (self.endpoints.len(), PUSH_SUBSCRIPTIONS_MAX, "the server"),
            (own, PUSH_SUBSCRIPTIONS_PER_VISITOR_MAX, "one visitor"),
        ] {
            if count >= limit {
                let text =
                    format!("there are {count} Web Push subscriptions, the limit of {whose}");
                return Err(Error::new(Code::TooManySubscriptions, text));
            }
        }
        Ok(())
    }
}

impl Push {
    /// Those that are kept in a folder; without one they end with the process. What was published
    /// after this place is for them.
    ///
    /// # Errors
    ///
    /// What is wrong with the folder, in one sentence.
    pub fn open(
        folder: Option<&Path>,
        contact: PushContact,
        gate: Gate,
        outbound: Outbound,
        after: u64,
    ) -> Result<Self, String> {
        let vapid = Vapid::open(folder, contact)?;
        let (file, held) = match folder.map(PushFile::open).transpose() {
            Ok(opened) => opened.unzip(),
            Err(error) => return Err(format!("--web-push: the subscriptions: {error}")),
        };
        let mut book = Book::default();
        for written in held.unwrap_or_default() {
            match PushSubscription::read(written, after) {
                Ok(Some(subscription)) => book.insert(subscription),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "a subscription that was kept is malformed"),
            }
        }
        let begun = (!book.endpoints.is_empty()).then_some(after);
        let (book, file) = (Mutex::new(book), Arc::new(tokio::sync::Mutex::new(file)));
        let begun = watch::Sender::new(begun);
        Ok(Self(Arc::new(Shared { vapid, gate, outbound, book, file, begun })))
    }

    /// The public key, which a browser needs to subscribe.
    pub fn public_key(&self) -> &str {
        self.0.vapid.public_key()
    }

    /// Makes a subscription, or puts another one in its place; one without topics ends it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, or that it could not be kept.
    pub async fn subscribe(
        &self,
        access: &Access,
        asked: AskedPush,
        base_url: String,
    ) -> Result<(), Error> {
        let holder = self.0.gate.holder(access)?;
        let owner = access.visitor().owner().map(ToString::to_string);
        let origin = PushOrigin { holder, owner, base_url };
        let after = access.visible();
        let subscription = PushSubscription::asked(&asked, origin, unix_seconds(), after)?;
        self.0.outbound.check(&subscription.endpoint).map_err(|failure| {
            Error::new(Code::PushEndpointUnknown, format!("endpoint: {failure}"))
        })?;
        for topic in &subscription.topics {
            access.readable(topic.clone().into())?;
        }
        if subscription.topics.is_empty() {
            return self.unsubscribe(&asked.endpoint).await;
        }
        self.change(move |push, file| {
            let mut subscription = subscription;
            {
                let book = push.book();
                let known = book.endpoints.get(subscription.endpoint.as_str());
                // Whoever is pushed to already has a place in the share.
                if known.is_none_or(|known| known.owner != subscription.owner) {
                    book.check_room(subscription.owner.as_ref())?;
                }
                if let Some(known) = known {
                    subscription.after = known.after;
                    subscription.lane = known.lane.clone();
                }
            }
            keep(file, &subscription.written())?;
            push.book().insert(subscription);
            Ok(())
        })
        .await
    }

    /// Ends a subscription, if there is one.
    ///
    /// # Errors
    ///
    /// That this could not be kept.
    pub async fn unsubscribe(&self, asked: &str) -> Result<(), Error> {
        let endpoint = endpoint(asked)?.to_string();
        self.change(move |push, file| {
            if push.book().endpoints.contains_key(&endpoint) {
                keep(file, &WrittenPush::ended(&endpoint))?;
                push.book().remove(&endpoint);
            }
            Ok(())
        })
        .await
    }

    /// Changes who is subscribed, on a thread that may block, one change after the other.
    async fn change(
        &self,
        change: impl FnOnce(&Self, &mut Option<PushFile>) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let push = self.clone();
        // Those that wait for their turn hold no thread.
        let mut file = self.0.file.clone().lock_owned().await;
        let changed = tokio::task::spawn_blocking(move || {
            change(&push, &mut file)?;
            push.changed(&mut file);
            Ok(())
        });
        changed.await.unwrap_or_else(|_| Err(not_kept()))
    }

    fn changed(&self, file: &mut Option<PushFile>) {
        let held = self.len();
        if let Some(file) = file.as_mut().filter(|file| file.is_stale(held)) {
            let all: Vec<_> = self.book().endpoints.values().map(|one| one.written()).collect();
            if let Err(error) = file.rewrite(&all) {
                tracing::warn!(%error, "the file of subscriptions could not be written anew");
            }
        }
        let first = self.book().endpoints.values().map(|one| one.after).min();
        self.0.begun.send_if_modified(|begun| {
            let is_other = begun.is_some() != first.is_some();
            if is_other {
                *begun = first;
            }
            is_other
        });
    }

    /// From which place on there is somebody to push to.
    pub(super) fn begun(&self) -> watch::Receiver<Option<u64>> {
        self.0.begun.subscribe()
    }

    /// Forgets, now and then, those that nobody has renewed, until the stop. Their browsers are
    /// told before.
    pub async fn keep(self, stop: Stop) {
        loop {
            let now = unix_seconds();
            let not_renewed: Vec<_> = {
                let book = self.book();
                let is_old = |one: &&Arc<PushSubscription>| one.renewed + PUSH_WARNED_AFTER <= now;
                book.endpoints.values().filter(is_old).cloned().collect()
            };
            for one in not_renewed {
                if one.renewed + PUSH_GOOD_FOR <= now {
                    self.end(one.endpoint.as_str(), "nobody has renewed it").await;
                } else if !one.warned.swap(true, Ordering::Relaxed) {
                    self.warn(one).await;
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(PUSH_LOOK)).await.is_none() {
                return;
            }
        }
    }

    /// Tells a browser that its subscription is about to end, once it is kept that it was told.
    async fn warn(&self, subscription: Arc<PushSubscription>) {
        let written = subscription.written();
        if let Err(error) = self.change(move |_, file| keep(file, &written)).await {
            tracing::warn!(%error, "it could not be kept that a subscription is about to end");
        }
        if let Some(topic) = subscription.topics.first().cloned() {
            let headers = headers(&Event::new(Kind::Message, 0));
            self.begin(subscription, topic, EXPIRING.into(), headers, None);
        }
    }

    /// Pushes a message to those who are subscribed to its topic.
    pub(super) fn tell(&self, message: &Message, progress: &RelayProgress) {
        let subscribed = self.book().topics.get(message.topic()).cloned().unwrap_or_default();
        let subscribed = subscribed.into_iter().filter(|one| message.seq() > one.after);
        let subscribed: Vec<_> = subscribed.collect();
        if subscribed.is_empty() {
            return;
        }
        message.with_event(|event| {
            let Some(event) = event.filter(|event| is_pushed(event)) else { return };
            for subscription in subscribed {
                let url = format!("{}/{}", subscription.base_url, message.topic());
                let text = payload(event, &url);
                let headers = headers(event);
                let telling = progress.begin(message.seq());
                self.begin(subscription, message.topic().clone(), text, headers, Some(telling));
            }
        });
    }

    fn begin(
        &self,
        subscription: Arc<PushSubscription>,
        topic: Topic,
        text: Vec<u8>,
        headers: HeaderMap,
        telling: Option<Telling>,
    ) {
        let lane = subscription.lane.clone();
        // A browser whose push service is slow takes nobody else's place.
        let Ok(room) = lane.room.clone().try_acquire_owned() else {
            self.0.outbound.note_dropped(Errand::Push);
            return;
        };
        // Its place among those to this browser is taken here, where messages come in order.
        let mut turn = Box::pin(lane.turn.clone().acquire_owned());
        let at_once = turn.as_mut().now_or_never();
        let push = self.clone();
        self.0.outbound.begin(Errand::Push, async move {
            let turn = match at_once {
                Some(turn) => turn,
                None => turn.await,
            };
            let pushed = push.push(&subscription, &topic, &text, headers).await;
            drop((turn, room));
            if let Some(telling) = telling {
                telling.end();
            }
            pushed
        });
    }

    async fn push(
        &self,
        subscription: &PushSubscription,
        topic: &Topic,
        text: &[u8],
        mut headers: HeaderMap,
    ) -> Result<(), String> {
        let PushSubscription { endpoint, lane, .. } = subscription;
        let body = encrypt(&subscription.keys, text);
        let Ok(body) = body.map(Bytes::from) else {
            self.end(endpoint.as_str(), "its key is none").await;
            return Err("a browser's key is none".to_owned());
        };
        headers.extend(self.0.vapid.authorization(endpoint).map(|value| (AUTHORIZATION, value)));
        let mut why = String::new();
        for _ in 0..PUSH_TRIES_MAX {
            self.wait_for_quiet(lane).await;
            if !self.may_be_told(endpoint, topic).await {
                return Ok(());
            }
            let url = endpoint.clone();
            let (headers, body) = (headers.clone(), body.clone());
            let request = OutboundRequest { method: Method::POST, url, headers, body };
            match self.0.outbound.send(Errand::Push, request).await {
                Ok(OutboundAnswer { status: 200..=299, .. }) => {
                    lane.failures.store(0, Ordering::Relaxed);
                    return Ok(());
                }
                Ok(OutboundAnswer { status: 404 | 410, .. }) => {
                    self.end(endpoint.as_str(), "its push service knows it no more").await;
                    return Ok(());
                }
                Ok(OutboundAnswer {
                    status: status @ (429 | 500..), retry_after, said, ..
                }) => {
                    let wait = retry_after.unwrap_or(Duration::from_secs(1)).min(PUSH_RETRY_MAX);
                    let until = unix_seconds() + wait.as_secs().max(1);
                    lane.quiet_until.store(until, Ordering::Relaxed);
                    why = format!("{status}: {said}");
                }
                Ok(OutboundAnswer { status, said, .. }) => {
                    why = format!("{status}: {said}");
                    break;
                }
                Err(failure) => {
                    why = failure.to_string();
                    break;
                }
            }
        }
        if lane.failures.fetch_add(1, Ordering::Relaxed) + 1 >= PUSH_FAILURES_MAX {
            self.end(endpoint.as_str(), "its push service takes nothing").await;
        }
        Err(why)
    }

    /// Whether a browser is still subscribed to a topic, by a right that still holds.
    async fn may_be_told(&self, endpoint: &Url, topic: &Topic) -> bool {
        let known = self.book().endpoints.get(endpoint.as_str()).cloned();
        let Some(known) = known.filter(|known| known.topics.contains(topic)) else { return false };
        match self.0.gate.standing(&known.holder, topic) {
            Standing::Reads => true,
            Standing::ReadsNot => false,
            Standing::Ended => {
                self.end(endpoint.as_str(), "its right has ended").await;
                false
            }
        }
    }

    /// Waits for as long as a push service wants to be left alone.
    async fn wait_for_quiet(&self, lane: &PushLane) {
        let until = lane.quiet_until.load(Ordering::Relaxed);
        let wait = until.saturating_sub(unix_seconds()).min(PUSH_RETRY_MAX.as_secs());
        if wait > 0 {
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    }

    async fn end(&self, endpoint: &str, why: &'static str) {
        tracing::info!(why, "a Web Push subscription ends");
        if let Err(error) = self.unsubscribe(endpoint).await {
            tracing::warn!(%error, "the end of a subscription could not be kept");
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.book().endpoints.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(file: &mut Option<PushFile>, written: &WrittenPush) -> Result<(), Error> {
    let Some(file) = file else { return Ok(()) };
    file.add(written).map_err(|error| {
        tracing::error!(%error, "a Web Push subscription could not be kept");
        not_kept()
    })
}

fn not_kept() -> Error {
    Error::new(Code::PushFailed, "the Web Push subscription could not be kept")
}

/// Whether it is a message for a person.
fn is_pushed(event: &Event<'_>) -> bool {
    event.event == Kind::Message && event.encoding.is_none()
}

/// What a push service is told of a message.
fn headers(event: &Event<'_>) -> HeaderMap {
    let urgency = match event.priority {
        Some(1) => "very-low",
        Some(2) => "low",
        Some(4..) => "high",
        _ => "normal",
    };
    let mut headers = HeaderMap::new();
    headers.insert(TTL, HeaderValue::from(PUSH_TTL_SECONDS));
    headers.insert(URGENCY, HeaderValue::from_static(urgency));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
    if let (Some(topic), Some(id)) = (&event.topic, &event.sequence_id) {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{topic}/{id}")));
        let value = HeaderValue::from_str(&hash[..PUSH_TOPIC_CHARS]).ok();
        headers.extend(value.map(|value| (PUSH_TOPIC, value)));
    }
    headers
}

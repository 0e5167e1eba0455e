//! The push gateway of Matrix (its Push Gateway API): a homeserver posts a notification, and a
//! program that has asked for `UnifiedPush` gets it as it is.

use axum::http::StatusCode;
use doorbell_protocol::code::{quoted, said};
use doorbell_protocol::{Code, Draft, Error, Topic};
use serde::Deserialize;
use serde_json::json;

use super::App;
use super::base_url::BaseUrl;
use super::bodies::pass_on;
use super::reply::Reply;

/// What a homeserver posts, as far as it matters here.
#[derive(Deserialize)]
struct PushRequest {
    notification: Devices,
}

#[derive(Deserialize)]
struct Devices {
    devices: Vec<Device>,
}

#[derive(Deserialize)]
struct Device {
    /// The address that the program was given for its pushes.
    pushkey: String,
}

/// What whoever looks for a gateway is told.
///
/// # Errors
///
/// That the server does not know its own address.
pub(super) fn gateway(app: &App) -> Result<Reply, Error> {
    base_url(app)?;
    Ok(Reply::json(StatusCode::OK, &json!({"unifiedpush": {"gateway": "matrix"}})))
}

/// Where a notification is meant to go.
pub(super) enum Notification {
    /// To a topic here.
    Here(Box<Draft>),
    /// To an address that is not of this server.
    Elsewhere(String),
}

/// What a notification asks for, which goes where its pushkey says.
///
/// # Errors
///
/// That it is no notification, or that the server does not know its own address.
pub(super) fn notification(
    app: &App,
    body: &[u8],
    message_bytes: usize,
) -> Result<Notification, Error> {
    let base_url = base_url(app)?;
    let request: PushRequest = serde_json::from_slice(body).map_err(|error| {
        let text = format!("Matrix notification is invalid: {}", said(&error.to_string()));
        Error::new(Code::MatrixInvalid, text)
    })?;
    let device = request.notification.devices.into_iter().next();
    let Some(Device { pushkey }) = device else {
        return Err(Error::new(Code::MatrixInvalid, "Matrix notification has no device"));
    };
    let Some(topic) = topic_of(&pushkey, base_url) else {
        tracing::debug!(pushkey = quoted(&pushkey), "a pushkey is not of this server");
        return Ok(Notification::Elsewhere(pushkey));
    };
    let draft = Draft::new(topic, "", message_bytes, |_| None)?;
    Ok(Notification::Here(Box::new(pass_on(draft, body))))
}

/// What a homeserver is told: the pushkey that it should forget, if it should.
pub(super) fn rejected(pushkey: Option<&str>) -> Reply {
    let rejected: Vec<&str> = pushkey.into_iter().collect();
    Reply::json(StatusCode::OK, &json!({ "rejected": rejected }))
}

fn base_url(app: &App) -> Result<&BaseUrl, Error> {
    let text = "the gateway of Matrix needs --base-url, by which it knows its own pushkeys";
    app.base_url.as_deref().ok_or_else(|| Error::new(Code::BaseUrlMissing, text))
}

/// The topic of an address that is one of this server.
fn topic_of(pushkey: &str, base_url: &BaseUrl) -> Option<Topic> {
    let path = pushkey.strip_prefix(base_url.as_str())?.strip_prefix('/')?;
    path.split(['?', '#']).next()?.parse().ok()
}

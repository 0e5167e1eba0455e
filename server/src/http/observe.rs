//! What the server tells about itself: health, configuration, statistics, metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use doorbell_protocol::limits::{POLL_MESSAGES_DEFAULT, POLL_MESSAGES_MAX, WAIT_SECONDS_MAX};
use doorbell_protocol::{Code, Error, Filter};
use serde_json::{Map, Value, json};

use super::App;
use super::answer::Refusal;
use super::params::Address;
use crate::metrics::Transport;
use crate::process::usage;
use crate::writer::Health;

/// `GET /v1/health`: 503 while publishes cannot be stored.
pub(crate) async fn health(State(app): State<App>) -> Response {
    let (status, body) = match app.hub.health() {
        Health::Healthy => (StatusCode::OK, json!({"healthy": true})),
        Health::Full => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({"healthy": false, "reason": "no room left to store messages"}),
        ),
        Health::Failed => (
            StatusCode::SERVICE_UNAVAILABLE,
            json!({"healthy": false, "reason": "storage failed; restart the server"}),
        ),
    };
    (status, Json(body)).into_response()
}

/// `GET /v1/config`: version, addresses, limits.
pub(crate) async fn config(State(app): State<App>) -> Json<Value> {
    let limits = app.hub.limits();
    let manners = &app.manners;
    let mut listen = Map::new();
    listen.insert("http".into(), json!(app.addresses.http.to_string()));
    listen.insert("tcp".into(), json!(app.addresses.tcp.to_string()));
    if let Some(path) = &app.addresses.unix {
        listen.insert("unix".into(), json!(path));
    }
    if let Some(udp) = app.addresses.udp {
        listen.insert("udp".into(), json!(udp.to_string()));
    }
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "epoch": app.hub.epoch().to_string(),
        "listen": listen,
        "lab": app.lab.is_on(),
        "trace": app.lab.traces(),
        "keepalive_seconds": manners.keepalive.as_secs_f64(),
        "limits": {
            "message_bytes": limits.message_bytes,
            "line_bytes": manners.line_bytes,
            "filter_topics": limits.filter_topics,
            "subscriptions_per_connection": limits.subscriptions,
            "connections": app.connections,
            "header_bytes": app.header_bytes,
            "poll_messages_default": POLL_MESSAGES_DEFAULT,
            "poll_messages_max": POLL_MESSAGES_MAX,
            "wait_seconds_max": WAIT_SECONDS_MAX,
        },
    }))
}

/// `GET /v1/stats`: the counters as JSON. The rate is the mean since the start.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
pub(crate) async fn stats(State(app): State<App>) -> Json<Value> {
    let metrics = &app.manners.metrics;
    let bounds = app.hub.bounds();
    let published = metrics.publishes.get();
    let uptime = metrics.uptime().as_secs_f64();
    let mut transports = Map::new();
    for transport in Transport::ALL {
        let counters = metrics.of(transport);
        transports.insert(
            transport.name().into(),
            json!({
                "deliveries": counters.deliveries.get(),
                "bytes": counters.bytes.get(),
                "readers": counters.connections.get(),
                "gaps": counters.gaps.get(),
            }),
        );
    }
    Json(json!({
        "messages": published,
        "messages_rate": published as f64 / uptime.max(1.0),
        "messages_refused": metrics.publishes_refused.get(),
        "deliveries": metrics.deliveries(),
        "polls": metrics.polls.get(),
        "polls_empty": metrics.polls_empty.get(),
        "sockets": metrics.sockets.get(),
        "topics": app.hub.topics(),
        "log": {
            "first": bounds.epoch.id(bounds.first),
            "last": bounds.epoch.id(bounds.last),
            "bytes": bounds.bytes,
        },
        "process": usage(),
        "uptime_seconds": uptime,
        "transports": transports,
    }))
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, Refusal> {
    let text = app.manners.metrics.encode(&app.hub);
    let text = text.map_err(|_| Error::new(Code::Internal, "metrics could not be written"))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// `GET /FILTER/auth`: everyone may read and write, if the filter is one.
pub(crate) async fn auth(Address(filter): Address<String>) -> Result<Json<Value>, Refusal> {
    filter.parse::<Filter>()?;
    Ok(Json(json!({"success": true})))
}

//! What the server tells about itself: health, configuration, statistics, metrics.

use axum::http::StatusCode;
use doorbell_protocol::limits::{FILTER_PATTERNS_MAX, POLL_MESSAGES_MAX, WAIT_SECONDS_MAX};
use doorbell_protocol::{Code, Error};
use serde_json::{Map, Value, json};

use super::App;
use super::reply::Reply;
use crate::access::{Access, Operation, Remote};
use crate::files::FileCounts;
use crate::metrics::{Exposition, Transport};
use crate::process::usage;
use crate::relay::Push;
use crate::visitors::{Bucket, HeldLimits, Visitors};
use crate::writer::Health;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// `GET /v1/health`: 503 while publishes cannot be stored. Anybody may ask.
    Health,
    /// `GET /v1/config`: version, limits, and the addresses for whoever may read something.
    Config,
    /// `GET /v1/stats`: the counters as JSON.
    Stats,
    /// `GET /metrics`: the counters for Prometheus.
    Metrics,
}

/// Lets those in that may ask.
///
/// # Errors
///
/// That it may not be asked.
pub(super) fn admit(access: &Access, report: Report) -> Result<(), Error> {
    match report {
        Report::Stats | Report::Metrics => access.permits(Operation::Observe),
        Report::Health | Report::Config => Ok(()),
    }
}

/// Tells it.
///
/// # Errors
///
/// That it could not be written.
pub(super) fn report(
    app: &App,
    access: &Access,
    report: Report,
    exposition: Exposition,
) -> Result<Reply, Error> {
    match report {
        Report::Health => Ok(health(app, access)),
        Report::Config => Ok(Reply::json(StatusCode::OK, &config(app, access))),
        Report::Stats => Ok(Reply::json(StatusCode::OK, &stats(app, access))),
        Report::Metrics => metrics(app, access, exposition),
    }
}

fn health(app: &App, access: &Access) -> Reply {
    let outage = access.outage().map(|reason| format!("the log is out of reach: {reason}"));
    let reason = match (access.health(), outage) {
        (Health::Failed, _) => {
            let reason = access.failure().unwrap_or_else(|| "storage failed".to_owned());
            format!("{reason}; restart the server")
        }
        (_, Some(outage)) => outage,
        (Health::Healthy | Health::Unreachable, None) => {
            let mut body = json!({"healthy": true});
            if let Some(remote) = access.remote() {
                body["log"] = cluster(&remote);
            }
            if app.config.gate.file_state().is_some_and(|state| state.fault.is_some()) {
                // What is wrong with it is for the server's own log.
                body["access_file"] = "broken, the one before it holds".into();
            }
            return Reply::json(StatusCode::OK, &body);
        }
        (Health::Full, None) => "no room left to store messages".to_owned(),
        (Health::Refused, None) => {
            "the newest message was not stored; the next one may be".to_owned()
        }
    };
    let body = json!({"healthy": false, "reason": reason});
    Reply::json(StatusCode::SERVICE_UNAVAILABLE, &body)
}

/// What the log is.
fn engine(access: &Access) -> &'static str {
    match (access.remote(), access.storage()) {
        (Some(_), _) => "jetstream",
        (None, Some(_)) => "segments",
        (None, None) => "memory",
    }
}

/// How it stands with the machines that have the log. Which of them there are is for whoever runs
/// them.
fn cluster(remote: &Remote) -> Value {
    let mut told = json!({
        "engine": "jetstream",
        "stream": remote.stream,
        "replicas": remote.replicas,
        "lag": remote.lag,
        "silence_seconds": remote.silence.as_secs_f64(),
    });
    if let Some(why) = &remote.not_durable {
        told["not_durable"] = why.as_str().into();
    }
    told
}

fn config(app: &App, access: &Access) -> Value {
    let limits = access.limits();
    let config = &app.config;
    let listen = access.permits(Operation::Locate).map(|()| listeners(app));
    let listen = listen.unwrap_or_default();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "epoch": access.epoch().to_string(),
        "engine": engine(access),
        "listen": listen,
        "transports": transports(),
        "lab": app.lab.is_on() && access.permits(Operation::Watch).is_ok(),
        "trace": app.lab.traces(),
        "enable_login": config.gate.has_access_file(),
        "enable_web_push": app.push.is_some(),
        "web_push_public_key": app.push.as_ref().map(Push::public_key).unwrap_or_default(),
        "enable_emails": config.gate.sends_mail(),
        "keepalive_seconds": config.keepalive.as_secs_f64(),
        "poll_interval_seconds": app.poll_interval.map(|interval| interval.as_secs()),
        "limits": {
            "message_bytes": limits.message_bytes,
            "line_bytes": config.line_bytes,
            "filter_topics": limits.filter_topics,
            "filter_patterns": FILTER_PATTERNS_MAX,
            "subscriptions_per_connection": limits.subscriptions,
            "connections": app.connections,
            "header_bytes": app.header_bytes,
            "attachment_bytes": app.takes_files().map_or(0, |limits| limits.bytes),
            "attachment_age_seconds": app.files.limits().age.as_secs_f64(),
            "poll_messages_max": POLL_MESSAGES_MAX,
            "wait_seconds_max": WAIT_SECONDS_MAX,
            "visitor": visitor_limits(config.gate.visitors()),
        },
    })
}

/// What one visitor may ask for, as the settings say it.
fn visitor_limits(visitors: &Visitors) -> Map<String, Value> {
    let limits = visitors.limits();
    let mut told = Map::new();
    for (bucket, rate) in Bucket::ALL.iter().zip(limits.rates) {
        told.insert(bucket.name().into(), json!(rate.to_string()));
    }
    let connections = match limits.connections {
        u32::MAX => json!("off"),
        count => json!(count),
    };
    told.insert("connections".into(), connections);
    let HeldLimits { of_address, of_identity } = limits.held;
    for (name, bytes) in [("held", of_address), ("held_of_identity", of_identity)] {
        let told_as = if bytes == u64::MAX { json!("off") } else { json!(bytes) };
        told.insert(name.into(), told_as);
    }
    told
}

/// Where the server listens.
fn listeners(app: &App) -> Map<String, Value> {
    app.addresses.named().map(|(name, at)| (name.to_owned(), Value::from(at))).collect()
}

/// The ways of receiving, and what each is called.
fn transports() -> Value {
    let described = Transport::ALL.map(|transport| {
        json!({
            "name": transport.name(),
            "family": transport.family().name(),
            "title": transport.title(),
        })
    });
    described.into_iter().collect()
}

/// The rate is the mean since the start.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
fn stats(app: &App, access: &Access) -> Value {
    let metrics = &app.config.metrics;
    let bounds = access.bounds();
    let published = metrics.publishes.get();
    let uptime = metrics.uptime().as_secs_f64();
    let mut transports = Map::new();
    for transport in Transport::ALL {
        let counters = metrics.of(transport);
        transports.insert(
            transport.metric_name().into(),
            json!({
                "deliveries": counters.deliveries.get(),
                "bytes": counters.bytes.get(),
                "readers": counters.connections.get(),
                "gaps": counters.gaps.get(),
            }),
        );
    }
    json!({
        "messages": published,
        "messages_rate": published as f64 / uptime.max(1.0),
        "messages_refused": metrics.publishes_refused.get(),
        "deliveries": metrics.deliveries(),
        "polls": metrics.polls.get(),
        "polls_empty": metrics.polls_empty.get(),
        "sockets": metrics.sockets.get(),
        "topics": access.topics(),
        "log": {
            "first": access.id(bounds.first),
            "last": access.id(bounds.last),
            "bytes": bounds.bytes,
        },
        "process": usage(),
        "uptime_seconds": uptime,
        "transports": transports,
    })
}

fn metrics(app: &App, access: &Access, exposition: Exposition) -> Result<Reply, Error> {
    if let Some(state) = app.config.gate.file_state() {
        app.config.metrics.access_file(state.generation, state.fault.is_some());
    }
    let FileCounts { files, bytes } = app.files.counts();
    app.config.metrics.files(files, bytes);
    app.config.metrics.outbound(&app.outbound);
    let (metrics, visitors) = (&app.config.metrics, app.config.gate.visitors());
    if let Some(remote) = access.remote() {
        metrics.cluster(&remote, access.outage().is_some());
    }
    let (bounds, storage, topics) = (access.bounds(), access.storage(), access.topics());
    let text = metrics.encode(exposition, bounds, storage, topics, visitors);
    let text = text.map_err(|_| Error::new(Code::Internal, "metrics could not be written"))?;
    Ok(Reply::whole(StatusCode::OK, exposition.content_type(), text))
}

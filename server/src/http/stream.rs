//! HTTP answers that do not end: the head, and the session that follows it.
//!
//! Over a connection that is read here the session has a peer of its own (`streaming`); over one of
//! the HTTP library it is a body that is only fed.

use std::sync::Arc;

use axum::http::StatusCode;
use doorbell_protocol::Kind;

use super::framing::{Framing, event_at};
use super::reply::{Body, Head, Reply};
use crate::connections::Serving;
use crate::cursor::Cursor;
use crate::session::{Session, SessionConfig};

/// Streams a cursor for as long as the client stays.
pub(super) fn begin(
    config: &Arc<SessionConfig>,
    mut cursor: Cursor,
    framing: Framing,
    serving: Serving,
) -> Reply {
    let gap = cursor.take_gap();
    config.metrics.of(framing.transport()).gaps.inc_by(u64::from(gap.is_some()));
    let mut head = Head::new(StatusCode::OK);
    head.add("content-type", framing.content_type().as_bytes());
    head.add("cache-control", b"no-store");
    // Asks proxies of the nginx kind not to hold back what is pushed.
    head.add("x-accel-buffering", b"no");
    if let Some(gap) = &gap {
        head.add("doorbell-gap", gap.to_json().as_bytes());
    }
    let mut open = event_at(Kind::Open, &cursor, gap);
    open.keepalive = config.keepalive_told();
    let open = framing.event(&open);
    let session = Session::new(framing, cursor, serving, config.clone(), open);
    Reply { is_compressible: true, ..Reply::new(head, Body::Stream(Box::new(session), None)) }
}

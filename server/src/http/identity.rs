//! What whoever asks is told of himself: his account, as the dialect's clients expect it; and
//! tickets, which stand for him once where he can send no header.

use std::borrow::Cow;

use axum::http::StatusCode;
use doorbell_protocol::{Code, Error, Filter};
use serde_json::{Map, Value, json};

use super::App;
use super::bodies::{BodyLimit, Longer};
use super::params::Params;
use super::reply::Reply;
use super::request::Request;
use crate::access::Access;
use crate::limits::TICKET_BODY_BYTES_MAX;
use crate::visitors::Bucket;

/// The body of a request for a ticket.
pub(super) const TICKET_BODY: BodyLimit = BodyLimit {
    bytes: TICKET_BODY_BYTES_MAX,
    what: "body",
    longer: Longer::Refused(Code::MessageTooLarge),
};

/// A ticket for the filter that a request names, as a parameter or as a form.
///
/// # Errors
///
/// Why there is none.
pub(super) fn ticket(
    app: &App,
    access: &Access,
    request: &Request<'_>,
    body: &[u8],
) -> Result<Reply, Error> {
    TICKET_BODY.check(body.len() as u64)?;
    let named = Params::of(request).get(&["filter"]).map(Cow::into_owned);
    let mut form = form_urlencoded::parse(body);
    let written = || form.find(|(name, _)| name == "filter").map(|(_, filter)| filter.into_owned());
    let filter = named.or_else(written).ok_or_else(|| {
        let text = "a ticket is for one filter: filter=… in the query or as a form";
        Error::new(Code::BadRequest, text)
    })?;
    let filter: Filter = filter.parse()?;
    let ticket = app.config.gate.ticket(access, filter)?;
    let told = json!({"ticket": ticket.reveal(), "expires": ticket.expires});
    let mut reply = Reply::json(StatusCode::OK, &told);
    reply.head.add("cache-control", b"no-store");
    Ok(reply)
}

/// What stands where the dialect has a number and there is no bound: the largest that all of its
/// clients can hold.
const UNBOUNDED: u64 = i32::MAX as u64;

/// What somebody is known as. The dialect's clients want all of its numbers; what is not here is 0.
pub(super) fn account(app: &App, access: &Access) -> Reply {
    let grant = access.grant();
    let identity = grant.identity().filter(|identity| identity.kind != "anonymous");
    let role = match grant.rights() {
        _ if identity.is_none() => "anonymous",
        Some(rights) if rights.admin => "admin",
        _ => "user",
    };
    let name = identity.map_or("*", |identity| &*identity.name);
    let mut account = Map::new();
    account.insert("username".into(), name.into());
    account.insert("role".into(), role.into());
    if let Some(identity) = identity {
        account.insert("kind".into(), identity.kind.into());
    }
    if let Some(expires) = grant.expires() {
        account.insert("expires".into(), expires.into());
    }
    // 0 says to the dialect's clients that there is no e-mail here.
    let bounded = access.visitor().room(Bucket::Emails);
    let (emails, left) = if app.config.gate.sends_mail() {
        bounded.unwrap_or((UNBOUNDED, UNBOUNDED))
    } else {
        (0, 0)
    };
    let limits = json!({
        "basis": "user", "messages": UNBOUNDED, "message_size": app.message_bytes,
        "messages_expiry_duration": 0, "emails": emails, "calls": 0, "reservations": 0,
        "attachment_total_size": 0, "attachment_file_size": 0, "attachment_expiry_duration": 0,
        "attachment_bandwidth": 0,
    });
    let stats = json!({
        "messages": 0, "messages_remaining": UNBOUNDED, "emails": emails - left,
        "emails_remaining": left, "calls": 0, "calls_remaining": 0, "reservations": 0, "reservations_remaining": 0,
        "attachment_total_size": 0, "attachment_total_size_remaining": 0,
    });
    account.insert("limits".into(), limits);
    account.insert("stats".into(), stats);
    let mut reply = Reply::json(StatusCode::OK, &Value::Object(account));
    reply.head.add("cache-control", b"no-store");
    reply
}

//! Web Push subscriptions, as the dialect has them: a browser posts its own, and takes it back.

use axum::http::StatusCode;
use doorbell_protocol::code::said;
use doorbell_protocol::{Code, Error};
use serde_json::json;

use super::App;
use super::bodies::{BodyLimit, Longer};
use super::publish::Sent;
use super::reply::Reply;
use super::request::Request;
use super::upload::base_of;
use crate::access::Access;
use crate::connections::Connection;
use crate::limits::PUSH_BODY_BYTES_MAX;
use crate::relay::{AskedPush, Push};

/// The body of a request.
pub(super) const PUSH_BODY: BodyLimit = BodyLimit {
    bytes: PUSH_BODY_BYTES_MAX,
    what: "Web Push subscription",
    longer: Longer::Refused(Code::JsonTooLarge),
};

/// A subscription that is made, or taken back.
pub(super) struct PushChange {
    push: Push,
    access: Access,
    asked: AskedPush,
    /// The address of this server as the browser knows it, where one is made.
    base_url: Option<String>,
}

impl PushChange {
    /// What a request asks for.
    ///
    /// # Errors
    ///
    /// That nobody is pushed to here, or the body is malformed.
    pub(super) fn of(
        app: &App,
        access: Access,
        request: &Request<'_>,
        sent: Sent<'_>,
        connection: &Connection,
    ) -> Result<Box<Self>, Error> {
        let none = || Error::new(Code::NotFound, "page not found: --web-push is not set");
        let push = app.push.clone().ok_or_else(none)?;
        PUSH_BODY.check(sent.begun.len() as u64)?;
        let asked = serde_json::from_slice(sent.begun).map_err(|error| {
            let text = format!("Web Push subscription is malformed: {}", said(&error.to_string()));
            Error::new(Code::PushInvalid, text)
        })?;
        let makes = request.method != "DELETE";
        let base_url = makes.then(|| base_of(app, request, connection)).transpose()?;
        Ok(Box::new(Self { push, access, asked, base_url }))
    }

    /// By what it is asked for.
    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// Makes it, or takes it back.
    ///
    /// # Errors
    ///
    /// Why that cannot be.
    pub(super) async fn make(self) -> Result<Reply, Error> {
        let Self { push, access, asked, base_url } = self;
        match base_url {
            Some(base_url) => push.subscribe(&access, asked, base_url).await?,
            None => push.unsubscribe(&asked.endpoint).await?,
        }
        Ok(Reply::json(StatusCode::OK, &json!({"success": true})))
    }
}

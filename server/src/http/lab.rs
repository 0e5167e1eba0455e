//! The addresses of the lab: the connections as JSON, and the sessions of its pages.

use std::sync::Arc;

use axum::http::StatusCode;
use doorbell_protocol::code::quoted;
use doorbell_protocol::{Code, Error, Topic};
use serde::Serialize;

use super::App;
use super::origin;
use super::params::Params;
use super::reply::Reply;
use super::request::Request;
use super::upgrade::Upgrade;
use crate::access::{Access, Operation};
use crate::connections::{Connection, Service};
use crate::lab::{PageName, Row, session};
use crate::limits::{CONNECTIONS_ROWS_DEFAULT, CONNECTIONS_ROWS_MAX, LAB_FRAME_BYTES_MAX};
use crate::websocket::SocketBounds;

/// The connections that are open, and the newest of them.
#[derive(Debug, Serialize)]
struct Listing {
    total: usize,
    rows: Vec<Row>,
}

/// How many rows a request for `GET /v1/connections` asks for.
pub(super) fn rows(
    app: &App,
    access: &Access,
    request: &Request<'_>,
    connection: &Connection,
) -> Result<usize, Error> {
    let params = Params::of(request);
    admit(app, access, request, connection)?;
    rows_max(&params)
}

/// The connections that are open, the newest first.
pub(super) async fn connections(app: &App, access: Access, rows: usize) -> Result<Reply, Error> {
    let lab = app.lab.clone();
    let looking = tokio::task::spawn_blocking(move || lab.newest(&access, rows));
    let failed = |_| Error::new(Code::Internal, "the connections could not be listed");
    let (total, rows) = looking.await.map_err(failed)?;
    Ok(Reply::json(StatusCode::OK, &Listing { total, rows }))
}

/// A page that asks to watch, by `GET /v1/lab`.
pub(super) struct OpenLab {
    access: Access,
    page: PageName,
    topic: Topic,
    upgrade: Upgrade,
}

impl OpenLab {
    /// Reads it from a request.
    pub(super) fn of(
        app: &App,
        access: Access,
        request: &mut Request<'_>,
        connection: &Connection,
    ) -> Result<Self, Error> {
        let params = Params::of(request);
        admit(app, &access, request, connection)?;
        let parameter = |name| params.get(&[name]).unwrap_or_default();
        let page = PageName::parse(&parameter("page"))?;
        let topic = parameter("topic").parse()?;
        Ok(Self { access, page, topic, upgrade: Upgrade::of(request)? })
    }
}

/// Lets a page watch.
pub(super) fn open(
    app: &App,
    opening: OpenLab,
    connection: &Arc<Connection>,
) -> Result<Reply, Error> {
    let OpenLab { access, page, topic, upgrade } = opening;
    let seat = app.lab.enter(page, app.config.gate.clone(), access)?;
    let connection = connection.clone();
    let bounds = SocketBounds {
        message_bytes: LAB_FRAME_BYTES_MAX,
        unfinished: app.config.unfinished,
        write_deadline: app.config.write_deadline,
    };
    Ok(upgrade.serve(bounds, move |socket| async move {
        let serving = connection.serve(Service::Lab);
        session::run(socket, seat, topic, serving).await;
    }))
}

/// Lets those in that may see the connections.
fn admit(
    app: &App,
    access: &Access,
    request: &Request<'_>,
    connection: &Connection,
) -> Result<(), Error> {
    if !app.lab.is_on() {
        let text = "the lab is off, because it shows the addresses of everybody who is connected, \
                    and others than this machine can ask; --lab on switches it on";
        return Err(Error::new(Code::NotFound, text));
    }
    access.permits(Operation::Watch)?;
    if request.is_forwarded() && !app.proxies.stand_before(connection) {
        let text = "the lab is not shown by way of a proxy that is not trusted (--trusted-proxies)";
        return Err(Error::new(Code::Forbidden, text));
    }
    let host = request.host();
    if !app.lab.is_asked_for() && !origin::is_loopback(host) {
        let host = quoted(host);
        let text = format!("{host} is not this machine's own name; --lab on lets others look");
        return Err(Error::new(Code::Forbidden, text));
    }
    let Some(origin) = request.headers.get("origin") else {
        return Ok(());
    };
    if origin::is_of(origin, host) {
        return Ok(());
    }
    let (origin, host) = (quoted(&String::from_utf8_lossy(origin)), quoted(host));
    let text = format!("a page of {origin} may not watch the connections of {host}");
    Err(Error::new(Code::Forbidden, text))
}

fn rows_max(params: &Params<'_>) -> Result<usize, Error> {
    let Some(text) = params.get(&["max"]) else {
        return Ok(CONNECTIONS_ROWS_DEFAULT);
    };
    match text.parse() {
        Ok(max) if (1..=CONNECTIONS_ROWS_MAX).contains(&max) => Ok(max),
        _ => {
            let text = quoted(&text);
            let text = format!("max {text} is no number from 1 to {CONNECTIONS_ROWS_MAX}");
            Err(Error::new(Code::BadRequest, text))
        }
    }
}

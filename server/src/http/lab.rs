//! The addresses of the lab: the connections as JSON, and the sessions of its pages.

use std::sync::Arc;

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use axum::{Extension, Json};
use doorbell_protocol::code::quoted;
use doorbell_protocol::{Code, Error, Topic};
use serde::Serialize;

use super::App;
use super::answer::Refusal;
use super::params::Params;
use super::upgrade::Upgrade;
use crate::connections::{Connection, Service};
use crate::lab::{Page, Row, session};
use crate::limits::{CONNECTIONS_ROWS_DEFAULT, CONNECTIONS_ROWS_MAX, LAB_FRAME_BYTES_MAX};

/// The connections that are open, and the newest of them.
#[derive(Debug, Serialize)]
pub(crate) struct Listing {
    total: usize,
    rows: Vec<Row>,
}

/// `GET /v1/connections`: who is connected, the newest first.
pub(crate) async fn connections(
    State(app): State<App>,
    parts: Parts,
) -> Result<Json<Listing>, Refusal> {
    let params = Params::of(&parts)?;
    admit(&app, &parts.uri, &parts.headers)?;
    let max = rows_max(&params)?;
    let lab = app.lab.clone();
    let looking = tokio::task::spawn_blocking(move || lab.newest(max));
    let failed = |_| Error::new(Code::Internal, "the connections could not be listed");
    let (total, rows) = looking.await.map_err(failed)?;
    Ok(Json(Listing { total, rows }))
}

/// `GET /v1/lab`: a page watches.
pub(crate) async fn session(
    State(app): State<App>,
    Extension(connection): Extension<Arc<Connection>>,
    parts: Parts,
    upgrade: Result<Upgrade, Refusal>,
) -> Result<Response, Refusal> {
    let params = Params::of(&parts)?;
    admit(&app, &parts.uri, &parts.headers)?;
    let parameter = |name| params.get(&[name]).unwrap_or_default();
    let page = Page::parse(&parameter("page"))?;
    let topic: Topic = parameter("topic").parse()?;
    let upgrade = upgrade?;
    let seat = app.lab.enter(page)?;
    Ok(upgrade.serve(LAB_FRAME_BYTES_MAX, move |socket| async move {
        let serving = connection.serve(Service::Lab);
        session::run(socket, seat, topic, serving).await;
    }))
}

/// Lets those in who may see who is connected.
fn admit(app: &App, uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
    if !app.lab.is_on() {
        let text = "the lab is off, because it shows the addresses of everybody who is connected, \
                    and the server listens beyond this machine; --lab on switches it on";
        return Err(Error::new(Code::NotFound, text));
    }
    let host = uri.authority().map(Authority::as_str);
    let host = host.or_else(|| headers.get(header::HOST)?.to_str().ok()).unwrap_or_default();
    if !app.lab.is_for(host) {
        let host = quoted(host);
        let text = format!("{host} is not this machine's own name; --lab on lets others look");
        return Err(Error::new(Code::Forbidden, text));
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let own = origin.split_once("://").is_some_and(|(_, own)| own.eq_ignore_ascii_case(host));
    if own {
        return Ok(());
    }
    let (origin, host) = (quoted(origin), quoted(host));
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

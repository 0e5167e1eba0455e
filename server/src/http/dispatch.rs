//! From a request to what it asks for, and from that to its answer: the one table of addresses, and
//! one handler a call.
//!
//! Both readers of requests come here, in two steps. [`Call::of`] looks at the request as it
//! stands and keeps nothing of it; [`Call::perform`] does what was asked for, which may take
//! long.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use doorbell_protocol::draft::Act;
use doorbell_protocol::{Code, Error, Topic};

use super::bodies::BodyLimit;
use super::credentials::{self, Credential};
use super::download::Download;
use super::framing::Framing;
use super::observe::{self, Report};
use super::params::Params;
use super::poll::{ReadRequest, Served};
use super::publish::{self, Acknowledgement, Prepared, Publish, Sent};
use super::reply::{Body, Head, Reply};
use super::request::{Request, decoded};
use super::requester::Requester;
use super::upload::{self, Upload};
use super::webpush::PushChange;
use super::websocket::OpenSocket;
use super::{App, identity, lab, matrix, page, poll, webpush};
use crate::access::{Access, Admission, Grant, Permitted, Verification};
use crate::audit::{Actor, AuditAction};
use crate::connections::Connection;
use crate::listen::full;
use crate::metrics::Exposition;
use crate::visitors::{Sharing, Visitor};

/// What stands at an address for a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// The page, which reads a topic from its own address.
    Page(Option<&'a str>),
    /// Where the page would be, but for a slash at the end.
    BasePath,
    /// Where the page would be, or that of a topic, but for a slash too many.
    Elsewhere(Option<&'a str>),
    /// A file of the page.
    File(&'a str),
    /// A file that was published.
    Download(&'a str),
    /// What the server tells about itself.
    Report(Report),
    /// The connections that are open.
    Connections,
    /// A page that watches.
    Lab,
    /// To publish.
    Publish(Publish<'a>),
    /// Whether there is a gateway of Matrix.
    Gateway,
    /// To read, once or without an end.
    Read(&'a str, Framing),
    /// To open a WebSocket.
    WebSocket(&'a str),
    /// Whether a filter may be read.
    Auth(&'a str),
    /// To be given a ticket.
    Ticket,
    /// To be pushed to, or no more.
    Push,
    /// What the client is known as.
    Account,
    /// Whether a page of another origin may ask, and for which methods there is something.
    Preflight(Option<Allow>),
    /// There is nothing.
    Nothing,
    /// There is something, but not for this method.
    NotAllowed(Allow),
}

/// The methods that an address takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allow(&'static str);

/// What stands at an address for each method.
struct Address<'a> {
    get: Route<'a>,
    /// For `PUT`, too.
    post: Option<Route<'a>>,
    delete: Option<Route<'a>>,
}

/// The one table of addresses.
fn address(path: &str) -> Option<Address<'_>> {
    let read = |get| Some(Address { get, post: None, delete: None });
    let publish =
        |get, publish| Some(Address { get, post: Some(Route::Publish(publish)), delete: None });
    let act = |topic, id, act| {
        let act = Publish::Act(topic, id, act);
        publish(Route::Publish(act), act)
    };
    let after = path.strip_prefix('/')?;
    let path = after.trim_start_matches('/');
    if let Some(file) = path.strip_prefix("static/") {
        return read(Route::File(file));
    }
    // Programs are told an address with a slash at its end, and put another one behind it.
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let segments = [(); 5].map(|()| segments.next().unwrap_or_default());
    match segments {
        ["", ..] => publish(Route::Page(None), Publish::Json),
        ["v1", "health", "", ..] => read(Route::Report(Report::Health)),
        ["v1", "config", "", ..] => read(Route::Report(Report::Config)),
        ["v1", "stats", "", ..] => read(Route::Report(Report::Stats)),
        ["v1", "account", "", ..] => read(Route::Account),
        ["v1", "ticket", "", ..] => {
            let get = Route::NotAllowed(Allow("POST,PUT"));
            Some(Address { get, post: Some(Route::Ticket), delete: None })
        }
        ["v1", "webpush", "", ..] => {
            let get = Route::NotAllowed(Allow("POST,PUT,DELETE"));
            Some(Address { get, post: Some(Route::Push), delete: Some(Route::Push) })
        }
        ["v1", "connections", "", ..] => read(Route::Connections),
        ["v1", "lab", "", ..] => read(Route::Lab),
        ["metrics", "", ..] => read(Route::Report(Report::Metrics)),
        ["file", name, "", ..] if !name.is_empty() => read(Route::Download(name)),
        ["_matrix", "push", "v1", "notify", ""] => publish(Route::Gateway, Publish::Matrix),
        // Not a slash too many, but a topic too few.
        ["json" | "sse" | "raw" | "ws" | "auth" | "publish" | "send" | "trigger", "", ..]
            if path.len() < after.len() =>
        {
            None
        }
        // What browsers and robots ask for by themselves; to publish they are topics.
        [name @ ("favicon.ico" | "robots.txt"), "", ..] => {
            publish(Route::File(name), Publish::Body(name, None))
        }
        [topic, "", ..] => publish(Route::Page(Some(topic)), Publish::Body(topic, None)),
        [topic, "publish" | "send" | "trigger", "", ..] => {
            let body = Publish::Body(topic, None);
            publish(Route::Publish(body), body)
        }
        [filter, "json", "", ..] => read(Route::Read(filter, Framing::Ndjson)),
        [filter, "sse", "", ..] => read(Route::Read(filter, Framing::Sse)),
        [filter, "raw", "", ..] => read(Route::Read(filter, Framing::Raw)),
        [filter, "ws", "", ..] => read(Route::WebSocket(filter)),
        [filter, "auth", "", ..] => read(Route::Auth(filter)),
        [topic, id, "", ..] => Some(Address {
            get: Route::Nothing,
            post: Some(Route::Publish(Publish::Body(topic, Some(id)))),
            delete: Some(Route::Publish(Publish::Act(topic, id, Act::Delete))),
        }),
        [topic, id, "clear" | "read", "", ..] => act(topic, id, Act::Clear),
        [topic, id, "delete", "", ..] => act(topic, id, Act::Delete),
        _ => None,
    }
}

impl Address<'_> {
    fn allow(&self) -> Allow {
        Allow(match (self.get, self.post) {
            (Route::Publish(_), None) => "GET",
            (Route::Publish(_), Some(_)) => "GET,POST,PUT",
            (Route::NotAllowed(Allow(methods)), _) => methods,
            (Route::Nothing, _) if self.delete.is_some() => "POST,PUT,DELETE,GET,HEAD",
            (Route::Nothing, _) => "POST,PUT,GET,HEAD",
            (_, None) => "GET,HEAD",
            (_, Some(_)) => "GET,HEAD,POST,PUT",
        })
    }
}

impl<'a> Route<'a> {
    /// What a request is for.
    pub(super) fn of(app: &App, request: &Request<'a>) -> Self {
        if app.base_path.is(request.path) && matches!(request.method, "GET" | "HEAD") {
            return Self::BasePath;
        }
        let path = app.base_path.strip(request.path);
        let address = address(path);
        if request.method == "OPTIONS" {
            return Self::Preflight(address.map(|address| address.allow()));
        }
        let Some(address) = address else { return Self::Nothing };
        let route = match (request.method, address.get) {
            ("GET" | "HEAD", Self::Page(topic)) if has_slash_too_many(path) => {
                Some(Self::Elsewhere(topic))
            }
            ("GET", route) => Some(route),
            // It changes nothing, so it cannot publish.
            ("HEAD", route) => Some(route).filter(|route| !matches!(route, Route::Publish(_))),
            ("POST" | "PUT", _) => address.post,
            ("DELETE", _) => address.delete,
            _ => None,
        };
        route.unwrap_or_else(|| Self::NotAllowed(address.allow()))
    }
}

impl Route<'_> {
    /// Whether it is answered whoever asks, and with whatever credential.
    fn is_for_anybody(self) -> bool {
        match self {
            Self::BasePath
            | Self::Elsewhere(_)
            | Self::Page(_)
            | Self::File(_)
            | Self::Download(_)
            | Self::Report(Report::Health)
            | Self::Gateway
            | Self::Preflight(_)
            | Self::Nothing
            | Self::NotAllowed(_) => true,
            Self::Report(_)
            | Self::Connections
            | Self::Lab
            | Self::Publish(_)
            | Self::Read(..)
            | Self::WebSocket(_)
            | Self::Auth(_)
            | Self::Ticket
            | Self::Push
            | Self::Account => false,
        }
    }

    /// What a request for it asks for, as the audit has it.
    fn action(self) -> AuditAction {
        match self {
            Self::Publish(_) => AuditAction::Publish,
            Self::Read(..) | Self::WebSocket(_) | Self::Auth(_) | Self::Push => AuditAction::Read,
            Self::Ticket => AuditAction::MakeTicket,
            Self::Account => AuditAction::Account,
            Self::Report(Report::Stats) => AuditAction::Stats,
            Self::Report(Report::Metrics) => AuditAction::Metrics,
            Self::Connections => AuditAction::Connections,
            Self::Lab => AuditAction::Lab,
            Self::Report(Report::Health | Report::Config)
            | Self::Gateway
            | Self::Page(_)
            | Self::BasePath
            | Self::Elsewhere(_)
            | Self::File(_)
            | Self::Download(_)
            | Self::Preflight(_)
            | Self::Nothing
            | Self::NotAllowed(_) => AuditAction::Request,
        }
    }

    /// What its body may be; `None` if it takes none.
    pub(super) fn body(self, app: &App, request: &Request<'_>) -> Option<BodyLimit> {
        match self {
            Self::Publish(publish) => {
                Some(publish.limit(app, &Params::of(request), app.message_bytes))
            }
            Self::Ticket => Some(identity::TICKET_BODY),
            Self::Push => Some(webpush::PUSH_BODY),
            _ => None,
        }
    }
}

/// What a request asks for. It has nothing of the request any more.
pub(super) enum Call {
    /// To publish, by this access, and to be told of it so.
    Publish(Access, Permitted, Acknowledgement),
    /// To publish a file.
    Upload(Box<Upload>),
    /// To be sent a file.
    Download(Box<Download>),
    /// To read, once or without an end.
    Read(Box<Asking<ReadRequest>>),
    /// To open a WebSocket.
    WebSocket(Box<Asking<OpenSocket>>),
    /// To be told about the server; metrics in this form.
    Report(Access, Report, Exposition),
    /// To see so many of the connections that are open.
    Connections(Access, usize),
    /// To watch.
    Lab(Box<lab::OpenLab>),
    /// To be pushed to, or no more.
    Push(Box<webpush::PushChange>),
    /// Nothing more: this is the answer.
    Answered(Reply),
}

/// A reader that asks for something.
pub(super) struct Asking<R> {
    request: R,
    /// What counts it, until something else does.
    sharing: Sharing,
    /// Its client's, if it has one.
    address: Option<IpAddr>,
}

impl Call {
    /// What a request asks for, or its refusal. `sent` is all of its body if its route takes one,
    /// or the beginning of a file.
    ///
    /// # Errors
    ///
    /// It is not known yet who asks: to be asked again once that is found out.
    pub(super) fn of(
        app: &App,
        route: Route<'_>,
        request: &mut Request<'_>,
        sent: Sent<'_>,
        connection: &Connection,
    ) -> Result<Self, Verification> {
        let audit = app.config.gate.audit();
        let refused = |request: &Request<'_>, error: &Error, address, grant: Option<&Grant>| {
            app.config.refused(actor(grant, address), route.action(), error);
            Self::refused(app, route, page::refusal(app, request, error))
        };
        let requester = match Requester::of(app, request, connection) {
            Ok(requester) => requester,
            Err(error) => return Ok(refused(request, &error, connection.ends().address(), None)),
        };
        let address = requester.address;
        let access = match admit(app, route, request, connection, &requester.visitor) {
            Ok(Admission::Admitted(access)) => access,
            Ok(Admission::Unverified(verification)) => return Err(verification),
            Ok(Admission::Refused(error)) | Err(error) => {
                return Ok(refused(request, &error, address, None));
            }
        };
        if let Err(refusal) = begin(app, &access, route, connection) {
            return Ok(refused(request, &refusal, address, Some(access.grant())));
        }
        let grant = audit.is_on().then(|| access.grant().clone());
        let looked = Self::look(app, access, route, request, sent, connection, &requester);
        if let (Ok(call), Some(grant)) = (&looked, &grant)
            && let Some(action) = call.noted(route, request, grant)
        {
            audit.done(actor(Some(grant), address), action);
        }
        Ok(looked.unwrap_or_else(|error| refused(request, &error, address, grant.as_ref())))
    }

    /// As what it is noted in the audit, if it is.
    fn noted(&self, route: Route<'_>, request: &Request<'_>, grant: &Grant) -> Option<AuditAction> {
        match route {
            Route::Ticket
            | Route::Connections
            | Route::Lab
            | Route::Report(Report::Stats | Report::Metrics) => Some(route.action()),
            Route::Read(..) | Route::WebSocket(_) if credentials::is_ticket_in(request) => {
                Some(AuditAction::UseTicket)
            }
            Route::Read(..) | Route::WebSocket(_) => {
                let is_poll = matches!(self, Self::Read(asking) if asking.request.is_poll());
                let is_known = grant.identity().is_some_and(|who| who.kind != "anonymous");
                (is_known && !is_poll).then_some(AuditAction::Login)
            }
            _ => None,
        }
    }

    /// The refusal of what stands at a route.
    pub(super) fn refused(app: &App, route: Route<'_>, reply: Reply) -> Self {
        if matches!(route, Route::Publish(_)) {
            app.config.metrics.published(false);
        }
        Self::Answered(reply)
    }

    fn look(
        app: &App,
        access: Access,
        route: Route<'_>,
        request: &mut Request<'_>,
        sent: Sent<'_>,
        connection: &Connection,
        requester: &Requester<'_>,
    ) -> Result<Self, Error> {
        Ok(match route {
            Route::Page(Some(topic)) if publish::is_push(&Params::of(request)) => {
                decoded(topic)?.parse::<Topic>()?;
                Self::Answered(publish::push_endpoint())
            }
            Route::Page(topic) => Self::Answered(page::of(app, topic, request)?),
            Route::BasePath => Self::Answered(moved(&app.base_path.page(request.query))),
            Route::Elsewhere(topic) => {
                let path = app.base_path.strip(request.path);
                Self::Answered(moved(&page_from(path, topic.unwrap_or_default(), request.query)))
            }
            Route::File(name) => Self::Answered(page::file(&decoded(name)?, request)?),
            Route::Download(name) => {
                let sharing = requester.share(request, connection)?;
                let download = Download::of(&app.files, access, name, request, sharing);
                Self::Download(Box::new(download))
            }
            Route::Report(report) => {
                observe::admit(&access, report)?;
                let accept = request.headers.get("accept");
                let accept = accept.and_then(|accept| std::str::from_utf8(accept).ok());
                Self::Report(access, report, Exposition::accepted(accept))
            }
            Route::Connections => {
                let rows = lab::rows(app, &access, request, connection)?;
                Self::Connections(access, rows)
            }
            Route::Lab => Self::Lab(Box::new(lab::OpenLab::of(app, access, request, connection)?)),
            Route::Publish(publish) => {
                let bound = access.limits().message_bytes;
                match publish::prepare(app, publish, request, sent, bound)? {
                    Prepared::Publish(draft, told) => {
                        let permitted = access.permit(draft)?;
                        Self::Publish(access, permitted, told)
                    }
                    Prepared::File(draft, begun) => {
                        let sharing = requester.share(request, connection)?;
                        let base = upload::base_of(app, request, connection)?;
                        let permitted = Upload::permitted(app, access, draft, base, sharing)?;
                        Self::Upload(Box::new(permitted.begun(begun)))
                    }
                    Prepared::Answered(reply) => Self::Answered(reply),
                }
            }
            Route::Gateway => Self::Answered(matrix::gateway(app)?),
            Route::Read(filter, framing) => {
                let params = Params::of(request);
                let filter = access.readable(decoded(filter)?.parse()?)?;
                let sharing = requester.share(request, connection)?;
                let request = ReadRequest::new(access, filter, framing, &params)?;
                Self::Read(Box::new(Asking { request, sharing, address: requester.address }))
            }
            Route::WebSocket(filter) => {
                let sharing = requester.share(request, connection)?;
                let request = OpenSocket::of(access, filter, request)?;
                Self::WebSocket(Box::new(Asking { request, sharing, address: requester.address }))
            }
            Route::Auth(filter) => {
                access.readable(decoded(filter)?.parse()?)?;
                let success = serde_json::json!({"success": true});
                Self::Answered(Reply::json(StatusCode::OK, &success))
            }
            Route::Ticket => Self::Answered(identity::ticket(app, &access, request, sent.begun)?),
            Route::Push => Self::Push(PushChange::of(app, access, request, sent, connection)?),
            Route::Account => Self::Answered(identity::account(app, &access)),
            Route::Preflight(allow) => Self::Answered(preflight(allow)),
            Route::Nothing => return Err(Error::new(Code::NotFound, "page not found")),
            Route::NotAllowed(allow) => Self::Answered(not_allowed(allow)),
        })
    }

    /// Does it, and says what the client is answered.
    pub(super) async fn perform(self, app: &App, served: Served<'_>) -> Reply {
        // What is done seldom, or by the library's connections, is boxed: a long poll costs what it
        // needs to wait.
        match self {
            Self::Publish(access, draft, told) => {
                let answers = Box::pin(async { access.submit(vec![draft]).await.await }).await;
                publish::answer(app, answers.into_iter().next(), told)
            }
            Self::Upload(upload) => {
                let (access, address) = (upload.access().clone(), served.connection.ends());
                let answered = Box::pin(upload.receive(served.rest)).await;
                if let Err(error) = &answered {
                    let actor = actor(Some(access.grant()), address.address());
                    app.config.refused(actor, AuditAction::Publish, error);
                }
                publish::answer(app, Some(answered), Acknowledgement::Event)
            }
            Self::Download(download) => Box::pin(download.answer()).await.into(),
            Self::Read(mut asking) => {
                let Asking { request, sharing, address } = &mut *asking;
                let answered = poll::answer(app, request, sharing, served).await;
                answered.unwrap_or_else(|error| unread(app, request.access(), *address, &error))
            }
            Self::WebSocket(asking) => Box::pin(open_socket(app, *asking, served.connection)).await,
            Self::Report(access, report, exposition) => {
                observe::report(app, &access, report, exposition).into()
            }
            Self::Connections(access, rows) => {
                Box::pin(lab::connections(app, access, rows)).await.into()
            }
            Self::Push(change) => {
                let access = change.access().clone();
                let address = served.connection.ends().address();
                let made = Box::pin(change.make()).await;
                made.unwrap_or_else(|error| unread(app, &access, address, &error))
            }
            Self::Lab(opening) => lab::open(app, *opening, served.connection).into(),
            Self::Answered(reply) => reply,
        }
    }
}

async fn open_socket(app: &App, asking: Asking<OpenSocket>, connection: &Arc<Connection>) -> Reply {
    let Asking { request, sharing, address } = asking;
    match request.cursor().await {
        Ok(cursor) => request.open(app, cursor, sharing, connection),
        Err(error) => unread(app, request.access(), address, &error),
    }
}

/// The refusal of a reader that may read, but not at the moment or not so much.
fn unread(app: &App, access: &Access, address: Option<IpAddr>, error: &Error) -> Reply {
    app.config.refused(actor(Some(access.grant()), address), AuditAction::Read, error);
    Reply::refusal(error)
}

/// Whose doing a request is.
fn actor(grant: Option<&Grant>, address: Option<IpAddr>) -> Actor<'_> {
    Actor { identity: grant.and_then(Grant::identity), address, transport: Some("http") }
}

/// What the client of a request has.
///
/// # Errors
///
/// That its credential is malformed.
fn admit(
    app: &App,
    route: Route<'_>,
    request: &Request<'_>,
    connection: &Connection,
    visitor: &Visitor,
) -> Result<Admission<Access>, Error> {
    let gate = &app.config.gate;
    let is_for_anybody = route.is_for_anybody();
    let credential = match gate.has_access_file() {
        true if !is_for_anybody => credentials::of(request)?,
        true => None,
        false => {
            app.origins.check_host(request, connection)?;
            None
        }
    };
    // A page has a credential only if somebody gave it to it. Without one it would use what the
    // visitor's address or certificate may do.
    let asks_first = gate.has_access_file() && matches!(route, Route::Preflight(_));
    if credential.is_none() && !asks_first {
        app.origins.check_page(request, matches!(route, Route::Publish(_)))?;
    }
    if is_for_anybody {
        return Ok(Admission::Admitted(gate.anonymous(visitor)));
    }
    let Some(credential) = credential else {
        return Ok(gate.admit(connection.principal(), visitor));
    };
    let filter = match (&credential, route) {
        (Credential::Ticket(_), Route::Read(filter, _) | Route::WebSocket(filter)) => {
            Some(decoded(filter)?.parse()?)
        }
        _ => None,
    };
    Ok(gate.admit(credential.principal(filter.as_ref())?, visitor))
}

/// A request is charged, but for one after the server's health. In the places of the reserve there
/// is only that, and the counters.
///
/// # Errors
///
/// That there is no room for another.
fn begin(
    app: &App,
    access: &Access,
    route: Route<'_>,
    connection: &Connection,
) -> Result<(), Error> {
    if route == Route::Report(Report::Health) {
        return Ok(());
    }
    if connection.is_reserved() && route != Route::Report(Report::Metrics) {
        return Err(full(app.connections));
    }
    access.begin_request()
}

/// Whether a path is that of something with a slash more. The page's parts would not be found from
/// there.
fn has_slash_too_many(path: &str) -> bool {
    path.contains("//") || path.len() > 1 && path.ends_with('/')
}

/// The page of a topic as it is seen from a path below which it is not: whatever a proxy has taken
/// from the beginning of that path stays as it is.
fn page_from(path: &str, topic: &str, query: Option<&str>) -> String {
    let up = "../".repeat(path.matches('/').count().saturating_sub(1));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{up}{topic}{query}")
}

fn not_allowed(allow: Allow) -> Reply {
    let mut reply = Reply::refusal(&Error::new(Code::MethodNotAllowed, "method not allowed"));
    reply.head.add("allow", allow.0.as_bytes());
    reply
}

/// What is asked for is there.
fn moved(to: &str) -> Reply {
    let mut head = Head::new(StatusCode::TEMPORARY_REDIRECT);
    head.add("location", to.as_bytes());
    Reply::new(head, Body::Whole(Bytes::new()))
}

/// A page that may use the server is told so before it does.
fn preflight(allow: Option<Allow>) -> Reply {
    let mut head = Head::new(StatusCode::OK);
    head.add("access-control-allow-methods", b"GET,PUT,POST,PATCH,DELETE");
    // The one that `*` leaves out.
    head.add("access-control-allow-headers", b"*,authorization");
    if let Some(Allow(methods)) = allow {
        head.add("allow", methods.as_bytes());
    }
    Reply::new(head, Body::Whole(Bytes::new()))
}

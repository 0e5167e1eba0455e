//! The pages: the files of `web/`, as HTTP has them.

use std::borrow::Cow;

use axum::http::StatusCode;
use bytes::Bytes;
use doorbell_protocol::{Code, Error, Topic};

use super::App;
use super::reply::{Body, Head, Reply};
use super::request::{Request, decoded};
use crate::web::WebFile;

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The inbox shows images from elsewhere to those who ask for them, and plays what is here.
const INBOX: &str = "app.html";
const INBOX_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data: http: https:; media-src 'self'; connect-src 'self'; worker-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How names end that browsers, robots and scanners ask for by themselves.
const FILE_ENDINGS: [&str; 15] = [
    "asp",
    "aspx",
    "cgi",
    "css",
    "ico",
    "jpg",
    "js",
    "json",
    "jsp",
    "map",
    "php",
    "png",
    "txt",
    "webmanifest",
    "xml",
];

const HTML: &str = "text/html; charset=utf-8";

/// The picture of a link to the page.
const CARD: &str = "static/card.png";

/// The one that works for all pages, though it stands in a folder: so its address says, from there.
const SERVICE_WORKER: &str = "sw.js";

/// The page for a topic, which it reads from its own address; the inbox; or the laboratory, whose
/// name is a topic's for all but a page. A topic may be called like a file: whoever wants no page
/// is not given one in the file's place.
pub(super) fn of(app: &App, topic: Option<&str>, request: &Request<'_>) -> Result<Reply, Error> {
    let Some(topic) = topic else { return first_view(app, request) };
    let topic = &*decoded(topic)?;
    match topic {
        "app" => return file(INBOX, request),
        "lab" => return file("lab.html", request),
        _ => topic.parse::<Topic>()?,
    };
    let ending = topic.rsplit_once('.').map_or("", |(_, ending)| ending);
    if FILE_ENDINGS.contains(&ending) && !wants_page(request) {
        return Err(Error::new(Code::NotFound, "page not found"));
    }
    first_view(app, request)
}

/// The first view. A program that makes a card of a link wants the whole address of its picture.
fn first_view(app: &App, request: &Request<'_>) -> Result<Reply, Error> {
    let Some(base_url) = app.base_url.as_deref() else { return file("index.html", request) };
    let base_url = base_url.as_str();
    let (page, tag) = found("index.html")?;
    let relative = format!("content=\"{CARD}\"");
    let whole = format!("content=\"{base_url}/{CARD}\"");
    let page = String::from_utf8_lossy(&page).replace(&relative, &whole);
    Ok(answer("index.html", request, page, &format!("\"{tag}-{base_url}\"")))
}

/// Whether it is a person with a browser who asks, and will see the answer as a page.
fn wants_page(request: &Request<'_>) -> bool {
    let accepted = request.headers.get("accept").unwrap_or_default();
    request.method == "GET" && memchr::memmem::find(accepted, b"text/html").is_some()
}

/// A refusal: a page for a person with a browser, JSON for everybody else.
pub(super) fn refusal(app: &App, request: &Request<'_>, error: &Error) -> Reply {
    let page = wants_page(request).then(|| WebFile::get("error.html")).flatten();
    let Some(page) = page else { return Reply::refusal(error) };
    // It may stand at any depth, and a proxy may have taken away what is above it.
    let depth = app.base_path.strip(request.path).matches('/').count().saturating_sub(1);
    let text = String::from_utf8_lossy(&page.data)
        .replace("{root}", &"../".repeat(depth))
        .replace("{status}", &error.code().status().to_string())
        .replace("{error}", &escaped(&error.body().error));
    let mut reply = Reply::refusal_as(HTML, error, text);
    add_policy("error.html", &mut reply);
    reply
}

/// A text that stands in a page as a text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A file of the page, which may be in a folder.
pub(super) fn file(name: &str, request: &Request<'_>) -> Result<Reply, Error> {
    let (bytes, tag) = found(name)?;
    Ok(answer(name, request, bytes, &format!("\"{tag}\"")))
}

/// The bytes of a file, and what tells this version of it from others.
fn found(name: &str) -> Result<(Bytes, String), Error> {
    // In debug builds these are the files on disk, where other names would lead elsewhere.
    let is_name = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let found = is_name.then(|| WebFile::get(name)).flatten();
    let file = found.filter(|_| content_type(name).is_some());
    let file = file.ok_or_else(|| Error::new(Code::NotFound, "page not found"))?;
    let hash = file.metadata.sha256_hash();
    let tag = format!("{:016x}", u64::from_be_bytes(*hash.first_chunk().unwrap_or(&[0; 8])));
    let bytes = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    Ok((bytes, tag))
}

/// The answer to a request for a file that the client may have already.
fn answer(name: &str, request: &Request<'_>, bytes: impl Into<Bytes>, tag: &str) -> Reply {
    let known = request.headers.get("if-none-match").is_some_and(|sent| sent == tag.as_bytes());
    let mut reply = if known {
        Reply::new(Head::new(StatusCode::NOT_MODIFIED), Body::Whole(Bytes::new()))
    } else {
        Reply::whole(StatusCode::OK, content_type(name).unwrap_or_default(), bytes)
    };
    add_policy(name, &mut reply);
    reply.head.add("etag", tag.as_bytes());
    if name == SERVICE_WORKER {
        reply.head.add("service-worker-allowed", b"../");
    }
    reply
}

/// What browsers are told of every file of the page.
fn add_policy(name: &str, reply: &mut Reply) {
    let policy = if name == INBOX { INBOX_SECURITY_POLICY } else { CONTENT_SECURITY_POLICY };
    let fixed = [
        ("content-security-policy", policy),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
    ];
    for (name, value) in fixed {
        reply.head.add(name, value.as_bytes());
    }
}

fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => HTML,
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "txt" => "text/plain; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        _ => return None,
    })
}

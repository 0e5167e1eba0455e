//! The demo page: the files of `web/`, inside the binary.

use std::borrow::Cow;

use axum::http::StatusCode;
use bytes::Bytes;
use doorbell_protocol::{Code, Error, Topic};
use rust_embed::RustEmbed;

use super::reply::{Body, Head, Reply};
use super::request::Request;

#[derive(RustEmbed)]
#[folder = "../web"]
struct Files;

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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

/// The one that works for all pages, though it stands in a folder: so its address says, from there.
const SERVICE_WORKER: &str = "sw.js";

/// The page for a topic, which it reads from its own address; the inbox; or the laboratory, whose
/// name is a topic's for all but a page. A topic may be called like a file: whoever wants no page
/// is not given one in the file's place.
pub(super) fn topic(topic: &str, request: &Request<'_>) -> Result<Reply, Error> {
    match topic {
        "app" => return file("app.html", request),
        "lab" => return file("lab.html", request),
        _ => topic.parse::<Topic>()?,
    };
    let ending = topic.rsplit_once('.').map_or("", |(_, ending)| ending);
    let accepted = request.headers.get("accept").unwrap_or_default();
    let wants_page = memchr::memmem::find(accepted, b"text/html").is_some();
    if FILE_ENDINGS.contains(&ending) && !wants_page {
        return Err(Error::new(Code::NotFound, "page not found"));
    }
    file("index.html", request)
}

/// A file of the page, which may be in a folder.
pub(super) fn file(name: &str, request: &Request<'_>) -> Result<Reply, Error> {
    // In debug builds these are the files on disk, where other names would lead elsewhere.
    let is_name = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let found = is_name.then(|| Files::get(name)).flatten();
    let found = found.and_then(|file| Some((file, content_type(name)?)));
    let Some((file, content_type)) = found else {
        return Err(Error::new(Code::NotFound, "page not found"));
    };
    let hash = file.metadata.sha256_hash();
    let tag = format!("\"{:016x}\"", u64::from_be_bytes(*hash.first_chunk().unwrap_or(&[0; 8])));
    let known = request.headers.get("if-none-match").is_some_and(|sent| sent == tag.as_bytes());
    let mut reply = if known {
        Reply::new(Head::new(StatusCode::NOT_MODIFIED), Body::Whole(Bytes::new()))
    } else {
        let bytes = match file.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        Reply::whole(StatusCode::OK, content_type, bytes)
    };
    let fixed = [
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
        ("etag", &tag),
    ];
    for (name, value) in fixed {
        reply.head.add(name, value.as_bytes());
    }
    if name == SERVICE_WORKER {
        reply.head.add("service-worker-allowed", b"../");
    }
    Ok(reply)
}

fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_build_reads_the_page_from_disk_each_time() {
        let file = Files::get("main.js").unwrap();
        let is_read = matches!(file.data, std::borrow::Cow::Owned(_));
        assert_eq!(is_read, cfg!(debug_assertions), "a release build has it inside");
    }
}

//! The demo page: the files of `web/`, inside the binary.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use doorbell_protocol::{Code, Error, Topic};
use rust_embed::RustEmbed;

use super::answer::Refusal;
use super::params::Address;

#[derive(RustEmbed)]
#[folder = "../web"]
struct Files;

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// `GET /`.
pub(crate) async fn index(headers: HeaderMap) -> Result<Response, Refusal> {
    file("index.html", &headers)
}

/// `GET /TOPIC`: the page, which reads the topic from its own address.
pub(crate) async fn topic(
    Address(topic): Address<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    topic.parse::<Topic>()?;
    file("index.html", &headers)
}

/// `GET /static/FILE`.
pub(crate) async fn asset(
    Address(name): Address<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    file(&name, &headers)
}

fn file(name: &str, request: &HeaderMap) -> Result<Response, Refusal> {
    let found = Files::get(name).and_then(|file| Some((file, content_type(name)?)));
    let Some((file, content_type)) = found else {
        return Err(Error::new(Code::NotFound, "page not found").into());
    };
    let hash = file.metadata.sha256_hash();
    let tag = format!("\"{:016x}\"", u64::from_be_bytes(*hash.first_chunk().unwrap_or(&[0; 8])));
    let known =
        request.get(header::IF_NONE_MATCH).is_some_and(|sent| sent.as_bytes() == tag.as_bytes());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, content_type)], file.data).into_response()
    };
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => return None,
    })
}

//! The heads of a browser's requests, for experiments: what Chromium 156 on Linux sends when a page
//! asks its own server with `fetch`, as it was seen on the wire.

use hyper::header::{ACCEPT_ENCODING, CONNECTION, COOKIE, HeaderValue, REFERER};
use hyper::http::request::Builder;

use crate::laboratory::RequestHeaders;

/// What stands in each request, whatever the site.
const HEADERS: [(&str, &str); 9] = [
    ("sec-ch-ua-platform", "\"Linux\""),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/156.0.0.0 Safari/537.36",
    ),
    ("sec-ch-ua", "\"Not:A-Brand\";v=\"8\", \"Chromium\";v=\"156\""),
    ("sec-ch-ua-mobile", "?0"),
    ("accept", "*/*"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
    ("accept-language", "en-US,en;q=0.9"),
];
/// The codings that it takes. Of these the server has the first and the third.
const CODINGS: &str = "gzip, deflate, br, zstd";
/// Bytes of the cookie: as many as a session and the counting of visitors take on many sites.
const COOKIE_BYTES: usize = 192;

/// Adds what a browser would to a request of a page of this site.
pub(crate) fn headers(
    mut request: Builder,
    headers: RequestHeaders,
    origin: &str,
    http2: bool,
) -> Builder {
    if headers == RequestHeaders::Client {
        return request;
    }
    if !http2 {
        request = request.header(CONNECTION, "keep-alive");
    }
    request = request.header(ACCEPT_ENCODING, CODINGS);
    for (name, value) in HEADERS {
        request = request.header(name, HeaderValue::from_static(value));
    }
    request = request.header(REFERER, format!("{origin}/"));
    if headers == RequestHeaders::BrowserWithCookie {
        let value = "0123456789abcdef".repeat(COOKIE_BYTES / 16);
        request = request.header(COOKIE, format!("session={}", &value["session=".len()..]));
    }
    request
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn bytes(block: RequestHeaders, http2: bool) -> usize {
        let request = headers(Request::get("/"), block, "http://127.0.0.1:8080", http2);
        let request = request.body(()).unwrap();
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
    }

    #[test]
    fn the_head_is_as_long_as_a_browsers_and_the_cookie_as_it_says() {
        assert_eq!(bytes(RequestHeaders::Client, false), 0);
        let block = bytes(RequestHeaders::Browser, false);
        // Seen on the wire were 446 beside the line of the request and `Host`, with "Headless" in
        // one of them and a port of one digit more.
        assert_eq!(block, 446 - "Headless".len() - 1);
        let with_cookie = bytes(RequestHeaders::BrowserWithCookie, false);
        assert_eq!(with_cookie - block, "cookie: \r\n".len() + COOKIE_BYTES);
        assert!(bytes(RequestHeaders::Browser, true) < block);
    }
}

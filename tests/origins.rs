//! Pages of elsewhere in a browser that can reach the server: what they may not do with it, and
//! who may.

use std::net::TcpStream;

use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, client};

use crate::support::{Request, Response, TestServer};

const EVIL: &str = "https://evil.example";

/// What browsers send where a page embeds something of another site.
const EMBEDDED: [(&str, &str); 2] =
    [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")];

/// Requests to everything that there is.
fn everything() -> Vec<Request> {
    let get = [
        "/",
        "/t",
        "/static/main.js",
        "/t/publish?message=x",
        "/t/json?poll=1",
        "/t/json",
        "/t/sse",
        "/t/raw",
        "/t/ws",
        "/t/auth",
        "/v1/health",
        "/v1/config",
        "/v1/stats",
        "/v1/connections",
        "/v1/lab?page=page&topic=t",
        "/metrics",
        "/nothing/at/all",
    ];
    let mut all: Vec<Request> = get.map(Request::get).into();
    all.push(Request::post("/t", "x"));
    all.push(Request::new("PUT", "/t").body("x"));
    all.push(Request::post("/", r#"{"topic":"t","message":"x"}"#));
    all.push(Request::new("OPTIONS", "/t").header("Access-Control-Request-Method", "PUT"));
    all
}

/// The numbers of a refusal, and that it tells the page nothing.
fn refused(response: &Response) -> (u16, String) {
    let body = response.json();
    assert_eq!(body["http"], response.status, "{body}");
    assert_eq!(response.header("access-control-allow-origin"), None, "{body}");
    (response.status, body["error"].as_str().unwrap().to_owned())
}

/// The status with which a WebSocket is refused; 101 if it is not.
fn open_socket(server: &TestServer, headers: &[(&'static str, &str)]) -> u16 {
    let mut request = format!("ws://{}/t/ws", server.http).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match client(request, TcpStream::connect(server.http).unwrap()) {
        Ok((_, response)) => response.status().as_u16(),
        Err(tokio_tungstenite::tungstenite::HandshakeError::Failure(Error::Http(response))) => {
            response.status().as_u16()
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_page_of_another_origin_can_do_nothing() {
    let server = TestServer::start();
    for request in everything() {
        for origin in [EVIL, "null", "http://localhost:3000", "http://localhost.evil.example"] {
            let (status, error) = refused(&server.send(&request.clone().header("Origin", origin)));
            assert_eq!(status, 403, "{request:?}");
            assert!(error.contains(origin) && error.contains("--allow-origin"), "{error}");
        }
    }
    assert_eq!(open_socket(&server, &[("origin", EVIL)]), 403);
    assert_eq!(server.stats()["messages"], 0);
}

#[test]
fn a_page_of_another_origin_cannot_publish_by_an_image_or_a_link() {
    let server = TestServer::start();
    let publish = Request::get("/t/publish?message=x");
    for site in ["cross-site", "same-site"] {
        for mode in ["no-cors", "navigate"] {
            let request = publish.clone().header("Sec-Fetch-Site", site);
            let (status, error) = refused(&server.send(&request.header("Sec-Fetch-Mode", mode)));
            assert_eq!(status, 403, "{site} {mode}");
            assert!(error.contains("--allow-origin"), "{error}");
        }
    }
    let embed = |path| {
        let add = |request: Request, (name, value): (&str, &str)| request.header(name, value);
        server.send(&EMBEDDED.into_iter().fold(Request::get(path), add)).status
    };
    assert_eq!(embed("/t/raw?poll=1"), 403, "as a script, say");
    assert_eq!(server.stats()["messages"], 0);
    // Somebody who follows a link to the page, or types its address, gets it.
    for (site, mode) in [("cross-site", "navigate"), ("none", "navigate"), ("same-origin", "cors")]
    {
        let request = Request::get("/t").header("Sec-Fetch-Site", site);
        assert_eq!(server.send(&request.header("Sec-Fetch-Mode", mode)).status, 200, "{site}");
    }
}

#[test]
fn a_name_that_is_not_the_servers_leads_to_nothing() {
    let server = TestServer::start();
    for request in everything() {
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "192.0.2.1"] {
            let (status, error) = refused(&server.send(&request.clone().host(host)));
            assert_eq!(status, 421, "{request:?}");
            assert!(error.contains(host) && error.contains("--allow-host"), "{error}");
        }
    }
    assert_eq!(
        open_socket(&server, &[("host", "evil.example"), ("origin", "http://evil.example")]),
        421
    );
    assert_eq!(server.stats()["messages"], 0);
}

#[test]
fn the_servers_own_names_and_pages_and_programs_are_taken() {
    let server = TestServer::with("--http 0.0.0.0:0 --anonymous read-write --lab off");
    let own = format!("127.0.0.1:{}", server.http.port());
    let bound = server.http.to_string();
    let loopback = ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.8.8.8:1", "[::1]:8080"];
    for host in loopback.into_iter().chain([&*own, &*bound]) {
        let request = Request::post("/t", "x").host(host);
        assert_eq!(server.send(&request).status, 200, "{host}");
        for scheme in ["http", "https"] {
            let request = request.clone().header("Origin", &format!("{scheme}://{host}"));
            let response = server.send(&request);
            assert_eq!(response.status, 200, "{host}");
        }
    }
    assert_eq!(open_socket(&server, &[("host", &own), ("origin", &format!("http://{own}"))]), 101);
    assert_eq!(open_socket(&server, &[]), 101);
}

#[test]
fn a_machines_own_address_is_one_of_the_servers_names() {
    let server = TestServer::with("--http 0.0.0.0:0 --anonymous read-write --lab off");
    // Any address of this block is this machine's.
    let address = (std::net::Ipv4Addr::new(127, 0, 0, 9), server.http.port()).into();
    let request = Request::get("/v1/health").host("127.0.0.9");
    assert_eq!(request.send_to(address).status, 200);
    let elsewhere = Request::get("/v1/health").host("192.0.2.1");
    assert_eq!(elsewhere.send_to(address).status, 421);
}

#[test]
fn an_origin_and_a_host_that_are_named_are_taken_and_no_others() {
    let flags = "--allow-origin https://app.example,http://localhost:3000 --allow-host Bell.example \
                 --allow-origin https://other.example";
    let server = TestServer::with(flags);
    for origin in ["https://app.example", "http://localhost:3000", "https://other.example"] {
        for path in ["/t", "/"] {
            let preflight = Request::new("OPTIONS", path)
                .header("Origin", origin)
                .header("Access-Control-Request-Method", "PUT")
                .header("Access-Control-Request-Headers", "authorization,x-title");
            let answer = server.send(&preflight);
            assert_eq!(answer.status, 200, "{origin}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        }
        let response = server.send(&Request::post("/t", "x").header("Origin", origin));
        assert_eq!(response.status, 200, "{origin}");
        assert_eq!(response.header("access-control-allow-origin"), Some(origin));
        assert!(response.all("vary").any(|value| value == "origin"), "{response:?}");
        assert_eq!(open_socket(&server, &[("origin", origin)]), 101);
    }
    for origin in ["http://app.example", "https://app.example:444", EVIL] {
        let response = server.send(&Request::post("/t", "x").header("Origin", origin));
        assert_eq!(refused(&response).0, 403, "{origin}");
    }
    for (host, status) in [("bell.example:8080", 200), ("a.bell.example", 421)] {
        assert_eq!(server.send(&Request::get("/v1/health").host(host)).status, status, "{host}");
    }
    let any = TestServer::with("--allow-origin *");
    for origin in [EVIL, "null"] {
        let response = any.send(&Request::post("/t", "x").header("Origin", origin));
        assert_eq!(response.status, 200);
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    }
}

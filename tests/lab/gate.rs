//! When the lab may be looked at, and from where.

use crate::support::server::{run, server_command};
use crate::support::{Request, Response, TestServer};

const ADDRESSES: [&str; 2] = ["/v1/connections", "/v1/lab?page=page&topic=t"];

fn refusal(response: &Response) -> (u16, u64, String) {
    let body = response.json();
    let error = body["error"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
    assert_eq!(body["http"], response.status);
    (response.status, body["code"].as_u64().unwrap(), error)
}

fn assert_off(flags: &str) {
    let server = TestServer::with(flags);
    assert_eq!(server.get("/v1/config").json()["lab"], false, "{flags}");
    for address in ADDRESSES {
        let (status, code, error) = refusal(&server.get(address));
        assert_eq!((status, code), (404, 40401), "{flags} {address}");
        assert!(error.contains("--lab on"), "it says how to switch it on: {error}");
    }
}

#[test]
fn it_is_off_where_others_can_connect_or_where_it_was_switched_off() {
    assert_off("--http 0.0.0.0:0 --anonymous read-write");
    assert_off("--tcp 0.0.0.0:0 --anonymous read-write");
    assert_off("--lab off");
}

#[test]
fn it_is_on_where_nobody_else_can_connect_or_where_it_was_switched_on() {
    for flags in ["", "--tcp 0.0.0.0:0 --anonymous read-write --lab on"] {
        let server = TestServer::with(flags);
        let config = server.get("/v1/config").json();
        assert_eq!((&config["lab"], &config["trace"]), (&true.into(), &false.into()), "{flags}");
        assert_eq!(server.get("/v1/connections").status, 200, "{flags}");
    }
}

#[test]
fn the_settings_are_in_the_help_and_a_wrong_one_ends_with_two_and_one_line() {
    let help = String::from_utf8(run(server_command().arg("--help")).stdout).unwrap();
    for expected in ["--lab", "DOORBELL_LAB", "--trace", "DOORBELL_TRACE"] {
        assert!(help.contains(expected), "{expected} in {help}");
    }
    let output = run(server_command().args(["--lab", "maybe"]));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(stderr.contains("maybe") && stderr.contains("--lab"), "{stderr}");
}

#[test]
fn a_page_of_another_origin_may_not_watch() {
    let server = TestServer::start();
    for address in ADDRESSES {
        for origin in ["http://example.org", "http://localhost:1", "null", "localhost"] {
            let (status, code, error) =
                refusal(&server.send(&Request::get(address).header("Origin", origin)));
            assert_eq!((status, code), (403, 40301), "{address} {origin}");
            assert!(error.contains(origin), "{error}");
        }
    }
    let server = TestServer::with("--allow-origin http://example.org");
    // The tests' requests name this host.
    let own = Request::get("/v1/connections").header("Origin", "http://localhost");
    assert_eq!(server.send(&own).status, 200);
    let elsewhere = Request::get("/t/json?poll=1").header("Origin", "http://example.org");
    assert_eq!(server.send(&elsewhere).status, 200, "it may read all the same");
}

#[test]
fn a_foreign_name_that_leads_here_does_not_open_it() {
    let status = |server: &TestServer, address: &str, name: &str| {
        server.send(&Request::get(address).host(name)).status
    };
    let server = TestServer::with("--allow-host doorbell.example");
    for address in ADDRESSES {
        for name in ["evil.example:8080", "127.0.0.1.evil.example", "192.0.2.1"] {
            assert_eq!(status(&server, address, name), 421, "{address} {name}");
        }
        for name in ["doorbell.example", ""] {
            assert_eq!(status(&server, address, name), 403, "{address} {name}");
        }
    }
    for name in ["127.0.0.1:8080", "[::1]:8080", "LOCALHOST", "127.8.8.8"] {
        assert_eq!(status(&server, ADDRESSES[0], name), 200, "{name}");
    }
    let asked_for = TestServer::with("--lab on --allow-host doorbell.example");
    assert_eq!(status(&asked_for, ADDRESSES[0], "doorbell.example"), 200);
}

#[test]
fn what_is_malformed_is_refused_with_the_value_and_the_bound() {
    let server = TestServer::start();
    for (address, expected) in [
        ("/v1/connections?max=0", "max '0' is no number from 1 to 1000"),
        ("/v1/connections?max=1001", "max '1001' is no number from 1 to 1000"),
        ("/v1/connections?max=many", "max 'many' is no number from 1 to 1000"),
        ("/v1/lab?topic=t", "page '' is not 4 to 16 of a-z and 0-9"),
        ("/v1/lab?page=abc&topic=t", "page 'abc' is not 4 to 16 of a-z and 0-9"),
        ("/v1/lab?page=abcdefghijklmnopq&topic=t", "page 'abcdefghijklmnopq' is not 4 to 16 of"),
        ("/v1/lab?page=Page&topic=t", "page 'Page' is not 4 to 16 of a-z and 0-9"),
        ("/v1/lab?page=page&topic=a..b", "topic 'a..b' is not"),
        ("/v1/lab?page=page&topic=a,b", "topic 'a,b' is not"),
        ("/v1/lab?page=page", "topic '' is not"),
        ("/v1/lab?page=page&topic=t", "this address speaks WebSocket"),
    ] {
        let (status, _, error) = refusal(&server.get(address));
        assert_eq!(status, 400, "{address}: {error}");
        assert!(error.contains(expected), "{address}: {error}");
    }
}

//! What stock clients of the dialect send when they publish, odd as it may be: nothing of it is
//! lost.

use serde_json::json;

use crate::publish::accepted;
use crate::support::http::Connection;
use crate::support::{Event, Request, Response, TestServer};

/// Each character as one byte.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

/// The answer to a request of those bytes.
fn exchange(server: &TestServer, request: &str) -> Response {
    let mut connection = Connection::open(server.http);
    connection.write(&bytes(request));
    connection.response()
}

#[test]
fn a_header_that_nobody_asks_for_is_not_looked_at() {
    let server = TestServer::start();
    for version in ["1.0", "1.1"] {
        for (target, body) in [("POST /t", "hi"), ("GET /t/json?poll=1", ""), ("GET /t", "")] {
            let answer = exchange(
                &server,
                &format!(
                    "{target} HTTP/{version}\r\nhost: localhost\r\ncookie: n=J\u{f6}rg\r\n\
                     referer: http://x/\u{fc}\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                ),
            );
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        }
    }
    let mut connection = Connection::open(server.http);
    connection.write(&bytes(
        "GET /t/ws HTTP/1.1\r\nhost: localhost\r\ncookie: a=\u{e9}\r\nconnection: Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ));
    assert_eq!(connection.head().expect("an answer").status, 101);
    assert_eq!(server.poll("t", "all").len(), 2);
}

#[test]
fn a_header_that_carries_a_text_and_is_not_utf_8_is_latin_1() {
    let server = TestServer::start();
    let publish = |headers: &str| {
        let request = format!(
            "POST /t HTTP/1.1\r\nhost: localhost\r\n{headers}\r\ncontent-length: 1\r\n\r\nx"
        );
        accepted(&exchange(&server, &request))
    };
    let event = publish("title: \u{a0}\u{dc}berwachung \r\ntags: caf\u{e9},\u{fc}");
    assert_eq!(event["title"], "\u{dc}berwachung");
    assert_eq!(event["tags"], json!(["caf\u{e9}", "\u{fc}"]));
    // As UTF-8 it is what it is, and one odd byte makes all of a value Latin-1.
    assert_eq!(publish("title: \u{c3}\u{a9}")["title"], "\u{e9}");
    assert_eq!(publish("title: \u{c3}\u{a9}\u{e9}")["title"], "\u{c3}\u{a9}\u{e9}");
    assert_eq!(publish("title: =?utf-8?q?=C3=A9?= \u{e9}")["title"], "\u{e9} \u{e9}");
}

/// What a server makes of JSON over HTTP, and in lines, which take what is UTF-8.
fn publish_json(server: &TestServer, json: &[u8]) -> Event {
    let by_http = accepted(&server.send(&Request::post("/", json)));
    if let Ok(json) = std::str::from_utf8(json)
        && !json.contains('\n')
    {
        assert_eq!(server.lines().ask(format_args!("PUBJ {json}")).kind(), "ok", "{json}");
        let by_line = &server.poll("t", by_http.id())[0];
        for member in ["message", "title", "tags", "priority", "actions"] {
            assert_eq!(by_line[member], by_http[member], "{json}");
        }
    }
    by_http
}

#[test]
fn half_a_surrogate_is_a_replacement_character_wherever_it_stands() {
    let server = TestServer::start();
    let json = br#"{"topic":"t","message":"done \ud83d","title":"\ude00 \ud83d\ude00 \\ud83d",
        "tags":["\ud83d\ud83d\ude00"],
        "actions":[{"action":"view","label":"\uD83D!","url":"https://a.example"}]}"#;
    let json: Vec<u8> = json.iter().copied().filter(|byte| *byte != b'\n').collect();
    let event = publish_json(&server, &json);
    assert_eq!(event.message(), "done \u{fffd}");
    assert_eq!(event["title"], "\u{fffd} \u{1f600} \\ud83d");
    assert_eq!(event["tags"], json!(["\u{fffd}\u{1f600}"]));
    assert_eq!(event["actions"][0]["label"], "\u{fffd}!");
}

#[test]
fn json_is_read_as_it_is_written_by_those_who_have_no_library() {
    let server = TestServer::start();
    for (json, message, title) in [
        (r#"{"Topic":"t","MESSAGE":"m","tItLe":"T"}"#.as_bytes(), "m", json!("T")),
        (br#"{"topic":"x","topic":"t","message":"one","Message":"m"}"#, "m", json!(null)),
        (br#"{"topic":"t","message":"m"} and more {"#, "m", json!(null)),
        (b"{\"topic\":\"t\",\"message\":\"m\xff\"}", "m\u{fffd}", json!(null)),
        ("\u{feff}{\"topic\":\"t\",\"message\":\"m\"}".as_bytes(), "m", json!(null)),
        (
            br#"{"topic":"t","message":"m","title":null,"tags":null,"priority":null,
                "actions":null,"click":null,"icon":null,"markdown":null,"attach":null,
                "filename":null,"email":null,"call":null,"delay":null,"cache":null}"#,
            "m",
            json!(null),
        ),
    ] {
        let event = publish_json(&server, json);
        assert_eq!((event.message(), &event["title"]), (message, &title));
    }
    let blank = accepted(&server.send(&Request::post("/", r#"{"topic":"t","message":" hi \n"}"#)));
    assert_eq!(blank.message(), "hi");
    assert_eq!(accepted(&server.get("/t/publish?title=%20a%20"))["title"], "a");
}

#[test]
fn an_action_may_say_null_for_what_it_has_not() {
    let server = TestServer::start();
    let event = publish_json(
        &server,
        br#"{"topic":"t","message":"m","actions":[{"id":null,"action":"Http","label":"a","url":"https://a.example","method":"put","headers":null,"extras":null,"body":null,"clear":null}]}"#,
    );
    assert_eq!(event["actions"][0]["action"], "http");
    assert_eq!(event["actions"][0]["method"], "PUT");
    let short =
        Request::post("/t", "x").header("Actions", "HTTP, a, https://a.example, method=put");
    assert_eq!(accepted(&server.send(&short))["actions"], event["actions"]);
}

#[test]
fn encoded_words_may_have_blanks_and_stand_within_the_quotes_of_an_action() {
    let server = TestServer::start();
    let request = Request::post("/t", "x")
        .header("Title", "=?UTF-8?Q?so gr=C3=BCn?=")
        .header("Actions", r#"view, "=?UTF-8?Q?ja, gr=C3=BCn?=", https://a.example"#);
    let event = accepted(&server.send(&request));
    assert_eq!(
        (&event["title"], &event["actions"][0]["label"]),
        (&json!("so grün"), &json!("ja, grün"))
    );
}

#[test]
fn long_addresses_actions_and_texts_in_the_head_are_taken() {
    let server = TestServer::start();
    let long = format!("https://a.example/{}", "x".repeat(3000));
    let text = "x".repeat(6000);
    let request = Request::post("/t", "")
        .header("X-Click", &long)
        .header("X-Icon", &long)
        .header("X-Actions", &format!("http, a, {long}, body='{}'", "{1; 2}".repeat(500)))
        .header("X-Message", &text);
    let event = accepted(&server.send(&request));
    assert_eq!((&event["click"], &event["icon"]), (&json!(long), &json!(long)));
    assert_eq!((event.message(), &event["actions"][0]["url"]), (&*text, &json!(long)));
}

#[test]
fn a_get_that_publishes_may_have_a_body() {
    let server = TestServer::start();
    let event = accepted(&server.send(&Request::get("/t/publish?title=T").body("text")));
    assert_eq!((event.message(), &event["title"]), ("text", &json!("T")));
}

#[test]
fn a_file_is_attached_by_its_address_and_kept_by_whoever_has_it() {
    let server = TestServer::start();
    let url = "https://f.example/posters/a%20b.jpg?w=300";
    let named = json!({"name": "c.jpg", "url": url});
    let json = json!({"topic": "t", "message": "m", "attach": url, "filename": "c.jpg"});
    let event = publish_json(&server, json.to_string().as_bytes());
    assert_eq!((event.message(), &event["attachment"]), ("m", &named));
    for name in ["X-Attach", "Attach", "a"] {
        let request = Request::post("/t", "m").header(name, url);
        let event = accepted(&server.send(&request));
        assert_eq!(event["attachment"], json!({"name": "a b.jpg", "url": url}), "{name}");
        let by_query = format!("/t?{}=https://f.example/&f=c", name.to_ascii_lowercase());
        let event = accepted(&server.send(&Request::post(&by_query, "")));
        assert_eq!(event["attachment"], json!({"name": "c", "url": "https://f.example/"}));
        assert_eq!(event.message(), "You received a file: c");
    }
    let held = server.poll("t", "all");
    assert_eq!((held.len(), &held[0]["attachment"]), (8, &named));
}

//! What stock clients of the dialect send when they publish, odd as it may be: nothing of it is
//! lost.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::json;

use crate::publish::{accepted, assert_refused};
use crate::support::http::Connection;
use crate::support::{Event, Request, Response, TestServer, Transport, messages};

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

#[test]
fn a_program_that_looks_for_unified_push_is_told_that_it_is_here() {
    let server = TestServer::start();
    for query in ["up=1", "unifiedpush=yes"] {
        let answer = server.get(&format!("/upABCDEFGHIJKL?{query}"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json(), json!({"unifiedpush": {"version": 1}}));
    }
    for page in ["/upABC", "/upABC?up=0"] {
        assert!(server.get(page).text().starts_with("<!"), "{page}");
    }
    assert_refused(&server.get("/a..b?up=1"), 40009, "a topic");
}

#[test]
fn a_push_to_a_program_is_passed_on_as_it_is_and_bytes_as_base64() {
    let server = TestServer::start();
    let push = |query: &str, body: &[u8]| Request::post(&format!("/up1{query}"), body);
    for request in [
        push("?up=1", b"\xff\xfea"),
        push("", b"\xff\xfea").header("X-UnifiedPush", "1"),
        push("", b"\xff\xfea").header("Content-Encoding", "aes128gcm"),
    ] {
        let event = accepted(&server.send(&request));
        assert_eq!((event.message(), &event["encoding"]), ("//5h", &json!("base64")));
    }
    let text = accepted(&server.send(&push("?up=1", b" {\"a\": 1}\n")));
    assert_eq!((text.message(), &text["encoding"]), (" {\"a\": 1}\n", &json!(null)));
    assert_eq!(accepted(&server.send(&push("?up=1", b""))).message(), "triggered");
    assert_eq!(server.poll("up1", "all")[0]["encoding"], "base64");
}

#[test]
fn a_push_to_a_program_is_cut_where_a_message_ends() {
    let server = TestServer::start();
    let mut connection = Connection::open(server.http);
    for length in [4096, 4097, 40_000, 400_000] {
        let request = Request::post("/up1?up=1", vec![0xff; length]);
        let event = accepted(&connection.exchange(&request));
        assert_eq!(event.message(), STANDARD.encode(vec![0xff; 4096]), "{length}");
    }
    connection
        .write(b"POST /up1?up=1 HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
    connection.write(format!("{}0\r\n\r\n", chunk.repeat(4)).as_bytes());
    assert_eq!(accepted(&connection.response()).message(), "x".repeat(4096));
    assert_eq!(
        accepted(&connection.exchange(&Request::post("/t", "goes on"))).message(),
        "goes on"
    );
}

#[test]
fn the_gateway_of_matrix_passes_notifications_on_to_programs_of_this_server_alone() {
    let server = TestServer::with("--base-url https://push.example/bell/");
    let gateway = "/_matrix/push/v1/notify";
    assert_eq!(server.get(gateway).json(), json!({"unifiedpush": {"gateway": "matrix"}}));
    let notify = |pushkey: &str| {
        let device = json!({"app_id": "a", "pushkey": pushkey});
        json!({"notification": {"event_id": "$1", "devices": [device]}}).to_string()
    };
    let sent = notify("https://push.example/bell/upABC?up=1");
    let answer = server.send(&Request::post(gateway, &sent));
    assert_eq!((answer.status, answer.json()), (200, json!({"rejected": []})));
    assert_eq!(messages(&server.poll("upABC", "all")), [&*sent]);
    for pushkey in [
        "https://elsewhere.example/upABC?up=1",
        "https://push.example/bellows",
        "https://push.example/bell/a/b",
        "",
    ] {
        let answer = server.send(&Request::post(gateway, notify(pushkey)));
        assert_eq!((answer.status, answer.json()), (200, json!({"rejected": [pushkey]})));
    }
    for body in ["{}", "no JSON", r#"{"notification":{"devices":[]}}"#] {
        assert_refused(&server.send(&Request::post(gateway, body)), 40019, body);
    }
    let long = notify(&"x".repeat(4096));
    assert_refused(&server.send(&Request::post(gateway, long)), 41302, "a long one");
    assert_eq!(server.poll("*", "all").len(), 1);
    let nameless = TestServer::start();
    assert_refused(&nameless.get(gateway), 50003, "a probe");
    assert_refused(&nameless.send(&Request::post(gateway, sent)), 50003, "a notification");
}

#[test]
fn the_host_of_the_base_address_is_this_servers_own() {
    let server = TestServer::with("--base-url https://push.example/bell");
    let ask = |host: &str| server.send(&Request::get("/v1/config").host(host)).status;
    assert_eq!((ask("push.example"), ask("other.example")), (200, 421));
}

/// What a program that compresses makes of a text.
fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn brotli(text: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    encoder.write_all(text).unwrap();
    encoder.into_inner()
}

type Encode = fn(&[u8]) -> Vec<u8>;

/// The codings of a body that are undone.
const CODINGS: [(&str, Encode); 6] = [
    ("gzip", gzip),
    ("X-GZIP", gzip),
    ("deflate", zlib),
    ("deflate", deflate),
    ("br", brotli),
    ("identity", |text| text.to_vec()),
];

#[test]
fn a_body_that_is_compressed_is_a_body() {
    let server = TestServer::start();
    for (coding, encode) in CODINGS {
        let request = |path: &str, body: &[u8]| {
            Request::post(path, encode(body)).header("Content-Encoding", coding)
        };
        let text = "caf\u{e9} ".repeat(500);
        let event = accepted(&server.send(&request("/t", text.as_bytes())));
        assert_eq!(event.message(), text.trim(), "{coding}");
        let json = json!({"topic": "t", "message": "m"}).to_string();
        assert_eq!(accepted(&server.send(&request("/", json.as_bytes()))).message(), "m");
    }
}

#[test]
fn no_more_of_a_body_is_decoded_than_a_message_may_have() {
    let server = TestServer::with("--attachment-total 0");
    let before = server.resident_bytes();
    for (coding, encode) in CODINGS {
        let bomb = encode(&vec![b'x'; 64 << 20]);
        if bomb.len() < 200_000 {
            let request = Request::post("/", bomb).header("Content-Encoding", coding);
            let answer = server.send(&request);
            assert_eq!(answer.status, 413, "{coding}: {}", answer.text());
        }
        let longer = Request::post("/t", encode(&[b'x'; 4097])).header("Content-Encoding", coding);
        assert_refused(&server.send(&longer), 41301, coding);
    }
    assert!(server.resident_bytes() < before + (32 << 20), "nothing was decoded as a whole");
    assert!(server.poll("t", "all").is_empty());
}

#[test]
fn a_coding_that_is_not_known_is_named_and_a_body_of_another_one_is_refused() {
    let server = TestServer::start();
    for coding in ["zstd", "compress", "gzip, br"] {
        let answer = server.send(&Request::post("/t", "x").header("Content-Encoding", coding));
        assert_refused(&answer, 41501, coding);
        assert!(answer.text().contains(coding), "{}", answer.text());
    }
    let cases =
        [("gzip", "no gzip"), ("br", "no br"), ("deflate", "no zlib"), ("br", "\u{11}\u{1e}x")];
    for (coding, body) in cases {
        let request = Request::post("/t", body).header("Content-Encoding", coding);
        assert_refused(&server.send(&request), 40000, coding);
    }
    assert!(server.poll("t", "all").is_empty());
}

#[test]
fn a_body_is_read_in_its_own_charset_and_without_a_mark_of_its_byte_order() {
    let server = TestServer::with("--attachment-total 0");
    let utf_16: Vec<u8> = "\u{feff}caf\u{e9}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (content_type, body) in [
        ("text/plain; charset=iso-8859-1", &b"caf\xe9"[..]),
        ("text/plain;format=flowed; Charset=\"Windows-1252\"", b"caf\xe9"),
        ("text/plain; charset=utf-8", "\u{feff}caf\u{e9}".as_bytes()),
        ("text/plain; charset=no-such", "caf\u{e9}".as_bytes()),
        ("text/plain", &utf_16),
        ("text/plain; charset=utf-16le", &utf_16[2..]),
    ] {
        let request = Request::post("/t", body).header("Content-Type", content_type);
        assert_eq!(accepted(&server.send(&request)).message(), "caf\u{e9}", "{content_type}");
    }
    let json = b"{\"topic\":\"t\",\"message\":\"caf\xe9\"}";
    let request = Request::post("/", json).header("Content-Type", "text/json; charset=latin1");
    assert_eq!(accepted(&server.send(&request)).message(), "caf\u{e9}");
    for (content_type, body) in [("text/plain", &b"caf\xe9"[..]), ("image/png", b"\x89PNG\xff")] {
        let request = Request::post("/t", body).header("Content-Type", content_type);
        assert_refused(&server.send(&request), 40014, content_type);
    }
}

#[test]
fn a_slash_too_many_is_passed_over() {
    let server = TestServer::start();
    for path in ["/t/", "//t", "/t//publish/", "//t/publish"] {
        let method = if path.contains("publish") { "GET" } else { "POST" };
        let event = accepted(&server.send(&Request::new(method, path).body("x")));
        assert_eq!(event["topic"], "t", "{path}");
    }
    let json = Request::post("//", r#"{"topic":"t","message":"x"}"#);
    assert_eq!(accepted(&server.send(&json))["topic"], "t");
    let version = accepted(&server.send(&Request::post("/t/s/", "x")));
    assert_eq!(version["sequence_id"], "s");
    for path in ["//t/json?poll=1", "/t/json/?poll=1", "/t//json?poll=1"] {
        assert_eq!(server.get(path).events().len(), 6, "{path}");
    }
    assert_eq!(server.get("//v1/health/").status, 200);
    // The page's parts are beside it.
    for page in ["//", "/t/", "//t"] {
        assert_eq!(server.get(page).status, 307, "{page}");
    }
}

#[test]
fn a_message_that_is_not_kept_is_seen_by_those_who_are_there_and_held_for_nobody() {
    for (mut server, restarts) in [(TestServer::start(), 0), (TestServer::durable(""), 1)] {
        server.publish("t", "before");
        let mut readers: Vec<_> =
            Transport::PUSHING.iter().map(|way| way.read(&server, "t", "none")).collect();
        let mut long_poll = Connection::open(server.http);
        long_poll.write(&Request::get("/t/json?poll=1&since=none&wait=30s").bytes());
        server.await_readers("longpoll", 1);
        let passing = Request::post("/t", "passes").header("Cache", "no");
        let event = accepted(&server.send(&passing));
        assert!(event["expires"].is_null(), "{}", event.line);
        assert_eq!(messages(&long_poll.response().events()), ["passes"]);
        let after = server.publish("t", "after");
        for reader in &mut readers {
            assert_eq!([reader.message(), reader.message()], [event.clone(), after.clone()]);
        }
        drop(readers);
        for restart in 0..=restarts {
            if restart > 0 {
                server.kill();
                server.restart();
            }
            for way in Transport::ALL {
                let mut reader = way.read(&server, "t", "all");
                let read = [reader.message(), reader.message()];
                assert_eq!(messages(&read), ["before", "after"], "{way:?}");
            }
            let answer = server.get(&format!("/t/json?poll=1&since={}", event.id()));
            assert_eq!(messages(&answer.events()), ["after"]);
            assert_eq!(answer.header("doorbell-gap"), None);
        }
    }
}

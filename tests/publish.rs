//! Publishing over HTTP: every way in, every name of a parameter, every refusal with its number.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::http::Connection;
use crate::support::id::epoch_and_seq;
use crate::support::{Event, Request, Response, TestServer, messages};

pub(crate) fn accepted(response: &Response) -> Event {
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    let line = response.text().strip_suffix('\n').expect("the end of a line");
    let event = Event::parse(line);
    assert_eq!(event.kind(), "message");
    event
}

/// The shape of every refusal: a number, its status, a sentence, and no other member.
pub(crate) fn assert_refused(response: &Response, code: u64, what: &str) {
    let body = response.json();
    assert_eq!(body["code"], code, "{what}: {body}");
    assert_eq!(u64::from(response.status), code / 100, "{what}: {body}");
    assert_eq!(body["http"], code / 100, "{what}: {body}");
    assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{what}: {body}");
    assert_eq!(body.as_object().unwrap().len(), 3, "{what}: {body}");
    assert_eq!(response.header("content-type"), Some("application/json"), "{what}");
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_posted_body_is_answered_with_the_event_as_the_interface_draws_it() {
    let server = TestServer::start();
    let event = accepted(&server.send(&Request::post("/orders", "hi")));
    let (id, time, time_us) = (event.id(), &event["time"], &event["time_us"]);
    let begin = format!(
        "{{\"id\":\"{id}\",\"seq\":1,\"time\":{time},\"time_us\":{time_us},\"event\":\"message\",\
         \"topic\":\"orders\",\"message\":\"hi\""
    );
    assert!(event.line.starts_with(&begin), "{}", event.line);
    assert_eq!(time_us.as_u64().unwrap() / 1_000_000, time.as_u64().unwrap());
    assert!(unix_seconds().abs_diff(time.as_u64().unwrap()) < 60);
    let members = ["event", "expires", "id", "message", "seq", "time", "time_us", "topic"];
    assert_eq!(event.members(), members);
    assert_eq!(event["expires"].as_u64().unwrap(), time.as_u64().unwrap() + 12 * 3600);
}

#[test]
fn an_id_is_the_epoch_and_the_seq_in_twelve_characters() {
    let server = TestServer::start();
    let texts: Vec<String> = (1..=40).map(|n| n.to_string()).collect();
    server.publish_all("t", &texts);
    let events = server.poll("t", "all");
    let (epoch, _) = epoch_and_seq(events[0].id());
    for (event, seq) in events.iter().zip(1..) {
        assert_eq!(epoch_and_seq(event.id()), (epoch, seq));
        assert_eq!(event.seq(), seq);
    }
    assert!(epoch < 1 << 27, "{epoch}");
    assert!(events.is_sorted_by(|a, b| a.id() < b.id()), "ids sort as strings");
    assert_eq!(events.len(), 40);
}

#[test]
fn put_publishes_like_post() {
    let server = TestServer::start();
    accepted(&server.send(&Request::new("PUT", "/t").body("by put").header("Title", "T")));
    let events = server.poll("t", "all");
    assert_eq!(messages(&events), ["by put"]);
    assert_eq!(events[0]["title"], "T");
}

#[test]
fn a_get_publishes_what_its_query_says() {
    let server = TestServer::start();
    for word in ["publish", "send", "trigger"] {
        for method in ["POST", "PUT"] {
            let request = Request::new(method, &format!("/other/{word}")).body("as a body");
            let event = accepted(&server.send(&request));
            assert_eq!((event.message(), &event["sequence_id"]), ("as a body", &Value::Null));
        }
        let path = format!("/t/{word}?message=a+b%20c&title=T%C3%BCr&priority=4&tags=x,y");
        let event = accepted(&server.get(&path));
        assert_eq!(event.message(), "a b c");
        assert_eq!((&event["title"], &event["priority"]), (&json!("Tür"), &json!(4)));
        assert_eq!(event["tags"], json!(["x", "y"]));
    }
    assert_eq!(server.poll("t", "all").len(), 3);
}

#[test]
fn a_json_object_publishes_to_the_topic_it_names() {
    let server = TestServer::start();
    let body = json!({
        "topic": "a.b", "message": "m", "title": "T", "priority": 5, "tags": ["x", "y"],
        "click": "https://c.example", "icon": "https://i.example/i.png", "markdown": true,
        "actions": [{"action": "view", "label": "Open", "url": "https://a.example"}],
    });
    for method in ["POST", "PUT"] {
        let event = accepted(&server.send(&Request::new(method, "/").body(body.to_string())));
        for member in ["topic", "message", "title", "priority", "tags", "click", "icon"] {
            assert_eq!(event[member], body[member], "{member}");
        }
        assert_eq!(event["content_type"], "text/markdown");
        assert_eq!(event["actions"][0]["url"], "https://a.example");
    }
    assert_eq!(server.poll("a.b", "all").len(), 2);
}

#[test]
fn headers_fill_in_what_a_json_object_leaves_out() {
    let server = TestServer::start();
    let request = Request::post("/", r#"{"topic":"t","message":"m","title":"of the body"}"#)
        .header("X-Title", "of the header")
        .header("X-Priority", "2")
        .header("X-Tags", "a");
    let event = accepted(&server.send(&request));
    assert_eq!(event["title"], "of the body");
    assert_eq!((&event["priority"], &event["tags"]), (&json!(2), &json!(["a"])));
}

/// Each parameter: its names, a value, the member of the event and what it then holds.
fn parameters() -> Vec<(&'static [&'static str], &'static str, &'static str, Value)> {
    let view = json!([{"id": "action1", "action": "view", "label": "Open", "clear": false,
        "url": "https://a.example"}]);
    vec![
        (&["x-message", "message", "m"], "text", "message", json!("text")),
        (&["x-title", "title", "t"], "A title", "title", json!("A title")),
        (&["x-priority", "priority", "prio", "p"], "high", "priority", json!(4)),
        (&["x-tags", "tags", "tag", "ta"], "a, b", "tags", json!(["a", "b"])),
        (&["x-click", "click"], "https://c.example", "click", json!("https://c.example")),
        (&["x-icon", "icon"], "https://i.example", "icon", json!("https://i.example")),
        (&["x-actions", "actions", "action"], "view, Open, https://a.example", "actions", view),
        (&["x-markdown", "markdown", "md"], "yes", "content_type", json!("text/markdown")),
        (&["x-sequence-id", "sequence-id", "sid"], "s-1", "sequence_id", json!("s-1")),
    ]
}

#[test]
fn every_name_of_a_parameter_is_heard_as_a_header() {
    let server = TestServer::start();
    for (names, value, member, expected) in parameters() {
        for name in names {
            for name in [(*name).to_owned(), name.to_ascii_uppercase()] {
                let request = Request::post("/t", "").header(&name, value);
                let event = accepted(&server.send(&request));
                assert_eq!(event[member], expected, "{name}");
            }
        }
    }
}

#[test]
fn every_name_of_a_parameter_is_heard_in_the_query() {
    let server = TestServer::start();
    for (names, value, member, expected) in parameters() {
        for name in names {
            let path = format!("/t?{name}={}", value.replace(' ', "%20"));
            let event = accepted(&server.send(&Request::post(&path, "")));
            assert_eq!(event[member], expected, "{name}");
        }
    }
}

#[test]
fn a_header_wins_over_the_query() {
    let server = TestServer::start();
    let request = Request::post("/t?title=of+the+query&tags=q", "x").header("t", "of the header");
    let event = accepted(&server.send(&request));
    assert_eq!(event["title"], "of the header");
    assert_eq!(event["tags"], json!(["q"]));
}

#[test]
fn priorities_have_numbers_and_names() {
    let server = TestServer::start();
    let names = [("min", 1), ("low", 2), ("default", 3), ("high", 4), ("max", 5), ("urgent", 5)];
    let numbers = [("1", 1), ("2", 2), ("3", 3), ("4", 4), ("5", 5), ("HIGH", 4)];
    for (text, number) in names.into_iter().chain(numbers) {
        let event = accepted(&server.send(&Request::post("/t", "x").header("Priority", text)));
        assert_eq!(event["priority"], number, "{text}");
    }
}

#[test]
fn the_priority_header_of_browsers_is_ignored() {
    let server = TestServer::start();
    for sent in ["u=3, i", "u=1", "i"] {
        let event = accepted(&server.send(&Request::post("/t", "x").header("Priority", sent)));
        assert!(event["priority"].is_null(), "{sent}: {}", event.line);
    }
}

#[test]
fn encoded_words_in_headers_are_decoded() {
    let server = TestServer::start();
    let request = Request::post("/t", "x")
        .header("Title", "=?UTF-8?B?VMO8cmdsb2NrZQ==?=")
        .header("Tags", "=?utf-8?Q?gl=C3=B6ckchen?=");
    let event = accepted(&server.send(&request));
    assert_eq!(event["title"], "Türglocke");
    assert_eq!(event["tags"], json!(["glöckchen"]));
    let plain = Request::post("/t", "x").header("Title", "Türglocke 🔔");
    assert_eq!(accepted(&server.send(&plain))["title"], "Türglocke 🔔");
}

#[test]
fn two_characters_of_a_message_parameter_make_a_new_line_but_not_those_of_a_body() {
    let server = TestServer::start();
    let by_header = Request::post("/t", "").header("Message", "one\\ntwo");
    assert_eq!(accepted(&server.send(&by_header)).message(), "one\ntwo");
    assert_eq!(accepted(&server.get("/t/publish?m=one%5Cntwo")).message(), "one\ntwo");
    let by_body = Request::post("/t", "one\\ntwo");
    assert_eq!(accepted(&server.send(&by_body)).message(), "one\\ntwo");
    let by_json = Request::post("/", r#"{"topic":"t","message":"one\\ntwo\nthree"}"#);
    assert_eq!(accepted(&server.send(&by_json)).message(), "one\\ntwo\nthree");
}

#[test]
fn a_message_parameter_stands_in_for_a_body_that_is_empty() {
    let server = TestServer::start();
    let both = Request::post("/t?message=parameter", "body").header("Message", "header");
    assert_eq!(accepted(&server.send(&both)).message(), "body");
    let event = accepted(&server.send(&Request::post("/t?message=parameter", "")));
    assert_eq!(event.message(), "parameter");
}

#[test]
fn an_empty_message_reads_triggered_and_blanks_around_a_body_are_cut() {
    let server = TestServer::start();
    assert_eq!(server.publish("t", "").message(), "triggered");
    assert_eq!(accepted(&server.get("/t/publish")).message(), "triggered");
    assert_eq!(server.publish("t", "  text\n").message(), "text");
}

#[test]
fn text_goes_out_as_it_came_in() {
    let server = TestServer::start();
    let texts = ["<b>&amp;</b>", "naïve — 漢字 🔔", "tab\tand \"quotes\" \\", "a\nb\r\nc", "\u{1}"];
    for text in texts {
        assert_eq!(server.publish("t", text).message(), text);
    }
    assert_eq!(messages(&server.poll("t", "all")), texts);
    let line = server.publish("t", "<&>").line;
    assert!(line.contains("\"message\":\"<&>\""), "not escaped: {line}");
}

#[test]
fn markdown_is_known_by_its_content_type_too() {
    let server = TestServer::start();
    for content_type in ["text/markdown", "Text/Markdown ; charset=utf-8"] {
        let request = Request::post("/t", "**x**").header("Content-Type", content_type);
        assert_eq!(accepted(&server.send(&request))["content_type"], "text/markdown");
    }
    let plain = Request::post("/t", "x").header("Content-Type", "text/plain");
    assert!(accepted(&server.send(&plain))["content_type"].is_null());
}

#[test]
fn both_forms_of_actions_give_the_same_buttons() {
    let server = TestServer::start();
    let short = "view, Open door, https://a.example/?x=1&y=2, clear=true; \
                 http, Close, https://b.example, method=PUT, headers.X-Y=1, body='{\"a\": 1; 2}'; \
                 copy, Code, 4711";
    let array = json!([
        {"action": "view", "label": "Open door", "url": "https://a.example/?x=1&y=2", "clear": true},
        {"action": "http", "label": "Close", "url": "https://b.example", "method": "PUT",
         "headers": {"X-Y": "1"}, "body": "{\"a\": 1; 2}"},
        {"action": "copy", "label": "Code", "value": "4711"},
    ]);
    let by_short = accepted(&server.send(&Request::post("/t", "x").header("Actions", short)));
    let array = array.to_string();
    let by_array = accepted(&server.send(&Request::post("/t", "x").header("Actions", &array)));
    assert_eq!(by_short["actions"], by_array["actions"]);
    assert_eq!(by_short["actions"].as_array().unwrap().len(), 3);
    assert_eq!(by_short["actions"][1]["headers"]["X-Y"], "1");
}

#[test]
fn a_path_with_a_sequence_id_publishes_a_version() {
    let server = TestServer::start();
    let event = accepted(&server.send(&Request::post("/t/door-1", "open")));
    assert_eq!((event.message(), &event["sequence_id"]), ("open", &json!("door-1")));
    assert_refused(&server.send(&Request::post("/t/door.1", "x")), 40049, "a dot");
}

#[test]
fn a_body_in_chunks_is_a_body() {
    let server = TestServer::start();
    let mut connection = Connection::open(server.http);
    connection.write(b"POST /t HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    connection.write(b"3\r\nin \r\n6\r\nchunks\r\n0\r\n\r\n");
    assert_eq!(accepted(&connection.response()).message(), "in chunks");
}

#[test]
fn one_connection_carries_many_publishes_and_refusals() {
    let server = TestServer::start();
    let mut connection = Connection::open(server.http);
    for n in 0..20 {
        let event = accepted(&connection.exchange(&Request::post("/t", n.to_string())));
        assert_eq!(event.message(), n.to_string());
        assert_refused(&connection.exchange(&Request::post("/a..b", "x")), 40009, "a..b");
    }
}

#[test]
fn what_this_server_cannot_do_is_refused_and_never_ignored() {
    let server = TestServer::with("--attachment-total 0");
    let groups: [(u64, &str, &[&str]); 5] = [
        (40014, "a.png", &["x-filename", "filename", "file", "f"]),
        (40001, "a@b.example", &["x-email", "x-e-mail", "email", "e-mail", "mail", "e"]),
        (40032, "yes", &["x-call", "call"]),
        (40004, "someday", &["x-delay", "delay", "x-at", "at", "x-in", "in"]),
        (40042, "yes", &["x-template", "template", "tpl"]),
    ];
    for (code, value, names) in groups {
        for name in names {
            let by_header = Request::post("/t", "x").header(name, value);
            assert_refused(&server.send(&by_header), code, name);
            let by_query = Request::post(&format!("/t?{name}={value}"), "x");
            assert_refused(&server.send(&by_query), code, name);
        }
    }
    for (member, code) in [("filename", 40014), ("email", 40001), ("call", 40032), ("delay", 40004)]
    {
        let body = json!({"topic": "t", "message": "x", member: "https://x.example"});
        assert_refused(&server.send(&Request::post("/", body.to_string())), code, member);
    }
    assert_refused(&server.send(&Request::post("/t", b"\xff\xfe\x00")), 40014, "binary");
    assert!(server.poll("t", "all").is_empty(), "a refused message is not stored");
}

#[test]
fn what_is_malformed_is_refused_with_its_number() {
    let server = TestServer::start();
    let with = |name: &str, value: &str| Request::post("/t", "x").header(name, value);
    let long_title = "x".repeat(1025);
    let long_tags = "x,".repeat(513);
    let cases = [
        (40007, with("Priority", "9")),
        (40007, with("Priority", "highest")),
        (40013, with("Attach", "ftp://f.example/a")),
        (40018, with("Actions", "fly, Away, https://a.example")),
        (40018, with("Actions", "copy,a,b; copy,a,b; copy,a,b; copy,a,b")),
        (40021, with("Icon", "ftp://i.example")),
        (40049, with("Sequence-ID", "no dots.")),
        (40057, with("Title", &long_title)),
        (40058, with("Tags", &long_tags)),
        (40024, Request::post("/", "no JSON")),
        (40024, Request::post("/", "[]")),
        (40024, Request::post("/", r#"{"topic":"t","priority":"high"}"#)),
        (40009, Request::post("/", r#"{"message":"x"}"#)),
        (40009, Request::post("/", r#"{"topic":"a b"}"#)),
        (40009, Request::post("/a..b", "x")),
        (40009, Request::post("/a%20b", "x")),
        (40009, Request::post("/.a", "x")),
        (40009, Request::post("/a,b", "x")),
        (40009, Request::post("/a.*", "x")),
        (40009, Request::post("/t%C3%BCr", "x")),
        (40009, Request::post(&format!("/{}", "a".repeat(129)), "x")),
        (40401, Request::get("/t/nothing/here")),
        (40501, Request::new("DELETE", "/t")),
        (40501, Request::post("/v1/health", "x")),
    ];
    for (code, request) in cases {
        assert_refused(&server.send(&request), code, &format!("{request:?}"));
    }
}

#[test]
fn names_of_the_servers_own_pages_are_no_topics() {
    let server = TestServer::start();
    let reserved = [
        "docs", "static", "file", "app", "metrics", "account", "settings", "signup", "login", "v1",
    ];
    for name in reserved {
        let body = json!({"topic": name, "message": "x"}).to_string();
        assert_refused(&server.send(&Request::post("/", body)), 40010, name);
        let answer = server.lines().ask(format_args!("PUB {name} x"));
        assert_eq!(answer.code(), 40010, "{name}");
    }
    for name in reserved.iter().filter(|name| **name != "metrics") {
        assert_refused(&server.send(&Request::post(&format!("/{name}"), "x")), 40010, name);
    }
    server.publish("v1.x", "only the whole name is reserved");
}

#[test]
fn a_message_may_be_as_long_as_the_limit_and_no_longer() {
    let server = TestServer::with("--attachment-total 0");
    let longest = "é".repeat(2048);
    assert_eq!(server.publish("t", &longest).message(), longest);
    let too_long = format!("{longest}x");
    let refused = server.send(&Request::post("/t", &too_long));
    assert_refused(&refused, 41301, "a body");
    let text = refused.json()["error"].as_str().unwrap().to_owned();
    assert!(text.contains("4097") && text.contains("4096"), "value and bound: {text}");
    // Some programs have all of it in the head, which has a bound of its own.
    let by_header = Request::post("/t", "").header("Message", &too_long);
    assert_eq!(accepted(&server.send(&by_header)).message(), too_long);
    let by_json = json!({"topic": "t", "message": too_long}).to_string();
    assert_refused(&server.send(&Request::post("/", by_json)), 41301, "JSON");
    let huge = json!({"topic": "t", "message": "x".repeat(100_000)}).to_string();
    assert_refused(&server.send(&Request::post("/", huge)), 41303, "a huge JSON body");
    assert_eq!(server.poll("t", "all").len(), 2);
}

#[test]
fn an_error_names_the_value_and_leaks_nothing_internal() {
    let server = TestServer::start();
    let response = server.send(&Request::post("/t", "x").header("Priority", "huge"));
    let text = response.json()["error"].as_str().unwrap().to_owned();
    assert!(text.contains("'huge'"), "{text}");
    assert!(!text.ends_with('.') && !text.contains("src/") && !text.contains("::"), "{text}");
}

#[test]
fn publishers_at_the_same_time_get_places_of_their_own() {
    let server = TestServer::start();
    let mut seqs: Vec<u64> = std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..8)
            .map(|n| {
                let server = &server;
                scope.spawn(move || {
                    let mut connection = Connection::open(server.http);
                    let mut publish = |text: u32| {
                        let request = Request::post(&format!("/t.{n}"), text.to_string());
                        accepted(&connection.exchange(&request)).seq()
                    };
                    let seqs: Vec<u64> = (0..50).map(&mut publish).collect();
                    assert!(seqs.is_sorted_by(|a, b| a < b), "one publisher's seqs rise");
                    seqs
                })
            })
            .collect();
        publishers.into_iter().flat_map(|publisher| publisher.join().unwrap()).collect()
    });
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=400).collect::<Vec<u64>>());
}

#[test]
fn a_browsers_own_priority_header_does_not_hide_the_query() {
    let server = TestServer::start();
    let request = Request::post("/t?priority=5", "x").header("Priority", "u=3, i");
    assert_eq!(server.send(&request).json()["priority"], 5);
}

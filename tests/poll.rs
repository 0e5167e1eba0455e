//! Polling: one answer, and the place from which the next one goes on.

use std::process::{Command, Stdio};

use crate::support::http::Connection;
use crate::support::{Event, Request, Response, TestServer, messages};

fn poll(server: &TestServer, filter: &str, query: &str) -> Response {
    let response = server.get(&format!("/{filter}/json?poll=1&{query}"));
    assert_eq!(response.status, 200, "{}", response.text());
    response
}

fn texts(response: &Response) -> Vec<String> {
    response.events().iter().map(|event| event.message().to_owned()).collect()
}

#[test]
fn a_poll_answers_what_is_held_oldest_first_as_ndjson() {
    let server = TestServer::start();
    let published = ["one", "two", "three"].map(|text| server.publish("t", text));
    server.publish("other", "not asked for");
    let response = poll(&server, "t", "since=all");
    assert_eq!(response.header("content-type"), Some("application/x-ndjson; charset=utf-8"));
    assert_eq!(response.events(), published, "no open event, and the bytes of the answers");
    assert!(response.body.ends_with(b"}\n"));
}

#[test]
fn a_poll_without_since_gets_everything() {
    let server = TestServer::start();
    server.publish("t", "x");
    assert_eq!(server.get("/t/json?poll=1").events().len(), 1);
}

#[test]
fn a_poll_may_be_asked_for_in_headers_and_by_every_name() {
    let server = TestServer::start();
    let first = server.publish("t", "one");
    server.publish("t", "two");
    for (poll, since) in [("x-poll", "x-since"), ("poll", "since"), ("po", "si")] {
        let query = format!("/t/json?{poll}=yes&{since}={}", first.id());
        assert_eq!(texts(&server.get(&query)), ["two"], "{poll} in the query");
        let request = Request::get("/t/json").header(poll, "1").header(since, first.id());
        assert_eq!(texts(&server.send(&request)), ["two"], "{poll} as a header");
    }
}

#[test]
fn a_poll_answer_always_tells_the_next_place() {
    let server = TestServer::start();
    let empty_log = poll(&server, "t", "since=all");
    assert_eq!((empty_log.next().len(), empty_log.body.len()), (12, 0));
    let event = server.publish("t", "x");
    assert_eq!(poll(&server, "t", "since=all").next(), event.id());
    assert_eq!(poll(&server, "t", "since=none").next(), event.id());
    assert_eq!(poll(&server, "quiet", "since=all").next(), event.id());
    let tag = poll(&server, "t", "").header("etag").unwrap().to_owned();
    let request = Request::get("/t/json?poll=1").header("If-None-Match", &tag);
    let unchanged = server.send(&request);
    assert_eq!((unchanged.status, unchanged.next()), (304, event.id()));
}

#[test]
fn nothing_falls_between_two_polls_whatever_the_first_one_asked() {
    let server = TestServer::start();
    server.publish("t", "before");
    for (first, expected) in [
        ("none", vec!["after"]),
        ("all", vec!["before", "after"]),
        ("latest", vec!["before", "after"]),
        ("1h", vec!["before", "after"]),
    ] {
        let topic = format!("t.{first}");
        server.publish(&topic, "before");
        let answer = poll(&server, &topic, &format!("since={first}"));
        server.publish(&topic, "after");
        let then = poll(&server, &topic, &format!("since={}", answer.next()));
        assert_eq!([texts(&answer), texts(&then)].concat(), expected, "{first}");
        let last = poll(&server, &topic, &format!("since={}", then.next()));
        assert!(last.body.is_empty(), "{first}: nothing twice");
    }
}

#[test]
fn the_etag_changes_only_with_news_of_the_filter() {
    let server = TestServer::start();
    let tag = |filter: &str, query: &str| {
        poll(&server, filter, query).header("etag").expect("an ETag").to_owned()
    };
    let empty = tag("t", "since=all");
    server.publish("other", "x");
    assert_eq!(tag("t", "since=all"), empty, "another topic's message is no news");
    server.publish("t", "x");
    let one = tag("t", "since=all");
    assert_ne!(one, empty);
    assert_eq!(tag("t", "since=none"), one, "the tag is the filter's, not the answer's");
    server.publish("other", "y");
    assert_eq!(tag("t", "since=all"), one);
    assert_ne!(tag("t,other", "since=all"), one);
    assert_eq!(tag("*", "since=all"), tag("t,other", "since=all"));
}

#[test]
fn who_names_the_newest_message_gets_304_until_there_is_news() {
    let server = TestServer::start();
    server.publish("t", "one");
    let first = poll(&server, "t", "since=all");
    let tag = first.header("etag").unwrap().to_owned();
    let ask = || {
        let path = format!("/t/json?poll=1&since={}", first.next());
        server.send(&Request::get(&path).header("If-None-Match", &tag))
    };
    server.publish("other", "no news for this filter");
    let unchanged = ask();
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("etag"), Some(tag.as_str()));
    server.publish("t", "two");
    let changed = ask();
    assert_eq!((changed.status, texts(&changed)), (200, vec!["two".to_owned()]));
    let rest = poll(&server, "t", &format!("since={}", unchanged.next()));
    assert_eq!(texts(&rest), ["two"], "the place of a 304 is one to go on from");
}

#[test]
fn if_none_match_takes_a_list_and_weak_tags() {
    let server = TestServer::start();
    server.publish("t", "one");
    let tag = poll(&server, "t", "").header("etag").unwrap().trim_start_matches("W/").to_owned();
    for sent in [tag.clone(), format!("W/{tag}"), format!("\"other\", W/{tag}")] {
        let request = Request::get("/t/json?poll=1").header("If-None-Match", &sent);
        assert_eq!(server.send(&request).status, 304, "{sent}");
    }
    let request = Request::get("/t/json?poll=1").header("If-None-Match", "\"other\"");
    assert_eq!(server.send(&request).status, 200);
}

#[test]
fn max_bounds_an_answer_and_more_is_announced() {
    let server = TestServer::start();
    server.publish_all("t", &["1", "2", "3", "4", "5"]);
    let mut next = "all".to_owned();
    let mut pages = Vec::new();
    loop {
        let response = poll(&server, "t", &format!("since={next}&max=2"));
        let more = response.header("doorbell-more").map(str::to_owned);
        response.next().clone_into(&mut next);
        pages.push((texts(&response).concat(), more.clone()));
        if more.is_none() {
            break;
        }
    }
    let more = Some("1".to_owned());
    assert_eq!(pages, [("12".into(), more.clone()), ("34".into(), more), ("5".into(), None)]);
}

#[test]
fn an_answer_holds_all_that_is_held_and_comes_in_pages_if_it_is_more_than_one() {
    let server = TestServer::start();
    let all: Vec<String> = (0..1005).map(|n| n.to_string()).collect();
    server.publish_all("t", &all);
    let visible = poll(&server, "t", "since=latest").next().to_owned();
    for max in ["", "&max=1005", "&max=10000"] {
        let whole = poll(&server, "t", &format!("since=all{max}"));
        assert_eq!(texts(&whole), all, "{max}");
        assert_eq!((whole.header("doorbell-more"), whole.next()), (None, visible.as_str()));
        assert_eq!(whole.header("transfer-encoding"), Some("chunked"));
    }
    let first = poll(&server, "t", "since=all&max=1000");
    assert_eq!(texts(&first), all[..1000]);
    assert_eq!(first.header("doorbell-more"), Some("1"));
    assert_eq!(first.next(), first.events().last().unwrap().id());
    let rest = poll(&server, "t", &format!("since={}", first.next()));
    assert_eq!(texts(&rest), all[1000..]);
    assert!(rest.header("content-length").is_some(), "it is one page");
    for max in ["0", "-1", "x", "99999999"] {
        let response = server.get(&format!("/t/json?poll=1&max={max}"));
        assert_eq!((response.status, &response.json()["code"]), (400, &40000.into()), "{max}");
    }
}

#[test]
fn more_is_not_announced_for_messages_of_other_topics() {
    let server = TestServer::start();
    server.publish_all("t", &["1", "2"]);
    server.publish_all("other", &["x", "y"]);
    let response = poll(&server, "t", "since=all&max=2");
    assert_eq!((texts(&response).len(), response.header("doorbell-more")), (2, None));
}

#[test]
fn since_takes_an_id_a_time_a_duration_and_words() {
    let server = TestServer::start();
    let first = server.publish("t", "one");
    server.publish("t", "two");
    let time = first["time"].as_u64().unwrap();
    let ask = |since: &str| texts(&poll(&server, "t", &format!("since={since}")));
    assert_eq!(ask("all"), ["one", "two"]);
    assert_eq!(ask(first.id()), ["two"]);
    assert_eq!(ask(&time.to_string()), ["one", "two"]);
    assert_eq!(ask(&(time + 60).to_string()), [""; 0]);
    for duration in ["10m", "1h30m", "2d", "90s"] {
        assert_eq!(ask(duration), ["one", "two"], "{duration}");
    }
    assert_eq!(ask("none"), [""; 0]);
    assert_eq!(ask("latest"), ["two"]);
}

#[test]
fn latest_is_the_newest_message_of_each_topic() {
    let server = TestServer::start();
    for (topic, text) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1"), ("b", "b2")] {
        server.publish(topic, text);
    }
    let response = poll(&server, "a,b", "since=latest");
    assert_eq!(texts(&response), ["a2", "b2"]);
    server.publish("a", "a3");
    let then = poll(&server, "a,b", &format!("since={}", response.next()));
    assert_eq!(texts(&then), ["a3"]);
}

#[test]
fn an_answer_that_is_cut_short_among_the_latest_goes_on_with_the_rest() {
    let server = TestServer::start();
    for topic in ["a", "b", "c", "b"] {
        server.publish(topic, topic);
    }
    let first = poll(&server, "*", "since=latest&max=1");
    assert_eq!((texts(&first), first.header("doorbell-more")), (vec!["a".into()], Some("1")));
    let rest = texts(&poll(&server, "*", &format!("since={}", first.next())));
    assert!(rest.ends_with(&["c".to_owned(), "b".to_owned()]), "{rest:?}");
}

#[test]
fn since_that_means_nothing_is_refused() {
    let server = TestServer::start();
    for since in ["soon", "10y", "-1", "1.5", "0123456789abcd"] {
        let response = server.get(&format!("/t/json?poll=1&since={since}"));
        assert_eq!((response.status, &response.json()["code"]), (400, &40008.into()), "{since}");
    }
}

#[test]
fn a_comma_list_is_read_in_the_order_of_the_log() {
    let server = TestServer::start();
    for (topic, text) in [("a", "1"), ("b", "2"), ("c", "-"), ("a", "3"), ("b", "4")] {
        server.publish(topic, text);
    }
    assert_eq!(texts(&poll(&server, "a,b", "")), ["1", "2", "3", "4"]);
    assert_eq!(texts(&poll(&server, "b,a,a", "")), ["1", "2", "3", "4"]);
}

#[test]
fn a_star_is_one_segment_and_a_last_arrow_one_or_more() {
    let server = TestServer::start();
    for topic in ["orders", "orders.eu", "orders.eu.new", "orders.us", "bills.eu"] {
        server.publish(topic, topic);
    }
    let cases: [(&str, &[&str]); 6] = [
        ("orders.*", &["orders.eu", "orders.us"]),
        ("orders.%3E", &["orders.eu", "orders.eu.new", "orders.us"]),
        ("*.eu", &["orders.eu", "bills.eu"]),
        ("*", &["orders"]),
        ("%3E", &["orders", "orders.eu", "orders.eu.new", "orders.us", "bills.eu"]),
        ("orders,*.*.new", &["orders", "orders.eu.new"]),
    ];
    for (filter, expected) in cases {
        assert_eq!(texts(&poll(&server, filter, "")), expected, "{filter}");
    }
    for filter in ["a.%3E.b", "a*", "a..*", "a,", ""] {
        let response = server.get(&format!("/{filter}/json?poll=1"));
        assert!(matches!(response.status, 400 | 404), "{filter}: {}", response.status);
    }
}

#[test]
fn messages_are_selected_by_id_text_title_priority_and_tags() {
    let server = TestServer::start();
    let publish = |text: &str, headers: &[(&str, &str)]| {
        let request = headers
            .iter()
            .fold(Request::post("/t", text), |request, (name, value)| request.header(name, value));
        Event::parse(server.send(&request).text().trim_end())
    };
    let first = publish("one", &[("Title", "A"), ("Tags", "x,y"), ("Priority", "5")]);
    publish("two", &[("Title", "B"), ("Tags", "x")]);
    publish("three", &[("Priority", "1")]);
    let by_id = format!("id={}", first.id());
    let cases: [(&str, &[&str]); 12] = [
        (&by_id, &["one"]),
        ("message=two", &["two"]),
        ("m=two", &["two"]),
        ("title=A", &["one"]),
        ("t=B", &["two"]),
        ("priority=5", &["one"]),
        ("priority=max,min", &["one", "three"]),
        ("p=3", &["two"]),
        ("tags=x", &["one", "two"]),
        ("tags=x,y", &["one"]),
        ("ta=x&title=B", &["two"]),
        ("tags=z", &[]),
    ];
    for (query, expected) in cases {
        assert_eq!(texts(&poll(&server, "t", query)), expected, "{query}");
    }
    let by_header = Request::get("/t/json?poll=1").header("X-Tags", "y");
    assert_eq!(texts(&server.send(&by_header)), ["one"]);
    let refused = server.get("/t/json?poll=1&priority=9");
    assert_eq!(refused.json()["code"], 40007);
}

#[test]
fn a_poll_that_selects_goes_on_past_what_it_left_out() {
    let server = TestServer::start();
    let texts: Vec<String> = (0..2000).map(|n| n.to_string()).collect();
    server.publish_all("t", &texts);
    let wanted = server.publish("t", "wanted");
    let response = poll(&server, "t", "since=all&message=wanted");
    assert_eq!((response.events(), response.next()), (vec![wanted.clone()], wanted.id()));
}

#[test]
fn a_poll_comes_in_the_framing_of_its_address() {
    let server = TestServer::start();
    let event = server.publish("t", "two\nlines");
    let sse = server.get("/t/sse?poll=1&since=all");
    assert_eq!(sse.text(), format!("id: {}\ndata: {}\n\n", event.id(), event.line));
    assert_eq!(sse.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let raw = server.get("/t/raw?poll=1&since=all");
    assert_eq!(raw.text(), "two lines\n");
    assert_eq!(raw.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!((sse.next(), raw.next()), (event.id(), event.id()));
}

#[test]
fn an_answer_is_compressed_when_asked_and_only_then() {
    let server = TestServer::start();
    let all: Vec<String> = (0..200).map(|n| format!("message number {n}")).collect();
    server.publish_all("t", &all);
    let plain = poll(&server, "t", "since=all");
    assert_eq!(plain.header("content-encoding"), None);
    let ask = |encoding: &str| {
        server.send(&Request::get("/t/json?poll=1").header("Accept-Encoding", encoding))
    };
    for encoding in ["gzip", "br"] {
        let packed = ask(encoding);
        assert_eq!(packed.header("content-encoding"), Some(encoding));
        assert!(packed.body.len() * 3 < plain.body.len(), "{} bytes", packed.body.len());
        assert_eq!(packed.next(), plain.next());
        assert_eq!(packed.header("vary").map(str::to_lowercase), Some("accept-encoding".into()));
    }
    assert_eq!(gunzip(&ask("gzip").body), plain.body);
    assert_eq!(ask("identity").body, plain.body);
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("body.gz");
    std::fs::write(&path, bytes).unwrap();
    let output = Command::new("gzip").arg("-dc").arg(path).stderr(Stdio::inherit()).output();
    output.unwrap().stdout
}

#[test]
fn one_connection_carries_poll_after_poll() {
    let server = TestServer::start();
    let mut connection = Connection::open(server.http);
    let mut next = "none".to_owned();
    let mut heard = Vec::new();
    for n in 0..10 {
        server.publish("t", &n.to_string());
        let path = format!("/t/json?poll=1&since={next}");
        let response = connection.exchange(&Request::get(&path));
        response.next().clone_into(&mut next);
        heard.extend(response.events());
    }
    let expected: Vec<String> = (1..10).map(|n| n.to_string()).collect();
    assert_eq!(messages(&heard), expected, "the first one stood at since=none");
}

#[test]
fn an_address_that_is_no_text_is_refused_in_the_shape_of_the_dialect() {
    let server = TestServer::start();
    let answer = server.get("/%ff/json?poll=1");
    assert_eq!((answer.status, &answer.json()["code"]), (400, &40009.into()));
}

#[test]
fn polls_are_told_when_to_ask_again_where_the_operator_says_so() {
    let plain = TestServer::start();
    let server = TestServer::with("--poll-interval 1500ms");
    assert!(plain.get("/v1/config").json()["poll_interval_seconds"].is_null());
    // Whole seconds, and not earlier than was said.
    assert_eq!(server.get("/v1/config").json()["poll_interval_seconds"], 2);
    for text in ["one", "two"] {
        for server in [&plain, &server] {
            server.publish("t", text);
        }
    }
    let told = |server: &TestServer, request: Request| {
        let answer = server.send(&request);
        (answer.status, answer.header("retry-after").map(str::to_owned))
    };
    let news = "/t/json?poll=1&since=all";
    let tag = server.get(news).header("etag").unwrap().to_owned();
    let again = Some("2".to_owned());
    assert_eq!(told(&server, Request::get(news)), (200, again.clone()));
    assert_eq!(told(&server, Request::get("/t/json?poll=1&since=none")), (200, again.clone()));
    assert_eq!(told(&server, Request::get(news).header("If-None-Match", &tag)), (304, again));
    // There is more already; the answer is held back; nothing is said of it.
    for path in [&format!("{news}&max=1"), "/t/json?poll=1&since=all&wait=1s"] {
        assert_eq!(told(&server, Request::get(path)), (200, None), "{path}");
    }
    assert_eq!(told(&plain, Request::get(news)), (200, None));
}

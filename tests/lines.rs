//! The line protocol over TCP: every command, and every way in which its bytes may come.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Event, Lines, TestServer, messages, seqs};

#[test]
fn the_server_speaks_first() {
    let server = TestServer::start();
    let last = server.publish("t", "x");
    let mut lines = Lines::connect(server.tcp);
    let event = lines.event();
    assert_eq!((event.kind(), event.id()), ("open", last.id()));
}

#[test]
fn sub_is_answered_and_then_brings_what_is_held_and_what_comes() {
    let server = TestServer::start();
    let held = ["one", "two"].map(|text| server.publish("t", text));
    let mut lines = server.lines();
    let ok = lines.subscribe("t since=all");
    assert_eq!(ok["topic"], "t");
    assert_eq!(ok.id().len(), 12);
    let live = server.publish("t", "three");
    assert_eq!(lines.events(3), [held.to_vec(), vec![live]].concat());
}

#[test]
fn sub_without_since_begins_now() {
    let server = TestServer::start();
    server.publish("t", "before");
    let mut lines = server.lines();
    lines.subscribe("t");
    let event = server.publish("t", "after");
    assert_eq!(lines.event(), event);
}

#[test]
fn sub_takes_every_form_of_since() {
    let server = TestServer::start();
    let first = server.publish("t", "one");
    server.publish("t", "two");
    let time = first["time"].to_string();
    let cases: [(&str, &[&str]); 6] = [
        ("all", &["one", "two", "three"]),
        (first.id(), &["two", "three"]),
        (&time, &["one", "two", "three"]),
        ("10m", &["one", "two", "three"]),
        ("latest", &["two", "three"]),
        ("none", &["three"]),
    ];
    let mut readers: Vec<Lines> = cases
        .iter()
        .map(|(since, _)| {
            let mut lines = server.lines();
            lines.subscribe(format_args!("t since={since}"));
            lines
        })
        .collect();
    server.publish("t", "three");
    for (lines, (since, expected)) in readers.iter_mut().zip(cases) {
        assert_eq!(messages(&lines.events(expected.len())), expected, "{since}");
    }
    assert_eq!(server.lines().ask("SUB t since=soon").code(), 40008);
}

#[test]
fn several_subscriptions_are_one_union_in_the_order_of_the_log() {
    let server = TestServer::start();
    let mut published = Vec::new();
    for n in 0..30 {
        published.push(server.publish(["a", "b.x", "c"][n % 3], &n.to_string()));
    }
    let mut lines = server.lines();
    lines.write(b"SUB a since=all\nSUB b.* since=all\nSUB a,c since=all\n");
    let events: Vec<Event> =
        lines.events(33).into_iter().filter(|event| event.kind() == "message").collect();
    let mut unique = seqs(&events);
    unique.sort_unstable();
    assert_eq!(unique, (1..=30).collect::<Vec<u64>>(), "each once, none missing");
    let live: Vec<Event> =
        (0..30).map(|n| server.publish(["a", "b.x", "c"][n % 3], &n.to_string())).collect();
    assert_eq!(lines.events(30), live);
}

#[test]
fn subscriptions_made_before_anything_is_published_rise_without_repeats() {
    let server = TestServer::start();
    let mut lines = server.lines();
    for filter in ["orders.*", "orders.eu", "orders.>", "orders.eu,bills"] {
        lines.subscribe(filter);
    }
    let topics = ["orders.eu", "bills", "orders.eu.new", "orders.us"];
    let published: Vec<Event> =
        (0..40).map(|n| server.publish(topics[n % 4], &n.to_string())).collect();
    assert_eq!(lines.events(40), published);
}

#[test]
fn a_later_subscription_does_not_repeat_what_an_earlier_one_brought() {
    let server = TestServer::start();
    let first = server.publish("a", "1");
    let second = server.publish("b", "2");
    let mut lines = server.lines();
    lines.subscribe("a since=all");
    assert_eq!(lines.event(), first);
    lines.subscribe("a,b since=all");
    assert_eq!(lines.event(), second);
    let third = server.publish("a", "3");
    assert_eq!(lines.event(), third);
}

#[test]
fn unsub_ends_one_subscription_and_leaves_the_others() {
    let server = TestServer::start();
    let mut lines = server.lines();
    lines.subscribe("a");
    lines.subscribe("b");
    let ok = lines.ask("UNSUB a");
    assert_eq!((ok.kind(), &ok["topic"]), ("ok", &"a".into()));
    server.publish("a", "not wanted any more");
    let event = server.publish("b", "wanted");
    assert_eq!(lines.event(), event);
    assert_eq!(lines.ask("UNSUB a").code(), 40000, "there is no such subscription");
    assert_eq!(lines.ask("PING").kind(), "pong");
}

#[test]
fn pub_takes_its_message_to_the_end_of_the_line() {
    let server = TestServer::start();
    let mut lines = server.lines();
    let ok = lines.ask("PUB a.b two  words, = and \\n as they stand");
    assert_eq!((ok.kind(), &ok["topic"]), ("ok", &"a.b".into()));
    let events = server.poll("a.b", "all");
    assert_eq!(messages(&events), ["two  words, = and \\n as they stand"]);
    assert_eq!(events[0].id(), ok.id());
}

#[test]
fn pubj_takes_the_json_of_a_publish() {
    let server = TestServer::start();
    let mut lines = server.lines();
    let ok = lines.ask(r#"PUBJ {"topic":"t","message":"one\ntwo","title":"T","tags":["x"]}"#);
    assert_eq!(ok.kind(), "ok");
    let events = server.poll("t", "all");
    assert_eq!((events[0].id(), events[0].message()), (ok.id(), "one\ntwo"));
    assert_eq!((&events[0]["title"], &events[0]["tags"][0]), (&"T".into(), &"x".into()));
    assert_eq!(lines.ask("PUBJ {").code(), 40024);
    assert_eq!(lines.ask(r#"PUBJ {"message":"x"}"#).code(), 40009);
    assert_eq!(lines.ask(r#"PUBJ {"topic":"t","delay":"10m"}"#).kind(), "ok");
    assert_eq!(lines.ask(r#"PUBJ {"topic":"t","delay":"1s"}"#).code(), 40005);
}

#[test]
fn who_publishes_and_subscribes_on_one_connection_hears_itself() {
    let server = TestServer::start();
    let mut lines = server.lines();
    lines.subscribe("t");
    lines.say("PUB t myself");
    let mut kinds = lines.events(2);
    kinds.sort_by(|a, b| b.kind().cmp(a.kind()));
    assert_eq!((kinds[0].kind(), kinds[1].kind()), ("ok", "message"));
    assert_eq!(kinds[0].id(), kinds[1].id());
}

#[test]
fn ping_is_answered_with_its_word() {
    let server = TestServer::start();
    let mut lines = server.lines();
    let pong = lines.ask("PING tick-1");
    assert_eq!((pong.kind(), pong.message()), ("pong", "tick-1"));
    assert_eq!(lines.ask("PING").kind(), "pong");
}

#[test]
fn auth_is_refused_where_the_server_has_no_tokens() {
    let server = TestServer::start();
    let mut lines = server.lines();
    let error = lines.ask("AUTH secret");
    assert_eq!((error.kind(), error.code()), ("error", 40101));
    assert!(!error.line.contains("secret"), "{}", error.line);
    assert_eq!(lines.ask("PING").kind(), "pong");
}

#[test]
fn quit_is_answered_with_close_and_the_end() {
    let server = TestServer::start();
    let mut lines = server.lines();
    assert_eq!(lines.ask("QUIT").kind(), "close");
    assert_eq!(lines.line(), None);
}

#[test]
fn quit_after_sub_is_a_poll() {
    let server = TestServer::start();
    let published = ["1", "2", "3"].map(|text| server.publish("t", text));
    let mut lines = server.lines();
    lines.write(b"SUB t since=all\nQUIT\n");
    let events = lines.events(5);
    assert_eq!((events[0].kind(), events[4].kind()), ("ok", "close"));
    assert_eq!(events[1..4], published);
    assert_eq!(lines.line(), None);
}

#[test]
fn verbs_are_read_in_any_case() {
    let server = TestServer::start();
    let mut lines = server.lines();
    for (line, kind) in [
        ("ping", "pong"),
        ("Pub t x", "ok"),
        ("sub t", "ok"),
        ("uNsUb t", "ok"),
        ("pubj {\"topic\":\"t\"}", "ok"),
        ("auth x", "error"),
        ("quit", "close"),
    ] {
        assert_eq!(lines.ask(line).kind(), kind, "{line}");
    }
}

#[test]
fn raw_sends_the_texts_alone_for_those_who_only_read_lines() {
    let server = TestServer::start();
    server.publish("t", "one\ntwo");
    let mut lines = server.lines();
    lines.subscribe("t since=all format=raw");
    assert_eq!(lines.line().as_deref(), Some("one two"));
    server.publish("t", "three");
    assert_eq!(lines.line().as_deref(), Some("three"));
}

#[test]
fn what_is_no_command_is_an_error_and_the_connection_stays() {
    let server = TestServer::start();
    let mut lines = server.lines();
    for (line, code) in [
        ("NONSENSE", 40000),
        ("SUB", 40000),
        ("SUB a..b", 40009),
        ("SUB v1", 40010),
        ("SUB a color=red", 40000),
        ("PUB", 40000),
        ("PUB a.* x", 40009),
        ("UNSUB never", 40000),
        ("QUIT now", 40000),
        ("AUTH", 40000),
    ] {
        let error = lines.ask(line);
        assert_eq!((error.kind(), error.code()), ("error", code), "{line}");
        let members = ["code", "error", "event", "http", "time", "time_us"];
        assert_eq!(error.members(), members, "{line}");
    }
    assert_eq!(lines.ask("PING still-here").message(), "still-here");
}

#[test]
fn a_line_of_an_http_request_ends_the_conversation() {
    let server = TestServer::start();
    for line in
        ["POST / HTTP/1.1", "GET /t/json http/1.0", "Host: 127.0.0.1", "hOST:x", "PRI * HTTP/2.0"]
    {
        for mut lines in [server.lines(), Lines::greeted_unix(&server.unix())] {
            lines.write(format!("{line}\r\n\r\nPUB t from a page\n").as_bytes());
            let error = lines.event();
            assert_eq!((error.kind(), error.code()), ("error", 40000), "{line}");
            assert!(error["error"].as_str().unwrap().contains("HTTP"), "{}", error.line);
            assert_eq!(lines.event().kind(), "close");
            assert_eq!(lines.line(), None);
        }
    }
    assert_eq!(server.poll("t", "all").len(), 0);
    let mut lines = server.lines();
    for line in ["PUB POST GET / HTTP/1.1", "PUB host Host: x", "\0\0PUB t NULs before it"] {
        assert_eq!(lines.ask(line).kind(), "ok", "{line}");
    }
}

#[test]
fn empty_lines_are_passed_over() {
    let server = TestServer::start();
    let mut lines = server.lines();
    lines.write(b"\n\r\n  \n\nPING x\n");
    assert_eq!(lines.event().message(), "x");
}

#[test]
fn lines_may_end_with_carriage_returns() {
    let server = TestServer::start();
    let mut lines = server.lines();
    lines.write(b"SUB t\r\nPUB t text\r\nPING word\r\n");
    let events = lines.events(4);
    let of = |kind: &str| events.iter().find(|event| event.kind() == kind).unwrap();
    assert_eq!(of("message").message(), "text");
    assert_eq!(of("pong").message(), "word");
}

#[test]
fn a_line_may_be_split_at_every_byte() {
    let server = TestServer::start();
    let script = "SUB t\r\nPING ü\nPUB t h\u{1F514}\n".as_bytes();
    for split in 1..script.len() {
        let mut lines = server.lines();
        lines.write(&script[..split]);
        std::thread::yield_now();
        lines.write(&script[split..]);
        let events = lines.events(4);
        assert_eq!(events[0].kind(), "ok", "split at {split}");
        assert_eq!(events[1].message(), "ü", "split at {split}");
        let mut kinds = [events[2].kind(), events[3].kind()];
        kinds.sort_unstable();
        assert_eq!(kinds, ["message", "ok"], "split at {split}");
    }
    let mut lines = server.lines();
    for byte in script {
        lines.write(&[*byte]);
    }
    assert_eq!(lines.events(2)[1].message(), "ü");
}

#[test]
fn many_lines_in_one_packet_are_answered_in_order() {
    let server = TestServer::start();
    let mut lines = server.lines();
    let script: String = (0..1500).map(|n| format!("PING {n}\nPUB t {n}\nNO {n}\n")).collect();
    let writer = std::thread::spawn({
        let mut sender = server.lines();
        move || {
            sender.write(script.as_bytes());
            sender
        }
    });
    lines.subscribe("t since=all");
    let mut answered = writer.join().unwrap();
    for n in 0..1500 {
        assert_eq!(answered.event().message(), n.to_string());
        let ok = answered.event();
        assert_eq!(ok.kind(), "ok", "{n}");
        assert_eq!(answered.event().code(), 40000);
        let event = lines.event();
        assert_eq!((event.message(), event.id()), (n.to_string().as_str(), ok.id()));
    }
}

#[test]
fn bytes_that_are_no_text_are_an_error_and_the_connection_goes_on() {
    let server = TestServer::start();
    let mut lines = server.lines();
    lines.write(b"PUB t \xff\xfe\nPING x\n");
    assert_eq!(lines.event().code(), 40011);
    assert_eq!(lines.event().message(), "x");
    assert!(server.poll("t", "all").is_empty());
}

#[test]
fn json_on_a_line_is_read_as_over_http_whatever_its_bytes_are() {
    let server = TestServer::start();
    let mut lines = server.lines();
    lines.write(b"pubj {\"topic\":\"t\",\"message\":\"caf\xe9\",\"title\":\"\xff\"}\r\n");
    let answer = lines.event();
    assert_eq!(answer.kind(), "ok", "{}", answer.line);
    lines.write(b"PUBJX {\"topic\":\"t\",\"message\":\"\xe9\"}\n");
    assert_eq!(lines.event().code(), 40011);
    let held = server.poll("t", "all");
    assert_eq!(messages(&held), ["caf\u{fffd}"]);
    assert_eq!(held[0]["title"], "\u{fffd}");
}

#[test]
fn a_line_longer_than_the_limit_is_an_error_and_the_end() {
    let server = TestServer::with("--line-bytes 1000");
    let mut lines = server.lines();
    let longest = format!("PUB t {}", "x".repeat(994));
    assert_eq!(longest.len(), 1000);
    assert_eq!(lines.ask(&longest).kind(), "ok");
    for ending in ["\r\n", "\n", ""] {
        let mut lines = server.lines();
        lines.write(format!("{longest}xx{ending}").as_bytes());
        assert_eq!(lines.event().code(), 41304, "{ending:?}");
        assert_eq!(lines.event().kind(), "close");
        assert_eq!(lines.line(), None);
    }
    assert_eq!(lines.ask("PING").kind(), "pong", "the others are not concerned");
}

#[test]
fn a_line_of_64_kib_is_taken_and_a_longer_one_ends_the_connection() {
    let server = TestServer::start();
    let mut lines = server.lines();
    let line = format!("PING {}", " ".repeat((64 << 10) - 5));
    assert_eq!(lines.ask(&line).kind(), "pong");
    lines.say(format_args!("{line} "));
    assert_eq!(lines.event().code(), 41304);
}

#[test]
fn a_message_longer_than_the_limit_is_an_error_and_the_connection_stays() {
    let server = TestServer::start();
    let mut lines = server.lines();
    assert_eq!(lines.ask(format_args!("PUB t {}", "x".repeat(4097))).code(), 41301);
    assert_eq!(lines.ask(format_args!("PUB t {}", "x".repeat(4096))).kind(), "ok");
}

#[test]
fn who_begins_a_line_must_finish_it_and_who_says_nothing_may_stay() {
    let server = TestServer::with("--unfinished 300ms");
    let mut silent = server.lines();
    let mut half = server.lines();
    half.write(b"PUB t half a li");
    assert_eq!(half.event().kind(), "error");
    assert_eq!(half.event().kind(), "close");
    assert_eq!(half.line(), None);
    assert_eq!(silent.ask("PING").kind(), "pong");
    assert!(server.poll("t", "all").is_empty());
}

#[test]
fn a_half_closed_connection_still_receives() {
    let server = TestServer::start();
    let mut lines = server.lines();
    lines.subscribe("t");
    lines.finish_writing();
    let published = ["1", "2", "3"].map(|text| server.publish("t", text));
    assert_eq!(lines.events(3), published);
}

#[test]
fn a_publisher_that_closes_its_side_is_answered_first() {
    let server = TestServer::start();
    let mut lines = server.lines();
    lines.write(b"PUB t one\nPUB t two\n");
    lines.finish_writing();
    assert_eq!((lines.event().kind(), lines.event().kind()), ("ok", "ok"));
    assert_eq!(lines.event().kind(), "close");
    assert_eq!(lines.line(), None);
    assert_eq!(messages(&server.poll("t", "all")), ["one", "two"]);
}

#[test]
fn a_subscriber_that_talks_and_gets_no_answer_hears_keepalives_all_the_same() {
    let server = TestServer::with("--keepalive 1s");
    let stream = TcpStream::connect(server.tcp).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut lines = Lines::over_tcp(stream);
    assert_eq!(lines.event().kind(), "open");
    lines.subscribe("t");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let talking = std::thread::spawn(move || {
        // An empty line asks for nothing, and ends a wait in a group.
        while stopped.recv_timeout(Duration::from_millis(50)).is_err() {
            writer.write_all(b"\n").unwrap();
        }
    });
    assert_eq!(lines.event().kind(), "keepalive");
    stop.send(()).unwrap();
    talking.join().unwrap();
}

#[test]
fn a_quiet_connection_is_kept_alive_and_told_its_place() {
    let server = TestServer::with("--keepalive 100ms");
    let mut lines = server.lines();
    let last = server.publish("t", "x");
    lines.subscribe("t");
    let event = lines.event();
    assert_eq!((event.kind(), event.id()), ("keepalive", last.id()));
}

#[test]
fn a_connection_over_ipv6_is_the_same() {
    if TcpStream::connect("[::1]:1")
        .is_err_and(|e| e.kind() == std::io::ErrorKind::AddrNotAvailable)
    {
        crate::support::skip("this machine has no IPv6");
        return;
    }
    let server = TestServer::with("--tcp [::1]:0 --http [::1]:0");
    assert!(server.tcp.is_ipv6() && server.http.is_ipv6());
    let mut lines = server.lines();
    lines.subscribe("t");
    let event = server.publish("t", "over IPv6");
    assert_eq!(lines.event(), event);
}

#[test]
fn a_second_subscription_loses_nothing_of_the_latest_of_the_first() {
    let server = TestServer::start();
    for (topic, text) in [("a", "one"), ("a", "two"), ("b", "three")] {
        server.publish(topic, text);
    }
    let mut lines = server.lines();
    lines.write(b"SUB a since=latest\nSUB b\n");
    assert_eq!([lines.event().kind(), lines.event().kind()], ["ok", "ok"]);
    assert_eq!(lines.event().message(), "two");
    let mut lines = server.lines();
    lines.write(b"SUB a since=latest\nSUB b since=all\n");
    let [first, second] = [lines.event(), lines.event()];
    assert_eq!((first.kind(), second.kind()), ("ok", "ok"));
    let resumed = server.poll("a,b", second.id());
    assert_eq!(resumed.len(), 3, "the place that is told is before all that was not sent yet");
}

#[test]
fn what_was_sent_for_a_filter_is_not_sent_again_when_it_is_removed() {
    let server = TestServer::start();
    let mut lines = server.lines();
    lines.subscribe("d");
    for text in ["one", "two"] {
        server.publish("d", text);
        assert_eq!(lines.event().message(), text);
    }
    lines.write(b"SUB > since=all\nUNSUB d\n");
    assert_eq!([lines.event().kind(), lines.event().kind()], ["ok", "ok"]);
    server.publish("d", "three");
    assert_eq!(lines.event().message(), "three");
}

#[test]
fn publishes_before_a_fatal_line_are_acknowledged() {
    let server = TestServer::start();
    let mut lines = server.lines();
    lines.write(b"PUB t one\nPUB t two\n");
    lines.write(&vec![b'x'; 70_000]);
    lines.write(b"\n");
    let kinds: Vec<String> = lines.events(4).iter().map(|e| e.kind().to_owned()).collect();
    assert_eq!(kinds, ["ok", "ok", "error", "close"]);
}

#[test]
fn a_publish_that_is_cut_off_is_refused() {
    let server = TestServer::start();
    let mut lines = server.lines();
    lines.write(b"PUB t trunca");
    lines.finish_writing();
    assert_eq!(lines.event().kind(), "error");
    assert_eq!(server.poll("t", "all").len(), 0);
    let mut lines = server.lines();
    lines.write(b"SUB t");
    lines.finish_writing();
    assert_eq!(lines.event().kind(), "ok", "a subscription is whole or malformed");
}

#[test]
fn every_publish_that_was_stored_when_the_server_stopped_is_acknowledged() {
    let mut server = TestServer::durable("--sync always");
    let mut lines = server.lines();
    lines.write("PUB t x\n".repeat(900).as_bytes());
    assert_eq!(lines.event().kind(), "ok");
    server.signal(Signal::TERM);
    let mut acknowledged = 1;
    while let Some(event) = lines.try_event() {
        acknowledged += usize::from(event.kind() == "ok");
    }
    assert!(server.wait().success());
    server.restart();
    assert_eq!(server.poll("t", "all").len(), acknowledged);
}

#[test]
fn who_subscribes_again_may_hear_it_all_again() {
    let server = TestServer::start();
    server.publish("t", "x");
    let mut lines = server.lines();
    for _ in 0..2 {
        lines.write(b"SUB t since=all\n");
        assert_eq!(lines.event().kind(), "ok");
        assert_eq!(lines.event().message(), "x");
        assert_eq!(lines.ask("UNSUB t").kind(), "ok");
    }
}

#[test]
fn more_publishes_than_may_be_pending_are_all_acknowledged_before_the_end() {
    let server = TestServer::durable("--sync always --unfinished 200ms");
    let mut lines = server.lines();
    lines.write("PUB t x\n".repeat(5000).as_bytes());
    lines.finish_writing();
    let events = lines.events(5001);
    let (close, answers) = events.split_last().unwrap();
    assert!(answers.iter().all(|event| event.kind() == "ok"));
    assert_eq!(close.kind(), "close");
}

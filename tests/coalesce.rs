//! A reader may let its messages wait for others: they come together, and nothing else changes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::support::{Lines, PATIENCE, Request, TestServer, Transport, datagrams};

/// Long enough for some publishes, one after another.
const WINDOW: Duration = Duration::from_millis(600);
const TEXTS: [&str; 4] = ["one", "two", "three", "four"];

/// As `since` is said over a transport, with a window behind it.
fn since(way: Transport, place: &str, window: &str) -> String {
    let between = if matches!(way, Transport::Tcp | Transport::Unix) { " " } else { "&" };
    format!("{place}{between}coalesce={window}")
}

#[test]
fn what_comes_within_a_window_comes_at_its_end_in_order_and_whole() {
    for server in TestServer::plain_and_encrypted() {
        for way in Transport::PUSHING {
            let window = format!("{}ms", WINDOW.as_millis());
            let mut reader = way.read(&server, "t", &since(way, "none", &window));
            for _ in 0..2 {
                let began = Instant::now();
                let published = TEXTS.map(|text| server.publish("t", text));
                let first = reader.message();
                assert!(began.elapsed() >= WINDOW, "{way:?}: {:?}", began.elapsed());
                assert_eq!(first, published[0], "{way:?}");
                assert_eq!(reader.messages(3), published[1..], "{way:?}");
            }
        }
    }
}

/// A request, or a line, as it stands on the wire, and what is heard when it has been taken up.
fn asked(way: &str) -> (String, &'static [u8]) {
    let query = format!("since=none&coalesce={}ms", WINDOW.as_millis());
    let get = |path: &str, more: &str| {
        format!("GET /t/{path}?{query} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
    };
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    match way {
        "lines" => (format!("SUB t coalesce={}ms\n", WINDOW.as_millis()), br#""event":"ok""#),
        "ws" => (get(way, upgrade), br#""event":"open""#),
        "raw" => (get(way, ""), b"\r\n\r\n1\r\n\n\r\n"),
        _ => (get(way, ""), br#""event":"open""#),
    }
}

/// What one read brings, of as much as there may be.
fn read_once(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = vec![0; 64 << 10];
    let count = stream.read(&mut bytes).unwrap();
    assert_ne!(count, 0, "closed");
    bytes.truncate(count);
    bytes
}

fn comes_in_one_write(way: &str, server: &TestServer, mut stream: impl Read + Write) {
    let (request, taken_up) = asked(way);
    stream.write_all(request.as_bytes()).unwrap();
    let mut heard = Vec::new();
    while !heard.windows(taken_up.len()).any(|window| window == taken_up) {
        heard.extend(read_once(&mut stream));
    }
    // On a machine that is too busy they may not all come within one window.
    for _ in 0..5 {
        let began = Instant::now();
        let _ = TEXTS.map(|text| server.publish("t", text));
        let were_quick = began.elapsed() < WINDOW;
        let (mut heard, mut reads) = (Vec::new(), 0);
        let has = |heard: &[u8], text: &str| {
            heard.windows(text.len()).any(|window| window == text.as_bytes())
        };
        while !has(&heard, TEXTS[3]) {
            heard.extend(read_once(&mut stream));
            reads += 1;
        }
        assert!(TEXTS.iter().all(|text| has(&heard, text)), "{way}");
        if were_quick {
            assert_eq!(reads, 1, "{way}: {}", String::from_utf8_lossy(&heard));
            return;
        }
    }
    panic!("{way}: four publishes took longer than {WINDOW:?}, five times");
}

#[test]
fn what_comes_within_a_window_is_one_write() {
    let server = TestServer::start();
    for way in ["json", "sse", "raw", "ws", "lines"] {
        let address = if way == "lines" { server.listener("tcp") } else { server.http };
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        comes_in_one_write(way, &server, stream);
    }
    let stream = UnixStream::connect(server.unix()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    comes_in_one_write("lines", &server, stream);
}

#[test]
fn what_is_held_does_not_wait_for_a_window() {
    let server = TestServer::start();
    let texts: Vec<String> = (0..700).map(|n| format!("message {n}")).collect();
    server.publish_all("t", &texts);
    let all = server.poll("t", "all");
    for way in Transport::PUSHING {
        // The end of this window is not waited for by any test.
        let mut reader = way.read(&server, "t", &since(way, "all", "60s"));
        assert_eq!(reader.messages(700), all, "{way:?}");
    }
}

#[test]
fn signs_of_life_come_while_messages_wait() {
    let server = TestServer::with("--keepalive 200ms");
    for way in [Transport::Ndjson, Transport::Sse, Transport::Tcp, Transport::Unix] {
        let mut reader = way.read(&server, "t", &since(way, "none", "60s"));
        let place = reader.first().unwrap().id().to_owned();
        server.publish("t", "waits");
        for _ in 0..2 {
            let event = reader.event();
            assert_eq!((event.kind(), event.id()), ("keepalive", &*place), "{way:?}");
        }
    }
}

#[test]
fn a_server_stops_in_time_and_what_waited_comes_to_who_comes_back() {
    for way in Transport::PUSHING {
        let mut server = TestServer::durable("");
        let mut reader = way.read(&server, "t", &since(way, "none", "60s"));
        let place = reader.first().unwrap().id().to_owned();
        let published = TEXTS.map(|text| server.publish("t", text));
        assert!(server.stop().success(), "{way:?}");
        while let Some(event) = reader.try_event() {
            assert_eq!(event.kind(), "close", "{way:?}: {}", event.line);
        }
        server.restart();
        let mut reader = way.read(&server, "t", &since(way, &place, "60s"));
        assert_eq!(reader.messages(4), published, "{way:?}");
    }
}

#[test]
fn a_long_poll_gathers_for_its_window_and_no_longer_than_it_waits() {
    let server = TestServer::start();
    for (query, least) in [("wait=60s&coalesce=600ms", 600), ("wait=400ms&coalesce=60s", 400)] {
        let place = server.publish("t", "before").id().to_owned();
        let request = Request::get(&format!("/t/json?poll=1&since={place}&{query}"));
        let began = Instant::now();
        let answer = std::thread::scope(|scope| {
            let asked = scope.spawn(|| server.send(&request));
            server.await_readers("longpoll", 1);
            let _ = TEXTS.map(|text| server.publish("t", text));
            asked.join().unwrap()
        });
        assert!(began.elapsed() >= Duration::from_millis(least), "{query}");
        let texts: Vec<String> =
            answer.events().iter().map(|event| event.message().to_owned()).collect();
        // A machine that is too busy publishes some of them later.
        assert!(!texts.is_empty() && TEXTS.iter().zip(&texts).all(|(a, b)| a == b), "{texts:?}");
        let rest = server.poll("t", answer.next());
        assert_eq!(texts.len() + rest.len(), TEXTS.len(), "{query}");
    }
}

#[test]
fn on_one_connection_the_shortest_window_holds() {
    let server = TestServer::start();
    let mut lines = Lines::greeted(server.listener("tcp"));
    lines.subscribe("a coalesce=60s");
    lines.subscribe("b");
    let event = server.publish("a", "at once");
    assert_eq!(lines.event(), event);
    assert_eq!(lines.ask("UNSUB b").kind(), "ok");
    let event = server.publish("a", "waits");
    // The conversation goes on meanwhile.
    assert_eq!(lines.ask("PING").kind(), "pong");
    let began = Instant::now();
    lines.subscribe("c coalesce=100ms");
    assert_eq!(lines.event(), event);
    assert!(began.elapsed() < Duration::from_secs(30));
    // What is owed is said before the end.
    assert_eq!(lines.ask("UNSUB c").kind(), "ok");
    let event = server.publish("a", "at the end");
    lines.say("QUIT");
    assert_eq!(lines.event(), event);
    assert_eq!(lines.event().kind(), "close");
}

#[test]
fn a_window_that_is_none_or_too_long_is_refused_by_name() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    for (window, said) in [
        ("soon", "coalesce 'soon' is no duration such as 500ms"),
        ("61s", "coalesce 61s is too long, limit is 60s"),
    ] {
        for path in ["json?", "sse?", "raw?", "json?poll=1&wait=1s&"] {
            let answer = server.get(&format!("/t/{path}coalesce={window}"));
            assert_eq!(answer.status, 400, "{path}");
            assert!(answer.text().contains(said), "{}", answer.text());
        }
        let answer = server.lines().ask(format_args!("SUB t coalesce={window}"));
        assert!(answer.line.contains(said), "{}", answer.line);
    }
    let answer = datagrams::ask("127.0.0.1", server.listener("udp"), "SUB t coalesce=500ms");
    assert!(answer.line.contains("option 'coalesce=500ms' is none of"), "{}", answer.line);
}

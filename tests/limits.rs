//! Every bound from outside: one past it is refused clearly, and the others go on.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::publish::assert_refused;
use crate::support::http::Connection;
use crate::support::server::server_command;
use crate::support::{Event, HeldDisk, Lines, Request, TestServer, Transport, eventually};

#[test]
fn one_connection_too_many_is_refused_clearly_while_the_others_go_on() {
    let server = TestServer::with("--connections 3");
    let mut guests = [server.lines(), server.lines(), server.lines()];
    guests[0].subscribe("t");

    let mut fourth = Lines::connect(server.tcp);
    let error = fourth.event();
    assert_eq!((error.kind(), error.code()), ("error", 50301));
    assert!(error["error"].as_str().unwrap().contains('3'), "names the limit: {}", error.line);
    assert_eq!(fourth.line(), None);

    let response = server.get("/t/json?poll=1");
    assert_eq!((response.status, &response.json()["code"]), (503, &50301.into()));
    assert!(response.header("retry-after").is_some());
    assert_eq!(response.json().as_object().unwrap().len(), 3);

    assert_eq!(guests[1].ask("PUB t still served").kind(), "ok");
    assert_eq!(guests[0].event().message(), "still served");
}

#[test]
fn a_place_that_was_left_is_free_again() {
    let server = TestServer::with("--connections 2");
    let [mut first, second] = [server.lines(), server.lines()];
    assert_eq!(Lines::connect(server.tcp).event().code(), 50301);
    drop(second);
    eventually("the place is free", || {
        (Lines::connect(server.tcp).event().kind() == "open").then_some(())
    });
    assert_eq!(first.ask("PING").kind(), "pong");
}

#[test]
fn a_filter_has_1024_topics_and_64_patterns_and_no_more() {
    let server = TestServer::start();
    for (shape, bound) in [("t", 1024), ("*.t", 64)] {
        let filter =
            |count| (0..count).map(|n| format!("{shape}{n}")).collect::<Vec<_>>().join(",");
        let (all, too_many) = (filter(bound), filter(bound + 1));
        assert_eq!(server.get(&format!("/{all}/json?poll=1")).status, 200);
        let response = server.get(&format!("/{too_many}/json?poll=1"));
        let json = response.json();
        assert_eq!((response.status, &json["code"]), (400, &40009.into()));
        let text = json["error"].as_str().unwrap();
        let (value, bound) = (format!("{shape}{bound}"), bound.to_string());
        assert!(text.contains(&value) && text.contains(&bound), "value and bound: {text}");
        let mut lines = server.lines();
        lines.subscribe(&all);
        assert_eq!(lines.ask(format_args!("SUB {too_many}")).code(), 40009);
        let event = server.publish(if shape == "t" { "t7" } else { "x.t7" }, "the others go on");
        assert_eq!(lines.event(), event);
    }
}

#[test]
fn the_topics_of_a_filter_can_be_set() {
    let server = TestServer::with("--filter-topics 2");
    assert_eq!(server.get("/a,b/json?poll=1").status, 200);
    assert_eq!(server.get("/a,b,c/json?poll=1").status, 400);
}

#[test]
fn a_connection_has_64_subscriptions_and_no_more() {
    let server = TestServer::start();
    let mut lines = server.lines();
    for n in 0..64 {
        lines.subscribe(format_args!("t{n}"));
    }
    assert_eq!(lines.ask("SUB one.more").code(), 42903);
    let event = server.publish("t63", "the others go on");
    assert_eq!(lines.event(), event);
    assert_eq!(lines.ask("UNSUB t0").kind(), "ok");
    lines.subscribe("one.more");
}

#[test]
fn the_filters_of_a_connection_have_4096_topics_and_64_patterns_and_no_more() {
    let server = TestServer::start();
    for (shape, each, filters) in [("t", 1024, 4), ("*.t", 16, 4)] {
        let mut lines = server.lines();
        let filter = |number: usize| {
            let names = (0..each).map(|n| format!("{shape}{number}-{n}"));
            names.collect::<Vec<_>>().join(",")
        };
        for number in 0..filters {
            lines.subscribe(filter(number));
        }
        let refused = lines.ask(format_args!("SUB {shape}"));
        assert_eq!(refused.code(), 42903);
        let (value, bound) = ((each * filters + 1).to_string(), (each * filters).to_string());
        let text = &refused.line;
        assert!(text.contains(&value) && text.contains(&bound), "value and bound: {text}");
        assert_eq!(lines.ask(format_args!("UNSUB {}", filter(0))).kind(), "ok");
        lines.subscribe(shape);
        let event = server.publish(if shape == "t" { "t" } else { "x.t" }, "the others go on");
        assert_eq!(lines.event(), event);
    }
}

#[test]
fn messages_may_be_set_as_long_as_a_mebibyte() {
    let server = TestServer::with("--message-bytes 1MiB --attachment-total 0");
    let text = "x".repeat(1 << 20);
    let event = server.publish("t", &text);
    assert_eq!(event.message().len(), 1 << 20);
    let refused = server.send(&Request::post("/t", format!("{text}x")));
    assert_eq!((refused.status, &refused.json()["code"]), (413, &41301.into()));
    for way in Transport::ALL {
        assert_eq!(way.read(&server, "t", "all").message(), event, "{way:?}");
    }
}

#[test]
fn a_message_set_shorter_is_refused_above_that() {
    let server = TestServer::with("--message-bytes 10 --attachment-total 0");
    server.publish("t", "0123456789");
    assert_eq!(server.send(&Request::post("/t", "0123456789a")).status, 413);
    assert_eq!(server.lines().ask("PUB t 0123456789a").code(), 41301);
}

#[test]
fn a_header_block_of_32_kib_is_the_most_and_one_that_is_longer_is_told_so() {
    let server = TestServer::start();
    let with = |bytes: usize| {
        server.send(&Request::get("/v1/health").header("X-Padding", &"x".repeat(bytes)))
    };
    assert_eq!(with(31 << 10).status, 200);
    for bytes in [33 << 10, 300 << 10] {
        let answer = with(bytes);
        assert_refused(&answer, 43101, "a head");
        assert!(answer.text().contains("32768"), "{}", answer.text());
    }
    assert_eq!(server.get("/v1/health").status, 200);
}

#[test]
fn a_request_that_cannot_be_read_is_refused_in_words() {
    let server = TestServer::with("--allow-origin *");
    let cookie = format!("Cookie: {}\r\n", "c".repeat(40_000));
    let many: String = (0..120).map(|number| format!("x-{number}: y\r\n")).collect();
    let long = format!("/a/publish?message={}", "x".repeat(40_000));
    let held = format!("{}", 32 << 10);
    for (target, headers, status, named) in [
        (long.as_str(), "", 431, held.as_str()),
        ("/a", cookie.as_str(), 431, &held),
        ("/a", &many, 431, "100"),
        ("/a", "x y: z\r\n", 400, "head"),
        ("/a", "x: y\r\n z\r\n", 400, "head"),
        ("/a", "Content-Length: many\r\n", 400, "Content-Length"),
        ("/a b", "", 400, "head"),
    ] {
        for begin in ["", "GET /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n"] {
            let mut connection = Connection::open(server.http);
            let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
            connection.write(format!("{begin}{request}").as_bytes());
            if !begin.is_empty() {
                assert_eq!(connection.response().status, 200);
            }
            let refused = connection.response();
            let what = format!("{target:.20} {headers:.20}: {}", refused.text());
            assert_eq!(refused.status, status, "{what}");
            assert_eq!(refused.json()["http"], status, "{what}");
            assert_eq!(refused.json()["code"].as_u64().unwrap() / 100, u64::from(status), "{what}");
            assert!(refused.json()["error"].as_str().unwrap().contains(named), "{what}");
            assert_eq!(refused.header("access-control-allow-origin"), Some("*"), "{what}");
            assert!(connection.is_closed(), "{what}");
        }
    }
    assert!(server.poll("a", "all").is_empty());
}

#[test]
fn a_request_that_is_begun_must_be_finished() {
    let server = TestServer::with("--unfinished 300ms");
    let mut half = Connection::open(server.http);
    half.write(b"GET /v1/health HTTP/1.1\r\nhost: localhost\r\nx-half");
    // An answer such as 408 would do as well as the end.
    let mut bytes = 0;
    while !half.is_closed() {
        bytes += 1;
        assert!(bytes < 1000, "closed in time");
    }
}

#[test]
fn a_body_that_is_begun_must_be_finished() {
    let server = TestServer::with("--unfinished 300ms");
    let mut half = Connection::open(server.http);
    half.write(b"POST /t HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nhalf");
    let answer = half.response();
    assert_eq!((answer.status, &answer.json()["code"]), (408, &40801.into()));
    assert_eq!(server.poll("t", "all").len(), 0);
}

#[test]
fn a_poller_that_asks_seldom_keeps_its_connection() {
    let server = TestServer::with("--unfinished 200ms");
    let mut poller = Connection::open(server.http);
    for _ in 0..2 {
        assert_eq!(poller.exchange(&Request::get("/t/json?poll=1")).status, 200);
        assert_eq!(poller.exchange(&Request::post("/t", "x")).status, 200);
        // A wait that is longer than a request may take to be finished.
        let quiet = poller.exchange(&Request::get("/t/json?poll=1&since=none&wait=500ms"));
        assert_eq!(quiet.text(), "");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(poller.exchange(&Request::get("/v1/health")).status, 200);
}

#[test]
fn the_server_raises_its_own_limit_of_open_files() {
    let mut command = std::process::Command::new("bash");
    let server = server_command();
    let binary = server.get_program().to_owned();
    let script = "ulimit -Sn 100; exec \"$0\" --ephemeral --http 127.0.0.1:0 --tcp 127.0.0.1:0";
    let mut child = command
        .args(["-c", script])
        .arg(binary)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let ready = crate::support::http::line(&mut output).unwrap();
    let address = ready.split_whitespace().find_map(|word| word.strip_prefix("http="));
    let config = Request::get("/v1/config").send_to(address.unwrap().parse().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    let connections = config.json()["limits"]["connections"].as_u64().unwrap();
    assert!(connections > 100, "{connections}");
}

#[test]
fn a_publish_that_finds_no_room_is_told_to_come_back() {
    let server = TestServer::with("--inflight-bytes 64KiB --message-bytes 1MiB");
    let response = server.send(&Request::post("/t", "x".repeat(1 << 20)));
    // Larger than all the room there is: taken when alone or refused, but answered.
    if response.status != 200 {
        assert!(matches!(response.status, 413 | 429 | 503), "{}", response.text());
    }
    server.publish("t", "small ones go on");
}

#[test]
fn publishers_are_held_up_and_then_sent_away_before_memory_grows() {
    let Some(disk) = HeldDisk::new() else { return };
    let server = disk.server("--inflight-bytes 64KiB");
    disk.hold();
    let request = Request::post("/t", "x".repeat(4000)).bytes();
    let mut publishers: Vec<Connection> = (0..40).map(|_| Connection::open(server.http)).collect();
    for publisher in &mut publishers {
        publisher.write(&request);
    }
    // Nothing is stored, so the first answers are those of publishers for whom there is no room.
    eventually("some are sent away", || {
        (server.stats()["messages_refused"].as_u64() >= Some(20)).then_some(())
    });
    disk.release();
    let answers: Vec<_> = publishers.iter_mut().map(Connection::response).collect();
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert!(matches!(answer.status, 429 | 503), "{}", answer.text());
        assert!(answer.header("retry-after").is_some());
    }
    let accepted = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(accepted > 5, "those for whom there was room are served: {accepted}");
    assert_eq!(server.poll("t", "all").len(), accepted);
    server.publish("t", "and all is well again");
}

#[test]
fn a_client_that_only_connects_may_stay() {
    let server = TestServer::with("--unfinished 200ms --keepalive 100ms");
    let mut silent = server.lines();
    for _ in 0..5 {
        assert_eq!(silent.event().kind(), "keepalive");
    }
    assert_eq!(silent.ask("PING x").message(), "x");
}

#[test]
fn hostile_bytes_harm_nobody() {
    let server = TestServer::start();
    let mut guest = server.lines();
    guest.subscribe("t");
    let hostile: [&[u8]; 7] = [
        b"\0\0\0\0\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /t/json HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff",
        b"POST /t HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\nx",
        b"POST /t HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nZZZ\r\n",
        b"GET /%ff%fe/json?poll=1&since=%00 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ];
    for bytes in hostile {
        for address in [server.http, server.tcp] {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(bytes).unwrap();
        }
    }
    let event = server.publish("t", "still here");
    assert_eq!(guest.event(), event);
    assert_eq!(server.get("/v1/health").json()["healthy"], true);
}

#[test]
fn a_flood_from_one_publisher_does_not_starve_another() {
    let server = TestServer::start();
    let mut flood = server.lines();
    let script = "PUB flood x\n".repeat(20_000);
    std::thread::scope(|scope| {
        let answers = scope.spawn(|| {
            let mut reader = Transport::Tcp.read(&server, "flood", "all");
            reader.messages(20_000)
        });
        scope.spawn(move || {
            for chunk in script.as_bytes().chunks(12_000) {
                flood.write(chunk);
                let oks = flood.events(1000);
                assert!(oks.iter().all(|ok: &Event| ok.kind() == "ok"));
            }
        });
        for n in 0..50 {
            server.publish("t", &n.to_string());
        }
        answers.join().unwrap();
    });
    assert_eq!(server.poll("t", "all").len(), 50);
}

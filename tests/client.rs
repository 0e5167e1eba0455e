//! The program `doorbell`, as people run it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::client::{RunningClient, client, client_command};
use crate::support::id::foreign;
use crate::support::server::{run, run_within};
use crate::support::{Event, TestServer, messages};

/// Every way of receiving, with the options it needs to be quick.
const WAYS: [&[&str]; 5] = [
    &["--via", "tcp"],
    &["--via", "ws"],
    &["--via", "sse"],
    &["--via", "longpoll"],
    &["--via", "poll", "--interval", "50ms"],
];

fn words(first: &[&'static str], more: &[&'static str]) -> Vec<&'static str> {
    [first, more].concat()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs it to its end and expects success; its standard output.
fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

fn events(output: &str) -> Vec<Event> {
    output.lines().map(Event::parse).collect()
}

/// Waits until a reader of that kind is connected, so that what is published now is pushed to it.
fn await_reader(server: &TestServer, way: &[&str]) {
    let name = match way[1] {
        "ws" => "websocket",
        // A poll is over at once: its first answer has been counted.
        "poll" => {
            return crate::support::eventually("a first poll", || {
                (server.stats()["polls"].as_u64() > Some(0)).then_some(())
            });
        }
        other => other,
    };
    server.await_readers(name, 1);
}

#[test]
fn publish_prints_the_id_and_subscribe_the_message() {
    let server = TestServer::start();
    let id = succeed(&mut client(&server, &["publish", "t", "two", "words"]));
    let event = &server.poll("t", "all")[0];
    assert_eq!((id.trim(), event.message()), (event.id(), "two words"));
    let shown =
        succeed(&mut client(&server, &["subscribe", "t", "--since", "all", "--count", "1"]));
    assert!(shown.contains("two words") && shown.contains('t'), "{shown}");
    assert_eq!(shown.lines().count(), 1);
}

#[test]
fn an_empty_variable_of_the_client_counts_as_unset() {
    let server = TestServer::start();
    let mut command = client(&server, &["publish", "t", "x"]);
    succeed(command.env("DOORBELL_CA", "").env("DOORBELL_SERVER", ""));
    let mut command = client_command();
    let output = run(command.args(["publish", "t", "x"]).env("DOORBELL_SERVER", ""));
    assert!(!text(&output.stderr).contains("malformed"), "{}", text(&output.stderr));
}

#[test]
fn publish_has_the_parameters_of_the_dialect() {
    let server = TestServer::start();
    let json = succeed(&mut client(
        &server,
        &[
            "pub",
            "t",
            "x",
            "--title",
            "T",
            "--priority",
            "high",
            "--tags",
            "a,b",
            "--click",
            "https://c.example",
            "--icon",
            "https://i.example",
            "--markdown",
            "--actions",
            "view, Open, https://a.example",
            "--attach",
            "https://f.example/1",
            "--filename",
            "door.jpg",
            "--sequence-id",
            "door",
            "--format",
            "json",
        ],
    ));
    let event = &server.poll("t", "all")[0];
    let printed = events(&json);
    assert_eq!((printed.len(), printed[0].id()), (1, event.id()));
    assert_eq!((&event["title"], &event["priority"]), (&"T".into(), &4.into()));
    assert_eq!(event["tags"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&event["click"], &event["icon"]),
        (&"https://c.example".into(), &"https://i.example".into())
    );
    assert_eq!(event["content_type"], "text/markdown");
    assert_eq!(event["actions"][0]["label"], "Open");
    assert_eq!(event["attachment"]["url"], "https://f.example/1");
    assert_eq!(
        (&event["attachment"]["name"], &event["sequence_id"]),
        (&"door.jpg".into(), &"door".into())
    );
    succeed(&mut client(&server, &["pub", "t", "seen live", "--cache", "no"]));
    assert_eq!(server.poll("t", "all").len(), 1, "what is not kept is not held");
}

#[test]
fn subscribe_prints_the_servers_json_over_every_way() {
    let server = TestServer::start();
    let held = ["1", "2"].map(|text| server.publish("t", text));
    for way in WAYS {
        let command = ["subscribe", "t", "--since", "all", "--count", "2", "--format", "json"];
        let output = succeed(&mut client(&server, &words(&command, way)));
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines, [held[0].line.as_str(), &held[1].line], "{way:?}");
    }
}

#[test]
fn subscribe_shows_at_once_what_is_published_over_every_way() {
    for way in WAYS {
        let server = TestServer::start();
        let command = words(&["subscribe", "t", "--format", "json"], way);
        let mut running = RunningClient::start(&mut client(&server, &command));
        await_reader(&server, way);
        for text in ["now", "and now"] {
            let event = server.publish("t", text);
            assert_eq!(running.line().as_deref(), Some(event.line.as_str()), "{way:?}");
        }
    }
}

#[test]
fn subscribe_takes_lists_and_wildcards() {
    let server = TestServer::start();
    for topic in ["a.x", "b", "c", "a.y"] {
        server.publish(topic, topic);
    }
    for way in WAYS {
        let command = ["sub", "a.*,b", "--since", "all", "--count", "3", "--format", "json"];
        let output = succeed(&mut client(&server, &words(&command, way)));
        assert_eq!(messages(&events(&output)), ["a.x", "b", "a.y"], "{way:?}");
    }
}

#[test]
fn every_kind_of_address_is_understood() {
    let server = TestServer::start();
    let line = format!("{}\n", server.publish("t", "x").line);
    let addresses = [
        (format!("tcp://{}", server.tcp), "tcp"),
        (format!("http://{}", server.http), "tcp"),
        (format!("http://{}", server.http), "sse"),
        (format!("ws://{}", server.http), "ws"),
        (format!("unix:{}", server.unix().display()), "tcp"),
    ];
    for (address, way) in addresses {
        let arguments = ["sub", "t", "--since", "all", "--count", "1", "--format", "json", "--via"];
        let mut command = client_command();
        command.args(arguments).arg(way).args(["--server", &address]);
        assert_eq!(succeed(&mut command), line, "{address} via {way}");
        let mut by_environment = client_command();
        by_environment.args(arguments).arg(way).env("DOORBELL_SERVER", &address);
        assert_eq!(succeed(&mut by_environment), line, "{address} via {way}");
    }
    for address in [format!("tcp://{}", server.tcp), format!("unix:{}", server.unix().display())] {
        let mut command = client_command();
        succeed(command.args(["pub", "by.address", &address, "--server", &address]));
    }
    assert_eq!(server.poll("by.address", "all").len(), 2);
}

#[test]
fn a_dash_publishes_the_whole_input_as_one_message() {
    let server = TestServer::start();
    let mut running = RunningClient::start(&mut client(&server, &["publish", "t", "-"]));
    running.say("one");
    running.say("two");
    running.end_input();
    assert!(running.line().is_some_and(|id| id.len() == 12));
    assert_eq!(running.wait().code(), Some(0));
    assert_eq!(messages(&server.poll("t", "all")), ["one\ntwo"]);
}

#[test]
fn lines_publishes_each_line_as_it_comes() {
    let server = TestServer::start();
    let mut running = RunningClient::start(&mut client(&server, &["publish", "t", "--lines"]));
    for text in ["one", "two", "", "three"] {
        running.say(text);
        if !text.is_empty() {
            let id = running.line().unwrap();
            assert_eq!(server.poll("t", "latest")[0].id(), id, "stored before the next line");
        }
    }
    running.end_input();
    assert_eq!(running.line(), None);
    assert_eq!(running.wait().code(), Some(0));
    assert_eq!(messages(&server.poll("t", "all")), ["one", "two", "three"]);
}

#[test]
fn a_long_input_is_published_in_its_order() {
    let server = TestServer::start();
    let mut running = RunningClient::start(&mut client(&server, &["pub", "t", "--lines", "-q"]));
    let texts: Vec<String> = (0..1000).map(|n| format!("line {n}")).collect();
    for text in &texts {
        running.say(text);
    }
    running.end_input();
    assert_eq!(running.wait().code(), Some(0));
    assert_eq!(running.line(), None, "quiet");
    assert_eq!(messages(&server.poll("t", "all")), texts);
}

#[test]
fn a_publisher_of_lines_lives_through_a_crash_and_leaves_none_out() {
    let mut server = TestServer::durable("");
    let mut running = RunningClient::start(&mut client(&server, &["publish", "t", "--lines"]));
    let texts: Vec<String> = (0..60).map(|n| format!("line {n}")).collect();
    for (n, text) in texts.iter().enumerate() {
        if n % 20 == 10 {
            server.kill();
            server.restart();
        }
        running.say(text);
        assert!(running.line().is_some(), "each is acknowledged in the end");
    }
    running.end_input();
    assert_eq!(running.wait().code(), Some(0));
    let mut stored = server.poll("t", "all");
    // At least once: one whose answer was lost may be there twice.
    stored.dedup_by(|a, b| a.message() == b.message());
    assert_eq!(messages(&stored), texts);
}

#[test]
fn the_timeout_is_a_failure_only_if_messages_are_missing() {
    let server = TestServer::start();
    server.publish("t", "x");
    let with = |more: &[&'static str]| {
        let command = ["subscribe", "t", "--since", "all", "--timeout", "500ms"];
        let began = Instant::now();
        let output = run(&mut client(&server, &words(&command, more)));
        (output.status.code(), text(&output.stdout).lines().count(), began.elapsed())
    };
    let (code, lines, took) = with(&["--count", "2"]);
    assert_eq!((code, lines), (Some(1), 1));
    assert!(took >= Duration::from_millis(500));
    assert_eq!(with(&["--count", "1"]).0, Some(0));
    assert_eq!(with(&[]).0, Some(0), "to listen for a while and then to end is what was asked");
}

#[test]
fn wrong_usage_is_two_and_a_refusal_or_an_absent_server_is_one() {
    // Where files are taken a long text is one.
    let server = TestServer::with("--attachment-total 0");
    for words in [
        &["subscribe"] as &[&str],
        &["subscribe", "a..b"],
        &["subscribe", "t", "--via", "pigeon"],
        &["subscribe", "t", "--since", "soon"],
        &["publish", "a.*", "x"],
        &["dance"],
    ] {
        let output = run(&mut client(&server, words));
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{words:?}");
    }
    let too_long = "x".repeat(5000);
    let output = run(&mut client(&server, &["publish", "t", &too_long]));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("4096"), "{}", text(&output.stderr));

    let mut command = client_command();
    command.args(["publish", "t", "x", "--server", "tcp://127.0.0.1:1"]);
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("127.0.0.1:1"), "{}", text(&output.stderr));
}

#[test]
fn a_reader_that_goes_away_is_a_success() {
    let server = TestServer::start();
    let texts: Vec<String> = (0..5000).map(|n| format!("{n} {}", "x".repeat(100))).collect();
    server.publish_all("t", &texts);
    for way in WAYS {
        let command = words(&["subscribe", "t", "--since", "all", "--format", "json"], way);
        let mut subscriber = client(&server, &command);
        let mut child = subscriber.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut head = Command::new("head");
        head.arg("-n1").stdin(child.stdout.take().unwrap());
        assert_eq!(text(&run(&mut head).stdout).lines().count(), 1);
        // With it goes the last reader of the pipe.
        drop(head);
        let status = crate::support::eventually("the client ends", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{way:?}");
        let talk = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
        assert_eq!(talk, "", "{way:?}: nothing to complain about");
    }
}

/// A subscriber over that way lives through a crash of the server and gets everything once.
fn reconnect(way: &[&'static str]) {
    let mut server = TestServer::durable("");
    let command = words(&["subscribe", "t", "--since", "all", "--format", "json"], way);
    let mut running = RunningClient::start(&mut client(&server, &command));
    let mut heard = Vec::new();
    let mut hear = |running: &mut RunningClient, until: &str| {
        while heard.last().map(Event::message) != Some(until) {
            heard.push(Event::parse(&running.line().expect("it goes on")));
        }
    };
    server.publish_all("t", &["1", "2", "3"]);
    hear(&mut running, "3");
    for round in ["4", "5"] {
        server.kill();
        server.restart();
        server.publish("t", round);
        hear(&mut running, round);
    }
    assert_eq!(heard, server.poll("t", "all"), "nothing twice, nothing missing");
}

#[test]
fn a_subscriber_over_tcp_lives_through_crashes_of_the_server() {
    reconnect(WAYS[0]);
}

#[test]
fn a_subscriber_over_a_websocket_lives_through_crashes_of_the_server() {
    reconnect(WAYS[1]);
}

#[test]
fn a_subscriber_over_server_sent_events_lives_through_crashes_of_the_server() {
    reconnect(WAYS[2]);
}

#[test]
fn a_subscriber_by_long_polls_lives_through_crashes_of_the_server() {
    reconnect(WAYS[3]);
}

#[test]
fn a_subscriber_by_polls_lives_through_crashes_of_the_server() {
    reconnect(WAYS[4]);
}

#[test]
fn a_subscriber_that_has_heard_nothing_yet_resumes_all_the_same() {
    for way in WAYS {
        let mut server = TestServer::durable("");
        server.publish("t", "before");
        let command = words(&["subscribe", "t", "--format", "json"], way);
        let mut running = RunningClient::start(&mut client(&server, &command));
        await_reader(&server, way);
        // What it has heard by now cannot be seen from here; it is a few bytes on this machine.
        std::thread::sleep(Duration::from_millis(300));
        server.kill();
        server.restart();
        let event = server.publish("t", "published while it was away, or soon after");
        assert_eq!(running.line().as_deref(), Some(event.line.as_str()), "{way:?}");
    }
}

#[test]
fn a_gap_is_told_on_the_standard_error_over_every_way() {
    let server = TestServer::start();
    let event = server.publish("t", "x");
    let foreign = foreign(event.id());
    for way in WAYS {
        let mut command = client(&server, &words(&["sub", "t", "--count", "1"], way));
        let output = run(command.args(["--since", &foreign]));
        assert_eq!(output.status.code(), Some(0), "{way:?}");
        let talk = text(&output.stderr);
        assert!(talk.contains("gap") && talk.contains(&foreign), "{way:?}: {talk}");
        assert!(talk.contains("foreign"), "{way:?}: {talk}");
        assert!(!text(&output.stdout).contains("gap"), "data and talk are apart");
        assert_eq!(talk.matches("gap").count(), 1, "{way:?}: once: {talk}");
    }
}

#[test]
fn whatever_a_server_stores_is_read_over_every_way() {
    let server = TestServer::with("--message-bytes 1MiB --udp 127.0.0.1:0");
    let text = "\u{1}".repeat(1 << 20);
    let largest = server.publish("big", &text);
    server.publish("big", "last");
    let command = ["subscribe", "big", "--since", "all", "--count", "2", "--timeout", "60s"];
    let command = words(&command, &["--format", "json"]);
    for way in WAYS.into_iter().chain([&["--via", "udp"][..]]) {
        let read = events(&succeed(&mut client(&server, &words(&command, way))));
        assert_eq!(read[0].id(), largest.id(), "{way:?}");
        assert_eq!((read[0].message().len(), read[1].message()), (text.len(), "last"), "{way:?}");
    }
}

#[test]
fn a_message_cannot_play_tricks_on_the_terminal() {
    let server = TestServer::start();
    server.publish("t", "\u{1b}[2J\u{7}\u{202e}bell\rring");
    let shown = succeed(&mut client(&server, &["sub", "t", "--since", "all", "--count", "1"]));
    for bad in ['\u{1b}', '\u{7}', '\u{202e}', '\r'] {
        assert!(!shown.contains(bad), "{shown:?}");
    }
    assert!(shown.contains("bell"), "{shown:?}");
}

#[test]
fn compare_measures_all_ways_and_misses_nothing() {
    let server = TestServer::start();
    let arguments =
        ["compare", "--rate", "20", "--duration", "2s", "--interval", "300ms", "--seed", "7"];
    let limit = Duration::from_secs(30);
    let output = run_within(limit, &mut client(&server, &arguments));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let table = text(&output.stdout).to_lowercase();
    for way in ["poll", "long", "sse", "websocket", "tcp", "missed"] {
        assert!(table.contains(way), "{way} in {table}");
    }

    let json = [&arguments[..], &["--json"]].concat();
    let output = run_within(limit, &mut client(&server, &json));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let missed = values_of(&result, "missed");
    assert!(missed.len() >= 5, "one for each way: {result}");
    assert!(missed.iter().all(|missed| **missed == 0), "{result}");
}

#[test]
fn compare_brings_its_own_server_where_none_is_named() {
    let mut command = client_command();
    command.args(["compare", "--rate", "10", "--duration", "1s", "--interval", "200ms", "--json"]);
    let output = run_within(Duration::from_secs(30), &mut command);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(values_of(&result, "missed").iter().all(|missed| **missed == 0), "{result}");
}

/// Every value under that name, wherever it is.
fn values_of<'a>(json: &'a serde_json::Value, name: &str) -> Vec<&'a serde_json::Value> {
    match json {
        serde_json::Value::Object(members) => members
            .iter()
            .flat_map(|(key, value)| if key == name { vec![value] } else { values_of(value, name) })
            .collect(),
        serde_json::Value::Array(items) => {
            items.iter().flat_map(|item| values_of(item, name)).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn the_help_of_every_command_teaches_by_examples() {
    for command in ["subscribe", "publish", "compare"] {
        let mut help = client_command();
        let help = succeed(help.args([command, "--help"]));
        assert!(help.contains("Examples:") && help.contains(&format!("doorbell {command}")));
    }
    for shell in ["bash", "fish", "zsh"] {
        let mut completions = client_command();
        assert!(succeed(completions.args(["completions", shell])).contains("doorbell"));
    }
}

/// A proxy that answers by itself for a while.
struct Front {
    address: SocketAddr,
    shared: Arc<Mutex<Between>>,
}

#[derive(Default)]
struct Between {
    /// What it answers by itself.
    own: Option<&'static str>,
    /// How often it has.
    answered: usize,
    open: Vec<TcpStream>,
}

impl Front {
    fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared: Arc<Mutex<Between>> = Arc::default();
        let between = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut between = between.lock().unwrap();
                if let Some(answer) = between.own {
                    between.answered += 1;
                    answer_by_itself(stream, answer);
                    continue;
                }
                let onward = TcpStream::connect(server).unwrap();
                between.open.extend([&stream, &onward].map(|end| end.try_clone().unwrap()));
                for (from, to) in [(&stream, &onward), (&onward, &stream)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        Self { address, shared }
    }

    /// Cuts what is open, and answers what comes by itself from now on, or not any more.
    fn answer(&self, own: Option<&'static str>) {
        let mut between = self.shared.lock().unwrap();
        between.own = own;
        for stream in between.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn answered(&self) -> usize {
        self.shared.lock().unwrap().answered
    }
}

fn answer_by_itself(mut stream: TcpStream, answer: &str) {
    let [status, kind, body] = answer.split('|').collect::<Vec<_>>()[..] else {
        panic!("{answer}");
    };
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).is_ok_and(|read| read == 1) {
            request.push(byte[0]);
        } else {
            return;
        }
    }
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
}

const WRONG_ANSWERS: [&str; 4] = [
    "404 Not Found|text/plain|404 page not found",
    "401 Unauthorized|text/plain|who are you",
    "503 Service Unavailable|text/html|<p>a moment</p>",
    "200 OK|text/html|<p>welcome to the site</p>",
];

#[test]
fn a_wrong_answer_when_it_comes_back_is_no_reason_to_give_up() {
    for way in [WAYS[1], WAYS[2], WAYS[3], WAYS[4]] {
        for answer in WRONG_ANSWERS {
            let server = TestServer::start();
            let front = Front::before(server.http);
            let address = format!("http://{}", front.address);
            let mut command = client_command();
            command.args(["subscribe", "t", "--count", "2", "--server", &address]).args(way);
            let mut running = RunningClient::start(&mut command);
            await_reader(&server, way);
            server.publish("t", "at first");
            assert!(running.line().expect("a message").contains("at first"), "{way:?} {answer}");
            front.answer(Some(answer));
            crate::support::eventually("two wrong answers", || {
                (front.answered() >= 2).then_some(())
            });
            front.answer(None);
            server.publish("t", "after all");
            assert!(running.line().expect("a message").contains("after all"), "{way:?} {answer}");
            assert_eq!(running.line(), None, "{way:?} {answer}");
            assert!(running.wait().success(), "{way:?} {answer}");
            let talk: Vec<String> = std::iter::from_fn(|| running.talk()).collect();
            let status = &answer[..3];
            let said = if status == "200" { "text/html" } else { status };
            // A WebSocket that is refused tells its status alone.
            let said = if way[1] == "ws" { status } else { said };
            assert!(talk.iter().any(|line| line.contains(said)), "{way:?} {answer}: {talk:?}");
        }
    }
}

#[test]
fn a_wrong_answer_at_first_and_a_refusal_of_the_servers_own_are_final() {
    let server = TestServer::start();
    let front = Front::before(server.http);
    let address = format!("http://{}", front.address);
    for way in [WAYS[1], WAYS[2], WAYS[3], WAYS[4]] {
        for answer in [WRONG_ANSWERS[0], WRONG_ANSWERS[1], WRONG_ANSWERS[3]] {
            front.answer(Some(answer));
            let mut command = client_command();
            command.args(["subscribe", "t", "--server", &address]).args(way);
            let output = run(&mut command);
            assert_eq!(output.status.code(), Some(1), "{way:?} {answer}: {}", text(&output.stderr));
        }
        front.answer(None);
        let mut command = client_command();
        command.args(["subscribe", "t", "--server", &address]).args(way);
        let mut running = RunningClient::start(&mut command);
        await_reader(&server, way);
        let own = "400 Bad Request|application/json|\
            {\"code\":40009,\"http\":400,\"error\":\"no such filter\"}";
        front.answer(Some(own));
        assert_eq!(running.wait().code(), Some(1), "{way:?}");
    }
}

#[test]
fn whatever_the_server_stores_the_client_can_read() {
    let server = TestServer::with("--message-bytes 1MiB --udp 127.0.0.1:0");
    let worst = "\u{1}".repeat(1 << 20);
    server.publish("big", &worst);
    server.publish("big", "last");
    for way in WAYS.iter().copied().chain([&["--via", "udp"] as &[&str]]) {
        let command = ["subscribe", "big", "--since", "all", "--count", "2", "--format", "json"];
        let output = run(client(&server, &words(&command, &[])).args(way));
        assert_eq!(output.status.code(), Some(0), "{way:?}: {}", text(&output.stderr));
        let texts = events(text(&output.stdout));
        assert_eq!((texts[0].message().len(), texts[1].message()), (1 << 20, "last"), "{way:?}");
    }
}

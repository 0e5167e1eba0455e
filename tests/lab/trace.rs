//! The packets of one lane, told while they cross.

use std::io;
use std::process::Command;

use doorbell_wire::{Capture, MISSING_PRIVILEGE};
use serde_json::Value;

use super::Watch;
use crate::support::server::{binary, run, server_command};
use crate::support::websocket::{Heard, Socket};
use crate::support::{Request, TestServer, skip};

/// Whether packets may be captured here.
fn may_capture() -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    match Capture::open("lo", &[1]) {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => false,
        Err(error) => panic!("{error}"),
    }
}

/// The steps of one connection until there is enough, put together from what was told bit by bit.
fn steps(
    watch: &mut Watch,
    connection: u64,
    enough: impl Fn(&Value, &[Value]) -> bool,
) -> Vec<Value> {
    let mut steps: Vec<Value> = Vec::new();
    watch.await_frame("the whole conversation", |frame| {
        if frame["kind"] != "trace" || frame["connection"] != connection {
            return None;
        }
        assert_eq!(frame["first"], steps.len(), "nothing is left out: {frame}");
        steps.extend(frame["steps"].as_array().unwrap().iter().cloned());
        enough(frame, &steps).then_some(())
    });
    let moments: Vec<f64> = steps.iter().map(|step| step["at_us"].as_f64().unwrap()).collect();
    assert!(moments.is_sorted(), "{moments:?}");
    steps
}

fn words(steps: &[Value]) -> Vec<String> {
    let told = |step: &Value| {
        format!("{} {} {}", step["from"], step["phase"], step["words"]).replace('"', "")
    };
    steps.iter().map(told).collect()
}

fn position(words: &[String], what: &str) -> usize {
    let found = words.iter().position(|told| told.contains(what));
    found.unwrap_or_else(|| panic!("no {what} in {words:#?}"))
}

#[test]
fn a_websocket_is_told_from_its_first_packet_to_its_last() {
    if !may_capture() {
        return skip(MISSING_PRIVILEGE);
    }
    let server = TestServer::with("--trace");
    assert_eq!(server.get("/v1/config").json()["trace"], true);
    let mut watch = Watch::open(&server, "page", "t");
    let hello = watch.hear();
    assert_eq!((&hello["trace"], hello.get("trace_reason")), (&true.into(), None));
    watch.say_and_wait(r#"{"trace":"ws"}"#);
    // Of another lane, and of none: nothing of these is told.
    server.send(&Request::get("/t/json?poll=1&lane=page.wsx"));
    server.send(&Request::get("/t/json?poll=1"));
    let mut socket = Socket::connect(server.http, "t", "?lane=page.ws");
    assert_eq!(socket.event().kind(), "open");
    server.publish("t", "ring");
    assert_eq!(socket.event().message(), "ring");
    socket.close();
    assert!(matches!(socket.hear(), Heard::Close(1000, _)));
    drop(socket);
    let steps = steps(&mut watch, 1, |frame, _| {
        assert_eq!((&frame["lane"], &frame["has_begin"]), (&"ws".into(), &true.into()));
        assert_eq!(frame["server"], server.http.to_string());
        frame["has_end"] == true
    });
    let words = words(&steps);
    assert_eq!(
        words[..3],
        ["client open SYN", "server open SYN ACK", "client open ACK"].map(str::to_owned)
    );
    let in_order = [
        position(&words, "client request GET /t/ws?lane=page.ws, Upgrade"),
        position(&words, "server answer 101"),
        position(&words, "push message 'ring'"),
        position(&words, "close"),
        position(&words, "FIN ACK"),
    ];
    assert!(in_order.is_sorted(), "{words:#?}");
    let fins = words.iter().filter(|told| told.contains("FIN")).count();
    assert_eq!(fins, 2, "{words:#?}");
    watch.say(r#"{"trace":null}"#);
}

#[test]
fn a_subscriber_of_the_server_is_told_with_its_handshake() {
    if !may_capture() {
        return skip(MISSING_PRIVILEGE);
    }
    let server = TestServer::with("--trace");
    let mut watch = Watch::greeted(&server, "page", "t");
    watch.say(r#"{"trace":"tcp","run":["tcp"]}"#);
    assert_eq!(watch.of_kind("subscriber")["state"], "up");
    server.publish("t", "ring");
    let is_rung = |steps: &[Value]| words(steps).iter().any(|told| told.contains("push message"));
    let steps = steps(&mut watch, 1, |_, steps| is_rung(steps));
    let words = words(&steps);
    assert_eq!(words[0], "client open SYN");
    assert!(position(&words, "request SUB t") < position(&words, "push message 'ring'"));
}

#[test]
fn a_connection_that_was_open_before_the_trace_is_told_from_then_on() {
    if !may_capture() {
        return skip(MISSING_PRIVILEGE);
    }
    let server = TestServer::with("--trace");
    let mut watch = Watch::greeted(&server, "page", "t");
    let mut socket = Socket::connect(server.http, "t", "?lane=page.ws");
    assert_eq!(socket.event().kind(), "open");
    watch.say_and_wait(r#"{"trace":"ws"}"#);
    server.publish("t", "ring");
    assert_eq!(socket.event().message(), "ring");
    let steps = steps(&mut watch, 1, |frame, _| {
        assert_eq!((&frame["has_begin"], &frame["has_end"]), (&false.into(), &false.into()));
        true
    });
    assert!(words(&steps)[0].contains("push message 'ring'"), "{steps:?}");
}

#[test]
fn a_long_conversation_is_told_up_to_its_bound() {
    if !may_capture() {
        return skip(MISSING_PRIVILEGE);
    }
    let server = TestServer::with("--trace");
    let mut watch = Watch::greeted(&server, "page", "t");
    watch.say_and_wait(r#"{"trace":"ws","table":false}"#);
    let mut socket = Socket::connect(server.http, "t", "?lane=page.ws");
    assert_eq!(socket.event().kind(), "open");
    for n in 0..400 {
        server.publish("t", &n.to_string());
        assert_eq!(socket.event().message(), n.to_string());
    }
    let steps = steps(&mut watch, 1, |frame, _| frame["full"] == true);
    assert_eq!(steps.len(), 400);
}

#[test]
fn there_are_so_many_traces_and_no_more() {
    if !may_capture() {
        return skip(MISSING_PRIVILEGE);
    }
    let server = TestServer::with("--trace");
    let mut watches: Vec<Watch> =
        (0..5).map(|n| Watch::greeted(&server, &format!("page{n}"), "t")).collect();
    for watch in &mut watches[..4] {
        watch.say_and_wait(r#"{"trace":"ws"}"#);
    }
    watches[4].say(r#"{"trace":"ws"}"#);
    let error = watches[4].of_kind("error")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("4 traces are under way, which is the limit"), "{error}");
    watches[0].say_and_wait(r#"{"trace":null}"#);
    watches[4].say_and_wait(r#"{"trace":"ws"}"#);
}

#[test]
fn without_the_capability_the_server_ends_with_two_and_one_line() {
    let mut command = if may_capture() {
        if Command::new("setpriv").arg("--version").output().is_err() {
            return skip("no setpriv to give the capability up with");
        }
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-net_raw", "--inh-caps=-net_raw"]);
        command.arg(binary("doorbell-server"));
        command
    } else {
        server_command()
    };
    command.args(["--ephemeral", "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--trace"]);
    let output = run(&mut command);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(stderr.contains("--trace") && stderr.contains("CAP_NET_RAW"), "{stderr}");
    assert!(output.stdout.is_empty());
}

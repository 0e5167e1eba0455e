//! Programs and libraries that other people wrote, unchanged: what they publish is published, and
//! what they wait for comes. What of them this machine does not have is named.

mod axe;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::support::client::RunningClient;
use crate::support::server::run_within;
use crate::support::strangers::{folder, python};
use crate::support::{TestServer, messages, skip};

/// Starting a virtual machine or an interpreter with many modules, on a busy machine.
const SLOW: Duration = Duration::from_secs(60);

/// Runs a program to its end; returns what it printed.
fn output(command: &mut Command) -> String {
    let output = run_within(SLOW, command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A file that is not text.
fn file(server: &TestServer, name: &str) -> PathBuf {
    let path = server.data().with_file_name(name);
    std::fs::write(&path, bytes()).unwrap();
    path
}

fn bytes() -> Vec<u8> {
    (0..=255).cycle().take(20_000).collect()
}

#[test]
fn apprise_publishes_all_that_it_can_say() {
    let server = TestServer::durable("");
    let Some(mut apprise) = python("apprise", "by_apprise.py") else { return };
    let picture = file(&server, "door.bin");
    output(apprise.arg(server.http.to_string()).arg(picture));
    let events = server.poll("door", "all");
    let [everything, long, picture] = &events[..] else { panic!("{events:?}") };
    assert_eq!(everything["title"], "Überwachung 🔔");
    assert_eq!(everything.message(), "Somebody is at the door: ü 🔔");
    assert_eq!(everything["priority"], 4);
    // Apprise sends them in any order.
    let tags = everything["tags"].as_array().unwrap();
    assert!(tags.len() == 2 && tags.contains(&"door".into()) && tags.contains(&"warning".into()));
    assert_eq!(everything["click"], "https://example.org/door");
    assert_eq!(long["attachment"]["name"], "attachment.txt");
    assert_eq!(picture["attachment"]["name"], "door.bin");
    assert_eq!(picture["attachment"]["size"], bytes().len());
    let waiting = server.get("/door/json?poll=1&sched=1").events();
    assert_eq!(messages(&waiting).last(), Some(&"later"));
}

#[test]
fn aiontfy_publishes_hears_clears_and_deletes() {
    let server = TestServer::start();
    let Some(mut aiontfy) = python("aiontfy", "by_aiontfy.py") else { return };
    output(aiontfy.arg(server.http.to_string()));
}

#[test]
fn requests_publishes_and_reads_a_stream() {
    let server = TestServer::durable("");
    let Some(mut requests) = python("requests", "by_requests.py") else { return };
    output(requests.arg(server.http.to_string()).arg(file(&server, "door.bin")));
}

#[test]
fn prometheus_client_reads_both_formats_of_the_metrics() {
    let server = TestServer::start();
    server.publish("door", "rang");
    let Some(mut client) = python("prometheus_client", "by_prometheus_client.py") else { return };
    assert_eq!(output(client.arg(server.http.to_string())).lines().count(), 2);
}

#[test]
fn sseclient_comes_back_with_its_place_after_a_restart() {
    let mut server = TestServer::durable("");
    let Some(mut sseclient) = python("sseclient", "by_sseclient.py") else { return };
    let mut client = RunningClient::start(sseclient.arg(server.http.to_string()));
    assert_eq!(client.line().as_deref(), Some("(open)"));
    server.publish("door", "before: ü 🔔");
    assert_eq!(client.line().as_deref(), Some("before: ü 🔔"));
    server.stop();
    server.restart();
    server.publish("door", "meanwhile");
    let heard = std::iter::from_fn(|| client.line()).find(|line| line == "meanwhile");
    assert_eq!(heard.as_deref(), Some("meanwhile"));
}

#[test]
fn websockets_connects_again_after_a_restart() {
    let mut server = TestServer::durable("");
    let Some(mut websockets) = python("websockets", "by_websockets.py") else { return };
    let mut client = RunningClient::start(websockets.arg(server.http.to_string()));
    assert_eq!(client.line().as_deref(), Some("(open)"));
    server.publish("door", "before: ü 🔔");
    assert_eq!(client.line().as_deref(), Some("before: ü 🔔"));
    server.stop();
    assert_eq!(client.line().as_deref(), Some("(1001)"));
    server.restart();
    assert_eq!(client.line().as_deref(), Some("(open)"));
    server.publish("door", "after");
    assert_eq!(client.line().as_deref(), Some("after"));
}

#[test]
fn websocket_client_hears_and_is_answered_its_signs_of_life() {
    let mut server = TestServer::start();
    let Some(mut websocket) = python("websocket", "by_websocket_client.py") else { return };
    let mut client = RunningClient::start(websocket.arg(server.http.to_string()));
    let mut first = [client.line().unwrap(), client.line().unwrap()];
    first.sort();
    assert_eq!(first, ["(open)", "(pong: are you there?)"]);
    server.publish("door", "ü 🔔");
    assert_eq!(client.line().as_deref(), Some("ü 🔔"));
    server.stop();
    assert_eq!(client.line().as_deref(), Some("(1001)"));
}

#[test]
fn a_jdk_speaks_http_websocket_and_lines() {
    let server = TestServer::start();
    let mut java = Command::new("java");
    if java.arg("-version").output().is_err() {
        skip("java is not installed");
        return;
    }
    let mut java = Command::new("java");
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dfile.encoding=UTF-8"]);
    java.arg(folder().join("Jdk.java"));
    let printed = output(java.args([server.http.to_string(), server.tcp.to_string()]));
    assert!(printed.ends_with("done\n"), "{printed}");
}

#[test]
fn the_ntfy_crate_publishes_and_hears() {
    use ntfy::prelude::*;

    let server = TestServer::start();
    let address = format!("http://{}", server.http);
    let dispatcher = dispatcher::builder(&address).build_blocking().unwrap();
    let subscriber = subscriber::builder(&address).build_blocking().unwrap();
    let mut heard = subscriber.subscribe("door").unwrap();
    let opened = heard.next().unwrap().unwrap();
    assert_eq!(opened.event, ReceivedMessageType::Open);
    let door = |path: &str| Url::parse(&format!("https://example.org/{path}")).unwrap();
    let payload = Payload::new("door")
        .title("Überwachung")
        .message("Somebody is at the door: ü 🔔")
        .tags(["warning"])
        .priority(Priority::High)
        .click(door(""))
        .attach(door("door.jpg"))
        .markdown(true);
    dispatcher.send(&payload).unwrap();
    let message = heard.next().unwrap().unwrap();
    assert_eq!(message.title.as_deref(), Some("Überwachung"));
    assert_eq!(message.message.as_deref(), Some("Somebody is at the door: ü 🔔"));
    assert_eq!((message.priority, message.click), (Some(Priority::High), Some(door(""))));
    // What it sends with an action it cannot read itself, so that is read otherwise.
    let action = Action::new(ActionType::Http, "Open", door("open"));
    dispatcher.send(&Payload::new("door").message("with").actions([action])).unwrap();
    assert_eq!(server.poll("door", "all")[1]["actions"][0]["action"], "http");
    dispatcher.send(&Payload::new("door").message("later").delay("1h")).unwrap();
    let waiting = server.get("/door/json?poll=1&sched=1").events();
    assert_eq!(messages(&waiting).last(), Some(&"later"));
}

#[test]
fn curl_publishes_streams_and_goes_on_with_a_file() {
    let server = TestServer::durable("");
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--max-time", "30"]);
        command.args(arguments);
        command
    };
    let url = format!("http://{}/door", server.http);
    let mut stream = RunningClient::start(&mut curl(&["--no-buffer", &format!("{url}/raw")]));
    assert_eq!(stream.line().as_deref(), Some(""), "an empty line opens it");
    output(&mut curl(&["--data", "by data: ü 🔔", &url]));
    assert_eq!(stream.line().as_deref(), Some("by data: ü 🔔"));
    output(&mut curl(&[
        "--json",
        r#"{"topic":"door","message":"by json"}"#,
        &url[..url.len() - 5],
    ]));
    assert_eq!(stream.line().as_deref(), Some("by json"));
    output(&mut curl(&[
        "--get",
        "--data-urlencode",
        "message=by get: ü",
        &format!("{url}/publish"),
    ]));
    assert_eq!(stream.line().as_deref(), Some("by get: ü"));

    let sent = file(&server, "door.bin");
    let sent = sent.to_str().unwrap();
    let answer = output(&mut curl(&["--upload-file", sent, &format!("{url}?filename=door.bin")]));
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let address = answer["attachment"]["url"].as_str().unwrap();
    let part = server.data().with_file_name("part");
    std::fs::write(&part, &bytes()[..7000]).unwrap();
    output(&mut curl(&["--continue-at", "-", "--output", part.to_str().unwrap(), address]));
    assert!(std::fs::read(&part).unwrap() == bytes());
}

#[test]
fn wget_publishes_polls_and_goes_on_with_a_file() {
    let server = TestServer::durable("");
    if Command::new("wget").arg("--version").output().is_err() {
        skip("wget is not installed");
        return;
    }
    let wget = |arguments: &[&str]| {
        let mut command = Command::new("wget");
        command.args(["--no-config", "--quiet", "--tries", "1", "--timeout", "30"]);
        command.args(arguments);
        command
    };
    let url = format!("http://{}/door", server.http);
    let published = ["--output-document", "-", "--post-data", "by wget: ü", &url];
    output(&mut wget(&published));
    output(&mut wget(&["--output-document", "-", "--method", "PUT", "--body-data", "put", &url]));
    let read = output(&mut wget(&["--output-document", "-", &format!("{url}/raw?poll=1")]));
    assert_eq!(read, "by wget: ü\nput\n");

    let sent = file(&server, "door.bin");
    let sent = format!("--body-file={}", sent.display());
    let with_name = format!("{url}?filename=door.bin");
    let arguments = ["--output-document", "-", "--method", "PUT", &sent, &with_name];
    let answer: serde_json::Value = serde_json::from_str(&output(&mut wget(&arguments))).unwrap();
    let address = answer["attachment"]["url"].as_str().unwrap();
    let part = server.data().with_file_name("part");
    std::fs::write(&part, &bytes()[..7000]).unwrap();
    output(&mut wget(&["--continue", "--output-document", part.to_str().unwrap(), address]));
    assert!(std::fs::read(&part).unwrap() == bytes());
}

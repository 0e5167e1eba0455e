//! The folder of a log, as those who keep it see it: text, and the commands that look after it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::push_service::{Browser, PushService};
use crate::support::server::{run_within, server_command};
use crate::support::{Request, TestServer, messages, seqs};

/// Runs `doorbell-server log` with these words.
pub(crate) fn log(words: &[&str]) -> Output {
    run_within(Duration::from_secs(30), log_command(words).stdin(Stdio::null()))
}

fn log_command(words: &[&str]) -> Command {
    let mut command = server_command();
    command.arg("log").args(words);
    command
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Feeds lines to a command and waits for its end.
fn feed(command: &mut Command, lines: &str) -> Output {
    use std::io::Write;
    let piped = || Stdio::piped();
    let mut child = command.stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn each_message_is_a_line_of_text_with_the_bytes_that_subscribers_get() {
    let server = TestServer::durable("");
    server.publish("orders.eu", "one");
    server.publish("orders.eu", "two\nlines");
    let polled = server.get("/orders.eu/json?poll=1&since=all").text().to_owned();
    let text = fs::read_to_string(&server.segments()[0]).unwrap();
    let stored: String = text
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some("m"))
        .map(|line| format!("{}\n", line.splitn(6, ' ').nth(5).unwrap()))
        .collect();
    assert_eq!(stored, polled);
}

#[test]
fn a_log_is_verified_beside_its_server_and_damage_is_told_with_its_cost() {
    let mut server = TestServer::durable("");
    for text in ["one", "victim", "three"] {
        server.publish("t", text);
    }
    let data = server.data();
    let checked = log(&["check", path(&data)]);
    assert!(checked.status.success());
    assert!(stdout(&checked).ends_with("3 messages can be read, 0 are lost\n"));
    server.stop();
    let segment = server.segments().pop().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let place = bytes.windows(6).position(|bytes| bytes == b"victim").unwrap();
    bytes[place] ^= 4;
    fs::write(&segment, bytes).unwrap();
    let checked = log(&["check", path(&data)]);
    assert_eq!(checked.status.code(), Some(1));
    let said = stdout(&checked);
    assert!(said.contains("2 to 2 cannot be read: 1 lost"), "{said}");
    assert!(said.ends_with("2 messages can be read, 1 are lost\n"), "{said}");
    let exported = stdout(&log(&["export", path(&data)]));
    assert_eq!(exported.lines().count(), 2, "what can be read is exported");
}

#[test]
fn messages_are_exported_by_topic_and_by_place() {
    let server = TestServer::durable("");
    let first = server.publish("a.x", "one");
    server.publish("b", "two");
    server.publish("a.y", "three");
    let data = server.data();
    let export = |more: &[&str]| -> Vec<u64> {
        let output = log(&[&["export", path(&data)], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let seq = |line: &str| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64();
        stdout(&output).lines().map(|line| seq(line).unwrap()).collect()
    };
    assert_eq!(export(&[]), [1, 2, 3]);
    assert_eq!(export(&["--topic", "a.*"]), [1, 3]);
    assert_eq!(export(&["--since", first.id()]), [2, 3]);
    assert_eq!(export(&["--since", "1h", "--topic", "b,a.y"]), [2, 3]);
    let unknown = log(&["export", path(&data), "--since", "zzzzzzzzzzz0"]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn what_is_imported_keeps_its_times_and_its_members() {
    let folder = tempfile::tempdir().unwrap();
    let lines = concat!(
        r#"{"id":"001000000010","seq":7,"time":1700000000,"event":"message","topic":"a","#,
        r#""message":"old","title":"T","tags":["x"],"priority":5}"#,
        "\n",
        r#"{"time":1700000001,"time_us":1700000001000002,"event":"message","topic":"b","#,
        r#""message":"newer"}"#,
        "\n",
    );
    let data = folder.path().join("new");
    let imported = feed(&mut log_command(&["import", path(&data)]), lines);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let again = feed(&mut log_command(&["import", path(&data)]), lines);
    assert_eq!(again.status.code(), Some(2), "not into a log that is there");
    let flags = format!("--retention-age 36500d --data {}", data.display());
    let server = TestServer::durable(&flags);
    let held = server.get("/a,b/json?poll=1&since=all").events();
    assert_eq!(messages(&held), ["old", "newer"]);
    assert_eq!(seqs(&held), [1, 2]);
    let first: Value = serde_json::from_str(&held[0].line).unwrap();
    assert_eq!((&first["time"], &first["title"]), (&1_700_000_000.into(), &"T".into()));
    assert_eq!((&first["tags"], &first["priority"]), (&["x"][..].into(), &5.into()));
    let second: Value = serde_json::from_str(&held[1].line).unwrap();
    assert_eq!(second["time_us"], 1_700_000_001_000_002_u64);
}

#[test]
fn what_cannot_be_imported_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    for (lines, told) in [
        ("{\"event\":\"message\",\"time\":1,\"topic\":\"a\"}\nno JSON\n", "line 2: "),
        ("{\"event\":\"message\",\"time\":1,\"message\":\"x\"}\n", "line 1: "),
    ] {
        let data = tempfile::tempdir_in(folder.path()).unwrap().path().join("new");
        let refused = feed(&mut log_command(&["import", path(&data)]), lines);
        assert_eq!(refused.status.code(), Some(2));
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains(told) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn a_backup_beside_a_running_server_is_what_the_log_was() {
    let server = TestServer::durable("");
    server.publish_all("t", &vec!["x"; 500]);
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().join("copy");
    let backed_up = log(&["backup", path(&server.data()), path(&to)]);
    assert!(backed_up.status.success());
    let exported = |folder: &Path| stdout(&log(&["export", path(folder)]));
    assert_eq!(exported(&to), exported(&server.data()));
    let again = log(&["backup", path(&server.data()), path(&to)]);
    assert_eq!(again.status.code(), Some(2), "not over something else");
}

#[test]
fn a_backup_has_what_is_kept_beside_the_log() {
    let service = PushService::start();
    let flags = "--web-push mailto:bell@push.example --outbound-allow 127.0.0.0/8";
    let mut server = TestServer::durable_with(flags, service.trusted());
    let sent = |server: &TestServer, request: &Request| {
        let response = server.send(request);
        assert_eq!(response.status, 200, "{}", response.text());
        response
    };
    let browser = Browser::at(&service, "/one");
    sent(&server, &browser.subscribe(&["t"]));
    let upload = Request::new("PUT", "/files").header("Filename", "a").body(b"kept");
    let file = sent(&server, &upload).events().remove(0);
    sent(&server, &Request::post("/later", "waits").header("In", "1h"));
    // As it is while a file waits for its last name.
    let folder = server.data().join("files");
    let named = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    fs::copy(&named, folder.join("AAAAAAAAAAAAAAAAAAAA.part")).unwrap();
    let to = server.data().with_file_name("backup");
    assert!(log(&["backup", path(&server.data()), path(&to)]).status.success());
    server.stop();
    server.restore_data(&to);
    server.restart();
    let at = file["attachment"]["url"].as_str().unwrap();
    let at = &at[at.find("/file/").unwrap()..];
    assert_eq!(server.get(at).text(), "kept");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "and no file that nobody told of");
    let waiting = server.get("/later/json?poll=1&since=none&sched=1").events();
    assert_eq!(messages(&waiting), ["waits"]);
    server.publish("t", "pushed");
    assert_eq!(browser.decrypt(&service.push())["message"]["message"], "pushed");
}

#[test]
fn a_new_epoch_needs_the_server_to_be_stopped() {
    let mut server = TestServer::durable("");
    let before = server.publish("t", "x");
    let refused = log(&["new-epoch", path(&server.data())]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("another process"));
    server.stop();
    assert!(log(&["new-epoch", path(&server.data())]).status.success());
    server.restart();
    let after = server.publish("t", "y");
    assert!(after.id() > before.id());
    assert_eq!(server.poll("t", before.id()), [after]);
}

#[test]
fn a_folder_without_a_log_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for words in [["check", path(folder.path())], ["export", path(folder.path())]] {
        let output = log(&words);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("no log") && said.lines().count() == 1, "{said}");
    }
}

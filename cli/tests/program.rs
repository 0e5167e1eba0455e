//! What the program `doorbell` prints and ends with, against a server that follows a script.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

const OPEN: &str = r#"{"id":"00004ziepp2G","time":1,"event":"open"}"#;
const OK: &str = r#"{"id":"00004ziepp2H","time":1,"event":"ok"}"#;
const CLOSE: &str = r#"{"id":"00004ziepp2J","time":1,"event":"close"}"#;
const ONE: &str = r#"{"id":"00004ziepp2I","time":1,"event":"message","topic":"t","message":"one",
    "title":"T","priority":5,"tags":["a"]}"#;
const TWO: &str = r#"{"id":"00004ziepp2J","time":1,"event":"message","topic":"t",
    "message":"two\u001b[2J"}"#;

fn program(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbell"));
    command
        .args(arguments.split(' '))
        .env_remove("DOORBELL_SERVER")
        .env("DOORBELL_CLIENT_CONFIG", "/dev/null")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(arguments: &str) -> Output {
    program(arguments).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, format!("--server tcp://{address}"))
}

/// Greets, reads one command and answers with these events, each on one line.
async fn serve(listener: &TcpListener, answers: &[&str]) -> (BufStream<TcpStream>, String) {
    let mut peer = BufStream::new(listener.accept().await.unwrap().0);
    peer.write_all(format!("{OPEN}\n").as_bytes()).await.unwrap();
    peer.flush().await.unwrap();
    let mut command = String::new();
    peer.read_line(&mut command).await.unwrap();
    for answer in answers {
        let line = answer.replace('\n', " ") + "\n";
        peer.write_all(line.as_bytes()).await.unwrap();
    }
    peer.flush().await.unwrap();
    (peer, command)
}

#[tokio::test]
async fn messages_are_plain_in_a_pipe_and_nothing_in_them_reaches_the_terminal() {
    let (listener, server) = listen().await;
    let arguments = format!("sub t --count 2 {server}");
    let (output, _peer) = tokio::join!(run(&arguments), serve(&listener, &[OK, ONE, TWO]));
    assert_eq!(
        text(&output.stdout),
        "1970-01-01 00:00:01  t  [max]  T — one  #a\n\
         1970-01-01 00:00:01  t  two\\u{1b}[2J\n"
    );
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn json_is_what_the_server_sent() {
    let (listener, server) = listen().await;
    let arguments = format!("subscribe t --count 1 --format json {server}");
    let (output, _peer) = tokio::join!(run(&arguments), serve(&listener, &[OK, ONE]));
    assert_eq!(text(&output.stdout), ONE.replace('\n', " ") + "\n");
}

#[tokio::test]
async fn a_reader_that_goes_away_is_a_success() {
    let (listener, server) = listen().await;
    let mut child = program(&format!("sub t {server}")).spawn().unwrap();
    let (mut peer, _) = serve(&listener, &[OK, ONE]).await;
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).await.unwrap();
    drop(output);
    peer.write_all((TWO.replace('\n', " ") + "\n").as_bytes()).await.unwrap();
    peer.flush().await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn too_few_messages_in_time_are_a_failure_that_is_explained() {
    let (listener, server) = listen().await;
    let arguments = format!("sub t --count 2 --timeout 1s {server}");
    let (output, _peer) = tokio::join!(run(&arguments), serve(&listener, &[OK, ONE]));
    assert_eq!(text(&output.stderr), "doorbell: timed out after 1s: 1 of 2 messages came\n");
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn losing_the_server_is_told_and_survived() {
    let (listener, server) = listen().await;
    let arguments = format!("sub t --count 2 {server}");
    let scripted = async {
        serve(&listener, &[OK, ONE, CLOSE]).await;
        serve(&listener, &[OK, TWO]).await
    };
    let (output, (_peer, command)) = tokio::join!(run(&arguments), scripted);
    assert_eq!(command, "SUB t since=00004ziepp2I\n");
    assert_eq!(text(&output.stdout).lines().count(), 2);
    let told = text(&output.stderr);
    assert!(told.contains("the server closed the connection; next attempt in"));
    assert!(told.ends_with("doorbell: connected\n"), "{told}");
}

#[tokio::test]
async fn publish_prints_the_id_and_sends_what_was_asked_for() {
    let (listener, server) = listen().await;
    let arguments = format!("pub t --title T --priority high --tags a,b hello there {server}");
    let (output, (_peer, command)) = tokio::join!(run(&arguments), serve(&listener, &[OK]));
    assert_eq!(text(&output.stdout), "00004ziepp2H\n");
    assert_eq!(
        command,
        "PUBJ {\"topic\":\"t\",\"message\":\"hello there\",\"title\":\"T\",\"priority\":4,\
         \"tags\":[\"a\",\"b\"]}\n"
    );
}

#[tokio::test]
async fn a_refused_publish_is_a_failure_that_is_explained() {
    let (listener, server) = listen().await;
    let refusal = r#"{"time":1,"event":"error","code":41301,"http":413,"error":"too long"}"#;
    let arguments = format!("pub t x {server}");
    let answers = [refusal];
    let (output, _peer) = tokio::join!(run(&arguments), serve(&listener, &answers));
    assert_eq!(text(&output.stderr), "doorbell: the server refused: too long (41301)\n");
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn lines_of_the_input_are_messages_and_empty_ones_are_left_out() {
    let (listener, server) = listen().await;
    let mut child =
        program(&format!("pub t --lines --quiet {server}")).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"one\r\n\n \ntwo").await.unwrap();
    drop(input);
    let (mut peer, first) = serve(&listener, &[OK]).await;
    let mut second = String::new();
    peer.read_line(&mut second).await.unwrap();
    peer.write_all(format!("{OK}\n").as_bytes()).await.unwrap();
    peer.flush().await.unwrap();
    assert!(first.contains(r#""message":"one""#), "{first}");
    assert!(second.contains(r#""message":"two""#), "{second}");
    // It says no more, and goes.
    let mut rest = String::new();
    let _ = peer.read_to_string(&mut rest).await;
    assert_eq!(rest, "");
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.stdout, b"");
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    for (arguments, expected) in [
        ("sub t --server https://x/?y", "write https://host:port"),
        ("sub t --server tcps://x --fingerprint 07", "64 digits in hex"),
        (
            "sub t --server tcps://x --ca /x --fingerprint \
             0000000000000000000000000000000000000000000000000000000000000000",
            "cannot be used with",
        ),
        ("compare --server https://x", "is compared in the clear"),
        ("sub t --via sse --server tcp://x", "give the server's http:// address"),
        ("sub a..b", "'a..b' is not letters"),
        ("pub t x --priority 9", "priority '9' is none of"),
        ("compare --server unix:/x", "give the server's http:// address"),
        ("compare --rate 1000 --duration 1h", "3600000 messages are too many"),
        ("ring", "unrecognized subcommand"),
    ] {
        let output = run(arguments).await;
        let told = text(&output.stderr);
        assert!(told.contains(expected), "{arguments}: {told}");
        assert_eq!(output.status.code(), Some(2), "{arguments}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_fails_a_publish_at_once() {
    let (listener, server) = listen().await;
    drop(listener);
    let output = run(&format!("pub t x {server}")).await;
    assert!(text(&output.stderr).starts_with("doorbell: cannot connect to 127.0.0.1:"));
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&format!("completions {shell}")).await;
        assert!(text(&output.stdout).contains("compare"), "{shell}");
    }
}

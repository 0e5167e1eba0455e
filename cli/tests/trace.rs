//! `doorbell trace` against a server that follows a script: what is shown is what crossed the wire.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::process::{Output, Stdio};
use std::time::Duration;

use doorbell_wire::{Capture, Ip, MISSING_PRIVILEGE, Opener, Watched, WireCounts};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(5);

async fn trace(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_doorbell"))
        .args(arguments.split(' '))
        .env_remove("DOORBELL_SERVER")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

fn event(kind: &str, seq: u32) -> String {
    format!("{{\"id\":\"00100000000{seq}\",\"time\":1,\"event\":\"{kind}\",\"message\":\"hi\"}}\n")
}

struct Peer {
    stream: BufReader<TcpStream>,
}

impl Peer {
    /// Accepts and greets.
    async fn accept(listener: &TcpListener) -> Self {
        let stream = listener.accept().await.unwrap().0;
        stream.set_nodelay(true).unwrap();
        let mut peer = Self { stream: BufReader::new(stream) };
        peer.say(&event("open", 1)).await;
        peer
    }

    async fn say(&mut self, line: &str) {
        self.stream.get_mut().write_all(line.as_bytes()).await.unwrap();
    }

    async fn hear(&mut self, verb: &str) {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        assert!(line.starts_with(verb), "{line}");
    }
}

/// One publisher and one subscriber, and what the subscriber's connection cost by the kernel's own
/// counts, as the server sees it.
async fn serve(listener: TcpListener) -> WireCounts {
    let mut publisher = Peer::accept(&listener).await;
    let mut subscriber = Peer::accept(&listener).await;
    subscriber.hear("SUB demo").await;
    subscriber.say(&event("ok", 1)).await;
    publisher.hear("PUBJ").await;
    subscriber.say(&event("message", 2)).await;
    publisher.say(&event("ok", 2)).await;
    subscriber.hear("QUIT").await;
    subscriber.say(&event("close", 2)).await;
    let watched = Watched::new(subscriber.stream.get_ref(), Opener::Passive).unwrap();
    drop(subscriber);
    let counts = watched.finish(LIMIT).await.unwrap();
    assert_eq!(counts.retransmits, 0, "something was sent twice");
    counts.wire(Opener::Passive, Ip::V4)
}

#[tokio::test]
async fn a_subscription_is_shown_to_the_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    if Capture::open("lo", &[address.port()]).is_err() {
        println!("skipped: {MISSING_PRIVILEGE}");
        return;
    }
    let arguments = format!("trace --json --interval 5ms --server tcp://{address}");
    let (output, counted) = tokio::join!(trace(&arguments), serve(listener));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["complete"], true, "{shown:#}");
    let said: Vec<&str> = shown["segments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|segment| segment["words"].as_str().unwrap())
        .filter(|words| *words != "ACK")
        .collect();
    assert_eq!(
        said,
        [
            "SYN",
            "SYN ACK",
            "open",
            "SUB demo",
            "ok",
            "message 'hi'",
            "QUIT",
            "close",
            "FIN ACK",
            "FIN ACK"
        ]
    );
    assert_eq!(shown["server_sent"]["wire_bytes"], counted.bytes_out);
    assert_eq!(shown["server_sent"]["packets"], counted.packets_out);
    assert_eq!(shown["client_sent"]["wire_bytes"], counted.bytes_in);
    assert_eq!(shown["client_sent"]["packets"], counted.packets_in);
}

#[tokio::test]
async fn what_cannot_be_traced_is_said_in_one_line() {
    if Capture::open("lo", &[1]).is_err() {
        let output = trace("trace").await;
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("CAP_NET_RAW"));
        return;
    }
    for (server, expected) in [
        ("unix:/x", "has no packets that could be read"),
        ("tcp://192.0.2.1:9", "192.0.2.1:9 is not on it"),
    ] {
        let output = trace(&format!("trace --server {server}")).await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(expected) && errors.trim_end().lines().count() == 1, "{errors}");
    }
}

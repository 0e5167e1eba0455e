//! The lines of the README and of the page about access, run as they stand.
//!
//! A block is run when `<!-- test: name -->` stands directly above its fence. They run one after
//! the other, against one server on the addresses that the README names.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::client::RunningClient;
use crate::support::server::{binary, run_within, server_command};
use crate::support::{TestServer, messages, skip};

/// The addresses that the README names.
const HTTP: &str = "127.0.0.1:8080";
const TCP: &str = "127.0.0.1:1989";

/// What each block must bring on its standard output.
const EXPECTED: [(&str, &[&str]); 7] = [
    ("publish", &["\"event\":\"message\"", "somebody is here"]),
    ("poll", &["HTTP/1.1 200", "doorbell-next: ", "somebody is here"]),
    ("empty-poll", &["HTTP/1.1 200", "doorbell-next: "]),
    ("lines", &["\"event\":\"open\"", "\"event\":\"ok\"", "pong", "\"event\":\"close\""]),
    ("client", &["somebody is here", "\"message\":\"somebody is here\""]),
    ("compare", &["TCP", "WebSocket", "issed"]),
    ("log", &["a new order\n", "1 messages can be read, 0 are lost"]),
];

/// A block that is marked as runnable.
struct Block {
    name: String,
    script: String,
}

/// Reads the marked blocks of a Markdown text.
fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        let Some(rest) = line.trim().strip_prefix("<!-- test: ") else { continue };
        let name = rest.strip_suffix(" -->").expect("the end of the mark").to_owned();
        assert_eq!(lines.next(), Some("```sh"), "the fence directly below the mark {name}");
        let body = lines.by_ref().take_while(|line| *line != "```");
        let script = body.fold(String::new(), |mut script, line| {
            writeln!(script, "{line}").unwrap();
            script
        });
        blocks.push(Block { name, script });
    }
    blocks
}

fn page(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(name)).unwrap()
}

/// A server on the default addresses, with a log in memory; `None` if somebody else is there.
fn start_server() -> Option<RunningClient> {
    for address in [HTTP, TCP] {
        TcpListener::bind(address).ok()?;
    }
    let mut running = RunningClient::start(server_command().arg("--ephemeral"));
    let ready = running.line().unwrap_or_else(|| panic!("{:?}", running.talk()));
    assert_eq!(ready, format!("ready http={HTTP} tcp={TCP}"), "the README's addresses");
    Some(running)
}

/// Runs a block as somebody would who pasted it, with the binaries on the path and an empty home.
fn paste(block: &Block) -> String {
    paste_at(tempfile::tempdir().unwrap().path(), block)
}

/// The same at somebody's home.
fn paste_at(home: &Path, block: &Block) -> String {
    let binaries = binary("doorbell");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &block.script])
        .env("PATH", format!("{}:{path}", binaries.parent().unwrap().display()))
        .env_remove("DOORBELL_SERVER")
        .env("HOME", home)
        .current_dir(home)
        .stdin(Stdio::null());
    let output = run_within(Duration::from_secs(30), &mut bash);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {stderr}\n{stdout}", block.name);
    stdout
}

#[test]
fn the_lines_of_the_readme_do_what_they_say() {
    let Some(_server) = start_server() else {
        skip(&format!("{HTTP} or {TCP} is in use, and the README names these addresses"));
        return;
    };
    let writing = TestServer::durable("");
    writing.publish("orders.eu", "a new order");
    let home = tempfile::tempdir().unwrap();
    symlink(writing.data(), home.path().join("doorbell-data")).unwrap();
    for block in blocks(&page("README.md")) {
        let output = paste_at(home.path(), &block);
        let expected = EXPECTED.iter().find(|(name, _)| *name == block.name);
        let (_, expected) = expected.unwrap_or_else(|| panic!("what is {} to bring?", block.name));
        for text in *expected {
            assert!(output.contains(text), "{}: no {text} in {output}", block.name);
        }
    }
}

#[test]
fn the_lines_of_the_page_about_access_do_what_they_say() {
    let scripts = blocks(&page("docs/access.md")).into_iter().map(|block| block.script);
    let all = Block { name: "access".to_owned(), script: scripts.collect() };
    let output = paste(&all);
    for text in ["backup  allow 'pub backup.>'", "by allow 'sub orders.>'", "refused\n"] {
        assert!(output.contains(text), "no {text} in {output}");
    }
}

#[test]
fn the_lines_of_the_page_about_the_log_do_what_they_say() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("doorbell-data");
    let mut server = TestServer::durable(&format!("--data {}", data.display()));
    server.publish("orders.eu", "a new order");
    for block in blocks(&page("docs/log.md")) {
        match block.name.as_str() {
            "look" => {
                let output = paste_at(home.path(), &block);
                assert!(output.starts_with("a new order\n{\"id\":"), "{output}");
            }
            "restore" => {
                let lost = server.publish("orders.eu", "after the copy");
                server.stop();
                paste_at(home.path(), &block);
                server.restart();
                let held = server.get("/orders.eu/json?poll=1&since=all").events();
                assert_eq!(messages(&held), ["a new order"]);
                let next = server.publish("orders.eu", "after the restore");
                let resumed = server.get(&format!("/orders.eu/json?poll=1&since={}", lost.id()));
                assert!(resumed.header("doorbell-gap").is_some_and(|gap| gap.contains("lost")));
                assert_eq!(resumed.events()[0].id(), next.id());
            }
            "new-epoch" => {
                server.stop();
                paste_at(home.path(), &block);
                server.restart();
            }
            _ => drop(paste_at(home.path(), &block)),
        }
    }
    let copied = fs::read_dir(home.path().join("copy")).unwrap().count();
    assert!(copied >= 2 && home.path().join("other-folder/00000001.log").exists());
}

#[test]
fn every_runnable_block_of_the_readme_is_marked_and_known() {
    let names: Vec<String> =
        blocks(&page("README.md")).into_iter().map(|block| block.name).collect();
    let expected: Vec<&str> = EXPECTED.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, expected);
}

#[test]
fn marks_and_fences_are_told_from_other_text() {
    let text = "a\n<!-- test: one -->\n```sh\necho 1\necho 2\n```\n```sh\nnot marked\n```\n";
    let found = blocks(text);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].name.as_str(), found[0].script.as_str()), ("one", "echo 1\necho 2\n"));
}

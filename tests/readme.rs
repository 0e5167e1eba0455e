//! The lines of the README and of the book in `docs/`, run as they stand; and whether the book is
//! whole.
//!
//! A block is run when `<!-- test: name -->` stands directly above its fence. They run one after
//! the other, against one server on the addresses that the README names.

use std::collections::BTreeSet;
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

/// How long a block may take. The one that compares takes 18 s where nothing else runs, and all of
/// it is waiting: a machine that is busy adds to that, not in proportion.
const BLOCK_WITHIN: Duration = Duration::from_secs(90);

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

/// What a newcomer reads, in this order, one line after the other.
const FIRST_PAGES: [&str; 5] =
    ["README.md", "docs/by-hand.md", "docs/client.md", "docs/comparison.md", "docs/settings.md"];

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

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn blocks_of_the_first_pages() -> Vec<Block> {
    FIRST_PAGES.iter().flat_map(|name| blocks(&page(name))).collect()
}

/// Where the links of a Markdown text lead that do not leave the repository.
fn links(markdown: &str) -> impl Iterator<Item = &str> {
    let targets = markdown.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.map(|target| target.split('#').next().unwrap());
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
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
    let output = run_within(BLOCK_WITHIN, &mut bash);
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
    for block in blocks_of_the_first_pages() {
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
fn the_book_has_every_page_and_no_link_leads_nowhere() {
    let docs = root().join("docs");
    let summary = page("docs/SUMMARY.md");
    let listed: BTreeSet<&str> = links(&summary).collect();
    let files = fs::read_dir(&docs).unwrap().map(|file| file.unwrap().file_name());
    let pages: BTreeSet<String> = files
        .map(|name| name.into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "md"))
        .filter(|name| name != "SUMMARY.md")
        .collect();
    assert_eq!(listed, pages.iter().map(String::as_str).collect());
    for name in pages.iter().map(|name| format!("docs/{name}")).chain(["README.md".to_owned()]) {
        let text = page(&name);
        let folder = root().join(&name).parent().unwrap().to_owned();
        // As a site the book has nothing beside it.
        let leads = |link: &&str| !link.starts_with("..") && folder.join(link).exists();
        let lost: Vec<&str> = links(&text).filter(|link| !leads(link)).collect();
        assert!(lost.is_empty(), "{name}: {lost:?}");
    }
}

#[test]
fn every_runnable_block_of_the_readme_is_marked_and_known() {
    let mut names: Vec<String> =
        blocks_of_the_first_pages().into_iter().map(|block| block.name).collect();
    // The README rings, and so does the page of those who go on by hand.
    names.dedup();
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

//! The programs of `examples/`: a client in an afternoon must be one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::support::client::RunningClient;
use crate::support::server::run_within;
use crate::support::{TestServer, messages, skip_unless_ci};

/// Starting a Java program from its source, or a compiler on a busy machine.
const SLOW: Duration = Duration::from_secs(60);

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples")
}

fn has(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
}

fn assert_ok(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What both languages must do: hear two messages, the second published by the example itself.
fn converse(mut subscribe: Command, publish: impl FnOnce() -> Command) {
    let server = TestServer::start();
    let [host, port] = [server.tcp.ip().to_string(), server.tcp.port().to_string()];
    let mut subscriber = RunningClient::start(subscribe.args([&host, &port, "demo", "2"]));
    for expected in ["open", "ok"] {
        let line = subscriber.talk().expect("what the server says first");
        assert!(line.contains(&format!("\"event\":\"{expected}\"")), "{line}");
    }
    server.publish("demo", "von weit her: ü 🔔");
    assert_eq!(subscriber.line().as_deref(), Some("von weit her: ü 🔔"));
    let mut publish = publish();
    assert_ok(&run_within(SLOW, publish.args([&host, &port, "demo", "somebody", "is", "here"])));
    assert_eq!(subscriber.line().as_deref(), Some("somebody is here"));
    assert_eq!(subscriber.wait().code(), Some(0));
    assert_eq!(messages(&server.poll("demo", "all")).last(), Some(&"somebody is here"));
}

#[test]
fn the_java_programs_hear_and_ring() {
    if !has("java", "-version") {
        // Not every machine with a compiler for the server has Java; this stays a skip in CI too.
        crate::support::skip("java is not installed");
        return;
    }
    let java = |name: &str| {
        let mut command = Command::new("java");
        // One class each: compiled in memory, started without warming up.
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
        command.arg(examples().join("java").join(name));
        command
    };
    converse(java("Subscribe.java"), || java("Publish.java"));
}

#[test]
fn the_python_program_hears_and_rings_and_comes_back() {
    if !has("python3", "--version") {
        skip_unless_ci("python3 is not installed");
        return;
    }
    let python = || {
        let mut command = Command::new("python3");
        command.arg(examples().join("python/doorbell.py")).env_remove("DOORBELL_TOKEN");
        command
    };
    let mut server = TestServer::durable("");
    let address = format!("http://{}", server.http);
    let mut subscriber =
        RunningClient::start(python().args(["subscribe", &address, "demo.*", "2"]));
    server.await_readers("ndjson", 1);
    let rings = ["publish", &address, "demo.x", "von weit her:", "ü 🔔"];
    let rung = run_within(SLOW, python().args(rings));
    assert_ok(&rung);
    let id = String::from_utf8(rung.stdout).unwrap();
    assert_eq!(server.poll("demo.x", "latest")[0].id(), id.trim());
    assert_eq!(subscriber.line().as_deref(), Some("von weit her: ü 🔔"));
    server.kill();
    server.restart();
    server.publish("demo.x", "after the restart");
    assert_eq!(subscriber.line().as_deref(), Some("after the restart"));
    assert_eq!(subscriber.wait().code(), Some(0));
    let refused = run_within(SLOW, python().args(["publish", &address, "a..b", "x"]));
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("40009"));
}

#[test]
fn the_cpp_programs_compile_and_hear_and_ring() {
    if !has("g++", "--version") {
        skip_unless_ci("g++ is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let compile = |name: &str| {
        let program = folder.path().join(name);
        let source = examples().join("cpp").join(format!("{name}.cpp"));
        let mut compiler = Command::new("g++");
        compiler
            .args(["-std=c++17", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&program)
            .arg(source);
        assert_ok(&run_within(SLOW, &mut compiler));
        program
    };
    let [subscribe, publish] = ["subscribe", "publish"].map(compile);
    converse(Command::new(subscribe), || Command::new(publish));
}

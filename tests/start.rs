//! Starting: the ready line, the settings, and every reason not to start.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::client::RunningClient;
use crate::support::server::{run, server_command};
use crate::support::{Request, TestServer, skip};

/// A server that must not start, in a folder of its own.
fn refused(flags: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = run(server_command().current_dir(&folder).args(flags));
    assert_refusal(&output, flags)
}

fn assert_refusal(output: &Output, what: &[&str]) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{what:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{what:?}: {output:?}");
    assert_eq!(stderr.lines().count(), 1, "{what:?}: one line, not {stderr:?}");
    stderr
}

/// Starts a server by hand and returns what `/v1/config` says and the lines of its output.
fn config_of(command: &mut Command) -> (Value, String, RunningClient) {
    let mut running = RunningClient::start(command);
    let ready = running.line().unwrap_or_else(|| panic!("{:?}", running.talk()));
    let http = ready.split_whitespace().find_map(|word| word.strip_prefix("http=")).unwrap();
    let config = Request::get("/v1/config").send_to(http.parse().unwrap()).json();
    (config, ready, running)
}

fn free_ports(command: &mut Command) -> &mut Command {
    command.args(["--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"])
}

#[test]
fn datagrams_are_taken_on_this_machine_unless_their_port_is_taken() {
    let usual = "127.0.0.1:1990";
    let start = || {
        let mut command = server_command();
        config_of(free_ports(&mut command).arg("--ephemeral").env_remove("DOORBELL_UDP"))
    };
    let Ok(taken) = UdpSocket::bind(usual) else {
        skip(&format!("{usual} is in use, and it is the usual address for datagrams"));
        return;
    };
    let (config, ready, mut running) = start();
    assert!(config["listen"].get("udp").is_none() && !ready.contains("udp="), "{ready}");
    let told = std::iter::from_fn(|| running.talk()).find(|line| line.contains(usual));
    assert!(told.is_some_and(|line| line.contains("no UDP")));
    drop(taken);
    let (config, ready, _running) = start();
    assert!(ready.ends_with(&format!(" udp={usual}")), "{ready}");
    assert_eq!(config["listen"]["udp"], usual);
}

#[test]
fn the_first_line_says_where_the_server_listens() {
    let (config, ready, mut running) =
        config_of(free_ports(&mut server_command()).arg("--ephemeral"));
    let listen = &config["listen"];
    let [http, tcp] = ["http", "tcp"].map(|name| listen[name].as_str().unwrap().to_owned());
    assert_eq!(ready, format!("ready http={http} tcp={tcp}"));
    assert!(listen.get("unix").is_none());
    // Below it are lines for a person to paste.
    let mut advice = String::new();
    while !advice.contains("poll=1") {
        advice += &running.line().expect("more advice");
        advice.push('\n');
    }
    let port = tcp.rsplit_once(':').unwrap().1;
    let room = format!("{} connections", config["limits"]["connections"]);
    for expected in ["nc ", "curl ", "SUB ", &http, port, &room] {
        assert!(advice.contains(expected), "{expected} in {advice}");
    }
}

#[test]
fn the_first_line_names_the_unix_socket_where_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bell.sock");
    let mut command = server_command();
    free_ports(&mut command).arg("--ephemeral").arg("--unix").arg(&path);
    let (config, ready, _running) = config_of(&mut command);
    assert!(ready.ends_with(&format!(" unix={}", path.display())), "{ready}");
    assert_eq!(config["listen"]["unix"], path.display().to_string());
}

#[test]
fn a_wrong_flag_or_value_ends_with_two_and_one_line() {
    for flags in [
        &["--colour"] as &[&str],
        &["word"],
        &["--http", "nowhere"],
        &["--http"],
        &["--tcp", "127.0.0.1:99999"],
        &["--sync", "maybe"],
        &["--keepalive", "soon"],
        &["--keepalive", "0s"],
        &["--retention-age", "1y"],
        &["--retention-bytes", "many"],
        &["--message-bytes", "2MiB"],
        &["--message-bytes", "0"],
        &["--connections", "x"],
        &["--unix-mode", "rw"],
        &["--unix-mode", "060"],
        &["--unix-mode", "1600"],
        &["--config", "/does/not/exist.toml"],
    ] {
        let line = refused(flags);
        assert!(flags.iter().any(|flag| line.contains(flag)), "{flags:?} is named in {line}");
    }
}

#[test]
fn a_port_in_use_ends_with_two_and_one_line() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flags in
        [["--http", &address, "--tcp", "127.0.0.1:0"], ["--tcp", &address, "--http", "127.0.0.1:0"]]
    {
        let line = refused(&[&flags[..], &["--ephemeral"]].concat());
        assert!(line.contains(&address), "{line}");
    }
}

#[test]
fn an_address_that_is_not_this_machines_ends_with_two_and_one_line() {
    refused(&["--http", "192.0.2.1:0", "--tcp", "127.0.0.1:0", "--ephemeral"]);
}

#[test]
fn a_second_server_on_the_same_data_ends_with_two_and_the_first_goes_on() {
    let server = TestServer::durable("");
    server.publish("t", "before");
    let mut command = server_command();
    free_ports(&mut command).arg("--data").arg(server.data());
    let line = assert_refusal(&run(&mut command), &["a second server"]);
    assert!(line.contains(&server.data().display().to_string()), "the folder is named: {line}");
    server.publish("t", "after");
    assert_eq!(server.poll("t", "all").len(), 2);
}

#[test]
fn a_second_server_on_the_same_unix_socket_ends_with_two_and_the_first_goes_on() {
    let server = TestServer::start();
    let mut command = server_command();
    free_ports(&mut command).arg("--ephemeral").arg("--unix").arg(server.unix());
    assert_refusal(&run(&mut command), &["the same socket"]);
    let mut lines = crate::support::Lines::greeted_unix(&server.unix());
    assert_eq!(lines.ask("PING").kind(), "pong");
}

#[test]
fn a_folder_that_cannot_be_used_ends_with_two_and_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    for data in [file.clone(), file.join("below")] {
        let data = data.to_str().unwrap();
        let line = refused(&["--data", data, "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]);
        assert!(line.contains("file"), "{line}");
    }
}

#[test]
fn a_log_that_is_no_log_ends_with_two_and_one_line_and_is_left_alone() {
    let mut server = TestServer::durable("");
    server.publish("t", "x");
    server.stop();
    let segment = server.segments().pop().unwrap();
    let garbage = b"this is no log at all, but somebody's letter. ".repeat(200);
    fs::write(&segment, &garbage).unwrap();
    let data = server.data();
    let data = data.to_str().unwrap();
    refused(&["--data", data, "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]);
    assert_eq!(fs::read(&segment).unwrap(), garbage);
}

#[test]
fn the_log_of_an_older_version_is_refused_in_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("doorbell.db"), b"SQLite format 3\0").unwrap();
    let data = folder.path().to_str().unwrap();
    let line = refused(&["--data", data, "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]);
    assert!(line.contains("doorbell.db") && line.contains("log import"), "{line}");
}

#[test]
fn the_log_of_a_newer_version_is_refused_in_one_line_and_left_alone() {
    let mut server = TestServer::durable("");
    server.publish("t", "x");
    server.stop();
    let segment = server.segments().pop().unwrap();
    let text = fs::read_to_string(&segment).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    // Its checksum is that of all that follows it in the line.
    let head = head[9..].replacen("\"version\":1", "\"version\":2", 1);
    let newer = format!("{:08x} {head}\n{rest}", crc32fast::hash(head.as_bytes()));
    fs::write(&segment, &newer).unwrap();
    let data = server.data();
    let data = data.to_str().unwrap();
    let line = refused(&["--data", data, "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]);
    assert!(line.contains("newer doorbell (version 2"), "{line}");
    assert_eq!(fs::read_to_string(&segment).unwrap(), newer);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("doorbell.toml");
    fs::write(&file, "keepalive = \"7s\"\nephemeral = true\nmessage_bytes = \"1KiB\"\n").unwrap();
    let keepalive = |adjust: &dyn Fn(&mut Command)| {
        let mut command = server_command();
        free_ports(&mut command).current_dir(&folder).args(["--ephemeral"]);
        adjust(&mut command);
        let (config, _, _running) = config_of(&mut command);
        (config["keepalive_seconds"].as_f64().unwrap(), config["limits"]["message_bytes"].clone())
    };
    let with_file = |command: &mut Command| {
        command.arg("--config").arg(&file);
    };
    assert_eq!(keepalive(&|_| {}), (40.0, 4096.into()));
    assert_eq!(keepalive(&with_file), (7.0, 1024.into()));
    let and_environment = |command: &mut Command| {
        with_file(command);
        command.env("DOORBELL_KEEPALIVE", "8s");
    };
    assert_eq!(keepalive(&and_environment), (8.0, 1024.into()));
    let and_flag = |command: &mut Command| {
        and_environment(command);
        command.args(["--keepalive", "9s"]);
    };
    assert_eq!(keepalive(&and_flag), (9.0, 1024.into()));
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("doorbell.toml");
    fs::write(&file, "keepalive = \"7s\"\n").unwrap();
    let help = run(server_command().arg("--help"));
    let help = String::from_utf8(help.stdout).unwrap();
    let variables = help.split("[env: ").skip(1).map(|rest| rest.split(['=', ']']).next().unwrap());
    let mut command = server_command();
    free_ports(&mut command).arg("--ephemeral").arg("--config").arg(&file);
    let mut count = 0;
    for variable in variables {
        command.env(variable, "");
        count += 1;
    }
    assert!(count > 25, "{count} variables in the help");
    let (config, _, _running) = config_of(&mut command);
    assert_eq!(config["keepalive_seconds"], 7.0);
    let refusal = run(server_command().args(["--keepalive", ""]));
    assert_refusal(&refusal, &["--keepalive", "''"]);
}

#[test]
fn an_error_about_a_setting_names_it_as_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("doorbell.toml");
    for (key, variable, flag, value) in [
        ("keepalive", "DOORBELL_KEEPALIVE", "--keepalive", "soon"),
        ("keepalive", "DOORBELL_KEEPALIVE", "--keepalive", "1ms"),
        ("retention_bytes", "DOORBELL_RETENTION_BYTES", "--retention-bytes", "7"),
        ("http", "DOORBELL_HTTP", "--http", "nowhere"),
        ("visitor_requests", "DOORBELL_VISITOR_REQUESTS", "--visitor-requests", "much"),
    ] {
        fs::write(&file, format!("{key} = \"{value}\"\n")).unwrap();
        let mut by_file = server_command();
        by_file.arg("--config").arg(&file);
        let mut by_variable = server_command();
        by_variable.env(variable, value);
        let mut by_flag = server_command();
        by_flag.args([flag, value]);
        for (command, named) in [
            (&mut by_file, &format!("{key} in {}", file.display())),
            (&mut by_variable, &variable.to_owned()),
            (&mut by_flag, &flag.to_owned()),
        ] {
            let line = assert_refusal(&run(command.current_dir(&folder)), &[named, value]);
            let all = [key, variable, flag];
            assert!(line.contains(named.as_str()), "{named} in {line}");
            let others = all.iter().filter(|other| !named.contains(**other));
            for other in others.filter(|other| **other != key) {
                assert!(!line.contains(other), "{other} in {line}");
            }
        }
    }
}

#[test]
fn listeners_may_be_named_by_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("env.sock");
    let mut command = server_command();
    command
        .env("DOORBELL_HTTP", "127.0.0.1:0")
        .env("DOORBELL_TCP", "127.0.0.1:0")
        .env("DOORBELL_UNIX", &path)
        .env("DOORBELL_EPHEMERAL", "true");
    let (config, ready, _running) = config_of(&mut command);
    assert!(ready.ends_with(&format!(" unix={}", path.display())), "{ready}");
    assert_ne!(config["listen"]["http"], "127.0.0.1:8080");
}

#[test]
fn a_file_with_a_wrong_key_or_value_ends_with_two_and_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("doorbell.toml");
    for (text, named) in [
        ("colour = \"red\"", "colour"),
        ("keepalive = \"soon\"", "soon"),
        ("keepalive = [1]", "keepalive"),
        ("= nonsense", "doorbell.toml"),
    ] {
        fs::write(&file, text).unwrap();
        let line = refused(&["--config", file.to_str().unwrap()]);
        assert!(line.contains(named), "{named} in {line}");
    }
}

#[test]
fn the_help_lists_every_setting_with_its_variable() {
    let output = run(server_command().arg("--help"));
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in [
        "http",
        "tcp",
        "unix",
        "unix-mode",
        "data",
        "ephemeral",
        "sync",
        "retention-age",
        "retention-bytes",
        "keepalive",
        "grace",
        "config",
        "message-bytes",
        "line-bytes",
        "filter-topics",
        "header-bytes",
        "subscriptions",
        "connections",
        "inflight-bytes",
        "write-deadline",
        "unfinished",
    ] {
        assert!(help.contains(&format!("--{flag}")), "--{flag}");
        let variable = format!("DOORBELL_{}", flag.to_uppercase().replace('-', "_"));
        assert!(help.contains(&variable), "{variable}");
    }
    for default in
        ["127.0.0.1:8080", "127.0.0.1:1989", "./doorbell-data", "12h", "1GiB", "40s", "5s"]
    {
        assert!(help.contains(default), "{default}");
    }
    let version = run(server_command().arg("--version"));
    assert!(version.stdout.starts_with(b"doorbell-server "));
}

#[test]
fn the_default_data_folder_is_beside_the_caller_and_memory_needs_none() {
    let folder = tempfile::tempdir().unwrap();
    let start = |more: &[&str]| {
        let mut command = server_command();
        free_ports(&mut command).current_dir(&folder).args(more);
        drop(config_of(&mut command));
        folder.path().join("doorbell-data").is_dir()
    };
    assert!(!start(&["--ephemeral"]), "a log in memory writes nothing");
    assert!(start(&[]));
}

#[test]
fn the_server_serves_on_when_nobody_reads_its_output() {
    let (config, _, mut running) = config_of(free_ports(&mut server_command()).arg("--ephemeral"));
    running.close_output();
    let http = config["listen"]["http"].as_str().unwrap().parse().unwrap();
    for _ in 0..3 {
        assert_eq!(Request::get("/v1/health").send_to(http).status, 200);
    }
}

//! The program as one calls it: a small fan-out of the server beside a floor program. Nothing is
//! said about speed.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

const SUBSCRIBERS: u64 = 10;

/// The server, built beside this test.
fn server() -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let beside = || own.ancestors().nth(2).expect("it is in target/debug/deps").to_owned();
    let folder = std::env::var_os("DOORBELL_BIN_DIR").map_or_else(beside, PathBuf::from);
    let path = folder.join("doorbell-server");
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build -p doorbell-server` first",
        path.display()
    );
    path
}

fn bench(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(words).stdin(Stdio::null());
    command
}

#[test]
fn a_quick_fan_out_delivers_everything_and_says_so_in_a_table_and_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("results.json");
    let output = bench(&[
        "fanout",
        "--quick",
        "--contenders",
        "floor*,doorbell-*",
        "--seed",
        "7",
        "--seconds",
        "0.5",
    ])
    .args(["--subscribers", &SUBSCRIBERS.to_string(), "--inflight", "1,4"])
    .arg("--json")
    .arg(&json)
    .arg("--server-binary")
    .arg(server())
    .output()
    .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");

    let results: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(results["schema"], 1);
    assert_eq!(results["seed"], 7);
    for member in ["machine", "versions", "flags", "left_out", "load_average"] {
        assert!(!results[member].is_null(), "no {member} in {results:#}");
    }
    let rows = results["reports"][0]["rows"].as_array().unwrap();
    let of = |contender: &str| rows.iter().filter(|row| row["contender"] == contender).count();
    for contender in ["floor", "floor-batch", "doorbell-tcp", "doorbell-ws", "doorbell-sse"]
        .into_iter()
        .chain(["floor-tls", "floor-batch-tls", "doorbell-tcp-tls"])
    {
        assert_eq!(of(contender), 2, "{contender} in {results:#}");
    }
    for row in rows {
        assert_eq!(row["case"]["subscribers"], SUBSCRIBERS.to_string());
        let median = |figure: &str| row["figures"][figure]["summary"]["median"].as_f64();
        for fault in ["lost", "disordered", "damaged", "closed"] {
            assert_eq!(median(fault), Some(0.0), "{fault} in {row:#}");
        }
        assert!(median("deliveries_per_second").unwrap() > 0.0, "{row:#}");
        assert!(median("server_cpu_per_million").unwrap() > 0.0, "{row:#}");
        let base = row["base"].as_str().unwrap();
        assert!(row["figures"]["server_cpu_per_million"]["ratio_to"][base]["median"].is_f64());
    }
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("fan-out: subscribers 10, in flight 4, bytes 128"), "{table}");
    assert!(table.contains("doorbell-longpoll"), "{table}");
}

#[test]
fn sessions_without_sockets_get_what_is_published_and_their_costs_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("results.json");
    let output = bench(&["sessions", "--quick", "--sessions", "2000", "--topics", "1,200"])
        .arg("--json")
        .arg(&json)
        .arg("--server-binary")
        .arg(server())
        .output()
        .unwrap();
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{table}");
    let results: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let rows = results["reports"][0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 6, "{results:#}");
    for row in rows {
        assert_eq!(row["case"]["sessions"], "2000");
        let median = |figure: &str| row["figures"][figure]["summary"]["median"].as_f64();
        for figure in ["deliveries_per_second", "server_cpu_per_million", "stream_bytes_each"] {
            assert!(median(figure).unwrap() > 0.0, "{figure} in {row:#}");
        }
        let session = median("user_bytes_each").unwrap();
        assert!(row["contender"] != "doorbell" || session > 0.0, "{row:#}");
    }
}

#[test]
fn growth_is_drawn_and_told_for_each_thing_that_grew() {
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("growth.svg");
    let output = bench(&["grow", "--quick", "--subscribers", "10,100", "--topics", "1,10"])
        .arg("--chart")
        .arg(&chart)
        .arg("--server-binary")
        .arg(server())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let table = String::from_utf8(output.stdout).unwrap();
    let svg = std::fs::read_to_string(&chart).unwrap();
    for axis in ["subscribers of a topic", "topics"] {
        let note = format!("ten times the {axis}: a delivery costs ");
        assert!(table.contains(&note) && svg.contains(&note), "{table}\n{svg}");
    }
    assert!(!svg.contains("messages a second"), "only one rate was measured: {svg}");
    // 10 connections × 10 topics, 100 × 10 and 10 × 1: a line of two points for each contender and
    // axis.
    assert_eq!(svg.matches("<circle").count(), 8, "{svg}");
}

#[test]
fn a_large_answer_is_measured_beside_a_handler_and_an_earlier_build() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("results.json");
    let output = bench(&["large", "--quick", "--messages", "200"])
        .arg("--json")
        .arg(&json)
        .arg("--server-binary")
        .arg(server())
        .arg("--earlier-binary")
        .arg(server())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let results: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(results["versions"]["earlier-doorbell"], results["versions"]["doorbell-http"]);
    let rows = results["reports"][0]["rows"].as_array().unwrap();
    let contenders: Vec<_> = rows.iter().map(|row| row["contender"].as_str().unwrap()).collect();
    let all = ["floor-http", "floor-http-pieces", "doorbell-http", "earlier-doorbell-http"];
    assert_eq!(contenders, all);
    for row in rows {
        assert!(row["case"]["bytes"].as_str().unwrap().parse::<u64>().unwrap() > 200_000);
        for figure in ["latency_p50_ms", "server_cpu_per_million_answers"] {
            let figure = &row["figures"][figure];
            assert!(figure["summary"]["median"].as_f64().unwrap() > 0.0, "{row:#}");
            assert!(figure["ratio_to"]["floor-http"]["median"].is_f64(), "{row:#}");
        }
    }
}

#[test]
fn an_attack_is_told_beside_what_it_costs_without_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("results.json");
    let output = bench(&["attack", "--quick", "--contenders", "half-closed,http2-halves"])
        .args(["--seconds", "0.3"])
        .arg("--json")
        .arg(&json)
        .arg("--server-binary")
        .arg(server())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let results: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let rows = results["reports"][0]["rows"].as_array().unwrap();
    let attacks: Vec<_> = rows.iter().map(|row| row["contender"].as_str().unwrap()).collect();
    assert_eq!(attacks, ["half-closed", "http2-halves"]);
    for row in rows {
        let median = |figure: &str| row["figures"][figure]["summary"]["median"].as_f64();
        for figure in ["alone_p99_ms", "control_p99_ms", "latency_p99_ms", "bound_mib"] {
            assert!(median(figure).unwrap() > 0.0, "{figure} in {row:#}");
        }
        assert!(median("peak_growth_mib").is_some(), "{row:#}");
    }
}

#[test]
fn what_cannot_be_measured_is_told_in_a_line() {
    let refusal = |words: &[&str]| {
        let output = bench(words).output().unwrap();
        assert!(!output.status.success(), "{words:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let missing = refusal(&["fanout", "--quick", "--server-binary", "/nowhere/doorbell-server"]);
    assert_eq!(missing, "bench: --server-binary /nowhere/doorbell-server is no file\n");
    let server = server().display().to_string();
    let earlier = ["fanout", "--server-binary", &server, "--earlier-binary", "/nowhere"];
    assert_eq!(refusal(&earlier), "bench: --earlier-binary /nowhere is no file\n");
    let unknown = refusal(&["fanout", "--server-binary", &server, "--contenders", "reddis"]);
    assert!(unknown.starts_with("bench: --contenders reddis is none of floor, "), "{unknown}");
    let short = refusal(&["fanout", "--quick", "--server-binary", &server, "--payload", "31"]);
    assert!(short.contains("--payload 31 is below 32"), "{short}");
}

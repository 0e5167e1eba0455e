//! The program as one calls it: a small fan-out of the server beside a floor program. Nothing is
//! said about speed.

#![allow(clippy::unwrap_used, reason = "what is not as it should be fails a test")]

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

/// Runs a measurement of the server to its end: the table that it prints, and its results as JSON.
fn measured(words: &[&str]) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("results.json");
    let mut command = bench(words);
    command.arg("--json").arg(&json).arg("--server-binary").arg(server());
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let results = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    (String::from_utf8(output.stdout).unwrap(), results)
}

fn rows(results: &Value) -> &Vec<Value> {
    results["reports"][0]["rows"].as_array().unwrap()
}

fn contenders(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["contender"].as_str().unwrap()).collect()
}

fn median(row: &Value, figure: &str) -> Option<f64> {
    row["figures"][figure]["summary"]["median"].as_f64()
}

#[test]
fn a_quick_fan_out_delivers_everything_and_says_so_in_a_table_and_in_json() {
    let subscribers = SUBSCRIBERS.to_string();
    // Without the cluster, which needs servers of others.
    let contenders = "floor*,doorbell-tcp*,doorbell-ws,doorbell-sse,doorbell-longpoll";
    let words = ["fanout", "--quick", "--contenders", contenders, "--seed", "7"];
    let more = ["--seconds", "0.5", "--subscribers", &subscribers, "--inflight", "1,4"];
    let (table, results) = measured(&[&words[..], &more].concat());
    assert_eq!(results["schema"], 1);
    assert_eq!(results["seed"], 7);
    for member in ["machine", "versions", "flags", "left_out", "load_average"] {
        assert!(!results[member].is_null(), "no {member} in {results:#}");
    }
    let rows = rows(&results);
    let of = |contender: &str| rows.iter().filter(|row| row["contender"] == contender).count();
    for contender in ["floor", "floor-batch", "doorbell-tcp", "doorbell-ws", "doorbell-sse"]
        .into_iter()
        .chain(["floor-tls", "floor-batch-tls", "doorbell-tcp-tls"])
    {
        assert_eq!(of(contender), 2, "{contender} in {results:#}");
    }
    for row in rows {
        assert_eq!(row["case"]["subscribers"], SUBSCRIBERS.to_string());
        for fault in ["lost", "disordered", "damaged", "closed"] {
            assert_eq!(median(row, fault), Some(0.0), "{fault} in {row:#}");
        }
        assert!(median(row, "deliveries_per_second").unwrap() > 0.0, "{row:#}");
        assert!(median(row, "server_cpu_per_million").unwrap() > 0.0, "{row:#}");
        let base = row["base"].as_str().unwrap();
        assert!(row["figures"]["server_cpu_per_million"]["ratio_to"][base]["median"].is_f64());
    }
    assert!(table.contains("fan-out: subscribers 10, in flight 4, bytes 128"), "{table}");
    assert!(table.contains("doorbell-longpoll"), "{table}");
}

#[test]
fn sessions_without_sockets_get_what_is_published_and_their_costs_are_told() {
    let words = ["sessions", "--quick", "--sessions", "2000", "--topics", "1,200"];
    let (_, results) = measured(&words);
    let rows = rows(&results);
    assert_eq!(rows.len(), 6, "{results:#}");
    for row in rows {
        assert_eq!(row["case"]["sessions"], "2000");
        for figure in ["deliveries_per_second", "server_cpu_per_million", "stream_bytes_each"] {
            assert!(median(row, figure).unwrap() > 0.0, "{figure} in {row:#}");
        }
        let session = median(row, "user_bytes_each").unwrap();
        assert!(row["contender"] != "doorbell" || session > 0.0, "{row:#}");
    }
}

#[test]
fn growth_is_drawn_and_told_for_each_thing_that_grew() {
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("growth.svg");
    let words = ["grow", "--quick", "--subscribers", "10,100", "--topics", "1,10", "--chart"];
    let (table, _) = measured(&[&words[..], &[chart.to_str().unwrap()]].concat());
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
    let earlier = server();
    let words = ["large", "--quick", "--messages", "200", "--earlier-binary"];
    let (_, results) = measured(&[&words[..], &[earlier.to_str().unwrap()]].concat());
    assert_eq!(results["versions"]["earlier-doorbell"], results["versions"]["doorbell-http"]);
    let rows = rows(&results);
    let all = ["floor-http", "floor-http-pieces", "doorbell-http", "earlier-doorbell-http"];
    assert_eq!(contenders(rows), all);
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
    let words =
        ["attack", "--quick", "--contenders", "half-closed,http2-halves", "--seconds", "0.3"];
    let (_, results) = measured(&words);
    let rows = rows(&results);
    assert_eq!(contenders(rows), ["half-closed", "http2-halves"]);
    for row in rows {
        for figure in ["alone_p99_ms", "control_p99_ms", "latency_p99_ms", "bound_mib"] {
            assert!(median(row, figure).unwrap() > 0.0, "{figure} in {row:#}");
        }
        assert!(median(row, "peak_growth_mib").is_some(), "{row:#}");
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

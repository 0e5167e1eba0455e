//! `doorbell compare`: what it measures agrees with arithmetic, and what it writes can be used.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::support::client::client_command;
use crate::support::server::run_within;

/// Standard errors that chance alone does not reach.
const CHANCE: f64 = 4.0;
/// Microseconds that a busy machine may add to the mean delay of a poll.
const BUSY_US: f64 = 6_000.0;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn compare(arguments: &str) -> Output {
    let mut command = client_command();
    command.arg("compare").args(arguments.split(' '));
    let output = run_within(Duration::from_secs(60), &mut command);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    output
}

fn json(arguments: &str) -> Value {
    serde_json::from_slice(&compare(&format!("{arguments} --json")).stdout).unwrap()
}

fn rows(report: &Value) -> &Vec<Value> {
    report["contenders"].as_array().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn polls_wait_and_find_nothing_as_often_as_arithmetic_expects() {
    let report = json(
        "--via poll-new,poll-plain,poll,tcp --rate 20 --interval 100ms --duration 5s \
         --subscribers 4 --seed 7",
    );
    let mut polls = 0;
    for row in rows(&report).iter().filter(|row| row["interval_s"].is_number()) {
        let (expected, window) = (&row["expected"], &row["window"]);
        assert_eq!((&row["missed"], &row["repeated"]), (&0.into(), &0.into()), "{row}");
        let mean = number(&row["latency_us"]["mean"]);
        let away = (mean - number(&expected["mean_us"])).abs();
        let chance = CHANCE * number(&expected["mean_error_us"]);
        assert!(away < chance + BUSY_US, "{}: {away} µs, chance {chance}", row["name"]);

        let share = number(&window["empty"]) / number(&window["requests"]);
        let away = (share - number(&expected["empty_share_of_these_times"])).abs();
        let chance = CHANCE * number(&expected["empty_share_error"]);
        assert!(away < chance, "{}: {away}, chance {chance}", row["name"]);

        let bytes = number(&window["wire_bytes"]["in"]) + number(&window["wire_bytes"]["out"]);
        let ratio = bytes / number(&window["seconds"]) / number(&expected["wire_bytes_per_s"]);
        assert!((0.85..1.15).contains(&ratio), "{}: bytes {ratio}", row["name"]);
        polls += 1;
    }
    assert_eq!(polls, 3);
}

#[test]
fn the_rate_at_which_polling_wins_is_found_by_measurement_and_by_formula() {
    let report = json("sweep --rates 5,15,45,135 --interval 200ms --duration 2s --seed 7");
    let crossovers = report["sweep"]["crossovers"].as_array().unwrap();
    assert_eq!(crossovers.len(), 3, "{crossovers:?}");
    for crossover in crossovers {
        let ratio = number(&crossover["measured"]) / number(&crossover["computed"]);
        assert!((0.6..1.7).contains(&ratio), "{crossover}");
    }
    // Where nothing is gathered polling wins in the end; the table says so in words.
    let output = compare("sweep --rates 5,135 --interval 200ms --duration 1s");
    let table = text(&output.stdout);
    assert!(table.contains("Polling wins here"), "{table}");
}

#[test]
fn apart_the_server_is_measured_for_each_contender() {
    let report = json(
        "--via poll,tcp --rate 50 --interval 100ms --duration 1s --mode apart --rounds 2 --project 1000",
    );
    for row in rows(&report) {
        assert_eq!(row["missed"], 0, "{row}");
        assert_eq!(row["rounds"].as_array().unwrap().len(), 2, "{row}");
        assert!(row["server_cpu_us_per_delivery"].is_number(), "{row}");
    }
    assert_eq!(report["run"]["rounds_done"], 2);
    let projected = &report["projection"]["contenders"][0];
    let requests = number(&projected["requests_per_s"]);
    assert!((8_000.0..12_000.0).contains(&requests), "1000 clients each 100 ms: {projected}");
}

#[test]
fn a_report_is_one_file_that_needs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (page, file) = (folder.path().join("report.html"), folder.path().join("result.json"));
    let output = compare(&format!(
        "--rate 10 --interval 200ms --duration 1s --report {} --json {}",
        page.display(),
        file.display()
    ));
    assert!(text(&output.stdout).contains("missed"), "the table is shown as well");
    let page = std::fs::read_to_string(page).unwrap();
    assert_eq!(page.matches("<svg").count(), 4, "timeline, delays, bytes, interval");
    for foreign in ["src=", "@import", "url(", "href=\"http", "could not be drawn"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    let result: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(result["schema"], 1);
    for member in ["machine", "versions", "run", "generator", "contenders", "units", "sweep"] {
        assert!(!result[member].is_null(), "{member}");
    }
    assert!(result["run"]["seed"].is_number());
}

#[test]
fn a_file_is_replayed_with_its_times() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("traffic.jsonl");
    let lines: String = (0..20)
        .map(|n| {
            format!("{{\"time\":{}.5,\"topic\":\"t{}\",\"message\":\"hello\"}}\n", 100 + n, n % 3)
        })
        .collect();
    std::fs::write(&file, lines).unwrap();
    let arguments = format!("--via tcp,sse --replay {} --speed 20", file.display());
    let report = json(&arguments);
    assert_eq!(report["run"]["published"], 20);
    assert_eq!(report["run"]["topics"], 3);
    for row in rows(&report) {
        assert_eq!(row["delivered"], 20, "{row}");
        let last = &row["deliveries"][19]["planned_us"];
        assert!((940_000.0..960_000.0).contains(&number(last)), "{last}");
    }
}

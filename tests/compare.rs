//! `doorbell compare`: what it measures agrees with arithmetic, and what it writes can be used.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::client::client_command;
use crate::support::server::run_within;
use crate::support::{TestServer, eventually, skip};

/// How long a run may take beside much else.
const RUN_MAX: Duration = Duration::from_secs(120);
/// Standard errors that chance alone does not reach.
const CHANCE: f64 = 4.0;
/// Microseconds that a busy machine may add to the mean delay of a poll.
const BUSY_US: f64 = 6_000.0;
/// Runs in which something that others do may be in the figures.
const ATTEMPTS: usize = 5;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn command(arguments: &str) -> Command {
    let mut command = client_command();
    command.arg("compare").args(arguments.split_whitespace());
    command
}

fn outcome(arguments: &str) -> Output {
    run_within(Duration::from_secs(60), &mut command(arguments))
}

/// What is told where packets cannot be had.
const NO_NETWORK: &str = "a network of its own needs root";

/// As [`compare`]; `None`, and a line that says why, if the machine does not permit it.
fn if_permitted(arguments: &str, missing: &str) -> Option<Value> {
    unless_missing(&mut command(&format!("{arguments} --json")), missing)
}

fn unless_missing(command: &mut Command, missing: &str) -> Option<Value> {
    let output = run_within(RUN_MAX, command);
    let errors = text(&output.stderr);
    if matches!(output.status.code(), Some(1 | 2)) && errors.contains(missing) {
        assert_eq!(errors.trim_end().lines().count(), 1, "{errors}");
        skip(errors.trim_end());
        return None;
    }
    assert_eq!(output.status.code(), Some(0), "{errors}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn compare(arguments: &str) -> Output {
    let output = outcome(arguments);
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

/// Measures until nothing is to be complained of. On a machine whose processors all have more to do
/// than they can, polls are late and the figures are not those of polling; but not for ever.
fn in_the_end(arguments: &str, complaints: impl Fn(&Value) -> Vec<String>) {
    let mut last = Vec::new();
    for _ in 0..ATTEMPTS {
        last = complaints(&json(arguments));
        if last.is_empty() {
            return;
        }
    }
    panic!("each of {ATTEMPTS} runs is wrong, the last: {last:#?}");
}

#[test]
fn polls_wait_and_find_nothing_as_often_as_arithmetic_expects() {
    let arguments = "--via poll-new,poll-plain,poll,tcp --rate 20 --interval 100ms --duration 5s \
                     --subscribers 4 --seed 7 --idle 1s";
    in_the_end(arguments, |report| {
        let polls = rows(report).iter().filter(|row| row["interval_s"].is_number());
        assert_eq!(polls.clone().count(), 3);
        polls.flat_map(unlike_arithmetic).collect()
    });
}

/// Where a poll is further from what is expected than chance explains.
fn unlike_arithmetic(row: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    let (expected, window) = (&row["expected"], &row["window"]);
    assert_eq!((&row["missed"], &row["repeated"]), (&0.into(), &0.into()), "{row}");
    let mean = number(&row["latency_us"]["mean"]);
    let away = (mean - number(&expected["mean_us"])).abs();
    let chance = CHANCE * number(&expected["mean_error_us"]);
    if away >= chance + BUSY_US {
        complaints.push(format!("{}: delay {away} µs away, chance {chance}", row["name"]));
    }

    let share = number(&window["empty"]) / number(&window["requests"]);
    let away = (share - number(&expected["empty_share_of_these_times"])).abs();
    let chance = CHANCE * number(&expected["empty_share_error"]);
    if away >= chance {
        complaints.push(format!("{}: empty {away} away, chance {chance}", row["name"]));
    }

    let bytes = number(&window["wire_bytes"]["in"]) + number(&window["wire_bytes"]["out"]);
    let ratio = bytes / number(&window["seconds"]) / number(&expected["wire_bytes_per_s"]);
    if !(0.85..1.15).contains(&ratio) {
        complaints.push(format!("{}: {ratio} times the bytes", row["name"]));
    }
    complaints
}

#[test]
fn a_run_that_is_too_short_for_a_figure_leaves_it_out_or_says_so() {
    let report = json("--via poll,tcp --rate 10 --interval 1s --duration 4s --seed 5 --idle 1s");
    for row in rows(&report) {
        let delays = &row["latency_us"];
        assert!((10..100).contains(&delays["count"].as_u64().unwrap()), "{delays}");
        assert!(delays["p90"].is_u64() && delays["p99"].is_null() && delays["p999"].is_null());
        let [least, most] = [0, 1].map(|end| number(&delays["p50_range"][end]));
        assert!(least <= number(&delays["p50"]) && number(&delays["p50"]) <= most, "{delays}");
    }
    let warnings = report["generator"]["warnings"].to_string();
    assert!(warnings.contains("shorter than 10 intervals") && warnings.contains("10s"));
    // Four polls brought what some forty messages share, of which the last came after the window.
    let poll = &rows(&report)[0];
    let each = number(&poll["wire_bytes_per_delivery"]);
    let window = &poll["window"];
    let bytes = number(&window["wire_bytes"]["in"]) + number(&window["wire_bytes"]["out"]);
    assert!(number(&window["delivered"]) < number(&poll["delivered"]), "{window}");
    assert!(each < bytes / number(&window["delivered"]), "{each}: {window}");
    assert!(each > bytes / number(&poll["delivered"]), "{each}: {window}");
    assert!(number(&poll["wire_bytes_per_delivery_error"]) > 1.0);
}

#[test]
fn the_rate_at_which_polling_wins_is_found_by_measurement_and_by_formula() {
    in_the_end("sweep --rates 5,15,45,135 --interval 200ms --duration 2s --seed 7", |report| {
        let crossovers = report["sweep"]["crossovers"].as_array().unwrap();
        assert_eq!(crossovers.len(), 3, "{crossovers:?}");
        let is_wrong = |crossover: &&Value| {
            let measured = crossover["measured"].as_f64();
            let ratio = measured.map(|measured| measured / number(&crossover["computed"]));
            !ratio.is_some_and(|ratio| (0.6..1.7).contains(&ratio))
        };
        crossovers.iter().filter(is_wrong).map(Value::to_string).collect()
    });
    // Where nothing is gathered polling wins in the end; the table says so in words. Where push
    // gathers as polls do, it does not.
    let output = compare("sweep --rates 5,135 --interval 200ms --duration 1s --coalesce 200ms");
    let table = text(&output.stdout);
    assert!(table.contains("Polling wins here") && table.contains("tcp +200ms"), "{table}");
    assert!(table.contains("not in this range") && table.contains("never"), "{table}");
}

#[test]
fn push_that_gathers_saves_packets_and_comes_within_its_window() {
    let arguments = "--via poll,sse,tcp,udp --rate 40 --interval 200ms --coalesce 200ms \
                     --duration 4s --seed 7 --idle 1s";
    in_the_end(arguments, |report| {
        let named = |name: &str| rows(report).iter().find(|row| row["name"] == name);
        assert_eq!(rows(report).len(), 6, "datagrams and polls have no window");
        let mut complaints = Vec::new();
        for via in ["sse", "tcp"] {
            let (at_once, gathered) =
                (named(via).unwrap(), named(&format!("{via} +200ms")).unwrap());
            assert_eq!((&gathered["missed"], &gathered["out_of_order"]), (&0.into(), &0.into()));
            assert_eq!(gathered["coalesce_s"], 0.2);
            assert!(at_once["coalesce_s"].is_null());
            // Nine messages go together, on average: the first and those of 200 ms.
            for figure in ["packets_per_delivery", "wakeups_per_delivery"] {
                let ratio = number(&gathered[figure]) / number(&at_once[figure]);
                if !(0.05..0.3).contains(&ratio) {
                    complaints.push(format!("{via}: {ratio} times the {figure}"));
                }
            }
            let mean = number(&gathered["latency_us"]["mean"]);
            if !(80_000.0..200_000.0).contains(&mean) {
                complaints.push(format!("{via}: {mean} µs late"));
            }
        }
        complaints
    });
    let wrong = outcome("--via poll,udp --coalesce 1s");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("--coalesce is for what is pushed"));
}

/// The processes that a process has begun and that run.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let lists =
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>())
        .collect()
}

fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // One that has ended and that nobody has asked about stands there still.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

#[test]
fn a_comparison_that_is_killed_leaves_no_server_behind() {
    let mut compared = command("--via tcp --duration 60s")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let servers = eventually("two servers", || {
        Some(children(compared.id())).filter(|children| children.len() == 2)
    });
    compared.kill().unwrap();
    compared.wait().unwrap();
    eventually("the end of both", || (!servers.iter().any(|pid| runs(*pid))).then_some(()));
}

#[test]
fn polls_that_do_as_the_server_asks_come_as_often_as_it_says() {
    let arguments = "--via poll,poll-steered,tcp --rate 5 --interval 200ms --poll-interval 1s \
                     --duration 6s --seed 7 --idle 1s";
    in_the_end(arguments, |report| {
        let requests = |name: &str| {
            let row = rows(report).iter().find(|row| row["name"] == name).unwrap();
            assert_eq!(row["missed"], 0, "{row}");
            number(&row["window"]["requests"])
        };
        let (own, steered) = (requests("poll 200ms"), requests("poll-steered 1s"));
        let is_right = (25.0..32.0).contains(&own) && (5.0..8.0).contains(&steered);
        if is_right { Vec::new() } else { vec![format!("{own} and {steered} in 6 s")] }
    });
    let wrong = outcome("--poll-interval 1s --server http://127.0.0.1:1");
    assert!(text(&wrong.stderr).contains("--poll-interval needs a server of its own"));
    let missing = outcome("--via poll-steered,tcp");
    assert!(text(&missing.stderr).contains("--via poll-steered: it needs a server that names"));
}

#[test]
fn a_session_of_tls_that_is_taken_up_again_moves_less_than_a_whole_handshake() {
    let arguments = "--via poll-new,poll-new-resumed,tcp --tls --rate 5 --interval 250ms \
                     --duration 4s --seed 7 --idle 1s";
    in_the_end(arguments, |report| {
        let each = |name: &str| {
            let row = rows(report).iter().find(|row| row["name"] == name).unwrap();
            assert_eq!(row["missed"], 0, "{row}");
            let bytes = &row["window"]["wire_bytes"];
            (number(&bytes["in"]) + number(&bytes["out"])) / number(&row["window"]["requests"])
        };
        let saved = each("poll-new 250ms") - each("poll-new-resumed 250ms");
        // A certificate of one and its signature; the ticket that is sent instead takes some.
        if (200.0..1500.0).contains(&saved) {
            return Vec::new();
        }
        vec![format!("{saved} bytes of each poll")]
    });
}

#[test]
fn apart_the_server_is_measured_for_each_contender() {
    let arguments = "--via poll,tcp --rate 50 --interval 100ms --duration 1s --mode apart --rounds 2 \
                     --project 1000 --idle 1s";
    in_the_end(arguments, |report| {
        for row in rows(report) {
            assert_eq!(row["missed"], 0, "{row}");
            assert_eq!(row["rounds"].as_array().unwrap().len(), 2, "{row}");
            assert!(row["server_cpu_us_per_delivery"].is_number(), "{row}");
        }
        assert_eq!(report["run"]["rounds_done"], 2);
        Vec::new()
    });
}

#[test]
fn many_clients_are_projected_by_a_line_through_three_sizes_with_its_error() {
    let arguments =
        "--via poll,tcp --rate 5 --interval 200ms --duration 1s --project 1000 --idle 1s";
    in_the_end(arguments, |report| {
        let projection = &report["projection"];
        assert_eq!(projection["measured_subscribers"], 200);
        let of_each = projection["contenders"].as_array().unwrap();
        let mut complaints = Vec::new();
        for projected in of_each {
            for figure in ["cores", "mbit_per_s", "resident_bytes"] {
                let estimate = &projected[figure];
                assert!(number(&estimate["error"]) >= 0.0, "{figure}: {projected}");
            }
            // What a thousand take of a machine like this: some hundredths of a core to a few.
            let cores = number(&projected["cores"]["value"]);
            if !(0.001..20.0).contains(&cores) || !projected["cores_bend"].is_number() {
                complaints.push(projected.to_string());
            }
        }
        // 1000 clients, each of which asks every 200 ms.
        let requests = number(&of_each[0]["requests_per_s"]);
        if !(4_000.0..6_500.0).contains(&requests) {
            complaints.push(of_each[0].to_string());
        }
        complaints
    });
}

#[test]
fn compression_and_http2_make_polls_cheaper_and_a_browsers_headers_dearer() {
    let arguments = "--via poll-plain,poll-h2,poll-h2-new,sse,sse-h2,raw,tcp --rate 40 --interval 500ms \
                     --duration 2s --seed 7 --idle 1s";
    let [plain, small, browser] = ["", "--compress", "--headers browser-cookie"].map(|more| {
        let report = json(&format!("{arguments} {more}"));
        for row in rows(&report) {
            assert_eq!((&row["missed"], &row["repeated"]), (&0.into(), &0.into()), "{row}");
            assert!(row["trouble"].is_null(), "{row}");
        }
        report
    });
    let each = |report: &Value, via: &str| {
        let row = rows(report).iter().find(|row| row["via"] == via);
        number(&row.unwrap()["wire_bytes_per_delivery"])
    };
    // Twenty messages in an answer share their envelopes.
    assert!(each(&small, "poll-plain") < 0.6 * each(&plain, "poll-plain"), "{small:#}");
    assert!(each(&small, "poll-h2") < each(&small, "poll-plain"));
    // Two packets' heads, and what a message has that no other had before.
    for via in ["sse", "sse-h2"] {
        assert!(each(&small, via) < 0.6 * each(&plain, via), "{via}: {small:#}");
    }
    let ratio = each(&small, "tcp") / each(&plain, "tcp");
    assert!((0.85..1.15).contains(&ratio), "lines are as they were: {ratio}");
    assert!(each(&plain, "poll-h2") < each(&plain, "poll-h2-new"));
    // The text alone goes as it would over TCP, less an envelope of some 165 bytes.
    let share = |via: &str| {
        let row = rows(&plain).iter().find(|row| row["via"] == via);
        number(&row.unwrap()["text_share"])
    };
    assert!(share("raw") > 1.8 * share("tcp"), "{plain:#}");
    // Heads of some 480 bytes and a cookie of 192, each half second, and shorter answers.
    let headers = |report: &Value| {
        let row = rows(report).iter().find(|row| row["via"] == "poll-plain").unwrap();
        number(&row["app_bytes"]["out"]) / number(&row["requests"])
    };
    assert!((600.0..800.0).contains(&(headers(&browser) - headers(&plain))), "{browser:#}");
    assert_eq!(browser["run"]["headers"], "browser-cookie");
    let saving = &plain["compressed_push"]["websocket"];
    assert!(number(&saving["compressed"]) < 0.4 * number(&saving["plain"]), "{saving}");
    // What was worked out is what is measured.
    let saving = &plain["compressed_push"]["sse"];
    let expected = each(&plain, "sse") - number(&saving["plain"]) + number(&saving["compressed"]);
    assert!((expected - each(&small, "sse")).abs() < 25.0, "{expected}: {small:#}");
}

#[test]
fn encrypted_connections_are_compared_too_and_cost_records_and_handshakes() {
    let arguments = "--via poll-new,poll-plain,poll-h2,longpoll,sse,sse-h2,raw,ws,tcp --rate 10 \
                     --interval 500ms --duration 2s --seed 7 --idle 1s";
    let (plain, encrypted) = (json(arguments), json(&format!("{arguments} --tls")));
    assert_eq!((&plain["run"]["tls"], &encrypted["run"]["tls"]), (&false.into(), &true.into()));
    for (plain, encrypted) in rows(&plain).iter().zip(rows(&encrypted)) {
        assert_eq!((&encrypted["missed"], &encrypted["trouble"]), (&0.into(), &Value::Null));
        let more = |member: &str| number(&encrypted[member]) - number(&plain[member]);
        // A certificate and what agrees on a key; then some 22 bytes a record.
        assert!((500.0..6_000.0).contains(&more("connect_wire_bytes")), "{encrypted}");
        if encrypted["interval_s"].is_null() && encrypted["via"] != "longpoll" {
            let each = |row: &Value| {
                number(&row["window"]["app_bytes"]["in"]) / number(&row["window"]["delivered"])
            };
            let each = each(encrypted) - each(plain);
            assert!((15.0..60.0).contains(&each), "{each}: {encrypted}");
        }
    }
    let output = outcome("--tls --server http://127.0.0.1:1");
    assert!(text(&output.stderr).contains("--tls needs a server of its own"));
}

#[test]
fn long_polls_lose_what_comes_while_a_question_is_under_way_as_arithmetic_expects() {
    let arguments = "--via longpoll,tcp --rate 20 --duration 4s --seed 7 --idle 1s";
    let link = ["--link", "delay 40ms"];
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let output =
            run_within(Duration::from_secs(60), command(&format!("{arguments} --json")).args(link));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let polls = &rows(&report)[0]["rearm"];
        let expected = number(&polls["of_these_times"]["extra_wait_s"]) * 1e6;
        let questions = number(&polls["of_these_times"]["questions_per_s"]);
        let chance = 2.0 * number(&polls["extra_wait_error_us"]);
        let is_near = (number(&polls["extra_wait_us"]) - expected).abs() < BUSY_US + chance
            && (number(&polls["questions_per_s"]) / questions - 1.0).abs() < 0.1;
        assert!(number(&polls["round_trip_us"]) > 80_000.0, "{polls}");
        assert!(expected > 20_000.0 && polls["formula"]["extra_wait_s"].is_number(), "{polls}");
        if is_near {
            return;
        }
        last = polls.to_string();
    }
    panic!("each of {ATTEMPTS} runs is wrong, the last: {last}");
}

#[test]
fn a_report_is_one_file_that_needs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (page, file) = (folder.path().join("report.html"), folder.path().join("result.json"));
    let output = compare(&format!(
        "--rate 10 --interval 200ms --duration 1s --idle 1s --report {} --json {}",
        page.display(),
        file.display()
    ));
    let table = text(&output.stdout);
    // The answer first, then the picture, then the figures, and last how it is made again.
    let parts = [
        "If a message may be 200 ms late",
        "Bytes an hour of one client",
        "How late messages came",
        "missed",
        "To make it again:",
        "doorbell compare --rate 10",
    ];
    let at = parts.map(|part| table.find(part).unwrap_or_else(|| panic!("{part}: {table}")));
    assert!(at.is_sorted() && at[0] == 0, "{at:?}: {table}");
    let page = std::fs::read_to_string(page).unwrap();
    assert_eq!(page.matches("<svg").count(), 4, "timeline, delays, bytes, interval");
    for foreign in ["src=", "@import", "url(", "href=\"http", "could not be drawn"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    let result: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(result["schema"], 1);
    let schema = include_str!("../docs/compare.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let breaches: Vec<String> = schema
        .iter_errors(&result)
        .map(|error| format!("{error} {}", error.instance_path()))
        .collect();
    assert!(breaches.is_empty(), "{breaches:#?}");
    let mut other = result.clone();
    other["contenders"][0]["missed"] = "none".into();
    assert!(!schema.is_valid(&other), "a schema that takes anything");
    for member in ["machine", "versions", "run", "generator", "contenders", "units", "sweep"] {
        assert!(!result[member].is_null(), "{member}");
    }
    let run = &result["run"];
    let again = run["repeat"].as_str().unwrap();
    assert!(again.ends_with(&format!("--seed {}", run["seed"])), "{again}");
    assert!(again.starts_with("doorbell compare --rate 10 --interval 200ms"), "{again}");
    assert_eq!((&run["log_in_memory"], &run["intervals_s"][0]), (&true.into(), &0.2.into()));
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
    let arguments = format!("--via tcp,sse --replay {} --speed 20 --idle 1s", file.display());
    let report = json(&arguments);
    assert_eq!(report["run"]["published"], 20);
    assert_eq!(report["run"]["topics"], 3);
    for row in rows(&report) {
        assert_eq!(row["delivered"], 20, "{row}");
        let last = &row["deliveries"][19]["planned_us"];
        assert!((940_000.0..960_000.0).contains(&number(last)), "{last}");
    }
}

#[test]
fn like_on_an_ethernet_a_long_message_is_many_packets_of_1500_bytes_at_most() {
    let loopback = || fs::read_to_string("/sys/class/net/lo/mtu").ok();
    let before = loopback();
    let arguments = "--via poll,sse,ws,tcp --payload 20000 --rate 5 --interval 500ms --duration 2s \
                     --seed 7 --idle 1s";
    let Some(ethernet) = if_permitted(&format!("{arguments} --ethernet"), NO_NETWORK) else {
        return;
    };
    let plain = json(arguments);
    assert_eq!(
        (&ethernet["run"]["network"], &plain["run"]["network"]),
        (&"ethernet".into(), &"loopback".into())
    );
    for (small, large) in rows(&ethernet).iter().zip(rows(&plain)) {
        assert_eq!((&small["missed"], &large["missed"]), (&0.into(), &0.into()), "{small}");
        let each = |row: &Value| number(&row["packets_per_delivery"]);
        // 20,000 bytes are 14 packets with 1448 bytes each.
        assert!(each(small) >= 14.0 && each(large) < 14.0, "{} {}", each(small), each(large));
        let mean = |row: &Value| number(&row["wire_bytes"]["in"]) / number(&row["packets"]["in"]);
        assert!(mean(small) <= 1500.0 && mean(large) > 1500.0, "{} {}", mean(small), mean(large));
    }
    assert_eq!(loopback(), before, "the machine's own network is as it was");
}

#[test]
fn what_is_captured_is_what_the_kernel_counted() {
    let arguments = "--via poll-new,poll,longpoll,ndjson,sse,ws,tcp,unix,udp --rate 20 \
                     --interval 100ms --duration 2s --subscribers 2 --idle 1s --check-capture";
    let mut last = Value::Null;
    for _ in 0..ATTEMPTS {
        let Some(report) = if_permitted(arguments, "CAP_NET_RAW") else {
            return;
        };
        let mut agree = 0;
        for row in rows(&report) {
            let captured = &row["capture"];
            let has_packets = row["via"] != "unix" && row["via"] != "udp";
            assert_eq!(captured.is_object(), has_packets, "{row}");
            if captured["agrees"] == true {
                assert_eq!(captured["drops"], 0, "{row}");
                for (name, counted) in [("bytes", "wire_bytes"), ("packets", "packets")] {
                    for way in ["in", "out"] {
                        assert!(number(&row[counted][way]) > 0.0, "{row}");
                        assert_eq!(captured[format!("{name}_{way}")], row[counted][way], "{row}");
                    }
                }
                agree += 1;
            }
        }
        if agree == 7 {
            return;
        }
        // A machine without a processor to spare sends a segment twice.
        last = report["contenders"].clone();
    }
    panic!("captured and counted differ in each of {ATTEMPTS} runs: {last:#}");
}

#[test]
fn the_kernels_memory_for_sockets_is_measured_or_said_to_be_unknown() {
    let arguments = "--via poll,sse,ws,tcp --rate 5 --interval 1s --duration 1s --idle 1s";
    let mut all = Vec::new();
    for _ in 0..ATTEMPTS {
        let report = json(arguments);
        let source = &report["run"]["kernel_memory"];
        let of_each = rows(&report).iter().map(|row| &row["kernel_bytes_per_subscriber"]);
        if let Err(error) = fs::read_to_string("/proc/slabinfo") {
            assert!(of_each.clone().all(Value::is_null), "{report:#}");
            assert!(source["missing"].as_str().unwrap().contains("/proc/slabinfo"), "{source}");
            skip(&format!("/proc/slabinfo: {error}"));
            return;
        }
        assert_eq!((&source["source"], &source["ends"]), (&"/proc/slabinfo".into(), &2.into()));
        let mut bytes: Vec<f64> = of_each.filter_map(Value::as_f64).collect();
        let told = source["missing"].is_null();
        assert_eq!(told, bytes.len() == rows(&report).len(), "{source} {bytes:?}");
        bytes.sort_by(f64::total_cmp);
        // Two sockets, their files and what polls them: some 4 kB an end. Others open sockets too.
        if bytes.get(1).is_some_and(|bytes| (5_000.0..15_000.0).contains(bytes)) {
            return;
        }
        all.push(bytes);
    }
    panic!("bytes for both ends of a connection: {all:?}");
}

#[test]
fn waiting_is_measured_in_whole_polls_and_keepalives() {
    let unlike = |row: &Value, value: &Value, expected: f64| {
        let value = number(value);
        let is_near = (0.8..1.25).contains(&(value / expected));
        (!is_near).then(|| format!("{}: {value}, expected {expected}", row["name"]))
    };
    let own =
        "--via poll-new,poll,longpoll,tcp,udp --rate 5 --interval 250ms --duration 1s --idle 2s";
    in_the_end(own, |report| {
        let mut complaints = Vec::new();
        for row in rows(report) {
            let idle = &row["idle"];
            match row["via"].as_str().unwrap() {
                // A question, its acknowledgement by itself, an answer and its acknowledgement, of
                // which the last and the next question may be one: 60 kB were counted in an hour.
                "longpoll" => {
                    assert_eq!(
                        (&idle["basis"], &idle["period_s"]),
                        (&"scaled".into(), &30.0.into())
                    );
                    complaints.extend(unlike(row, &idle["wire_bytes_per_hour"], 60_200.0));
                }
                // A lease is renewed before routers forget it: a datagram there and one back.
                "udp" => {
                    assert_eq!(
                        (&idle["basis"], &idle["period_s"]),
                        (&"scaled".into(), &15.0.into())
                    );
                    complaints.extend(unlike(row, &idle["packets_per_hour"], 2.0 * 240.0));
                }
                "tcp" => {
                    assert_eq!(
                        (&idle["basis"], &idle["period_s"]),
                        (&"scaled".into(), &40.0.into())
                    );
                }
                via => {
                    assert_eq!((&idle["basis"], &idle["periods"]), (&"measured".into(), &8.into()));
                    assert_eq!(idle["measured_s"], 2.0, "{idle}");
                    // A question, its answer and an acknowledgement; ten packets with a connection
                    // of its own, or nine where FIN and acknowledgement are one.
                    let packets = if via == "poll" { 3.0 } else { 9.5 };
                    let expected = packets * 4.0 * 3600.0;
                    complaints.extend(unlike(row, &idle["packets_per_hour"], expected));
                    let expected = number(&row["computed"]["idle_wire_bytes_per_hour"]);
                    complaints.extend(unlike(row, &idle["wire_bytes_per_hour"], expected));
                }
            }
        }
        complaints
    });
    let server = TestServer::with("--keepalive 400ms");
    let named = format!(
        "--server http://{} --via ndjson,tcp --rate 5 --duration 1s --idle 2s",
        server.http
    );
    in_the_end(&named, |report| {
        assert_eq!(report["run"]["network"], "given");
        let of_each = rows(report).iter().filter_map(|row| {
            let idle = &row["idle"];
            assert_eq!(
                (&idle["basis"], &idle["periods"]),
                (&"measured".into(), &5.into()),
                "{row}"
            );
            // A keepalive and its acknowledgement.
            unlike(row, &idle["packets_per_hour"], 2.0 * 3600.0 / 0.4)
        });
        of_each.collect()
    });
}

#[test]
fn a_chart_is_one_picture_with_a_dot_for_each_message() {
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("chart.svg");
    let report = json(&format!(
        "--via poll,longpoll,tcp --rate 10 --interval 200ms,500ms --duration 1s --idle 1s --chart {}",
        chart.display()
    ));
    let delivered: f64 = rows(&report).iter().map(|row| number(&row["delivered"])).sum();
    let picture = fs::read_to_string(chart).unwrap();
    assert!(picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{picture}");
    assert_eq!(picture.matches("<circle").count().to_string(), delivered.to_string());
    for words in ["Polling every 500 ms", "Polling every 200 ms", "Long polling", ">Push<"] {
        assert_eq!(picture.matches(words).count(), 1, "{words}");
    }
    for wrong in ["NaN", "inf", "href", "url("] {
        assert!(!picture.contains(wrong), "{wrong}");
    }
}

#[test]
fn after_a_failure_each_contender_hears_again_and_misses_nothing() {
    let ways = "--rate 10 --interval 300ms --idle 1s --seed 3";
    // By datagrams a server that was started again is found when the lease is renewed, which is too
    // late for a test.
    for (outage, what, seconds, disconnects) in [
        ("--via poll,longpoll,sse,ws,tcp --restart 300ms --duration 6s", "restart", 0.3, true),
        ("--via poll,longpoll,sse,ws,tcp,udp --cut 500ms --duration 3s", "cut", 0.5, false),
        ("--via poll,longpoll,sse,ws,tcp,udp --stall 500ms --duration 3s", "stall", 0.5, false),
    ] {
        let report = json(&format!("{ways} {outage}"));
        let told = &report["run"]["outage"];
        assert_eq!((&told["what"], &told["seconds"]), (&what.into(), &seconds.into()), "{told}");
        for row in rows(&report) {
            let recovery = &row["outage"];
            assert_eq!((&row["missed"], &row["repeated"]), (&0.into(), &0.into()), "{what} {row}");
            assert_eq!(recovery["again"], 1, "{what} {row}");
            assert!(number(&recovery["slowest_again_s"]) < 5.0, "{what} {row}");
            assert!(number(&recovery["wire_bytes_per_subscriber"]) > 100.0, "{what} {row}");
            // What was published meanwhile was as late as the outage was long.
            let latest = number(&row["latency_us"]["max"]);
            assert!(latest > 0.6e6 * seconds, "{what} {row}");
            // Over a link of packets it was TCP that tried again and again.
            if what == "cut" && report["run"]["network"] == "ethernet" && row["via"] == "tcp" {
                assert!(number(&row["segments_sent_again"]["in"]) > 0.0, "{row}");
                assert!(number(&row["lost_packets"]["in"]) > 0.0, "{row}");
            }
            if disconnects {
                assert!(number(&row["disconnects"]) >= 1.0, "{what} {row}");
            }
        }
    }
}

#[test]
fn polls_in_one_phase_ask_at_the_same_moments() {
    let arguments = "--via poll-plain,poll --subscribers 3 --rate 40 --interval 500ms --duration 2s \
                     --idle 1s --seed 5 --phase together";
    in_the_end(arguments, |report| {
        // Of one message all deliveries come together, whoever asks.
        let first = |row: &Value| number(&row["deliveries"][0]["delivered_us"]);
        let of_each: Vec<f64> = rows(report).iter().map(first).collect();
        let apart = (of_each[0] - of_each[1]).abs();
        if apart < 20_000.0 { Vec::new() } else { vec![format!("{apart} µs apart")] }
    });
}

#[test]
fn a_poll_that_backs_off_asks_less_while_nothing_comes_and_a_price_decides_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let prices = folder.path().join("prices.toml");
    let text = "currency = '$'\nmillion_requests = 1.0\nmillion_messages = 1.0\n\
                million_connection_minutes = 0.25\n";
    fs::write(&prices, text).unwrap();
    let report = json(&format!(
        "--via poll,poll-backoff,tcp --rate 0.5 --process steady --interval 100ms --duration 6s \
         --seed 3 --idle 1s --price {} --radio-tail 1s",
        prices.display()
    ));
    let of = |via: &str| rows(&report).iter().find(|row| row["via"] == via).unwrap().clone();
    let (poll, less) = (of("poll"), of("poll-backoff"));
    assert_eq!((&less["missed"], &less["expected"]), (&0.into(), &Value::Null), "{less}");
    let requests = |row: &Value| number(&row["window"]["requests"]);
    assert!(requests(&less) < 0.5 * requests(&poll), "{} {}", requests(&less), requests(&poll));
    // A poll each tenth of a second never lets a radio sleep; three messages in six seconds do.
    assert_eq!(poll["radio"]["awake_share"], 1.0);
    let awake = number(&of("tcp")["radio"]["awake_share"]);
    assert!((0.3..0.8).contains(&awake), "{awake}");
    // Ten requests a second against half a message, and what it costs to be connected.
    let money = report["money"]["contenders"].as_array().unwrap();
    let month = |at: usize| number(&money[at]["per_month"]);
    assert!((20.0..30.0).contains(&month(0)) && (1.0..1.5).contains(&month(2)), "{money:?}");
    assert!((9.9..10.0).contains(&number(&money[0]["cheaper_above"])), "{money:?}");
    fs::write(&prices, "currency = '$'\nrequests = 1.0\n").unwrap();
    let output = outcome(&format!("--via tcp --price {}", prices.display()));
    assert_eq!(output.status.code(), Some(2), "{}", text_of(&output));
    assert!(text_of(&output).contains("requests"), "{}", text_of(&output));
}

fn text_of(output: &Output) -> &str {
    text(&output.stderr)
}

#[test]
fn what_is_expected_of_a_run_decides_its_exit_code() {
    let run = |conditions: &[&str]| {
        let mut command = command("--via tcp --rate 20 --duration 1s --idle 1s");
        let expect = conditions.iter().flat_map(|condition| ["--expect", condition]);
        run_within(Duration::from_secs(60), command.args(expect))
    };
    let held = run(&["p50<5s", "tcp:missed<=0", "bytes>100"]);
    assert_eq!(held.status.code(), Some(0), "{}", text(&held.stderr));
    assert!(text(&held.stdout).contains("Expected tcp:missed<=0 of tcp: 0; it holds."));
    // Of so few messages no 99th percentile is told, so nothing may be taken for granted.
    for (broken, why) in [
        ("bytes<100", " B; it DOES NOT HOLD"),
        ("p99<1h", "messages do not tell it, 100 would; it DOES NOT HOLD"),
        ("cpu<1h", "--mode apart tells it; it DOES NOT HOLD"),
        ("again<1h", "nothing was made to fail (--restart); it DOES NOT HOLD"),
    ] {
        let output = run(&[broken, "missed<=0"]);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{broken}: {errors}");
        assert!(errors.contains("1 of 2 expectations do not hold"), "{errors}");
        let told = text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(why), "{broken}: {told}");
    }
    let unknown = run(&["sse:p50<1s"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("--expect sse:p50<1s is for no contender"));
}

#[test]
fn a_ramp_ends_where_a_rate_is_not_kept_and_says_why() {
    let report = json(
        "ramp --via poll,tcp --from 10 --to 40 --duration 1s --subscribers 2 \
                       --interval 200ms --within 5s --seed 3",
    );
    for climb in report["ramp"]["contenders"].as_array().unwrap() {
        let steps = climb["steps"].as_array().unwrap();
        let rates: Vec<f64> = steps.iter().map(|step| number(&step["rate"])).collect();
        assert_eq!(rates, [10.0, 20.0, 40.0], "{climb}");
        assert!(steps.iter().all(|step| step["broke"].is_null()), "{climb}");
    }
    // Over a link of 20 ms nothing comes within one.
    let mut command = command("ramp --via tcp --duration 1s --subscribers 1 --within 1ms");
    let output = run_within(Duration::from_secs(60), command.args(["--link", "delay 20ms"]));
    let table = text(&output.stdout);
    assert!(table.contains("half of the messages were later than the bound"), "{table}");
    let output = outcome("ramp --report x.html");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--report is for a comparison"));
}

#[test]
fn what_makes_no_sense_together_is_said_in_one_line() {
    for (arguments, expected) in [
        ("--ethernet --server http://127.0.0.1:1", "leave --server and DOORBELL_SERVER out"),
        ("--chart x.svg sweep", "--chart is for a comparison"),
        ("--check-capture sweep", "--check-capture is for a comparison"),
        ("--cut 10s --duration 10s", "needs a run of twice the time"),
        ("--restart --server http://127.0.0.1:1", "needs a server of its own"),
        ("--link|delay 2500ms", "too long to compare over, limit is 1s"),
        ("--link|loss 1%|--server|http://127.0.0.1:1", "leave --server and DOORBELL_SERVER out"),
    ] {
        let words = arguments.split(if arguments.contains('|') { '|' } else { ' ' });
        let mut command = client_command();
        let output = run_within(Duration::from_secs(60), command.arg("compare").args(words));
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {errors}");
        assert!(errors.contains(expected) && errors.trim_end().lines().count() == 1, "{errors}");
    }
}

/// A link whose losses show in a short run.
const LOSSY: &str = "delay 10ms jitter 2ms loss 4%";

#[test]
fn over_a_link_that_loses_packets_all_arrives_and_what_was_sent_is_counted_as_it_is_captured() {
    let arguments = "--rate 20 --interval 200ms --duration 2s --idle 1s --seed 7 --check-capture \
                     --via poll-new,poll,poll-h2,longpoll,ndjson,sse,sse-h2,ws,tcp,udp --json";
    for more in [&[][..], &["--tls"]] {
        let mut contenders = Value::Null;
        let all_agree = (0..ATTEMPTS).any(|_| {
            // Datagrams are not encrypted.
            let ways = if more.is_empty() { ",udp" } else { "" };
            let mut command = command(&arguments.replace(",udp", ways));
            command.args(["--link", LOSSY]).args(more);
            let Some(report) = unless_missing(&mut command, NO_NETWORK) else {
                return true;
            };
            let run = &report["run"];
            assert_eq!(
                (&run["network"], &run["tls"]),
                (&"ethernet".into(), &(!more.is_empty()).into())
            );
            let link = &run["emulated_link"];
            assert_eq!(
                (&link["made_of"], &link["loss"]),
                (&"packets".into(), &0.04.into()),
                "{link}"
            );
            let sum = |member: &str| -> f64 {
                let of_each = rows(&report).iter().map(|row| &row[member]);
                of_each.map(|both| number(&both["in"]) + number(&both["out"])).sum()
            };
            let (lost, packets) = (sum("lost_packets"), sum("packets"));
            let deviation = (packets * 0.04 * 0.96).sqrt();
            assert!((lost - packets * 0.04).abs() < CHANCE * deviation, "{lost} of {packets}");
            assert!(sum("segments_sent_again") > 0.2 * lost, "{lost}: {report:#}");
            for row in rows(&report) {
                let wrong = (&row["missed"], &row["repeated"], &row["trouble"]);
                assert_eq!(wrong, (&0.into(), &0.into(), &Value::Null), "{row}");
                assert!(number(&row["latency_us"]["p50"]) >= 8_000.0, "one way takes that: {row}");
            }
            contenders = report["contenders"].clone();
            // What TCP sends again long after its owner has gone may be missed by one of the two. A
            // busy machine may drop what is captured, of others as well, so it is the figures that
            // decide.
            let is_equal = |row: &Value| {
                let equal = |name: &str, counted: &str, way: &str| {
                    row["capture"][format!("{name}_{way}")] == row[counted][way]
                };
                ["in", "out"].iter().all(|way| {
                    equal("packets", "packets", way) && equal("bytes", "wire_bytes", way)
                })
            };
            rows(&report).iter().all(|row| row["via"] == "udp" || is_equal(row))
        });
        assert!(
            all_agree,
            "captured and counted differ in each of {ATTEMPTS} runs: {contenders:#}"
        );
    }
}

#[test]
fn what_a_link_of_packets_needs_is_told_in_a_line_and_without_loss_relays_do() {
    // A namespace in which there may be no further networks.
    let forbidden = |arguments: &[&str]| {
        let script = "echo 0 > /proc/sys/user/max_net_namespaces && exec \"$0\" \"$@\"";
        let client = client_command();
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", script]).arg(client.get_program());
        let more = "compare --via tcp --rate 10 --duration 1s --idle 1s --json";
        command.args(more.split(' ')).args(arguments);
        run_within(Duration::from_secs(60), &mut command)
    };
    let output = forbidden(&["--link", "delay 10ms loss 1%"]);
    let errors = text(&output.stderr);
    if !errors.starts_with("doorbell: ") {
        skip(errors.trim_end());
        return;
    }
    for (arguments, begin) in [
        (
            &["--link", "delay 10ms loss 1%"][..],
            "doorbell: --link with loss: a network of its own needs",
        ),
        (&["--link", "reorder 1%"], "doorbell: --link with reorder: a network of its own needs"),
        (&["--ethernet"], "doorbell: --ethernet: a network of its own needs"),
    ] {
        let output = forbidden(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.starts_with(begin) && errors.trim_end().lines().count() == 1, "{errors}");
    }
    let output = forbidden(&["--link", "delay 10ms"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = &report["run"];
    assert_eq!(
        (&run["network"], &run["emulated_link"]["made_of"]),
        (&"loopback".into(), &"relays".into())
    );
    assert!(rows(&report)[0]["lost_packets"].is_null());
    assert!(number(&rows(&report)[0]["latency_us"]["p50"]) >= 10_000.0, "{report:#}");
}

#[test]
fn over_a_link_a_long_message_takes_a_new_connection_a_round_trip_more_than_a_short_one() {
    let arguments = "--via poll-new --rate 2 --interval 1s --duration 1s --idle 1s --seed 7 --json";
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let first = |bytes: &str| {
            let mut command = command(arguments);
            command.args(["--link", "delay 50ms", "--payload", bytes]);
            let report = unless_missing(&mut command, NO_NETWORK)?;
            let unit =
                report["units"].as_array().unwrap().iter().find(|unit| unit["via"] == "poll-new");
            Some(number(&unit.unwrap()["first_event_us"]))
        };
        let (Some(short), Some(long)) = (first("12"), first("20000")) else {
            return;
        };
        // A round trip for the handshake, one for the question and what of the answer a sender
        // dares to send at first, some 14 kB; another for the rest.
        assert!(short >= 200_000.0 && long >= 300_000.0, "{short} {long}");
        if short < 260_000.0 && long < 360_000.0 {
            return;
        }
        last = format!("{short} µs and {long} µs");
    }
    panic!("each of {ATTEMPTS} runs is wrong, the last: {last}");
}

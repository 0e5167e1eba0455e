//! The suite once more, over a cluster: each server is a front of a stream of its own in three
//! servers of NATS, and what is published by the tests' helpers goes to a second front.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::fronts::{SUITE, SUITE_USED};
use crate::support::nats::NatsCluster;

const KEEPS: &str =
    "a front keeps nothing: no file, no message for later, no subscription of a browser";
const DISK: &str = "is about the folder of a log on this machine";
const MEMORY: &str = "is about a log that is another one after a restart";
const RETENTION: &str =
    "NATS lets go of messages by its own count, and a front learns of it in a second";
const COUNTS: &str = "counts at one front what the other one has taken";
const HEALTH: &str = "health tells more of a front";

/// What is not meant for a front, by the beginning of its name, and why.
const NOT_MEANT: &[(&str, &str)] = &[
    ("cluster", "has a cluster of its own"),
    ("mail::", "needs programs of others, and is a step of its own"),
    ("strangers::", "needs programs of others, and is a step of its own"),
    ("compare::", "has servers of the programs that it compares"),
    ("package::", "has no server of the suite's"),
    ("readme::", "has no server of the suite's"),
    ("tidy::", "has no server of the suite's"),
    ("files::", KEEPS),
    ("page_push::", KEEPS),
    ("scheduled::", KEEPS),
    ("web_push::", KEEPS),
    ("command_line::a_file_is_sent_along", KEEPS),
    ("descriptions::every_operation_and_parameter", KEEPS),
    ("descriptions::the_statuses_that_are_described", KEEPS),
    ("lines::pubj_takes_the_json", KEEPS),
    ("page_inbox::a_message_is_shown_with_all", KEEPS),
    ("page_inbox::sound_of_this_server", KEEPS),
    ("page_inbox::what_waits_for_its_time", KEEPS),
    ("proxies::real::every_transport_works_behind", KEEPS),
    ("visitors::one_visitor_cannot_push_the_messages", KEEPS),
    ("visitors::one_visitor_has_a_share_of_what_waits", KEEPS),
    ("copies::", DISK),
    ("disk::", DISK),
    ("folder_lost::", DISK),
    ("log_folder::", DISK),
    ("places::a_place_of_a_start", DISK),
    ("places::a_place_that", DISK),
    ("power_cut::", DISK),
    ("torture::", DISK),
    ("gaps::a_damaged_message", DISK),
    ("start::a_log_that_is_no_log", DISK),
    ("start::a_second_server_on_the_same_data", DISK),
    ("start::the_log_of_a_newer_version", DISK),
    ("gaps::a_log_in_memory_is_another_one", MEMORY),
    ("page::the_page_tells_of_a_gap_when_the_log", MEMORY),
    ("page_inbox::the_inbox_goes_on_after_its_place", MEMORY),
    ("gaps::what_expired_by_size", RETENTION),
    ("gaps::who_is_within_what_is_held", RETENTION),
    ("large_polls::a_poll_at_the_edge", RETENTION),
    ("large_polls::what_expires_while_an_answer", RETENTION),
    ("command_line::top_shows_who_is_connected", COUNTS),
    ("observe::the_counters_move", COUNTS),
    ("observe::the_metrics_are_prometheus", COUNTS),
    ("lines::a_quiet_connection_is_kept", "is quiet for less than a second front takes to start"),
    (
        "visitors::places_for_health_are_not_kept",
        "has one place, which the suite's own question takes",
    ),
    ("upstream::", "every front with --upstream tells of every message"),
    ("http2_frames::what_is_begun_must_be_finished", HEALTH),
    ("observe::a_healthy_server_says_so", HEALTH),
    ("plain::an_answer_is_the_same", HEALTH),
    ("plain::golden::what_browsers_and_caches", HEALTH),
    ("rights::a_broken_file_changes_nothing", HEALTH),
];

#[test]
#[ignore = "takes minutes, and a cluster: ./test --cluster"]
fn what_holds_for_one_server_holds_for_two_fronts_over_three_nodes() {
    // A mebibyte of control characters is six in JSON.
    let Some(cluster) = NatsCluster::prepare("max_payload: 8MB") else { return };
    let cluster = cluster.started();
    let used = tempfile::NamedTempFile::new().unwrap();
    let mut suite = Command::new(std::env::current_exe().unwrap());
    suite.env(SUITE, cluster.urls(0)).env(SUITE_USED, used.path());
    for (name, _) in NOT_MEANT {
        suite.args(["--skip", name]);
    }
    let status = suite.status().unwrap();
    let used = std::fs::read_to_string(used.path()).unwrap();
    let used: BTreeSet<&str> = used.lines().collect();
    println!("{} tests had fronts; not meant for them:", used.len());
    for (name, why) in NOT_MEANT {
        println!("- {name}: {why}");
    }
    assert!(status.success(), "some of them failed");
}

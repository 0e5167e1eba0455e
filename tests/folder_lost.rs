//! What people do to the folder of a running server: publishers are told within a moment, readers
//! go on from what is open, and nothing that was put there is touched.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Event, Request, TestServer, Transport, eventually, messages};

/// How late it may be noticed, on a machine that has other things to do.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

/// Does something to the folder of a server, and asserts that it is noticed and what goes on.
fn lose(flags: &str, act: impl FnOnce(&TestServer)) -> (TestServer, Vec<Event>) {
    let server = TestServer::durable(flags);
    let mut held = vec![server.publish("t", "before"), server.publish("t", "also before")];
    let mut readers = Transport::PUSHING.map(|way| (way, way.read(&server, "t", "all")));
    assert_eq!(server.get("/v1/health").status, 200);
    act(&server);
    let began = Instant::now();
    let health = eventually("it is noticed", || {
        // What is stored until then is for those to hear that are there.
        let response = server.send(&Request::post("/t", "after"));
        match response.status {
            200 => held.push(response.events().remove(0)),
            status => assert_eq!((status, response.json()["code"].as_u64()), (503, Some(50302))),
        }
        let health = server.get("/v1/health");
        (health.status == 503).then_some(health)
    });
    assert!(began.elapsed() < NOTICED_WITHIN, "{:?}", began.elapsed());
    assert_eq!(health.json()["healthy"], false);
    assert!(health.text().contains("was removed"), "{}", health.text());
    for refused in [
        server.send(&Request::post("/t", "refused")),
        server.send(&Request::post("/", r#"{"topic":"t","message":"refused"}"#)),
    ] {
        assert_eq!((refused.status, &refused.json()["code"]), (503, &json!(50302)));
        assert!(refused.text().contains("was removed"), "{}", refused.text());
        assert_eq!(refused.header("retry-after"), None, "only a restart helps");
    }
    assert_eq!(server.lines().ask("PUB t refused").code(), 50302);
    let said = server.stderr();
    assert_eq!(said.matches("takes nothing more until a restart").count(), 1, "once: {said}");
    for (way, reader) in &mut readers {
        assert_eq!(reader.messages(held.len()), held, "{way:?}");
    }
    for way in Transport::ALL {
        assert_eq!(way.read(&server, "t", "all").messages(held.len()), held, "{way:?}");
        let mut reader = way.read(&server, "t", held[0].id());
        assert_eq!(reader.messages(held.len() - 1), held[1..], "{way:?}");
    }
    (server, held)
}

/// The files of a folder with what is in them.
fn content(server: &TestServer) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let read = |name: std::ffi::OsString| {
        let bytes = fs::read(server.data().join(&name)).unwrap();
        (name, bytes)
    };
    server.files().into_iter().map(read).collect()
}

#[test]
fn a_folder_that_is_deleted_is_noticed_and_a_restart_begins_a_new_log() {
    for flags in ["", "--sync always"] {
        let (mut server, held) = lose(flags, |server| fs::remove_dir_all(server.data()).unwrap());
        assert_eq!(server.stop().code(), Some(0));
        assert!(!server.data().exists(), "it is not made again by a server that stops");
        server.restart();
        assert_eq!(server.get("/v1/health").status, 200);
        let new = server.publish("t", "new");
        let response = server.get(&format!("/t/json?poll=1&since={}", held[0].id()));
        assert!(response.header("doorbell-gap").unwrap().contains("\"foreign\""));
        assert_eq!(messages(&response.events()), ["new"]);
        assert!(held.iter().all(|own| own.id() != new.id()), "no id stands for two messages");
    }
}

#[test]
fn a_segment_that_is_deleted_while_it_is_written_to_is_noticed() {
    lose("", |server| fs::remove_file(server.segments().pop().unwrap()).unwrap());
}

#[test]
fn a_folder_that_is_moved_away_is_noticed_and_is_a_log_to_go_on_with() {
    let (mut server, held) = lose("", |server| {
        fs::rename(server.data(), server.data().with_file_name("away")).unwrap();
    });
    server.stop();
    fs::rename(server.data().with_file_name("away"), server.data()).unwrap();
    server.restart();
    let new = server.publish("t", "new");
    assert_eq!(server.poll("t", held[0].id()), [&held[1..], &[new]].concat());
}

#[test]
fn a_folder_that_is_replaced_by_another_is_noticed_and_left_as_it_is() {
    let (mut server, held) = lose("", |server| {
        let copy = server.copy_data("copy");
        fs::rename(server.data(), server.data().with_file_name("away")).unwrap();
        fs::rename(copy, server.data()).unwrap();
    });
    let before = content(&server);
    server.stop();
    assert_eq!(content(&server), before, "it is somebody else's");
    server.restart();
    let new = server.publish("t", "new");
    let first_two = server.poll("t", held[0].id());
    assert_eq!(first_two, [held[1].clone(), new]);
}

#[test]
fn an_older_segment_that_is_deleted_is_read_on_and_told_as_missing_after_a_restart() {
    let mut server = TestServer::durable("--retention-bytes 1MiB");
    server.publish_all("t", &vec!["x".repeat(1000); 300]);
    let held = server.poll("t", "all");
    assert!(server.segments().len() > 3);
    fs::remove_file(&server.segments()[1]).unwrap();
    assert_eq!(server.poll("t", "all"), held, "what is open is read on");
    server.publish("t", "goes on");
    server.stop();
    server.restart();
    assert_eq!(server.publish("t", "new").seq(), 302);
    for way in Transport::ALL {
        let mut reader = way.read(&server, "t", "all");
        let mut heard = vec![reader.message()];
        while heard.last().unwrap().message() != "new" {
            heard.push(reader.message());
        }
        let gaps: Vec<usize> = (0..heard.len()).filter(|at| heard[*at].gap().is_some()).collect();
        assert_eq!(gaps.len(), 1, "{way:?}");
        let (before, after) = (&heard[gaps[0] - 1], &heard[gaps[0]]);
        let gap = json!({"after": before.id(), "before": after.id(), "reason": "lost"});
        assert_eq!(after.gap(), Some(&gap), "{way:?}");
        let missing = after.seq() - before.seq() - 1;
        assert_eq!(heard.len() as u64 + missing, 302, "{way:?}");
    }
}

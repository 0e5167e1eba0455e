//! Copies of a folder that a server writes to: each is a log, a prefix of what there was or one
//! that tells what it misses, and safe to be put in the place of the folder.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::gaps::{plain, told};
use crate::log_folder::{log, path, stdout};
use crate::support::{Event, TestServer, Transport, eventually};

/// Some four segments are kept.
const FLAGS: &str = "--udp 127.0.0.1:0 --retention-bytes 256KiB";
const COPIES: usize = 8;
const PUBLISHERS: usize = 3;

/// What was published so far.
type Acknowledged = Mutex<Vec<Event>>;

/// Does something while others publish; returns all that was acknowledged, in order.
fn under_load<T>(server: &TestServer, act: impl FnOnce(&Acknowledged) -> T) -> (T, Vec<Event>) {
    let (is_over, acknowledged) = (AtomicBool::new(false), Acknowledged::default());
    let done = std::thread::scope(|scope| {
        for name in 0..PUBLISHERS {
            let (is_over, acknowledged) = (&is_over, &acknowledged);
            scope.spawn(move || {
                for number in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let bytes = if number % 3 == 0 { 3500 } else { 200 + number % 100 };
                    let text = format!("{name} {number} {}", "x".repeat(bytes));
                    let event = server.publish("t", &text);
                    acknowledged.lock().unwrap().push(event);
                }
            });
        }
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(&acknowledged)));
        is_over.store(true, Ordering::Relaxed);
        done
    });
    let mut acknowledged = acknowledged.into_inner().unwrap();
    acknowledged.sort_by_key(Event::seq);
    (done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), acknowledged)
}

/// Waits until so many messages more are published: segments come and go.
fn let_segments_pass(acknowledged: &Acknowledged, messages: usize) {
    let before = acknowledged.lock().unwrap().len();
    eventually("messages are published", || {
        (acknowledged.lock().unwrap().len() >= before + messages).then_some(())
    });
}

/// Copies the folder file by file, as programs do that take their time, in one order or another.
fn copy_slowly(
    server: &TestServer,
    name: &str,
    order: usize,
    acknowledged: &Acknowledged,
) -> PathBuf {
    let to = server.data().with_file_name(name);
    fs::create_dir(&to).unwrap();
    let mut files = server.files();
    let half = files.len() / 2;
    match order % 3 {
        0 => {}
        1 => files.reverse(),
        _ => files.rotate_left(half),
    }
    for file in &files {
        match fs::copy(server.data().join(file), to.join(file)) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
            Ok(_) => let_segments_pass(acknowledged, 10),
        }
    }
    to
}

/// A copy.
struct Taken {
    folder: PathBuf,
    /// The newest message that was acknowledged before it was begun.
    newest: u64,
    /// The oldest message that was held when it was done.
    oldest: u64,
}

fn newest(acknowledged: &Acknowledged) -> u64 {
    acknowledged.lock().unwrap().iter().map(Event::seq).max().unwrap_or(0)
}

fn oldest(server: &TestServer) -> u64 {
    server.get("/t/json?poll=1&since=all&max=1").events().first().map_or(1, Event::seq)
}

/// Asserts that these are messages as they were published, from one place to another at least, and
/// that what is missing between them is told.
fn assert_told_what_is_missing(events: &[Event], published: &[Event], from: u64, to: u64) {
    let mut place = 0;
    for event in events {
        let own = &published[usize::try_from(event.seq()).unwrap() - 1];
        assert_eq!(event.plain(), own.plain());
        assert!(event.seq() > place);
        if place > 0 && event.seq() > place + 1 {
            // A file that grew while it was copied ends with a whole line, or within one; one that
            // retention took is not in the copy.
            let reasons = ["lost", "damaged", "expired"];
            let gap = event.gap().expect("a gap");
            assert!(reasons.contains(&gap["reason"].as_str().unwrap()), "{gap}");
        }
        place = event.seq();
    }
    let first = events.first().map_or(u64::MAX, Event::seq);
    assert!(first <= from, "{first} is the first, and {from} was held");
    assert!(place >= to, "{place} is the last, and {to} was acknowledged before");
}

#[test]
fn a_copy_of_a_running_servers_folder_is_a_prefix_of_the_log_or_tells_what_it_misses() {
    let mut server = TestServer::durable(FLAGS);
    let (copies, published) = under_load(&server, |acknowledged| {
        (0..COPIES)
            .map(|number| {
                let_segments_pass(acknowledged, 30 + 10 * number);
                let newest = newest(acknowledged);
                let name = format!("copy{number}");
                let folder = match number % 2 {
                    0 => server.copy_data(&name),
                    _ => copy_slowly(&server, &name, number, acknowledged),
                };
                Taken { folder, newest, oldest: oldest(&server) }
            })
            .collect::<Vec<_>>()
    });
    assert!(published.last().unwrap().seq() == published.len() as u64);
    assert!(oldest(&server) > 1, "retention let go of something");
    server.stop();
    let mut whole = 0;
    for Taken { folder, newest, oldest } in &copies {
        // What is missing in the middle is told, and no reason to refuse the rest.
        let checked = log(&["check", path(folder)]);
        let said = stdout(&checked);
        assert!(said.contains("messages can be read"), "{said}");
        let is_whole = said.contains(", 0 are lost");
        assert_eq!(checked.status.code(), Some(i32::from(!is_whole)), "{said}");
        server.restore_data(folder);
        server.restart();
        let events = server.poll("t", "all");
        let held: u64 = (*oldest).min(events.last().unwrap().seq());
        assert_told_what_is_missing(&events, &published, held, *newest);
        assert_eq!(events.iter().all(|event| event.gap().is_none()), is_whole, "{said}");
        whole += usize::from(is_whole);
        server.stop();
    }
    println!("{whole} of {COPIES} copies were whole");
}

#[test]
fn a_copy_that_is_put_back_tells_readers_with_newer_places_that_theirs_are_lost() {
    let mut server = TestServer::durable(FLAGS);
    let (copy, published) = under_load(&server, |acknowledged| {
        let_segments_pass(acknowledged, 200);
        let copy = server.copy_data("copy");
        let_segments_pass(acknowledged, 10);
        copy
    });
    server.stop();
    server.restore_data(&copy);
    server.restart();
    let held = server.poll("t", "all");
    let last = held.last().unwrap();
    let new: Vec<Event> = (0..3).map(|text| server.publish("t", &text.to_string())).collect();
    let gone: Vec<&Event> = published.iter().filter(|own| own.seq() > last.seq()).collect();
    assert!(gone.len() >= 10 && gone.iter().any(|own| own.seq() == new[0].seq()));
    for place in [gone[0], gone[gone.len() - 1]] {
        for way in Transport::WITH_IDS {
            let (gap, events) = told(way, &server, place.id(), 3);
            assert_eq!((&gap["after"], &gap["reason"]), (&place["id"], &"lost".into()), "{way:?}");
            assert_eq!(plain(&events), plain(&new), "{way:?}");
        }
    }
    for way in Transport::WITH_IDS {
        let heard = way.read(&server, "t", last.id()).messages(3);
        assert!(heard[0].gap().is_none() && plain(&heard) == plain(&new), "{way:?}");
    }
    let ids = published.iter().chain(&new).map(Event::id);
    let ids: std::collections::HashSet<&str> = ids.collect();
    assert_eq!(ids.len(), published.len() + new.len(), "no id stands for two messages");
}

#[test]
fn a_backup_of_a_running_servers_folder_is_exact() {
    let server = TestServer::durable(FLAGS);
    let (backups, published) = under_load(&server, |acknowledged| {
        (0..COPIES)
            .map(|number| {
                let_segments_pass(acknowledged, 30 + 10 * number);
                let newest = newest(acknowledged);
                let folder = server.data().with_file_name(format!("backup{number}"));
                let done = log(&["backup", path(&server.data()), path(&folder)]);
                assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
                Taken { folder, newest, oldest: oldest(&server) }
            })
            .collect::<Vec<_>>()
    });
    for Taken { folder, newest, oldest } in &backups {
        assert!(log(&["check", path(folder)]).status.success());
        let events = exported(folder);
        let (first, last) = (events[0].seq(), events[events.len() - 1].seq());
        assert!(first <= *oldest && last >= *newest, "{first} to {last}, {oldest} to {newest}");
        let stored =
            &published[usize::try_from(first).unwrap() - 1..usize::try_from(last).unwrap()];
        assert!(events == stored, "from {first} to {last}, as it was");
    }
}

fn exported(folder: &Path) -> Vec<Event> {
    stdout(&log(&["export", path(folder)])).lines().map(Event::parse).collect()
}

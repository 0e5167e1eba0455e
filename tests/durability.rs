//! What an acknowledgement is worth when the process dies.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::support::{Event, HeldDisk, Lines, TestServer, Transport, eventually, seqs};

/// Publishes until the server is gone; returns what was acknowledged.
fn publish_until_the_end(mut lines: Lines, name: usize) -> JoinHandle<Vec<(String, String)>> {
    std::thread::spawn(move || {
        let mut acknowledged = Vec::new();
        for n in 0.. {
            let text = format!("message {n} of {name}");
            if lines.try_say(format_args!("PUB t.{name} {text}")).is_err() {
                break;
            }
            match lines.try_event() {
                Some(answer) if answer.kind() == "ok" => {
                    acknowledged.push((answer.id().to_owned(), text));
                    COUNT.fetch_add(1, Ordering::SeqCst);
                }
                Some(answer) => panic!("{}", answer.line),
                None => break,
            }
        }
        acknowledged
    })
}

/// Acknowledged by all publishers of this process; tests wait for it to grow.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Reads until the server is gone.
fn read_until_the_end(mut lines: Lines) -> JoinHandle<Vec<Event>> {
    std::thread::spawn(move || {
        let events = std::iter::from_fn(|| lines.try_event());
        events.filter(|event| event.kind() == "message").collect()
    })
}

fn everything(server: &TestServer) -> Vec<Event> {
    server.get("/t.*/json?poll=1&since=all&max=10000").events()
}

fn survive_a_kill(flags: &str) {
    let mut server = TestServer::durable(flags);
    let mut reader = server.lines();
    reader.subscribe("t.* since=all");
    let mut heard = Vec::new();
    for round in 0..3 {
        let began = COUNT.load(Ordering::SeqCst);
        let publishers: Vec<_> =
            (0..4).map(|n| publish_until_the_end(server.lines(), 10 * round + n)).collect();
        let reading = read_until_the_end(reader);
        eventually("the publishers are under way", || {
            (COUNT.load(Ordering::SeqCst) >= began + 150).then_some(())
        });
        server.kill();
        heard.extend(reading.join().unwrap());
        let acknowledged: Vec<_> =
            publishers.into_iter().flat_map(|publisher| publisher.join().unwrap()).collect();
        server.restart();
        let held = everything(&server);
        for (id, text) in &acknowledged {
            let found = held.iter().find(|event| event.id() == id);
            assert_eq!(found.map(Event::message), Some(text.as_str()), "acknowledged as {id}");
        }
        let places = seqs(&held);
        assert!(places.is_sorted_by(|a, b| a < b));
        reader = server.lines();
        let last = heard.last().map_or("all", Event::id).to_owned();
        reader.subscribe(format_args!("t.* since={last}"));
    }
    let last = server.publish("t.last", "the end");
    while heard.last() != Some(&last) {
        let event = reader.event();
        assert!(event.gap().is_none(), "{}", event.line);
        heard.push(event);
    }
    assert_eq!(heard, everything(&server), "nothing twice, nothing missing");
}

#[test]
fn what_was_acknowledged_survives_the_death_of_the_process() {
    survive_a_kill("");
}

#[test]
fn what_was_acknowledged_survives_with_every_message_synced() {
    survive_a_kill("--sync always");
}

#[test]
fn a_message_is_visible_before_its_publisher_is_answered() {
    let server = TestServer::durable("");
    let mut publisher = server.lines();
    for n in 0..200 {
        let ok = publisher.ask(format_args!("PUB t {n}"));
        let newest = server.poll("t", "latest");
        assert_eq!(newest[0].id(), ok.id());
    }
}

#[test]
fn nobody_hears_of_a_message_before_it_is_stored() {
    let Some(disk) = HeldDisk::new() else { return };
    let server = disk.server("");
    let mut readers = Transport::PUSHING.map(|way| way.read(&server, "t", "none"));
    let mut bystander = server.lines();
    bystander.subscribe("t");
    let mut publisher = server.lines();
    disk.hold();
    publisher.say("PUB t patience");
    for n in 0..30 {
        assert_eq!(bystander.ask(format_args!("PING {n}")).kind(), "pong");
        assert!(server.poll("t", "all").is_empty(), "visible before it is stored");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    disk.release();
    let ok = publisher.event();
    assert_eq!(ok.kind(), "ok");
    for reader in &mut readers {
        assert_eq!(reader.message().id(), ok.id());
    }
}

#[test]
fn readers_of_every_kind_resume_across_a_kill() {
    let mut server = TestServer::durable("");
    server.publish_all("t", &["1", "2", "3", "4"]);
    let places = Transport::ALL.map(|way| {
        let mut reader = way.read(&server, "t", "all");
        (way, reader.messages(2)[1].id().to_owned())
    });
    server.kill();
    server.restart();
    server.publish_all("t", &["5"]);
    let expected = server.poll("t", "all");
    for (way, place) in places {
        let mut reader = way.read(&server, "t", &place);
        assert!(reader.first().is_none_or(|first| first.gap().is_none()), "{way:?}");
        assert_eq!(reader.messages(3), expected[2..], "{way:?}");
    }
}

#[test]
fn places_go_on_rising_after_a_kill() {
    let mut server = TestServer::durable("");
    let mut last = 0;
    for _ in 0..5 {
        let event = server.publish("t", "x");
        assert!(event.seq() > last, "{} after {last}", event.seq());
        last = event.seq();
        server.kill();
        server.restart();
    }
    assert_eq!(server.poll("t", "all").len(), 5);
}

//! Coming back with the last id: nothing twice, nothing missing.

use crate::support::{TestServer, Transport, seqs};

#[test]
fn who_comes_back_with_its_last_id_gets_the_rest_once() {
    let server = TestServer::start();
    for way in Transport::ALL {
        let topic = format!("t.{way:?}");
        let mut reader = way.read(&server, &topic, "none");
        server.publish_all(&topic, &["1", "2", "3", "4", "5"]);
        let mut heard = reader.messages(3);
        drop(reader);
        server.publish_all(&topic, &["6", "7"]);
        let mut reader = way.read(&server, &topic, heard[2].id());
        server.publish_all(&topic, &["8"]);
        heard.extend(reader.messages(5));
        assert_eq!(heard, server.poll(&topic, "all"), "{way:?}");
    }
}

#[test]
fn an_id_is_a_place_on_every_transport_whichever_gave_it() {
    let server = TestServer::start();
    let texts: Vec<String> = (0..14).map(|n| n.to_string()).collect();
    server.publish_all("t", &texts);
    let mut place = "all".to_owned();
    let mut heard = Vec::new();
    for way in Transport::ALL.into_iter().chain(Transport::ALL) {
        let event = way.read(&server, "t", &place).message();
        event.id().clone_into(&mut place);
        heard.push(event);
    }
    assert_eq!(heard, server.poll("t", "all"));
}

#[test]
fn the_place_of_the_opening_event_is_one_to_go_on_from() {
    let server = TestServer::start();
    for way in Transport::PUSHING {
        let reader = way.read(&server, "t", "none");
        let place = reader.first().unwrap().id().to_owned();
        drop(reader);
        let missed = server.publish("t", "missed");
        assert_eq!(way.read(&server, "t", &place).message(), missed, "{way:?}");
    }
}

#[test]
fn who_asked_for_the_latest_and_left_before_they_came_gets_them_after_all() {
    let server = TestServer::start();
    server.publish("t", "old");
    let latest = server.publish("t", "latest");
    for way in Transport::PUSHING {
        let reader = way.read(&server, "t", "latest");
        let place = reader.first().unwrap().id().to_owned();
        drop(reader);
        assert_eq!(way.read(&server, "t", &place).message(), latest, "{way:?}");
    }
}

#[test]
fn the_id_of_another_topics_message_is_a_place_too() {
    let server = TestServer::start();
    server.publish("t", "before");
    let elsewhere = server.publish("other", "x");
    let after = server.publish("t", "after");
    for way in Transport::ALL {
        assert_eq!(way.read(&server, "t", elsewhere.id()).message(), after, "{way:?}");
    }
}

#[test]
fn ids_and_places_outlive_an_orderly_restart() {
    let mut server = TestServer::durable("");
    server.publish_all("t", &["1", "2", "3"]);
    let before = server.get("/t/json?poll=1&since=all");
    assert_eq!(server.stop().code(), Some(0));
    server.restart();
    let after = server.get("/t/json?poll=1&since=all");
    assert_eq!(after.body, before.body, "the same bytes");
    assert_eq!(after.header("etag"), before.header("etag"));
    assert_eq!(after.next(), before.next());
    let events = before.events();
    for way in Transport::ALL {
        let mut reader = way.read(&server, "t", events[0].id());
        assert_eq!(reader.messages(2), events[1..], "{way:?}");
    }
    server.publish("t", "4");
    assert_eq!(seqs(&server.poll("t", "all")), [1, 2, 3, 4]);
}

#[test]
fn history_on_disk_and_live_messages_are_one_stream() {
    let mut server = TestServer::durable("");
    let texts: Vec<String> = (0..3000).map(|n| format!("message {n}")).collect();
    server.publish_all("t", &texts[..2500]);
    server.publish_all("other", &texts[..500]);
    server.stop();
    server.restart();
    let mut readers = Transport::ALL.map(|way| (way, way.read(&server, "t", "all")));
    server.publish_all("t", &texts[2500..]);
    for (way, reader) in &mut readers {
        let heard = reader.messages(3000);
        assert!(heard.iter().zip(&texts).all(|(event, text)| event.message() == text), "{way:?}");
    }
}

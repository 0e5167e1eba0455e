//! The drawings of a trace made by hand, with a message that would like to be more than text.

use std::time::Duration;

use anstream::adapter::strip_str;
use doorbell::Transport;
use doorbell_wire::{Dialogue, Phase, Side, Step};

use crate::picture::Picture;
use crate::{svg, terminal};

fn step(at_us: f64, from: Side, phase: Phase, flags: &[&'static str], words: &str) -> Step {
    let payload_bytes = if flags.contains(&"PSH") { 40 } else { 0 };
    Step {
        at_us,
        from,
        phase,
        flags: flags.to_vec(),
        seq: 4_294_967_000,
        ack: (flags != ["SYN"]).then_some(4_294_967_000),
        payload_bytes,
        wire_bytes: 52 + payload_bytes,
        packets: 1,
        words: words.to_owned(),
    }
}

fn picture(closing: &[Side]) -> Picture {
    use Side::{Client, Server};
    let long =
        "GET /a/json?poll=1&since=none, and so on & so on, for much longer than there is room";
    let mut steps = vec![
        step(0.0, Client, Phase::Open, &["SYN"], "SYN"),
        step(10.2, Server, Phase::Open, &["SYN", "ACK"], "SYN ACK"),
        step(20.4, Client, Phase::Open, &["ACK"], "ACK"),
        step(90.0, Client, Phase::Request, &["PSH", "ACK"], long),
        step(1_200_000.0, Server, Phase::Push, &["PSH", "ACK"], "message '<script>'"),
        step(1_200_010.0, Client, Phase::Push, &["ACK"], "ACK"),
    ];
    let mut now = 1_300_000.0;
    for (index, side) in closing.iter().enumerate() {
        // FIN, [ACK,] FIN, ACK.
        let is_fin = index == 0 || index + 2 == closing.len();
        let (flags, words): (&[_], _) =
            if is_fin { (&["FIN", "ACK"], "FIN ACK") } else { (&["ACK"], "ACK") };
        steps.push(step(now, *side, Phase::Close, flags, words));
        now += 10.0;
    }
    Picture {
        via: Transport::Sse,
        topic: "a".repeat(120),
        message: "<script>\u{1b}[2J]]>".to_owned(),
        client: "127.0.0.1:60000".parse().unwrap(),
        server: "[::1]:60001".parse().unwrap(),
        dialogue: Dialogue {
            began: Duration::ZERO,
            steps,
            has_begin: true,
            has_end: !closing.is_empty(),
        },
        published_us: 1_100_000.0,
    }
}

#[test]
fn text_stays_in_its_columns_and_obeys_nobody() {
    use Side::{Client, Server};
    for closing in [&[][..], &[Client, Server, Client], &[Server, Client, Client, Server]] {
        let text = strip_str(&terminal::render(&picture(closing))).to_string();
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
            let lifelines = line.chars().filter(|c| "│├┤┊┬┴".contains(*c)).count();
            assert!(matches!(lifelines, 0 | 2), "{line}");
        }
    }
}

#[test]
fn the_goodbye_is_explained_as_it_was() {
    use Side::{Client, Server};
    for (closing, expected) in [
        (&[][..], "not seen in time"),
        (&[Client, Server, Client], "three segments: the server closed at once"),
        (&[Server, Client, Client, Server], "four segments: the server's FIN and the client's ACK"),
    ] {
        let remarks = picture(closing).remarks().join("\n");
        assert!(remarks.contains(expected), "{remarks}");
    }
}

#[test]
fn the_picture_is_made_of_whole_elements_and_its_texts_are_text() {
    let drawn = svg::render(&picture(&[Side::Client, Side::Server, Side::Client]));
    assert!(!drawn.contains("<script") && !drawn.contains('\u{1b}'));
    assert!(drawn.contains("&lt;script&gt;"));
    // Each element is closed, in the order of a stack.
    let mut open = Vec::new();
    for tag in drawn.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name.to_owned()), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap().to_owned());
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn json_has_the_segments_and_their_sums() {
    let json = picture(&[Side::Client, Side::Server, Side::Client]).to_json();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["schema"], 1);
    assert_eq!(value["via"], "sse");
    assert_eq!(value["segments"].as_array().unwrap().len(), 9);
    assert_eq!(value["segments"][3]["phase"], "request");
    assert_eq!(value["phases"]["close"]["packets"], 3);
    assert_eq!(value["total"]["wire_bytes"], 9 * 52 + 80);
}

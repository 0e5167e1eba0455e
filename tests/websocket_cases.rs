//! What RFC 6455 asks of a server, case by case: framing, control frames, reserved bits and
//! opcodes, fragments, UTF-8, masks, limits, and the closing handshake. The server echoes nothing,
//! so a message that comes through is a line of the line protocol whose answer holds its payload.

mod frames;

use std::fmt::Debug;

use self::frames::{
    BINARY, CLOSE, CONTINUATION, Frame, Heard, PING, PONG, TEXT, Wire, bytes, fragments,
};
use crate::support::{TestServer, eventually, messages};

/// The codes of RFC 6455, section 7.4.1, that a server fails a connection with.
const PROTOCOL: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// What must come of what is sent.
#[derive(Debug, Clone)]
enum Expected {
    /// Answers in this order, and then the conversation goes on.
    Answers(Vec<Answer>),
    /// Answers, and then the end with one of these codes; none is a close frame without one.
    Closes(Vec<Answer>, &'static [Option<u16>]),
}

/// One answer.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    /// The event `pong` of the line protocol with this word.
    Word(String),
    /// The event `error` with this number.
    Error(u64),
    /// A pong frame with this payload.
    Pong(Vec<u8>),
}

/// What is sent, and what must come of it.
#[derive(Debug)]
struct Case {
    name: String,
    sent: Vec<Frame>,
    expected: Expected,
}

fn case(name: impl Into<String>, sent: impl Into<Vec<Frame>>, expected: Expected) -> Case {
    Case { name: name.into(), sent: sent.into(), expected }
}

/// It goes on after these answers.
fn answers(answers: impl Into<Vec<Answer>>) -> Expected {
    Expected::Answers(answers.into())
}

/// It fails without an answer before.
fn fails(code: u16) -> Expected {
    Expected::Closes(Vec::new(), codes(code))
}

fn codes(code: u16) -> &'static [Option<u16>] {
    match code {
        PROTOCOL => &[Some(PROTOCOL)],
        NOT_UTF8 => &[Some(NOT_UTF8)],
        _ => &[Some(TOO_BIG)],
    }
}

fn word(word: impl Into<String>) -> Answer {
    Answer::Word(word.into())
}

/// Runs each case on a connection of its own, whole and octet by octet; reports all that fail.
fn check(server: &TestServer, cases: Vec<Case>) {
    let mut failures = Vec::new();
    for case in cases {
        let whole = bytes(&case.sent);
        // The kernel may join octets that were written one by one: it is the server's to cope.
        for piece in [whole.len(), 1] {
            let mut wire = Wire::open(server.http);
            whole.chunks(piece).for_each(|piece| wire.write(piece));
            if let Err(failure) = meet(&mut wire, &case.expected) {
                failures.push(format!("{} ({piece} octets at a time): {failure}", case.name));
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

fn meet(wire: &mut Wire, expected: &Expected) -> Result<(), String> {
    let (Expected::Answers(answers) | Expected::Closes(answers, _)) = expected;
    for answer in answers {
        same(&heard_answer(wire)?, answer)?;
    }
    match expected {
        Expected::Answers(_) => {
            wire.write(&Frame::new(PING, "still there").bytes());
            same(&heard_answer(wire)?, &Answer::Pong(b"still there".to_vec()))
        }
        Expected::Closes(_, codes) => ends(wire, codes),
    }
}

fn heard_answer(wire: &mut Wire) -> Result<Answer, String> {
    match wire.hear() {
        Heard::Pong(payload) => Ok(Answer::Pong(payload)),
        Heard::Event(event) if event.kind() == "pong" => Ok(word(event.message())),
        Heard::Event(event) if event.kind() == "error" => Ok(Answer::Error(event.code())),
        other => Err(format!("no answer but {other:?}")),
    }
}

/// The server closes with a code and ends the connection; it may say why in an event before, or
/// answer what came before that.
fn ends(wire: &mut Wire, codes: &[Option<u16>]) -> Result<(), String> {
    let closed = loop {
        match wire.hear() {
            Heard::Event(_) => {}
            Heard::Close(code) => break code,
            other => return Err(format!("no close frame but {other:?}")),
        }
    };
    if !codes.contains(&closed) {
        return Err(format!("closed with {closed:?}, not with one of {codes:?}"));
    }
    wire.write(&Frame::close(1000, "").bytes());
    same(&wire.hear(), &Heard::End)
}

fn same<T: Debug + PartialEq>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}")) }
}

#[test]
fn websocket_cases_messages_of_every_length_come_through_whole() {
    let server = TestServer::with("--message-bytes 131072 --line-bytes 140000");
    let mut wire = Wire::open(server.http);
    let command = "PUB t ";
    let around = |size: usize| size.saturating_sub(2)..size + 3;
    let lengths = (command.len() + 1..1030)
        .chain((1030..66_000).step_by(1009))
        .chain([4096, 32_768, 65_536, 131_072].into_iter().flat_map(around));
    for (number, length) in lengths.enumerate() {
        let text = "x".repeat(length - command.len());
        let opcode = if number % 2 == 0 { TEXT } else { BINARY };
        wire.write(&Frame::new(opcode, format!("{command}{text}")).bytes());
        let Heard::Event(ok) = wire.hear() else { panic!("{length}: no answer") };
        let Heard::Event(event) = wire.hear() else { panic!("{length}: no message") };
        // An answer and a message may come in either order.
        let (ok, event) = if ok.kind() == "ok" { (ok, event) } else { (event, ok) };
        assert_eq!((ok.kind(), event.kind()), ("ok", "message"), "{length}");
        assert_eq!(event.message(), text, "{length}");
    }
}

#[test]
fn websocket_cases_pings_are_answered_with_their_payload() {
    let server = TestServer::start();
    let mut cases = Vec::new();
    for length in [0, 1, 2, 64, 124, 125] {
        let payload: Vec<u8> = (0..length).map(|place| 0xFF ^ place).collect();
        let pong = Answer::Pong(payload.clone());
        cases.push(case(format!("ping of {length}"), [Frame::new(PING, payload)], answers([pong])));
    }
    for opcode in [PING, PONG] {
        let of = |length: usize| [Frame::new(opcode, vec![b'x'; length])];
        cases.push(case(format!("{opcode:x} of 126"), of(126), fails(PROTOCOL)));
        cases.push(case(format!("{opcode:x} of 70000"), of(70_000), fails(PROTOCOL)));
        let unfinished = [Frame::new(opcode, "x").unfinished()];
        cases.push(case(format!("{opcode:x} unfinished"), unfinished, fails(PROTOCOL)));
    }
    let pongs = [Frame::new(PONG, ""), Frame::new(PONG, [0xFF; 125])];
    cases.push(case("pongs nobody asked for", pongs, answers([])));
    check(&server, cases);
    let mut wire = Wire::open(server.http);
    for length in 0..=125 {
        let payload = vec![b'p'; length];
        wire.write(&Frame::new(PING, &payload).bytes());
        assert_eq!(wire.hear(), Heard::Pong(payload));
    }
}

/// RFC 6455, section 5.5.3: pings that came before the last may go without an answer.
#[test]
fn websocket_cases_of_many_pings_at_once_the_last_is_answered() {
    let server = TestServer::start();
    let mut wire = Wire::open(server.http);
    let payloads: Vec<Vec<u8>> = (0..100).map(|number: u8| vec![number]).collect();
    let pings: Vec<Frame> = payloads.iter().map(|payload| Frame::new(PING, payload)).collect();
    wire.write(&bytes(&pings));
    let mut unanswered = payloads.into_iter();
    while unanswered.len() > 0 {
        let Heard::Pong(payload) = wire.hear() else { panic!("no pong") };
        assert!(unanswered.any(|sent| sent == payload), "{payload:?} out of order");
    }
}

#[test]
fn websocket_cases_reserved_bits_fail_the_connection() {
    let server = TestServer::start();
    let mut cases = Vec::new();
    for bits in 1..=7 {
        for opcode in [TEXT, BINARY, PING, PONG, CLOSE] {
            let sent = [Frame::text("PING first"), Frame::new(opcode, "").reserved(bits)];
            let expected = Expected::Closes(vec![word("first")], codes(PROTOCOL));
            cases.push(case(format!("bits {bits} with {opcode:x}"), sent, expected));
        }
    }
    check(&server, cases);
}

#[test]
fn websocket_cases_reserved_opcodes_fail_the_connection() {
    let server = TestServer::start();
    let mut cases = Vec::new();
    for opcode in (3..=7).chain(0xB..=0xF) {
        for payload in ["", "x"] {
            let sent = [Frame::text("PING first"), Frame::new(opcode, payload)];
            let expected = Expected::Closes(vec![word("first")], codes(PROTOCOL));
            cases.push(case(format!("opcode {opcode:x} of {payload:?}"), sent, expected));
        }
    }
    check(&server, cases);
}

#[test]
fn websocket_cases_fragments_are_put_together_in_every_way() {
    let server = TestServer::start();
    let payload = "PING \u{e9}\u{20ac}\u{1f514}".as_bytes();
    let answer = || word("\u{e9}\u{20ac}\u{1f514}");
    let mut cases = Vec::new();
    for opcode in [TEXT, BINARY] {
        for cut in 0..=payload.len() {
            let name = format!("{opcode:x} cut at {cut}");
            let sent = fragments(opcode, payload, &[cut]);
            cases.push(case(&name, sent.clone(), answers([answer()])));
            let [first, last] = sent.try_into().unwrap();
            let ping = Frame::new(PING, "between");
            let between = [first.clone(), ping.clone(), last.clone()];
            let both = [Answer::Pong(b"between".to_vec()), answer()];
            cases.push(case(format!("{name}, a ping between"), between, answers(both)));
            let between = [first, Frame::new(PONG, "between"), last];
            cases.push(case(format!("{name}, a pong between"), between, answers([answer()])));
        }
        let each: Vec<usize> = (1..payload.len()).collect();
        let sent = fragments(opcode, payload, &each);
        cases.push(case(format!("{opcode:x} in octets"), sent, answers([answer()])));
        let empty = vec![payload.len(); 500];
        let sent = fragments(opcode, payload, &empty);
        cases.push(case(format!("{opcode:x}, then 500 empty"), sent, answers([answer()])));
        let sent = [fragments(opcode, payload, &[3]), fragments(opcode, b"PING 2", &[2])].concat();
        cases.push(case("two, one after the other", sent, answers([answer(), word("2")])));
    }
    check(&server, cases);
}

#[test]
fn websocket_cases_fragments_out_of_order_fail_the_connection() {
    let server = TestServer::start();
    let mut cases = Vec::new();
    let orphan = Frame::new(CONTINUATION, "PING x");
    let first = |opcode| Frame::new(opcode, "PING ").unfinished();
    let after = |sent: &[Frame]| [&[Frame::text("PING first")], sent].concat();
    let expected = || Expected::Closes(vec![word("first")], codes(PROTOCOL));
    for sent in [orphan.clone(), orphan.clone().unfinished(), Frame::new(CONTINUATION, "")] {
        cases.push(case(format!("an orphan {sent:?}"), after(&[sent]), expected()));
    }
    for opcode in [TEXT, BINARY] {
        for second in [TEXT, BINARY] {
            let sent = after(&[first(opcode), Frame::new(second, "x")]);
            cases.push(case(format!("{second:x} in {opcode:x}"), sent, expected()));
            let sent = after(&[first(opcode), Frame::new(second, "x").unfinished()]);
            cases.push(case(format!("{second:x} begins in {opcode:x}"), sent, expected()));
        }
        let whole = fragments(opcode, b"PING x", &[4]);
        let sent = [&[Frame::text("PING first")], whole.as_slice(), std::slice::from_ref(&orphan)]
            .concat();
        let both = Expected::Closes(vec![word("first"), word("x")], codes(PROTOCOL));
        cases.push(case(format!("{opcode:x} continued after its end"), sent, both));
        let sent = after(&[first(opcode), Frame::new(PING, "").unfinished()]);
        cases.push(case(format!("a ping in fragments within {opcode:x}"), sent, expected()));
    }
    check(&server, cases);
}

/// Texts with characters of every length, and those that are often taken for wrong: the first and
/// last of each length, non-characters, combining marks, byte-order marks.
const TEXTS: &[&str] = &[
    "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!",
    "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}",
    "\u{1}x\u{7f}",
    "\u{80}\u{7ff}",
    "\u{800}\u{ffff}",
    "\u{10000}\u{10ffff}",
    "\u{d7ff}\u{e000}\u{fffd}",
    "\u{fffe}\u{feff}\u{1fffe}\u{1ffff}\u{10fffe}",
    "\u{fdd0}\u{fdef}",
    "e\u{301}\u{200d}\u{202e}x",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
];

/// Octets that are not UTF-8 wherever they stand.
const NOT_TEXTS: &[&[u8]] = &[
    // Continuations without a beginning, one to seven of them.
    b"\x80",
    b"\xbf",
    b"\x80\xbf\x80\xbf\x80\xbf\x80",
    // Beginnings without a continuation, of each length.
    b"\xc3 ",
    b"\xe2 ",
    b"\xe2\x82 ",
    b"\xf0\x9f ",
    b"\xf0\x9f\x94 ",
    b"\xc3\xe2\x82\xf0\x9f\x94",
    // Octets that never occur.
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    // Longer than needed: a slash, NUL and the last of each shorter length.
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xf8\x80\x80\x80\xaf",
    b"\xfc\x80\x80\x80\x80\xaf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    // Above U+10FFFF, and sequences of five and six octets.
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    // Surrogates, single and in pairs.
    b"\xed\xa0\x80",
    b"\xed\xaf\xbf",
    b"\xed\xb0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xed\xad\xbf\xed\xbf\xbf",
];

#[test]
fn websocket_cases_texts_of_every_kind_come_through_cut_anywhere() {
    let server = TestServer::start();
    let mut cases = Vec::new();
    for text in TEXTS {
        let line = format!("PING {text}");
        cases.push(case(*text, [Frame::text(&line)], answers([word(*text)])));
        let each: Vec<usize> = (1..line.len()).collect();
        let sent = fragments(TEXT, line.as_bytes(), &each);
        cases.push(case(format!("{text} in octets"), sent, answers([word(*text)])));
    }
    check(&server, cases);
}

#[test]
fn websocket_cases_texts_that_are_not_utf8_fail_the_connection() {
    let server = TestServer::start();
    let mut cases = Vec::new();
    for octets in NOT_TEXTS {
        let line = [b"PING x", *octets, b"x"].concat();
        let name = octets.escape_ascii().to_string();
        cases.push(case(&name, [Frame::text(&line)], fails(NOT_UTF8)));
        let each: Vec<usize> = (1..line.len()).collect();
        cases.push(case(
            format!("{name} in octets"),
            fragments(TEXT, &line, &each),
            fails(NOT_UTF8),
        ));
    }
    // A character that the message's end cuts off.
    for cut in ["\u{e9}", "\u{20ac}", "\u{1f514}"] {
        for left in 1..cut.len() {
            let line = [b"PING ", &cut.as_bytes()[..left]].concat();
            let name = line.escape_ascii().to_string();
            cases.push(case(&name, [Frame::text(&line)], fails(NOT_UTF8)));
            let sent = fragments(TEXT, &line, &[line.len() - left]);
            cases.push(case(format!("{name} in two"), sent, fails(NOT_UTF8)));
        }
    }
    check(&server, cases);
}

#[test]
fn websocket_cases_octets_that_are_no_text_pass_where_no_text_is_meant() {
    let server = TestServer::start();
    let cases = NOT_TEXTS.iter().flat_map(|octets| {
        let name = octets.escape_ascii().to_string();
        let binary = [Frame::new(BINARY, [b"PING ", *octets].concat())];
        let pong = Answer::Pong(octets.to_vec());
        [
            case(format!("{name} in a message of octets"), binary, answers([Answer::Error(40011)])),
            case(format!("{name} in a ping"), [Frame::new(PING, octets)], answers([pong])),
        ]
    });
    check(&server, cases.collect());
}

#[test]
fn websocket_cases_frames_that_are_not_masked_fail_the_connection() {
    let server = TestServer::start();
    let mut cases = Vec::new();
    for opcode in [TEXT, BINARY, PING, PONG, CLOSE] {
        for payload in ["", "PING x"] {
            let sent = [Frame::new(opcode, payload).masked(None)];
            cases.push(case(format!("{opcode:x} of {payload:?}"), sent, fails(PROTOCOL)));
        }
    }
    for mask in [[0; 4], [0xFF; 4], [0, 0, 0, 1], *b"PING"] {
        let sent = [Frame::text("PING masked").masked(Some(mask))];
        cases.push(case(format!("mask {mask:?}"), sent, answers([word("masked")])));
    }
    check(&server, cases);
}

#[test]
fn websocket_cases_a_close_frame_is_answered_with_its_code() {
    let server = TestServer::start();
    let echo = |code| Expected::Closes(Vec::new(), code);
    let mut cases = vec![
        case("none", [Frame::new(CLOSE, "")], echo(&[None, Some(1000)])),
        case(
            "begun",
            [Frame::text("PI").unfinished(), Frame::close(1000, "")],
            echo(&[Some(1000)]),
        ),
    ];
    let codes: [&'static [Option<u16>]; 13] = [
        &[Some(1000)],
        &[Some(1001)],
        &[Some(1002)],
        &[Some(1003)],
        &[Some(1007)],
        &[Some(1008)],
        &[Some(1009)],
        &[Some(1010)],
        &[Some(1011)],
        &[Some(3000)],
        &[Some(3999)],
        &[Some(4000)],
        &[Some(4999)],
    ];
    for expected in codes {
        let code = expected[0].unwrap();
        for reason in ["", "enough \u{20ac}", &"r".repeat(123)] {
            let name = format!("{code} {reason:?}");
            cases.push(case(name, [Frame::close(code, reason)], echo(expected)));
        }
    }
    check(&server, cases);
}

#[test]
fn websocket_cases_a_close_frame_that_is_wrong_fails_the_connection() {
    let server = TestServer::start();
    let mut cases = vec![
        case("one octet", [Frame::new(CLOSE, [3])], fails(PROTOCOL)),
        case("126 octets", [Frame::close(1000, "r".repeat(124))], fails(PROTOCOL)),
        case("unfinished", [Frame::close(1000, "").unfinished()], fails(PROTOCOL)),
    ];
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(case(code.to_string(), [Frame::close(code, "")], fails(PROTOCOL)));
        cases.push(case(format!("{code} why"), [Frame::close(code, "why")], fails(PROTOCOL)));
    }
    for octets in NOT_TEXTS {
        let name = octets.escape_ascii().to_string();
        // The frame and its text are wrong, so both are.
        let expected = Expected::Closes(Vec::new(), &[Some(NOT_UTF8), Some(PROTOCOL)]);
        cases.push(case(name, [Frame::close(1000, octets)], expected));
    }
    check(&server, cases);
}

#[test]
fn websocket_cases_what_comes_before_a_close_frame_counts_and_what_follows_it_does_not() {
    let server = TestServer::start();
    let expected = Expected::Closes(Vec::new(), &[Some(1000)]);
    let after = [
        Frame::text("PUB t after"),
        Frame::new(PING, "after"),
        Frame::close(1001, ""),
        Frame::new(3, "nonsense"),
    ];
    let cases = after.map(|after| {
        let sent = [Frame::text("PUB t before"), Frame::close(1000, ""), after];
        case(format!("{sent:?}"), sent, expected.clone())
    });
    // Each is sent twice, whole and octet by octet.
    let published = 2 * cases.len();
    check(&server, cases.into());
    let stored = eventually("all that came before is stored", || {
        Some(server.poll("t", "all")).filter(|stored| stored.len() >= published)
    });
    assert_eq!(messages(&stored), vec!["before"; published]);
}

#[test]
fn websocket_cases_a_message_may_have_the_limit_and_no_more() {
    const LIMIT: usize = 1000;
    let server = TestServer::with("--line-bytes 1000");
    let line = |length: usize| format!("PING x{}", " ".repeat(length - 6)).into_bytes();
    let mut cases = Vec::new();
    for opcode in [TEXT, BINARY] {
        let of = |length: usize| [Frame::new(opcode, line(length))];
        for length in [LIMIT - 1, LIMIT] {
            cases.push(case(format!("{opcode:x} of {length}"), of(length), answers([word("x")])));
            let sent = fragments(opcode, &line(length), &[1, 500]);
            cases.push(case(format!("{length} in three"), sent, answers([word("x")])));
        }
        for length in [LIMIT + 1, 2 * LIMIT, 70_000] {
            cases.push(case(format!("{opcode:x} of {length}"), of(length), fails(TOO_BIG)));
            let sent = fragments(opcode, &line(length), &[1, 500, LIMIT]);
            cases.push(case(format!("{length} in four"), sent, fails(TOO_BIG)));
        }
    }
    check(&server, cases);
}

#[test]
fn websocket_cases_a_length_that_no_message_may_have_is_refused_at_once() {
    let server = TestServer::start();
    for length in [1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX] {
        for opcode in [TEXT, BINARY] {
            let mut wire = Wire::open(server.http);
            let eight_bytes = length.to_be_bytes();
            let head = [&[0x80 | opcode, 0x80 | 127], eight_bytes.as_slice(), &[0; 4]];
            wire.write(&head.concat());
            // The highest bit of a length must not be set, so that both codes say what is wrong.
            let codes = [Some(TOO_BIG), Some(PROTOCOL)];
            assert_eq!(ends(&mut wire, &codes), Ok(()), "{length} with {opcode:x}");
        }
    }
}

#[test]
fn websocket_cases_many_messages_in_one_segment_are_answered_in_order() {
    let server = TestServer::start();
    let mut wire = Wire::open(server.http);
    for size in [1, 16, 100] {
        let words: Vec<String> = (0..300).map(|n| format!("{n}{}", "x".repeat(size))).collect();
        let sent: Vec<Frame> =
            words.iter().map(|word| Frame::text(format!("PING {word}"))).collect();
        wire.write(&bytes(&sent));
        for expected in &words {
            assert_eq!(heard_answer(&mut wire), Ok(word(expected)));
        }
    }
}

#[test]
fn websocket_cases_a_message_comes_through_in_pieces_of_every_size() {
    let server = TestServer::with("--message-bytes 65536 --line-bytes 70000");
    let mut wire = Wire::open(server.http);
    let text = "\u{20ac}".repeat(21_000);
    let sent = [
        bytes(&[Frame::text(format!("PUB t {text}"))]),
        bytes(&fragments(TEXT, format!("PUB t {text}").as_bytes(), &[1000, 1001, 50_000])),
    ];
    for (sent, piece) in sent.iter().flat_map(|sent| [7, 64, 500, 997, 4096].map(|p| (sent, p))) {
        sent.chunks(piece).for_each(|piece| wire.write(piece));
        for _ in 0..2 {
            match wire.hear() {
                Heard::Event(event) if event.kind() == "message" => {
                    assert_eq!(event.message(), text, "in pieces of {piece}");
                }
                Heard::Event(event) => assert_eq!(event.kind(), "ok", "in pieces of {piece}"),
                other => panic!("in pieces of {piece}: {other:?}"),
            }
        }
    }
}

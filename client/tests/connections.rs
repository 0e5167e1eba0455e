//! What the library does when connections fail, against servers that follow a script.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorbell::laboratory::{ByteStream, Observation, Observer, Socket};
use doorbell::{
    Client, Draft, Error, Publisher, Receipt, Since, Subscribe, Subscription, Transport, Update,
};
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};

type Peer = BufStream<TcpStream>;

/// A listener on a free port.
async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

async fn accept(listener: &TcpListener) -> Peer {
    BufStream::new(listener.accept().await.unwrap().0)
}

/// A connection of the line protocol, after the server's greeting.
async fn accept_lines(listener: &TcpListener) -> Peer {
    let mut peer = accept(listener).await;
    say(&mut peer, &format!("{}\n", event("open", 0, ""))).await;
    peer
}

async fn say(peer: &mut Peer, text: &str) {
    peer.write_all(text.as_bytes()).await.unwrap();
    peer.flush().await.unwrap();
}

async fn line(peer: &mut Peer) -> String {
    let mut line = String::new();
    peer.read_line(&mut line).await.unwrap();
    line.trim_end().to_owned()
}

/// The first line of a request and its headers.
async fn request(peer: &mut Peer) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(peer.read_line(&mut head).await.unwrap(), 0, "{head}");
    }
    head
}

fn id(seq: u64) -> String {
    doorbell_protocol::Epoch::from_bits(9).id(seq).to_string()
}

fn event(kind: &str, seq: u64, more: &str) -> String {
    let id = id(seq);
    format!(r#"{{"id":"{id}","seq":{seq},"time":1,"event":"{kind}"{more}}}"#)
}

fn message(seq: u64) -> String {
    event("message", seq, &format!(r#","topic":"t","message":"{seq}""#))
}

fn client(server: &str) -> Client {
    Client::new(server.parse().unwrap())
}

fn publisher(address: &str) -> Publisher {
    client(&format!("tcp://{address}")).publisher()
}

fn subscribe(address: &str, via: Transport) -> Subscribe {
    let server = match via {
        Transport::Tcp => format!("tcp://{address}"),
        _ => format!("http://{address}"),
    };
    client(&server).subscribe("t".parse().unwrap()).since(Since::All).via(via)
}

fn updates(address: &str, via: Transport) -> Subscription {
    subscribe(address, via).stream()
}

/// Writes down what it is told, and what kind of connection it is shown.
#[derive(Debug, Default)]
struct Witness(Mutex<(usize, Vec<Observation>)>);

impl Observer for Witness {
    fn connected(self: Arc<Self>, socket: Socket) -> Box<dyn ByteStream> {
        self.0.lock().unwrap().0 += 1;
        socket.into_stream()
    }

    fn observe(&self, observation: Observation) {
        self.0.lock().unwrap().1.push(observation);
    }
}

/// The updates up to the message with this text, each as a word.
async fn told_until(updates: &mut Subscription, last: &str) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(update) = updates.next().await {
        told.push(match update.unwrap() {
            Update::Connected => "connected".to_owned(),
            Update::Message(message) => message.event.message.unwrap().into_owned(),
            Update::Gap(_) => "gap".to_owned(),
            Update::Repeated(_) => "repeated".to_owned(),
            Update::Disconnected { .. } => "disconnected".to_owned(),
            other => panic!("{other:?}"),
        });
        if told.last().is_some_and(|word| word == last) {
            break;
        }
    }
    told
}

#[tokio::test]
async fn a_broken_line_is_not_a_message_and_the_next_connection_resumes() {
    let (listener, address) = listen().await;
    let mut updates = updates(&address, Transport::Tcp);
    let server = async {
        let mut peer = accept_lines(&listener).await;
        assert_eq!(line(&mut peer).await, "SUB t since=all");
        let ok = event("ok", 4, "");
        let half = &message(7)[..20];
        say(&mut peer, &format!("{ok}\n{}\n{half}", message(6))).await;
        drop(peer);
        let mut peer = accept_lines(&listener).await;
        assert_eq!(line(&mut peer).await, format!("SUB t since={}", id(6)));
        let (ok, six) = (event("ok", 6, ""), message(6));
        say(&mut peer, &format!("{ok}\n{six}\n{}\n", message(7))).await;
        peer
    };
    let (told, _peer) = tokio::join!(told_until(&mut updates, "7"), server);
    assert_eq!(told, ["connected", "6", "disconnected", "connected", "repeated", "7"]);
}

#[tokio::test]
async fn a_subscription_that_heard_no_message_resumes_from_its_place() {
    let (listener, address) = listen().await;
    let mut updates = updates(&address, Transport::Tcp);
    let server = async {
        let mut peer = accept_lines(&listener).await;
        line(&mut peer).await;
        let events = [event("ok", 4, ""), event("keepalive", 5, ""), event("close", 5, "")];
        say(&mut peer, &format!("{}\n", events.join("\n"))).await;
        let mut peer = accept_lines(&listener).await;
        assert_eq!(line(&mut peer).await, format!("SUB t since={}", id(5)));
        let gap =
            format!(r#","gap":{{"after":"{}","before":"{}","reason":"expired"}}"#, id(5), id(8));
        let ok = event("ok", 7, &gap);
        say(&mut peer, &format!("{ok}\n{}\n", message(8))).await;
        peer
    };
    let (told, _peer) = tokio::join!(told_until(&mut updates, "8"), server);
    assert_eq!(told, ["connected", "disconnected", "connected", "gap", "8"]);
}

#[tokio::test]
async fn server_sent_events_resume_too() {
    let (listener, address) = listen().await;
    let mut updates = updates(&address, Transport::Sse);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let server = async {
        let mut peer = accept(&listener).await;
        let asked = request(&mut peer).await;
        assert!(asked.starts_with("GET /t/sse?since=all "), "{asked}");
        let (open, six) = (event("open", 0, ""), message(6));
        let half = &message(7)[..20];
        let body = format!("event: open\ndata: {open}\n\nid: x\ndata: {six}\n\ndata: {half}");
        say(&mut peer, &format!("{head}{body}")).await;
        drop(peer);
        let mut peer = accept(&listener).await;
        let asked = request(&mut peer).await;
        assert!(asked.contains(&format!("since={} ", id(6))), "{asked}");
        let (open, seven) = (event("open", 6, ""), message(7));
        say(&mut peer, &format!("{head}data: {open}\n\ndata: {seven}\n\n")).await;
        peer
    };
    let (told, _peer) = tokio::join!(told_until(&mut updates, "7"), server);
    assert_eq!(told, ["connected", "6", "disconnected", "connected", "7"]);
}

#[tokio::test]
async fn polls_carry_the_cursor_and_the_etag_and_do_not_wait_for_more() {
    let (listener, address) = listen().await;
    let witness = Arc::new(Witness::default());
    let subscribe = subscribe(&address, Transport::Poll).interval(Duration::from_millis(20));
    let mut updates = subscribe.observed(Arc::clone(&witness) as _).stream();
    let answer = |headers: &str, next: u64, messages: &[u64]| {
        let body: String = messages.iter().map(|seq| message(*seq) + "\n").collect();
        let length = body.len();
        let next = id(next);
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\
             content-type: application/x-ndjson\r\nDoorbell-Next: {next}\r\n\
             {headers}\r\n{body}"
        )
    };
    let gap = format!(r#"{{"after":"x","before":"{}","reason":"expired"}}"#, id(1));
    let server = async {
        let mut peer = accept(&listener).await;
        let asked = request(&mut peer).await;
        assert!(asked.starts_with("GET /t/json?poll=1&since=all "), "{asked}");
        assert!(!asked.contains("if-none-match"), "{asked}");
        let headers = format!("Doorbell-Gap: {gap}\r\nETag: \"2\"\r\n");
        say(&mut peer, &answer(&headers, 3, &[1, 2])).await;

        let asked = request(&mut peer).await;
        assert!(asked.contains(&format!("since={} ", id(3))), "{asked}");
        assert!(asked.contains("if-none-match: \"2\""), "{asked}");
        say(&mut peer, "HTTP/1.1 304 Not Modified\r\n\r\n").await;

        let asked = request(&mut peer).await;
        assert!(asked.contains("if-none-match: \"2\""), "{asked}");
        let headers = "Doorbell-More: 1\r\nETag: \"5\"\r\n";
        say(&mut peer, &answer(headers, 4, &[4])).await;

        let asked = request(&mut peer).await;
        assert!(!asked.contains("if-none-match"), "{asked}");
        say(&mut peer, &answer("ETag: \"5\"\r\n", 5, &[5])).await;
        peer
    };
    let (told, _peer) = tokio::join!(told_until(&mut updates, "5"), server);
    assert_eq!(told, ["connected", "gap", "1", "2", "4", "5"]);
    let (connections, told) = &*witness.0.lock().unwrap();
    let empty = Observation::EmptyAnswer { not_modified: true };
    let asked = Observation::Request;
    // How long each answer took is told as well, and is another each time.
    let timed = |told: &&Observation| matches!(told, Observation::Answer { .. });
    assert_eq!(told.iter().filter(timed).count(), 4);
    let told: Vec<Observation> = told.iter().filter(|told| !timed(told)).copied().collect();
    assert_eq!((*connections, told), (1, vec![asked, asked, empty, asked, asked]));
}

#[tokio::test]
async fn a_refused_filter_ends_the_subscription() {
    let (listener, address) = listen().await;
    let mut updates = updates(&address, Transport::Tcp);
    let server = async {
        let mut peer = accept_lines(&listener).await;
        line(&mut peer).await;
        let error = event("error", 0, r#","code":40009,"http":400,"error":"no""#);
        say(&mut peer, &format!("{error}\n")).await;
        peer
    };
    let (refused, _peer) = tokio::join!(updates.next(), server);
    assert!(matches!(refused, Some(Err(Error::Refused(refusal))) if refusal.code == 40009));
    assert!(updates.next().await.is_none());
}

/// How long a subscription stays with a server that opened with these members, and says nothing any
/// more once it has taken the subscription up.
async fn patience_with(members: &str) -> Duration {
    let (listener, address) = listen().await;
    let mut updates = updates(&address, Transport::Tcp);
    let server = async {
        let mut peer = accept(&listener).await;
        say(&mut peer, &format!("{}\n", event("open", 0, members))).await;
        line(&mut peer).await;
        say(&mut peer, &format!("{}\n", event("ok", 0, ""))).await;
        peer
    };
    let (connected, _peer) = tokio::join!(updates.next(), server);
    assert!(matches!(connected, Some(Ok(Update::Connected))));
    // With nothing to do but wait, the clock runs on by itself.
    tokio::time::pause();
    let quiet_since = tokio::time::Instant::now();
    let update = updates.next().await;
    let silent = matches!(update, Some(Ok(Update::Disconnected { error: Error::Silent(_), .. })));
    assert!(silent, "{update:?}");
    quiet_since.elapsed()
}

#[tokio::test]
async fn a_server_that_says_nothing_any_more_is_left() {
    patience_with("").await;
}

#[tokio::test]
async fn a_server_that_said_how_quiet_it_is_is_waited_for_as_long() {
    let patience = patience_with(r#","keepalive":300"#).await;
    let fitting = Duration::from_secs(301)..Duration::from_secs(1800);
    assert!(fitting.contains(&patience), "{patience:?}");
}

#[tokio::test]
async fn a_dropped_subscription_leaves_no_connection_behind() {
    for via in [Transport::Tcp, Transport::Sse, Transport::Longpoll] {
        let (listener, address) = listen().await;
        let mut updates = updates(&address, via);
        let server = async {
            match via {
                Transport::Tcp => accept_lines(&listener).await,
                _ => accept(&listener).await,
            }
        };
        let mut peer = tokio::select! {
            peer = server => peer,
            update = updates.next() => panic!("{update:?}"),
        };
        drop(updates);
        // What it said, and then the end, which may be a reset.
        let _ = peer.read_to_end(&mut Vec::new()).await;
    }
}

fn draft(text: &str) -> Draft {
    client("tcp://127.0.0.1:9").publish("t".parse().unwrap(), text).into()
}

#[tokio::test]
async fn publishes_without_an_answer_are_sent_again_in_their_order() {
    let (listener, address) = listen().await;
    let mut publisher = publisher(&address);
    let server = async {
        let mut peer = accept_lines(&listener).await;
        for text in ["a", "b", "c"] {
            assert_eq!(line(&mut peer).await, format!("PUBJ {}", draft(text).to_json()));
        }
        let answer = event("ok", 1, "");
        say(&mut peer, &format!("{answer}\n")).await;
        drop(peer);
        let mut peer = accept_lines(&listener).await;
        for text in ["b", "c"] {
            assert!(line(&mut peer).await.ends_with(&draft(text).to_json()));
        }
        let refused = event("error", 1, r#","code":41301,"http":413,"error":"long""#);
        let stored = event("ok", 2, "");
        say(&mut peer, &format!("{refused}\n{stored}\n")).await;
        peer
    };
    let drafts = stream::iter(["a", "b", "c"].map(draft));
    let receipts = publisher.publish_all(drafts).collect::<Vec<_>>();
    let (receipts, mut peer) = tokio::join!(receipts, server);
    let told = receipts.into_iter().map(|receipt| match receipt.unwrap() {
        Receipt::Accepted(answer) => answer.event.seq.unwrap(),
        Receipt::Refused(refusal) => refusal.code.into(),
    });
    assert_eq!(told.collect::<Vec<_>>(), [1, 41301, 2]);

    // The connection is kept for what is published next.
    let next = async {
        line(&mut peer).await;
        let stored = event("ok", 3, "");
        say(&mut peer, &format!("{stored}\n")).await;
    };
    let (receipt, ()) = tokio::join!(publisher.publish(draft("d")), next);
    assert!(matches!(receipt.unwrap(), Receipt::Accepted(_)));
}

#[tokio::test]
async fn answers_that_nobody_waited_for_are_not_taken_for_later_ones() {
    let (listener, address) = listen().await;
    let mut publisher = publisher(&address);
    let mut peer = {
        let publishing = publisher.publish(draft("a"));
        let server = async {
            let mut peer = accept_lines(&listener).await;
            line(&mut peer).await;
            peer
        };
        tokio::select! {
            peer = server => peer,
            receipt = publishing => panic!("{receipt:?}"),
        }
    };
    let server = async {
        assert_eq!(line(&mut peer).await, "", "the first connection ends");
        let mut peer = accept_lines(&listener).await;
        assert!(line(&mut peer).await.ends_with(&draft("b").to_json()));
        let stored = event("ok", 2, "");
        say(&mut peer, &format!("{stored}\n")).await;
        peer
    };
    let (receipt, _peer) = tokio::join!(publisher.publish(draft("b")), server);
    assert!(matches!(receipt.unwrap(), Receipt::Accepted(answer) if answer.event.seq == Some(2)));
}

#[tokio::test]
async fn the_first_connection_is_tried_once() {
    let (listener, address) = listen().await;
    drop(listener);
    for scheme in ["tcp", "http"] {
        let mut publisher = client(&format!("{scheme}://{address}")).publisher();
        let failed = publisher.publish(draft("a")).await;
        assert!(matches!(failed, Err(Error::Connect { .. })), "{failed:?}");
        let failed = doorbell::connect(&format!("{scheme}://{address}")).await;
        assert!(matches!(failed, Err(Error::Connect { .. })), "{failed:?}");
    }
}

#[tokio::test]
async fn a_client_is_connected_once_the_server_has_greeted() {
    let (listener, address) = listen().await;
    let address = format!("tcp://{address}");
    let (client, _peer) = tokio::join!(doorbell::connect(&address), accept_lines(&listener));
    assert_eq!(client.unwrap().server().to_string(), address);
    // A host alone is one that speaks HTTP.
    let (listener, address) = listen().await;
    let server = async {
        let mut peer = accept(&listener).await;
        assert!(request(&mut peer).await.starts_with("GET /v1/config "));
        // A server that names none of its listeners hides them from this client.
        let config = "{\"listen\":{\"http\":\"127.0.0.1:9\"}}";
        let length = config.len();
        say(&mut peer, &format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{config}"))
            .await;
    };
    let (client, ()) = tokio::join!(doorbell::connect(&address), server);
    assert_eq!(client.unwrap().server().to_string(), format!("http://{address}"));
}

#[tokio::test]
async fn a_message_has_what_it_was_given_and_a_refusal_is_an_error() {
    let (listener, address) = listen().await;
    let client = client(&format!("tcp://{address}"));
    let topic = || "t".parse().unwrap();
    let message = client.publish(topic(), "x").title("T").priority(5).tags(["a", "b"]).markdown();
    let other = client.clone().publish(topic(), "y");
    let server = async {
        let mut peer = accept_lines(&listener).await;
        let expected = r#"{"topic":"t","message":"x","title":"T","priority":5,"tags":["a","b"],"#;
        let heard = line(&mut peer).await;
        assert!(heard.starts_with(&format!("PUBJ {expected}")), "{heard}");
        let stored = event("ok", 1, "");
        say(&mut peer, &format!("{stored}\n")).await;
        // A clone publishes on the same connection.
        line(&mut peer).await;
        let refused = event("error", 1, r#","code":41301,"http":413,"error":"long""#);
        say(&mut peer, &format!("{refused}\n")).await;
        peer
    };
    let sending = async { (message.send().await, other.send().await) };
    let ((stored, refused), _peer) = tokio::join!(sending, server);
    assert_eq!(stored.unwrap().event.seq, Some(1));
    assert!(matches!(refused, Err(Error::Refused(refusal)) if refusal.code == 41301));
}

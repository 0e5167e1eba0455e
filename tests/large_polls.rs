//! Polls that are answered with more than one page: sent page by page as the client takes them,
//! kept nowhere, and true about what is lost meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::support::{Event, PATIENCE, Request, TestServer, eventually, messages, seqs};

/// A text of a kilobyte.
fn kilobyte() -> String {
    "x".repeat(1000)
}

/// A poll of everything on a connection whose kernel takes little, of which only the head is read.
struct Stalled(TcpStream);

impl Stalled {
    fn poll(server: &TestServer, topic: &str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&server.http.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = Request::get(&format!("/{topic}/json?poll=1&since=all"));
        stream.write_all(&request.bytes()).unwrap();
        let mut first = [0; 8];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1");
        Self(stream)
    }

    /// Reads on to the end; the events that came whole, and whether the answer is finished.
    fn finish(mut self) -> (Vec<Event>, bool) {
        let mut answer = Vec::new();
        let mut piece = [0; 8 << 10];
        let finished = loop {
            if answer.ends_with(b"\r\n0\r\n\r\n") {
                break true;
            }
            match self.0.read(&mut piece) {
                Ok(0) => break false,
                Ok(count) => answer.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break false,
                Err(error) => panic!("{error}"),
            }
        };
        let text = String::from_utf8_lossy(&answer);
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with("}\n"));
        (whole.map(|line| Event::parse(line.trim_end())).collect(), finished)
    }
}

#[test]
fn a_reader_that_takes_nothing_of_a_poll_is_ended_by_the_write_deadline() {
    let server = TestServer::with("--write-deadline 500ms");
    server.publish_all("t", &vec![kilobyte(); 5000]);
    let begun = Instant::now();
    let stalled = Stalled::poll(&server, "t");
    server.await_readers("poll", 0);
    assert!(begun.elapsed() >= Duration::from_millis(500));
    let (events, finished) = stalled.finish();
    assert!(!finished && events.len() < 5000, "{}", events.len());
}

#[test]
fn what_expires_while_an_answer_is_taken_is_told_on_its_next_event() {
    let server = TestServer::with("--retention-bytes 4MiB --write-deadline 60s");
    server.publish_all("t", &vec![kilobyte(); 3000]);
    let stalled = Stalled::poll(&server, "t");
    server.publish_all("other", &vec![kilobyte(); 2000]);
    let (events, finished) = stalled.finish();
    assert!(finished);
    let gaps: Vec<_> = events.iter().filter_map(Event::gap).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let after = events.iter().position(|event| event.gap().is_some()).unwrap();
    assert_eq!(gaps[0]["after"], events[after - 1].id());
    assert_eq!(gaps[0]["before"], events[after].id());
    assert_eq!(gaps[0]["reason"], "expired");
    assert_eq!(seqs(&events[..after]), (1..=after as u64).collect::<Vec<_>>());
    let first = events[after].seq();
    assert_eq!(seqs(&events[after..]), (first..=3000).collect::<Vec<_>>());
}

#[test]
fn an_answer_whose_rest_expires_ends_unfinished() {
    let server = TestServer::with("--retention-bytes 4MiB --write-deadline 60s");
    server.publish_all("t", &vec![kilobyte(); 3000]);
    let stalled = Stalled::poll(&server, "t");
    server.publish_all("other", &vec![kilobyte(); 8000]);
    let (events, finished) = stalled.finish();
    assert!(!finished, "{} events pass for all of them", events.len());
    assert_eq!(seqs(&events), (1..=events.len() as u64).collect::<Vec<_>>());
    // The place that was reached is told as lost when it comes back.
    let last = events.last().unwrap().id();
    let again = server.get(&format!("/t/json?poll=1&since={last}"));
    assert!(again.header("doorbell-gap").unwrap().contains(last), "{again:?}");
}

#[test]
fn an_answer_ends_at_what_was_visible_when_it_began() {
    let server = TestServer::with("--write-deadline 60s");
    server.publish_all("t", &vec![kilobyte(); 3000]);
    let stalled = Stalled::poll(&server, "t");
    server.publish_all("t", &["later", "still later"]);
    let (events, finished) = stalled.finish();
    assert!(finished);
    assert_eq!(seqs(&events), (1..=3000).collect::<Vec<_>>());
    assert_eq!(messages(&server.poll("t", events[2999].id())), ["later", "still later"]);
}

#[test]
fn a_poll_at_the_edge_of_what_is_kept_tells_all_that_is_lost_by_one_gap() {
    let server = TestServer::with("--retention-bytes 256KiB");
    let mut asked = server.publish("t", "first").id().to_owned();
    let until = Instant::now() + Duration::from_secs(3);
    let (mut lost, stored) = (0, AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            while Instant::now() < until {
                server.publish_all("t", &vec![kilobyte(); 100]);
                stored.fetch_add(100, Ordering::Relaxed);
            }
        });
        while !publisher.is_finished() {
            let answer = server.get(&format!("/t/json?poll=1&since={asked}"));
            let events = answer.events();
            let told: Vec<_> = events.iter().map(Event::gap).collect();
            for gap in answer.all("doorbell-gap") {
                let gap: serde_json::Value = serde_json::from_str(gap).unwrap();
                let tell = told.iter().filter(|told| **told == Some(&gap)).count();
                assert_eq!(tell, usize::from(!events.is_empty()), "{gap}: on one event");
            }
            if let (Some(first), Some(Some(gap))) = (events.first(), told.first()) {
                assert_eq!((&gap["after"], &gap["before"]), (&json!(asked), &json!(first.id())));
                assert_eq!(answer.header("doorbell-gap"), Some(gap.to_string().as_str()));
                lost += 1;
            }
            for (pair, told) in events.windows(2).zip(&told[1.min(told.len())..]) {
                let is_hole = pair[0].seq() + 1 != pair[1].seq();
                assert_eq!(is_hole, told.is_some(), "{:?}", pair[1]);
            }
            answer.next().clone_into(&mut asked);
            // Let some of what follows expire before it is asked for.
            let before = stored.load(Ordering::Relaxed);
            eventually("others publish more than is kept", || {
                let more = stored.load(Ordering::Relaxed) - before >= 300;
                (more || publisher.is_finished()).then_some(())
            });
        }
    });
    assert!(lost > 0, "nothing expired between two polls: this tested nothing");
}

/// Connects over HTTP/2, and begins polls of everything that nobody reads. Resolves when the server
/// ends the connection.
async fn take_nothing(server: &TestServer, polls: usize) {
    let stream = tokio::net::TcpStream::connect(server.http).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let asking = async {
        let mut answers = Vec::new();
        for _ in 0..polls {
            let request = hyper::Request::get("http://localhost/t/json?poll=1&since=all");
            let body = http_body_util::Empty::<hyper::body::Bytes>::new();
            client.ready().await.unwrap();
            answers.push(client.send_request(request.body(body).unwrap()).await.unwrap());
        }
        std::future::pending::<()>().await;
        drop(answers);
    };
    tokio::select! {
        ended = connection => panic!("a connection that answers pings stays: {ended:?}"),
        () = asking => {}
    }
}

#[test]
fn closed_windows_hold_no_answers_keep_nobody_waiting_and_end_by_the_write_deadline() {
    let server = TestServer::with("--write-deadline 2s");
    server.publish_all("t", &vec![kilobyte(); 5000]);
    let before = server.resident_bytes();
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let others = tokio::task::spawn_blocking({
            let http = server.http;
            move || Request::get("/t/json?poll=1&since=all").send_to(http).events().len()
        });
        let connections = async {
            tokio::join!(
                take_nothing(&server, 100),
                take_nothing(&server, 100),
                take_nothing(&server, 100),
                take_nothing(&server, 100),
            )
        };
        let watching = tokio::task::spawn_blocking({
            let http = server.http;
            move || {
                for count in [400, 0] {
                    eventually(&format!("{count} polls under way"), || {
                        let stats = Request::get("/v1/stats").send_to(http).json();
                        let readers = stats["transports"]["poll"]["readers"].as_u64();
                        (readers == Some(count)).then_some(())
                    });
                }
            }
        });
        tokio::select! {
            _ = connections => unreachable!("they go on"),
            (watched, whole) = async { tokio::join!(watching, others) } => {
                watched.expect("the server ends answers that nobody takes");
                assert_eq!(whole.unwrap(), 5000, "another reader is not refused");
            }
        }
    });
    assert!(begun.elapsed() >= Duration::from_secs(2));
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 48 << 20, "{} MiB for 400 answers of 5 MB", grown >> 20);
}

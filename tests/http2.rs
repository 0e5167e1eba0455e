//! HTTP/2 in cleartext, begun with prior knowledge: many exchanges on one connection.

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::support::{AccessFile, Event, PATIENCE, TestServer, messages};

type Client = SendRequest<Full<Bytes>>;
type Answer = hyper::Response<Incoming>;

/// Connects; the connection is served until the runtime ends.
async fn connect(server: &TestServer) -> Client {
    let stream = tokio::net::TcpStream::connect(server.http).await.unwrap();
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let serving = async { drop(connection.await) };
    hyper::rt::Executor::execute(&TokioExecutor::new(), serving);
    client
}

async fn send(client: &mut Client, method: &str, path: &str, body: &str) -> Answer {
    let request = hyper::Request::builder()
        .method(method)
        .uri(format!("http://localhost{path}"))
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    client.ready().await.unwrap();
    client.send_request(request).await.unwrap()
}

async fn text(answer: Answer) -> String {
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Events of an answer that does not end, until so many messages came.
async fn read_messages(answer: Answer, count: usize) -> Vec<Event> {
    let mut body = answer.into_body();
    let mut received = Vec::new();
    loop {
        let whole = String::from_utf8(received.clone()).unwrap();
        let lines = whole.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let events: Vec<Event> = lines
            .map(|line| Event::parse(line.trim_end()))
            .filter(|event| event.kind() == "message")
            .collect();
        if events.len() >= count {
            return events;
        }
        let frame = body.frame().await.expect("more of the stream").unwrap();
        received.extend_from_slice(&frame.into_data().unwrap());
    }
}

/// Runs a test's steps with a bound.
fn run(steps: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bounded = async { tokio::time::timeout(PATIENCE, steps).await };
    runtime.block_on(bounded).expect("in time");
}

#[test]
fn everything_works_on_one_connection_at_the_same_time() {
    let server = TestServer::start();
    run(async {
        let mut client = connect(&server).await;
        let stream = send(&mut client, "GET", "/t/json", "").await;
        assert_eq!((stream.version(), stream.status().as_u16()), (hyper::Version::HTTP_2, 200));
        for n in ["1", "2", "3"] {
            let answer = send(&mut client, "POST", "/t", n).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(Event::parse(text(answer).await.trim_end()).message(), n);
        }
        let poll = send(&mut client, "GET", "/t/json?poll=1&since=all", "").await;
        assert_eq!(poll.headers()["doorbell-next"].len(), 12);
        let polled: Vec<Event> = text(poll).await.lines().map(Event::parse).collect();
        assert_eq!(messages(&polled), ["1", "2", "3"]);
        assert_eq!(read_messages(stream, 3).await, polled);
    });
}

#[test]
fn a_hundred_streams_fit_on_one_connection() {
    let server = TestServer::start();
    run(async {
        let mut client = connect(&server).await;
        let mut streams = Vec::new();
        for n in 0..100 {
            streams.push(send(&mut client, "GET", &format!("/t,own.{n}/json"), "").await);
        }
        let answer = send(&mut client, "POST", "/t", "for all").await;
        let event = Event::parse(text(answer).await.trim_end());
        for stream in streams {
            assert_eq!(read_messages(stream, 1).await, std::slice::from_ref(&event));
        }
    });
}

#[test]
fn a_reader_that_shares_its_connection_counts_as_one_of_its_visitor() {
    let access = AccessFile::new("[anonymous]\nallow = [\"pubsub >\"]\n");
    let server = TestServer::with(&format!("{} --visitor-connections 3", access.flag()));
    run(async {
        let mut client = connect(&server).await;
        let mut streams = Vec::new();
        for path in ["/t/sse", "/u/json"] {
            streams.push(send(&mut client, "GET", path, "").await);
            assert_eq!(streams.last().unwrap().status(), 200, "{path}");
        }
        for path in ["/t/sse", "/t/json?poll=1&wait=1h"] {
            let refusal = send(&mut client, "GET", path, "").await;
            assert_eq!(refusal.status(), 429);
            assert_eq!(refusal.headers()["retry-after"], "1");
            let text = text(refusal).await;
            assert!(text.contains("42903") && text.contains("--visitor-connections"), "{text}");
        }
        assert_eq!(send(&mut client, "POST", "/t", "x").await.status(), 200, "it reads nothing");
        drop(streams);
        while send(&mut client, "GET", "/t/json?poll=1", "").await.status() != 200 {}
    });
}

#[test]
fn a_refusal_looks_the_same() {
    let server = TestServer::start();
    run(async {
        let mut client = connect(&server).await;
        let answer = send(&mut client, "POST", "/a..b", "x").await;
        assert_eq!(answer.status(), 400);
        assert!(text(answer).await.contains("\"code\":40009"));
        let long = hyper::Request::post("http://localhost/t").header("cookie", "x".repeat(40_000));
        let answer = client.send_request(long.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 431);
        assert!(text(answer).await.contains("more than 32768 bytes"));
    });
}

#[test]
fn a_connection_with_a_stream_is_not_taken_for_a_request_that_is_not_finished() {
    let server = TestServer::with("--unfinished 1s --keepalive 400ms");
    run(async {
        let stream = tokio::net::TcpStream::connect(server.http).await.unwrap();
        // Frames that are no requests come again and again.
        let (mut client, connection) =
            hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                .timer(hyper_util::rt::TokioTimer::new())
                .keep_alive_interval(std::time::Duration::from_millis(150))
                .handshake(TokioIo::new(stream))
                .await
                .unwrap();
        let serving = async { drop(connection.await) };
        hyper::rt::Executor::execute(&TokioExecutor::new(), serving);
        let answer = send(&mut client, "GET", "/t/json", "").await;
        let mut body = answer.into_body();
        for _ in 0..8 {
            body.frame().await.expect("a stream that goes on").unwrap();
        }
        server.publish("t", "still there");
        let last = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(String::from_utf8_lossy(&last).contains("still there"));
    });
}

#[test]
fn a_websocket_is_one_stream_of_a_connection() {
    let server = TestServer::start();
    run(async {
        let mut client = connect(&server).await;
        // The server says first that it takes such requests.
        send(&mut client, "GET", "/v1/health", "").await;
        let open = |path: &str, protocol: &'static str| {
            let mut request = hyper::Request::builder()
                .method("CONNECT")
                .uri(format!("http://localhost{path}"))
                .header("sec-websocket-version", "13")
                .body(Full::new(Bytes::new()))
                .unwrap();
            request.extensions_mut().insert(hyper::ext::Protocol::from_static(protocol));
            request
        };
        let answer = client.send_request(open("/t/ws", "websocket")).await.unwrap();
        assert_eq!(answer.status(), 200);
        let stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        let mut hear =
            async || Event::parse(socket.next().await.unwrap().unwrap().to_text().unwrap());
        assert_eq!(hear().await.kind(), "open");
        send(&mut client, "POST", "/t", "over it").await;
        assert_eq!(hear().await.message(), "over it");
        socket.send("PUB t from it".into()).await.unwrap();
        let mut hear =
            async || Event::parse(socket.next().await.unwrap().unwrap().to_text().unwrap());
        let kinds = [hear().await.kind().to_owned(), hear().await.kind().to_owned()];
        assert!(kinds.contains(&"ok".to_owned()) && kinds.contains(&"message".to_owned()));
        socket.close(None).await.unwrap();
        // What is no WebSocket is not opened so.
        for (path, protocol) in [("/t/json", "websocket"), ("/t/ws", "other")] {
            let answer = client.send_request(open(path, protocol)).await.unwrap();
            assert_eq!(answer.status(), 405, "{path}");
        }
        let plain = send(&mut client, "GET", "/t/ws", "").await;
        assert_eq!(plain.status(), 400);
    });
}

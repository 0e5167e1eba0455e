//! The live lab: who is connected, what each lane of a page costs, the subscribers that the server
//! runs for a page, and the packets of a lane.

mod gate;
mod lanes;
mod session;
mod subscribers;
mod table;
mod trace;

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::support::{TestServer, eventually};

/// How long a frame of a session may take.
const FRAME_WAIT_MAX: Duration = Duration::from_secs(30);

/// The rows of `/v1/connections`.
fn rows(server: &TestServer) -> Vec<Value> {
    let listing = server.get("/v1/connections?max=1000").json();
    let rows = listing["rows"].as_array().unwrap().clone();
    assert_eq!(listing["total"].as_u64(), Some(rows.len() as u64), "few enough to show them all");
    rows
}

/// The row of the connection whose client's end has this address.
fn find(server: &TestServer, peer: SocketAddr) -> Option<Value> {
    rows(server).into_iter().find(|row| row["peer"] == peer.to_string())
}

/// Waits until that row is as it should be.
fn await_row(
    server: &TestServer,
    peer: SocketAddr,
    what: &str,
    is: impl Fn(&Value) -> bool,
) -> Value {
    let mut last = None;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(what, || {
            last = find(server, peer);
            last.clone().filter(&is)
        })
    }));
    found.unwrap_or_else(|_| panic!("{what}: {last:?}"))
}

/// Waits until a connection is in the table no more.
fn await_gone(server: &TestServer, peer: SocketAddr) {
    eventually("the connection vanishes", || find(server, peer).is_none().then_some(()));
}

/// A page that watches, by hand.
struct Watch {
    socket: WebSocket<TcpStream>,
    /// Its end of the connection.
    local: SocketAddr,
}

impl Watch {
    /// Opens a session; the greeting is not heard yet.
    fn open(server: &TestServer, page: &str, topic: &str) -> Self {
        let stream = TcpStream::connect(server.http).unwrap();
        stream.set_read_timeout(Some(FRAME_WAIT_MAX)).unwrap();
        stream.set_nodelay(true).unwrap();
        let local = stream.local_addr().unwrap();
        let address = format!("ws://localhost/v1/lab?page={page}&topic={topic}");
        let (socket, _) = client(address, stream).unwrap();
        Self { socket, local }
    }

    /// Opens a session and hears its greeting.
    fn greeted(server: &TestServer, page: &str, topic: &str) -> Self {
        let mut watch = Self::open(server, page, topic);
        assert_eq!(watch.hear()["kind"], "hello");
        watch
    }

    /// The next frame; the close frame as its code.
    fn hear(&mut self) -> Value {
        loop {
            match self.socket.read().expect("a frame") {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(Some(frame)) => return u16::from(frame.code).into(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("not expected: {other:?}"),
            }
        }
    }

    /// The next frame for which there is something.
    fn await_frame<T>(&mut self, what: &str, mut is: impl FnMut(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + FRAME_WAIT_MAX;
        let mut last = Value::Null;
        while Instant::now() < deadline {
            last = self.hear();
            if let Some(found) = is(&last) {
                return found;
            }
        }
        panic!("waited {FRAME_WAIT_MAX:?} in vain: {what}, last {last}");
    }

    /// The next frame of a kind.
    fn of_kind(&mut self, kind: &str) -> Value {
        self.await_frame(kind, |frame| (frame["kind"] == kind).then(|| frame.clone()))
    }

    fn say(&mut self, frame: &str) {
        self.socket.send(Message::text(frame)).unwrap();
    }

    /// Says something, and returns once the server has dealt with it.
    fn say_and_wait(&mut self, frame: &str) {
        self.say(frame);
        self.say(r#"{"over":1}"#);
        self.await_frame("the answer to nonsense", |frame| {
            frame["error"].as_str().is_some_and(|error| error.contains("'over'")).then_some(())
        });
    }
}

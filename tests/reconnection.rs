//! A client whose server is away for a while, behind a proxy that answers in its place: what is not
//! the server's word ends nothing once there was a connection.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::client::{RunningClient, client_command};
use crate::support::{Event, PATIENCE, TestServer};

/// A proxy of one server.
struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    answered: Receiver<()>,
}

#[derive(Default)]
struct State {
    /// What it says itself.
    answer: Option<&'static str>,
    /// The connections that it passes on.
    passed: Vec<TcpStream>,
}

impl Proxy {
    fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (told, answered) = channel();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                serve(client.unwrap(), server, &shared, &told);
            }
        });
        Self { address, state, answered }
    }

    /// Cuts all connections, and says this to whoever comes.
    fn answer(&self, answer: &'static str) {
        let mut state = self.state.lock().unwrap();
        state.answer = Some(answer);
        for connection in state.passed.drain(..) {
            // One that is closed already is as good.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Passes connections on again, once somebody had an answer.
    fn pass(&self) {
        self.answered.recv_timeout(PATIENCE).expect("nobody came back");
        self.state.lock().unwrap().answer = None;
    }
}

/// Answers a connection or passes it on.
fn serve(mut client: TcpStream, server: SocketAddr, state: &Mutex<State>, told: &Sender<()>) {
    let mut state = state.lock().unwrap();
    if let Some(answer) = state.answer {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read > 0) {
            head.push(byte[0]);
        }
        // Whoever went away meanwhile comes again.
        if client.write_all(answer.as_bytes()).is_ok() {
            let _ = told.send(());
        }
        return;
    }
    let upstream = TcpStream::connect(server).unwrap();
    for (mut from, mut to) in [
        (client.try_clone().unwrap(), upstream.try_clone().unwrap()),
        (upstream.try_clone().unwrap(), client.try_clone().unwrap()),
    ] {
        thread::spawn(move || {
            // It ends when either of them is cut.
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    state.passed.extend([client, upstream]);
}

/// What proxies say while nothing stands behind them, and of what one word is to be told.
const ANSWERS: [(&str, &[&str]); 4] = [
    ("HTTP/1.1 404 Not Found\r\ncontent-length: 18\r\n\r\n404 page not found", &["404"]),
    ("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", &["401"]),
    ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy", &["503"]),
    (
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 20\r\n\r\n\
         <html>wait</html>...",
        &["text/html", "200"],
    ),
];

#[test]
fn what_a_proxy_says_in_the_servers_place_ends_no_subscription() {
    let server = TestServer::start();
    let goes_on = |via: &str| {
        for (number, (answer, told)) in ANSWERS.into_iter().enumerate() {
            let topic = format!("{via}.{number}");
            let proxy = Proxy::start(server.http);
            let address = format!("http://{}", proxy.address);
            let words = ["subscribe", &topic, "--via", via, "--since", "all", "--format", "json"];
            let mut command = client_command();
            command.args(words).args(["--count", "2", "--server", &address]);
            if via == "poll" {
                command.args(["--interval", "100ms"]);
            }
            server.publish(&topic, "before");
            let mut running = RunningClient::start(&mut command);
            let next = |running: &mut RunningClient| {
                running.line().map(|line| Event::parse(&line).message().to_owned())
            };
            assert_eq!(next(&mut running).as_deref(), Some("before"), "{via} {told:?}");
            proxy.answer(answer);
            proxy.pass();
            server.publish(&topic, "after");
            assert_eq!(next(&mut running).as_deref(), Some("after"), "{via} {told:?}");
            assert_eq!(running.wait().code(), Some(0), "{via} {told:?}");
            let mut said = String::new();
            while let Some(line) = running.talk() {
                said += &line;
            }
            assert!(told.iter().any(|word| said.contains(word)), "{via} {told:?}: {said}");
        }
    };
    thread::scope(|scope| {
        for via in ["sse", "ws", "longpoll", "poll"] {
            scope.spawn(move || goes_on(via));
        }
    });
}

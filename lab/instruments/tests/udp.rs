//! Receiving by datagrams: over a network that loses, doubles and overtakes them, from a server
//! that is restarted, and against one that follows a script.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use doorbell::{Client, Error, Server, Since, Subscribe, Subscription, Transport, Update};
use doorbell_instruments::{Losses, Meter};
use doorbell_protocol::Epoch;
use doorbell_protocol::datagram::{CHALLENGE_BYTES_MAX, Members};
use doorbell_protocol::event::{Event, Kind};
use futures_util::StreamExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UdpSocket;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// The path of a binary that was built before the tests.
fn binary(name: &str) -> PathBuf {
    let beside = || std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
    let folder = std::env::var_os("DOORBELL_BIN_DIR").map_or_else(beside, PathBuf::from);
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing: run `cargo build` first", path.display());
    path
}

/// A real server.
struct RealServer {
    child: Child,
    http: SocketAddr,
    tcp: SocketAddr,
    udp: Option<SocketAddr>,
}

impl RealServer {
    async fn start(flags: &str) -> Self {
        let mut child = Command::new(binary("doorbell-server"))
            .args(flags.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.next_line().await.unwrap().unwrap_or_default();
        let word = |name: &str| {
            ready.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse().ok())
        };
        let (http, tcp) = (word("http=").unwrap(), word("tcp=").unwrap());
        Self { child, http, tcp, udp: word("udp=") }
    }

    async fn in_memory() -> Self {
        Self::start("--ephemeral --http 127.0.0.1:0 --tcp 127.0.0.1:0 --udp 127.0.0.1:0").await
    }

    /// Where HTTP is spoken.
    fn server(&self) -> Server {
        format!("http://{}", self.http).parse().unwrap()
    }

    /// A client that publishes in lines.
    fn publisher(&self) -> Client {
        Client::new(format!("tcp://{}", self.tcp).parse().unwrap())
    }

    fn subscribe(&self) -> Subscribe {
        subscribe(self.server())
    }

    /// How many it counts as reading by datagrams.
    async fn readers(&self) -> u64 {
        let stats = self.server().about("/v1/stats").await.unwrap();
        let stats: serde_json::Value = serde_json::from_slice(&stats).unwrap();
        stats["transports"]["udp"]["readers"].as_u64().unwrap()
    }

    /// Ends it as a supervisor does.
    async fn stop(mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().await.unwrap();
    }
}

/// A subscription by datagrams.
fn subscribe(server: Server) -> Subscribe {
    Client::new(server).subscribe("t".parse().unwrap()).via(Transport::Udp)
}

/// One that goes to a server which follows a script, with nowhere to fetch from.
fn subscribe_to_script(address: SocketAddr, meter: &Arc<Meter>) -> Subscription {
    let nowhere = "http://127.0.0.1:9".parse().unwrap();
    subscribe(nowhere).through(address).observed(Arc::clone(meter) as _).stream()
}

async fn publish(publisher: &Client, text: &str) {
    publisher.publish("t".parse().unwrap(), text).send().await.unwrap();
}

async fn update(updates: &mut Subscription) -> Update {
    timeout(PATIENCE, updates.next()).await.expect("an update in time").unwrap().unwrap()
}

async fn connected(updates: &mut Subscription) {
    let update = update(updates).await;
    assert!(matches!(update, Update::Connected), "{update:?}");
}

/// The text of the next message; that the connection was lost and made again is passed over.
async fn text(updates: &mut Subscription) -> String {
    loop {
        match update(updates).await {
            Update::Message(received) => {
                let json = String::from_utf8(received.json.to_vec()).unwrap();
                assert!(!json.contains("\"prev\""), "{json}");
                return received.event.message.unwrap().into_owned();
            }
            Update::Connected | Update::Disconnected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// What a network does to datagrams: the share that it loses, doubles, and lets be overtaken.
#[derive(Clone, Copy)]
struct Weather {
    loss: f64,
    double: f64,
    overtake: f64,
}

/// One direction between two sockets.
struct Way {
    random: StdRng,
    weather: Weather,
    /// Waits until the next one has gone ahead.
    held: Option<Vec<u8>>,
}

impl Way {
    fn new(weather: Weather, seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), weather, held: None }
    }

    /// What comes out when a datagram goes in.
    fn pass(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if !self.random.random_bool(self.weather.loss) {
            if self.held.is_none() && self.random.random_bool(self.weather.overtake) {
                self.held = Some(datagram.to_vec());
                return out;
            }
            out.push(datagram.to_vec());
            if self.random.random_bool(self.weather.double) {
                out.push(datagram.to_vec());
            }
        }
        out.extend(self.held.take());
        out
    }
}

/// A relay in bad weather, until the set is dropped. Each client gets a port of its own.
async fn relay(server: SocketAddr, weather: Weather, seed: u64) -> (SocketAddr, JoinSet<()>) {
    let near = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = near.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut clients: HashMap<SocketAddr, (Arc<UdpSocket>, Way)> = HashMap::new();
        let mut back = JoinSet::new();
        let mut buffer = [0; 2048];
        loop {
            let (length, client) = near.recv_from(&mut buffer).await.unwrap();
            let (far, way) = match clients.entry(client) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let far = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                    far.connect(server).await.unwrap();
                    let way = Way::new(weather, seed ^ 1);
                    back.spawn(pass_back(far.clone(), near.clone(), client, way));
                    new.insert((far, Way::new(weather, seed)))
                }
            };
            for datagram in way.pass(&buffer[..length]) {
                let _ = far.send(&datagram).await;
            }
        }
    });
    (address, tasks)
}

async fn pass_back(far: Arc<UdpSocket>, near: Arc<UdpSocket>, client: SocketAddr, mut way: Way) {
    let mut buffer = [0; 2048];
    loop {
        let Ok(length) = far.recv(&mut buffer).await else { continue };
        for datagram in way.pass(&buffer[..length]) {
            let _ = near.send_to(&datagram, client).await;
        }
    }
}

/// Publishes so many messages through bad weather and wants each once and in order.
async fn brave(weather: Weather, count: usize, seed: u64) -> Losses {
    let server = RealServer::in_memory().await;
    let (address, _relay) = relay(server.udp.unwrap(), weather, seed).await;
    let meter = Arc::new(Meter::default());
    let subscribe = server.subscribe().through(address).observed(Arc::clone(&meter) as _);
    let mut updates = subscribe.stream();
    // In weather like this even the way to the server may take several attempts.
    while !matches!(update(&mut updates).await, Update::Connected) {}
    let publisher = server.publisher();
    let mut publishing = JoinSet::new();
    publishing.spawn(async move {
        for number in 0..count {
            publish(&publisher, &number.to_string()).await;
        }
    });
    for number in 0..count {
        assert_eq!(text(&mut updates).await, number.to_string());
    }
    publishing.join_next().await.unwrap().unwrap();
    let (losses, traffic) = (meter.losses(), meter.read());
    println!("{losses:?}\n{traffic:?}");
    // Each message either came as a datagram or counts as lost.
    assert_eq!(losses.arrived - losses.repeated + losses.lost, count as u64);
    losses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_fifth_lost_every_message_comes_once_and_in_order() {
    let weather = Weather { loss: 0.2, double: 0.05, overtake: 0.05 };
    let losses = brave(weather, 2000, 7).await;
    assert!(losses.lost > 50, "{losses:?}");
    assert!(losses.repairs > 50, "{losses:?}");
    assert!(losses.repeated > 20, "{losses:?}");
    assert!(losses.overtaken > 20, "{losses:?}");
    assert!(losses.cost.requests >= losses.repairs && losses.cost.bytes_in > 0, "{losses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_lost_nothing_is_fetched() {
    let weather = Weather { loss: 0.0, double: 0.0, overtake: 0.0 };
    let losses = brave(weather, 200, 7).await;
    assert_eq!(losses, Losses { arrived: 200, ..Losses::default() });
}

#[tokio::test]
async fn a_lost_last_message_is_noticed_and_fetched() {
    let weather = Weather { loss: 0.4, double: 0.0, overtake: 0.0 };
    let runs = futures_util::future::join_all((0..6).map(|seed| brave(weather, 1, seed))).await;
    assert!(runs.iter().any(|losses| losses.lost > 0), "{runs:?}");
}

#[tokio::test]
async fn history_comes_first_and_what_is_too_large_is_fetched() {
    let server = RealServer::in_memory().await;
    let publisher = server.publisher();
    let large = "x".repeat(3000);
    let texts = ["held", &large, "last of the old", "new", &large, "last"];
    for text in &texts[..3] {
        publish(&publisher, text).await;
    }
    let meter = Arc::new(Meter::default());
    let subscribe = server.subscribe().since(Since::All).observed(Arc::clone(&meter) as _);
    let mut updates = subscribe.stream();
    for expected in &texts[..3] {
        assert_eq!(text(&mut updates).await, *expected);
    }
    for expected in &texts[3..] {
        publish(&publisher, expected).await;
        assert_eq!(text(&mut updates).await, *expected);
    }
    let losses = meter.losses();
    assert_eq!((losses.large, losses.lost, losses.repairs), (1, 0, 1), "{losses:?}");
    assert_eq!(losses.cost.requests, 1);
}

#[tokio::test]
async fn after_a_restart_it_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let flags = |http: &str, tcp: &str, udp: &str| {
        let data = folder.path().display();
        format!("--data {data} --http {http} --tcp {tcp} --udp {udp}")
    };
    let any = "127.0.0.1:0";
    let server = RealServer::start(&flags(any, any, any)).await;
    let mut updates = server.subscribe().stream();
    connected(&mut updates).await;
    publish(&server.publisher(), "before").await;
    assert_eq!(text(&mut updates).await, "before");
    let [http, tcp, udp] =
        [server.http, server.tcp, server.udp.unwrap()].map(|address| address.to_string());
    server.stop().await;
    let server = RealServer::start(&flags(&http, &tcp, &udp)).await;
    let publisher = server.publisher();
    publish(&publisher, "while it was away").await;
    assert_eq!(text(&mut updates).await, "while it was away");
    publish(&publisher, "after").await;
    assert_eq!(text(&mut updates).await, "after");
}

#[tokio::test]
async fn a_server_that_was_killed_is_noticed_long_before_the_lease_is_renewed() {
    let mut server = RealServer::in_memory().await;
    let mut updates = server.subscribe().stream();
    connected(&mut updates).await;
    publish(&server.publisher(), "the last").await;
    assert_eq!(text(&mut updates).await, "the last");
    server.child.kill().await.unwrap();
    // The first sign of life that does not come is due in 250 ms; the lease is renewed after 15 s.
    let noticed = timeout(Duration::from_secs(7), async {
        while !matches!(updates.next().await.unwrap().unwrap(), Update::Disconnected { .. }) {}
    });
    noticed.await.expect("no notice of a server that is no more");
}

#[tokio::test]
async fn a_subscription_that_is_dropped_leaves_nothing_at_the_server() {
    let server = RealServer::in_memory().await;
    let mut updates = server.subscribe().stream();
    connected(&mut updates).await;
    assert_eq!(server.readers().await, 1);
    drop(updates);
    timeout(PATIENCE, async { while server.readers().await > 0 {} }).await.unwrap();
}

#[tokio::test]
async fn a_server_without_udp_says_how_to_have_it() {
    let flags = "--ephemeral --http 127.0.0.1:0 --tcp 127.0.0.1:0 --udp none";
    let server = RealServer::start(flags).await;
    let mut updates = server.subscribe().stream();
    let error = updates.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Address(_)), "{error:?}");
    assert!(error.to_string().contains("start the server with --udp"), "{error}");
}

#[tokio::test]
async fn the_program_prints_the_messages_and_what_was_fetched() {
    let server = RealServer::in_memory().await;
    let address = server.server().to_string();
    let child = Command::new(binary("doorbell"))
        .args(["subscribe", "t", "--via", "udp", "--count", "2", "--format", "json"])
        .args(["--server", &address])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    timeout(PATIENCE, async { while server.readers().await == 0 {} }).await.unwrap();
    let publisher = server.publisher();
    publish(&publisher, "small").await;
    publish(&publisher, &"x".repeat(2000)).await;
    let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
    assert!(stderr.contains("1 too large; repaired 1 times by 1 requests"), "{stderr}");
    assert!(output.status.success());
}

/// A server that follows a script.
struct Scripted(UdpSocket);

impl Scripted {
    async fn hear(&self) -> (String, SocketAddr) {
        let mut buffer = [0; 2048];
        let (length, client) =
            timeout(PATIENCE, self.0.recv_from(&mut buffer)).await.unwrap().unwrap();
        (String::from_utf8(buffer[..length].to_vec()).unwrap(), client)
    }

    async fn say(&self, client: SocketAddr, datagram: &[u8]) {
        self.0.send_to(datagram, client).await.unwrap();
    }
}

fn event(kind: Kind, seq: u64, prev: u64) -> (Event<'static>, Members) {
    let epoch = Epoch::from_bits(9);
    (Event::new(kind, 1).at(epoch.id(seq)), Members::after(epoch.id(prev)))
}

fn datagram((event, members): &(Event<'_>, Members)) -> Vec<u8> {
    members.join(event.to_json().as_bytes())
}

#[tokio::test]
async fn the_lease_is_renewed_with_the_newest_cookie_and_a_close_is_believed() {
    let server = Scripted(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = server.0.local_addr().unwrap();
    let meter = Arc::new(Meter::default());
    let mut updates = subscribe_to_script(address, &meter);
    let script = async {
        let (sub, client) = server.hear().await;
        assert_eq!(sub.trim_end(), "SUB t since=none");
        assert!(sub.len() >= CHALLENGE_BYTES_MAX, "{sub:?}");
        server.say(client, b"nonsense").await;
        server.say(client, b"cookie=one\n").await;
        assert_eq!(server.hear().await.0.trim_end(), "SUB t since=none cookie=one");
        let (ok, members) = event(Kind::Ok, 5, 5);
        server.say(client, &datagram(&(ok, Members { lease: Some(1), ..members }))).await;
        assert_eq!(server.hear().await.0.trim_end(), "PING cookie=one");
        let (pong, members) = event(Kind::Pong, 5, 5);
        let members = Members { cookie: Some("two".to_owned()), ..members };
        server.say(client, &datagram(&(pong, members))).await;
        assert_eq!(server.hear().await.0.trim_end(), "PING cookie=two");
        server.say(client, b"cookie=three\n").await;
        assert_eq!(server.hear().await.0.trim_end(), "PING cookie=three");
        server.say(client, b"{\"time\":1,\"event\":\"close\"}\n").await;
    };
    let told = async {
        connected(&mut updates).await;
        update(&mut updates).await
    };
    let (told, ()) = tokio::join!(told, script);
    let Update::Disconnected { error, .. } = told else { panic!("{told:?}") };
    assert!(matches!(error, Error::Closed), "{error:?}");
}

#[tokio::test]
async fn ids_are_compared_whole_and_what_is_not_news_is_passed_over() {
    let server = Scripted(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = server.0.local_addr().unwrap();
    let meter = Arc::new(Meter::default());
    let mut updates = subscribe_to_script(address, &meter);
    let message = |seq, prev| {
        let (mut event, members) = event(Kind::Message, seq, prev);
        event.message = Some(seq.to_string().into());
        datagram(&(event, members))
    };
    let script = async {
        let (_, client) = server.hear().await;
        server.say(client, &message(9, 5)).await;
        server.say(client, &datagram(&event(Kind::Ok, 5, 5))).await;
        let mut risen = Event::new(Kind::Message, 1).at(Epoch::from_bits(10).id(10));
        risen.message = Some("10".into());
        let risen = (risen, Members::after(Epoch::from_bits(9).id(9)));
        let earlier = Event::new(Kind::Message, 1).at(Epoch::from_bits(8).id(60));
        let earlier = (earlier, Members::after(Epoch::from_bits(8).id(59)));
        for datagram in [
            message(6, 5),
            message(6, 5),
            datagram(&earlier),
            datagram(&event(Kind::Keepalive, 7, 6)),
            message(8, 6),
            message(6, 5),
            message(9, 8),
            datagram(&risen),
        ] {
            server.say(client, &datagram).await;
        }
    };
    let told = async {
        connected(&mut updates).await;
        let mut texts = Vec::new();
        for _ in 0..4 {
            let told = update(&mut updates).await;
            let Update::Message(received) = told else { panic!("{told:?}") };
            texts.push(received.event.message.unwrap().into_owned());
        }
        texts
    };
    let (told, ()) = tokio::join!(told, script);
    assert_eq!(told, ["6", "8", "9", "10"]);
    assert_eq!(meter.losses(), Losses { arrived: 7, repeated: 3, ..Losses::default() });
}

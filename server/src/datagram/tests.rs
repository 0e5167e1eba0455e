//! What a client with a UDP socket sees.

use std::time::Duration;

use doorbell_protocol::datagram::{CHALLENGE_BYTES_MAX, Members, cookie_in};
use doorbell_protocol::limits::{
    FILTER_PATTERNS_MAX, FILTER_TOPICS_MAX, LINE_BYTES_DEFAULT, MESSAGE_BYTES_DEFAULT,
    SUBSCRIPTIONS_DEFAULT,
};
use doorbell_protocol::{Draft, GapReason, Id};
use tokio::time::timeout;

use super::*;
use crate::access::Gate;
use crate::clock::SystemClock;
use crate::hub::{Hub, WireLimits};
use crate::limits::DATAGRAM_LEASE;
use crate::listen::bind_udp;
use crate::log::{MemoryLog, Retention};
use crate::metrics::{Metrics, Transport};
use crate::session::{Groups, HalfClosed, SessionConfig};
use crate::stop::Stop;

const PATIENCE: Duration = Duration::from_secs(10);

struct Server {
    hub: Hub,
    datagrams: Arc<Datagrams>,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let retention = Retention { age: Duration::from_secs(3600), bytes: 1 << 20 };
        let limits = WireLimits {
            message_bytes: MESSAGE_BYTES_DEFAULT,
            filter_topics: FILTER_TOPICS_MAX,
            subscriptions: SUBSCRIPTIONS_DEFAULT,
        };
        let log = Arc::new(MemoryLog::new(retention));
        let hub = Hub::start(
            log,
            1 << 20,
            &retention,
            limits,
            Arc::new(SystemClock),
            crate::schedule::Schedule::default(),
        )
        .unwrap();
        let (metrics, stop) = (Metrics::new(hub.commit_sizes().clone()), Stop::default());
        let config = SessionConfig {
            gate: Gate::open(hub.clone(), None),
            keepalive: Duration::from_secs(45),
            write_deadline: Duration::from_secs(30),
            unfinished: Duration::from_secs(30),
            line_bytes: LINE_BYTES_DEFAULT,
            groups: Groups::new(Duration::from_secs(45), metrics.clone(), stop.clone()),
            metrics,
            half_closed: HalfClosed::of(16),
            stop,
        };
        let socket = bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let tasks = TaskTracker::new();
        let datagrams =
            Datagrams::new(socket, Arc::new(config), tasks.clone(), Arc::default()).unwrap();
        tasks.spawn(datagrams.clone().run());
        Self { hub, datagrams, address }
    }

    async fn publish(&self, topic: &str, text: &str) -> Id {
        let draft = Draft::text(topic.parse().unwrap(), text, MESSAGE_BYTES_DEFAULT).unwrap();
        self.hub.publish(draft).await.unwrap().id()
    }

    fn readers(&self) -> i64 {
        self.datagrams.config.metrics.of(Transport::Udp).connections.get()
    }

    /// Stops, and waits until no task is left.
    async fn stop(&self) {
        self.datagrams.config.stop.cancel();
        self.datagrams.tasks.close();
        self.datagrams.tasks.wait().await;
    }
}

/// An event, as much of it as the tests look at.
struct Told {
    event: Event<'static>,
    members: Option<Members>,
    bytes: usize,
}

impl Told {
    fn prev(&self) -> Id {
        self.members.as_ref().unwrap().prev
    }

    fn id(&self) -> Id {
        self.event.id.unwrap()
    }
}

struct Client(UdpSocket);

impl Client {
    async fn of(server: &Server) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(server.address).await.unwrap();
        Self(socket)
    }

    async fn say(&self, datagram: &str) {
        self.0.send(datagram.as_bytes()).await.unwrap();
    }

    async fn hear(&self) -> String {
        let mut buffer = [0; 2048];
        let length = self.0.recv(&mut buffer).await.unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    async fn event(&self) -> Told {
        let datagram = self.hear().await;
        let (json, members) = Members::split(datagram.as_bytes());
        let event = Event::parse(&json).unwrap_or_else(|_| panic!("{datagram}")).into_owned();
        Told { event, members, bytes: datagram.len() }
    }

    /// What comes next and is no keepalive.
    async fn news(&self) -> Told {
        loop {
            let told = self.event().await;
            if told.event.event != Kind::Keepalive {
                return told;
            }
        }
    }

    async fn cookie(&self) -> String {
        self.say(&DatagramCommand::Ping(None).to_datagram(None)).await;
        loop {
            if let Some(cookie) = cookie_in(self.hear().await.as_bytes()) {
                return cookie.to_owned();
            }
        }
    }

    /// Subscribes and hears the `ok`.
    async fn subscribe(server: &Server, rest: &str) -> (Self, Told) {
        let client = Self::of(server).await;
        let cookie = client.cookie().await;
        client.say(&format!("SUB {rest} cookie={cookie}")).await;
        let ok = client.event().await;
        assert_eq!(ok.event.event, Kind::Ok, "{:?}", ok.event);
        (client, ok)
    }
}

/// A test that may wait for the network, but not for ever.
async fn patiently(test: impl Future<Output = ()>) {
    timeout(PATIENCE, test).await.unwrap();
}

#[tokio::test]
async fn without_its_cookie_an_address_gets_one_short_answer_and_nothing_is_kept() {
    patiently(async {
        let server = Server::start();
        let (client, other) = (Client::of(&server).await, Client::of(&server).await);
        let foreign = other.cookie().await;
        let long = format!("SUB {} since=all", "t,".repeat(400) + "t");
        for request in [
            "SUB t\n".to_owned(),
            "SUB t since=all\n".to_owned(),
            "SUB demo since=none\n".to_owned(),
            "SUB demo since=all cookie=0123456789ab\n".to_owned(),
            format!("SUB demo since=all cookie={foreign}\n"),
            "SUB a..b nonsense       \n".to_owned(),
            "QUIT                    \n".to_owned(),
            long,
        ] {
            client.say(&request).await;
            // The answer to this one follows directly, so there was one only.
            client.say(&DatagramCommand::Ping(None).to_datagram(None)).await;
            let (answer, next) = (client.hear().await, client.hear().await);
            assert!(answer.len() <= request.len(), "{request} {answer}");
            let expected = if request.len() < CHALLENGE_BYTES_MAX { "pad\n" } else { &next };
            assert_eq!(answer, expected, "{request}");
            assert!(cookie_in(next.as_bytes()).is_some());
        }
        assert!(server.datagrams.seats().by_peer.is_empty());
        assert_eq!(server.readers(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_request_is_never_answered() {
    patiently(async {
        let server = Server::start();
        let client = Client::of(&server).await;
        let cookie = client.cookie().await;
        let challenge = format!("cookie={cookie}\n");
        let oversized = format!("SUB t cookie={cookie}{}", " ".repeat(DATAGRAM_BYTES_MAX));
        for datagram in [&challenge, "pad\n", "", "PUB t x", "{\"event\":\"pong\"}", &oversized] {
            client.say(datagram).await;
        }
        client.say(&format!("PING x cookie={cookie}")).await;
        let told = client.event().await.event;
        assert_eq!(told.event, Kind::Close, "{told:?}");
    })
    .await;
}

#[tokio::test]
async fn each_message_names_the_one_before_it_on_this_subscription() {
    patiently(async {
        let server = Server::start();
        let before = server.publish("t", "before").await;
        let (client, ok) = Client::subscribe(&server, "t").await;
        assert_eq!((ok.id(), ok.prev()), (before, before));
        assert_eq!(ok.members.unwrap().lease, Some(DATAGRAM_LEASE.as_secs()));
        server.publish("other", "x").await;
        let mut last = before;
        for text in ["one", "two", "three"] {
            let id = server.publish("t", text).await;
            let told = client.news().await;
            assert_eq!((told.id(), told.prev()), (id, last));
            assert_eq!(told.event.message.as_deref(), Some(text));
            last = id;
        }
        let passed = server.publish("other", "x").await;
        // Soon after the last message, so that its loss is noticed.
        let quiet = client.event().await;
        assert_eq!((quiet.event.event, quiet.prev()), (Kind::Keepalive, last));
        let cookie = client.cookie().await;
        client.say(&format!("PING hello cookie={cookie}")).await;
        let pong = client.news().await;
        assert_eq!((pong.event.event, pong.prev()), (Kind::Pong, last));
        assert_eq!(pong.event.message.as_deref(), Some("hello"));
        assert!(pong.id() >= last && pong.id() <= passed);
        let renewed = pong.members.unwrap().cookie.unwrap();
        client.say(&format!("QUIT cookie={renewed}")).await;
        assert_eq!(client.news().await.event.event, Kind::Close);
        server.stop().await;
        assert!(server.datagrams.seats().by_host.is_empty());
        assert_eq!(server.datagrams.config.metrics.of(Transport::Udp).deliveries.get(), 3);
    })
    .await;
}

#[tokio::test]
async fn history_is_sent_and_what_is_too_large_is_announced() {
    patiently(async {
        let server = Server::start();
        let one = server.publish("t", "one").await;
        let large = server.publish("t", &"x".repeat(DATAGRAM_BYTES_MAX)).await;
        let (client, ok) = Client::subscribe(&server, "t since=all").await;
        let told = client.news().await;
        assert_eq!((told.id(), told.prev()), (one, ok.id()));
        let told = client.news().await;
        assert_eq!((told.id(), told.prev(), told.event.message.is_none()), (large, one, true));
        assert!(told.members.unwrap().large);
        assert!(told.bytes < 300, "{}", told.bytes);
        let last = server.publish("t", "after").await;
        let told = client.news().await;
        assert_eq!((told.id(), told.prev()), (last, large));
    })
    .await;
}

#[tokio::test]
async fn no_datagram_is_larger_than_the_bound() {
    patiently(async {
        let server = Server::start();
        let topic = "t".repeat(120);
        // So long that there is hardly room for the rest of the request.
        let filter = format!("{topic},{}", ["u"; 8].map(|u| u.repeat(128)).join(","));
        let (client, ok) = Client::subscribe(&server, &filter).await;
        assert!(ok.bytes <= DATAGRAM_BYTES_MAX);
        for length in (900..1200).step_by(7) {
            server.publish(&topic, &"é".repeat(length / 2)).await;
            let told = client.news().await;
            assert!(told.bytes <= DATAGRAM_BYTES_MAX);
            assert_eq!(told.event.message.is_none(), told.members.unwrap().large);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_lost_is_told_with_the_ok() {
    patiently(async {
        let server = Server::start();
        server.publish("t", "x").await;
        let (_client, ok) = Client::subscribe(&server, "t since=hwQ2YpKdmg12").await;
        let gap = ok.event.gap.unwrap();
        assert_eq!((gap.after.as_str(), gap.reason), ("hwQ2YpKdmg12", GapReason::Foreign));
    })
    .await;
}

#[tokio::test]
async fn a_new_subscription_takes_the_place_of_the_one_before() {
    patiently(async {
        let server = Server::start();
        let (client, _) = Client::subscribe(&server, "a").await;
        let cookie = client.cookie().await;
        client.say(&format!("SUB b cookie={cookie}")).await;
        assert_eq!(client.news().await.event.topic.as_deref(), Some("b"));
        server.publish("a", "not wanted any more").await;
        let id = server.publish("b", "wanted").await;
        assert_eq!(client.news().await.id(), id);
        assert_eq!(server.datagrams.seats().by_host.values().sum::<usize>(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_is_told_to_who_has_a_cookie() {
    patiently(async {
        let server = Server::start();
        let client = Client::of(&server).await;
        let cookie = client.cookie().await;
        for (request, expected) in [
            ("SUB a..b", "topic 'a..b' is not"),
            ("SUB", "SUB needs a filter"),
            ("PING a b", "'b' is one word too many"),
        ] {
            client.say(&format!("{request} cookie={cookie}")).await;
            let told = client.event().await.event;
            let text = told.error.unwrap();
            assert!(text.starts_with(expected), "{request}: {text}");
        }
        let many =
            (0..=FILTER_PATTERNS_MAX).map(|n| format!("*.{n}")).collect::<Vec<_>>().join(",");
        client.say(&format!("SUB {many} cookie={cookie}")).await;
        assert_eq!(client.event().await.event.http, Some(400));
        server.stop().await;
        assert!(server.datagrams.seats().by_peer.is_empty());
    })
    .await;
}

#[tokio::test]
async fn one_address_has_so_many_subscriptions_and_no_more() {
    patiently(async {
        let server = Server::start();
        let mut seated = Vec::new();
        for _ in 0..DATAGRAM_SUBSCRIPTIONS_PER_HOST_MAX {
            seated.push(Client::subscribe(&server, "t").await.0);
        }
        let client = Client::of(&server).await;
        let request = format!("SUB t cookie={}", client.cookie().await);
        client.say(&request).await;
        assert_eq!(client.event().await.event.http, Some(429));
        let leaving = &seated[0];
        leaving.say(&format!("QUIT cookie={}", leaving.cookie().await)).await;
        assert_eq!(leaving.news().await.event.event, Kind::Close);
        // The place is free once the session has ended, which is just after it said so.
        while server.readers() > i64::try_from(seated.len()).unwrap() - 1 {
            tokio::task::yield_now().await;
        }
        client.say(&request).await;
        assert_eq!(client.event().await.event.event, Kind::Ok);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_nobody_renews_runs_out_and_leaves_nothing() {
    let server = Server::start();
    let (client, _) = Client::subscribe(&server, "t").await;
    let most = DATAGRAM_LEASE.saturating_sub(Duration::from_secs(5));
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        tokio::time::sleep(most).await;
        let cookie = client.cookie().await;
        client.say(&format!("PING cookie={cookie}")).await;
        assert_eq!(client.news().await.event.event, Kind::Pong);
    }
    let told = client.news().await.event;
    assert_eq!(told.message.as_deref(), Some("the lease has run out"));
    assert_eq!(began.elapsed().as_secs(), (3 * most + DATAGRAM_LEASE).as_secs());
    server.stop().await;
    let seats = server.datagrams.seats();
    assert!(seats.by_peer.is_empty() && seats.by_host.is_empty());
    assert_eq!(server.readers(), 0);
}

#[tokio::test]
async fn the_stop_is_told_and_no_task_stays() {
    patiently(async {
        let server = Server::start();
        let (client, _) = Client::subscribe(&server, "t").await;
        server.stop().await;
        let told = client.news().await.event;
        assert_eq!(told.event, Kind::Close);
        assert_eq!(told.message.as_deref(), Some("the server is stopping"));
    })
    .await;
}

#[tokio::test]
async fn a_subscriber_that_has_gone_troubles_nobody_else() {
    patiently(async {
        let server = Server::start();
        let (gone, _) = Client::subscribe(&server, "t").await;
        let (here, _) = Client::subscribe(&server, "t").await;
        drop(gone);
        for _ in 0..20 {
            let id = server.publish("t", "x").await;
            assert_eq!(here.news().await.id(), id);
        }
    })
    .await;
}

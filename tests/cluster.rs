//! A log on several machines: two servers that are fronts of one JetStream cluster are one server
//! to everybody that reads and publishes.

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::Value;

use crate::support::access::token;
use crate::support::client::client_command;
use crate::support::nats::{NODES, NatsCluster};
use crate::support::server::{listener, run, run_within, server_command};
use crate::support::{
    AccessFile, Event, Lines, PATIENCE, Request, Response, TestServer, Transport, eventually, seqs,
};

fn two_fronts(cluster: &NatsCluster, flags: &str) -> [TestServer; 2] {
    [0, 1].map(|node| TestServer::front(&cluster.urls(node), flags))
}

/// Waits until one sees as much as the other.
fn level(fronts: &[TestServer; 2]) {
    eventually("both fronts see the same", || {
        let last = fronts.each_ref().map(|front| front.stats()["log"]["last"].clone());
        (last[0] == last[1]).then_some(())
    });
}

#[test]
fn two_fronts_are_one_server_over_every_transport() {
    let Some(cluster) = NatsCluster::start() else { return };
    let fronts = two_fronts(&cluster, "--udp 127.0.0.1:0");
    let [one, other] = &fronts;
    let first = one.publish("a", "first");
    level(&fronts);
    for transport in Transport::WITH_IDS {
        let topic = &format!("by-{transport:?}");
        let start = if transport == Transport::EventSource { first.id() } else { "all" };
        // What one front takes is pushed by the other, in the same bytes.
        let mut reader = transport.read(other, topic, start);
        let sent: Vec<_> = ["x", "é \"y\""].iter().map(|text| one.publish(topic, text)).collect();
        let got = reader.messages(2);
        for (sent, got) in sent.iter().zip(&got) {
            // A datagram names the message before it as well.
            let got = got.line.split(",\"prev\"").next().unwrap().trim_end_matches('}');
            assert_eq!(sent.line.trim_end_matches('}'), got, "{transport:?}");
        }
        // With an id of another front a reader goes on behind it.
        let third = other.publish(topic, "z");
        let mut reader = transport.read(one, topic, got[0].id());
        let got: Vec<_> = reader.messages(2).iter().map(|event| event.id().to_owned()).collect();
        assert_eq!(got, [sent[1].id(), third.id()], "{transport:?}");
    }
    let both = fronts.each_ref().map(|front| seqs(&front.poll("%3E", "all")));
    assert_eq!(both[0], both[1]);
    assert_eq!(both[0].len(), 1 + 3 * Transport::WITH_IDS.len());
}

#[test]
fn an_id_ahead_of_a_front_is_waited_for_and_one_that_never_was_is_lost() {
    let Some(cluster) = NatsCluster::start() else { return };
    let fronts = two_fronts(&cluster, "");
    let [one, other] = &fronts;
    // Right behind the answer of one, the other may not have it yet.
    for _ in 0..50 {
        let place = one.publish("a", "x");
        let told = other.get(&format!("/a/json?poll=1&since={}", place.id()));
        assert_eq!((told.status, told.text()), (200, ""));
        assert_eq!(told.header("doorbell-gap"), None);
    }
    let newest = one.publish("a", "newest");
    let never = format!("{}zzz", &newest.id()[..newest.id().len() - 3]);
    let told = other.get(&format!("/a/json?poll=1&since={never}"));
    assert!(told.header("doorbell-gap").unwrap().contains("\"lost\""), "{told:?}");
}

#[test]
fn a_front_starts_before_its_cluster_and_says_so() {
    let Some(mut cluster) = NatsCluster::prepare("") else { return };
    let front = TestServer::front(&cluster.urls(0), "");
    for (path, body) in [("/v1/health", None), ("/a/json?poll=1", None), ("/a", Some("x"))] {
        let request = body.map_or_else(|| Request::get(path), |body| Request::post(path, body));
        let told = front.send(&request);
        assert_eq!(told.status, 503, "{path}");
        assert_eq!(told.header("retry-after"), Some("1"), "{path}");
        assert!(told.text().contains("50303") && told.text().contains("out of reach"), "{told:?}");
    }
    let mut lines = Lines::connect(front.tcp);
    assert!(lines.event().line.contains("50303"));
    cluster = cluster.started();
    eventually("the front serves", || (front.get("/v1/health").status == 200).then_some(()));
    assert_eq!(front.publish("a", "x").seq(), 1);
    let told = front.get("/v1/health").json();
    assert_eq!(
        (told["healthy"].as_bool(), told["log"]["stream"].as_str()),
        (Some(true), Some("doorbell"))
    );
    let stderr = front.stderr();
    assert!(stderr.contains("waiting for the log: no NATS server answers"), "{stderr}");
    drop(cluster);
}

#[test]
fn without_its_cluster_a_front_keeps_its_readers_and_refuses_what_it_cannot_do() {
    let Some(mut cluster) = NatsCluster::start() else { return };
    let front = TestServer::front(&cluster.urls(0), "--publish-wait 1s --keepalive 1s");
    let first = front.publish("a", "first");
    let mut reader = Transport::Tcp.read(&front, "a", "all");
    assert_eq!(reader.message().id(), first.id());
    for node in 0..NODES {
        cluster.kill(node);
    }
    let refused = front.send(&Request::post("/a", "lost?"));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.text().contains("50303"), "{}", refused.text());
    eventually("health says so", || {
        let told = front.get("/v1/health");
        (told.status == 503 && told.text().contains("out of reach")).then_some(())
    });
    // What is in memory is answered, and the reader hears that the connection lives.
    assert_eq!(seqs(&front.poll("a", first.id())), Vec::<u64>::new());
    assert_eq!(reader.event().kind(), "keepalive");
    for node in 0..NODES {
        cluster.launch(node);
    }
    let again = eventually("it is stored again", || {
        let told = front.send(&Request::post("/a", "again"));
        (told.status == 200).then(|| told.events().remove(0))
    });
    let heard = std::iter::from_fn(|| Some(reader.message()));
    assert!(heard.take(2).any(|event| event.id() == again.id()));
    assert_eq!(front.get("/v1/health").status, 200);
    let metrics = front.get("/metrics");
    let metrics = metrics.text();
    assert!(metrics.contains("doorbell_cluster_reachable{} 1"), "{metrics}");
    assert!(!metrics.contains("doorbell_cluster_outages_total{} 0"), "{metrics}");
}

#[test]
fn a_front_refuses_what_it_would_have_to_keep() {
    let Some(cluster) = NatsCluster::start() else { return };
    let front = TestServer::front(&cluster.urls(0), "");
    let later = Request::post("/a", "x").header("Delay", "1h");
    let file = Request::post("/a", "x").header("Filename", "a.txt");
    for (request, code) in [(later, "40004"), (file, "40014")] {
        let told = front.send(&request);
        assert_eq!(told.status, 400);
        assert!(told.text().contains(code), "{}", told.text());
    }
    let passing = front.send(&Request::post("/a", "x").header("Cache", "no"));
    assert_eq!(passing.status, 200);
    assert_eq!(front.poll("a", "all").len(), 0);
}

/// A ticket for `orders.>`, made at a front with the token `tk_reader`.
fn ticket(front: &TestServer) -> String {
    let request = Request::post("/v1/ticket?filter=orders.%3E", "");
    let answer = front.send(&request.header("authorization", "Bearer tk_reader"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["ticket"].as_str().unwrap().to_owned()
}

fn poll_by(front: &TestServer, filter: &str, ticket: &str) -> Response {
    front.get(&format!("/{filter}/json?poll=1&ticket={ticket}"))
}

#[test]
fn a_ticket_of_one_front_is_good_once_at_whichever_it_is_brought_to() {
    let Some(cluster) = NatsCluster::start() else { return };
    let reader = token("reader", "allow = [\"pubsub orders.>\"]");
    let file = AccessFile::new(&reader);
    let flags = format!("--udp 127.0.0.1:0 --visitor-failures off {}", file.flag());
    let mut fronts = two_fronts(&cluster, &flags);
    let [one, other] = &fronts;
    let refused = |answer: Response, why: &str| {
        assert_eq!((answer.status, answer.json()["code"].as_u64()), (401, Some(40101)));
        assert!(answer.text().contains(why), "{}", answer.text());
    };
    let used = "the ticket is wrong, was used, or has expired";
    // Whichever front has had it, none takes it again.
    for (maker, user) in [(one, other), (other, one), (one, one)] {
        let ticket = ticket(maker);
        assert_eq!(poll_by(user, "orders.%3E", &ticket).status, 200);
        refused(poll_by(user, "orders.%3E", &ticket), used);
        refused(poll_by(maker, "orders.%3E", &ticket), used);
    }
    // Of many who bring the same at once, to both fronts, one gets in.
    let contested = ticket(one);
    let statuses = std::thread::scope(|scope| {
        let contested = &contested;
        let ask = |front| scope.spawn(move || poll_by(front, "orders.%3E", contested).status);
        let asked: Vec<_> = (0..8).map(|number| ask(&fronts[number % 2])).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 7, "{statuses:?}");
    // It is used up by a try for another filter, and is no name of a subject.
    let foreign = ticket(one);
    refused(poll_by(other, "orders.a", &foreign), "for another filter");
    refused(poll_by(one, "orders.%3E", &foreign), used);
    for wrong in ["x.y", "*.y", "0123456789abcdef.y", "%3E.y"] {
        refused(poll_by(one, "orders.%3E", wrong), used);
    }
    // It is read by over any transport that takes one.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(other.listener("udp")).unwrap();
    let ask = |line: &str| {
        let mut buffer = [0; 2048];
        socket.send(line.as_bytes()).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let cookie = ask("SUB orders.>                \n").trim().to_owned();
    let subscribe = format!("SUB orders.> ticket={} {cookie}\n", ticket(one));
    assert_eq!(Event::parse(&ask(&subscribe)).kind(), "ok");
    assert_eq!(Event::parse(&ask(&subscribe)).kind(), "ok", "its answer may have been lost");
    // What it was made with holds where it is used: by an access file of that front's own.
    let unused = [ticket(one), ticket(one)];
    file.apply(&token("reader", "allow = [\"sub news\"]"));
    eventually("both fronts have read it", || {
        let ask = |front: &TestServer| {
            let request = Request::get("/orders.%3E/auth");
            front.send(&request.header("authorization", "Bearer tk_reader")).status
        };
        fronts.iter().all(|front| ask(front) == 403).then_some(())
    });
    refused(poll_by(other, "orders.%3E", &unused[0]), used);
    // A front that is gone has no tickets.
    file.replace(&reader);
    eventually("the file holds again", || {
        let request = Request::post("/v1/ticket?filter=orders.%3E", "");
        let answer = one.send(&request.header("authorization", "Bearer tk_reader"));
        (answer.status == 200).then_some(())
    });
    let orphan = ticket(one);
    fronts[0].kill();
    refused(poll_by(&fronts[1], "orders.%3E", &orphan), used);
}

#[test]
fn a_ticket_made_with_a_signed_token_is_good_at_the_other_front_for_what_that_says() {
    let Some(cluster) = NatsCluster::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let secret = "a secret of more than thirty-two bytes";
    std::fs::write(folder.path().join("secret"), secret).unwrap();
    let path = folder.path().join("access.toml");
    let text = "[jwt]\nissuer = \"us\"\naudience = \"doorbell\"\nsecret_file = \"secret\"\n\
                algorithms = [\"HS256\"]\nallow = [\"sub >\"]\n";
    std::fs::write(&path, text).unwrap();
    let [one, other] = two_fronts(&cluster, &format!("--access {}", path.display()));
    let claims = serde_json::json!({
        "iss": "us", "aud": "doorbell", "sub": "anna", "exp": 4_000_000_000u64,
        "doorbell": {"sub": ["orders.>"]},
    });
    let key = EncodingKey::from_secret(secret.as_bytes()).unwrap();
    let token = encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    let make = |filter: &str| {
        let request = Request::post(&format!("/v1/ticket?filter={filter}"), "");
        one.send(&request.header("authorization", &format!("Bearer {token}")))
    };
    assert_eq!(make("news").status, 403);
    let ticket = make("orders.a").json()["ticket"].as_str().unwrap().to_owned();
    assert_eq!(poll_by(&other, "orders.a", &ticket).status, 200);
    assert_eq!(poll_by(&other, "orders.a", &ticket).status, 401);
}

#[test]
fn a_ticket_of_another_front_is_503_while_that_cannot_be_asked() {
    let Some(mut cluster) = NatsCluster::start() else { return };
    let file = AccessFile::new(&token("reader", "allow = [\"sub orders.>\"]"));
    let [one, other] = two_fronts(&cluster, &file.flag());
    let [first, second] = [ticket(&one), ticket(&one)];
    for node in 0..NODES {
        cluster.kill(node);
    }
    let told = poll_by(&other, "orders.%3E", &first);
    assert_eq!((told.status, told.header("retry-after")), (503, Some("1")), "{told:?}");
    assert!(told.text().contains("50303") && !told.text().contains(&first), "{}", told.text());
    // Where it was made nobody else is asked.
    assert_eq!(poll_by(&one, "orders.%3E", &second).status, 200);
    assert_eq!(poll_by(&one, "orders.%3E", &first).status, 200);
}

#[test]
fn where_the_account_of_nats_is_full_it_is_507_until_there_is_room_again() {
    let account = "accounts { A { jetstream { max_file: 24MB }, users: [{ user: a, password: b }] } }\n\
                   no_auth_user: a";
    let Some(cluster) = NatsCluster::prepare(account) else { return };
    let cluster = cluster.started();
    let front = TestServer::front(&cluster.urls(0), "--retention-bytes 1MiB");
    front.publish("a", "before");
    // Somebody else's stream, which has no bounds of its own, takes what there is.
    let stream = r#"{"name":"other","subjects":["other"],"num_replicas":3}"#;
    let made = cluster.request("$JS.API.STREAM.CREATE.other", stream);
    assert_eq!(made["config"]["name"], "other", "{made}");
    let text = "y".repeat(500_000);
    eventually("the account is full", || {
        let told = cluster.request("other", &text);
        told["error"]["description"].as_str().map(str::to_owned)
    });
    // Each server learns within a moment what the others hold.
    let told = eventually("the front is refused", || {
        let told = front.send(&Request::post("/a", "too much"));
        (told.status != 200).then_some(told)
    });
    assert_eq!((told.status, told.json()["code"].as_u64()), (507, Some(50701)), "{told:?}");
    let held = front.poll("a", "all").len();
    let health = front.get("/v1/health");
    assert!(health.status == 503 && health.text().contains("no room left"), "{health:?}");
    let purged = cluster.request("$JS.API.STREAM.PURGE.other", "");
    assert_eq!(purged["success"], true, "{purged}");
    let again = eventually("there is room again", || {
        let told = front.send(&Request::post("/a", "again"));
        (told.status == 200).then(|| told.events().remove(0))
    });
    assert_eq!(front.poll("a", "all").len(), held + 1, "{}", again.line);
    assert_eq!(front.get("/v1/health").status, 200);
}

#[test]
fn servers_of_nats_that_do_not_sync_are_told_if_they_may_be_asked() {
    let Some(mut cluster) = NatsCluster::start() else { return };
    let flags = format!("--cluster-monitor {}", cluster.monitors());
    let front = TestServer::front(&cluster.urls(0), &flags);
    let said = || front.get("/v1/health").json()["log"]["not_durable"].as_str().map(str::to_owned);
    // Until they have said so it is not known.
    eventually("they say that they sync", || said().is_none().then_some(()));
    assert!(front.get("/metrics").text().contains("doorbell_cluster_not_durable{} 0"));
    cluster.kill(1);
    cluster.set(1, "sync_interval: always", "sync_interval: 10s");
    cluster.launch(1);
    let told = eventually("health says so", said);
    assert_eq!(told, "a NATS server does not sync each message: sync_interval: always does");
    assert!(front.get("/metrics").text().contains("doorbell_cluster_not_durable{} 1"));
    let stderr = front.stderr();
    assert!(stderr.contains("not durable") && stderr.contains("\"n1\""), "{stderr}");
    // One that says nothing is no reason to take it for another.
    cluster.kill(1);
    cluster.set(1, "sync_interval: 10s", "sync_interval: always");
    cluster.launch(1);
    eventually("health is silent again", || said().is_none().then_some(()));
    // Nobody is asked who was not named, and nothing is claimed.
    let other = TestServer::front(&cluster.urls(0), "--cluster-monitor http://127.0.0.1:9");
    eventually("what is not known is not claimed", || {
        let told = other.get("/v1/health").json();
        let told = told["log"]["not_durable"].as_str()?;
        told.contains("has not said whether it syncs").then_some(())
    });
}

#[test]
fn a_cluster_that_will_not_do_is_named_in_one_line() {
    let users = "authorization { user: anna, password: secret }";
    let Some(cluster) = NatsCluster::prepare(users) else { return };
    let cluster = cluster.started();
    let wrong = cluster.urls(0).replace("nats://", "nats://anna:wrong@");
    let right = wrong.replace("wrong", "secret");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (flags, says) in [
        (format!("--cluster {wrong}"), "refuse the credentials"),
        (format!("--cluster {right} --message-bytes 1048576"), "max_payload"),
        (format!("--cluster {right} --data d"), "--data"),
        (format!("--cluster {right} --ephemeral"), "--ephemeral"),
        (format!("--cluster {right} --sync always"), "--sync"),
        (format!("--cluster {right} --visitor-held 1MiB"), "--visitor-held needs a log"),
        (format!("--cluster {right} --web-push mailto:a@b.c"), "--web-push needs a log"),
        (format!("--cluster {right} --cluster-monitor nats://a"), "no monitoring address"),
        ("--cluster-monitor http://a".to_owned(), "--cluster-monitor needs --cluster"),
        ("--cluster ftp://a".to_owned(), "no address of a NATS server"),
        (format!("--cluster {right} --cluster-stream a.b"), "the name of a stream"),
        (format!("--cluster {right} --cluster-credentials /nowhere"), "/nowhere"),
    ] {
        let mut command = server_command();
        command.args(["--http", &free, "--tcp", "none"]).args(flags.split(' '));
        let output = run(&mut command);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags}: {said}");
        assert!(said.contains(says), "{flags}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    let front = TestServer::front(&right, "");
    assert_eq!(front.publish("a", "x").seq(), 1);
    assert!(listener(&format!("ready http={}", front.http), "http").is_some());
}

#[test]
fn a_stopped_front_ends_at_once_and_one_that_waits_too() {
    let Some(cluster) = NatsCluster::prepare("") else { return };
    let mut waiting = TestServer::front(&cluster.urls(0), "");
    assert!(waiting.stop().success());
    let cluster = cluster.started();
    let mut front = TestServer::front(&cluster.urls(0), "");
    front.publish("a", "x");
    let began = std::time::Instant::now();
    assert!(front.stop().success());
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_log_moves_into_a_cluster_and_out_again_and_begins_an_epoch_there() {
    let Some(cluster) = NatsCluster::start() else { return };
    let urls = cluster.urls(0);
    let command = |words: &[&str], input: &[u8]| {
        let mut command = server_command();
        command.arg("log").args(words).args(["--cluster", &urls]);
        let (given, mut file) = (tempfile::NamedTempFile::new().unwrap(), input);
        std::io::copy(&mut file, &mut given.as_file()).unwrap();
        let output = run(command.stdin(given.reopen().unwrap()));
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), said)
    };
    let own = TestServer::durable("");
    let (first, second) = (own.publish("a", "x"), own.publish("b", "y"));
    let mut export = server_command();
    let exported = run(export.args(["log", "export"]).arg(own.data())).stdout;
    assert_eq!(command(&["export"], b"").0, Some(2), "there is no stream yet");
    let (code, _, said) = command(&["import"], &exported);
    assert_eq!((code, said.trim()), (Some(0), "2 messages stored in the stream doorbell"));
    let again = command(&["import"], &exported).2;
    assert!(again.contains("messages in the stream doorbell already"), "{again}");
    let front = TestServer::front(&urls, "");
    let held = front.poll("%3E", "all");
    for (held, before) in held.iter().zip([&first, &second]) {
        assert_eq!(held.message(), before.message());
        assert_eq!(held.plain()["time_us"], before.plain()["time_us"]);
    }
    let (code, text, said) = command(&["export"], b"");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let lines: Vec<&str> = held.iter().map(|event| event.line.as_str()).collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    let since = format!("--since={}", held[0].id());
    assert_eq!(command(&["export", "--topic=b", &since], b"").1.lines().count(), 1);
    let (code, _, said) = command(&["new-epoch"], b"");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("restart its fronts"), "{said}");
    eventually("the front says that it is of another epoch", || {
        let told = front.get("/v1/health");
        (told.status == 503 && told.text().contains("new epoch")).then_some(())
    });
    let after = TestServer::front(&urls, "");
    let third = after.publish("a", "z");
    assert_eq!(third.seq(), 3);
    assert_ne!(third.id()[..5], held[1].id()[..5], "the same epoch");
    assert_eq!(seqs(&after.poll("%3E", held[0].id())), [2, 3]);
    let verified = command(&["check", "."], b"").2;
    assert!(verified.contains("tools of NATS"), "{verified}");
}

#[test]
fn the_comparison_publishes_at_one_front_and_receives_by_another() {
    let Some(cluster) = NatsCluster::start() else { return };
    let [one, other] = two_fronts(&cluster, "");
    let mut command = client_command();
    command.args(["compare", "--via", "longpoll,tcp,ws", "--rate", "20", "--duration", "2s"]);
    command.args(["--process", "steady", "--interval", "500ms", "--json"]);
    command.arg("--server").arg(format!("http://{}", other.http));
    command.arg("--publish-to").arg(format!("http://{}", one.http));
    let output = run_within(Duration::from_secs(60), &mut command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["contenders"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!((&row["delivered"], &row["missed"]), (&40.into(), &0.into()), "{row}");
    }
}

//! A full disk: publishers are told, nothing acknowledged is lost, and it heals by itself.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::http::Connection;
use crate::support::{Request, TestServer, eventually, skip};

/// A small file system of its own.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts it; `None` where that is not permitted.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// Publishes until it is refused; returns the texts that were acknowledged.
fn publish_until_full(server: &TestServer) -> Vec<String> {
    let mut connection = Connection::open(server.http);
    let mut acknowledged = Vec::new();
    let filling = "x".repeat(4000);
    for n in 0..20_000 {
        let text = format!("{n} {filling}");
        let response = connection.exchange(&Request::post("/t", &text));
        if response.status == 200 {
            acknowledged.push(text);
            continue;
        }
        let json = response.json();
        assert_eq!(
            (response.status, &json["code"], &json["http"]),
            (507, &50701.into(), &507.into())
        );
        assert_eq!(json.as_object().unwrap().len(), 3);
        return acknowledged;
    }
    panic!("the disk was never full");
}

fn everything(server: &TestServer) -> Vec<String> {
    let mut texts = Vec::new();
    let mut next = "all".to_owned();
    loop {
        let response = server.get(&format!("/t/json?poll=1&since={next}"));
        response.next().clone_into(&mut next);
        texts.extend(response.events().iter().map(|event| event.message().to_owned()));
        if response.header("doorbell-more").is_none() {
            return texts;
        }
    }
}

#[test]
fn a_file_for_which_the_disk_has_no_room_is_refused_and_leaves_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        skip("a full disk needs the right to mount a small file system");
        return;
    };
    let data = disk.path().join("data");
    let server = TestServer::durable(&format!("--data {}", data.display()));
    let file = Request::new("PUT", "/t").header("Filename", "a").body(vec![0xff; 14 << 20]);
    assert_eq!(server.send(&file).status, 200);
    let refused = server.send(&file);
    assert_eq!((refused.status, &refused.json()["code"]), (507, &50701.into()));
    eventually("its part is gone", || {
        (fs::read_dir(data.join("files")).unwrap().count() == 1).then_some(())
    });
    server.publish("t", "there is room for a text");
    assert_eq!(server.poll("t", "all").len(), 2);
}

#[test]
fn a_full_disk_refuses_publishes_loses_nothing_and_heals_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        skip("a full disk needs the right to mount a small file system");
        return;
    };
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![0x5a; 6 << 20]).unwrap();
    let data = disk.path().join("data");
    let mut server = TestServer::durable(&format!("--data {}", data.display()));
    let mut reader = server.lines();
    reader.subscribe("after");

    let acknowledged = publish_until_full(&server);
    assert!(acknowledged.len() > 100, "there was some room: {}", acknowledged.len());
    // The server may have found some room of its own; somebody else takes it.
    let greedy = disk.path().join("greedy");
    let refused = eventually("even a short line finds no room", || {
        let _ = fs::write(&greedy, vec![0x5a; 24 << 20]);
        let answer = server.lines().ask("PUB other by line");
        (answer.kind() == "error").then_some(answer)
    });
    assert_eq!(refused.code(), 50701);
    let health = server.get("/v1/health");
    assert_eq!((health.status, &health.json()["healthy"]), (503, &false.into()));
    assert!(everything(&server).starts_with(&acknowledged), "readers go on");

    for file in [filler, greedy] {
        fs::remove_file(file).unwrap();
    }
    let event = eventually("publishing goes on", || {
        let response = server.send(&Request::post("/after", "there is room"));
        (response.status == 200).then(|| response.events().remove(0))
    });
    assert_eq!(reader.event(), event);
    assert_eq!(server.get("/v1/health").status, 200);

    server.kill();
    server.restart();
    assert!(everything(&server).starts_with(&acknowledged), "after a crash as well");
}

#[test]
fn what_waits_for_its_time_outlives_a_start_on_a_full_disk() {
    let Some(disk) = SmallDisk::mount() else {
        skip("a full disk needs the right to mount a small file system");
        return;
    };
    let data = disk.path().join("data");
    let mut server = TestServer::durable(&format!("--data {}", data.display()));
    let text = "x".repeat(3000);
    let later =
        |server: &TestServer| server.send(&Request::post("/t", &text).header("In", "1h")).status;
    let waiting = |server: &TestServer| server.get("/t/json?poll=1&since=none&sched=1").events();
    assert_eq!(later(&server), 200);
    let greedy = disk.path().join("greedy");
    let fill = || drop(fs::write(&greedy, vec![0x5a; 24 << 20]));
    let mut accepted = 1;
    // What the log has set aside for itself goes first.
    eventually("there is no room for one more", || {
        fill();
        let status = later(&server);
        accepted += usize::from(status == 200);
        (status == 507).then_some(())
    });
    assert_eq!(waiting(&server).len(), accepted);
    for _ in 0..2 {
        server.kill();
        server.restart();
        fill();
        assert_eq!(waiting(&server).len(), accepted, "a start takes none of them away");
    }
    fs::remove_file(&greedy).unwrap();
    eventually("there is room again", || (later(&server) == 200).then_some(()));
    server.kill();
    server.restart();
    assert_eq!(waiting(&server).len(), accepted + 1);
}

#[test]
fn what_is_stored_is_for_nobody_else_to_read() {
    let server = TestServer::durable("");
    server.publish("t", "x");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&server.data()), 0o700);
    let mut files = 0;
    for file in fs::read_dir(server.data()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert!(files >= 2, "{files}");
}

#[test]
fn a_folder_that_others_may_use_is_said_at_the_start_with_what_mends_it() {
    let mut server = TestServer::durable("");
    let data = server.data();
    for (folder, file, is_said) in
        [(0o755, 0o600, false), (0o755, 0o644, true), (0o770, 0o600, true), (0o700, 0o644, false)]
    {
        server.stop();
        let before = server.stderr().len();
        let segment = server.segments().pop().unwrap();
        fs::set_permissions(segment, Permissions::from_mode(file)).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(folder)).unwrap();
        server.restart();
        let said = server.stderr()[before..].to_owned();
        let mend = format!("chmod -R go= '{}'", data.display());
        assert_eq!(said.contains(&mend), is_said, "{folder:o} {file:o}: {said}");
        assert_eq!(said.lines().count(), usize::from(is_said), "{said}");
    }
}

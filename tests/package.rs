//! The Debian package, as somebody has it who installs, updates and removes it; and what it brings
//! for those who watch the server.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::access::token;
use crate::support::client::RunningClient;
use crate::support::nats::NatsCluster;
use crate::support::server::{binary, listener, run};
use crate::support::{AccessFile, Request, TestServer, skip, skip_unless_ci};

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("packaging")
}

/// Runs it to its end and expects success; its standard output.
fn succeed(command: &mut Command) -> String {
    let output = run(command);
    let [out, err] = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
    assert!(output.status.success(), "{command:?}: {out}\n{err}");
    out
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// A machine that has nothing but what dpkg needs to work on it.
fn bare_machine(folder: &Path) -> PathBuf {
    let root = folder.join("machine");
    for part in ["etc", "var/lib/dpkg/info", "var/lib/dpkg/updates"] {
        fs::create_dir_all(root.join(part)).unwrap();
    }
    for file in ["var/lib/dpkg/status", "etc/passwd", "etc/group"] {
        fs::write(root.join(file), "").unwrap();
    }
    root
}

/// Works on that machine, whose scripts are run outside of it: it has no shell.
fn dpkg(root: &Path, words: &[&str]) -> String {
    let mut dpkg = Command::new("dpkg");
    dpkg.arg("--root").arg(root).args(["--force-script-chrootless", "--force-depends"]);
    succeed(dpkg.args(words))
}

#[test]
fn the_package_is_installed_started_updated_removed_and_purged() {
    if !rustix::process::geteuid().is_root() {
        skip("only root can install a package");
        return;
    }
    for program in ["dpkg-deb", "dpkg", "strip", "objdump", "systemd-sysusers", "systemd-tmpfiles"]
    {
        if !has(program) {
            skip(&format!("{program} is not installed"));
            return;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let programs = binary("doorbell");
    let mut making = Command::new(packaging().join("build-deb"));
    // What is small is no matter here, what is quick is.
    making.env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    let built = succeed(making.arg(programs.parent().unwrap()).arg(folder.path()));
    let package = built.lines().last().unwrap();
    let control = succeed(Command::new("dpkg-deb").args(["--field", package, "Depends"]));
    assert!(control.starts_with("libc6 (>= 2."), "{control}");

    let root = &bare_machine(folder.path());
    dpkg(root, &["--install", package]);
    for file in [
        "usr/share/man/man1/doorbell.1.gz",
        "usr/share/man/man1/doorbell-subscribe.1.gz",
        "usr/share/man/man1/doorbell-server.1.gz",
        "usr/share/bash-completion/completions/doorbell",
        "usr/share/bash-completion/completions/doorbell-server",
        "usr/share/zsh/vendor-completions/_doorbell",
        "usr/share/fish/vendor_completions.d/doorbell.fish",
        "usr/lib/systemd/system/doorbell-server.service",
        "usr/share/doc/doorbell/examples/prometheus-rules.yml",
    ] {
        assert!(root.join(file).metadata().is_ok_and(|file| file.len() > 50), "{file}");
    }
    let users = fs::read_to_string(root.join("etc/passwd")).unwrap();
    let user = users.lines().find(|line| line.starts_with("doorbell:")).unwrap();
    let data = root.join("var/lib/doorbell");
    let owner = data.metadata().unwrap();
    assert_eq!(user.split(':').nth(2).unwrap(), owner.uid().to_string());
    assert_eq!(owner.mode() & 0o7777, 0o750);

    // As the unit starts it, but for the root of the machine and the ports.
    let unit = root.join("usr/lib/systemd/system/doorbell-server.service");
    let unit = fs::read_to_string(unit).unwrap();
    let words = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words: Vec<String> = words
        .split(' ')
        .map(|word| word.replace("/usr", &format!("{}/usr", root.display())))
        .collect();
    let settings = root.join("etc/doorbell/server.toml");
    assert!(words[1..] == ["--config", "/etc/doorbell/server.toml"], "{words:?}");
    let mut command = Command::new(&words[0]);
    command.arg("--config").arg(&settings).arg("--data").arg(&data);
    command.args(["--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--udp", "none"]);
    let mut server = RunningClient::start(&mut command);
    let ready = server.line().unwrap();
    let http: SocketAddr = listener(&ready, "http").unwrap();
    let client = root.join("usr/bin/doorbell");
    let address = format!("http://{http}");
    let mut publish = Command::new(client);
    publish.env("DOORBELL_CLIENT_CONFIG", "/dev/null");
    succeed(publish.args(["publish", "t", "from a package", "--server", &address]));
    drop(server);

    let kept = "http = \"127.0.0.1:9999\"\n";
    fs::write(&settings, kept).unwrap();
    dpkg(root, &["--install", package]);
    assert_eq!(fs::read_to_string(&settings).unwrap(), kept, "an update keeps the settings");
    dpkg(root, &["--remove", "doorbell"]);
    assert!(!root.join("usr/bin/doorbell-server").exists());
    assert!(settings.exists() && data.read_dir().unwrap().count() > 0, "what is mine stays");
    dpkg(root, &["--purge", "doorbell"]);
    assert!(!settings.exists() && !data.exists());
}

#[test]
fn the_unit_is_understood_and_exposes_little() {
    if !has("systemd-analyze") {
        skip("systemd-analyze is not installed");
        return;
    }
    let unit = packaging().join("doorbell-server.service");
    let unit = unit.to_str().unwrap();
    let told = succeed(Command::new("systemd-analyze").args(["security", "--offline=true", unit]));
    let level =
        told.lines().last().unwrap().split_whitespace().find_map(|word| word.parse::<f64>().ok());
    assert!(level.is_some_and(|level| level < 2.5), "{told}");
    let verified = run(Command::new("systemd-analyze").args(["verify", unit]));
    let said = String::from_utf8(verified.stderr).unwrap();
    // The programs and pages of a package that is not installed here are not found.
    let faults = said.lines().filter(|line| line.contains("doorbell"));
    let faults: Vec<&str> = faults
        .filter(|line| !line.contains("is not executable") && !line.contains("man doorbell"))
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
}

/// The names of metrics in an expression.
fn metrics_in(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("doorbell_"))
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are_and_ring_when_they_should() {
    let rules = packaging().join("prometheus-rules.yml");
    let text = fs::read_to_string(&rules).unwrap();
    let dashboard = fs::read_to_string(packaging().join("grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let asked: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(asked.len() > 15);

    // Some metrics are there only with an access file and a certificate.
    let access = AccessFile::new(&token("root", "allow = [\"pubsub >\"]\nadmin = true"));
    let flags = format!("{} --https 127.0.0.1:0 --tls-self-signed", access.flag());
    let server = TestServer::durable(&flags);
    let accept = "text/plain;version=0.0.4";
    let request = Request::get("/metrics").header("Accept", accept).token(Some("tk_root"));
    let shown = server.send(&request);
    let shown = shown.text();
    // And some on a front of a cluster.
    let Some(cluster) = NatsCluster::start() else { return };
    let front = TestServer::front(&cluster.urls(0), "");
    front.publish("t", "x");
    let request = Request::get("/metrics").header("Accept", accept);
    let shown = shown.to_owned() + front.send(&request).text();
    let known: BTreeSet<&str> =
        shown.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    let expressions = text.lines().filter(|line| !line.trim_start().starts_with('-'));
    for name in expressions.chain(asked.iter().copied()).flat_map(metrics_in) {
        assert!(known.contains(name), "{name} is no metric");
    }

    if !has("promtool") {
        skip_unless_ci("promtool is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let recorded = folder.path().join("dashboard.yml");
    let mut written = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for (number, expression) in asked.iter().enumerate() {
        let expression = expression.replace("$__rate_interval", "5m");
        let expression = Value::from(expression);
        writeln!(written, "  - {{record: 'panel:{number}', expr: {expression}}}").unwrap();
    }
    fs::write(&recorded, written).unwrap();
    let checked =
        succeed(Command::new("promtool").args(["check", "rules"]).arg(rules).arg(recorded));
    assert!(checked.contains("11 rules found"), "{checked}");
    let cases = packaging().join("../tests/package/alerts.yml");
    succeed(Command::new("promtool").args(["test", "rules"]).arg(cases));
}

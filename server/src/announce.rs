//! What a server says to the person who started it: lines to paste into another terminal.

use std::fmt::{self, Write};
use std::path::Path;

use crate::listen::{Addresses, reachable};

/// Lines to paste, over plain HTTP and TCP where they are spoken. `fingerprint` is that of a
/// certificate for which nobody else vouches; `is_guarded` says that an access file says who may.
pub fn advice(
    addresses: &Addresses,
    connections: usize,
    fingerprint: Option<&str>,
    is_guarded: bool,
) -> String {
    let mut text = String::new();
    // Nothing that is written to memory fails.
    let _ = write_advice(&mut text, addresses, connections, fingerprint, is_guarded);
    text
}

fn write_advice(
    out: &mut String,
    addresses: &Addresses,
    connections: usize,
    fingerprint: Option<&str>,
    is_guarded: bool,
) -> fmt::Result {
    let Addresses { http, tcp, udp, https, tcps, .. } = addresses;
    let [http, tcp, https, tcps] = [http, tcp, https, tcps].map(|at| at.map(reachable));
    let trust = fingerprint.map(|known| format!(" --fingerprint {known}")).unwrap_or_default();
    let url = http.map(|at| format!("http://{at}"));
    let url = url.or(https.map(|at| format!("https://{at}")));
    // Nobody vouches for the certificate of one who only tries it out.
    let mut curl =
        if http.is_none() && fingerprint.is_some() { "curl -k" } else { "curl" }.to_owned();
    if is_guarded {
        curl += " -H \"Authorization: Bearer $TOKEN\"";
    }
    let subscribe = format!("    {} subscribe demo --server", client_command());

    writeln!(out)?;
    if let Some(url) = &url {
        writeln!(out, "  the page          {url}/")?;
    }
    if let Some(fingerprint) = fingerprint {
        writeln!(out, "  fingerprint       {fingerprint}")?;
    }
    if is_guarded {
        writeln!(out, "  a token           doorbell-server token add NAME --allow 'pubsub demo'")?;
    }
    writeln!(out, "  room for          {connections} connections\n")?;
    let first = if is_guarded { "AUTH token, " } else { "" };
    writeln!(out, "  In another terminal, wait at the door (push):")?;
    if let Some(at) = tcp {
        writeln!(
            out,
            "    nc {} {}                      and type: {first}SUB demo",
            at.ip(),
            at.port()
        )?;
    }
    if let Some(url) = &url {
        writeln!(out, "    {curl} -sN {url}/demo/sse")?;
    }
    if let Some(at) = tcp {
        writeln!(out, "{subscribe} tcp://{at}")?;
    }
    if let (Some(_), Some(at)) = (udp, http) {
        writeln!(out, "{subscribe} http://{at} --via udp")?;
    }
    if let Some(at) = https {
        writeln!(out, "{subscribe} https://{at} --via sse{trust}")?;
    }
    if let Some(at) = tcps {
        writeln!(out, "{subscribe} tcps://{at}{trust}")?;
    }
    writeln!(out, "\n  Ring:")?;
    if let Some(url) = &url {
        writeln!(out, "    {curl} -d 'somebody is here' {url}/demo")?;
    }
    if let Some(at) = tcp {
        let (host, port) = (at.ip(), at.port());
        let says = if is_guarded {
            "printf \"AUTH $TOKEN\\nPUB demo hello\\n\""
        } else {
            "echo 'PUB demo somebody is here'"
        };
        writeln!(out, "    {says} | nc -N {host} {port}")?;
    }
    if let Some(url) = &url {
        writeln!(out, "\n  Or walk to the door to look (poll):")?;
        writeln!(out, "    {curl} -si '{url}/demo/json?poll=1&since=all'")?;
    }
    writeln!(out)
}

/// What to type for a client: the one beside this server if it was built, else by cargo.
fn client_command() -> String {
    let beside = std::env::current_exe().ok().map(|path| path.with_file_name("doorbell"));
    match beside.filter(|path| path.is_file()) {
        Some(path) => {
            let here = std::env::current_dir().ok();
            let short = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
            short.unwrap_or(path).display().to_string()
        }
        None => "cargo run -q --release -p doorbell-cli --".to_owned(),
    }
}

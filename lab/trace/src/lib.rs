//! `doorbell trace`: one subscription and one message, and every segment of it that crossed the
//! wire, drawn as a sequence of arrows between client and server.
//!
//! It captures its own traffic on the loopback interface, so client and server must be on one
//! machine and the program needs the capability to capture. It speaks to the server with requests
//! of its own making, the shortest that a client needs, and with the same ones each time.

mod flags;
mod picture;
mod scenario;
mod svg;
mod terminal;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Duration;

use doorbell::{Authority, Client, Endpoint, Server, Transport};
use doorbell_instruments::{Failure, OwnServer, missing_privilege};
use doorbell_wire::{Capture, Dialogue, Segment};
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout, timeout_at};

pub use self::flags::{EXAMPLES, TraceArguments};
use self::picture::Picture;
use self::scenario::{Outcome, Scenario};

const INTERFACE: &str = "lo";
/// How long the whole conversation may take, beside the pauses between polls.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long the last acknowledgements are waited for.
const END_DEADLINE: Duration = Duration::from_secs(2);
/// After this long without a segment nothing more comes.
const QUIET: Duration = Duration::from_millis(20);

/// Runs `doorbell trace`: prints the segments on the standard output, as text, JSON or SVG.
///
/// # Errors
///
/// [`Failure::Usage`] if the server is not on this machine, [`Failure::Failed`] if this process may
/// not capture or the message did not come.
pub async fn run(arguments: TraceArguments, server: Option<Server>) -> Result<(), Failure> {
    // Asked before anything is started: there may be no permission.
    capture(1)?;
    let picture = if let Some(server) = server {
        trace(&arguments, &server).await?
    } else {
        let own = OwnServer::start().await?;
        let picture = trace(&arguments, own.address()).await;
        own.stop().await;
        picture?
    };
    let text = match (arguments.json, arguments.svg) {
        (true, _) => picture.to_json(),
        (_, true) => svg::render(&picture),
        _ => terminal::render(&picture),
    };
    let mut output = anstream::stdout();
    output.write_all(text.as_bytes())?;
    output.flush()?;
    Ok(())
}

fn capture(port: u16) -> Result<Capture, Failure> {
    Capture::open(INTERFACE, &[port]).map_err(|error| {
        Failure::Failed(match error.kind() {
            ErrorKind::PermissionDenied => missing_privilege(),
            _ => format!("cannot capture on {INTERFACE}: {error}"),
        })
    })
}

async fn trace(arguments: &TraceArguments, server: &Server) -> Result<Picture, Failure> {
    let address = address(arguments.via, server).await?;
    let client = Client::new(server.clone());
    let mut publisher = client.publisher();
    publisher.connect().await?;
    let scenario = Scenario {
        via: arguments.via,
        draft: client.publish(arguments.topic.clone(), &arguments.message).into(),
        interval: arguments.interval,
    };
    let mut capture = capture(address.port())?;
    // The scenario's own pauses: two between the three polls, one before the message.
    let limit = DEADLINE + 3 * arguments.interval;
    let outcome = timeout(limit, scenario.run(address, &mut publisher)).await.map_err(|_| {
        Failure::Failed(format!("no message within {} s: is {server} in order?", limit.as_secs()))
    })??;
    let segments = segments(&mut capture, &outcome, address).await?;
    let dropped = capture.dropped()?;
    if dropped > 0 {
        return Err(Failure::Failed(format!(
            "the capture lost {dropped} packets: too much else goes over the server's port"
        )));
    }
    let dialogue = Dialogue::new(&segments, outcome.client, address);
    if dialogue.steps.is_empty() {
        return Err(Failure::Failed(format!("nothing of {address} crossed {INTERFACE}")));
    }
    Ok(Picture::new(&scenario, &outcome, address, dialogue))
}

/// Where the server listens for this way of receiving; it has to be on this machine.
async fn address(via: Transport, server: &Server) -> Result<SocketAddr, Failure> {
    if server.is_encrypted() {
        return Err(Failure::Usage(format!("{server} has no packets that could be read")));
    }
    let authority: Authority = match via {
        Transport::Tcp => match server.lines().await? {
            Endpoint::Tcp(authority) => authority,
            endpoint @ (Endpoint::Unix(_) | Endpoint::Tls(..)) => {
                return Err(Failure::Usage(format!(
                    "{endpoint} has no packets that could be read"
                )));
            }
        },
        _ => server.http()?.authority().clone(),
    };
    let found = lookup_host((authority.host(), authority.port())).await;
    let found = found.map_err(|error| Failure::Failed(format!("{authority}: {error}")))?.next();
    match found {
        Some(address) if address.ip().to_canonical().is_loopback() => Ok(address),
        _ => Err(Failure::Usage(format!(
            "trace looks at the loopback interface, and {authority} is not on it: \
             name a server at 127.0.0.1 or [::1]"
        ))),
    }
}

/// The captured segments of the port up to the last acknowledgement of the connection.
async fn segments(
    capture: &mut Capture,
    outcome: &Outcome,
    server: SocketAddr,
) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let end = Instant::now() + END_DEADLINE;
    while !Dialogue::new(&segments, outcome.client, server).has_end {
        match timeout_at(end, capture.next()).await {
            Ok(segment) => segments.push(segment?),
            // What there is is shown; the picture says that the end is missing.
            Err(_) => return Ok(segments),
        }
    }
    segments.extend(capture.until_quiet(QUIET).await?);
    Ok(segments)
}

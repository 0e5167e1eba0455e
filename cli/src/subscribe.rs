//! `doorbell subscribe`.

use std::io::Write;
use std::sync::Arc;

use anstream::AutoStream;
use doorbell::{Client, Received, Server, Subscription, Transport, Update};
use doorbell_instruments::{Failure, Losses, Meter};
use futures_util::StreamExt;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::signal::ctrl_c;
use tokio::time::timeout;

use crate::arguments::{OutputFormat, SubscribeArguments};
use crate::text::{self, talk};

pub(crate) async fn run(arguments: SubscribeArguments, server: Server) -> Result<(), Failure> {
    let via = arguments.via;
    let mut subscribe = Client::new(server)
        .subscribe(arguments.filter.clone())
        .since(arguments.since.clone())
        .via(via)
        .interval(arguments.interval);
    if via != Transport::Udp {
        if arguments.through.is_some() {
            return Err(Failure::Usage("--through is for --via udp".to_owned()));
        }
        return show(subscribe.stream(), &arguments).await;
    }
    if let Some(relay) = arguments.through {
        subscribe = subscribe.through(relay);
    }
    let meter = Arc::new(Meter::default());
    let updates = subscribe.observed(Arc::clone(&meter) as _).stream();
    let outcome = tokio::select! {
        outcome = show(updates, &arguments) => outcome,
        // A person who has seen enough wants to see this, too.
        interrupted = ctrl_c() => Ok(interrupted?),
    };
    let losses = meter.losses();
    if !losses.is_none() {
        talk(&told(&losses));
    }
    outcome
}

/// What datagrams lost and what it cost to have it all the same, in one sentence.
fn told(losses: &Losses) -> String {
    let Losses { arrived, lost, overtaken, repeated, large, repairs, cost } = losses;
    let (requests, bytes) = (cost.requests, cost.bytes_in + cost.bytes_out);
    format!(
        "{arrived} datagrams came, {lost} were lost, {overtaken} overtaken, {repeated} repeated, \
         {large} too large; repaired {repairs} times by {requests} requests, {bytes} bytes"
    )
}

async fn show(updates: Subscription, arguments: &SubscribeArguments) -> Result<(), Failure> {
    let mut shown = 0;
    let listening = listen(updates, arguments, &mut shown);
    let Some(limit) = arguments.timeout else {
        return listening.await;
    };
    if let Ok(outcome) = timeout(limit, listening).await {
        return outcome;
    }
    match arguments.count {
        Some(count) => Err(Failure::Failed(format!(
            "timed out after {limit:?}: {shown} of {count} messages came"
        ))),
        None => Ok(()),
    }
}

async fn listen(
    mut updates: Subscription,
    arguments: &SubscribeArguments,
    shown: &mut u64,
) -> Result<(), Failure> {
    let mut printer = Printer::new(arguments.format);
    let mut was_connected = true;
    while let Some(update) = updates.next().await {
        match update? {
            Update::Message(received) => {
                printer.print(&received)?;
                *shown += 1;
                if Some(*shown) == arguments.count {
                    return Ok(());
                }
            }
            Update::Gap(gap) => talk(&format!(
                "gap: messages between {} and {} are lost ({})",
                gap.after,
                gap.before,
                format!("{:?}", gap.reason).to_lowercase()
            )),
            Update::Disconnected { error, retry_in } => {
                talk(&format!("{error}; next attempt in {retry_in:.1?}"));
                was_connected = false;
            }
            Update::Connected if !was_connected => {
                talk("connected");
                was_connected = true;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Prints messages, each at once.
struct Printer {
    format: OutputFormat,
    zone: TimeZone,
    output: AutoStream<std::io::Stdout>,
}

impl Printer {
    fn new(format: OutputFormat) -> Self {
        Self { format, zone: TimeZone::system(), output: anstream::stdout() }
    }

    fn print(&mut self, received: &Received) -> std::io::Result<()> {
        match self.format {
            OutputFormat::Text => {
                let line = text::message(&received.event, Timestamp::now(), &self.zone);
                writeln!(self.output, "{line}")?;
            }
            OutputFormat::Json => {
                let mut output = std::io::stdout().lock();
                output.write_all(&received.json)?;
                output.write_all(b"\n")?;
            }
        }
        self.output.flush()
    }
}

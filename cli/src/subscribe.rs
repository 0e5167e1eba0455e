//! `doorbell subscribe`.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use anstream::AutoStream;
use doorbell::{Client, Conditions, Kind, Received, Server, Subscription, Transport, Update};
use doorbell_instruments::{Failure, Losses, Meter};
use futures_util::StreamExt;
use jiff::tz::TimeZone;
use tokio::signal::ctrl_c;
use tokio::time::timeout;

use crate::arguments::{OutputFormat, SubscribeArguments};
use crate::hook::Hook;
use crate::notifier::Notifier;
use crate::text::{self, talk};

pub(crate) async fn run(arguments: SubscribeArguments, server: Server) -> Result<(), Failure> {
    let Some(filter) = arguments.filter.clone() else {
        let text = "no topic: give one, or name some in the file of settings (doorbell --help)";
        return Err(Failure::Usage(text.to_owned()));
    };
    let via = arguments.via;
    let mut subscribe = Client::new(server)
        .subscribe(filter)
        .meeting(conditions(&arguments)?)
        .since(arguments.since.clone())
        .via(via)
        .interval(arguments.interval)
        .coalesce(arguments.coalesce);
    if arguments.poll {
        return show(subscribe.once().stream(), &arguments).await;
    }
    if !arguments.coalesce.is_none() && matches!(via, Transport::Udp | Transport::Poll) {
        let text = format!("--coalesce is not for --via {}", via.name());
        return Err(Failure::Usage(text));
    }
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

/// What messages must meet.
fn conditions(arguments: &SubscribeArguments) -> Result<Conditions, Failure> {
    let SubscribeArguments { id, message, title, priority, tags, .. } = arguments;
    let [id, message, title] = [id, message, title].map(Clone::clone);
    Conditions::new(id, message, title, priority.as_deref(), tags.as_deref())
        .map_err(|error| Failure::Usage(error.to_string()))
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
    let mut delivery = Delivery::new(arguments)?;
    let mut was_connected = true;
    while let Some(update) = updates.next().await {
        match update? {
            Update::Message(received) => {
                delivery.take(&received).await?;
                *shown += 1;
                if Some(*shown) == arguments.count {
                    return delivery.outcome();
                }
            }
            Update::Gap(gap) => talk(&format!(
                "gap: messages between {} and {} are lost ({})",
                gap.after,
                gap.before,
                format!("{:?}", gap.reason).to_lowercase()
            )),
            Update::Disconnected { error, retry_in } => {
                if !arguments.quiet {
                    talk(&format!("{error}; next attempt in {retry_in:.1?}"));
                }
                was_connected = false;
            }
            Update::Connected if !was_connected => {
                if !arguments.quiet {
                    talk("connected");
                }
                was_connected = true;
            }
            _ => {}
        }
    }
    delivery.outcome()
}

/// What becomes of messages: each is printed, or a command is run for it; and it is shown on the
/// desktop, if that was asked for.
struct Delivery {
    printer: Option<Printer>,
    hook: Option<Hook>,
    notifier: Option<Notifier>,
}

impl Delivery {
    fn new(arguments: &SubscribeArguments) -> Result<Self, Failure> {
        let hook = arguments.command.clone().map(Hook::new);
        let prints = hook.is_none() && !arguments.quiet;
        let printer = prints.then(|| Printer::new(Form::of(arguments)));
        let notifier = arguments.notify.then(Notifier::find).transpose()?;
        Ok(Self { printer, hook, notifier })
    }

    async fn take(&mut self, received: &Received) -> Result<(), Failure> {
        if let Some(printer) = &mut self.printer {
            printer.print(received)?;
        }
        // What is done to a message is none.
        if received.event.event == Kind::Message {
            if let Some(notifier) = &self.notifier {
                notifier.show(&received.event).await;
            }
            if let Some(hook) = &mut self.hook {
                hook.run(received).await?;
            }
        }
        Ok(())
    }

    fn outcome(&self) -> Result<(), Failure> {
        self.hook.as_ref().map_or(Ok(()), Hook::outcome)
    }
}

/// How messages are printed.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Json,
    /// The text as it is.
    Raw,
    /// The text, fit for a terminal.
    RawShown,
}

impl Form {
    fn of(arguments: &SubscribeArguments) -> Self {
        match arguments.format {
            _ if arguments.raw && std::io::stdout().is_terminal() => Self::RawShown,
            _ if arguments.raw => Self::Raw,
            OutputFormat::Text => Self::Text,
            OutputFormat::Json => Self::Json,
        }
    }
}

/// Prints messages, each at once.
struct Printer {
    form: Form,
    zone: TimeZone,
    output: AutoStream<std::io::Stdout>,
}

impl Printer {
    fn new(form: Form) -> Self {
        Self { form, zone: TimeZone::system(), output: anstream::stdout() }
    }

    fn print(&mut self, received: &Received) -> std::io::Result<()> {
        let text = received.event.message.as_deref().unwrap_or_default();
        match self.form {
            Form::Text => writeln!(self.output, "{}", text::message(&received.event, &self.zone))?,
            Form::Json => print_bytes(&received.json)?,
            // What is done to a message has no text.
            Form::Raw | Form::RawShown if received.event.event != Kind::Message => {}
            Form::Raw => print_bytes(text.as_bytes())?,
            Form::RawShown => writeln!(self.output, "{}", text::escape(text, "\n"))?,
        }
        self.output.flush()
    }
}

fn print_bytes(bytes: &[u8]) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(bytes)?;
    output.write_all(b"\n")
}

//! `doorbell publish`.

use std::io::Write;

use doorbell::{Client, Draft, Publisher, Receipt, Server};
use doorbell_instruments::Failure;
use doorbell_protocol::limits::MESSAGE_BYTES_MAX;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Stdin, stdin};

use crate::arguments::{OutputFormat, PublishArguments};
use crate::text::talk;

pub(crate) async fn run(arguments: PublishArguments, server: Server) -> Result<(), Failure> {
    let mut publisher = Client::new(server).publisher();
    if arguments.lines {
        publisher.connect().await?;
        let mut unreadable = None;
        let drafts = lines(&arguments, &mut unreadable);
        let outcome = publish(&mut publisher, drafts, &arguments).await;
        return match unreadable {
            Some(failure) => Err(failure),
            None => outcome,
        };
    }
    let text = match arguments.message.as_slice() {
        [dash] if dash == "-" => whole_input().await?,
        words => words.join(" "),
    };
    let draft = draft(&arguments, &text)?;
    publish(&mut publisher, stream::iter([draft]), &arguments).await
}

async fn publish(
    publisher: &mut Publisher,
    drafts: impl Stream<Item = Draft> + Send,
    arguments: &PublishArguments,
) -> Result<(), Failure> {
    let mut output = std::io::stdout();
    let (mut number, mut refused) = (0, 0);
    let mut receipts = std::pin::pin!(publisher.publish_all(drafts));
    while let Some(receipt) = receipts.next().await {
        number += 1;
        match receipt? {
            Receipt::Accepted(_) if arguments.quiet => {}
            Receipt::Accepted(answer) => {
                let id = answer.event.id.map(|id| id.to_string());
                match arguments.format {
                    OutputFormat::Text => output.write_all(id.unwrap_or_default().as_bytes())?,
                    OutputFormat::Json => output.write_all(&answer.json)?,
                }
                output.write_all(b"\n")?;
                output.flush()?;
            }
            // A publisher that may not publish one of them may publish none.
            Receipt::Refused(refusal)
                if arguments.lines && !matches!(refusal.status, 401 | 403) =>
            {
                refused += 1;
                talk(&format!("message {number} was refused: {refusal}"));
            }
            Receipt::Refused(refusal) => {
                return Err(Failure::Failed(format!("the server refused: {refusal}")));
            }
        }
    }
    if refused > 0 {
        return Err(Failure::Failed(format!("{refused} of {number} messages were refused")));
    }
    Ok(())
}

/// A message with the parameters of the command line; what is wrong with them is wrong usage.
fn draft(arguments: &PublishArguments, text: &str) -> Result<Draft, Failure> {
    Draft::new(arguments.topic.clone(), text, MESSAGE_BYTES_MAX, |parameter| {
        arguments.parameter(parameter)
    })
    .map_err(|error| Failure::Usage(error.to_string()))
}

async fn whole_input() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    stdin().take(MESSAGE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).await?;
    line_text(bytes, "the standard input")
}

/// The messages on the standard input. What can't be read ends them and is left in `unreadable`.
fn lines(
    arguments: &PublishArguments,
    unreadable: &mut Option<Failure>,
) -> impl Stream<Item = Draft> + Send {
    let input = (BufReader::new(stdin()), 0, unreadable);
    stream::unfold(input, async |(mut reader, mut number, unreadable)| {
        match next_line(&mut reader, &mut number, arguments).await {
            Ok(draft) => draft.map(|draft| (draft, (reader, number, unreadable))),
            Err(failure) => {
                *unreadable = Some(failure);
                None
            }
        }
    })
}

async fn next_line(
    reader: &mut BufReader<Stdin>,
    number: &mut u64,
    arguments: &PublishArguments,
) -> Result<Option<Draft>, Failure> {
    loop {
        let mut bytes = Vec::new();
        // Room for the line's end, and for one byte too many.
        let mut bounded = reader.take(MESSAGE_BYTES_MAX as u64 + 3);
        if bounded.read_until(b'\n', &mut bytes).await? == 0 {
            return Ok(None);
        }
        *number += 1;
        let text = line_text(bytes, &format!("line {number} of the standard input"))?;
        if !text.trim().is_empty() {
            return draft(arguments, &text).map(Some);
        }
    }
}

/// The text without the end of its last line.
fn line_text(bytes: Vec<u8>, what: &str) -> Result<String, Failure> {
    let mut text =
        String::from_utf8(bytes).map_err(|_| Failure::Failed(format!("{what} is not UTF-8")))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(Failure::Failed(format!("{what} is longer than {MESSAGE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

//! `doorbell publish`.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::pin::Pin;

use bytes::Bytes;
use doorbell::{Client, Draft, Publisher, Receipt, Received, Server};
use doorbell_instruments::Failure;
use doorbell_protocol::Parameter;
use doorbell_protocol::limits::MESSAGE_BYTES_MAX;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, Stdin, stdin};

use crate::arguments::{OutputFormat, PublishArguments};
use crate::text::talk;

/// Bytes of a file that are read at once.
const PIECE_BYTES: usize = 64 << 10;

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
    if let Some(path) = &arguments.file {
        let answer = publish_file(&publisher, path, &arguments).await?;
        return if arguments.quiet { Ok(()) } else { print(&answer, arguments.format) };
    }
    let text = message(&arguments).await?;
    let draft = draft(&arguments, &text)?;
    publish(&mut publisher, stream::iter([draft]), &arguments).await
}

/// The text that was given or piped in. None at all is a mistake more often than it is meant.
async fn message(arguments: &PublishArguments) -> Result<String, Failure> {
    let text = match (&arguments.message, arguments.words.as_slice()) {
        (Some(message), _) => message.clone(),
        (None, [dash]) if dash == "-" => whole_input().await?,
        (None, []) if std::io::stdin().is_terminal() => String::new(),
        (None, []) => whole_input().await?,
        (None, words) => words.join(" "),
    };
    if text.trim().is_empty() {
        let text = "the message is empty: write it behind the topic, or pipe it in";
        return Err(Failure::Usage(text.to_owned()));
    }
    Ok(text)
}

/// Publishes a file, with the text beside it that was given, if one was.
async fn publish_file(
    publisher: &Publisher,
    path: &Path,
    arguments: &PublishArguments,
) -> Result<Received, Failure> {
    let from_input = path == Path::new("-");
    if from_input && arguments.words == ["-"] {
        let text = "the standard input is the file, and cannot be the message as well";
        return Err(Failure::Usage(text.to_owned()));
    }
    let text = match (&arguments.message, arguments.words.as_slice()) {
        (None, [dash]) if dash == "-" => Some(whole_input().await?),
        (message, words) => message.clone().or(Some(words.join(" "))),
    };
    let unreadable = |error: std::io::Error| {
        Failure::Usage(format!("--file {} cannot be read: {error}", path.display()))
    };
    let content: Pin<Box<dyn AsyncRead + Send>> = if from_input {
        Box::pin(stdin())
    } else {
        let file = File::open(path).await.map_err(unreadable)?;
        if file.metadata().await.map_err(unreadable)?.is_dir() {
            return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
        }
        Box::pin(file)
    };
    let own_name = if from_input { None } else { path.file_name() };
    let own_name = own_name.map(|name| name.to_string_lossy().into_owned());
    let name = arguments.filename.clone().or(own_name).unwrap_or_else(|| "stdin".to_owned());
    let draft =
        Draft::with_file(arguments.topic.clone(), MESSAGE_BYTES_MAX, |parameter| match parameter {
            Parameter::Message => text.clone(),
            Parameter::Filename => Some(name.clone()),
            parameter => arguments.parameter(parameter),
        });
    let draft = draft.map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(publisher.publish_file(&draft, &name, pieces(content)).await?)
}

/// What is read, piece by piece.
fn pieces(content: Pin<Box<dyn AsyncRead + Send>>) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold(content, async |mut content| {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let count = (&mut content).take(PIECE_BYTES as u64).read_to_end(&mut piece).await?;
        Ok((count > 0).then(|| (piece.into(), content)))
    })
}

async fn publish(
    publisher: &mut Publisher,
    drafts: impl Stream<Item = Draft> + Send,
    arguments: &PublishArguments,
) -> Result<(), Failure> {
    let (mut number, mut refused) = (0, 0);
    let mut receipts = std::pin::pin!(publisher.publish_all(drafts));
    while let Some(receipt) = receipts.next().await {
        number += 1;
        match receipt? {
            Receipt::Accepted(_) if arguments.quiet => {}
            Receipt::Accepted(answer) => print(&answer, arguments.format)?,
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

/// Prints the server's answer.
fn print(answer: &Received, format: OutputFormat) -> Result<(), Failure> {
    let mut output = std::io::stdout();
    let id = answer.event.id.map(|id| id.to_string());
    match format {
        OutputFormat::Text => output.write_all(id.unwrap_or_default().as_bytes())?,
        OutputFormat::Json => output.write_all(&answer.json)?,
    }
    output.write_all(b"\n")?;
    Ok(output.flush()?)
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

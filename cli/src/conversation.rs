//! `doorbell talk`: the line protocol by hand. On a terminal lines are edited and remembered; in a
//! pipe they are sent as they come, and the end of the input ends it.

use std::fs;
use std::io::{BufRead, IsTerminal, Read, Write, stdin, stdout};
use std::path::PathBuf;
use std::thread;

use doorbell::{Client, Error, Server};
use doorbell_instruments::Failure;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, ExternalPrinter, Helper};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::arguments::TalkArguments;
use crate::settings::folder;
use crate::text::escape;

/// What a line begins with.
const VERBS: [&str; 7] = ["AUTH ", "PING", "PUB ", "PUBJ ", "QUIT", "SUB ", "UNSUB "];
/// How the conversation is ended by this side.
const QUIT: &str = "QUIT";
/// Lines that are remembered.
const HISTORY_MAX: usize = 1000;
/// Bytes of the longest line that is read from a pipe: no server takes a longer one.
const LINE_BYTES_MAX: u64 = 2 << 20;
/// Lines that were read and are not sent yet.
const AHEAD_MAX: usize = 16;

/// What shows a text, whole lines of the server.
type Show = Box<dyn FnMut(&str) -> Result<(), Failure>>;
/// Lines of this side, until its input ends.
type Input = Receiver<Result<String, Failure>>;

pub(crate) async fn run(arguments: TalkArguments, server: Server) -> Result<(), Failure> {
    let mut talk = Client::new(server).talk().await?;
    for line in &arguments.lines {
        talk.say(line);
    }
    let before = tcgetattr(stdin()).ok().filter(|_| stdout().is_terminal());
    let terminal = before.map(Restored);
    let (mut input, mut show) = if terminal.is_some() { by_hand()? } else { piped() };
    let mut has_ended = false;
    loop {
        tokio::select! {
            line = input.recv(), if !has_ended => match line {
                Some(line) => talk.say(&line?),
                None => {
                    has_ended = true;
                    talk.say(QUIT);
                }
            },
            line = talk.hear() => match line {
                Ok(line) => show(&format!("{}\n", escape(&String::from_utf8_lossy(&line), " ")))?,
                Err(Error::Closed) => break,
                Err(error) => return Err(error.into()),
            },
        }
    }
    // An editor shows a text when it takes the next one, and has room for one: so that this ends
    // when the last line is shown.
    for _ in 0..2 {
        show("")?;
    }
    Ok(())
}

/// The terminal as it was before, whatever a line that is still being edited has made of it.
struct Restored(Termios);

impl Drop for Restored {
    fn drop(&mut self) {
        // If the terminal is gone, nobody minds how it is.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

fn piped() -> (Input, Show) {
    let (sender, receiver) = channel(AHEAD_MAX);
    thread::spawn(move || read_lines(&sender));
    let show = |text: &str| {
        let mut output = stdout();
        output.write_all(text.as_bytes())?;
        Ok(output.flush()?)
    };
    (receiver, Box::new(show))
}

/// Lines as they come, until the end of the input.
fn read_lines(sender: &Sender<Result<String, Failure>>) {
    let mut reader = stdin().lock();
    loop {
        let mut line = Vec::new();
        let read = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let line = match read {
            Ok(0) => return,
            Ok(count) if count as u64 == LINE_BYTES_MAX => {
                Err(Failure::Failed(format!("a line is longer than {LINE_BYTES_MAX} bytes")))
            }
            Ok(_) => Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => Err(error.into()),
        };
        if sender.blocking_send(line).is_err() {
            return;
        }
    }
}

fn by_hand() -> Result<(Input, Show), Failure> {
    let config = Config::builder()
        .max_history_size(HISTORY_MAX)
        .and_then(|config| config.history_ignore_dups(true))
        .map_err(unusable)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor: Editor<Verbs, FileHistory> = Editor::with_config(config).map_err(unusable)?;
    editor.set_helper(Some(Verbs));
    let mut printer = editor.create_external_printer().map_err(unusable)?;
    let (sender, receiver) = channel(AHEAD_MAX);
    thread::spawn(move || edit_lines(&mut editor, &sender));
    let show = move |text: &str| printer.print(text.to_owned()).map_err(unusable);
    Ok((receiver, Box::new(show)))
}

/// Lines as they are typed, until Ctrl-D or Ctrl-C. What is typed after an `AUTH` is a secret.
fn edit_lines(editor: &mut Editor<Verbs, FileHistory>, sender: &Sender<Result<String, Failure>>) {
    let history = history_file();
    if let Some(path) = &history {
        // There is none at first.
        let _ = editor.load_history(path);
    }
    loop {
        let line = match editor.readline("> ") {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => line,
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => return,
            Err(error) => {
                let _ = sender.blocking_send(Err(unusable(error)));
                return;
            }
        };
        let is_secret =
            line.trim_start().get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case("AUTH"));
        if !is_secret && editor.add_history_entry(line.as_str()).is_ok_and(|is_new| is_new) {
            // A history that cannot be kept is no reason to stop.
            let _ = history.as_ref().map(|path| editor.append_history(path));
        }
        if sender.blocking_send(Ok(line)).is_err() {
            return;
        }
    }
}

/// Where lines are remembered, as the XDG base directories say; its folder is made.
fn history_file() -> Option<PathBuf> {
    let folder = folder("XDG_STATE_HOME", ".local/state")?.join("doorbell");
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
fn unusable(error: ReadlineError) -> Failure {
    Failure::Failed(format!("the terminal cannot be used: {error}"))
}

/// Completes the verb of a line.
struct Verbs;

impl Completer for Verbs {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let begun = line[..position].to_ascii_uppercase();
        let found = VERBS.iter().filter(|verb| verb.starts_with(&begun));
        Ok((0, found.map(|&verb| verb.to_owned()).collect()))
    }
}

impl Helper for Verbs {}
impl Highlighter for Verbs {}
impl Hinter for Verbs {
    type Hint = String;
}
impl Validator for Verbs {}

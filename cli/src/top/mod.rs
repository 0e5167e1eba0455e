//! `doorbell top`: what a server tells of itself, again and again. One text, for a terminal and for
//! a pipe; on a terminal it stands still and is drawn anew.

mod look;
mod picture;

use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyModifiers};
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use crossterm::{execute, queue};
use doorbell::Server;
use doorbell_instruments::Failure;
use futures_util::StreamExt;
use tokio::time::{Interval, MissedTickBehavior, interval};

use self::look::Look;
use self::picture::picture;
use crate::arguments::TopArguments;

pub(crate) async fn run(arguments: TopArguments, server: Server) -> Result<(), Failure> {
    if arguments.once {
        let look = Look::take(&server, arguments.rows).await?;
        return print(&picture(&server, &look, None));
    }
    let ticks = ticks(arguments.interval);
    if stdout().is_terminal() {
        let _screen = Screen::enter()?;
        watch(ticks, &arguments, &server).await
    } else {
        list(ticks, &arguments, &server).await
    }
}

/// When to look: a look that was late is not made up for.
fn ticks(time: Duration) -> Interval {
    let mut ticks = interval(time);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// One text below the other, until nobody reads them.
async fn list(
    mut ticks: Interval,
    arguments: &TopArguments,
    server: &Server,
) -> Result<(), Failure> {
    let mut before: Option<Look> = None;
    loop {
        ticks.tick().await;
        let look = Look::take(server, arguments.rows).await?;
        let separator = if before.is_some() { "\n" } else { "" };
        print(&format!("{separator}{}", picture(server, &look, before.as_ref())))?;
        before = Some(look);
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut output = stdout();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}

/// The newest text, until a key ends it. A server that is gone is told, and looked for again.
async fn watch(
    mut ticks: Interval,
    arguments: &TopArguments,
    server: &Server,
) -> Result<(), Failure> {
    let mut keys = EventStream::new();
    let mut before: Option<Look> = None;
    let mut text = String::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => match Look::take(server, arguments.rows).await {
                Ok(look) => {
                    text = picture(server, &look, before.as_ref());
                    before = Some(look);
                }
                Err(Failure::Failed(error)) if before.is_some() => {
                    text = format!("{error}\n\n{text}");
                    before = None;
                }
                Err(failure) => return Err(failure),
            },
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) if ends(key) => return Ok(()),
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
                Some(Ok(_)) => {}
            },
        }
        draw(&text)?;
    }
}

fn ends(key: KeyEvent) -> bool {
    let is_interrupt = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c' | 'd') => is_interrupt,
        _ => false,
    }
}

/// Draws as much of a text as the terminal has room for; lines in capitals are headings.
fn draw(text: &str) -> Result<(), Failure> {
    let (columns, rows) = size()?;
    let mut output = stdout();
    for (row, line) in (0..rows.saturating_sub(1)).zip(text.lines()) {
        let line: String = line.chars().take(columns.into()).collect();
        let is_heading = line.starts_with("CONNECTION") || line.starts_with("WAY");
        let look = if is_heading { Attribute::Bold } else { Attribute::Reset };
        queue!(
            output,
            MoveTo(0, row),
            SetAttribute(look),
            Print(line),
            SetAttribute(Attribute::Reset)
        )?;
        queue!(output, Clear(ClearType::UntilNewLine))?;
        queue!(output, MoveTo(0, row + 1))?;
    }
    queue!(output, Clear(ClearType::FromCursorDown))?;
    queue!(output, MoveTo(0, rows.saturating_sub(1)), Print("q ends it"))?;
    Ok(output.flush()?)
}

/// While it is there, the terminal shows a screen of ours and every key at once.
struct Screen;

impl Screen {
    fn enter() -> Result<Self, Failure> {
        enable_raw_mode()?;
        // From here on dropping it restores the terminal.
        let screen = Self;
        execute!(stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If the terminal is gone, nobody minds how it is.
        let _ = execute!(stdout(), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

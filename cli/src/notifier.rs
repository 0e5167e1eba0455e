//! Notifications on the desktop, by the program that desktops have for it.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;

use doorbell::Event;
use doorbell_instruments::Failure;
use tokio::process::Command;

use crate::text::talk;

const PROGRAM: &str = "notify-send";
/// Characters of a text that a notification shows.
const TEXT_CHARS_MAX: usize = 1000;

/// What shows notifications.
pub(crate) struct Notifier {
    program: PathBuf,
}

impl Notifier {
    /// The machine's.
    ///
    /// # Errors
    ///
    /// That it has none.
    pub(crate) fn find() -> Result<Self, Failure> {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut programs = env::split_paths(&path).map(|folder| folder.join(PROGRAM));
        programs.find(|program| program.is_file()).map(|program| Self { program }).ok_or_else(
            || {
                let text = "--notify: no notify-send is installed (Debian: libnotify-bin)";
                Failure::Usage(text.to_owned())
            },
        )
    }

    /// Shows a message. One that cannot be shown is told, and no reason to stop.
    pub(crate) async fn show(&self, event: &Event<'_>) {
        let urgency = match event.priority {
            Some(1 | 2) => "low",
            Some(5) => "critical",
            _ => "normal",
        };
        let topic = event.topic.as_deref().unwrap_or_default();
        let title = event.title.as_deref().unwrap_or(topic);
        let mut command = Command::new(&self.program);
        command
            .args(["--app-name=doorbell", "--urgency", urgency, "--"])
            .arg(fit(title))
            .arg(without_markup(&fit(event.message.as_deref().unwrap_or_default())))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        match command.status().await {
            Ok(status) if status.success() => {}
            Ok(status) => talk(&format!("{PROGRAM} ended with {status}")),
            Err(error) => talk(&format!("{PROGRAM} cannot be started: {error}")),
        }
    }
}

/// A text as an argument can hold it.
fn fit(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(TEXT_CHARS_MAX).collect()
}

/// Desktops read tags in the text of a notification, and strangers write it.
fn without_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

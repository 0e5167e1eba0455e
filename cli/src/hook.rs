//! A command that is run for each message: what it is told, and that one is over before the next.

use std::process::Stdio;

use doorbell::{Event, Received};
use doorbell_instruments::Failure;
use tokio::process::Command;

use crate::text::talk;

/// Bytes of the longest value in the environment of a command: a longer one is cut there. Of one
/// that is longer than 128 KiB the system would start no command.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// Its number where a message has no priority.
const PRIORITY_DEFAULT: u8 = 3;

/// Commands for messages.
pub(crate) struct Hook {
    command: String,
    runs: u64,
    failed: u64,
}

impl Hook {
    pub(crate) fn new(command: String) -> Self {
        Self { command, runs: 0, failed: 0 }
    }

    /// Runs the command for a message and waits for its end. Meanwhile nothing is received: the
    /// server waits.
    pub(crate) async fn run(&mut self, received: &Received) -> Result<(), Failure> {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(&self.command).stdin(Stdio::null()).envs(environment(received));
        let status = shell.status().await?;
        self.runs += 1;
        if !status.success() {
            self.failed += 1;
            let id = received.event.id.map(|id| id.to_string()).unwrap_or_default();
            talk(&format!("the command for {id} ended with {status}"));
        }
        Ok(())
    }

    /// What came of them all.
    pub(crate) fn outcome(&self) -> Result<(), Failure> {
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::Failed(format!("{failed} of {} commands failed", self.runs))),
        }
    }
}

/// The fields of a message under the names that users of the dialect know, and under our own.
fn environment(received: &Received) -> Vec<(String, String)> {
    let Event { id, time, topic, message, title, priority, tags, .. } = &received.event;
    let text =
        |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
    let json = String::from_utf8_lossy(&received.json).into_owned();
    let attachment = received.event.attachment.as_ref();
    let fields: [(&str, &[&str], String); 13] = [
        ("ID", &["id"], id.map(|id| id.to_string()).unwrap_or_default()),
        ("TIME", &["time"], time.to_string()),
        ("TOPIC", &["topic"], text(topic)),
        ("MESSAGE", &["message", "m"], text(message)),
        ("TITLE", &["title", "t"], text(title)),
        ("PRIORITY", &["priority", "prio", "p"], priority.unwrap_or(PRIORITY_DEFAULT).to_string()),
        ("TAGS", &["tags", "tag", "ta"], tags.join(",")),
        ("RAW", &["raw"], json),
        ("CLICK", &[], text(&received.event.click)),
        ("ICON", &[], text(&received.event.icon)),
        ("SEQUENCE_ID", &[], text(&received.event.sequence_id)),
        ("ATTACHMENT_NAME", &[], attachment.map(|file| file.name.clone()).unwrap_or_default()),
        ("ATTACHMENT_URL", &[], attachment.map(|file| file.url.clone()).unwrap_or_default()),
    ];
    let mut environment = Vec::new();
    for (name, short, value) in fields {
        let value = fit(&value);
        let long = ["NTFY", "DOORBELL"].map(|whose| format!("{whose}_{name}"));
        let names = long.into_iter().chain(short.iter().map(|&name| name.to_owned()));
        environment.extend(names.map(|name| (name, value.clone())));
    }
    environment
}

/// A text as the environment can hold it.
fn fit(text: &str) -> String {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| *end <= VALUE_BYTES_MAX).last().unwrap_or(0);
    text[..end].replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_environment_holds_is_cut_and_left_out() {
        assert_eq!(fit("a\0b"), "ab");
        let long = "ü".repeat(VALUE_BYTES_MAX);
        assert_eq!(fit(&format!("x{long}")).len(), VALUE_BYTES_MAX - 1);
    }
}

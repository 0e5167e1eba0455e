//! A mail server that is not ours: aiosmtpd, a package of Python, which takes mail and tells of it
//! as Python's own reader of mail understands it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use super::PATIENCE;
use super::strangers::python;

/// How it speaks TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SmtpTls<'a> {
    Off,
    /// After `STARTTLS` only, with this certificate and its key, and to `bell` with `secret` only.
    StartTls(&'a (PathBuf, PathBuf)),
    /// From the first word on.
    Implicit(&'a (PathBuf, PathBuf)),
}

/// A mail as it came.
pub(crate) type ReceivedMail = Value;

/// It, running.
pub(crate) struct MailServer {
    /// Where it listens.
    pub(crate) at: SocketAddr,
    child: Child,
    mails: Receiver<String>,
}

impl MailServer {
    /// Starts it; `None` where it cannot be had.
    pub(crate) fn start(tls: SmtpTls<'_>) -> Option<Self> {
        let mut command = python("aiosmtpd", "mail_server.py")?;
        match tls {
            SmtpTls::Off => command.arg("off"),
            SmtpTls::StartTls((certificate, key)) => {
                command.arg("starttls").args([certificate, key])
            }
            SmtpTls::Implicit((certificate, key)) => {
                command.arg("implicit").args([certificate, key])
            }
        };
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (sender, mails) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let port: u16 = mails.recv_timeout(PATIENCE).unwrap().parse().unwrap();
        Some(Self { at: ([127, 0, 0, 1], port).into(), child, mails })
    }

    /// The next mail.
    pub(crate) fn mail(&self) -> ReceivedMail {
        let line = self.mails.recv_timeout(PATIENCE).expect("a mail in time");
        serde_json::from_str(&line).unwrap()
    }

    /// Whether none has come yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.mails.try_recv().is_err()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The headers of that name.
pub(crate) fn headers<'a>(mail: &'a ReceivedMail, name: &str) -> Vec<&'a str> {
    let all = mail["headers"].as_array().unwrap().iter();
    let named = all.filter(|header| header[0] == name);
    named.map(|header| header[1].as_str().unwrap()).collect()
}

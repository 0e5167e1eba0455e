//! Which server is meant, what it has to show, and what it is shown.
//!
//! No secret is an argument: what stands on a command line is seen by everybody on the machine.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use doorbell::{Credential, Fingerprint, Own, Server, Trust};
use doorbell_instruments::Failure;

use crate::prompt::ask_unseen;

/// Bytes of the longest file with a secret that is read.
const SECRET_FILE_BYTES_MAX: u64 = 16 << 10;
pub(crate) const TOKEN_VARIABLE: &str = "DOORBELL_TOKEN";
const PASSWORD_VARIABLE: &str = "DOORBELL_PASSWORD";

/// Secrets of the file of settings.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    pub(crate) token: Option<String>,
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("secrets")
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
#[allow(clippy::doc_markdown, reason = "the help shows it as it is written here")]
pub(crate) struct Connection {
    /// The file of settings, instead of ~/.config/doorbell/client.toml or /etc/doorbell/client.toml
    #[arg(long, short, global = true, env = "DOORBELL_CLIENT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server: http://host:port, ws://host:port, tcp://host:port, the same over TLS (https,
    /// wss, tcps), or unix:PATH
    #[arg(long, global = true, env = "DOORBELL_SERVER", value_name = "ADDRESS")]
    server: Option<Server>,
    /// Trust the authorities in this PEM file, and not the system's, to vouch for a server
    #[arg(long, global = true, env = "DOORBELL_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Trust the server whose certificate has this SHA-256, in hex, whoever vouches for it
    #[arg(long, global = true, value_name = "SHA256", conflicts_with = "ca")]
    fingerprint: Option<Fingerprint>,
    /// Show the server the token in this file; without it the one in DOORBELL_TOKEN, if any
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Be this user; the password is that of --password-file or DOORBELL_PASSWORD, or is asked for
    #[arg(long, short, global = true, value_name = "NAME", conflicts_with = "token_file")]
    user: Option<String>,
    /// Where the password is
    #[arg(long, global = true, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Show the server the certificate in this PEM file
    #[arg(long, global = true, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The certificate's key, a PEM file
    #[arg(long, global = true, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Send a token or password without TLS to another machine, where all on the way can read it
    #[arg(long, global = true)]
    insecure: bool,
    #[arg(skip)]
    pub(crate) secrets: Secrets,
}

impl Connection {
    /// The server that was named, or this one, with whoever asks it.
    ///
    /// # Errors
    ///
    /// What of the flags cannot be done.
    pub(crate) fn server_or(&self, local: Server) -> Result<Server, Failure> {
        let server = self.named()?.unwrap_or(local);
        let Some(credential) = self.credential()? else { return Ok(server) };
        Ok(server.with(if self.insecure { credential.even_in_the_clear() } else { credential }))
    }

    /// The server that was named, for what is measured: every byte is counted or shown there, so
    /// that no secret may be among them.
    ///
    /// # Errors
    ///
    /// What of the flags cannot be done.
    pub(crate) fn measured(&self) -> Result<Option<Server>, Failure> {
        if self.token_file.is_some() || self.user.is_some() {
            let text = "--token-file and --user are for subscribe and publish: what is measured \
                        is a server that asks nobody who he is";
            return Err(Failure::Usage(text.to_owned()));
        }
        self.named()
    }

    fn named(&self) -> Result<Option<Server>, Failure> {
        let Some(mut server) = self.server.clone() else { return Ok(None) };
        for (flag, is_given) in
            [("--fingerprint", self.fingerprint.is_some()), ("--cert", self.cert.is_some())]
        {
            if is_given && !server.is_encrypted() {
                let text = format!("{flag}: {server} knows no certificates; use TLS");
                return Err(Failure::Usage(text));
            }
        }
        if let (Some(certificate), Some(key)) = (self.cert.clone(), self.key.clone()) {
            server = server.showing(Own { certificate, key });
        }
        Ok(Some(match (&self.ca, self.fingerprint) {
            (_, Some(fingerprint)) => server.trusting(Trust::Certificate(fingerprint)),
            (Some(ca), None) => server.trusting(Trust::Authorities(ca.clone())),
            (None, None) => server,
        }))
    }

    fn credential(&self) -> Result<Option<Credential>, Failure> {
        if let Some(user) = &self.user {
            let password = match &self.password_file {
                Some(path) => in_file("--password-file", path)?,
                None => match in_variable(PASSWORD_VARIABLE)?.or(self.secrets.password.clone()) {
                    Some(password) => password,
                    None => asked_for(user)?,
                },
            };
            let credential = Credential::password(user, &password);
            return credential
                .map(Some)
                .map_err(|error| Failure::Usage(format!("--user: {error}")));
        }
        let (token, whence) = match (&self.token_file, in_variable(TOKEN_VARIABLE)?) {
            (Some(path), _) => (Some(in_file("--token-file", path)?), "--token-file"),
            (None, Some(token)) => (Some(token), TOKEN_VARIABLE),
            (None, None) => (self.secrets.token.clone(), "token"),
        };
        let credential = token.map(|token| Credential::token(&token)).transpose();
        credential.map_err(|error| Failure::Usage(format!("{whence}: {error}")))
    }
}

fn asked_for(user: &str) -> Result<String, Failure> {
    ask_unseen(&format!("Password of {user}: ")).map_err(|error| {
        Failure::Usage(format!(
            "--user: no terminal to ask for a password ({error}): set {PASSWORD_VARIABLE}, or give \
             --password-file FILE"
        ))
    })
}

/// A secret that fills a file, but for the end of its line.
fn in_file(flag: &str, path: &Path) -> Result<String, Failure> {
    let wrong = |what: &str| Failure::Usage(format!("{flag} {} {what}", path.display()));
    let unreadable = |error: std::io::Error| wrong(&format!("cannot be read: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > SECRET_FILE_BYTES_MAX {
        return Err(wrong(&format!("is longer than {SECRET_FILE_BYTES_MAX} bytes")));
    }
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() { Err(wrong("is empty")) } else { Ok(secret.to_owned()) }
}

/// A secret in the environment; an empty one counts as none.
pub(crate) fn in_variable(name: &str) -> Result<Option<String>, Failure> {
    let Some(value) = std::env::var_os(name) else { return Ok(None) };
    let value = value.into_string().map_err(|_| Failure::Usage(format!("{name} is not UTF-8")))?;
    Ok(Some(value).filter(|value| !value.is_empty()))
}

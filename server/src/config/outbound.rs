//! The settings of what the server calls for somebody.

use std::path::{Path, PathBuf};

use clap::Args;
use ipnet::IpNet;
use lettre::message::Mailbox;

use crate::access::Gate;
use crate::http::BaseUrl;
use crate::outbound::{MailServer, MailTls, Mailer, Outbound};
use crate::proxy::Range;
use crate::relay::{Push, PushContact, Upstream};

/// Whom it calls, and where they may be.
#[derive(Debug, Clone, Args)]
pub struct OutboundSettings {
    /// Networks that may be called for somebody beside the public internet: addresses or ranges
    #[arg(long, value_name = "CIDR,…", env = "DOORBELL_OUTBOUND_ALLOW", value_delimiter = ',')]
    pub outbound_allow: Vec<Range>,

    /// A server of the dialect that wakes phones: it is told the ids of messages, and no more;
    /// needs --base-url
    #[arg(long, value_name = "URL", env = "DOORBELL_UPSTREAM")]
    pub upstream: Option<BaseUrl>,

    /// File with a token by which this server is known there
    #[arg(long, value_name = "FILE", env = "DOORBELL_UPSTREAM_TOKEN_FILE")]
    pub upstream_token_file: Option<PathBuf>,

    /// Let browsers be told of messages while no page is open, by way of the push services of their
    /// makers, which are told this address of whoever runs the server: mailto: or https:
    #[arg(long, value_name = "CONTACT", env = "DOORBELL_WEB_PUSH")]
    pub web_push: Option<PushContact>,

    /// Mail server by way of which messages are sent as e-mail, too; needs --smtp-from
    #[arg(long, value_name = "HOST:PORT", env = "DOORBELL_SMTP")]
    pub smtp: Option<MailServer>,

    /// Address that such e-mail is from, such as bell@example.com or 'doorbell <bell@example.com>'
    #[arg(long, value_name = "ADDRESS", env = "DOORBELL_SMTP_FROM")]
    pub smtp_from: Option<Mailbox>,

    /// Name by which the mail server knows this one
    #[arg(long, value_name = "NAME", env = "DOORBELL_SMTP_USER")]
    pub smtp_user: Option<String>,

    /// File with the password to that
    #[arg(long, value_name = "FILE", env = "DOORBELL_SMTP_PASSWORD_FILE")]
    pub smtp_password_file: Option<PathBuf>,

    /// TLS to the mail server: required (STARTTLS), implicit (from the first word on),
    /// opportunistic (if it is offered) or off
    #[arg(long, value_name = "WHEN", env = "DOORBELL_SMTP_TLS", default_value = "required")]
    pub smtp_tls: MailTls,
}

impl OutboundSettings {
    /// Networks that may be called.
    pub fn allowed(&self) -> Vec<IpNet> {
        self.outbound_allow.iter().map(|range| range.network()).collect()
    }

    /// What sends mail, if anything does.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings.
    pub fn mailer(
        &self,
        base_url: Option<&BaseUrl>,
        outbound: &Outbound,
    ) -> Result<Option<Mailer>, String> {
        let Some((server, from)) = self.smtp.as_ref().zip(self.smtp_from.clone()) else {
            return Ok(None);
        };
        let login = self.smtp_user.as_deref().zip(self.smtp_password_file.as_deref());
        let base_url = base_url.map(|url| url.as_str().to_owned());
        Mailer::new(outbound.clone(), server, self.smtp_tls, login, from, base_url).map(Some)
    }

    /// The server that wakes phones, if there is one.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings.
    pub fn upstream(&self, base_url: Option<&BaseUrl>) -> Result<Option<Upstream>, String> {
        let Some((url, base_url)) = self.upstream.as_ref().zip(base_url) else { return Ok(None) };
        let token = self.upstream_token_file.as_deref();
        Upstream::new(url.as_str(), base_url.as_str(), token).map(Some)
    }

    /// The browsers that are pushed to, if any may be; kept in a folder, if there is one.
    ///
    /// # Errors
    ///
    /// What is wrong with the folder.
    pub fn push(
        &self,
        folder: Option<&Path>,
        gate: &Gate,
        outbound: &Outbound,
        after: u64,
    ) -> Result<Option<Push>, String> {
        let Some(contact) = self.web_push.clone() else { return Ok(None) };
        Push::open(folder, contact, gate.clone(), outbound.clone(), after).map(Some)
    }

    /// Finds settings that make no sense together; `base_url` is the server's own address.
    ///
    /// # Errors
    ///
    /// The first of them.
    pub fn check(&self, base_url: Option<&BaseUrl>) -> Result<(), String> {
        let Self { upstream, upstream_token_file, .. } = self;
        if let (Some(upstream), None) = (upstream, base_url) {
            let upstream = upstream.as_str();
            return Err(format!(
                "--upstream {upstream} needs --base-url, the server's own address"
            ));
        }
        if let (None, Some(file)) = (upstream, upstream_token_file) {
            let file = file.display();
            return Err(format!("--upstream-token-file {file} is of no use without --upstream"));
        }
        self.check_mail()
    }

    fn check_mail(&self) -> Result<(), String> {
        let Self { smtp, smtp_from, smtp_user, smtp_password_file, smtp_tls, .. } = self;
        let needs = |what: &str, needed: &str| Err(format!("{what} needs {needed}"));
        match (smtp, smtp_from) {
            (Some(_), None) => return needs("--smtp", "--smtp-from, the sender of the mail"),
            (None, Some(_)) => return needs("--smtp-from", "--smtp, the server that sends it"),
            (None, None) if smtp_user.is_some() => return needs("--smtp-user", "--smtp"),
            _ => {}
        }
        match (smtp_user, smtp_password_file) {
            (Some(_), None) => needs("--smtp-user", "--smtp-password-file"),
            (None, Some(_)) => needs("--smtp-password-file", "--smtp-user"),
            (Some(_), Some(_)) if smtp_tls.may_be_plain() => {
                let tls = "--smtp-tls required or implicit: the password would go unencrypted";
                needs("--smtp-user", tls)
            }
            _ => Ok(()),
        }
    }
}

//! Messages that go out as mail, by way of a server that the operator names.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use doorbell_protocol::code::quoted;
use doorbell_protocol::{Code, Error, Event};
use jiff::Timestamp;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::{Errand, Outbound};
use crate::limits::{MAIL_SUBJECT_CHARS_MAX, OUTBOUND_WHOLE_MAX};
use crate::message::Message;

/// When the conversation with the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// From its first word on.
    Implicit,
    /// Before anything of a mail is said (`STARTTLS`).
    Required,
    /// If the server offers it.
    Opportunistic,
    /// Never.
    Off,
}

impl MailTls {
    /// Whether somebody on the way could read what is said.
    pub const fn may_be_plain(self) -> bool {
        matches!(self, Self::Opportunistic | Self::Off)
    }
}

impl FromStr for MailTls {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "implicit" => Ok(Self::Implicit),
            "required" => Ok(Self::Required),
            "opportunistic" => Ok(Self::Opportunistic),
            "off" => Ok(Self::Off),
            _ => Err("is none of required, implicit, opportunistic, off"),
        }
    }
}

/// The mail server, and who the mail is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl FromStr for MailServer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.rsplit_once(':').and_then(|(host, port)| {
            let host =
                host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let port = port.parse().ok().filter(|port| *port > 0)?;
            (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
        });
        parts.ok_or("a mail server looks like mail.example.com:587")
    }
}

/// What sends mail. Clones are the same.
#[derive(Debug, Clone)]
pub struct Mailer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    outbound: Outbound,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// The address of this server, if it is known.
    base_url: Option<String>,
}

impl Mailer {
    /// One that knows itself to the server by a name and a password, if that is given.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings.
    pub fn new(
        outbound: Outbound,
        server: &MailServer,
        tls: MailTls,
        login: Option<(&str, &Path)>,
        from: Mailbox,
        base_url: Option<String>,
    ) -> Result<Self, String> {
        let parameters = || {
            let parameters = TlsParameters::new_rustls(server.host.clone());
            parameters.map_err(|error| format!("--smtp {}: {error}", server.host))
        };
        let tls = match tls {
            MailTls::Implicit => Tls::Wrapper(parameters()?),
            MailTls::Required => Tls::Required(parameters()?),
            MailTls::Opportunistic => Tls::Opportunistic(parameters()?),
            MailTls::Off => Tls::None,
        };
        let own = ClientId::Domain(from.email.domain().to_owned());
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&*server.host)
            .port(server.port)
            .tls(tls)
            .hello_name(own)
            .timeout(Some(OUTBOUND_WHOLE_MAX));
        if let Some((user, file)) = login {
            let password = std::fs::read_to_string(file);
            let password = password
                .map_err(|error| format!("--smtp-password-file {}: {error}", file.display()))?;
            let password = password.trim_end_matches(['\r', '\n']);
            transport = transport.credentials(Credentials::new(user.into(), password.into()));
        }
        let transport = transport.build();
        Ok(Self(Arc::new(Shared { outbound, transport, from, base_url })))
    }

    /// Sends a message as mail. Nobody waits for it.
    pub fn send(&self, to: Address, message: &Message) {
        let letter = message.with_event(|event| self.letter(to, message, event?));
        let (errand, own) = (Errand::Mail, self.clone());
        self.0.outbound.begin(errand, async move {
            let letter = letter.ok_or("the message could not be written as mail")?;
            let sending = own.0.transport.send(letter);
            let sent = own.0.outbound.in_turn(errand, sending).await;
            let sent = sent.map_err(|late| late.to_string())?;
            sent.map(drop).map_err(|error| error.to_string())
        });
    }

    fn letter(&self, to: Address, message: &Message, event: &Event<'_>) -> Option<lettre::Message> {
        let text = event.message.as_deref().unwrap_or_default();
        let id = format!("<{}@{}>", message.id(), self.0.from.email.domain());
        // An answer that is sent by itself would go to nobody.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        lettre::Message::builder()
            .from(self.0.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject(event.title.as_deref().unwrap_or(text)))
            .message_id(Some(id))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(self.body(message, event, text))
            .ok()
    }

    fn body(&self, message: &Message, event: &Event<'_>, text: &str) -> String {
        let mut lines = vec![text.to_owned(), String::new()];
        let mut line = |name: &str, value: &str| lines.push(format!("{name}: {value}"));
        if let Some(priority) = event.priority {
            line("Priority", &priority.to_string());
        }
        if !event.tags.is_empty() {
            line("Tags", &event.tags.join(", "));
        }
        if let Some(click) = &event.click {
            line("Link", click);
        }
        if let Some(file) = &event.attachment {
            line("File", &file.url);
        }
        let topic = message.topic().as_str();
        let time = i64::try_from(message.time_us() / 1_000_000).unwrap_or(i64::MAX);
        let time = Timestamp::from_second(time).unwrap_or_default();
        let place = match &self.0.base_url {
            Some(base_url) => format!("{base_url}/{topic}"),
            None => topic.to_owned(),
        };
        lines.push(format!("Published at {time} to {place}"));
        lines.join("\n")
    }
}

/// An address that mail may be sent to.
///
/// # Errors
///
/// That it is none.
pub fn mail_address(text: &str) -> Result<Address, Error> {
    text.parse().map_err(|_| {
        let text = format!("e-mail address {} does not look like name@example.com", quoted(text));
        Error::new(Code::EmailInvalid, text)
    })
}

/// The first line of a text, as the subject of a mail: whatever would end it is a blank.
fn subject(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let plain = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(MAIL_SUBJECT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_one_line() {
        for (text, line) in [
            ("one\r\nBcc: all@example.com", "one"),
            ("\n\n two\rthree \n", "two three"),
            ("four\u{0}five\u{85}six", "four five six"),
            ("", ""),
        ] {
            assert_eq!(subject(text), line, "{text:?}");
        }
        assert_eq!(subject(&"ü".repeat(1000)).chars().count(), MAIL_SUBJECT_CHARS_MAX);
    }

    #[test]
    fn an_address_has_a_name_and_a_host_and_nothing_that_ends_a_line() {
        for right in ["a@b.example", "a.b+c@d.example", "a@localhost"] {
            assert_eq!(mail_address(right).unwrap().to_string(), right);
        }
        let long = format!("{}@b.example", "x".repeat(65));
        for wrong in ["", "yes", "a", "a@", "@b", "a@b\r\nRCPT TO:<c@d>", "a b@c.example", &long] {
            assert_eq!(mail_address(wrong).unwrap_err().code(), Code::EmailInvalid, "{wrong:?}");
        }
    }

    #[test]
    fn a_mail_server_has_a_name_and_a_port() {
        for (text, host, port) in
            [("mail.example.com:587", "mail.example.com", 587), ("[::1]:25", "::1", 25)]
        {
            assert_eq!(text.parse(), Ok(MailServer { host: host.to_owned(), port }));
        }
        for wrong in ["", "mail", "mail:", ":25", "mail:0", "mail:x", "mail:70000"] {
            assert!(wrong.parse::<MailServer>().is_err(), "{wrong}");
        }
    }
}

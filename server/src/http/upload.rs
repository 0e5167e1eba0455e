//! A publish whose body is a file: it is stored as it comes, and published once it is whole.

use std::time::Duration;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use doorbell_protocol::attachment::Attachment;
use doorbell_protocol::{Code, Draft, Error};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::App;
use super::publish::FileBegun;
use super::request::{Request, is_host};
use super::timeout::RequestTimeout;
use crate::access::{Access, Permitted};
use crate::clock::unix_micros;
use crate::connections::Connection;
use crate::files::{CompleteFile, Files};
use crate::limits::FILE_BYTES_PER_SECOND_MIN;
use crate::metrics::Listener;
use crate::stop::detach;
use crate::visitors::{Bucket, Sharing};
use crate::writer::Answer;

/// What is left of a body that is read as it comes.
pub(super) struct BodyRest {
    body: HttpBody,
    timeout: RequestTimeout,
    unfinished: Duration,
    since: Instant,
    bytes: u64,
    /// Whether its client was told to go on with it.
    pub(super) is_begun: bool,
}

impl BodyRest {
    /// The rest of a body, of which something was read already if it is `begun`.
    pub(super) fn new(
        body: HttpBody,
        timeout: RequestTimeout,
        unfinished: Duration,
        is_begun: bool,
    ) -> Self {
        Self { body, timeout, unfinished, since: Instant::now(), bytes: 0, is_begun }
    }

    /// The next piece; none at the end. It must come at some speed.
    async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        self.is_begun = true;
        let earned = Duration::from_secs(self.bytes / FILE_BYTES_PER_SECOND_MIN);
        let patience = self.unfinished + earned;
        let Ok(frame) = timeout_at(self.since + patience, self.body.frame()).await else {
            let text = format!(
                "file was not finished: {} bytes came within {} s",
                self.bytes,
                patience.as_secs_f64()
            );
            return Err(Error::new(Code::Timeout, text));
        };
        let Some(frame) = frame else { return Ok(None) };
        let frame =
            frame.map_err(|_| Error::new(Code::BadRequest, "body was not received whole"))?;
        // It is on its way: how long all of it may take is judged here.
        self.timeout.clear();
        let piece = frame.into_data().unwrap_or_default();
        self.bytes += piece.len() as u64;
        Ok(Some(piece))
    }

    /// The body, to be thrown away.
    pub(super) fn into_body(self) -> HttpBody {
        self.body
    }
}

/// A publish whose body is a file.
#[derive(Debug)]
pub(super) struct Upload {
    files: Files,
    access: Access,
    permitted: Permitted,
    /// What the file is called.
    name: String,
    /// Whether that is a name of its own, or is to have the ending of what it is.
    is_named: bool,
    /// The address under which the server is known.
    base: String,
    /// What has come of it.
    begun: Bytes,
    /// What counts it.
    _sharing: Sharing,
}

impl Upload {
    /// What a request asks for that has this draft, if it may be published.
    ///
    /// # Errors
    ///
    /// That it may not, or that its file would not be kept until it comes.
    pub(super) fn permitted(
        app: &App,
        access: Access,
        draft: Draft,
        base: String,
        sharing: Sharing,
    ) -> Result<Self, Error> {
        let name = draft.attachment.as_ref().map(|file| file.name.clone()).unwrap_or_default();
        let permitted = access.permit(draft)?;
        let age = app.files.limits().age;
        let age_us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        let expires_us = unix_micros().saturating_add(age_us);
        if permitted.due_us().is_some_and(|due_us| due_us >= expires_us) {
            let text = format!("a file is kept for {age:?}, and its message would come later");
            return Err(Error::new(Code::AttachmentExpiresBefore, text));
        }
        let (files, begun, is_named) = (app.files.clone(), Bytes::new(), true);
        Ok(Self { files, access, permitted, name, is_named, base, begun, _sharing: sharing })
    }

    /// The same with what has come of the file, which may have no name of its own.
    #[must_use]
    pub(super) fn begun(self, begun: FileBegun) -> Self {
        Self { begun: begun.bytes, is_named: begun.is_named, ..self }
    }

    /// By what right.
    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// Stores the file and publishes its message. If the client goes away before all of it has
    /// come, there is neither.
    ///
    /// # Errors
    ///
    /// Why it was not published.
    pub(super) async fn receive(mut self, rest: Option<&mut BodyRest>) -> Answer {
        let mut file = self.store(rest).await?;
        let attachment = self.attachment(&file);
        let Self { access, permitted, .. } = self;
        access.still_permits(&permitted)?;
        let permitted = permitted.with_file(attachment);
        // Whoever asked for it may go from here on: a message that is stored keeps its file.
        let (told, answer) = oneshot::channel();
        detach(async move {
            file.hand_over();
            let answers = access.submit(vec![permitted]).await.await;
            let answer = answers.into_iter().next();
            match &answer {
                Some(Ok(_)) => file.keep().await,
                // What a log holds that has failed, nobody knows before it is opened again.
                Some(Err(error)) if error.code() != Code::LogFailed => file.discard(),
                _ => {}
            }
            // Nobody may wait for it any more.
            let _ = told.send(answer);
        });
        let none = || Err(Error::new(Code::Internal, "there was no answer"));
        answer.await.ok().flatten().unwrap_or_else(none)
    }

    async fn store(&mut self, mut rest: Option<&mut BodyRest>) -> Result<CompleteFile, Error> {
        let visitor = self.access.visitor().clone();
        let mut file = self.files.begin(&visitor).await?;
        let mut piece = std::mem::take(&mut self.begun);
        loop {
            visitor.owe(Bucket::Bytes, piece.len() as u64);
            file.write(piece).await?;
            let Some(rest) = &mut rest else { break };
            let Some(next) = rest.piece().await? else { break };
            piece = next;
        }
        file.finish().await
    }

    /// What the message tells of the file.
    fn attachment(&self, file: &CompleteFile) -> Attachment {
        let Self { name, is_named, base, .. } = self;
        let ending = file.kind.extension.map(|ending| format!(".{ending}")).unwrap_or_default();
        Attachment {
            name: if *is_named { name.clone() } else { format!("{name}{ending}") },
            media_type: Some(file.kind.media_type.to_owned()),
            size: Some(file.bytes),
            expires: Some(file.expires),
            url: format!("{base}/file/{}{ending}", file.id),
        }
    }
}

/// The address under which the server is known, or at least to whoever asks.
///
/// # Errors
///
/// That nothing tells it.
pub(super) fn base_of(
    app: &App,
    request: &Request<'_>,
    connection: &Connection,
) -> Result<String, Error> {
    if let Some(base_url) = &app.base_url {
        return Ok(base_url.as_str().to_owned());
    }
    let host = request.host();
    if host.is_empty() || !is_host(host.as_bytes()) {
        let text = "a file needs an address: the request names no host, and --base-url none either";
        return Err(Error::new(Code::BaseUrlMissing, text));
    }
    let is_encrypted = connection.listener() == Listener::Https
        || app.proxies.stand_before(connection)
            && request.headers.get("x-forwarded-proto") == Some(b"https");
    let scheme = if is_encrypted { "https" } else { "http" };
    Ok(format!("{scheme}://{host}{}", app.base_path.as_str()))
}

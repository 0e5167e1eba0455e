//! One message, from its text to the server's answer.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use doorbell_protocol::Draft;
use doorbell_protocol::attachment::Attachment;
use doorbell_protocol::draft::Delay;
use futures_core::Stream;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::publisher::{Publisher, Receipt};
use crate::received::Received;

/// A message that is to be published: made by [`Client::publish`](crate::Client::publish), sent by
/// [`send`](Self::send). As a [`Draft`] it can be given to a [`Publisher`].
///
/// What may stand in it and how long it may be is the server's to judge; what it refuses comes back
/// as [`Error::Refused`], with the value and the bound.
#[derive(Debug, Clone)]
#[must_use = "nothing is published before `send`"]
pub struct Publish {
    publisher: Arc<Mutex<Publisher>>,
    draft: Draft,
}

impl Publish {
    pub(crate) fn new(publisher: Arc<Mutex<Publisher>>, draft: Draft) -> Self {
        Self { publisher, draft }
    }

    /// A title above the text.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.draft.title = Some(title.into());
        self
    }

    /// How urgent it is: 1 (lowest) to 5 (highest). Without it, 3.
    pub fn priority(mut self, priority: u8) -> Self {
        self.draft.priority = Some(priority);
        self
    }

    /// Tags: short words, shown or turned into symbols by some readers.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.draft.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// The address that a click on the message opens.
    pub fn click(mut self, url: impl Into<String>) -> Self {
        self.draft.click = Some(url.into());
        self
    }

    /// The address of a picture beside it.
    pub fn icon(mut self, url: impl Into<String>) -> Self {
        self.draft.icon = Some(url.into());
        self
    }

    /// The text is Markdown.
    pub fn markdown(mut self) -> Self {
        self.draft.markdown = true;
        self
    }

    /// The address of a file that belongs to it, and what the file is called; without a name, as
    /// the end of its address.
    pub fn attach(mut self, url: impl Into<String>, name: Option<String>) -> Self {
        let (url, name) = (url.into(), name.unwrap_or_default());
        self.draft.attachment = Some(Box::new(Attachment { name, url, ..Attachment::default() }));
        self
    }

    /// What it is a new version of: readers show the newest of those that have one sequence id.
    pub fn sequence_id(mut self, id: impl Into<String>) -> Self {
        self.draft.sequence_id = Some(id.into());
        self
    }

    /// Only those get it who are reading when it comes: it is not kept.
    pub fn not_kept(mut self) -> Self {
        self.draft.is_kept = false;
        self
    }

    /// When it is to be published: a duration (`30m`), a unix time, or words (`tomorrow, 10am`).
    pub fn delay(mut self, delay: impl Into<String>) -> Self {
        self.draft.delay = Some(Delay::said(delay));
        self
    }

    /// An address that it is sent to as e-mail, too, where the server does that.
    pub fn email(mut self, address: impl Into<Box<str>>) -> Self {
        self.draft.email = Some(address.into());
        self
    }

    /// Publishes it, and returns the server's answer, whose `event.id` is the message's place in
    /// the log. It is then as durable as the server promises.
    ///
    /// **At least once**: see [`Publisher`]. Messages of one client and its clones go one after the
    /// other.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the server does not take it; else why no answer can be had.
    pub async fn send(self) -> Result<Received, Error> {
        match self.publisher.lock().await.publish(self.draft).await? {
            Receipt::Accepted(answer) => Ok(answer),
            Receipt::Refused(refusal) => Err(Error::Refused(refusal)),
        }
    }
}

impl Publish {
    /// Publishes it with a file that is sent along, over HTTP. The file is read as it is sent and
    /// never held as a whole; so it is tried once.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if the server's HTTP address is not known, [`Error::Refused`] if it does
    /// not take the file, and what else can go wrong on the way.
    pub async fn send_file(
        self,
        name: &str,
        content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<Received, Error> {
        self.publisher.lock().await.publish_file(&self.draft, name, content).await
    }
}

impl From<Publish> for Draft {
    fn from(publish: Publish) -> Self {
        publish.draft
    }
}

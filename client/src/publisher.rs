//! A publisher: drafts in, the server's answers out, in the same order.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::command::Command;
use doorbell_protocol::draft::Draft;
use doorbell_protocol::event::Kind;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use tokio::time::{Instant, sleep};

use crate::address::Server;
use crate::backoff::Backoff;
use crate::content::Content;
use crate::conversation::Conversation;
use crate::error::{Error, Refusal};
use crate::http::HttpClient;
use crate::laboratory::{Habits, Observed};
use crate::received::Received;
use crate::upload::upload;

/// A publish that is not answered after this long was lost with its connection.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// How long a connection that broke is tried again before the publisher gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Publishes under way at once, unless somebody says otherwise.
const WINDOW_DEFAULT: usize = 64;

/// The server's answer to one publish.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly always the large one, and moved once")]
pub enum Receipt {
    /// Stored: the answer has the message's id.
    Accepted(Received),
    /// Not stored.
    Refused(Refusal),
}

/// Publishes to one server: over the line protocol, or over HTTP if that is its address.
///
/// **At least once.** A publish whose answer was lost with its connection is sent again on the
/// next one. If the server had stored it before, it is then stored twice, under two ids. A
/// connection that broke is tried again for 30 s; then the publisher gives up with
/// [`Error::Unacknowledged`]. The very first connection is tried once.
///
/// ```no_run
/// use doorbell::{Draft, Receipt, Topic};
/// use futures_util::{StreamExt, stream};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = doorbell::connect("tcp://127.0.0.1:1989").await?;
/// let topic: Topic = "orders.new".parse()?;
/// let drafts = (1..=1000).map(|n| Draft::from(client.publish(topic.clone(), format!("tea {n}"))));
/// let mut publisher = client.publisher();
/// let mut receipts = std::pin::pin!(publisher.publish_all(stream::iter(drafts)));
/// while let Some(receipt) = receipts.next().await {
///     match receipt? {
///         Receipt::Accepted(answer) => println!("stored as {:?}", answer.event.id),
///         Receipt::Refused(refusal) => println!("not stored: {refusal}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Publisher {
    server: Server,
    window: usize,
    route: Option<Route>,
    was_connected: bool,
}

#[derive(Debug)]
enum Route {
    Lines(Conversation),
    Http(Box<HttpClient>),
}

impl Publisher {
    pub(crate) fn new(server: Server) -> Self {
        Self { server, window: WINDOW_DEFAULT, route: None, was_connected: false }
    }

    /// Lets up to so many publishes be under way at once, at least one. Without it 64 are; over
    /// HTTP it is always one.
    #[must_use]
    pub fn window(mut self, window: usize) -> Self {
        self.window = window.max(1);
        self
    }

    /// Connects now instead of with the first publish.
    ///
    /// # Errors
    ///
    /// Why no connection came about.
    pub async fn connect(&mut self) -> Result<(), Error> {
        if self.route.is_none() {
            self.route = Some(match &self.server {
                Server::Lines(endpoint, credential) => {
                    let credential = credential.as_ref();
                    let observed = Observed::default();
                    let conversation = Conversation::open(endpoint, credential, &observed).await?;
                    self.was_connected = true;
                    Route::Lines(conversation)
                }
                Server::Http(site) => Route::Http(Box::new(HttpClient::new(
                    site.clone(),
                    Observed::default(),
                    Habits::default(),
                ))),
            });
        }
        Ok(())
    }

    /// Publishes one message and waits for the answer.
    ///
    /// # Errors
    ///
    /// Why no answer can be had. That the server refused is not an error here but a [`Receipt`].
    pub async fn publish(&mut self, draft: Draft) -> Result<Receipt, Error> {
        let receipts = self.publish_all(stream::iter([draft]));
        match std::pin::pin!(receipts).next().await {
            Some(receipt) => receipt,
            None => Err(Error::Closed),
        }
    }

    /// Publishes a message with a file of that name, over HTTP. The file is read as it is sent and
    /// never held as a whole; so it is tried once.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if the server's HTTP address is not known, [`Error::Refused`] if it does
    /// not take the file, and what else can go wrong on the way.
    pub async fn publish_file(
        &self,
        draft: &Draft,
        name: &str,
        content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<Received, Error> {
        upload(self.server.http()?, draft, name, content).await
    }

    /// Publishes every message of a stream and yields the answers in the same order, with as many
    /// under way at once as the window has room for. An `Err` is the last item.
    pub fn publish_all<'a>(
        &'a mut self,
        drafts: impl Stream<Item = Draft> + Send + 'a,
    ) -> impl Stream<Item = Result<Receipt, Error>> + Send + 'a {
        let run = Run {
            publisher: self,
            route: None,
            drafts: Some(Box::pin(drafts)),
            in_flight: VecDeque::new(),
            said: 0,
            uncertain: 0,
        };
        stream::unfold(Some(run), async |run| {
            let mut run = run?;
            let receipt = run.receipt().await.transpose()?;
            let run = receipt.is_ok().then_some(run);
            Some((receipt, run))
        })
    }

    async fn take_route(&mut self) -> Result<Route, Error> {
        self.connect().await?;
        self.route.take().ok_or(Error::Closed)
    }
}

type Drafts<'a> = Pin<Box<dyn Stream<Item = Draft> + Send + 'a>>;

/// One stream of drafts on its way.
struct Run<'a> {
    publisher: &'a mut Publisher,
    /// The connection while answers are due on it; dropped with them, if the run is dropped.
    route: Option<Route>,
    drafts: Option<Drafts<'a>>,
    /// Drafts without an answer, as JSON, in the order in which they are sent.
    in_flight: VecDeque<String>,
    /// How many of them were sent on the present connection.
    said: usize,
    /// How many of them were sent on any connection.
    uncertain: usize,
}

impl Run<'_> {
    /// The next answer, or `None` after the last.
    async fn receipt(&mut self) -> Result<Option<Receipt>, Error> {
        if self.in_flight.is_empty() {
            match next(&mut self.drafts).await {
                Some(draft) => self.in_flight.push_back(draft.to_json()),
                None => return Ok(None),
            }
        }
        let mut backoff = Backoff::default();
        let mut give_up = None;
        loop {
            let error = match self.attempt().await {
                Ok(receipt) => return Ok(Some(receipt)),
                Err(error) => error,
            };
            let delay = backoff.next_delay().max(error.retry_after());
            let now = Instant::now();
            let in_time = now + delay < *give_up.get_or_insert(now + PATIENCE);
            if !(self.publisher.was_connected && in_time && error.is_transient()) {
                return Err(self.failure(error));
            }
            sleep(delay).await;
        }
    }

    fn failure(&self, error: Error) -> Error {
        match self.uncertain {
            0 => error,
            count => Error::Unacknowledged { count, cause: Box::new(error) },
        }
    }

    /// The answer to the oldest draft in flight, over the connection there is or a new one. When
    /// it fails, the connection is gone.
    async fn attempt(&mut self) -> Result<Receipt, Error> {
        let mut route = if let Some(route) = self.route.take() {
            route
        } else {
            self.said = 0;
            self.publisher.take_route().await?
        };
        let receipt = match &mut route {
            Route::Lines(conversation) => self.converse(conversation).await?,
            Route::Http(client) => self.post(client).await?,
        };
        self.publisher.was_connected = true;
        self.in_flight.pop_front();
        self.said = self.said.saturating_sub(1);
        self.uncertain = self.uncertain.saturating_sub(1);
        if self.in_flight.is_empty() {
            self.publisher.route = Some(route);
        } else {
            self.route = Some(route);
        }
        Ok(receipt)
    }

    async fn converse(&mut self, conversation: &mut Conversation) -> Result<Receipt, Error> {
        let deadline = sleep(ANSWER_DEADLINE);
        tokio::pin!(deadline);
        loop {
            for json in self.in_flight.range(self.said..) {
                conversation.say(&Command::PublishJson(json));
            }
            self.said = self.in_flight.len();
            self.uncertain = self.uncertain.max(self.said);
            let room = self.drafts.is_some() && self.in_flight.len() < self.publisher.window;
            let answer = tokio::select! {
                draft = next(&mut self.drafts), if room => {
                    self.in_flight.extend(draft.map(|draft| draft.to_json()));
                    continue;
                }
                answer = conversation.hear() => answer?,
                () = &mut deadline => return Err(Error::Silent(ANSWER_DEADLINE)),
            };
            match answer.event.event {
                Kind::Ok => return Ok(Receipt::Accepted(answer)),
                Kind::Error => return Ok(Receipt::Refused(Refusal::from_event(&answer.event))),
                Kind::Close => return Err(Error::Closed),
                _ => {}
            }
        }
    }

    async fn post(&mut self, client: &mut HttpClient) -> Result<Receipt, Error> {
        let body = self.in_flight.front().cloned().unwrap_or_default();
        let request = Request::post("/").header(CONTENT_TYPE, "application/json");
        let answer = async {
            let answer = client.send(request, body.into(), ANSWER_DEADLINE).await?;
            Received::parse(Content::of(answer)?.whole().await?)
        };
        match answer.await {
            Ok(received) => Ok(Receipt::Accepted(received)),
            Err(Error::Refused(refusal)) => Ok(Receipt::Refused(refusal)),
            Err(error) => {
                // Nothing was sent where the connection, or what it needs, was not there.
                if !matches!(error, Error::Connect { .. } | Error::Address(_) | Error::Untrusted(_))
                {
                    self.uncertain = 1;
                    self.publisher.was_connected = true;
                }
                Err(error)
            }
        }
    }
}

/// The next draft. After the last, `drafts` is `None`.
async fn next(drafts: &mut Option<Drafts<'_>>) -> Option<Draft> {
    let draft = drafts.as_mut()?.next().await;
    if draft.is_none() {
        *drafts = None;
    }
    draft
}

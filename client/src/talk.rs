//! A conversation in lines that somebody leads by hand.

use bytes::Bytes;

use crate::address::Server;
use crate::conversation::Conversation;
use crate::error::Error;
use crate::laboratory::Observed;

/// An open connection of the line protocol: what is said and heard are lines as they stand. It does
/// not come back when it breaks. Made by [`Client::talk`](crate::Client::talk).
#[derive(Debug)]
pub struct Talk(Conversation);

impl Talk {
    pub(crate) async fn open(server: &Server) -> Result<Self, Error> {
        let endpoint = server.lines().await?;
        Conversation::open(&endpoint, server.credential(), &Observed::default()).await.map(Self)
    }

    /// Queues a line, without its end; [`hear`](Self::hear) writes it.
    pub fn say(&mut self, line: &str) {
        self.0.say_line(line);
    }

    /// The server's next line, without its end. What is queued is written meanwhile.
    ///
    /// Dropped before it is done, it loses nothing: call it again.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] at the end, and what else can break a connection.
    pub async fn hear(&mut self) -> Result<Bytes, Error> {
        self.0.hear_line().await
    }
}

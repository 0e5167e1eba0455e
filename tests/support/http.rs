//! HTTP/1.1, just enough of it and byte by byte: whole answers, and answers that do not end.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use flate2::read::GzDecoder;
use serde_json::Value;

use super::id::epoch_and_seq;
use super::{Event, PATIENCE};

/// A request to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: String,
    path: String,
    host: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Any method.
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            host: "localhost".into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// `GET`.
    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// `POST` with a body.
    pub(crate) fn post(path: &str, body: impl AsRef<[u8]>) -> Self {
        Self::new("POST", path).body(body)
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same with a token, if there is one.
    pub(crate) fn token(self, token: Option<&str>) -> Self {
        match token {
            Some(token) => self.header("authorization", &format!("Bearer {token}")),
            None => self,
        }
    }

    /// The same to another host than `localhost`.
    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = host.into();
        self
    }

    /// The same with a body.
    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().into();
        self
    }

    /// The bytes of the request.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self { method, path, host, .. } = self;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
        head.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
        if !self.body.is_empty() || self.method != "GET" {
            head.extend([format!("content-length: {}\r\n", self.body.len())]);
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }

    /// Sends it on a connection of its own and reads the whole answer.
    pub(crate) fn send_to(&self, address: SocketAddr) -> Response {
        Connection::open(address).exchange(self)
    }

    /// As [`send_to`](Self::send_to), with a server that may be gone.
    pub(crate) fn try_send_to(&self, address: SocketAddr) -> io::Result<Response> {
        Connection::over(TcpStream::connect(address)?).try_exchange(self)
    }

    /// Sends it on a connection of its own and reads the head of an answer that does not end.
    pub(crate) fn stream_from(&self, address: SocketAddr) -> Stream {
        let mut connection = Connection::open(address);
        connection.write(&self.bytes());
        connection.into_stream()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    /// The status.
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, as it came.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Every header of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The place to go on from, which every poll must tell.
    pub(crate) fn next(&self) -> &str {
        self.header("doorbell-next").unwrap_or_else(|| panic!("no Doorbell-Next in {self:?}"))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body as one event a line.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.text().lines().map(Event::parse).collect()
    }

    /// The events of a poll, and behind them what its head tells, as a keepalive would: the place
    /// reached, and a gap that no event tells.
    pub(crate) fn events_and_place(&self) -> Vec<Event> {
        let mut events = self.events();
        let next = self.next();
        let gap = self.header("doorbell-gap").filter(|_| events.is_empty());
        let gap = gap.map(|gap| format!(",\"gap\":{gap}")).unwrap_or_default();
        let seq = epoch_and_seq(next).1;
        let place = format!(r#"{{"id":"{next}","seq":{seq},"event":"keepalive"{gap}}}"#);
        events.push(Event::parse(&place));
        events
    }
}

/// A connection that may carry one request after the other.
#[derive(Debug)]
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// Speaks over a TCP connection that is there.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    /// This end of it.
    pub(crate) fn local(&self) -> SocketAddr {
        self.reader.get_ref().local_addr().unwrap()
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// Ends this side of the connection.
    pub(crate) fn end_writing(&mut self) {
        self.reader.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// A line of a body that does not end, without its end; sizes of chunks are passed over.
    pub(crate) fn line(&mut self) -> Option<String> {
        loop {
            let line = line(&mut self.reader)?;
            if line.starts_with('{') {
                return Some(line);
            }
        }
    }

    /// Sends a request and reads its answer.
    pub(crate) fn exchange(&mut self, request: &Request) -> Response {
        self.write(&request.bytes());
        self.response()
    }

    /// As [`exchange`](Self::exchange), with a server that may be gone.
    pub(crate) fn try_exchange(&mut self, request: &Request) -> io::Result<Response> {
        self.reader.get_mut().write_all(&request.bytes())?;
        self.try_response()
    }

    /// Reads the head of an answer that does not end.
    pub(crate) fn into_stream(mut self) -> Stream {
        let head = self.head().expect("an answer");
        assert_eq!(head.header("transfer-encoding"), Some("chunked"), "{head:?}");
        let body = Chunked { source: self.reader, left: 0, ended: false };
        let body: Box<dyn BufRead + Send> = match head.header("content-encoding") {
            Some("gzip") => Box::new(BufReader::new(GzDecoder::new(body))),
            coding => {
                assert_eq!(coding, None);
                Box::new(BufReader::new(body))
            }
        };
        Stream { head, body }
    }

    /// Reads one whole answer; that a body may come is not one.
    pub(crate) fn response(&mut self) -> Response {
        self.try_response().unwrap_or_else(|error| panic!("no answer came: {error}"))
    }

    fn try_response(&mut self) -> io::Result<Response> {
        let mut response = self.expected_head()?;
        while response.status == 100 {
            response = self.expected_head()?;
        }
        let chunked = response.header("transfer-encoding") == Some("chunked");
        let length = response.header("content-length").map(|length| length.parse().unwrap());
        match length {
            _ if chunked => {
                let mut chunks = Chunked { source: &mut self.reader, left: 0, ended: false };
                chunks.read_to_end(&mut response.body)?;
            }
            Some(length) => {
                response.body.resize(length, 0);
                self.reader.read_exact(&mut response.body)?;
            }
            None if response.status == 304 || response.status == 204 => {}
            None => {
                self.reader.read_to_end(&mut response.body)?;
            }
        }
        Ok(response)
    }

    /// Whether the server answers one more request on it; waits for the answer, or for the end.
    pub(crate) fn goes_on(&mut self) -> bool {
        let request = Request::get("/v1/health").bytes();
        if self.reader.get_mut().write_all(&request).is_err() {
            return false;
        }
        match self.reader.fill_buf() {
            Ok([]) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return false,
            Err(error) => panic!("neither an answer nor the end: {error}"),
        }
        let response = self.response();
        assert_eq!(response.text(), r#"{"healthy":true}"#);
        true
    }

    /// Whether the server has closed its side; waits for it.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.reader.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// The head of an answer; `None` if the connection was closed instead.
    pub(crate) fn head(&mut self) -> Option<Response> {
        self.try_head().unwrap_or_else(|error| panic!("no head came: {error}"))
    }

    fn expected_head(&mut self) -> io::Result<Response> {
        self.try_head()?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn try_head(&mut self) -> io::Result<Option<Response>> {
        let Some(status_line) = try_line(&mut self.reader)? else { return Ok(None) };
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let header = try_line(&mut self.reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let Some((name, value)) = header.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Some(Response { status, headers, body: Vec::new() }))
    }
}

/// A body in chunks, without them. It ends where the sender ended it, not where it broke off.
#[derive(Debug)]
struct Chunked<R> {
    source: R,
    left: usize,
    ended: bool,
}

impl<R: BufRead> Read for Chunked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        if self.left == 0 {
            let mut size = String::new();
            self.source.read_line(&mut size)?;
            let size = size.trim_end();
            self.left = usize::from_str_radix(size, 16).map_err(|_| {
                io::Error::new(io::ErrorKind::UnexpectedEof, format!("chunk size {size:?}"))
            })?;
            if self.left == 0 {
                self.source.read_line(&mut String::new())?;
                self.ended = true;
                return Ok(0);
            }
        }
        let most = buffer.len().min(self.left);
        let count = self.source.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count;
        if self.left == 0 {
            self.source.read_line(&mut String::new())?;
        }
        Ok(count)
    }
}

/// An answer that does not end, decoded if it is in gzip.
pub(crate) struct Stream {
    /// Its status and headers.
    pub(crate) head: Response,
    body: Box<dyn BufRead + Send>,
}

impl Stream {
    /// The next line without its end; `None` at the proper end of the body.
    pub(crate) fn line(&mut self) -> Option<String> {
        line(&mut self.body)
    }

    /// As [`line`](Self::line), for a body that may also break off.
    pub(crate) fn line_or_break(&mut self) -> Option<String> {
        try_line(&mut self.body).ok()?
    }

    /// The next line as an event.
    pub(crate) fn event(&mut self) -> Event {
        Event::parse(&self.line().expect("an event before the end"))
    }

    /// The next server-sent event.
    pub(crate) fn sse(&mut self) -> Option<ServerSent> {
        Self::sse_of(|| self.line())
    }

    /// As [`sse`](Self::sse), for a body that may also break off.
    pub(crate) fn sse_or_break(&mut self) -> Option<ServerSent> {
        Self::sse_of(|| self.line_or_break())
    }

    fn sse_of(mut next: impl FnMut() -> Option<String>) -> Option<ServerSent> {
        let mut event = ServerSent::default();
        loop {
            let line = next()?;
            event.bytes += &line;
            event.bytes.push('\n');
            match line.split_once(": ") {
                Some(("id", id)) => event.id = id.into(),
                Some(("event", name)) => event.name = name.into(),
                Some(("data", data)) => event.data = data.into(),
                _ if line.is_empty() => return Some(event),
                _ => {}
            }
        }
    }
}

/// One server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerSent {
    /// The field `id`.
    pub(crate) id: String,
    /// The field `event`.
    pub(crate) name: String,
    /// The field `data`.
    pub(crate) data: String,
    /// All of it, with its empty line.
    pub(crate) bytes: String,
}

/// A line without its end; `None` where there is nothing more.
pub(crate) fn line(reader: &mut impl BufRead) -> Option<String> {
    try_line(reader).unwrap_or_else(|error| panic!("no line came: {error}"))
}

fn try_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = reader.read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The events of NDJSON that is polled for: an answer after the other, from place to place.
#[derive(Debug)]
pub(crate) struct Poller {
    address: SocketAddr,
    token: Option<String>,
    filter: String,
    wait: Option<&'static str>,
    /// The place to go on from.
    pub(crate) next: String,
    held: VecDeque<Event>,
}

impl Poller {
    /// Begins at a place; with a wait they are long polls.
    pub(crate) fn new(
        address: SocketAddr,
        token: Option<&str>,
        filter: &str,
        since: &str,
        wait: Option<&'static str>,
    ) -> Self {
        let mut poller = Self {
            address,
            token: token.map(str::to_owned),
            filter: filter.to_owned(),
            wait: None,
            next: since.to_owned(),
            held: VecDeque::new(),
        };
        // So that a reader from now on has its place now.
        poller.ask();
        poller.wait = wait;
        poller
    }

    /// The next message.
    pub(crate) fn event(&mut self) -> Event {
        super::eventually("a poll brings a message", || {
            if self.held.is_empty() {
                self.ask();
            }
            self.held.pop_front()
        })
    }

    fn ask(&mut self) {
        let wait = self.wait.map(|wait| format!("&wait={wait}")).unwrap_or_default();
        let path = format!("/{}/json?poll=1&since={}{wait}", self.filter, self.next);
        let request = Request::get(&path).token(self.token.as_deref());
        let response = request.send_to(self.address);
        assert_eq!(response.status, 200, "{}", response.text());
        response.next().clone_into(&mut self.next);
        self.held.extend(response.events());
    }
}

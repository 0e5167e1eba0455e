//! The line protocol by hand, over TCP or a Unix socket.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::http::line;
use super::{Event, PATIENCE};

/// Either kind of socket.
#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Lines {
    reader: BufReader<Socket>,
}

impl Lines {
    /// Connects over TCP; nothing is heard yet.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        Self::over_tcp(stream)
    }

    /// Speaks over a TCP connection that is there.
    pub(crate) fn over_tcp(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { reader: BufReader::new(Socket::Tcp(stream)) }
    }

    /// Connects over TCP and hears the greeting.
    pub(crate) fn greeted(address: SocketAddr) -> Self {
        let mut lines = Self::connect(address);
        assert_eq!(lines.event().kind(), "open");
        lines
    }

    /// Connects over a Unix socket; nothing is heard yet.
    pub(crate) fn connect_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { reader: BufReader::new(Socket::Unix(stream)) }
    }

    /// Connects over a Unix socket and hears the greeting.
    pub(crate) fn greeted_unix(path: &Path) -> Self {
        let mut lines = Self::connect_unix(path);
        assert_eq!(lines.event().kind(), "open");
        lines
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// Sends a line.
    pub(crate) fn say(&mut self, line: impl Display) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// Sends a line and returns the answer.
    pub(crate) fn ask(&mut self, line: impl Display) -> Event {
        self.say(line);
        self.event()
    }

    /// Subscribes; the answer must be `ok`.
    pub(crate) fn subscribe(&mut self, rest: impl Display) -> Event {
        let answer = self.ask(format_args!("SUB {rest}"));
        assert_eq!(answer.kind(), "ok", "{}", answer.line);
        answer
    }

    /// Sends a line to a server that may be gone.
    pub(crate) fn try_say(&mut self, line: impl Display) -> std::io::Result<()> {
        self.reader.get_mut().write_all(format!("{line}\n").as_bytes())
    }

    /// The next event of a server that may be gone; `None` if it is.
    pub(crate) fn try_event(&mut self) -> Option<Event> {
        let mut line = String::new();
        let whole = self.reader.read_line(&mut line).is_ok() && line.ends_with('\n');
        whole.then(|| Event::parse(line.trim_end()))
    }

    /// The next line; `None` once the server has closed its side.
    pub(crate) fn line(&mut self) -> Option<String> {
        line(&mut self.reader)
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Event {
        Event::parse(&self.line().expect("an event before the end"))
    }

    /// The next so many events.
    pub(crate) fn events(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.event()).collect()
    }

    /// Says that nothing more will be said.
    pub(crate) fn finish_writing(&self) {
        match self.reader.get_ref() {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
        .unwrap();
    }
}

//! Where a floor program listens, and how it says so.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

use crate::failure::Result;

/// Connections that the kernel may hold before they are accepted.
const BACKLOG: i32 = 4096;

/// A listener on a free port.
pub(super) fn listener() -> Result<TcpListener> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Says where the program listens, which means that it is ready.
pub(super) fn say_ready(address: SocketAddr) -> Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "ready {address}")?;
    Ok(stdout.flush()?)
}

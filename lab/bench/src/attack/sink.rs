//! A program that reads all that comes and answers nothing: what an attack costs those who run
//! beside it, whoever it is meant for.

use std::net::Ipv4Addr;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Builder;

use crate::failure::Result;

/// Bytes read at a time.
const READ_BYTES: usize = 16 << 10;

/// Runs until the process is ended.
pub(crate) fn run() -> Result<()> {
    crate::machine::raise_descriptors();
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!(
            "ready http={} tcp={} udp={}",
            http.local_addr()?,
            tcp.local_addr()?,
            udp.local_addr()?
        );
        let mut datagram = vec![0; READ_BYTES];
        loop {
            let (mut stream, _) = tokio::select! {
                accepted = http.accept() => accepted?,
                accepted = tcp.accept() => accepted?,
                received = udp.recv(&mut datagram) => {
                    received?;
                    continue;
                }
            };
            #[allow(clippy::disallowed_methods, reason = "the process ends with its attack")]
            tokio::spawn(async move {
                let mut bytes = vec![0; READ_BYTES];
                while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
            });
        }
    })
}

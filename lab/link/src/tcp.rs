//! TCP connections over a link.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use doorbell_wire::Alarm;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio::try_join;

use crate::darkness::Darkness;
use crate::line::Line;
use crate::passed::{Counts, count};
use crate::properties::Link;

/// Payload of a full segment on Ethernet, and the bytes of its headers.
const SEGMENT_BYTES: usize = 1448;
const SEGMENT_HEADER_BYTES: u64 = 52;
const SYN_BYTES: u64 = 60;
const ACK_BYTES: u64 = 52;
/// What is read at once from a connection without a rate; with one it is a segment.
const CHUNK_BYTES: usize = 16 << 10;
/// Chunks under way, however small.
const CHUNKS_MAX: usize = 64 << 10;
/// Connections at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 10_000;
/// After a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts and relays until dropped.
pub(crate) async fn relay(
    listener: TcpListener,
    link: Link,
    upstream: SocketAddr,
    seed: u64,
    counts: Arc<Counts>,
    darkness: Darkness,
) {
    let mut connections = JoinSet::new();
    let mut number = 0_u64;
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((client, _)) => {
                    count(&counts.clients);
                    number += 1;
                    // Both directions of all connections differ.
                    let seed = seed.wrapping_add(number << 1);
                    let darkness = darkness.clone();
                    connections.spawn(async move {
                        // What ends one connection is its two ends' affair.
                        let _ = connection(client, link, upstream, seed, &darkness).await;
                    });
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A piece of a stream on its way. The last one is empty.
struct Chunk {
    due: Instant,
    bytes: Bytes,
    /// Its share of the bytes that may be under way.
    _room: Option<OwnedSemaphorePermit>,
}

async fn connection(
    client: TcpStream,
    link: Link,
    upstream: SocketAddr,
    seed: u64,
    darkness: &Darkness,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut forth, mut back) = (Line::new(link, seed), Line::new(link, seed + 1));
    // The kernel has shaken hands already; here is when it would have been.
    let syn = forth.arrival(Instant::now(), SYN_BYTES);
    let syn_ack = back.arrival(syn, SYN_BYTES);
    let ack = forth.arrival(syn_ack, ACK_BYTES);
    let (client_reader, client_writer) = client.into_split();
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let there = async {
        Alarm::new()?.until(ack).await?;
        darkness.over().await;
        let server = TcpStream::connect(upstream).await?;
        server.set_nodelay(true)?;
        let (server_reader, server_writer) = server.into_split();
        let (sender, client_receiver) = mpsc::channel(CHUNKS_MAX);
        try_join!(
            write(server_writer, receiver, darkness),
            read(server_reader, back, ack, sender),
            write(client_writer, client_receiver, darkness),
        )
    };
    // Before the SYN-ACK came the client could not have sent anything.
    try_join!(read(client_reader, forth, syn_ack, sender), there)?;
    Ok(())
}

/// Reads a direction and says when each piece arrives.
async fn read(
    mut from: OwnedReadHalf,
    mut line: Line,
    opened: Instant,
    sender: mpsc::Sender<Chunk>,
) -> io::Result<()> {
    let room = usize::try_from(line.room()).unwrap_or(usize::MAX);
    let room = Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS)));
    let bytes_max = if line.has_rate() { SEGMENT_BYTES } else { CHUNK_BYTES };
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(bytes_max);
        // A reset arrives as an end.
        let read = (&mut from).take(bytes_max as u64).read_buf(&mut buffer).await.unwrap_or(0);
        let sent = Instant::now().max(opened);
        let segments = read.div_ceil(SEGMENT_BYTES).max(1) as u64;
        let wire_bytes = read as u64 + SEGMENT_HEADER_BYTES * segments;
        let permits = u32::try_from(read).unwrap_or(u32::MAX);
        let permit = Arc::clone(&room).acquire_many_owned(permits).await.ok();
        let chunk = Chunk {
            due: line.arrival(sent, wire_bytes),
            bytes: buffer.split().freeze(),
            _room: permit,
        };
        if sender.send(chunk).await.is_err() || read == 0 {
            return Ok(());
        }
    }
}

/// Writes what arrives, when it arrives.
async fn write(
    mut to: OwnedWriteHalf,
    mut chunks: mpsc::Receiver<Chunk>,
    darkness: &Darkness,
) -> io::Result<()> {
    let mut alarm = Alarm::new()?;
    while let Some(chunk) = chunks.recv().await {
        alarm.until(chunk.due).await?;
        darkness.over().await;
        if chunk.bytes.is_empty() {
            return to.shutdown().await;
        }
        to.write_all(&chunk.bytes).await?;
    }
    Ok(())
}

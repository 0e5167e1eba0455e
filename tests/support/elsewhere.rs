//! A server of somebody else, for pages and images of another origin: it answers everything the
//! same.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Answers whoever asks, as long as the tests run; returns how often somebody has.
pub(crate) fn answer(
    listener: TcpListener,
    media_type: &'static str,
    body: impl Into<Vec<u8>>,
) -> Arc<AtomicUsize> {
    let body = body.into();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            // A browser may connect in advance and say nothing.
            let mut is_asked = false;
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {
                is_asked = true;
            }
            if !is_asked {
                continue;
            }
            count.fetch_add(1, Ordering::Relaxed);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n",
                body.len()
            );
            // A browser that goes away wants no answer.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    asked
}

//! A TCP relay whose network can be cut: nothing is lost or closed then, and nothing passes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// How often it is looked whether the network is there again.
const LOOK: Duration = Duration::from_millis(5);

/// The way to one address.
pub(crate) struct Relay {
    /// Where it is entered.
    pub(crate) entry: SocketAddr,
    is_cut: Arc<AtomicBool>,
}

impl Relay {
    /// One that leads there. It lasts as long as the test's process.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let entry = listener.local_addr().unwrap();
        let is_cut = Arc::new(AtomicBool::new(false));
        let cut = is_cut.clone();
        spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                while cut.load(Ordering::Acquire) {
                    sleep(LOOK);
                }
                // What is not there cannot be connected to.
                let Ok(server) = TcpStream::connect(target) else { continue };
                let ends =
                    [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
                for (from, to) in ends {
                    let cut = cut.clone();
                    spawn(move || pass(from, to, &cut));
                }
            }
        });
        Self { entry, is_cut }
    }

    /// Cuts the network, or mends it.
    pub(crate) fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Release);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count) = from.read(&mut bytes) {
        while is_cut.load(Ordering::Acquire) {
            sleep(LOOK);
        }
        if count == 0 || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

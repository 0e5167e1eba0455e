//! A server of one's own in this thread: its real conversations, over streams in memory.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Once};
use std::time::Duration;

use doorbell_server::access::Gate;
use doorbell_server::clock::SystemClock;
use doorbell_server::config::{self, to_usize};
use doorbell_server::connections::Ends;
use doorbell_server::files::Files;
use doorbell_server::guard::Timeouts;
use doorbell_server::http::{App, GzipTurns, Http, Origins};
use doorbell_server::hub::Hub;
use doorbell_server::lab::{Lab, Parts};
use doorbell_server::line::LineService;
use doorbell_server::listen::{Accept, Acceptor, Addresses, Refusals};
use doorbell_server::log::MemoryLog;
use doorbell_server::metrics::{Listener, Metrics, Transport};
use doorbell_server::outbound::Outbound;
use doorbell_server::proxy::Proxies;
use doorbell_server::schedule::Schedule;
use doorbell_server::serve::sessions;
use doorbell_server::visitors::{VisitorLimits, Visitors};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;

/// Bytes on their way in one direction.
const WAY_BYTES_MAX: usize = 256 << 10;
/// Conversations after which a server makes room for a new one: topics are remembered for long.
const CONVERSATIONS_MAX: u32 = 10_000;
/// Bytes after which a peer has heard enough.
const HEARD_BYTES_MAX: usize = 4 << 20;

const SETTINGS: &[&str] = &[
    "doorbell-server",
    "--ephemeral",
    "--lab",
    "off",
    "--retention-bytes",
    "256KiB",
    "--message-bytes",
    "4096",
    "--line-bytes",
    "8192",
];

/// What a conversation is held with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Service {
    Http,
    Lines,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) bytes: Vec<u8>,
    /// Whether it ended the connection.
    pub(crate) ended: bool,
}

/// A server.
#[derive(Debug)]
pub(crate) struct Served {
    runtime: Runtime,
    http: mpsc::Sender<DuplexStream>,
    lines: mpsc::Sender<DuplexStream>,
    held: u32,
}

impl Served {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let entered = runtime.enter();
        let settings = config::read(SETTINGS.iter().map(Into::into)).unwrap();
        let retention = settings.retention();
        let (log, room) = (Arc::new(MemoryLog::new(retention)), to_usize(settings.inflight_bytes));
        let (clock, schedule) = (Arc::new(SystemClock), Schedule::default());
        let limits = settings.wire_limits();
        let hub = Hub::start(log, room, &retention, limits, clock, schedule).unwrap();
        let metrics = Metrics::new(hub.commit_sizes().clone());
        let (write_deadline, keepalive) = (settings.write_deadline, settings.keepalive);
        let visitors = Visitors::new(VisitorLimits::default(), false);
        let timeouts = Timeouts { write_deadline, keepalive };
        let acceptor = Acceptor::new(usize::MAX, visitors, metrics.clone(), timeouts);
        let gate = Gate::open(hub.clone(), None);
        let config = sessions(&settings, gate, metrics, &acceptor, usize::MAX);
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        let addresses = Addresses { http: Some(here), tcp: Some(here), ..Addresses::default() };
        let addresses = Arc::new(addresses);
        let proxies = Arc::new(Proxies::new(&[], &[]));
        let origins = Origins::new(&[], Vec::new(), [here.ip()].into_iter(), proxies.clone());
        let lab = Lab::new(Parts {
            on: false,
            asked_for: false,
            trace: false,
            register: acceptor.register.clone(),
            addresses: addresses.clone(),
            tasks: acceptor.tasks.clone(),
            stop: (*acceptor.stop).clone(),
        });
        let app = App {
            config: config.clone(),
            addresses,
            connections: usize::MAX,
            message_bytes: hub.limits().message_bytes,
            header_bytes: to_usize(settings.header_bytes),
            gzip: GzipTurns::new(settings.compressed_streams),
            poll_interval: None,
            lab,
            credentials_ignored: Arc::new(Once::new()),
            proxy_unnamed: Arc::new(Once::new()),
            origins: origins.into(),
            proxies,
            base_path: settings.base_path.clone().into(),
            base_url: Some(Arc::new("http://x".parse().unwrap())),
            files: Files::temporary(settings.files.limits()),
            outbound: Outbound::new(Vec::new(), acceptor.tasks.clone(), acceptor.stop.clone()),
            push: None,
            templates: Arc::default(),
        };
        let service = Arc::new(Http::new(app));
        let (http, incoming) = incoming();
        runtime.spawn(acceptor.clone().accept(
            incoming,
            Listener::Http,
            Refusals::default(),
            move |stream| service.clone().serve(stream),
        ));
        let service = LineService::new(&config, Transport::Tcp);
        let (lines, incoming) = self::incoming();
        runtime.spawn(
            acceptor
                .accept(incoming, Listener::Tcp, Refusals::default(), move |s| service.serve(s)),
        );
        drop(entered);
        Self { runtime, http, lines, held: 0 }
    }

    /// Says all of it in pieces, and hears what comes until the server ends it or is silent for so
    /// long.
    pub(crate) fn converse(
        &mut self,
        service: Service,
        said: &[u8],
        piece: usize,
        silence: Duration,
    ) -> Heard {
        if self.held == CONVERSATIONS_MAX {
            *self = Self::start();
        }
        self.held += 1;
        let Self { runtime, http, lines, .. } = self;
        let to = match service {
            Service::Http => http,
            Service::Lines => lines,
        };
        runtime.block_on(async {
            let (near, far) = duplex(WAY_BYTES_MAX);
            to.send(far).await.unwrap();
            let (mut hears, mut says) = tokio::io::split(near);
            let (done, said_all) = oneshot::channel::<()>();
            let say = async {
                for piece in said.chunks(piece.max(1)) {
                    // A server may end a conversation before all was said.
                    if says.write_all(piece).await.is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
                // Once it has fallen silent it hears that nothing more comes.
                let _ = said_all.await;
                let _ = says.shutdown().await;
            };
            let hear = async {
                let mut bytes = Vec::new();
                let mut done = Some(done);
                while bytes.len() < HEARD_BYTES_MAX {
                    match timeout(silence, hears.read_buf(&mut bytes)).await {
                        Ok(Ok(1..)) => {}
                        Ok(Ok(0) | Err(_)) => return Heard { bytes, ended: true },
                        Err(_) if done.take().is_some() => {}
                        Err(_) => break,
                    }
                }
                Heard { bytes, ended: false }
            };
            tokio::join!(say, hear).1
        })
    }
}

/// Streams that come in without a network.
struct Incoming(Mutex<mpsc::Receiver<DuplexStream>>);

fn incoming() -> (mpsc::Sender<DuplexStream>, Incoming) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Incoming(Mutex::new(receiver)))
}

impl Accept for Incoming {
    type Stream = DuplexStream;

    async fn accept(&self, _: Timeouts) -> io::Result<(DuplexStream, Ends)> {
        match self.0.lock().await.recv().await {
            Some(stream) => {
                let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
                let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
                Ok((stream, Ends::internet(here, peer)))
            }
            None => std::future::pending().await,
        }
    }
}

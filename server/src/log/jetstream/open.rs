//! Opening: the connection, whether the servers will do, the stream as it has to be, and what a new
//! front begins with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Info;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerInfo, Subscriber};
use tokio::runtime::Builder;
use tokio::sync::watch;

use super::client::StreamClient;
use super::fronts::{NatsFronts, new_name};
use super::own::Own;
use super::payload::BESIDE_BYTES_MAX;
use super::stream::{self, Names};
use super::{ClusterFault, ClusterSettings, Contact, Counters, Shared, follow};
use crate::clock::unix_micros;
use crate::limits::TAIL_MESSAGES_MAX;
use crate::log::epochs::next;
use crate::log::{Epochs, Heads, Retention, Span};

/// Versions of nats-server: the first that stores a batch whole, and the first that can sync each
/// message to the disks of a replicated stream at a price that is worth it.
const VERSION_MIN: (u32, u32) = (2, 12);
const VERSION_DURABLE: (u32, u32) = (2, 15);
/// A server that is frozen is noticed after twice this time.
const PING_EVERY: Duration = Duration::from_secs(2);
/// Live messages that wait for the tail: what is beyond is fetched.
const LIVE_WAITING_MAX: usize = 65_536;
/// Messages that a new front has in memory from the start, for those who come back to it.
pub(super) const WARM_MESSAGES: u64 = TAIL_MESSAGES_MAX as u64 / 4;
/// How long the first contact may take.
const CONNECT_WAIT: Duration = Duration::from_secs(3);

/// Connects to one of the servers.
pub(super) async fn connect(
    settings: &ClusterSettings,
    looks: watch::Sender<u64>,
) -> Result<Client, ClusterFault> {
    let mut options = ConnectOptions::new()
        .name("doorbell")
        .ping_interval(PING_EVERY)
        .connection_timeout(CONNECT_WAIT)
        .subscription_capacity(LIVE_WAITING_MAX)
        .event_callback(move |event| {
            tracing::debug!(%event, "the connection to the cluster");
            let is_news =
                matches!(event, Event::Connected | Event::Disconnected | Event::SlowConsumer(_));
            if is_news {
                looks.send_modify(|looks| *looks += 1);
            }
            async {}
        });
    // An address may name a user, as addresses do.
    let user = settings
        .servers
        .iter()
        .find_map(|server| Some((server.username()?.to_owned(), server.password()?.to_owned())));
    if let Some((user, password)) = user {
        options = options.user_and_password(user, password);
    }
    if let Some(path) = &settings.credentials {
        options = options.credentials_file(path).await.map_err(|error| {
            let path = path.display();
            ClusterFault::Unfit(format!("the credentials {path} cannot be read: {error}"))
        })?;
    }
    if let Some(path) = &settings.ca {
        options = options.add_root_certificates(path.clone());
    }
    options.connect(&settings.servers[..]).await.map_err(|error| match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            ClusterFault::Unfit(format!("the NATS servers refuse the credentials: {error}"))
        }
        ConnectErrorKind::ServerParse | ConnectErrorKind::Tls => {
            ClusterFault::Unfit(error.to_string())
        }
        _ => ClusterFault::Away(format!("no NATS server answers: {error}")),
    })
}

/// The first two numbers of a version.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Whether a nats-server of this version can sync each message at a price that is worth it.
pub fn syncs_each_message(text: &str) -> bool {
    version(text).is_some_and(|own| own >= VERSION_DURABLE)
}

impl Shared {
    /// Opens the log over a connection, with what its tail begins with.
    pub(super) async fn open(
        client: Client,
        settings: &ClusterSettings,
        retention: Option<Retention>,
        looks: watch::Sender<u64>,
        asked: watch::Receiver<u64>,
    ) -> Result<(Arc<Self>, (Subscriber, u64)), ClusterFault> {
        let server = client.server_info();
        check_server(&server, settings)?;
        let not_durable = (!syncs_each_message(&server.version)).then(|| {
            let version = &server.version;
            format!("nats-server {version} does not sync each message: 2.15 with sync_interval: always does")
        });
        let source = StreamClient::new(client, Names { stream: settings.stream.clone() });
        let info = opened_stream(&source, settings, retention.as_ref()).await?;
        let epochs = stream::epochs(&info.config).map_err(ClusterFault::Unfit)?;
        // Before the end is asked for: what comes after that is told live.
        let live = source.client.subscribe(source.names.all_live()).await;
        let live = live.map_err(|error| ClusterFault::Away(error.to_string()))?;
        let own = new_name();
        let fronts = NatsFronts::begin(source.client.clone(), source.names.clone(), own.clone());
        let fronts = fronts.await.map_err(|error| ClusterFault::Away(error.to_string()))?;
        let shared = Arc::new(Self {
            epochs,
            created: info.created.to_string(),
            retention_age: info.config.max_age,
            replicas: settings.replicas,
            publish_wait: settings.publish_wait,
            heads: Heads::default(),
            heads_known: AtomicU64::new(0),
            feed: Mutex::default(),
            told: watch::Sender::new(0),
            end: watch::Sender::new(0),
            looks,
            first: AtomicU64::new(info.state.first_sequence.max(1)),
            bytes: AtomicU64::new(info.state.bytes),
            untold: AtomicU64::new(0),
            own: Own::new(own),
            fronts,
            contact: Mutex::new(Contact { last: Instant::now(), outage: None }),
            counters: Counters::default(),
            not_durable,
            monitored: settings.monitored.clone(),
            failure: OnceLock::new(),
            source,
        });
        if let Some(text) = &shared.not_durable {
            tracing::warn!("{text}");
        }
        let known = shared.read_heads().await?;
        shared.heads_known.store(known, Ordering::Relaxed);
        let info = shared.source.info().await?;
        let info = info.ok_or_else(|| ClusterFault::Away("the stream is gone".to_owned()))?;
        shared.note_state(&info);
        let (first, last) = (info.state.first_sequence.max(1), info.state.last_sequence);
        shared.heads.restore_forgotten(first - 1);
        // All that the heads have is told before anybody asks for it.
        let from = known.min(last.saturating_sub(WARM_MESSAGES)).max(first - 1);
        shared.told.send_replace(from);
        shared.end.send_modify(|end| *end = known.max(last).max(*end));
        #[allow(clippy::disallowed_methods, reason = "it ends with the log's own runtime")]
        tokio::spawn(follow::look(shared.clone(), asked));
        Ok((shared, (live, from)))
    }
}

/// Whether the server that was reached will do.
fn check_server(server: &ServerInfo, settings: &ClusterSettings) -> Result<(), ClusterFault> {
    let named = &server.version;
    if version(named).is_none_or(|own| own < VERSION_MIN) {
        let (major, minor) = VERSION_MIN;
        let text = format!("nats-server {named} is too old: {major}.{minor} or later is needed");
        return Err(ClusterFault::Unfit(text));
    }
    let most = server.max_payload.saturating_sub(BESIDE_BYTES_MAX);
    if settings.message_bytes > most {
        let text = format!(
            "--message-bytes {} is above {most}, which the max_payload {} of the NATS servers leaves",
            settings.message_bytes, server.max_payload
        );
        return Err(ClusterFault::Unfit(text));
    }
    Ok(())
}

/// The stream, which is made if it is not there and a retention is given for it.
async fn opened_stream(
    source: &StreamClient,
    settings: &ClusterSettings,
    retention: Option<&Retention>,
) -> Result<Info, ClusterFault> {
    let wanted = |keep: &Retention, epochs: &Epochs| {
        stream::wanted(&source.names, settings.replicas, keep, epochs)
    };
    let found = match (source.info().await?, retention) {
        (Some(found), _) => found,
        (None, None) => {
            return Err(ClusterFault::Unfit(format!("there is no stream {}", settings.stream)));
        }
        (None, Some(keep)) => {
            let epochs = Epochs::of_new_log(unix_micros());
            match source.create(&wanted(keep, &epochs)).await {
                Ok(info) => info,
                // Another front may have made it just now.
                Err(fault) => source.info().await?.ok_or(fault)?,
            }
        }
    };
    let epochs = stream::epochs(&found.config).map_err(ClusterFault::Unfit)?;
    let Some(keep) = retention else { return Ok(found) };
    let wanted = wanted(keep, &epochs);
    let told = stream::differences(&wanted, &found.config);
    if !told.is_empty() {
        let text = format!("the stream {} is another: {}", settings.stream, told.join("; "));
        return Err(ClusterFault::Unfit(text));
    }
    match stream::with_retention(&wanted, &found.config) {
        None => Ok(found),
        Some(config) => {
            tracing::info!("the stream's retention is changed to that of the settings");
            Ok(source.update(&config).await?)
        }
    }
}

/// Begins a new epoch of a stream, as after one was put back to an earlier state.
///
/// # Errors
///
/// The cluster is not there, or the stream is none of ours.
pub fn begin_epoch(settings: &ClusterSettings) -> Result<String, ClusterFault> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ClusterFault::Unfit(error.to_string()))?;
    runtime.block_on(async {
        let client = connect(settings, watch::Sender::new(0)).await?;
        let source = StreamClient::new(client, Names { stream: settings.stream.clone() });
        let info = source.info().await?;
        let none = || ClusterFault::Unfit(format!("there is no stream {}", settings.stream));
        let info = info.ok_or_else(none)?;
        let mut epochs = stream::epochs(&info.config).map_err(ClusterFault::Unfit)?;
        let epoch = next(Some(epochs.current()), unix_micros(), false);
        let epoch = epoch.ok_or_else(|| ClusterFault::Unfit("there are no more epochs".into()))?;
        epochs.push(Span { epoch, from: info.state.last_sequence, torn: false });
        let mut config = info.config;
        config.metadata.extend(stream::metadata(&epochs));
        source.update(&config).await?;
        Ok(epoch.to_string())
    })
}

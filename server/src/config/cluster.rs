//! The settings of a log on several machines.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;
use clap::Args;
use tokio::sync::watch;
use url::Url;

use super::to_usize;
use crate::log::ClusterSettings;

/// Where the log is, if it is on others.
#[derive(Debug, Clone, Args)]
pub struct ClusterArguments {
    /// NATS servers with JetStream that have the log (nats://HOST:PORT or tls://HOST:PORT): this
    /// server is a front of them then, and keeps nothing
    #[arg(long, value_name = "URL,…", env = "DOORBELL_CLUSTER", global = true, value_delimiter = ',',
        value_parser = address)]
    pub cluster: Vec<ServerAddr>,

    /// Name of the stream that is the log
    #[arg(long, value_name = "NAME", env = "DOORBELL_CLUSTER_STREAM", global = true, default_value = "doorbell",
        value_parser = stream_name)]
    pub cluster_stream: String,

    /// NATS servers that hold each message
    #[arg(long, value_name = "COUNT", env = "DOORBELL_CLUSTER_REPLICAS", global = true, default_value_t = 3,
        value_parser = clap::value_parser!(u8).range(1..=5))]
    pub cluster_replicas: u8,

    /// File with the credentials for NATS (.creds)
    #[arg(long, value_name = "FILE", env = "DOORBELL_CLUSTER_CREDENTIALS", global = true)]
    pub cluster_credentials: Option<PathBuf>,

    /// Certificate authority of the NATS servers, beside those that the system trusts
    #[arg(long, value_name = "FILE", env = "DOORBELL_CLUSTER_CA", global = true)]
    pub cluster_ca: Option<PathBuf>,

    /// Monitoring addresses of the NATS servers (http://HOST:PORT): they are asked whether each
    /// message is synced before it is acknowledged
    #[arg(long, value_name = "URL,…", env = "DOORBELL_CLUSTER_MONITOR", global = true,
        value_delimiter = ',', value_parser = monitor)]
    pub cluster_monitor: Vec<Url>,
}

impl ClusterArguments {
    /// Whether the log is on others.
    pub fn is_on(&self) -> bool {
        !self.cluster.is_empty()
    }

    /// What a front has to know, without what its servers say where they are monitored.
    pub fn settings(&self, message_bytes: u64, publish_wait: Duration) -> ClusterSettings {
        ClusterSettings {
            servers: self.cluster.clone(),
            stream: self.cluster_stream.clone(),
            replicas: self.cluster_replicas.into(),
            credentials: self.cluster_credentials.clone(),
            ca: self.cluster_ca.clone(),
            message_bytes: to_usize(message_bytes),
            publish_wait,
            monitored: watch::channel(None).1,
        }
    }
}

fn address(text: &str) -> Result<ServerAddr, String> {
    let wrong = || format!("{text} is no address of a NATS server such as nats://10.0.0.5:4222");
    let address: ServerAddr = text.parse().map_err(|_| wrong())?;
    let is_known = ["nats", "tls"].contains(&address.scheme());
    if is_known { Ok(address) } else { Err(wrong()) }
}

/// The address of a server's status.
fn monitor(text: &str) -> Result<Url, String> {
    let wrong = || format!("{text} is no monitoring address such as http://10.0.0.5:8222");
    let mut url: Url = text.parse().map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong());
    }
    url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().push("varz");
    Ok(url)
}

/// Also the beginning of its subjects, where some letters mean something.
fn stream_name(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=32).contains(&text.len()) && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("the name of a stream is 1 to 32 letters, digits, _ and -".to_owned())
    }
}

//! What the NATS servers that have the log say of themselves: whether each message is synced to
//! their disks before it is acknowledged, which a client of theirs cannot see.

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::Method;
use hyper::header::HeaderMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use url::{Position, Url};

use super::client::{Client, OutboundRequest};
use crate::limits::{CLUSTER_MONITOR_LOOK, CLUSTER_MONITOR_WAIT};
use crate::log::syncs_each_message;
use crate::stop::Stop;

/// Looks after the servers of a cluster, by their monitoring addresses.
#[derive(Debug)]
pub struct ClusterMonitor {
    client: Client,
    servers: Vec<Server>,
    not_durable: watch::Sender<Option<String>>,
}

#[derive(Debug)]
struct Server {
    /// Where it says how it does.
    address: Url,
    /// Its own, as soon as it is known. It is for whoever runs the server.
    name: String,
    /// Why what it acknowledges may be lost with its power, by what it said last.
    fault: Option<String>,
}

/// A part of what a server says.
#[derive(Deserialize)]
struct Said {
    server_name: String,
    version: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Deserialize, Default)]
struct JetStream {
    #[serde(default)]
    config: Storage,
}

#[derive(Deserialize, Default)]
struct Storage {
    #[serde(default)]
    sync_always: bool,
}

impl Said {
    fn fault(&self) -> Option<String> {
        let version = &self.version;
        if !self.jetstream.config.sync_always {
            let text = "a NATS server does not sync each message: sync_interval: always does";
            return Some(text.to_owned());
        }
        let is_old = !syncs_each_message(version);
        is_old.then(|| format!("a NATS server is {version}: 2.15 or later is needed"))
    }
}

impl Server {
    fn new(address: Url) -> Self {
        let name = address[Position::BeforeHost..Position::AfterPort].to_owned();
        let fault = "a NATS server has not said whether it syncs each message".to_owned();
        Self { address, name, fault: Some(fault) }
    }

    /// What it says now. One that says nothing is taken for what it was.
    async fn look(&mut self, client: &Client) {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        let url = self.address.clone();
        let request = OutboundRequest { method: Method::GET, url, headers, body };
        let said = match timeout(CLUSTER_MONITOR_WAIT, client.send(request)).await {
            Ok(Ok(answer)) => serde_json::from_slice::<Said>(&answer.body).map_err(|error| {
                format!("answered {}, which is no status of a NATS server: {error}", answer.status)
            }),
            Ok(Err(failure)) => Err(failure.to_string()),
            Err(_) => Err(format!("no answer within {} s", CLUSTER_MONITOR_WAIT.as_secs())),
        };
        match said {
            Ok(said) => (self.fault, self.name) = (said.fault(), said.server_name),
            Err(why) => tracing::debug!(server = self.name, why, "a NATS server cannot be asked"),
        }
    }
}

impl ClusterMonitor {
    /// Nothing is asked yet. Whoever runs this server has named the addresses, which may be any.
    pub fn new(addresses: Vec<Url>, not_durable: watch::Sender<Option<String>>) -> Self {
        let anywhere = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
        let client = Client::new(anywhere.to_vec());
        let servers: Vec<Server> = addresses.into_iter().map(Server::new).collect();
        not_durable.send_replace(servers.first().and_then(|server| server.fault.clone()));
        Self { client, servers, not_durable }
    }

    /// Asks all of them now and then, until the stop; tells the server's own log what is new.
    pub async fn keep(mut self, stop: Stop) {
        let mut told = None;
        while !self.servers.is_empty() {
            let look = join_all(self.servers.iter_mut().map(|server| server.look(&self.client)));
            if stop.run_until_cancelled(look).await.is_none() {
                return;
            }
            let faulty = self.servers.iter().find(|server| server.fault.is_some());
            let fault = faulty.and_then(|server| server.fault.clone());
            if told.as_ref() != Some(&fault) {
                match faulty {
                    Some(server) => tracing::warn!(server = server.name, fault, "not durable"),
                    None => tracing::info!("every NATS server syncs each message"),
                }
                self.not_durable.send_replace(fault.clone());
                told = Some(fault);
            }
            if stop.run_until_cancelled(sleep(CLUSTER_MONITOR_LOOK)).await.is_none() {
                return;
            }
        }
    }
}

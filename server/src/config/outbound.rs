//! The settings of what the server calls for somebody.

use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

use crate::http::BaseUrl;
use crate::proxy::Range;
use crate::relay::Upstream;

/// Whom it calls, and where they may be.
#[derive(Debug, Clone, Args)]
pub struct OutboundSettings {
    /// Networks that may be called for somebody beside the public internet: addresses or ranges
    #[arg(long, value_name = "CIDR,…", env = "DOORBELL_OUTBOUND_ALLOW", value_delimiter = ',')]
    pub outbound_allow: Vec<Range>,

    /// A server of the dialect that wakes phones: it is told the ids of messages, and no more;
    /// needs --base-url
    #[arg(long, value_name = "URL", env = "DOORBELL_UPSTREAM")]
    pub upstream: Option<BaseUrl>,

    /// File with a token by which this server is known there
    #[arg(long, value_name = "FILE", env = "DOORBELL_UPSTREAM_TOKEN_FILE")]
    pub upstream_token_file: Option<PathBuf>,
}

impl OutboundSettings {
    /// Networks that may be called.
    pub fn allowed(&self) -> Vec<IpNet> {
        self.outbound_allow.iter().map(|range| range.network()).collect()
    }

    /// The server that wakes phones, if there is one.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings.
    pub fn upstream(&self, base_url: Option<&BaseUrl>) -> Result<Option<Upstream>, String> {
        let Some((url, base_url)) = self.upstream.as_ref().zip(base_url) else { return Ok(None) };
        let token = self.upstream_token_file.as_deref();
        Upstream::new(url.as_str(), base_url.as_str(), token).map(Some)
    }

    /// Finds settings that make no sense together; `base_url` is the server's own address.
    ///
    /// # Errors
    ///
    /// The first of them.
    pub fn check(&self, base_url: Option<&BaseUrl>) -> Result<(), String> {
        let Self { upstream, upstream_token_file, .. } = self;
        if let (Some(upstream), None) = (upstream, base_url) {
            let upstream = upstream.as_str();
            return Err(format!(
                "--upstream {upstream} needs --base-url, the server's own address"
            ));
        }
        if let (None, Some(file)) = (upstream, upstream_token_file) {
            let file = file.display();
            return Err(format!("--upstream-token-file {file} is of no use without --upstream"));
        }
        Ok(())
    }
}

//! The instance metadata service (IMDSv2): who this instance is, and its ENIs as a hint. Must not: retry, remember an
//! answer, fall back to requests without token. Driven by: `ipamd`'s IMDS runner and the start of a program.
//!
//! Paths and which of them may be missing: ipamd.md §2.3. A field of an ENI that is missing (404) is absent: IMDS lags
//! behind an attach and a detach, for seconds or minutes.

mod source;

use crate::client::{InvalidEndpoint, checked};
use aws_config::provider_config::ProviderConfig;
use aws_sdk_ec2::config::SharedHttpClient;
use model::card::{DeviceIndex, NetworkCard};
use model::imds::{ImdsInterface, InstanceMetadata};
use model::mac::Mac;
use source::Source;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// Where IMDS answers on every instance.
const ENDPOINT: &str = "http://169.254.169.254";

/// Longest wait for one connection or answer; a fetch's own deadline can only be shorter.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

const IDENTITY_DOCUMENT: &str = "/latest/dynamic/instance-identity/document";
const INTERFACES: &str = "network/interfaces/macs/";

/// What could not be learned from IMDS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImdsError {
    /// IMDS has no such path (404), and nothing works without it.
    #[error("IMDS has no {path}")]
    Missing {
        /// The path.
        path: String,
    },
    /// IMDS refused or could not be reached.
    #[error("fetch {path} from IMDS: {problem}")]
    Unreachable {
        /// The path.
        path: String,
        /// Status or what the network said.
        problem: String,
    },
    /// The value is not what the path promises.
    #[error("IMDS says {value:?} at {path}: {problem}")]
    Unreadable {
        /// The path.
        path: String,
        /// What was read, cut.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The deadline passed.
    #[error("IMDS did not answer everything within {0:?}")]
    Deadline(Duration),
}

/// The metadata service of this instance.
#[derive(Debug, Clone)]
pub struct Imds {
    endpoint: String,
    http: SharedHttpClient,
}

impl Imds {
    /// `endpoint` replaces the address that IMDS has on every instance.
    pub fn new(endpoint: Option<&str>) -> Result<Self, InvalidEndpoint> {
        let http = aws_smithy_http_client::Builder::new().build_http();
        Ok(Self {
            endpoint: checked(endpoint.unwrap_or(ENDPOINT))?,
            http,
        })
    }

    /// Everything this node needs to know, in at most `deadline` altogether: 11 requests, 5 more for each ENI, and one
    /// for the token.
    pub async fn fetch_metadata(&self, deadline: Duration) -> Result<InstanceMetadata, ImdsError> {
        // A token of its own for each fetch: a remembered one outlives its validity when the wall clock is set back.
        let source = Source(self.client(1));
        let outcome = tokio::time::timeout(deadline, Box::pin(metadata(&source))).await;
        outcome.unwrap_or(Err(ImdsError::Deadline(deadline)))
    }

    /// The primary ENI's hardware address, by which its link is known: one request, and one for the token.
    pub async fn fetch_primary_mac(&self, deadline: Duration) -> Result<Mac, ImdsError> {
        let source = Source(self.client(1));
        let outcome = tokio::time::timeout(deadline, Box::pin(source.required("mac"))).await;
        outcome.unwrap_or(Err(ImdsError::Deadline(deadline)))
    }

    /// For the role's credentials. These may be asked for twice: without them no call can be made at all.
    pub(crate) fn credentials_client(&self) -> aws_config::imds::Client {
        self.client(2)
    }

    fn client(&self, attempts: u32) -> aws_config::imds::Client {
        let config = ProviderConfig::without_region().with_http_client(self.http.clone());
        let builder = aws_config::imds::Client::builder()
            .configure(&config)
            .max_attempts(attempts);
        builder
            .endpoint(&self.endpoint)
            .expect("the endpoint was checked")
            // Short, so that a clock that is set back makes no remembered token outlive its validity by more.
            .token_ttl(Duration::from_secs(300))
            .connect_timeout(REQUEST_TIMEOUT)
            .read_timeout(REQUEST_TIMEOUT)
            .operation_attempt_timeout(REQUEST_TIMEOUT)
            .operation_timeout(REQUEST_TIMEOUT * attempts)
            .build()
    }
}

async fn metadata(source: &Source) -> Result<InstanceMetadata, ImdsError> {
    let primary_mac: Mac = source.required("mac").await?;
    let of_primary = |field: &str| format!("{INTERFACES}{primary_mac}/{field}");
    Ok(InstanceMetadata {
        instance: source.required("instance-id").await?,
        instance_type: source.required("instance-type").await?,
        region: region(source).await?,
        zone: source.required("placement/availability-zone").await?,
        local_ipv4: source.required("local-ipv4").await?,
        primary_mac,
        vpc: source.required(&of_primary("vpc-id")).await?,
        subnet: source.required(&of_primary("subnet-id")).await?,
        vpc_cidrs: source
            .required_list(&of_primary("vpc-ipv4-cidr-blocks"))
            .await?,
        groups: source.list(&of_primary("security-group-ids")).await?,
        interfaces: interfaces(source).await?,
    })
}

async fn region(source: &Source) -> Result<String, ImdsError> {
    let text = source
        .fetch(IDENTITY_DOCUMENT)
        .await?
        .ok_or_else(|| ImdsError::Missing {
            path: IDENTITY_DOCUMENT.into(),
        })?;
    let document: Result<serde_json::Value, _> = serde_json::from_str(&text);
    let document = document.map_err(|error| unreadable(IDENTITY_DOCUMENT, &text, error))?;
    let region = document
        .get("region")
        .and_then(serde_json::Value::as_str)
        .filter(|region| !region.is_empty());
    region
        .map(str::to_owned)
        .ok_or_else(|| unreadable(IDENTITY_DOCUMENT, &text, "it has no region"))
}

async fn interfaces(source: &Source) -> Result<Vec<ImdsInterface>, ImdsError> {
    let listing = source
        .text(INTERFACES)
        .await?
        .ok_or_else(|| source.missing(INTERFACES))?;
    let mut interfaces = Vec::new();
    for entry in listing.split_whitespace() {
        let mac = entry.trim_end_matches('/');
        let mac = mac
            .parse()
            .map_err(|error| unreadable(&Source::path(INTERFACES), entry, error))?;
        interfaces.push(interface(source, mac).await?);
    }
    Ok(interfaces)
}

async fn interface(source: &Source, mac: Mac) -> Result<ImdsInterface, ImdsError> {
    let path = |field: &str| format!("{INTERFACES}{mac}/{field}");
    Ok(ImdsInterface {
        mac,
        id: source.optional(&path("interface-id")).await?,
        index: source
            .optional(&path("device-number"))
            .await?
            .map(DeviceIndex),
        card: NetworkCard(
            source
                .optional(&path("network-card"))
                .await?
                .unwrap_or_default(),
        ),
        subnet_cidr: source.optional(&path("subnet-ipv4-cidr-block")).await?,
        addresses: source.list(&path("local-ipv4s")).await?,
    })
}

fn parse<T: FromStr<Err: Display>>(path: &str, text: &str) -> Result<T, ImdsError> {
    text.parse().map_err(|error| unreadable(path, text, error))
}

fn unreadable(path: &str, text: &str, problem: impl Display) -> ImdsError {
    ImdsError::Unreadable {
        path: path.to_owned(),
        value: text.chars().take(80).collect(),
        problem: problem.to_string(),
    }
}

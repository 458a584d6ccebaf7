//! How the SDK's clients are built: one TLS stack, no retries, credentials of the default chain. Must not: send anything.
//! Driven by: the start of a program.
//!
//! Credentials are looked for in the order environment, profile files, web identity token (IRSA), container endpoint
//! (EKS Pod Identity), role of the instance. Profiles that start a process or use SSO are not supported: the features
//! are off and such a profile is an error of each call.

use crate::imds::Imds;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region};
use aws_sdk_ec2::config::SharedHttpClient;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::time::Duration;

/// The name in the user agent of every call, as upstream's, so that filters on CloudTrail records keep working.
const APP_NAME: &str = "amazon-vpc-cni-k8s";

/// Longest wait for a TCP connection; a call's own deadline can only be shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// EC2 in one region.
#[derive(Debug, Clone)]
pub struct Ec2 {
    pub(crate) client: aws_sdk_ec2::Client,
}

/// An endpoint that is not a URL with a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("endpoint {0:?} is not a URL like http://host:port")]
pub struct InvalidEndpoint(pub(crate) String);

impl Ec2 {
    /// A client for `region`, or for `endpoint` with requests signed for `region`. Sends nothing, but reads the
    /// machine's root certificates (16 ms): build it once. `imds` is where the role's credentials come from.
    pub async fn new(
        region: &str,
        endpoint: Option<&str>,
        imds: &Imds,
    ) -> Result<Self, InvalidEndpoint> {
        let endpoint = endpoint.map(checked).transpose()?;
        let region = Region::new(region.to_owned());
        let http = https();
        let credentials = credentials(&region, &http, imds).await;
        let shared = aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            .http_client(http)
            .credentials_provider(credentials)
            .app_name(AppName::new(APP_NAME).expect("letters and dashes"))
            // The machine alone decides about a second attempt: budgets, intents and the simulator see every call.
            .retry_config(RetryConfig::disabled())
            // Whole calls have deadlines; a slow body needs no second opinion.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .build(),
            )
            .load()
            .await;
        let mut config = aws_sdk_ec2::config::Builder::from(&shared);
        config.set_endpoint_url(endpoint.or_else(|| shared.endpoint_url().map(str::to_owned)));
        Ok(Self {
            client: aws_sdk_ec2::Client::from_conf(config.build()),
        })
    }
}

async fn credentials(
    region: &Region,
    http: &SharedHttpClient,
    imds: &Imds,
) -> DefaultCredentialsChain {
    let config = ProviderConfig::without_region()
        .with_region(Some(region.clone()))
        .with_http_client(http.clone());
    let imds = imds.credentials_client();
    DefaultCredentialsChain::builder()
        .region(region.clone())
        .configure(config)
        .imds_client(imds)
        .build()
        .await
}

/// Speaks both https and, for an endpoint of that scheme, http.
fn https() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// An endpoint without trailing slash.
pub(crate) fn checked(endpoint: &str) -> Result<String, InvalidEndpoint> {
    let rest = endpoint
        .strip_prefix("http://")
        .or_else(|| endpoint.strip_prefix("https://"));
    let host = rest
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_default();
    let strange = |c: char| !c.is_ascii_graphic() || matches!(c, '@' | '?' | '#' | '"' | '\\');
    if host.is_empty() || host.starts_with(':') || endpoint.contains(strange) {
        return Err(InvalidEndpoint(endpoint.chars().take(200).collect()));
    }
    Ok(endpoint.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_with_a_host() {
        for (good, want) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            (
                "https://vpce-1.ec2.eu-west-1.vpce.amazonaws.com/",
                "https://vpce-1.ec2.eu-west-1.vpce.amazonaws.com",
            ),
            ("http://[fd00:ec2::254]", "http://[fd00:ec2::254]"),
        ] {
            assert_eq!(checked(good).as_deref(), Ok(want));
        }
        for bad in [
            "",
            "ec2.amazonaws.com",
            "http://",
            "http:///x",
            "http://:80",
            "ftp://x",
            "http://a b",
            "http://u@h",
        ] {
            assert_eq!(checked(bad), Err(InvalidEndpoint(bad.to_owned())));
        }
    }
}

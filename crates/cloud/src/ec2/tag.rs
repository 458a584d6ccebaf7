//! Tags. Must not: know which tags there are. Driven by: [`super`].

use crate::error::outcome;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::Tag;
use model::error::CallError;
use model::id::EniId;
use std::collections::BTreeMap;

pub(super) async fn create(
    client: &Client,
    eni: &EniId,
    tags: &BTreeMap<String, String>,
) -> Result<(), CallError> {
    let request = client
        .create_tags()
        .resources(eni.as_str())
        .set_tags(Some(list(tags)));
    request.send().await.map_err(outcome).map(drop)
}

/// Sorted by key, so that a repeated create with the same token has the same body.
pub(super) fn list(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

/// What a describe lists; a tag without value has an empty one.
pub(super) fn map(tags: &[Tag]) -> BTreeMap<String, String> {
    let pair = |tag: &Tag| {
        Some((
            tag.key()?.to_owned(),
            tag.value().unwrap_or_default().to_owned(),
        ))
    };
    tags.iter().filter_map(pair).collect()
}

//! Filters of describes: which names there are, what each compares with, wildcards. Must not: see the account.

use super::{attachment_status, interface_status, interface_type};
use crate::eni::InterfaceView;
use crate::error::{Code, Error, value};
use crate::request::{Filter, Tags};
use crate::subnet::SubnetView;

/// Values one filter can have.
const FILTER_VALUES: usize = 200;

pub(super) fn check_filters(filters: &[Filter]) -> Result<(), Error> {
    if filters
        .iter()
        .map(|filter| filter.values.len())
        .sum::<usize>()
        > FILTER_VALUES
    {
        let text = format!(
            "The maximum number of filter values specified on a single call is {FILTER_VALUES}"
        );
        return Err(Error::new(Code::FilterLimitExceeded, text));
    }
    Ok(())
}

pub(super) fn unknown_filter(name: &str) -> Error {
    value(format!("The filter '{name}' is invalid"))
}

pub(super) fn all_match(
    filters: &[Filter],
    values: impl Fn(&str) -> Option<Vec<String>>,
) -> Result<bool, Error> {
    for filter in filters {
        let values = values(&filter.name).ok_or_else(|| unknown_filter(&filter.name))?;
        let hit = |value: &String| {
            filter
                .values
                .iter()
                .any(|pattern| glob(pattern.as_bytes(), value.as_bytes()))
        };
        if !values.iter().any(hit) {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) const INTERFACE_FILTERS: &[&str] = &[
    "addresses.private-ip-address",
    "attachment.attachment-id",
    "attachment.delete-on-termination",
    "attachment.device-index",
    "attachment.instance-id",
    "attachment.status",
    "availability-zone",
    "description",
    "group-id",
    "interface-type",
    "mac-address",
    "network-interface-id",
    "owner-id",
    "private-ip-address",
    "status",
    "subnet-id",
    "tag-key",
    "vpc-id",
];

/// The values a filter compares with; `None`: no such filter.
pub(super) fn interface_values(view: &InterfaceView, name: &str) -> Option<Vec<String>> {
    let eni = &view.interface;
    let bound = eni.attachment.as_ref();
    let attached =
        |text: &dyn Fn(&crate::Attachment) -> String| bound.map(text).into_iter().collect();
    Some(match name {
        "addresses.private-ip-address" => eni
            .addresses
            .iter()
            .map(|a| a.address.to_string())
            .collect(),
        "attachment.attachment-id" => attached(&|bound| bound.id.to_string()),
        "attachment.delete-on-termination" => {
            attached(&|bound| bound.delete_on_termination.to_string())
        }
        "attachment.device-index" => attached(&|bound| bound.index.0.to_string()),
        "attachment.instance-id" => attached(&|bound| bound.instance.to_string()),
        "attachment.status" => attached(&|_| attachment_status(view.status).to_owned()),
        "availability-zone" => vec![eni.zone.clone()],
        "description" => vec![eni.description.clone()],
        "group-id" => eni.groups.iter().map(ToString::to_string).collect(),
        "interface-type" => vec![interface_type(eni.kind).to_owned()],
        "mac-address" => vec![eni.mac.to_string()],
        "network-interface-id" => vec![eni.id.to_string()],
        "owner-id" => vec![crate::ACCOUNT.to_owned()],
        "private-ip-address" => eni.primary().iter().map(ToString::to_string).collect(),
        "status" => vec![interface_status(view.status).to_owned()],
        "subnet-id" => vec![eni.subnet.to_string()],
        "vpc-id" => vec![eni.vpc.to_string()],
        other => return tag_values(&eni.tags, other),
    })
}

pub(super) fn subnet_values(view: &SubnetView, name: &str) -> Option<Vec<String>> {
    Some(match name {
        "availability-zone" => vec![view.zone.clone()],
        "cidr-block" => vec![view.record.cidr.to_string()],
        "state" => vec!["available".to_owned()],
        "subnet-id" => vec![view.record.id.to_string()],
        "vpc-id" => vec![view.vpc.to_string()],
        other => return tag_values(&view.record.tags, other),
    })
}

fn tag_values(tags: &Tags, name: &str) -> Option<Vec<String>> {
    match name.strip_prefix("tag:") {
        Some(key) => Some(tags.get(key).cloned().into_iter().collect()),
        None => (name == "tag-key").then(|| tags.keys().cloned().collect()),
    }
}

/// `*` is any text, `?` any one byte.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            glob(rest, text)
                || text
                    .split_first()
                    .is_some_and(|(_, tail)| glob(pattern, tail))
        }
        (Some((b'?', rest)), Some((_, tail))) => glob(rest, tail),
        (Some((byte, rest)), Some((other, tail))) => byte == other && glob(rest, tail),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn wildcards_match_as_ec2_documents() {
        for (pattern, text, want) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("aws-K8S-*", "aws-K8S-i-1", true),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*b*", "abc", true),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                want,
                "{pattern} {text}"
            );
        }
    }
}

//! The journal's text: whatever was announced is read back word for word, anything else is refused.

use super::*;
use model::call::{Call, CreateInterface, Scope};
use model::card::{DeviceIndex, NetworkCard};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::FromStr;

fn id<T: FromStr<Err: Debug> + Debug>(prefix: &'static str) -> impl Strategy<Value = T> {
    (0..=u64::MAX).prop_map(move |number| {
        format!("{prefix}{number:017x}")
            .parse()
            .expect("well formed")
    })
}

fn tags() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map(any::<String>(), any::<String>(), 0..4)
}

fn creates() -> impl Strategy<Value = Call> {
    let groups = proptest::collection::vec(id("sg-"), 1..4);
    (
        id("cni-"),
        id("subnet-"),
        groups,
        any::<String>(),
        tags(),
        any::<u32>(),
    )
        .prop_map(
            |(token, subnet, groups, description, tags, secondary_addresses)| {
                Call::CreateInterface(CreateInterface {
                    token,
                    subnet,
                    groups,
                    description,
                    tags,
                    secondary_addresses,
                })
            },
        )
}

fn mutations() -> impl Strategy<Value = Call> {
    let attach = (id("eni-"), id("i-"), any::<u8>(), any::<u8>()).prop_map(
        |(eni, instance, index, card)| Call::AttachInterface {
            eni,
            instance,
            index: DeviceIndex(index),
            card: NetworkCard(card),
        },
    );
    let attachment = || (id("eni-"), id("eni-attach-"));
    prop_oneof![
        creates(),
        attach,
        attachment().prop_map(|(eni, attachment)| Call::DeleteOnTermination { eni, attachment }),
        attachment().prop_map(|(eni, attachment)| Call::DetachInterface { eni, attachment }),
        id("eni-").prop_map(|eni| Call::DeleteInterface { eni }),
        (id("eni-"), any::<u32>()).prop_map(|(eni, count)| Call::AssignAddresses { eni, count }),
        (id("eni-"), any::<Vec<std::net::Ipv4Addr>>())
            .prop_map(|(eni, addresses)| Call::UnassignAddresses { eni, addresses }),
        (id("eni-"), tags()).prop_map(|(eni, tags)| Call::CreateTags { eni, tags }),
    ]
}

fn journals() -> impl Strategy<Value = Vec<Intent>> {
    proptest::collection::btree_map(any::<u64>(), mutations(), 0..6).prop_map(|all| {
        all.into_iter()
            .map(|(number, call)| Intent { number, call })
            .collect()
    })
}

fn delete(number: u64) -> Intent {
    Intent {
        number,
        call: Call::DeleteInterface {
            eni: "eni-1".parse().expect("id"),
        },
    }
}

#[test]
fn the_file_is_one_line_of_json_with_the_whole_call() {
    let text = String::from_utf8(encode(&[delete(7)])).unwrap();
    assert_eq!(
        text,
        "{\"version\":\"vpc-cni-intents/1\",\"intents\":[{\"number\":7,\"call\":{\"DeleteInterface\":{\"eni\":\"eni-1\"}}}]}\n"
    );
    assert_eq!(
        decode(b"{\"version\":\"vpc-cni-intents/1\",\"intents\":[]}"),
        Ok(vec![])
    );
}

#[test]
fn another_version_is_refused_whatever_its_intents_look_like() {
    let error = decode(br#"{"version":"vpc-cni-intents/2","intents":{"7":"new form"}}"#)
        .expect_err("another version");
    assert_eq!(
        error.to_string(),
        r#"journal has version "vpc-cni-intents/2", want "vpc-cni-intents/1""#
    );
}

#[test]
fn two_intents_with_one_number_are_refused() {
    assert_eq!(
        decode(&encode(&[delete(7), delete(8), delete(7)])),
        Err(DecodeError::DuplicateNumber(7))
    );
}

#[test]
fn a_call_that_changes_nothing_was_never_announced() {
    let call = Call::DescribeInterfaces(Scope::AttachedTo("i-1".parse().expect("id")));
    let error = decode(&encode(&[Intent { number: 3, call }]))
        .expect_err("a read")
        .to_string();
    assert_eq!(
        error,
        "journal's intent 3 is to describe ENIs attached to i-1, which changes nothing"
    );
}

#[test]
fn an_unknown_call_or_a_malformed_identifier_is_refused_by_name() {
    for (call, want) in [
        (r#"{"Reboot":{"eni":"eni-1"}}"#, "Reboot"),
        (r#"{"DeleteInterface":{"eni":"vpc-1"}}"#, "vpc-1"),
        (r#"{"AssignAddresses":{"eni":"eni-1"}}"#, "count"),
    ] {
        let text = format!(
            r#"{{"version":"vpc-cni-intents/1","intents":[{{"number":1,"call":{call}}}]}}"#
        );
        let error = decode(text.as_bytes()).expect_err(call).to_string();
        assert!(
            error.starts_with("journal is not readable: ") && error.contains(want),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(journal in journals()) {
        prop_assert_eq!(decode(&encode(&journal)), Ok(journal));
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(bytes in any::<Vec<u8>>()) {
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn a_damaged_file_is_read_or_refused_without_panic(
        journal in journals(), at in any::<proptest::sample::Index>(), byte in any::<u8>()
    ) {
        let mut bytes = encode(&journal);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes);
    }
}

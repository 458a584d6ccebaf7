//! The checkpoint's text against upstream's format, word for word, and against anything else one may find in a file.

use super::*;
use proptest::prelude::*;

/// ipamd.md §3.5, the worked example.
const UPSTREAMS: &str = r#"{"version":"vpc-cni-ipam/1","allocations":[{"networkName":"aws-cni","containerID":"5a1f9118a7125f87b4b0f2f601c0b55cfab8bcf28963bcf7c4ece3109a8b6b86","ifName":"eth0","ipv4":"192.168.9.106","allocationTimestamp":1718040000123456789,"metadata":{"k8sPodNamespace":"kube-system","k8sPodName":"coredns-57ff979f67-qqbdh","interfacesCount":1}}]}"#;

fn coredns() -> Allocation {
    Allocation {
        key: PodKey {
            network: "aws-cni".into(),
            container: "5a1f9118a7125f87b4b0f2f601c0b55cfab8bcf28963bcf7c4ece3109a8b6b86".into(),
            interface: "eth0".into(),
        },
        pod: PodName {
            namespace: "kube-system".into(),
            name: "coredns-57ff979f67-qqbdh".into(),
        },
        address: Ipv4Addr::new(192, 168, 9, 106),
        since: WallTime(1_718_040_000_123_456_789),
        interfaces: 1,
    }
}

/// A file whose allocations are these JSON texts.
fn file(entries: &str) -> String {
    format!(r#"{{"version":"vpc-cni-ipam/1","allocations":[{entries}]}}"#)
}

fn refusal(text: &str) -> String {
    decode(text.as_bytes()).expect_err(text).to_string()
}

#[test]
fn upstreams_worked_example_is_written_byte_for_byte_and_read_back() {
    let checkpoint = Checkpoint {
        allocations: vec![coredns()],
        extension: None,
    };
    assert_eq!(
        String::from_utf8(encode(&checkpoint)).unwrap(),
        format!("{UPSTREAMS}\n")
    );
    assert_eq!(decode(UPSTREAMS.as_bytes()), Ok(checkpoint));
}

#[test]
fn our_file_differs_from_upstreams_by_one_top_level_key() {
    let cooling = vec![Cooling {
        address: Ipv4Addr::new(192, 168, 9, 107),
        until: Instant(91_500),
    }];
    let extension = Some(Extension {
        boot_id: BootId("8f2a-01".into()),
        cooling,
    });
    let text = String::from_utf8(encode(&Checkpoint {
        allocations: vec![coredns()],
        extension,
    }))
    .unwrap();
    let ours =
        r#","extension":{"bootId":"8f2a-01","cooling":[{"ipv4":"192.168.9.107","until":91500}]}}"#;
    assert_eq!(
        text,
        format!("{}{ours}\n", UPSTREAMS.strip_suffix('}').unwrap())
    );
}

#[test]
fn an_empty_checkpoint_has_an_empty_array_and_an_unnamed_pod_has_empty_metadata() {
    assert_eq!(
        encode(&Checkpoint::default()),
        b"{\"version\":\"vpc-cni-ipam/1\",\"allocations\":[]}\n"
    );
    let unnamed = Allocation {
        pod: PodName::default(),
        interfaces: 0,
        ..coredns()
    };
    let text = String::from_utf8(encode(&Checkpoint {
        allocations: vec![unnamed],
        extension: None,
    }))
    .unwrap();
    assert!(text.contains(r#""metadata":{}"#), "{text}");
}

#[test]
fn key_names_are_matched_in_any_case_in_any_order_and_unknown_ones_are_ignored() {
    let text = r#" { "later":{"x":[1]}, "ALLOCATIONS":[{"Metadata":{"K8SPODNAME":"p","unknown":1,"k8spodnamespace":"n"},
        "IPV4":"10.0.0.9","allocationtimestamp":7,"IFNAME":"eth0","ContainerId":"c","NETWORKNAME":"net","color":"blue"}],
        "Version":"vpc-cni-ipam/1","Extension":{"BOOTID":"b","Cooling":[{"Until":3,"IPv4":"10.0.0.8"}]}} "#;
    let allocation = Allocation {
        key: PodKey {
            network: "net".into(),
            container: "c".into(),
            interface: "eth0".into(),
        },
        pod: PodName {
            namespace: "n".into(),
            name: "p".into(),
        },
        address: Ipv4Addr::new(10, 0, 0, 9),
        since: WallTime(7),
        interfaces: 1,
    };
    let cooling = vec![Cooling {
        address: Ipv4Addr::new(10, 0, 0, 8),
        until: Instant(3),
    }];
    let extension = Some(Extension {
        boot_id: BootId("b".into()),
        cooling,
    });
    assert_eq!(
        decode(text.as_bytes()),
        Ok(Checkpoint {
            allocations: vec![allocation],
            extension
        })
    );
}

#[test]
fn the_exact_spelling_of_a_key_wins() {
    let entry = r#"{"IPv4":"10.0.0.1","containerID":"c","ipv4":"10.0.0.2","ipV4":"10.0.0.3"}"#;
    let read = decode(file(entry).as_bytes()).expect("readable");
    assert_eq!(read.allocations[0].address, Ipv4Addr::new(10, 0, 0, 2));
}

#[test]
fn entries_of_older_releases_are_kept() {
    let migrated = r#"{"networkName":"_migrated-from-cri","containerID":"c1","ifName":"unknown","ipv4":"10.0.0.1","metadata":{}}"#;
    let without_metadata = r#"{"networkName":"aws-cni","containerID":"c2","ifName":"eth0","ipv4":"10.0.0.2","allocationTimestamp":5}"#;
    let without_count = r#"{"networkName":"aws-cni","containerID":"c3","ifName":"eth0","ipv4":"10.0.0.3","ipv6":"","metadata":{"k8sPodNamespace":"n","k8sPodName":"p"}}"#;
    let nulls = r#"{"networkName":"aws-cni","containerID":"c4","ifName":"eth0","ipv4":"10.0.0.4","ipv6":null,"metadata":null}"#;
    let read =
        decode(file(&[migrated, without_metadata, without_count, nulls].join(",")).as_bytes())
            .expect("readable");
    let seen: Vec<_> = read
        .allocations
        .iter()
        .map(|a| {
            (
                a.key.container.as_str(),
                a.pod.is_unnamed(),
                a.since.0,
                a.interfaces,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("c1", true, 0, 1),
            ("c2", true, 5, 1),
            ("c3", false, 0, 1),
            ("c4", true, 0, 1)
        ]
    );
    assert_eq!(read.allocations[0].key.network, "_migrated-from-cri");
    assert_eq!(read.extension, None);
}

#[test]
fn null_or_missing_allocations_are_none() {
    for text in [
        r#"{"version":"vpc-cni-ipam/1"}"#,
        r#"{"version":"vpc-cni-ipam/1","allocations":null,"extension":null}"#,
    ] {
        assert_eq!(decode(text.as_bytes()), Ok(Checkpoint::default()), "{text}");
    }
}

#[test]
fn an_address_may_be_held_and_cooling_at_once() {
    let text = file(r#"{"containerID":"c","ipv4":"10.0.0.1"}"#);
    let text = format!(
        r#"{},"extension":{{"cooling":[{{"ipv4":"10.0.0.1","until":1}}]}}}}"#,
        text.strip_suffix('}').unwrap()
    );
    let read = decode(text.as_bytes()).expect("readable");
    assert_eq!(
        (
            read.allocations.len(),
            read.extension.expect("present").cooling.len()
        ),
        (1, 1)
    );
}

#[test]
fn another_version_is_refused_by_name() {
    assert_eq!(
        refusal(r#"{"version":"vpc-cni-ipam/2"}"#),
        r#"checkpoint has version "vpc-cni-ipam/2", want "vpc-cni-ipam/1""#
    );
    assert_eq!(
        refusal("{}"),
        r#"checkpoint has version "", want "vpc-cni-ipam/1""#
    );
}

#[test]
fn what_is_not_an_object_is_refused() {
    let whole = &UPSTREAMS[..UPSTREAMS.len() - 1];
    for text in [
        "",
        "\0\0\0\0",
        "[]",
        "null",
        "7",
        "{",
        whole,
        &format!("{UPSTREAMS}{UPSTREAMS}"),
        &"[".repeat(100_000),
    ] {
        assert!(
            matches!(decode(text.as_bytes()), Err(DecodeError::Syntax(_))),
            "{:?}",
            &text[..text.len().min(40)]
        );
    }
}

#[test]
fn an_entry_that_cannot_be_represented_is_named() {
    let entry = |rest: &str| {
        file(&format!(
            r#"{{"networkName":"net","containerID":"c","ifName":"eth0",{rest}}}"#
        ))
    };
    for (rest, problem) in [
        (
            r#""ipv6":"2001:db8::1""#,
            "it holds the IPv6 address 2001:db8::1, and IPv6 is not supported",
        ),
        (
            r#""ipv4":"2001:db8::1""#,
            "it holds the IPv6 address 2001:db8::1, and IPv6 is not supported",
        ),
        (
            r#""ipv4":"10.0.0.256""#,
            r#"ipv4 "10.0.0.256" is not an IPv4 address"#,
        ),
        (r#""color":"blue""#, r#"ipv4 "" is not an IPv4 address"#),
        (r#""ipv4":17"#, "ipv4 is not a string"),
        (
            r#""ipv4":"10.0.0.1","allocationTimestamp":9223372036854775808"#,
            "allocationTimestamp is not an integer of 64 bits",
        ),
        (
            r#""ipv4":"10.0.0.1","allocationTimestamp":1.5"#,
            "allocationTimestamp is not an integer of 64 bits",
        ),
        (
            r#""ipv4":"10.0.0.1","metadata":[]"#,
            "metadata is not an object",
        ),
        (
            r#""ipv4":"10.0.0.1","metadata":{"k8sPodName":1}"#,
            "k8sPodName is not a string",
        ),
        (
            r#""ipv4":"10.0.0.1","metadata":{"interfacesCount":-1}"#,
            "interfacesCount -1 is out of range",
        ),
        (
            r#""ipv4":"10.0.0.1","metadata":{"interfacesCount":4294967296}"#,
            "interfacesCount 4294967296 is out of range",
        ),
    ] {
        assert_eq!(
            refusal(&entry(rest)),
            format!("checkpoint entry 0 (net/c/eth0): {problem}")
        );
    }
    assert_eq!(
        refusal(&file(r#"{"containerID":"c","ipv4":"10.0.0.1"},7"#)),
        "checkpoint entry 1 (no key): it is not an object"
    );
}

#[test]
fn a_broken_field_or_extension_is_named() {
    let extension = |text: &str| format!(r#"{{"version":"vpc-cni-ipam/1","extension":{text}}}"#);
    for (text, want) in [
        (
            r#"{"version":1}"#.to_owned(),
            "checkpoint: version is not a string",
        ),
        (
            r#"{"version":"vpc-cni-ipam/1","allocations":{}}"#.to_owned(),
            "checkpoint: allocations is not an array",
        ),
        (extension("[]"), "checkpoint: extension is not an object"),
        (
            extension(r#"{"bootId":1}"#),
            "checkpoint: bootId is not a string",
        ),
        (
            extension(r#"{"cooling":[{"ipv4":"10.0.0.1"}]}"#),
            "checkpoint: extension.cooling entry 0: until is not a natural number",
        ),
        (
            extension(r#"{"cooling":[{"ipv4":"10.0.0.1","until":-1}]}"#),
            "checkpoint: extension.cooling entry 0: until is not a natural number",
        ),
        (
            extension(r#"{"cooling":[{"until":1}]}"#),
            r#"checkpoint: extension.cooling entry 0: ipv4 "" is not an IPv4 address"#,
        ),
        (
            extension(r#"{"cooling":[1]}"#),
            "checkpoint: extension.cooling entry 0: it is not an object",
        ),
    ] {
        assert_eq!(refusal(&text), want);
    }
}

#[test]
fn two_entries_that_contradict_each_other_are_both_named() {
    let same_address =
        file(r#"{"containerID":"c1","ipv4":"10.0.0.1"},{"containerID":"c2","ipv4":"10.0.0.1"}"#);
    assert_eq!(
        refusal(&same_address),
        "checkpoint gives 10.0.0.1 to both /c1/ and /c2/"
    );
    let same_key =
        file(r#"{"containerID":"c1","ipv4":"10.0.0.1"},{"containerID":"c1","ipv4":"10.0.0.2"}"#);
    assert_eq!(
        refusal(&same_key),
        "checkpoint lists /c1/ twice, with 10.0.0.1 and 10.0.0.2"
    );
}

fn allocations() -> impl Strategy<Value = Vec<Allocation>> {
    let entry = (
        any::<[String; 5]>(),
        any::<u32>(),
        any::<i64>(),
        1..=u32::MAX,
    );
    proptest::collection::vec(entry, 0..6).prop_map(|entries| {
        let distinct =
            entries
                .into_iter()
                .enumerate()
                .map(|(index, (texts, address, since, interfaces))| {
                    let [network, container, interface, namespace, name] = texts;
                    let index = u32::try_from(index).expect("few entries");
                    Allocation {
                        key: PodKey {
                            network,
                            container: format!("{index}{container}"),
                            interface,
                        },
                        pod: PodName { namespace, name },
                        address: Ipv4Addr::from_bits(address & !7 | index),
                        since: WallTime(since),
                        interfaces,
                    }
                });
        distinct.collect()
    })
}

fn checkpoints() -> impl Strategy<Value = Checkpoint> {
    let cooling =
        proptest::collection::vec((any::<Ipv4Addr>(), any::<u64>()), 0..4).prop_map(|all| {
            all.into_iter()
                .map(|(address, until)| Cooling {
                    address,
                    until: Instant(until),
                })
                .collect()
        });
    let extension = (any::<String>(), cooling).prop_map(|(boot, cooling)| Extension {
        boot_id: BootId(boot),
        cooling,
    });
    (allocations(), proptest::option::of(extension)).prop_map(|(allocations, extension)| {
        Checkpoint {
            allocations,
            extension,
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(checkpoint in checkpoints()) {
        let bytes = encode(&checkpoint);
        prop_assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        prop_assert_eq!(decode(&bytes), Ok(checkpoint));
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(bytes in any::<Vec<u8>>()) {
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn a_torn_file_is_refused(checkpoint in checkpoints(), part in 0.0..1.0f64) {
        let bytes = encode(&checkpoint);
        // Without the last two bytes, `}` and the newline, the object is open.
        let keep = ((bytes.len() - 1) as f64 * part) as usize;
        prop_assert!(decode(&bytes[..keep]).is_err());
    }

    #[test]
    fn a_damaged_file_is_read_or_refused_without_panic(
        checkpoint in checkpoints(), at in any::<proptest::sample::Index>(), byte in any::<u8>()
    ) {
        let mut bytes = encode(&checkpoint);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes);
    }
}

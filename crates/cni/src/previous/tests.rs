//! Results of our plugin, of upstream's old and new ones, of chains, and of nobody.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn pod() -> PodName {
    PodName {
        namespace: "default".into(),
        name: "web-1".into(),
    }
}

fn of(mac: &str, marker_mac: &str, device: &str) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "interfaces": [
            {"name": "eni0761ccbeace"},
            {"name": "eth0", "mac": mac, "sandbox": "/run/netns/x"},
            {"name": "dummy0761ccbeace", "mac": marker_mac, "sandbox": device},
        ],
        "ips": [{"version": "4", "interface": 1, "address": "10.0.1.121/32"}],
        "dns": {}
    })
}

fn read(value: &Value) -> Result<Vec<Wired>, UnusablePrevious> {
    PreviousResult::parse(value)?.wired(&pod(), "eth0")
}

fn wired(address: &str, table: u32) -> Wired {
    linked(address, table, "eni0761ccbeace")
}

fn linked(address: &str, table: u32, host_link: &str) -> Wired {
    Wired {
        address: address.parse().unwrap(),
        table: RouteTable(table),
        host_link: host_link.to_owned(),
    }
}

#[test]
fn the_table_is_the_pod_links_mac() {
    assert_eq!(read(&of("2", "0", "1")), Ok(vec![wired("10.0.1.121", 2)]));
    assert_eq!(
        read(&of("254", "0", "0")),
        Ok(vec![wired("10.0.1.121", 254)])
    );
    assert_eq!(
        read(&of("10101", "0", "1")),
        Ok(vec![wired("10.0.1.121", 10_101)])
    );
}

#[test]
fn a_result_of_an_old_plugin_has_the_device_number_only() {
    assert_eq!(read(&of("", "0", "5")), Ok(vec![wired("10.0.1.121", 6)]));
    assert_eq!(read(&of("", "0", "0")), Ok(vec![wired("10.0.1.121", 254)]));
}

#[test]
fn entries_of_the_egress_plugin_are_passed_over() {
    let mut value = of("2", "0", "1");
    let interfaces = value["interfaces"].as_array_mut().unwrap();
    interfaces.extend([
        json!({"name": "veth1"}),
        json!({"name": "v6if0", "mac": "02:00:00:00:00:01"}),
    ]);
    value["ips"]
        .as_array_mut()
        .unwrap()
        .push(json!({"interface": 4, "address": "fd00::ac:1/128"}));
    assert_eq!(read(&value), Ok(vec![wired("10.0.1.121", 2)]));
}

#[test]
fn every_card_of_a_pod_is_found() {
    let value = json!({
        "interfaces": [
            {"name": "eni0761ccbeace"}, {"name": "eth0", "mac": "6"},
            {"name": "eni00000000000"}, {"name": "mNicIf1", "mac": "14"},
            {"name": "dummy0761ccbeace", "mac": "0", "sandbox": "5"},
        ],
        "ips": [{"interface": 1, "address": "10.0.1.1/32"}, {"interface": 3, "address": "10.0.2.1/32"}],
    });
    assert_eq!(
        read(&value),
        Ok(vec![
            wired("10.0.1.1", 6),
            linked("10.0.2.1", 14, "eni00000000000")
        ])
    );
}

#[test]
fn a_result_that_names_no_host_link_says_so() {
    let mut value = of("2", "0", "1");
    value["interfaces"][0]["sandbox"] = "/run/netns/y".into();
    assert_eq!(read(&value), Ok(vec![linked("10.0.1.121", 2, "")]));
}

#[test]
fn what_says_nothing_is_told_apart() {
    assert_eq!(
        read(&json!({})),
        Err(UnusablePrevious::NoMarker("dummy0761ccbeace".into()))
    );
    assert_eq!(
        read(&json!({"ip4": {"ip": "10.0.1.1/32"}})),
        Err(UnusablePrevious::NoMarker("dummy0761ccbeace".into()))
    );
    assert_eq!(
        read(&of("0", "7", "")),
        Err(UnusablePrevious::Branch("7".into()))
    );
    assert_eq!(
        read(&of("0", "xxx", "")),
        Err(UnusablePrevious::Branch("xxx".into()))
    );
    assert_eq!(
        read(&of("2", "0", "")),
        Err(UnusablePrevious::Device(String::new()))
    );
    assert_eq!(
        read(&of("02:00:00:00:00:01", "0", "1")),
        Err(UnusablePrevious::Table("02:00:00:00:00:01".into()))
    );
}

#[test]
fn a_pod_link_without_exactly_one_ipv4_address_is_passed_over() {
    for ips in [
        json!([]),
        json!([{"interface": 0, "address": "10.0.1.1/32"}]),
        json!([{"address": "10.0.1.1/32"}]),
        json!([{"interface": 1, "address": "fd00::1/128"}]),
        json!([{"interface": 1, "address": "10.0.1.1/32"}, {"interface": 1, "address": "10.0.1.2/32"}]),
    ] {
        let mut value = of("2", "0", "1");
        value["ips"] = ips;
        assert_eq!(read(&value), Ok(vec![]), "{value}");
    }
    let mut other = of("2", "0", "1");
    other["interfaces"][1]["name"] = json!("net1");
    assert_eq!(read(&other), Ok(vec![]));
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("dummy0761ccbeace")),
        Just(json!("0")),
        Just(json!("10.0.0.1/32")),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop_oneof![
            Just("interfaces"),
            Just("ips"),
            Just("name"),
            Just("mac"),
            Just("sandbox"),
            Just("address"),
            Just("interface")
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(key.prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_shape_panics(value in anything()) {
        let _ = read(&value);
    }
}

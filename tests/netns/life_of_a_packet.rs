//! Golden: the rules and tables of a node with one pod on its primary ENI and one on its second, as they are well known
//! from upstream, and the namespace of a pod. Compared whole: what is too much is found as well.

use e2e::kernel::Inside;
use e2e::stage::Stage;
use lab::node::Node;
use lab::vpc::Interface;
use std::net::Ipv4Addr;

/// SHA-1 of `default.web-0` and `default.web-1`, first 11 digits.
const LINKS: [&str; 2] = ["eni0d7763386da", "eni0761ccbeace"];

fn primary(eni: &Interface) -> Ipv4Addr {
    eni.primary().unwrap()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn a_pod_on_each_of_two_enis_gives_upstreams_rules_and_tables_and_one_more() {
    // A t3.nano has two ENIs with one secondary address each.
    let stage = Stage::one("netns/life-of-a-packet", "t3.nano");
    let daemon = stage.daemon(0, &[]);
    let (a, b) = (stage.pod(0, "web-0"), stage.pod(0, "web-1"));
    stage.settle(0, &daemon, 2);
    let (pod_a, pod_b, node) = (a.address, b.address, stage.node(0));
    let enis = stage.enis(0);
    let [p, s] = [&enis[0], &enis[1]].map(primary);
    let [link_a, link_b] = LINKS;
    let rules = [
        "0: from all lookup local".to_owned(),
        format!("512: from all to {pod_a} lookup main"),
        format!("512: from all to {pod_b} lookup main"),
        "1024: from all fwmark 0x80/0x80 lookup main".to_owned(),
        "1025: from all fwmark 0x8/0x78 lookup 2".to_owned(),
        format!("1536: from {pod_b} lookup 2"),
        format!("32765: from {s} lookup 2"),
        "32766: from all lookup main".to_owned(),
        "32767: from all lookup default".to_owned(),
    ];
    assert_eq!(node.rules(), rules);
    let service = |address: &str| {
        format!("local {address} dev lo table local proto kernel scope host src {address}")
    };
    let routes = vec![
        "default via 10.0.1.1 dev ens6 table 2".to_owned(),
        "10.0.1.1 dev ens6 table 2 scope link".to_owned(),
        format!("default via 10.0.1.1 dev ens5 proto dhcp src {p} metric 512"),
        format!("10.0.0.2 via 10.0.1.1 dev ens5 proto dhcp src {p} metric 512"),
        format!("10.0.1.0/24 dev ens5 proto kernel scope link src {p} metric 512"),
        format!("10.0.1.1 dev ens5 proto dhcp scope link src {p} metric 512"),
        format!("{pod_a} dev {link_a} scope link"),
        format!("{pod_b} dev {link_b} scope link"),
        format!("local {p} dev ens5 table local proto kernel scope host src {p}"),
        format!("local {s} dev ens6 table local proto kernel scope host src {s}"),
        format!("broadcast 10.0.1.255 dev ens5 table local proto kernel scope link src {p}"),
        format!("broadcast 10.0.1.255 dev ens6 table local proto kernel scope link src {s}"),
        "local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1".to_owned(),
        "local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1".to_owned(),
        "broadcast 127.255.255.255 dev lo table local proto kernel scope link src 127.0.0.1"
            .to_owned(),
        service("169.254.169.250"),
        service("169.254.169.254"),
    ];
    assert_eq!(sorted(node.routes("all")), sorted(routes));
    assert_eq!(sorted(node.links()), [link_b, link_a, "ens5", "ens6", "lo"]);
    assert_eq!(
        rp_filter(node, "ens5"),
        "2",
        "NodePort answers need the loose filter"
    );
    stage.stop(a);
    stage.stop(b);
}

fn rp_filter(node: &Node, link: &str) -> String {
    let path = format!("/proc/sys/net/ipv4/conf/{link}/rp_filter");
    let read = node
        .run(|| lab::command::run(&["cat", &path], ""))
        .unwrap()
        .unwrap();
    read.trim().to_owned()
}

#[test]
fn a_pod_has_one_address_two_routes_and_a_permanent_gateway() {
    let stage = Stage::one("netns/inside-a-pod", "t3.nano");
    let _daemon = stage.daemon(0, &[]);
    let pod = stage.pod(0, "web-0");
    let address = pod.address;
    let host_link = stage
        .node(0)
        .lines(&["-o", "link", "show", "dev", LINKS[0]])
        .concat();
    let host_mac = host_link
        .split("link/ether ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    assert!(
        host_link.contains("mtu 9001 qdisc noqueue state UP"),
        "{host_link}"
    );
    assert!(!host_link.contains("qlen"), "{host_link}");
    assert_eq!(pod.links(), ["lo", "eth0"]);
    let addresses = pod
        .lines(&["-4", "-o", "address", "show", "dev", "eth0"])
        .concat();
    assert!(
        addresses.contains(&format!("eth0 inet {address}/32 scope global eth0")),
        "{addresses}"
    );
    assert_eq!(
        pod.routes("main"),
        [
            "default via 169.254.1.1 dev eth0",
            "169.254.1.1 dev eth0 scope link"
        ]
    );
    let gateway = format!("169.254.1.1 dev eth0 lladdr {host_mac} PERMANENT");
    assert_eq!(pod.lines(&["-4", "neigh"]), [gateway]);
    let rules = [
        "0: from all lookup local",
        "32766: from all lookup main",
        "32767: from all lookup default",
    ];
    assert_eq!(pod.rules(), rules);
    let link = pod.lines(&["-o", "link", "show", "dev", "eth0"]).concat();
    assert!(link.contains("mtu 9001 qdisc noqueue state UP"), "{link}");
}

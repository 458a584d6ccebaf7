//! The pool and EC2: ENIs and addresses come when they are needed and go when they are not.

use e2e::daemon::PATIENCE;
use e2e::expect::{eventually, when};
use e2e::kernel::{Inside, naming};
use e2e::stage::Stage;
use e2e::traffic::reaches;
use lab::fabric::Naming;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

#[test]
fn an_eni_that_udev_renames_after_200_ms_becomes_usable() {
    let late = Naming::Udev(Duration::from_millis(200));
    let stage = Stage::new("netns/growth-rename", |scene| {
        scene.naming(late).node("t3.nano", "a").node("t3.nano", "b")
    });
    let (daemon, _other) = (stage.daemon(0, &[]), stage.daemon(1, &[]));
    let far = stage.pod(1, "z");
    let (first, second) = std::thread::scope(|scope| {
        let seen = scope.spawn(|| {
            eventually("the link appears under the kernel's name", PATIENCE, || {
                when(stage.node(0).links(), |links| {
                    links.iter().any(|link| link == "eth0")
                })
            })
        });
        let pods = (stage.pod(0, "a"), stage.pod(0, "b"));
        seen.join().unwrap();
        pods
    });
    stage.settle(0, &daemon, 2);
    let mac = stage.enis(0)[1].mac.to_string();
    let link = eventually("the link has udev's name", PATIENCE, || {
        let lines = stage.node(0).lines(&["-o", "link", "show"]);
        let found = lines.iter().find(|line| line.contains(&mac)).cloned();
        found.filter(|line| line.contains(": ens6: ")).ok_or(lines)
    });
    assert!(
        link.contains("mtu 9001") && link.contains("state U"),
        "{link}"
    );
    let table = [
        "default via 10.0.1.1 dev ens6",
        "10.0.1.1 dev ens6 scope link",
    ];
    assert_eq!(stage.node(0).routes("2"), table);
    reaches(&first, far.address, 3);
    reaches(&second, far.address, 3);
}

#[test]
fn twenty_adds_at_once_get_twenty_addresses_of_three_enis_with_few_calls() {
    let stage = Stage::one("netns/growth-burst", "m5.large");
    let daemon = stage.daemon(0, &[]);
    let pods: Vec<_> = std::thread::scope(|scope| {
        let stage = &stage;
        let adds: Vec<_> = (0..20)
            .map(|n| scope.spawn(move || stage.pod(0, &format!("web-{n}"))))
            .collect();
        adds.into_iter().map(|add| add.join().unwrap()).collect()
    });
    let addresses: BTreeSet<Ipv4Addr> = pods.iter().map(|pod| pod.address).collect();
    assert_eq!(addresses.len(), 20);
    stage.settle(0, &daemon, 3);
    let enis = stage.enis(0);
    assert!(
        addresses
            .iter()
            .all(|address| enis.iter().any(|eni| eni.has(*address)))
    );
    let calls = |action: &str| stage.journal().count(|record| record.action == action);
    assert_eq!(
        calls("CreateNetworkInterface"),
        2,
        "20 pods and a warm ENI fit into three"
    );
    assert!(
        calls("AssignPrivateIpAddresses") <= 3,
        "{}",
        calls("AssignPrivateIpAddresses")
    );
    for pair in pods.windows(2) {
        reaches(&pair[0], pair[1].address, 1);
    }
    pods.into_iter().for_each(|pod| stage.stop(pod));
}

/// Secondary addresses that EC2 has assigned to the first node.
fn assigned(stage: &Stage) -> usize {
    stage
        .enis(0)
        .iter()
        .map(|eni| eni.addresses.len() - 1)
        .sum()
}

#[test]
fn warm_ip_target_is_what_ec2_assigns_beyond_the_pods() {
    let stage = Stage::one("netns/growth-warm-ip", "m5.large");
    let _daemon = stage.daemon(0, &[("WARM_IP_TARGET", "2"), ("IP_COOLDOWN_PERIOD", "1")]);
    let becomes = |wanted: usize| {
        eventually(&format!("EC2 assigns {wanted}"), PATIENCE, || {
            when(assigned(&stage), |n| *n == wanted)
        });
    };
    becomes(2);
    let (a, b) = (stage.pod(0, "a"), stage.pod(0, "b"));
    becomes(4);
    stage.stop(a);
    becomes(3);
    assert!(
        stage.enis(0)[0].has(b.address),
        "what a pod holds is not given back"
    );
    assert_eq!(
        stage
            .journal()
            .count(|record| record.action == "CreateNetworkInterface"),
        0
    );
}

#[test]
fn an_eni_without_pods_is_detached_and_deleted_and_its_rule_and_table_go() {
    let stage = Stage::one("netns/growth-shrink", "t3.nano");
    let daemon = stage.daemon(0, &[("WARM_IP_TARGET", "1"), ("IP_COOLDOWN_PERIOD", "1")]);
    let node = stage.node(0);
    let (a, b) = (stage.pod(0, "a"), stage.pod(0, "b"));
    stage.settle(0, &daemon, 2);
    let second = stage.enis(0)[1].clone();
    let rule = format!("32765: from {} lookup 2", second.primary().unwrap());
    assert!(node.rules().contains(&rule), "{:?}", node.rules());
    stage.stop(b);
    stage.stop(a);
    // The daemon keeps an ENI for a minute at least.
    eventually("EC2 has one ENI less", Duration::from_secs(100), || {
        when(stage.enis(0).len(), |count| *count == 1)
    });
    eventually("it is deleted", PATIENCE, || {
        when(stage.vpc().interface(&second.id).is_none(), |gone| *gone)
    });
    eventually("its link is gone", PATIENCE, || {
        when(node.links(), |links| links == &["lo", "ens5"])
    });
    eventually("its rule is gone", PATIENCE, || {
        when(node.rules(), |rules| naming(rules, "2").is_empty())
    });
    assert_eq!(
        node.ip(&["-4", "route", "show", "table", "2"])
            .unwrap_or_default(),
        ""
    );
    daemon.says("ENI given back", |line| {
        line["eni_id"] == second.id.to_string()
    });
}

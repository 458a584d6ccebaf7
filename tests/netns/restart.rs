//! The daemon goes and comes back under running pods: traffic goes on, no address is lost or given twice.

use e2e::stage::Stage;
use e2e::traffic::{reaches, undisturbed};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;

/// Replaces the daemon of the first node while pods talk; returns what the new one says it took over.
fn replaced(test: &str, signal: Signal) {
    let stage = Stage::two(test, "t3.small");
    let (mut daemon, _other) = (stage.daemon(0, &[]), stage.daemon(1, &[]));
    let near: Vec<_> = ["a", "b", "c", "d"].map(|name| stage.pod(0, name)).into();
    let far = stage.pod(1, "z");
    let pairs = [
        (&near[0], near[1].address),
        (&near[0], far.address),
        (&near[3], far.address),
        (&far, near[3].address),
    ];
    let (fifth, echoes) = undisturbed(&pairs, || {
        daemon.signal(signal);
        let exit = daemon.ends();
        assert_eq!(exit, (signal == Signal::SIGTERM).then_some(0));
        daemon = stage.daemon(0, &[]);
        stage.pod(0, "e")
    });
    assert!(echoes > 4, "{echoes}");
    assert_eq!(daemon.serves()["restored"], 4);
    let all: BTreeSet<Ipv4Addr> = near.iter().chain([&fifth]).map(|pod| pod.address).collect();
    assert_eq!(all.len(), 5, "every pod has an address of its own: {all:?}");
    reaches(&fifth, far.address, 3);
    assert_eq!(daemon.lines("restored entry not taken over").len(), 0);
    near.into_iter()
        .chain([fifth])
        .for_each(|pod| stage.stop(pod));
}

#[test]
fn a_killed_daemon_comes_back_with_every_address_while_packets_flow() {
    replaced("netns/restart-kill", Signal::SIGKILL);
}

#[test]
fn a_stopped_daemon_comes_back_with_every_address_while_packets_flow() {
    replaced("netns/restart-term", Signal::SIGTERM);
}

#[test]
fn t20_a_broken_checkpoint_is_set_aside_and_addresses_of_running_pods_are_not_given_out() {
    let stage = Stage::one("netns/restart-corrupt", "t3.small");
    let daemon = stage.daemon(0, &[]);
    let old = [stage.pod(0, "a"), stage.pod(0, "b")];
    stage.settle(0, &daemon, 2);
    daemon.kill();
    let folder = stage.node(0).root().join("run/aws-node");
    fs::write(folder.join("ipam.json"), "{ no json").unwrap();
    let (daemon, _) = undisturbed(&[(&old[0], old[1].address)], || stage.daemon(0, &[]));
    let told = daemon.says("a state file cannot be used", |_| true);
    assert_eq!(told["file"], "/var/run/aws-node/ipam.json");
    assert_eq!(told["level"], "error");
    assert_eq!(
        fs::read_to_string(folder.join("ipam.json.corrupt-1")).unwrap(),
        "{ no json"
    );
    let taken = old.each_ref().map(|pod| pod.address);
    for name in ["c", "d", "e"] {
        let pod = stage.pod(0, name);
        assert!(
            !taken.contains(&pod.address),
            "{} has the address of a running pod",
            pod.address
        );
        reaches(&pod, taken[0], 1);
    }
    reaches(&old[0], taken[1], 1);
}

#[test]
fn an_add_that_meets_no_daemon_waits_for_it() {
    let stage = Stage::one("netns/restart-add", "m5.large");
    let sandbox = stage.sandbox(0, "web-0", "1.0.0");
    let running = sandbox.begin("ADD", e2e::stage::PLUGIN).unwrap();
    let _daemon = stage.daemon(0, &[]);
    let call = running.finish().unwrap();
    assert!(call.succeeded(), "{}", call.failure());
}

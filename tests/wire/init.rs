//! `ipamd init` as the init container runs it: plugins, sysctls, what an earlier boot left. Must not: start pods.

mod boots;
mod plugins;

use crate::init::plugins::Image;
use e2e::expect::{eventually, when};
use e2e::kernel::Inside;
use e2e::once::{Once, Said};
use e2e::stage::Stage;
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// T-16: how soon what is missing must be named.
const SOON: Duration = Duration::from_secs(10);
/// Where the node's runtime has its directories; a DaemonSet mounts them below /host.
const HOST: [(&str, &str); 2] = [
    ("HOST_CNI_BIN_PATH", "/opt/cni/bin"),
    ("HOST_CNI_CONFDIR_PATH", "/etc/cni/net.d"),
];

fn begin(stage: &Stage, image: &Image, extra: &[(&str, &str)]) -> Once {
    let mut variables = HOST.to_vec();
    variables.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
    variables.extend(extra);
    stage.begin(0, (&image.program(), &["init"]), &variables)
}

#[track_caller]
fn init(stage: &Stage, image: &Image, extra: &[(&str, &str)]) -> String {
    let said = begin(stage, image, extra).ends();
    assert_eq!(said.code, Some(0), "{}", said.output);
    said.output
}

/// A line of its output.
#[track_caller]
fn says(output: &str, line: &str) {
    let line = format!("ipamd init: {line}");
    assert!(
        output.lines().any(|said| said == line),
        "{line:?} in:\n{output}"
    );
}

/// A setting of the node.
fn setting(stage: &Stage, name: &str) -> String {
    let read = || fs::read_to_string(Path::new("/proc/sys").join(name));
    let text = stage.node(0).run(read).expect("the node is there");
    text.expect("the kernel has it").trim().to_owned()
}

fn set(stage: &Stage, name: &str, value: &str) {
    let write = || fs::write(Path::new("/proc/sys").join(name), value);
    let written = stage.node(0).run(write).expect("the node is there");
    written.expect("the kernel takes it");
}

fn primary(stage: &Stage) -> String {
    let mac = stage.enis(0)[0].mac.to_string();
    let lines = stage.node(0).lines(&["-o", "link"]);
    let line = lines.into_iter().find(|line| line.contains(&mac));
    let line = line.expect("a node has its primary link");
    line.split(": ").nth(1).unwrap().to_owned()
}

#[test]
fn the_nodes_settings_are_made_once_and_each_is_said() {
    let stage = Stage::one("wire/init-settings", "m5.large");
    let image = Image::new(&stage, "app", "one");
    let filter = format!("net/ipv4/conf/{}/rp_filter", primary(&stage));
    let (forward, demux) = ("net/ipv4/ip_forward", "net/ipv4/tcp_early_demux");
    for (name, value) in [(filter.as_str(), "1"), (forward, "0"), (demux, "1")] {
        set(&stage, name, value);
    }
    let off = [("DISABLE_TCP_EARLY_DEMUX", "true")];
    let output = init(&stage, &image, &off);
    says(&output, &format!("the primary link is {}", primary(&stage)));
    says(&output, &format!("{filter} was 1, now 2"));
    says(&output, &format!("{forward} was 0, now 1"));
    says(&output, &format!("{demux} was 1, now 0"));
    let values = [filter.as_str(), forward, demux].map(|name| setting(&stage, name));
    assert_eq!(values, ["2", "1", "0"]);
    let again = init(&stage, &image, &off);
    says(&again, &format!("{filter} is 2"));
    let output = init(&stage, &image, &[]);
    says(&output, &format!("{demux} was 0, now 1"));
}

/// Waits until it has said what is missing, within ten seconds.
#[track_caller]
fn waits_for(run: &mut Once, what: &str) {
    let line = format!("ipamd init: waiting for {what}");
    eventually(&format!("{line:?} is said"), SOON, || {
        when(run.output(), |output| {
            output.lines().any(|said| said.starts_with(&line))
        })
    });
    assert!(run.runs());
}

#[test]
fn t16_imds_and_the_primary_link_are_waited_for_by_name() {
    let stage = Stage::one("wire/init-waits", "m5.large");
    let image = Image::new(&stage, "app", "one");
    let (link, mac) = (primary(&stage), stage.enis(0)[0].mac.to_string());
    let set_mac = |mac: &str| {
        let command = ["ip", "link", "set", "dev", &link, "address", mac];
        let run = || lab::command::run(&command, "");
        let said = stage.node(0).run(run).expect("the node is there");
        said.unwrap_or_else(|error| panic!("{error}"));
    };
    set_mac("02:00:00:00:00:99");
    stage
        .vpc()
        .faults_mut()
        .fail_imds("/latest/meta-data/mac", 404);
    let mut run = begin(&stage, &image, &[]);
    let missing = "the instance metadata service: IMDS has no /latest/meta-data/mac";
    waits_for(&mut run, missing);
    stage.vpc().faults_mut().clear();
    waits_for(&mut run, &format!("the link of the primary ENI, {mac}"));
    set_mac(&mac);
    let said = run.ends();
    assert_eq!(said.code, Some(0), "{}", said.output);
    says(&said.output, &format!("the primary link is {link}"));
}

#[test]
fn one_that_waits_ends_when_it_is_told_to() {
    let stage = Stage::one("wire/init-stopped", "m5.large");
    let image = Image::new(&stage, "app", "one");
    stage.vpc().faults_mut().fail_imds("/mac", 503);
    let mut run = begin(&stage, &image, &[]);
    waits_for(&mut run, "the instance metadata service");
    run.signal(Signal::SIGTERM);
    let said = run.ends();
    assert_eq!(said.code, Some(1), "{}", said.output);
    assert!(said.output.contains("told to stop"), "{}", said.output);
}

#[test]
fn what_the_daemon_refuses_is_refused_all_at_once_and_nothing_is_touched() {
    let stage = Stage::one("wire/init-refused", "m5.large");
    let image = Image::new(&stage, "app", "one");
    let asked = [("ENABLE_IPv6", "true"), ("IP_COOLDOWN_PERIOD", "soon")];
    let Said { code, output } = begin(&stage, &image, &asked).ends();
    assert_eq!(code, Some(1), "{output}");
    for (name, value) in asked {
        let line = format!("ipamd: {name}={value}: ");
        assert!(
            output.lines().any(|said| said.starts_with(&line)),
            "{output}"
        );
    }
    assert_eq!(output.lines().count(), asked.len(), "{output}");
    assert!(!plugins::installed(&stage, "probe").exists());
    assert_eq!(stage.visits().lines().lines().count(), 0);
}

#[test]
fn a_setting_without_which_packets_are_lost_is_worth_a_failure() {
    let stage = Stage::one("wire/init-read-only", "m5.large");
    let image = Image::new(&stage, "app", "one");
    let name = format!("net/ipv4/conf/{}/rp_filter", primary(&stage));
    set(&stage, &name, "1");
    let read_only = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys";
    let run = || lab::command::run(&["sh", "-c", read_only], "");
    let said = stage.node(0).run(run).expect("the node is there");
    said.unwrap_or_else(|error| panic!("{error}"));
    let said = begin(&stage, &image, &[]).ends();
    assert_eq!(said.code, Some(1), "{}", said.output);
    let last = format!("ipamd init: set /proc/sys/{name} to 2: Read-only file system");
    assert!(said.output.contains(&last), "{}", said.output);
}

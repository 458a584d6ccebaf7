//! Bad input: a CNI error with the right code that names the thing, no panic, nothing changed.

use crate::raw;
use e2e::kernel::Inside;
use e2e::stage::Stage;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// One bad call and what it must be answered.
struct Case {
    what: &'static str,
    environment: Vec<(String, String)>,
    stdin: String,
    code: u64,
    names: &'static str,
}

fn with(
    mut environment: Vec<(String, String)>,
    name: &str,
    value: Option<&str>,
) -> Vec<(String, String)> {
    environment.retain(|(known, _)| known != name);
    environment.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    environment
}

fn configured(key: &str, value: Value) -> String {
    let mut config = raw::config();
    config[key] = value;
    config.to_string()
}

fn configurations(netns: &str) -> Vec<Case> {
    let mut nameless = raw::config();
    nameless.as_object_mut().unwrap().remove("name");
    let list = [
        (
            "no JSON",
            "{ \"name\"".to_owned(),
            6,
            "error unmarshall network config",
        ),
        ("no object", "[]".to_owned(), 6, ""),
        (
            "nothing",
            String::new(),
            6,
            "error unmarshall network config",
        ),
        ("no name", nameless.to_string(), 7, "missing network name"),
        ("bad name", configured("name", "a b".into()), 7, "a b"),
        (
            "long prefix",
            configured("vethPrefix", "toolong".into()),
            7,
            "vethPrefix",
        ),
        (
            "prefix no text",
            configured("vethPrefix", json!({})),
            7,
            "vethPrefix",
        ),
        ("mtu no number", configured("mtu", json!([])), 7, "mtu"),
        (
            "log on stdout",
            configured("pluginLogFile", "stdout".into()),
            7,
            "pluginLogFile",
        ),
        (
            "time",
            configured("addTimeoutSeconds", json!(-1)),
            7,
            "addTimeoutSeconds",
        ),
        (
            "version",
            configured("cniVersion", "9.9.9".into()),
            1,
            "9.9.9",
        ),
    ];
    list.map(|(what, stdin, code, names)| Case {
        what,
        environment: raw::environment(netns),
        stdin,
        code,
        names,
    })
    .into()
}

fn environments(netns: &str) -> Vec<Case> {
    let good = || raw::environment(netns);
    let list = [
        (
            "no netns, no ifname",
            with(with(good(), "CNI_NETNS", None), "CNI_IFNAME", None),
            4,
            "[CNI_NETNS,CNI_IFNAME]",
        ),
        (
            "no container",
            with(good(), "CNI_CONTAINERID", Some("")),
            4,
            "CNI_CONTAINERID",
        ),
        (
            "bad container",
            with(good(), "CNI_CONTAINERID", Some("../x")),
            4,
            "CNI_CONTAINERID",
        ),
        (
            "long ifname",
            with(good(), "CNI_IFNAME", Some("abcdefghijklmnop")),
            4,
            "CNI_IFNAME",
        ),
        ("verb", with(good(), "CNI_COMMAND", Some("FROB")), 4, "FROB"),
        (
            "no arguments",
            with(good(), "CNI_ARGS", None),
            4,
            "CNI_ARGS",
        ),
        (
            "no pair",
            with(good(), "CNI_ARGS", Some("K8S_POD_NAME")),
            4,
            "K8S_POD_NAME",
        ),
        (
            "unknown argument",
            with(good(), "CNI_ARGS", Some("COLOUR=blue")),
            4,
            "COLOUR=blue",
        ),
        (
            "a file",
            with(good(), "CNI_NETNS", Some("/etc/hostname")),
            4,
            "/etc/hostname is not a network namespace",
        ),
        (
            "a pipe",
            with(good(), "CNI_NETNS", Some("/run/pipe")),
            4,
            "/run/pipe is not a network namespace",
        ),
        (
            "no file",
            with(good(), "CNI_NETNS", Some("/run/netns/none")),
            4,
            "/run/netns/none",
        ),
        (
            "another kind",
            with(good(), "CNI_NETNS", Some("/proc/1/ns/uts")),
            4,
            "/proc/1/ns/uts is not a network namespace",
        ),
        (
            "the host's own",
            with(good(), "CNI_NETNS", Some("/proc/1/ns/net")),
            8,
            "should not be the same",
        ),
    ];
    list.map(|(what, environment, code, names)| Case {
        what,
        environment,
        stdin: raw::config().to_string(),
        code,
        names,
    })
    .into()
}

#[test]
fn every_bad_call_gets_its_code_names_the_thing_and_changes_nothing() {
    let stage = Stage::one("netns/bad-calls", "m5.large");
    // The daemon would give addresses: that none is taken shows that everything is checked before it is asked.
    let daemon = stage.daemon(0, &[]);
    daemon.says("host network changed to the desired state", |_| true);
    let sandbox = stage.sandbox(0, "web-0", "1.0.0");
    stage
        .node(0)
        .run(|| lab::command::run(&["mkfifo", "/run/pipe"], ""))
        .unwrap()
        .unwrap();
    let before = stage.node(0).snapshot();
    for case in configurations(sandbox.netns())
        .into_iter()
        .chain(environments(sandbox.netns()))
    {
        let call = raw::call(&stage, &case.environment, &case.stdin);
        let (code, text) = raw::error(&call);
        assert_eq!(code, case.code, "{}: {text}", case.what);
        assert!(
            text.contains(case.names),
            "{}: {:?} in {text}",
            case.what,
            case.names
        );
    }
    assert_eq!(stage.node(0).snapshot(), before);
    assert_eq!(daemon.lines("address given to a pod").len(), 0);
}

/// An ADD that is given this many seconds, as a code, a text and the time it took.
fn impatient(stage: &Stage, seconds: u64) -> (u64, String, Duration) {
    let sandbox = stage.sandbox(0, "web-0", "1.0.0");
    let stdin = configured("addTimeoutSeconds", seconds.into());
    let call = raw::call(stage, &raw::environment(sandbox.netns()), &stdin);
    let (code, text) = raw::error(&call);
    (code, text, call.elapsed)
}

#[test]
fn without_a_daemon_an_add_ends_at_its_deadline_and_names_the_socket() {
    let stage = Stage::one("netns/bad-no-daemon", "m5.large");
    let (code, text, took) = impatient(&stage, 5);
    assert_eq!(code, 11, "{text}");
    assert!(
        text.contains("the node daemon does not answer on /var/run/aws-node/ipamd.sock"),
        "{text}"
    );
    assert!(
        (Duration::from_secs(4)..Duration::from_secs(7)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn without_ec2_an_add_ends_before_its_deadline_and_names_what_is_waited_for() {
    let stage = Stage::one("netns/bad-no-ec2", "m5.large");
    let mut daemon = stage.launch(0, &[("AWS_EC2_ENDPOINT", "http://169.254.169.250:9")]);
    daemon.says("EC2 call failed", |_| true);
    let (code, text, took) = impatient(&stage, 6);
    assert_eq!(code, 11, "{text}");
    assert!(text.contains("waiting for EC2 Describe"), "{text}");
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert!(daemon.runs());
}

#[test]
fn a_path_that_imds_lacks_is_named_in_the_answer_to_the_runtime() {
    let stage = Stage::one("netns/bad-imds", "m5.large");
    stage.vpc().faults_mut().fail_imds("instance-type", 404);
    let mut daemon = stage.launch(0, &[]);
    daemon.says("start-up waits", |_| true);
    let (code, text, _) = impatient(&stage, 5);
    assert_eq!(code, 11, "{text}");
    assert!(
        text.contains("IMDS has no /latest/meta-data/instance-type"),
        "{text}"
    );
    assert!(daemon.runs());
    stage.vpc().faults_mut().clear();
    daemon.serves();
    let _pod = stage.pod(0, "web-1");
}

#[test]
fn a_checkpoint_that_is_no_checkpoint_is_set_aside_and_pods_are_served() {
    let stage = Stage::one("netns/bad-checkpoint", "m5.large");
    let folder = stage.node(0).root().join("run/aws-node");
    fs::create_dir_all(&folder).unwrap();
    for (number, text) in [
        "",
        "[1,2",
        "{\"version\":\"vpc-cni-ipam/9\",\"allocations\":[]}",
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(folder.join("ipam.json"), text).unwrap();
        let daemon = stage.daemon(0, &[]);
        let told = daemon.says("a state file cannot be used", |_| true);
        let aside = format!("ipam.json.corrupt-{}", number + 1);
        assert!(
            told["set_aside"].as_str().unwrap().ends_with(&aside),
            "{told}"
        );
        assert_eq!(fs::read_to_string(folder.join(aside)).unwrap(), text);
        stage.stop(stage.pod(0, "web-0"));
        assert_eq!(daemon.stop(), Some(0));
    }
}

//! A fresh machine's first minute: each thing that is not there yet is named on standard output and waited for, and
//! none of them ends the process.

use crate::console::{launch, names, serves};
use crate::grpc;
use e2e::daemon::PATIENCE;
use e2e::kernel::Inside;
use e2e::stage::Stage;
use lab::vpc::{Action, Chance, Code, Delay, Error, Outcome, Verdict};
use model::limits::{Hypervisor, InstanceLimits};
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use tonic_health::pb::health_check_response::ServingStatus;

/// All calls of an action (or all at all) are refused with this.
fn refuse(stage: &Stage, action: Option<Action>, code: Code, text: &str) {
    let chance = Chance {
        action,
        permille: 1000,
        verdict: Verdict {
            applied: false,
            outcome: Outcome::Error(Error::new(code, text)),
            ..Verdict::default()
        },
        before: Delay::default(),
        after: Delay::default(),
    };
    stage.vpc().faults_mut().add(chance);
}

/// Runs a command inside the first node.
#[track_caller]
fn inside(stage: &Stage, command: &[&str]) {
    let run = || lab::command::run(command, "");
    let said = stage.node(0).run(run).expect("the node is there");
    said.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn t16_an_eni_whose_fields_imds_lacks_is_waited_for() {
    let stage = Stage::one("wire/start-fields", "m5.large");
    stage.vpc().faults_mut().fail_imds("/vpc-id", 404);
    let mut daemon = launch(&stage, &[]);
    let line = names(&daemon, "the instance metadata service: IMDS has no ");
    assert!(line.ends_with("/vpc-id"), "{line}");
    assert_eq!(grpc::health(&daemon, "").unwrap(), ServingStatus::Serving);
    let ready = grpc::health(&daemon, "ready").unwrap();
    assert_eq!(ready, ServingStatus::NotServing);
    assert!(daemon.runs());
    stage.vpc().faults_mut().clear();
    serves(&daemon);
    let ready = grpc::health(&daemon, "ready").unwrap();
    assert_eq!(ready, ServingStatus::Serving);
    assert!(grpc::add(&daemon, "web-0", PATIENCE).unwrap().success);
}

#[test]
fn t16_a_token_that_imds_refuses_is_waited_for() {
    for status in [401, 403] {
        let stage = Stage::one(&format!("wire/start-token-{status}"), "m5.large");
        stage
            .vpc()
            .faults_mut()
            .fail_imds("/latest/api/token", status);
        let mut daemon = launch(&stage, &[]);
        names(&daemon, "the instance metadata service: fetch ");
        assert!(daemon.runs());
        stage.vpc().faults_mut().clear();
        serves(&daemon);
    }
}

#[test]
fn t16_credentials_that_imds_has_not_yet_are_waited_for() {
    let stage = Stage::one("wire/start-role", "m5.large");
    stage
        .vpc()
        .faults_mut()
        .fail_imds("iam/security-credentials", 404);
    let mut daemon = launch(&stage, &[]);
    let line = names(&daemon, "EC2 Describe");
    assert!(line.contains("NoCredentials"), "{line}");
    assert_eq!(stage.journal().records().len(), 0, "nothing was sent");
    assert!(daemon.runs());
    stage.vpc().faults_mut().clear();
    serves(&daemon);
}

#[test]
fn t16_a_clock_that_ec2_finds_wrong_is_waited_for_and_shown() {
    let stage = Stage::one("wire/start-clock", "m5.large");
    let text = "AWS was not able to validate the provided access credentials";
    refuse(&stage, None, Code::AuthFailure, text);
    let mut daemon = launch(&stage, &[]);
    let line = names(&daemon, "EC2 Describe");
    assert!(
        line.contains(text) && line.contains("; this node's clock says 20"),
        "{line}"
    );
    assert!(daemon.runs());
    stage.vpc().faults_mut().clear();
    serves(&daemon);
}

#[test]
fn t16_a_primary_link_that_comes_late_is_waited_for_and_may_have_any_name() {
    let stage = Stage::one("wire/start-link", "m5.large");
    let mac = stage.enis(0)[0].mac.to_string();
    let primary = stage
        .node(0)
        .lines(&["-o", "link"])
        .into_iter()
        .find(|line| line.contains(&mac))
        .expect("a node has its primary link");
    let name = primary.split(": ").nth(1).unwrap();
    // To who looks for the address, the link is not there.
    let other = "02:00:00:00:00:99";
    inside(
        &stage,
        &["ip", "link", "set", "dev", name, "address", other],
    );
    let mut daemon = launch(&stage, &[]);
    names(&daemon, &format!("the link of the primary ENI, {mac}"));
    assert!(daemon.runs());
    inside(&stage, &["ip", "link", "set", "dev", name, "down"]);
    inside(&stage, &["ip", "link", "set", "dev", name, "name", "wan0"]);
    inside(
        &stage,
        &["ip", "link", "set", "dev", "wan0", "address", &mac],
    );
    serves(&daemon);
    assert!(grpc::add(&daemon, "web-0", PATIENCE).unwrap().success);
}

#[test]
fn a_run_directory_that_is_missing_is_made() {
    let stage = Stage::one("wire/start-folder", "m5.large");
    let folder = stage.node(0).root().join("run/aws-node");
    let _ = std::fs::remove_dir_all(&folder);
    assert!(!folder.exists());
    let _daemon = stage.daemon(0, &[]);
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn t16_a_run_directory_that_cannot_be_written_is_waited_for() {
    let stage = Stage::one("wire/start-read-only", "m5.large");
    let folder = "/run/aws-node";
    inside(&stage, &["mkdir", "-p", folder]);
    inside(
        &stage,
        &["mount", "-t", "tmpfs", "-o", "ro", "none", folder],
    );
    let mut daemon = launch(&stage, &[]);
    let line = names(&daemon, "the lock /var/run/aws-node/ipamd.lock");
    assert!(line.contains("Read-only file system"), "{line}");
    assert!(daemon.runs());
    inside(&stage, &["mount", "-o", "remount,rw", folder]);
    serves(&daemon);
}

fn young_type() -> InstanceLimits {
    InstanceLimits {
        enis_per_card: vec![NonZeroU32::new(2).unwrap()],
        addresses_per_eni: NonZeroU32::new(4).unwrap(),
        hypervisor: Hypervisor::Nitro,
        bare_metal: false,
    }
}

#[test]
fn t15_a_type_that_is_not_in_the_table_is_looked_up_in_ec2() {
    let stage = Stage::new("wire/start-type", |scene| {
        scene
            .offers("m99.large", young_type())
            .node("m99.large", "a")
    });
    let daemon = stage.daemon(0, &[("MAX_ENI", "1")]);
    daemon.says("EC2 call done", |line| {
        line["action"] == "AssignPrivateIpAddresses"
    });
    assert_eq!(stage.enis(0)[0].addresses.len(), 4);
}

#[test]
fn t15_a_type_that_may_not_be_looked_up_is_said_and_serves_what_any_type_allows() {
    let stage = Stage::new("wire/start-type-denied", |scene| {
        scene
            .offers("m99.large", young_type())
            .node("m99.large", "a")
    });
    stage
        .vpc()
        .denied_mut()
        .insert(Action::DescribeInstanceTypes);
    let daemon = stage.daemon(0, &[]);
    let told = daemon.says(
        "EC2 does not tell what the instance type allows; working with the least, asking again",
        |_| true,
    );
    assert_eq!(told["instance_type"], "m99.large");
    assert_eq!(
        (&told["enis"], &told["addresses_per_eni"]),
        (&1.into(), &1.into())
    );
    assert!(
        told["error"]
            .as_str()
            .unwrap()
            .contains("UnauthorizedOperation")
    );
    assert!(grpc::add(&daemon, "web-0", PATIENCE).unwrap().success);
    let refused = grpc::add(&daemon, "web-1", PATIENCE).unwrap_err();
    let why = "IAM denies ec2:DescribeInstanceTypes to this node; next attempt in ";
    assert!(refused.message().contains(why), "{refused:?}");
}

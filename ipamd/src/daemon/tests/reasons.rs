//! What EC2 refuses, as the caller of an ADD reads it: upstream's phrase, then the reason, with its kind in the details.

use super::*;
use rpc::wire::RefusalKind;
use vpc::{Action, Code as Wire, Error, Verdict};

/// What the caller of an ADD is told within 3 s while calls of an action end like this; the first `served` pods get an
/// address.
fn told(action: Action, verdict: Verdict, served: usize) -> (RefusalKind, String) {
    let mut rig = Rig::new();
    // Where the primary ENI is to fail no other one helps out.
    rig.settings.max_enis = Some(if served == 0 { 1 } else { 3 });
    let mut told = None;
    test(async {
        rig.account.fail(action, verdict);
        let daemon = rig.start();
        let mut client = rig.client().await;
        for number in 0..served {
            client.add(add(number), LONG).await.unwrap();
        }
        let limit = Duration::from_secs(3);
        let status = client.add(add(served), limit).await.unwrap_err();
        let refusal = rpc::reason::refusal(&status).expect("a typed reason");
        let phrase = format!("{}: ", rpc::reason::NO_ADDRESS);
        let text = status.message().strip_prefix(&phrase);
        let text = text.unwrap_or_else(|| panic!("{status:?}")).to_owned();
        assert_eq!(refusal.text, text);
        told = Some((refusal.kind(), text));
        daemon.stop().await;
    });
    told.expect("the test has run")
}

fn refused(code: Wire) -> Verdict {
    Verdict::refused(Error::new(code, "as the test says"))
}

#[track_caller]
fn assert_told(told: &(RefusalKind, String), kind: RefusalKind, begins: &str) {
    assert_eq!(told.0, kind, "{}", told.1);
    assert!(told.1.starts_with(begins), "{}", told.1);
    assert!(told.1.contains("; next attempt in "), "{}", told.1);
}

#[test]
fn t02_throttled() {
    let told = told(
        Action::AssignPrivateIpAddresses,
        refused(Wire::RequestLimitExceeded),
        0,
    );
    assert_told(
        &told,
        RefusalKind::Throttled,
        "EC2 throttles AssignPrivateIpAddresses; ",
    );
}

#[test]
fn t02_denied_with_the_action() {
    let told = told(
        Action::AssignPrivateIpAddresses,
        refused(Wire::UnauthorizedOperation),
        0,
    );
    let begins = "IAM denies ec2:AssignPrivateIpAddresses to this node; ";
    assert_told(&told, RefusalKind::Denied, begins);
}

#[test]
fn t02_subnet_full() {
    let told = told(
        Action::AssignPrivateIpAddresses,
        refused(Wire::InsufficientFreeAddresses),
        0,
    );
    assert_told(&told, RefusalKind::SubnetFull, "subnet subnet-");
    assert!(told.1.contains(" has no free address; "), "{}", told.1);
}

#[test]
fn t02_address_limit_of_an_eni() {
    let told = told(
        Action::AssignPrivateIpAddresses,
        refused(Wire::PrivateIpAddressLimitExceeded),
        0,
    );
    assert_told(&told, RefusalKind::AddressLimit, "address limit of eni-");
}

#[test]
fn t02_eni_limit_of_the_instance() {
    let told = told(
        Action::AttachNetworkInterface,
        refused(Wire::AttachmentLimitExceeded),
        9,
    );
    let begins = "ENI limit of the instance: beside the 1 ENIs it has EC2 refuses AttachNetworkInterface: AttachmentLimitExceeded";
    assert_told(&told, RefusalKind::EniLimit, begins);
}

#[test]
fn t02_unreachable() {
    let told = told(Action::CreateNetworkInterface, Verdict::lost_unapplied(), 9);
    let begins = "EC2 does not answer CreateNetworkInterface: the answer got lost; ";
    assert_told(&told, RefusalKind::Unreachable, begins);
}

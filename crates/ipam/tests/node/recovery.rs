//! T-01: whatever EC2 refused, for however long, when it does so no more the pool reaches its target by itself.

use crate::harness::{Bench, address, record, refused, unknown};
use model::call::{Call, Reply};
use model::error::CallError;
use model::settings::NodeSettings;
use std::collections::BTreeSet;

/// The node asks EC2 what it has at least this often.
const RECONCILE: u64 = 300_000;
const TARGET: u8 = 9;

/// One ENI as EC2 has it, answering calls at once; while `fault` holds each assign ends with it.
struct Ec2 {
    fault: Option<Result<Reply, CallError>>,
    assigned: u8,
    assigns: u32,
}

impl Ec2 {
    fn answer_all(&mut self, bench: &mut Bench) {
        while let Some((_, call)) = bench.calls.first().cloned() {
            let reply = match &call {
                Call::AssignAddresses { count, .. } => self.assign(u8::try_from(*count).unwrap()),
                Call::DescribeInterfaces(model::call::Scope::MadeFor(_)) => {
                    Ok(Reply::Interfaces(vec![]))
                }
                Call::DescribeInterfaces(_) => {
                    Ok(Reply::Interfaces(vec![record(0, self.assigned)]))
                }
                other => panic!("{other}"),
            };
            bench.answer(|other| *other == call, reply);
        }
    }

    fn assign(&mut self, count: u8) -> Result<Reply, CallError> {
        self.assigns += 1;
        if let Some(fault) = &self.fault {
            return fault.clone();
        }
        let from = self.assigned + 1;
        self.assigned += count;
        let addresses = (from..=self.assigned).map(|k| address(0, k)).collect();
        Ok(Reply::Assigned(addresses))
    }
}

/// How long the pool needs after a fault that lasted this long, in milliseconds.
fn recovery(fault: Result<Reply, CallError>, lasted: u64) -> u64 {
    let settings = NodeSettings {
        max_enis: Some(1),
        ..NodeSettings::default()
    };
    let mut bench = Bench::serving(settings, 0);
    let mut ec2 = Ec2 {
        fault: Some(fault),
        assigned: 0,
        assigns: 0,
    };
    let until = |bench: &mut Bench, ec2: &mut Ec2, end: u64| {
        while bench.at < end && ec2.assigned < TARGET {
            ec2.answer_all(bench);
            bench.pass(500);
        }
    };
    let ends = bench.at + lasted;
    until(&mut bench, &mut ec2, ends);
    assert_eq!(ec2.assigned, 0);
    let tried = ec2.assigns;
    assert!(
        u64::from(tried) > lasted / 600_000,
        "it goes on trying: {tried} calls in {lasted} ms"
    );
    assert!(
        u64::from(tried) < 20 + lasted / 5_000,
        "and backs off: {tried} calls in {lasted} ms"
    );
    ec2.fault = None;
    until(&mut bench, &mut ec2, ends + 2 * RECONCILE);
    assert_eq!(ec2.assigned, TARGET, "{:?}", bench.call_names());
    let took = bench.at - ends;
    ec2.answer_all(&mut bench);
    let adds: Vec<_> = (0..TARGET)
        .map(|n| bench.add(&format!("c{n}"), &format!("web-{n}")))
        .collect();
    let free: BTreeSet<_> = adds.iter().filter_map(|add| bench.granted(*add)).collect();
    assert_eq!(free.len(), usize::from(TARGET), "and all of it can be used");
    took
}

const FAULTS: [&str; 12] = [
    "RequestLimitExceeded",
    "UnauthorizedOperation",
    "InsufficientFreeAddressesInSubnet",
    "PrivateIpAddressLimitExceeded",
    "AttachmentLimitExceeded",
    "NetworkInterfaceLimitExceeded",
    "InvalidNetworkInterfaceID.NotFound",
    "InvalidSubnetID.NotFound",
    "IncorrectState",
    "RequestExpired",
    "AuthFailure",
    "InvalidParameterValue",
];

#[test]
fn t01_after_any_refusal_ends_the_pool_reaches_its_target_within_one_reconcile() {
    for code in FAULTS {
        for lasted in [40_000, 3_600_000] {
            let took = recovery(refused(code), lasted);
            assert!(took <= RECONCILE, "{code} for {lasted} ms: {took} ms after");
        }
    }
}

#[test]
fn t01_after_answers_got_lost_the_pool_reaches_its_target_within_one_reconcile() {
    for lasted in [40_000, 3_600_000] {
        let took = recovery(unknown(), lasted);
        assert!(took <= RECONCILE, "for {lasted} ms: {took} ms after");
    }
}

//! A node, its clock and its pending effects; helpers that play EC2, the disk and the kernel by hand.

use ipam::boot::Restored;
use ipam::effect::{Answer, Effect, FileContent, HostDesired};
use ipam::event::{Event, HostReport, LinkView, OpId, Outcome, Request, RequestId};
use ipam::node::Node;
use ipam::notice::Notice;
use model::allocation::{BootId, Checkpoint};
use model::call::{Call, Reply, Scope};
use model::card::{DeviceIndex, NetworkCard};
use model::eni::{Attachment, EniAddress, EniKind, EniRecord, EniStatus, SubnetRecord};
use model::error::{CallError, classify};
use model::id::EniId;
use model::imds::InstanceMetadata;
use model::mac::Mac;
use model::pod::{PodKey, PodName};
use model::settings::NodeSettings;
use model::time::{Instant, Now, WallTime};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

pub(crate) struct Bench {
    pub(crate) node: Node,
    pub(crate) at: u64,
    pub(crate) writes: Vec<(OpId, FileContent)>,
    pub(crate) calls: Vec<(OpId, Call)>,
    pub(crate) replies: BTreeMap<u64, Answer>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) host: Option<(u64, HostDesired)>,
    pub(crate) imds: Vec<OpId>,
    pub(crate) links: LinkView,
    /// Writes succeed by themselves.
    pub(crate) disk_works: bool,
    /// The checkpoint that was written last.
    pub(crate) checkpoint: Option<Checkpoint>,
    next_request: u64,
}

pub(crate) fn key(container: &str) -> PodKey {
    PodKey {
        network: "aws-cni".into(),
        container: container.into(),
        interface: "eth0".into(),
    }
}

pub(crate) fn pod(name: &str) -> PodName {
    PodName {
        namespace: "default".into(),
        name: name.into(),
    }
}

pub(crate) fn eni(n: u8) -> EniId {
    format!("eni-{n}").parse().unwrap()
}

pub(crate) fn mac(n: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, n])
}

/// Secondary address `k` (from 1) of ENI `n`.
pub(crate) fn address(n: u8, k: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, 10 + 20 * n + k)
}

/// ENI `n` attached at index `n` with `count` secondary addresses.
pub(crate) fn record(n: u8, count: u8) -> EniRecord {
    let primary = EniAddress {
        address: address(n, 0),
        primary: true,
    };
    let secondary = (1..=count).map(|k| EniAddress {
        address: address(n, k),
        primary: false,
    });
    EniRecord {
        id: eni(n),
        mac: mac(n),
        subnet: "subnet-1".parse().unwrap(),
        kind: EniKind::Standard,
        status: EniStatus::InUse,
        description: String::new(),
        addresses: [primary].into_iter().chain(secondary).collect(),
        prefixes: vec![],
        groups: vec!["sg-1".parse().unwrap()],
        attachment: Some(Attachment {
            id: format!("eni-attach-{n}").parse().unwrap(),
            instance: "i-1".parse().unwrap(),
            index: DeviceIndex(n),
            card: NetworkCard(0),
            delete_on_termination: true,
        }),
        tags: BTreeMap::from([(model::call::INSTANCE_TAG.to_owned(), "i-1".to_owned())]),
    }
}

/// The same ENI, made and not attached.
pub(crate) fn unattached(n: u8, count: u8) -> EniRecord {
    EniRecord {
        attachment: None,
        status: EniStatus::Available,
        ..record(n, count)
    }
}

pub(crate) fn metadata() -> InstanceMetadata {
    InstanceMetadata {
        instance: "i-1".parse().unwrap(),
        instance_type: "m5.large".into(),
        region: "eu-west-1".into(),
        zone: "eu-west-1a".into(),
        local_ipv4: address(0, 0),
        primary_mac: mac(0),
        vpc: "vpc-1".parse().unwrap(),
        subnet: "subnet-1".parse().unwrap(),
        vpc_cidrs: vec!["10.0.0.0/16".parse().unwrap()],
        groups: vec!["sg-1".parse().unwrap()],
        interfaces: vec![],
    }
}

pub(crate) fn refused(code: &str) -> Result<Reply, CallError> {
    Err(classify(code, "as the test says", 400))
}

pub(crate) fn unknown() -> Result<Reply, CallError> {
    Err(CallError::Unknown("connection reset".into()))
}

/// An m5.large that may have its primary ENI only: nine addresses.
pub(crate) fn small() -> Bench {
    let settings = NodeSettings {
        max_enis: Some(1),
        ..NodeSettings::default()
    };
    Bench::serving(settings, 9)
}

/// The same with every address held, by containers `c0` to `c8`.
pub(crate) fn full() -> Bench {
    let mut bench = small();
    for n in 0..9 {
        bench.add(&format!("c{n}"), &format!("web-{n}"));
    }
    bench
}

/// Addresses held, and addresses cooling.
pub(crate) fn stats(bench: &Bench) -> (u32, u32) {
    let stats = bench.node.view(bench.now().boot).stats;
    (stats.held, stats.cooling)
}

/// The next process of the same boot, that many milliseconds after the end of the one of `bench`, which wrote what it had.
pub(crate) fn restarted(bench: &Bench, millis: u64) -> Bench {
    let restored = Restored {
        checkpoint: bench.checkpoint.clone(),
        journal: vec![],
        boot_id: BootId("boot-1".into()),
    };
    Bench::starting(bench.at + millis, NodeSettings::default(), restored)
}

impl Bench {
    pub(crate) fn new(settings: NodeSettings, restored: Restored) -> Self {
        Self::starting(1_000_000, settings, restored)
    }

    /// The process starts that long after the node booted, in milliseconds.
    pub(crate) fn starting(at: u64, settings: NodeSettings, restored: Restored) -> Self {
        let mut bench = Self {
            node: Node::new(settings, restored, 1),
            at,
            writes: vec![],
            calls: vec![],
            replies: BTreeMap::new(),
            notices: vec![],
            host: None,
            imds: vec![],
            links: LinkView {
                macs: [mac(0)].into(),
                ..LinkView::default()
            },
            disk_works: true,
            checkpoint: None,
            next_request: 0,
        };
        let mut effects = vec![];
        bench.node.start(bench.now(), &mut effects);
        bench.take(effects);
        bench
    }

    /// A serving m5.large whose primary ENI has `count` secondary addresses.
    pub(crate) fn serving(settings: NodeSettings, count: u8) -> Self {
        let mut bench = Self::new(
            settings,
            Restored {
                boot_id: BootId("boot-1".into()),
                ..Restored::default()
            },
        );
        bench.boot(vec![record(0, count)]);
        bench
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            boot: Instant(self.at),
            wall: WallTime(1_700_000_000_000_000_000 + i64::try_from(self.at).unwrap() * 1_000_000),
        }
    }

    /// Answers everything that start-up asks, with these ENIs attached.
    pub(crate) fn boot(&mut self, attached: Vec<EniRecord>) {
        self.boot_with(metadata(), attached);
    }

    /// The same with other metadata.
    pub(crate) fn boot_with(&mut self, metadata: InstanceMetadata, attached: Vec<EniRecord>) {
        for record in &attached {
            self.links.macs.insert(record.mac);
        }
        let op = self.imds.pop().expect("start-up reads the metadata");
        self.event(Event::Done(op, Outcome::Imds(Ok(Box::new(metadata)))));
        let subnet = SubnetRecord {
            id: "subnet-1".parse().unwrap(),
            cidr: "10.0.1.0/24".parse().unwrap(),
            available: 200,
            tags: BTreeMap::new(),
        };
        self.answer(
            |call| matches!(call, Call::DescribeSubnets { .. }),
            Ok(Reply::Subnets(vec![subnet])),
        );
        self.answer(
            |call| matches!(call, Call::DescribeInterfaces(Scope::AttachedTo(_))),
            Ok(Reply::Interfaces(attached)),
        );
        self.see_links();
        self.settle_host();
    }

    pub(crate) fn event(&mut self, event: Event) {
        let mut effects = vec![];
        self.node.handle(self.now(), event, &mut effects);
        if let Some(deadline) = self.node.deadline() {
            assert!(
                deadline.0 > self.at,
                "deadline {deadline} is not after {}",
                self.at
            );
        }
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply(id, answer) => {
                    assert!(
                        self.replies.insert(id.0, answer).is_none(),
                        "request {} was answered twice",
                        id.0
                    );
                }
                Effect::Write(op, content) => self.writes.push((op, content)),
                Effect::Call(op, call, _) => self.calls.push((op, call)),
                Effect::ReadImds(op) => self.imds.push(op),
                Effect::Host(version, desired) => self.host = Some((version, desired)),
                Effect::Note(notice) => self.notices.push(notice),
            }
        }
        while self.disk_works && !self.writes.is_empty() {
            self.write(Ok(()));
        }
    }

    /// Ends the oldest write.
    pub(crate) fn write(&mut self, result: Result<(), String>) {
        let (op, content) = self.writes.remove(0);
        if let (Ok(()), FileContent::Checkpoint(checkpoint)) = (&result, content) {
            self.checkpoint = Some(checkpoint);
        }
        self.event(Event::Done(op, Outcome::Written(result)));
    }

    /// Ends the oldest call that matches.
    pub(crate) fn answer(
        &mut self,
        wanted: impl Fn(&Call) -> bool,
        result: Result<Reply, CallError>,
    ) -> Call {
        let position = self.calls.iter().position(|(_, call)| wanted(call));
        let position = position.unwrap_or_else(|| panic!("no such call among {:?}", self.calls));
        let (op, call) = self.calls.remove(position);
        self.event(Event::Done(op, Outcome::Called(result)));
        call
    }

    pub(crate) fn add(&mut self, container: &str, name: &str) -> u64 {
        self.add_by(container, name, self.at + 90_000)
    }

    pub(crate) fn add_by(&mut self, container: &str, name: &str, deadline: u64) -> u64 {
        self.request(Request::Add {
            key: key(container),
            pod: pod(name),
            deadline: Instant(deadline),
        })
    }

    pub(crate) fn del(&mut self, container: &str) -> u64 {
        self.request(Request::Del {
            key: key(container),
            deadline: Instant(self.at + 5_000),
        })
    }

    fn request(&mut self, request: Request) -> u64 {
        self.next_request += 1;
        self.event(Event::Request(RequestId(self.next_request), request));
        self.next_request
    }

    pub(crate) fn abandon(&mut self, id: u64) {
        self.event(Event::Abandoned(RequestId(id)));
    }

    /// The address an ADD was answered with, if it was.
    pub(crate) fn granted(&self, id: u64) -> Option<Ipv4Addr> {
        match self.replies.get(&id) {
            Some(Answer::Added(grant)) => Some(grant.address),
            _ => None,
        }
    }

    pub(crate) fn refusal(&self, id: u64) -> String {
        match self.replies.get(&id) {
            Some(Answer::Refused(reason)) => reason.to_string(),
            other => panic!("request {id} was not refused: {other:?}"),
        }
    }

    pub(crate) fn see_links(&mut self) {
        self.event(Event::Links(self.links.clone()));
    }

    /// The kernel does what the newest desired state says, for ENIs whose link is there.
    pub(crate) fn settle_host(&mut self) {
        if let Some((version, desired)) = self.host.clone() {
            let ready = desired
                .enis
                .iter()
                .filter(|eni| self.links.macs.contains(&eni.mac))
                .map(|eni| eni.id.clone())
                .collect();
            self.event(Event::HostState(
                version,
                HostReport {
                    ready,
                    failed: BTreeMap::new(),
                },
            ));
        }
    }

    /// Lets time pass, with a timer event at each deadline on the way.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.at + millis;
        while let Some(deadline) = self.node.deadline().filter(|deadline| deadline.0 <= end) {
            self.at = deadline.0;
            self.event(Event::Timer);
        }
        self.at = end;
        self.event(Event::Timer);
    }

    pub(crate) fn call_names(&self) -> Vec<String> {
        self.calls
            .iter()
            .map(|(_, call)| call.to_string())
            .collect()
    }

    pub(crate) fn mutations(&self) -> Vec<&Call> {
        self.calls
            .iter()
            .map(|(_, call)| call)
            .filter(|call| call.mutating())
            .collect()
    }
}

//! A small account behind the laboratory's EC2 door and its twin without a wire. Must not: assert anything about the
//! account's rules.

use crate::calls::id;
use crate::stub::{SOON, Stub};
use cloud::Ec2;
use model::call::{Call, CreateInterface, INSTANCE_TAG, Reply};
use model::error::CallError;
use model::id::{InstanceId, SecurityGroupId, SubnetId, VpcId};
use model::time::Instant;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use vpc::{Answer, Caller, Request, RunInstances, Tags, Vpc};

pub(crate) const ZONE: &str = "eu-west-1a";

/// What the account holds before the first call.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) vpc: Vpc,
    pub(crate) network: VpcId,
    /// A /24 and a /28, both in [`ZONE`].
    pub(crate) subnet: SubnetId,
    pub(crate) narrow: SubnetId,
    pub(crate) group: SecurityGroupId,
    /// An m5.large in the /24.
    pub(crate) node: InstanceId,
}

impl Ground {
    pub(crate) fn new(seed: u64) -> Self {
        let mut vpc = Vpc::new(seed);
        let mut ask = |request| vpc.request(Instant(0), &Caller::Operator, request).unwrap();
        let Answer::Vpc(network) = ask(Request::CreateVpc {
            cidr: "10.0.0.0/16".parse().unwrap(),
        }) else {
            panic!("a VPC")
        };
        let mut subnet = |cidr: &str| {
            let (cidr, zone) = (cidr.parse().unwrap(), ZONE.to_owned());
            let tags = Tags::from([("kubernetes.io/role/cni".to_owned(), "1".to_owned())]);
            match ask(Request::CreateSubnet {
                vpc: network.clone(),
                cidr,
                zone,
                tags,
            }) {
                Answer::Subnet(view) => view.record.id,
                other => panic!("{other:?}"),
            }
        };
        let (subnet, narrow) = (subnet("10.0.1.0/24"), subnet("10.0.2.0/28"));
        let (name, description) = ("pods".to_owned(), "for pods".to_owned());
        let create = Request::CreateSecurityGroup {
            vpc: network.clone(),
            name,
            description,
        };
        let Answer::Group(group) = ask(create) else {
            panic!("a group")
        };
        let run = RunInstances {
            instance_type: "m5.large".into(),
            subnet: subnet.clone(),
            groups: vec![group.clone()],
            private_address: None,
            role: Some("node-role".into()),
            tags: Tags::new(),
        };
        let Answer::Instances(instances) = ask(Request::RunInstances(run)) else {
            panic!("an instance")
        };
        let node = instances[0].instance.id.clone();
        Self {
            vpc,
            network,
            subnet,
            narrow,
            group,
            node,
        }
    }

    pub(crate) fn create(&self, token: &str, secondary_addresses: u32) -> CreateInterface {
        CreateInterface {
            token: id(token),
            subnet: self.subnet.clone(),
            groups: vec![self.group.clone()],
            description: format!("aws-K8S-{}", self.node),
            tags: Tags::from([(INSTANCE_TAG.to_owned(), self.node.to_string())]),
            secondary_addresses,
        }
    }
}

/// One account twice: behind SDK, HTTP and the laboratory's door, and behind the simulator's adapter.
pub(crate) struct Twins {
    pub(crate) ground: Ground,
    wired: Arc<Mutex<Vpc>>,
    direct: Vpc,
    clock: Arc<AtomicU64>,
    client: Ec2,
    _role: Stub,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Drop for Twins {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Twins {
    pub(crate) async fn new(seed: u64) -> Self {
        let ground = Ground::new(seed);
        let (wired, clock) = (
            Arc::new(Mutex::new(ground.vpc.clone())),
            Arc::<AtomicU64>::default(),
        );
        let time = Arc::clone(&clock);
        let door = lab::ec2::Door::new(
            Arc::clone(&wired),
            Arc::new(move || Instant(time.load(Ordering::Relaxed))),
        );
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(lab::ec2::serve(
            listener,
            Caller::Instance(ground.node.clone()),
            door,
        ));
        // Credentials come from elsewhere: a token of the account's own IMDS would be a difference between the twins.
        let role = Stub::ec2(vec![]).await;
        let imds = cloud::Imds::new(Some(&role.url)).unwrap();
        let client = Ec2::new("eu-west-1", Some(&url), &imds).await.unwrap();
        let direct = ground.vpc.clone();
        Self {
            ground,
            wired,
            direct,
            clock,
            client,
            _role: role,
            server,
        }
    }

    pub(crate) fn pass(&self, millis: u64) {
        self.clock.fetch_add(millis, Ordering::Relaxed);
    }

    /// Changes both accounts alike.
    pub(crate) fn both(&mut self, change: impl Fn(&mut Vpc)) {
        change(&mut self.wired.lock().unwrap());
        change(&mut self.direct);
    }

    /// The outcome of a call that both ways must agree on: same reply, same refusal, and equal accounts afterwards.
    pub(crate) async fn agree(&mut self, call: &Call) -> Result<Reply, CallError> {
        let outcome = self.agree_on_outcome(call).await;
        let wired = self.wired.lock().unwrap();
        if format!("{wired:?}") != format!("{:?}", self.direct) {
            let (wired, direct) = (format!("{wired:#?}"), format!("{:#?}", self.direct));
            let differ = wired
                .lines()
                .zip(direct.lines())
                .find(|(wired, direct)| wired != direct);
            panic!("after {call} the accounts differ: {differ:?}");
        }
        outcome
    }

    /// The same without a look at the accounts: each page of a read is a call of its own on the wire and counted as one.
    pub(crate) async fn agree_on_outcome(&mut self, call: &Call) -> Result<Reply, CallError> {
        let wired = self.client.perform(call, SOON).await;
        let (now, caller) = (
            Instant(self.clock.load(Ordering::Relaxed)),
            Caller::Instance(self.ground.node.clone()),
        );
        let verdict = self.direct.judge(sim::adapter::action(call));
        let direct = sim::adapter::carry_out(&mut self.direct, now, &caller, (call, &verdict));
        match (&wired, direct) {
            // Both are silent about the outcome; what they say about it is for people.
            (Err(CallError::Unknown(_)), None | Some(Err(CallError::Unknown(_)))) => {}
            (wired, direct) => assert_eq!(Some(wired), direct.as_ref(), "{call}"),
        }
        wired
    }
}

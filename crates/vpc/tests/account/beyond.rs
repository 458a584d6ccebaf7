//! What crosses the VPC's border: Internet gateway, peering, transit gateway, load balancer.

use crate::world::{World, ZONE, assign, cidr};
use model::id::{EniId, SubnetId};
use model::time::Instant;
use std::net::{Ipv4Addr, SocketAddrV4};
use vpc::{
    Answer, CreateInterface, Drop, End, Ends, Hop, Neighbour, Outside, Request, Rule, Side, Source,
    Tags, Traffic, Wanted,
};

const TCP: u8 = 6;
const NOW: Instant = Instant(1_000);
const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 10), 40_000);
const PEER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 10), 80);
const PREMISES: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 0, 10), 80);
const LISTENER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 250), 443);

/// A node whose ENIs let everything in: the primary, one more, and one in the VPC's second range.
struct Border {
    world: World,
    traffic: Traffic,
    enis: [EniId; 3],
    /// Primary and secondary address of each ENI.
    addresses: [[Ipv4Addr; 2]; 3],
    public: Ipv4Addr,
}

fn border() -> Border {
    let mut world = World::new();
    let far = second_range(&mut world);
    let [primary, here] = [world.primary(), world.create(Wanted::Count(1))];
    let far = world.created(CreateInterface {
        wanted: Wanted::Count(1),
        ..CreateInterface::in_subnet(far)
    });
    let far = far.interface.id;
    world.ask(assign(&primary, Wanted::Count(1))).unwrap();
    world.attach(&here, 1);
    world.attach(&far, 2);
    open(&mut world);
    let network = world.network.clone();
    let knows = |ranges: &[&str]| ranges.iter().map(|range| cidr(range)).collect();
    let peer = Neighbour {
        ranges: knows(&["10.1.0.0/16"]),
        knows: None,
    };
    let premises = Neighbour {
        ranges: knows(&["192.168.0.0/16"]),
        knows: Some(knows(&["10.0.0.0/16"])),
    };
    let outside = Outside::of(network)
        .with(Side::Peer, peer)
        .with(Side::Premises, premises);
    world.vpc.surround(outside);
    let public = world.vpc.associate_address(&world.node.clone()).unwrap();
    let enis = [primary, here, far];
    let addresses = enis.each_ref().map(|eni| {
        let eni = world.vpc.interface(eni).unwrap();
        [0, 1].map(|n| eni.addresses[n].address)
    });
    Border {
        world,
        traffic: Traffic::default(),
        enis,
        addresses,
        public,
    }
}

fn second_range(world: &mut World) -> SubnetId {
    let vpc = world.network.clone();
    let associate = Request::AssociateVpcCidrBlock {
        vpc: vpc.clone(),
        cidr: cidr("100.64.0.0/16"),
    };
    world.ask(associate).unwrap();
    let create = Request::CreateSubnet {
        vpc,
        cidr: cidr("100.64.1.0/24"),
        zone: ZONE.to_owned(),
        tags: Tags::new(),
    };
    match world.ask(create) {
        Ok(Answer::Subnet(view)) => view.record.id,
        other => panic!("{other:?}"),
    }
}

fn open(world: &mut World) {
    let group = world.vpc.networks().next().unwrap().default_group.clone();
    let rules = vec![Rule::everything()];
    world
        .ask(Request::AuthorizeSecurityGroupIngress { group, rules })
        .unwrap();
}

impl Border {
    fn sent(&mut self, from: End, src: SocketAddrV4, dst: SocketAddrV4) -> Result<Hop, Drop> {
        let ends = Ends {
            protocol: TCP,
            src,
            dst,
        };
        self.world.vpc.carry(NOW, &mut self.traffic, (&from, &ends))
    }

    fn eni(&self, index: usize) -> End {
        End::Eni(self.enis[index].clone())
    }

    /// An address of an ENI: 0 is its primary one.
    fn at(&self, eni: usize, address: usize, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.addresses[eni][address], port)
    }

    fn balance(&mut self, target: SocketAddrV4) {
        let outside = self.world.vpc.outside_mut().unwrap();
        outside.listen(TCP, LISTENER, vec![target]);
    }
}

fn hop(to: End, src: SocketAddrV4, dst: SocketAddrV4) -> Hop {
    let ends = Ends {
        protocol: TCP,
        src,
        dst,
    };
    Hop { to, ends }
}

#[test]
fn the_internet_gateway_translates_the_instances_primary_address_and_no_other() {
    let mut b = border();
    let node = b.at(0, 0, 5_000);
    let public = SocketAddrV4::new(b.public, 5_000);
    let out = b.sent(b.eni(0), node, CLIENT);
    assert_eq!(out, Ok(hop(End::Side(Side::Internet), public, CLIENT)));
    let back = b.sent(End::Side(Side::Internet), CLIENT, public);
    assert_eq!(back, Ok(hop(b.eni(0), CLIENT, node)));
    for (eni, address) in [(0, 1), (1, 0), (1, 1), (2, 0), (2, 1)] {
        let dropped = b.sent(b.eni(eni), b.at(eni, address, 5_000), CLIENT);
        assert_eq!(dropped, Err(Drop::NoPublicAddress), "{eni} {address}");
    }
}

#[test]
fn the_primary_address_leaves_by_its_own_eni_only() {
    let mut b = border();
    let dropped = b.sent(b.eni(1), b.at(0, 0, 5_000), CLIENT);
    assert_eq!(dropped, Err(Drop::SourceNotAssigned));
}

#[test]
fn an_instance_without_public_address_or_that_ended_is_not_on_the_internet() {
    let mut b = border();
    let subnet = b.world.elsewhere.clone();
    let other = b.world.run("m5.large", subnet);
    let found = b.world.vpc.interfaces().find(|eni| {
        let bound = eni.attachment.as_ref();
        bound.is_some_and(|bound| bound.instance == other)
    });
    let (eni, address) = found
        .map(|eni| (eni.id.clone(), eni.primary().unwrap()))
        .unwrap();
    let src = SocketAddrV4::new(address, 5_000);
    assert_eq!(
        b.sent(End::Eni(eni.clone()), src, CLIENT),
        Err(Drop::NoPublicAddress)
    );
    let public = b.world.vpc.associate_address(&other).unwrap();
    assert_ne!(public, b.public);
    assert!(b.sent(End::Eni(eni), src, CLIENT).is_ok());
    let end = Request::TerminateInstances {
        instances: vec![other],
    };
    b.world.ask(end).unwrap();
    let to = SocketAddrV4::new(public, 5_000);
    assert_eq!(
        b.sent(End::Side(Side::Internet), CLIENT, to),
        Err(Drop::NoSuchDestination)
    );
}

#[test]
fn answers_from_beyond_pass_a_closed_group_and_questions_do_not() {
    let mut b = border();
    let group = b.world.vpc.networks().next().unwrap().default_group.clone();
    let rules = vec![Rule::everything()];
    let revoke = Request::RevokeSecurityGroupIngress { group, rules };
    b.world.ask(revoke).unwrap();
    let (node, pod) = (b.at(0, 0, 5_000), b.at(1, 1, 5_000));
    let public = SocketAddrV4::new(b.public, 5_000);
    for (side, from, to) in [
        (Side::Internet, CLIENT, public),
        (Side::Peer, PEER, pod),
        (Side::Premises, PREMISES, pod),
    ] {
        let asked = b.sent(End::Side(side), from, to);
        assert_eq!(asked, Err(Drop::DeniedByGroup), "{side}");
    }
    b.sent(b.eni(0), node, CLIENT).unwrap();
    b.sent(b.eni(1), pod, PEER).unwrap();
    assert!(b.sent(End::Side(Side::Internet), CLIENT, public).is_ok());
    assert!(b.sent(End::Side(Side::Peer), PEER, pod).is_ok());
}

#[test]
fn a_group_rule_that_names_a_range_lets_a_side_in_and_one_that_names_a_group_does_not() {
    let mut b = border();
    let group = b.world.vpc.networks().next().unwrap().default_group.clone();
    let revoke = Request::RevokeSecurityGroupIngress {
        group: group.clone(),
        rules: vec![Rule::everything()],
    };
    b.world.ask(revoke).unwrap();
    let allow = Request::AuthorizeSecurityGroupIngress {
        group,
        rules: vec![Rule {
            source: Source::Cidr(cidr("10.1.0.0/16")),
            ..Rule::everything()
        }],
    };
    b.world.ask(allow).unwrap();
    let pod = b.at(1, 1, 80);
    assert!(b.sent(End::Side(Side::Peer), PEER, pod).is_ok());
    assert_eq!(
        b.sent(End::Side(Side::Premises), PREMISES, pod),
        Err(Drop::DeniedByGroup)
    );
}

#[test]
fn a_peered_vpc_sees_every_address_as_it_is_and_reaches_it() {
    let mut b = border();
    for (eni, address) in [(0, 0), (0, 1), (1, 1), (2, 1)] {
        let pod = b.at(eni, address, 5_000);
        let out = b.sent(b.eni(eni), pod, PEER);
        assert_eq!(out, Ok(hop(End::Side(Side::Peer), pod, PEER)));
        let back = b.sent(End::Side(Side::Peer), PEER, pod);
        assert_eq!(back, Ok(hop(b.eni(eni), PEER, pod)));
    }
}

#[test]
fn premises_without_a_route_to_the_second_range_hear_it_and_cannot_answer() {
    let mut b = border();
    let (first, second) = (b.at(1, 1, 5_000), b.at(2, 1, 5_000));
    for (eni, pod) in [(1, first), (2, second)] {
        let out = b.sent(b.eni(eni), pod, PREMISES);
        assert_eq!(out, Ok(hop(End::Side(Side::Premises), pod, PREMISES)));
    }
    let side = End::Side(Side::Premises);
    let answered = b.sent(side.clone(), PREMISES, first);
    assert_eq!(answered, Ok(hop(b.eni(1), PREMISES, first)));
    assert_eq!(b.sent(side, PREMISES, second), Err(Drop::NoRouteBack));
}

#[test]
fn a_side_speaks_only_with_its_own_addresses_and_only_to_what_it_has_a_route_to() {
    let mut b = border();
    let (pod, public) = (b.at(1, 1, 80), SocketAddrV4::new(b.public, 80));
    let (internet, peer) = (End::Side(Side::Internet), End::Side(Side::Peer));
    let foreign = Err(Drop::ForeignSource);
    assert_eq!(b.sent(internet.clone(), PEER, public), foreign);
    assert_eq!(b.sent(internet.clone(), b.at(1, 0, 1), public), foreign);
    assert_eq!(b.sent(peer.clone(), PREMISES, pod), foreign);
    assert_eq!(b.sent(peer.clone(), PEER, CLIENT), Err(Drop::NoRouteBack));
    let private = b.sent(internet, CLIENT, pod);
    assert_eq!(private, Err(Drop::NoSuchDestination), "no public address");
    assert_eq!(b.sent(peer, PEER, LISTENER), Err(Drop::NoRouteBack));
}

#[test]
fn a_vpc_without_surroundings_reaches_nothing_beyond() {
    let mut world = World::new();
    let eni = world.primary();
    let src = SocketAddrV4::new(world.vpc.interface(&eni).unwrap().primary().unwrap(), 1);
    let ends = Ends {
        protocol: TCP,
        src,
        dst: CLIENT,
    };
    let carry = |from: &End| {
        let mut traffic = Traffic::default();
        world.vpc.carry(NOW, &mut traffic, (from, &ends))
    };
    assert_eq!(carry(&End::Eni(eni)), Err(Drop::NoSuchDestination));
    let side = End::Side(Side::Internet);
    assert_eq!(carry(&side), Err(Drop::NoSuchDestination));
    assert_eq!(world.vpc.associate_address(&world.node.clone()), None);
}

#[test]
fn the_load_balancer_keeps_the_clients_address_and_wants_the_answer_where_it_asked() {
    let mut b = border();
    for (eni, address) in [(0, 0), (1, 0), (1, 1)] {
        let target = b.at(eni, address, 30_080);
        b.balance(target);
        let asked = b.sent(End::Side(Side::Internet), CLIENT, LISTENER);
        assert_eq!(asked, Ok(hop(b.eni(eni), CLIENT, target)));
        let answered = b.sent(b.eni(eni), target, CLIENT);
        assert_eq!(
            answered,
            Ok(hop(End::Side(Side::Internet), LISTENER, CLIENT))
        );
    }
}

#[test]
fn an_answer_to_the_load_balancers_client_by_another_eni_or_source_is_dropped_and_named() {
    let mut b = border();
    let target = b.at(1, 0, 30_080);
    b.balance(target);
    b.sent(End::Side(Side::Internet), CLIENT, LISTENER).unwrap();
    assert_eq!(b.sent(b.eni(0), target, CLIENT), Err(Drop::AnotherEni));
    // What the node's primary ENI and address would make of it.
    let translated = b.at(0, 0, 30_080);
    let sent = b.sent(b.eni(0), translated, CLIENT);
    assert_eq!(sent, Err(Drop::AnotherSource));
    let pod = b.at(1, 1, 80);
    assert_eq!(b.sent(b.eni(1), pod, CLIENT), Err(Drop::AnotherSource));
    let unassigned = SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 250), 80);
    let sent = b.sent(b.eni(1), unassigned, CLIENT);
    assert_eq!(sent, Err(Drop::SourceNotAssigned));
}

#[test]
fn a_target_that_is_gone_or_closed_answers_nobody() {
    let mut b = border();
    b.balance(SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 250), 80));
    let side = End::Side(Side::Internet);
    assert_eq!(
        b.sent(side.clone(), CLIENT, LISTENER),
        Err(Drop::NoSuchDestination)
    );
    let outside = b.world.vpc.outside_mut().unwrap();
    outside.listen(TCP, LISTENER, vec![]);
    assert_eq!(b.sent(side, CLIENT, LISTENER), Err(Drop::NoSuchDestination));
}

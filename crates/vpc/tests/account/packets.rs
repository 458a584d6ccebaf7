//! Which packets arrive: source check, destinations, security groups.

use crate::world::{World, cidr, modify};
use model::id::{EniId, SecurityGroupId};
use std::net::Ipv4Addr;
use vpc::{CreateInterface, Drop, Modification, Packet, Request, Rule, Source, Wanted};

const TCP: u8 = 6;

/// Two attached ENIs with a group each.
struct Pair {
    world: World,
    groups: [SecurityGroupId; 2],
    enis: [EniId; 2],
    addresses: [Vec<Ipv4Addr>; 2],
}

fn pair() -> Pair {
    let mut world = World::new();
    let groups = [world.group("a"), world.group("b")];
    let enis = [0, 1].map(|n| {
        let create = CreateInterface {
            groups: vec![groups[n].clone()],
            wanted: Wanted::Count(2),
            ..CreateInterface::in_subnet(world.subnet.clone())
        };
        let eni = world.created(create).interface.id;
        world.attach(&eni, u8::try_from(n).unwrap() + 1);
        eni
    });
    let addresses = enis.each_ref().map(|eni| {
        world
            .vpc
            .interface(eni)
            .unwrap()
            .addresses
            .iter()
            .map(|a| a.address)
            .collect()
    });
    Pair {
        world,
        groups,
        enis,
        addresses,
    }
}

impl Pair {
    fn packet(&self) -> Packet {
        Packet {
            src: self.addresses[0][1],
            dst: self.addresses[1][2],
            protocol: TCP,
            dst_port: Some(443),
            established: false,
        }
    }

    fn allow(&mut self, rule: Rule) {
        let group = self.groups[1].clone();
        self.world
            .ask(Request::AuthorizeSecurityGroupIngress {
                group,
                rules: vec![rule],
            })
            .unwrap();
    }

    fn sent(&self, packet: &Packet) -> Result<EniId, Drop> {
        self.world
            .vpc
            .route(&self.enis[0], packet)
            .map(|delivery| delivery.eni)
    }
}

#[test]
fn rules_decide_by_protocol_port_and_source() {
    let everything = Rule::everything();
    let source = |range: &str| Source::Cidr(cidr(range));
    for (rule, want) in [
        (everything.clone(), true),
        (
            Rule {
                protocol: Some(TCP),
                ports: Some((443, 443)),
                ..everything.clone()
            },
            true,
        ),
        (
            Rule {
                protocol: Some(TCP),
                ports: Some((80, 442)),
                ..everything.clone()
            },
            false,
        ),
        (
            Rule {
                protocol: Some(17),
                ..everything.clone()
            },
            false,
        ),
        (
            Rule {
                source: source("10.0.1.0/24"),
                ..everything.clone()
            },
            true,
        ),
        (
            Rule {
                source: source("10.0.2.0/24"),
                ..everything.clone()
            },
            false,
        ),
    ] {
        let mut p = pair();
        p.allow(rule.clone());
        let want = if want {
            Ok(p.enis[1].clone())
        } else {
            Err(Drop::DeniedByGroup)
        };
        assert_eq!(p.sent(&p.packet()), want, "{rule:?}");
    }
}

#[test]
fn a_source_group_lets_its_members_in() {
    let mut p = pair();
    let rule = Rule {
        source: Source::Group(p.groups[0].clone()),
        ..Rule::everything()
    };
    assert_eq!(p.sent(&p.packet()), Err(Drop::DeniedByGroup));
    p.allow(rule);
    assert_eq!(p.sent(&p.packet()), Ok(p.enis[1].clone()));
}

#[test]
fn a_reply_passes_though_no_rule_names_it() {
    let p = pair();
    let reply = Packet {
        established: true,
        ..p.packet()
    };
    assert_eq!(p.sent(&reply), Ok(p.enis[1].clone()));
}

#[test]
fn a_foreign_source_address_is_dropped_unless_the_check_is_off() {
    let mut p = pair();
    p.allow(Rule::everything());
    let foreign = Packet {
        src: p.addresses[1][0],
        ..p.packet()
    };
    assert_eq!(p.sent(&foreign), Err(Drop::SourceNotAssigned));
    p.world
        .ask(modify(
            &p.enis[0].clone(),
            Modification::SourceDestCheck(false),
        ))
        .unwrap();
    assert!(p.sent(&foreign).is_ok());
}

#[test]
fn an_address_of_a_prefix_is_the_enis_own() {
    let mut p = pair();
    p.allow(Rule::everything());
    let vpc::Answer::Assigned { prefixes, .. } = p
        .world
        .ask(crate::world::assign(
            &p.enis[0].clone(),
            Wanted::PrefixCount(1),
        ))
        .unwrap()
    else {
        panic!()
    };
    let std::net::IpAddr::V4(last) = prefixes[0].addresses().last().unwrap() else {
        panic!()
    };
    assert!(
        p.sent(&Packet {
            src: last,
            ..p.packet()
        })
        .is_ok()
    );
    let back = Packet {
        dst: last,
        src: p.addresses[1][0],
        established: true,
        ..p.packet()
    };
    assert_eq!(
        p.world
            .vpc
            .route(&p.enis[1], &back)
            .map(|delivery| delivery.eni),
        Ok(p.enis[0].clone())
    );
}

#[test]
fn only_attached_enis_send_and_receive() {
    let mut p = pair();
    p.allow(Rule::everything());
    let nobody = (4..255)
        .map(|n| Ipv4Addr::new(10, 0, 1, n))
        .find(|a| p.world.vpc.interfaces().all(|eni| !eni.has(*a)))
        .unwrap();
    assert_eq!(
        p.sent(&Packet {
            dst: nobody,
            ..p.packet()
        }),
        Err(Drop::NoSuchDestination)
    );
    assert_eq!(
        p.sent(&Packet {
            dst: Ipv4Addr::new(192, 0, 2, 1),
            ..p.packet()
        }),
        Err(Drop::NoSuchDestination)
    );
    for (eni, want) in [(1, Drop::NoSuchDestination), (0, Drop::NotAttached)] {
        let attachment = p
            .world
            .vpc
            .interface(&p.enis[eni])
            .unwrap()
            .attachment
            .as_ref()
            .unwrap()
            .id
            .clone();
        p.world
            .ask(Request::DetachNetworkInterface {
                attachment,
                force: false,
            })
            .unwrap();
        assert_eq!(p.sent(&p.packet()), Err(want));
    }
}

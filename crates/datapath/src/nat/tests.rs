//! The ruleset as values, run by an interpreter: what becomes of which packet. `ipamd` and the kernel have tests of
//! their own that nft means the same.

use std::collections::BTreeMap;

use model::settings::RandomizeSnat;
use proptest::prelude::*;

use super::*;

const NODE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);
const ENI: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 20);
/// Pods on the primary and on the first other ENI; where they are makes no difference to any rule.
const POD: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 121);
const INTERNET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const PEER: Ipv4Addr = Ipv4Addr::new(172, 16, 3, 4);

fn settings() -> NatSettings {
    NatSettings {
        snat: Snat::Node(RandomizeSnat::Prng),
        node_ports: true,
        mark: crate::layout::CONNMARK,
        eni_marks: 0x78,
        veth_prefix: "eni".into(),
        excluded: vec![],
    }
}

fn facts() -> NatFacts {
    NatFacts {
        address: NODE,
        vpc: vec!["10.0.0.0/16".parse().unwrap()],
        primary: "ens5".into(),
        enis: vec![
            ("ens6".into(), RouteTable(2)),
            ("ens7".into(), RouteTable(3)),
        ],
    }
}

fn external() -> NatSettings {
    NatSettings {
        snat: Snat::External,
        ..settings()
    }
}

/// A flow as connection tracking has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Flow {
    mark: u32,
    answered: bool,
    source: Option<Ipv4Addr>,
}

#[derive(Debug, Clone, Copy)]
struct Packet<'a> {
    by: &'a str,
    to: Ipv4Addr,
    /// What a Service's address is replaced by.
    behind: Option<Ipv4Addr>,
    answer: bool,
    mark: u32,
}

/// From a link to an address.
fn packet(by: &str, to: Ipv4Addr) -> Packet<'_> {
    Packet {
        by,
        to,
        behind: None,
        answer: false,
        mark: 0,
    }
}

fn answer(by: &str, to: Ipv4Addr) -> Packet<'_> {
    Packet {
        answer: true,
        ..packet(by, to)
    }
}

struct Run<'a> {
    rules: &'a Ruleset,
    locals: BTreeMap<Ipv4Addr, &'static str>,
}

impl Run<'_> {
    /// Forwards the packet; the mark it is routed with.
    fn forward(&self, packet: Packet<'_>, flow: &mut Flow) -> u32 {
        let mut packet = packet;
        self.hook(Hook::Arrival, &mut packet, flow);
        packet.to = packet.behind.unwrap_or(packet.to);
        self.hook(Hook::Routing, &mut packet, flow);
        let routed_with = packet.mark;
        if !packet.answer && !flow.answered && flow.source.is_none() {
            self.hook(Hook::Departure, &mut packet, flow);
        }
        flow.answered |= packet.answer;
        routed_with
    }

    fn hook(&self, hook: Hook, packet: &mut Packet<'_>, flow: &mut Flow) {
        for chain in self.rules.chains.iter().filter(|it| it.hook == Some(hook)) {
            self.chain(chain, packet, flow);
        }
    }

    fn chain(&self, chain: &Chain, packet: &mut Packet<'_>, flow: &mut Flow) {
        let applies = |rule: &&Rule, packet: &Packet<'_>, flow: &Flow| {
            rule.when.iter().all(|it| self.holds(it, packet, flow))
        };
        for rule in &chain.rules {
            if !applies(&rule, packet, flow) {
                continue;
            }
            match &rule.then {
                Action::MarkFlow(mark) => flow.mark = flow.mark & !mark.mask | mark.value,
                Action::MarkPacket(mark) => packet.mark = packet.mark & !mark.mask | mark.value,
                Action::Call(name) => {
                    let called = self.rules.chains.iter().find(|it| it.name == *name);
                    self.chain(called.expect("it was made"), packet, flow);
                }
                Action::Leave => return,
                Action::Translate { to, .. } => {
                    flow.source = Some(*to);
                    return;
                }
            }
        }
    }

    fn holds(&self, condition: &Condition, packet: &Packet<'_>, flow: &Flow) -> bool {
        let under = |mark: u32, wanted: &Mark| mark & wanted.mask == wanted.value;
        match condition {
            Condition::From(Links::Named(name)) => packet.by == name,
            Condition::From(Links::Prefixed(prefix)) => packet.by.starts_with(prefix),
            Condition::Opens => !packet.answer && !flow.answered,
            Condition::Answers => packet.answer,
            Condition::ToThisLink => self.locals.get(&packet.to) == Some(&packet.by),
            Condition::ToOthers => !self.locals.contains_key(&packet.to),
            Condition::Outside => !self.rules.direct.iter().any(|it| it.contains(packet.to)),
            Condition::Flow(mark) => under(flow.mark, mark),
            Condition::FlowNot(mark) => !under(flow.mark, mark),
            Condition::PacketNot(mark) => !under(packet.mark, mark),
        }
    }
}

/// One flow: first packet, answer, second packet; the marks these were routed with and the flow afterwards.
fn exchange(
    settings: &NatSettings,
    facts: &NatFacts,
    first: Packet<'_>,
    back: Packet<'_>,
) -> ([u32; 3], Flow) {
    let rules = ruleset(settings, facts).unwrap();
    let run = Run {
        rules: &rules,
        locals: BTreeMap::from([(NODE, "ens5"), (ENI, "ens6")]),
    };
    let mut flow = Flow::default();
    let marks = [first, back, first].map(|packet| run.forward(packet, &mut flow));
    (marks, flow)
}

fn unmarked() -> ([u32; 3], Flow) {
    let flow = Flow {
        answered: true,
        ..Flow::default()
    };
    ([0; 3], flow)
}

fn translated() -> ([u32; 3], Flow) {
    let flow = Flow {
        mark: 0x80,
        answered: true,
        source: Some(NODE),
    };
    ([0x80, 0, 0x80], flow)
}

#[test]
fn t28_a_pods_flow_to_outside_the_vpc_leaves_by_the_primary_eni_with_the_nodes_address() {
    for outside in [INTERNET, PEER] {
        let (first, back) = (packet("eni01", outside), answer("ens5", POD));
        let seen = exchange(&settings(), &facts(), first, back);
        assert_eq!(seen, translated(), "{outside}");
    }
}

#[test]
fn t28_a_pods_flow_within_the_vpc_to_an_excluded_range_or_to_the_node_is_left_alone() {
    let excluding = NatSettings {
        excluded: vec!["172.16.0.0/12".parse().unwrap()],
        ..settings()
    };
    let two = NatFacts {
        vpc: ["10.0.0.0/16", "100.64.0.0/16"]
            .map(|range| range.parse().unwrap())
            .into(),
        ..facts()
    };
    for (settings, facts, to) in [
        (settings(), facts(), Ipv4Addr::new(10, 0, 200, 1)),
        (settings(), facts(), NODE),
        (excluding, facts(), PEER),
        (settings(), two, Ipv4Addr::new(100, 64, 9, 9)),
    ] {
        let seen = exchange(&settings, &facts, packet("eni01", to), answer("ens5", POD));
        assert_eq!(seen, unmarked(), "{to}");
    }
}

#[test]
fn t28_with_external_snat_no_flow_of_a_pod_is_touched() {
    for node_ports in [true, false] {
        let settings = NatSettings {
            node_ports,
            ..external()
        };
        let (first, back) = (packet("eni01", INTERNET), answer("ens6", POD));
        let seen = exchange(&settings, &facts(), first, back);
        assert_eq!(seen, unmarked());
    }
}

#[test]
fn t28_a_client_outside_that_opens_a_flow_to_a_pod_is_answered_by_the_pods_eni_untranslated() {
    for settings in [settings(), external()] {
        let (first, back) = (packet("ens6", POD), answer("eni01", INTERNET));
        let seen = exchange(&settings, &facts(), first, back);
        assert_eq!(seen, unmarked());
    }
}

#[test]
fn t28_answers_to_a_node_port_leave_by_the_eni_that_the_connection_came_in_by() {
    for (by, to, mark) in [("ens5", NODE, 0x80), ("ens6", ENI, 0x08)] {
        for settings in [settings(), external()] {
            let first = Packet {
                behind: Some(POD),
                ..packet(by, to)
            };
            let (marks, flow) = exchange(&settings, &facts(), first, answer("eni01", INTERNET));
            // To the pod the first rule leads, whatever the mark; the answer's decides.
            assert_eq!(
                (marks[1], flow.mark, flow.source),
                (mark, mark, None),
                "{by}"
            );
        }
    }
}

#[test]
fn t28_an_answer_from_another_node_leaves_by_the_eni_too_when_the_connection_came_in_by_another() {
    let far = Ipv4Addr::new(10, 0, 9, 9);
    let first = Packet {
        behind: Some(far),
        ..packet("ens6", ENI)
    };
    let (marks, _) = exchange(&settings(), &facts(), first, answer("ens5", INTERNET));
    assert_eq!(marks, [0, 0x08, 0]);
}

#[test]
fn an_answer_of_the_nodes_own_process_is_routed_by_the_eni_again() {
    let rules = ruleset(&settings(), &facts()).unwrap();
    let (mut flow, mut sent) = (
        Flow {
            mark: 0x08,
            ..Flow::default()
        },
        answer("", INTERNET),
    );
    let run = Run {
        rules: &rules,
        locals: BTreeMap::new(),
    };
    run.hook(Hook::Answer, &mut sent, &mut flow);
    assert_eq!(sent.mark, 0x08);
}

#[test]
fn without_node_port_support_nothing_that_comes_in_is_marked() {
    let settings = NatSettings {
        node_ports: false,
        ..settings()
    };
    for (by, to) in [("ens5", NODE), ("ens6", ENI)] {
        let seen = exchange(
            &settings,
            &facts(),
            packet(by, to),
            answer("eni01", INTERNET),
        );
        assert_eq!(seen, unmarked());
    }
    let names: Vec<_> = ruleset(&settings, &facts()).unwrap().chains;
    let names: Vec<_> = names.iter().map(|chain| chain.name).collect();
    assert_eq!(names, ["pods", "routing", "departures"]);
}

#[test]
fn with_external_snat_and_without_node_ports_there_is_no_ruleset() {
    let settings = NatSettings {
        node_ports: false,
        ..external()
    };
    assert_eq!(ruleset(&settings, &facts()), Ok(Ruleset::default()));
}

#[test]
fn excluding_everything_translates_nothing_and_keeps_node_ports() {
    let settings = NatSettings {
        excluded: vec!["0.0.0.0/0".parse().unwrap()],
        ..settings()
    };
    assert_eq!(ruleset(&settings, &facts()), ruleset(&external(), &facts()));
}

#[test]
fn without_the_vpcs_ranges_nothing_is_translated_by_guess() {
    let unknown = NatFacts {
        vpc: vec![],
        ..facts()
    };
    assert_eq!(ruleset(&settings(), &unknown), Err(NatError::UnknownRanges));
    assert!(ruleset(&external(), &unknown).is_ok());
}

#[test]
fn ranges_within_others_and_host_bits_are_left_out() {
    let parse = |ranges: &[&str]| ranges.iter().map(|it| it.parse().unwrap()).collect();
    let facts = NatFacts {
        vpc: parse(&[
            "10.0.7.7/16",
            "10.0.4.0/22",
            "172.16.0.0/17",
            "172.16.128.0/17",
        ]),
        ..facts()
    };
    let settings = NatSettings {
        excluded: parse(&["10.0.0.0/16", "9.9.9.9/32", "10.0.5.0/24", "172.16.0.0/16"]),
        ..settings()
    };
    let direct: Vec<Ipv4Network> = parse(&["9.9.9.9/32", "10.0.0.0/16", "172.16.0.0/16"]);
    assert_eq!(ruleset(&settings, &facts).unwrap().direct, direct);
}

#[test]
fn a_prefix_that_enis_have_too_makes_no_pod_of_them() {
    let settings = NatSettings {
        veth_prefix: "en".into(),
        ..settings()
    };
    let (first, back) = (packet("ens6", INTERNET), answer("ens5", POD));
    assert_eq!(exchange(&settings, &facts(), first, back), unmarked());
    let seen = exchange(&settings, &facts(), packet("en1f", INTERNET), back);
    assert_eq!(seen, translated());
}

#[test]
fn the_number_of_rules_does_not_grow_with_ranges_and_no_rule_is_a_pods() {
    let count = |facts: &NatFacts| {
        let chains = ruleset(&settings(), facts).unwrap().chains;
        chains.iter().map(|chain| chain.rules.len()).sum::<usize>()
    };
    let many = NatFacts {
        vpc: (0..200)
            .map(|n| Ipv4Network::new([10, n, 0, 0].into(), 16).unwrap())
            .collect(),
        ..facts()
    };
    assert_eq!(count(&many), count(&facts()));
}

fn any_settings() -> impl Strategy<Value = NatSettings> {
    let mark = prop_oneof![Just(0x80), Just(0x4000_0000), Just(0x8100)];
    (
        any::<bool>(),
        any::<bool>(),
        mark,
        prop_oneof![Just(0), Just(0x78)],
    )
        .prop_map(|(external, node_ports, mark, eni_marks)| NatSettings {
            snat: if external {
                Snat::External
            } else {
                settings().snat
            },
            node_ports,
            mark: Mark {
                value: mark,
                mask: mark,
            },
            eni_marks,
            ..settings()
        })
}

proptest! {
    #[test]
    fn t27_no_bit_of_a_mark_is_changed_but_ours_and_the_packet_gets_the_flows(
        settings in any_settings(), flow_mark: u32, packet_mark: u32, is_answer: bool, answered: bool,
        by in prop_oneof![Just("ens5"), Just("ens6"), Just("eni01"), Just("lo")],
        to in prop_oneof![Just(NODE), Just(ENI), Just(POD), Just(INTERNET)],
    ) {
        let rules = ruleset(&settings, &facts()).unwrap();
        let run = Run { rules: &rules, locals: BTreeMap::from([(NODE, "ens5"), (ENI, "ens6")]) };
        let mut flow = Flow { mark: flow_mark, answered, source: None };
        let sent = Packet { mark: packet_mark, answer: is_answer, ..packet(by, to) };
        let routed = run.forward(sent, &mut flow);
        let ours = settings.mark.mask | settings.eni_marks;
        prop_assert_eq!(flow.mark & !ours, flow_mark & !ours);
        prop_assert_eq!(routed & !ours, packet_mark & !ours);
        // P' = (P and not M) or (C and M), in what comes from pods.
        let mask = settings.mark.mask;
        if by == "eni01" && !rules.chains.is_empty() {
            prop_assert_eq!(routed & mask == mask, flow.mark & mask == mask);
        }
    }
}

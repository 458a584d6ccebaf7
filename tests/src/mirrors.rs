//! Who is seen as whom: mirrors on nodes, in pods and beyond the VPC, and callers of either. Driven by tests.
//! Must not: decide what should be seen.

use lab::fabric::counters::Reason;
use lab::namespace::Namespaces;
use lab::scene::Scene;
use lab::talk::{Call, Mirror, Protocol, TalkError, ask};
use lab::vpc::{Request, Rule};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// How long an answer that should not come is waited for.
const SILENCE: Duration = Duration::from_millis(300);
/// How long one may take on a loaded machine.
const ANSWER: Duration = Duration::from_secs(10);

/// A mirror inside a namespace.
///
/// # Panics
/// When the address is not there or the port is taken.
#[track_caller]
pub fn mirror(inside: &Namespaces, protocol: Protocol, address: SocketAddrV4) -> Mirror {
    Mirror::open(inside, protocol, address).unwrap_or_else(|error| panic!("{error}: {error:?}"))
}

/// As whom a mirror sees the caller.
///
/// # Panics
/// When it doesn't answer.
#[track_caller]
pub fn seen_as(from: &Namespaces, protocol: Protocol, target: SocketAddrV4) -> SocketAddrV4 {
    let call = Call {
        timeout: ANSWER,
        ..Call::to(protocol, target)
    };
    ask(from, call).unwrap_or_else(|error| panic!("{protocol:?} to {target}: {error:?}"))
}

/// Asks where no answer may come from.
///
/// # Panics
/// When one does, or when the question could not be asked.
#[track_caller]
pub fn is_silent(from: &Namespaces, protocol: Protocol, target: SocketAddrV4) {
    let call = Call {
        timeout: SILENCE,
        ..Call::to(protocol, target)
    };
    match ask(from, call) {
        Err(TalkError::Unanswered { .. }) => {}
        other => panic!("{protocol:?} to {target}: {other:?}"),
    }
}

/// How many packets of a pair the fabric dropped for a reason.
pub fn dropped(scene: &Scene, (from, to): (Ipv4Addr, Ipv4Addr), reason: Reason) -> u64 {
    let counters = scene.counters();
    let count = counters.dropped.get(&(from, to, reason));
    count.copied().unwrap_or_default()
}

/// Lets everything into the nodes' security group, as a public service does.
///
/// # Panics
/// When EC2 refuses.
#[track_caller]
pub fn open_group(scene: &Scene) {
    let allow = Request::AuthorizeSecurityGroupIngress {
        group: scene.group().clone(),
        rules: vec![Rule::everything()],
    };
    scene.request(allow).expect("EC2 adds the rule");
}

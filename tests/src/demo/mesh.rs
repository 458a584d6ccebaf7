//! Every pod pings every other and a host on the Internet, and the fabric's counters say which way the packets went.
//! Must not: take an answer for proof that it came over the right way.

use super::roster::Member;
use crate::progress::Progress;
use lab::fabric::counters::{Counters, Echoes};
use lab::ping::PingError;
use lab::scene::Scene;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// Echoes of a pair; the first that is lost ends the pair.
pub const ECHOES: u16 = 3;
/// How long an answer may take. Losses are the exception: a pod whose every pair is broken takes this long.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Pods that ping at once: enough to keep two processors busy, few enough for the fabric's queues.
const AT_ONCE: usize = 8;
/// On the Internet every pod pings a host of its own, so that the node's address tells the pods apart.
const HOSTS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 0);

/// What came of all pairs.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Echoes sent.
    pub sent: u32,
    /// Echoes without an answer.
    pub lost: u32,
    /// What did not hold, a line for each pair.
    pub faults: Vec<String>,
}

/// Pings between all ordered pairs of pods and from each pod to the Internet, several pods at once.
pub fn ping_all(
    progress: &Progress,
    scene: &Scene,
    members: &[Member<'_>],
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let before = scene.counters();
    let exchanged = exchange_all(members)?;
    let after = scene.counters();
    for node in 0..scene.nodes().len() {
        let faults_before = outcome.faults.len();
        let mut pairs = 0;
        for (from, received) in exchanged
            .iter()
            .filter(|(index, _)| members[*index].node == node)
        {
            for to in targets(members, *from) {
                let mut pair = pair(scene, members, (*from, to));
                (pair.sent, pair.received) = count(received, to.address(members));
                pair.seen = Seen::between(&before, &after, &pair);
                outcome.sent += u32::from(pair.sent);
                outcome.lost += u32::from(pair.sent - pair.received);
                let titles = format!("{} → {}", members[*from].title(), to.title(members));
                let fault = judge(&pair).map(|fault| format!("{titles}: {fault}"));
                outcome.faults.extend(fault);
                pairs += 1;
            }
        }
        let verdict = match outcome.faults.len() - faults_before {
            0 => "all answered, each packet went the right way".to_owned(),
            faults => format!("{faults} FAILED"),
        };
        let name = scene.node(node).name();
        progress.say(format!(
            "{name}: its pods pinged all others and the Internet, {pairs} pairs: {verdict}"
        ))?;
    }
    Ok(outcome)
}

/// Whom a pod pings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// Another pod, by its number.
    Pod(usize),
    /// A host on the Internet.
    Host(Ipv4Addr),
}

impl Target {
    fn address(self, members: &[Member<'_>]) -> Ipv4Addr {
        match self {
            Self::Pod(index) => members[index].pod.address,
            Self::Host(address) => address,
        }
    }

    fn title(self, members: &[Member<'_>]) -> String {
        match self {
            Self::Pod(index) => members[index].title(),
            Self::Host(address) => format!("the Internet ({address})"),
        }
    }
}

fn targets(members: &[Member<'_>], from: usize) -> impl Iterator<Item = Target> {
    let pods = (0..members.len()).filter(move |to| *to != from);
    let number = u32::try_from(from).unwrap_or_default() + 1;
    let host = Ipv4Addr::from_bits(HOSTS.to_bits() + number);
    pods.map(Target::Pod).chain([Target::Host(host)])
}

/// Who answered a pod, round by round.
type Rounds = Vec<BTreeSet<Ipv4Addr>>;

fn exchange_all(members: &[Member<'_>]) -> anyhow::Result<Vec<(usize, Rounds)>> {
    let next = Mutex::new(0..members.len());
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || -> Result<Vec<(usize, Rounds)>, PingError> {
        let mut done = Vec::new();
        while let Some(from) = take() {
            done.push((from, exchange(members, from)?));
        }
        Ok(done)
    };
    let mut all = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.collect::<Result<Vec<_>, _>>()
    })?
    .concat();
    all.sort_by_key(|(from, _)| *from);
    Ok(all)
}

fn exchange(members: &[Member<'_>], from: usize) -> Result<Rounds, PingError> {
    let mut asked: Vec<Ipv4Addr> = targets(members, from)
        .map(|to| to.address(members))
        .collect();
    let mut rounds = Rounds::new();
    for _ in 0..ECHOES {
        let answered = members[from].pod.sweep(&asked, ANSWER_LIMIT)?;
        asked.retain(|address| answered.contains(address));
        rounds.push(answered);
    }
    Ok(rounds)
}

/// Echoes sent and answered of one target.
fn count(rounds: &Rounds, target: Ipv4Addr) -> (u16, u16) {
    let answers = rounds.iter().take_while(|round| round.contains(&target));
    let received = u16::try_from(answers.count()).unwrap_or(ECHOES);
    (ECHOES.min(received + 1), received)
}

fn pair(scene: &Scene, members: &[Member<'_>], (from, to): (usize, Target)) -> Pair {
    let own = members[from].pod.address;
    let (seen_as, same_node) = match to {
        Target::Pod(index) => (own, members[from].node == members[index].node),
        // Its node translates it to the only address that the Internet gateway takes.
        Target::Host(_) => (scene.nodes()[members[from].node].lease.address, false),
    };
    Pair {
        own,
        addresses: (seen_as, to.address(members)),
        same_node,
        sent: 0,
        received: 0,
        seen: Seen::default(),
    }
}

/// One ordered pair, its echoes and what the fabric saw of them.
#[derive(Debug, Clone)]
struct Pair {
    /// The asking pod's own address.
    own: Ipv4Addr,
    /// As whom the fabric should see the pod, and whom it asked.
    addresses: (Ipv4Addr, Ipv4Addr),
    same_node: bool,
    sent: u16,
    received: u16,
    seen: Seen,
}

/// What the fabric counted for a pair, the answers included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    requests: u64,
    replies: u64,
    dropped: Vec<String>,
}

impl Seen {
    fn between(before: &Counters, after: &Counters, pair: &Pair) -> Self {
        let (own, (from, to)) = (pair.own, pair.addresses);
        let echoes = |counters: &Counters, pair| -> Echoes {
            counters.echoes.get(&pair).copied().unwrap_or_default()
        };
        let count = |counters: &Counters| {
            (
                echoes(counters, (from, to)).requests,
                echoes(counters, (to, from)).replies,
            )
        };
        let (earlier, later) = (count(before), count(after));
        let ends = [(from, to), (to, from), (own, to), (to, own)];
        let ours = after
            .dropped
            .iter()
            .filter(|((src, dst, _), _)| ends.contains(&(*src, *dst)));
        let new =
            ours.filter(|(key, count)| before.dropped.get(key).is_none_or(|before| before < count));
        Self {
            requests: later.0 - earlier.0,
            replies: later.1 - earlier.1,
            dropped: new
                .map(|((src, dst, reason), _)| format!("{src} → {dst} ({reason})"))
                .collect(),
        }
    }
}

/// What did not hold for a pair: every echo answered; all of it through the fabric between nodes, none of it within one.
fn judge(pair: &Pair) -> Option<String> {
    let (sent, seen) = (u64::from(pair.sent), &pair.seen);
    let mut text = String::new();
    if pair.received < pair.sent {
        let lost = pair.sent - pair.received;
        write!(text, "{lost} of {sent} echoes lost").expect("writing to a String cannot fail");
        if !seen.dropped.is_empty() {
            text += &format!("; the fabric dropped {}", seen.dropped.join(", "));
        } else if !pair.same_node && seen.requests == 0 {
            text += "; nothing of it came to the fabric";
        } else if !pair.same_node && seen.replies < seen.requests {
            text += "; the fabric delivered the request and got no answer";
        }
        return Some(text);
    }
    let expected = if pair.same_node { 0 } else { sent };
    let went_right = (seen.requests, seen.replies) == (expected, expected);
    (!went_right).then(|| {
        format!(
            "all {sent} echoes answered, but the fabric carried {} requests and {} replies instead of {expected} each",
            seen.requests, seen.replies
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::fabric::counters::Reason;
    use lab::fabric::frame::Echo;
    use lab::vpc::End;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 5);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 6);

    fn pair(same_node: bool, received: u16, seen: Seen) -> Pair {
        Pair {
            own: A,
            addresses: (A, B),
            same_node,
            sent: 3,
            received,
            seen,
        }
    }

    fn carried(requests: u64, replies: u64) -> Seen {
        Seen {
            requests,
            replies,
            dropped: Vec::new(),
        }
    }

    #[test]
    fn pairs_hold_when_answers_came_over_the_fabric_between_nodes_and_not_within_one() {
        assert_eq!(judge(&pair(false, 3, carried(3, 3))), None);
        assert_eq!(judge(&pair(true, 3, carried(0, 0))), None);
        let around = judge(&pair(false, 3, carried(0, 0))).unwrap();
        assert!(
            around.contains("0 requests and 0 replies instead of 3 each"),
            "{around}"
        );
        let outside = judge(&pair(true, 3, carried(3, 3))).unwrap();
        assert!(outside.contains("instead of 0 each"), "{outside}");
        assert!(judge(&pair(false, 3, carried(3, 2))).is_some());
    }

    #[test]
    fn a_loss_names_the_fabrics_reason_of_either_direction() {
        let mut counters = Counters::default();
        let eni = End::Eni("eni-1".parse().unwrap());
        counters.dropped(&eni, Some((A, B)), Reason::DeniedByGroup);
        let before = counters.clone();
        let ours = pair(false, 3, Seen::default());
        assert_eq!(Seen::between(&before, &counters, &ours), Seen::default());
        counters.echoed((A, B), Echo::Request);
        counters.dropped(&eni, Some((B, A)), Reason::SourceNotAssigned);
        let seen = Seen::between(&before, &counters, &ours);
        assert_eq!((seen.requests, seen.replies), (1, 0));
        assert_eq!(
            judge(&pair(false, 2, seen)).unwrap(),
            "1 of 3 echoes lost; the fabric dropped 10.0.2.6 → 10.0.1.5 (source not assigned to the ENI it left)"
        );
        assert_eq!(
            judge(&pair(false, 2, carried(3, 2))).unwrap(),
            "1 of 3 echoes lost; the fabric delivered the request and got no answer"
        );
        assert_eq!(
            judge(&pair(false, 2, Seen::default())).unwrap(),
            "1 of 3 echoes lost; nothing of it came to the fabric"
        );
    }

    #[test]
    fn what_the_border_drops_untranslated_is_the_pods_loss() {
        let (node, host) = (Ipv4Addr::new(10, 0, 1, 4), Ipv4Addr::new(203, 0, 113, 1));
        let mut counters = Counters::default();
        let before = counters.clone();
        let eni = End::Eni("eni-1".parse().unwrap());
        counters.dropped(&eni, Some((A, host)), Reason::NoPublicAddress);
        let lost = Pair {
            addresses: (node, host),
            ..pair(false, 0, Seen::default())
        };
        let seen = Seen::between(&before, &counters, &lost);
        assert_eq!(
            judge(&Pair { seen, ..lost }).unwrap(),
            "3 of 3 echoes lost; the fabric dropped 10.0.1.5 → 203.0.113.1 (Internet gateway: source has no public address)"
        );
    }

    #[test]
    fn the_first_lost_echo_ends_a_pair() {
        let rounds = |answered: &[bool]| -> Rounds {
            let round = |yes: &bool| yes.then_some(B).into_iter().collect();
            answered.iter().map(round).collect()
        };
        assert_eq!(count(&rounds(&[true, true, true]), B), (3, 3));
        assert_eq!(count(&rounds(&[true, false, false]), B), (2, 1));
        assert_eq!(count(&rounds(&[false, false, false]), B), (1, 0));
        assert_eq!(count(&rounds(&[true, true, true]), A), (1, 0));
    }
}

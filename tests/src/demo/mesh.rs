//! Every pod pings every other, and the fabric's counters say which way the packets went. Must not: take an answer for
//! proof that it came over the right way.

use super::roster::Member;
use crate::progress::Progress;
use lab::fabric::counters::{Counters, Echoes};
use lab::ping::Ping;
use lab::scene::Scene;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Echoes of a pair; the first that is lost ends the pair.
pub const ECHOES: u16 = 3;
/// How long an answer may take. Losses are the exception: with 50 pairs broken this is the time the demo takes.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

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

/// Pings between all ordered pairs, one pair after the other.
pub fn ping_all(
    progress: &Progress,
    scene: &Scene,
    members: &[Member<'_>],
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for from in members {
        let faults_before = outcome.faults.len();
        for to in members
            .iter()
            .filter(|to| to.pod.address != from.pod.address)
        {
            let before = scene.counters();
            let (mut pair, refused) = exchange(from, to)?;
            pair.seen = Seen::between(&before, &scene.counters(), pair.addresses);
            outcome.sent += u32::from(pair.sent);
            outcome.lost += u32::from(pair.sent - pair.received);
            let titles = format!("{} → {}", from.title(), to.title());
            outcome
                .faults
                .extend(judge(&pair).map(|fault| format!("{titles}: {fault}{refused}")));
        }
        let verdict = match outcome.faults.len() - faults_before {
            0 => "every pod answered, each packet went the right way".to_owned(),
            faults => format!("{faults} of {} pairs FAILED", members.len() - 1),
        };
        progress.say(format!("{} pinged all others: {verdict}", from.title()))?;
    }
    Ok(outcome)
}

fn exchange(from: &Member<'_>, to: &Member<'_>) -> anyhow::Result<(Pair, String)> {
    let mut pair = Pair {
        addresses: (from.pod.address, to.pod.address),
        same_node: from.node == to.node,
        sent: 0,
        received: 0,
        seen: Seen::default(),
    };
    let echo = Ping {
        target: to.pod.address,
        source: None,
        count: 1,
        timeout: ANSWER_LIMIT,
    };
    let mut refused = String::new();
    while pair.sent < ECHOES && pair.sent == pair.received {
        let pinged = from.pod.ping(echo)?;
        pair.sent += pinged.sent;
        pair.received += pinged.received;
        refused = pinged
            .refused
            .map(|said| format!("; the pod's kernel: {said}"))
            .unwrap_or_default();
    }
    Ok((pair, refused))
}

/// One ordered pair, its echoes and what the fabric saw of them.
#[derive(Debug, Clone)]
struct Pair {
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
    fn between(before: &Counters, after: &Counters, (from, to): (Ipv4Addr, Ipv4Addr)) -> Self {
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
        let ours = after
            .dropped
            .iter()
            .filter(|((src, dst, _), _)| [(from, to), (to, from)].contains(&(*src, *dst)));
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
        assert_eq!(Seen::between(&before, &counters, (A, B)), Seen::default());
        counters.echoed((A, B), Echo::Request);
        counters.dropped(&eni, Some((B, A)), Reason::SourceNotAssigned);
        let seen = Seen::between(&before, &counters, (A, B));
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
}

//! What happened in a run, as text or as one hash. Must not: influence the run; costs nothing when off.
//! Driven by: `world`.

use crate::random::{FNV_START, fnv};
use ipam::effect::{Answer, Effect, FileContent};
use ipam::event::{Event, Outcome, Request};
use model::call::Reply;
use model::eni::EniRecord;
use model::time::Instant;
use std::fmt::Arguments;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: fastest.
    Nothing,
    /// One hash over all lines: two runs of a seed must agree.
    Hash,
    /// The lines.
    Lines,
}

/// The record of one run.
#[derive(Debug)]
pub struct Trace {
    keep: Keep,
    hash: u64,
    lines: Vec<String>,
}

impl Trace {
    /// Nothing recorded yet.
    pub fn new(keep: Keep) -> Self {
        Self {
            keep,
            hash: FNV_START,
            lines: Vec::new(),
        }
    }

    /// Whether anything is recorded: what costs something to say is then worth saying.
    pub fn is_on(&self) -> bool {
        self.keep != Keep::Nothing
    }

    /// Records a line.
    pub fn line(&mut self, at: Instant, text: Arguments<'_>) {
        match self.keep {
            Keep::Nothing => {}
            Keep::Hash => self.hash = fnv(self.hash, format!("{at} {text}").as_bytes()),
            Keep::Lines => self.lines.push(format!("t={at} {text}")),
        }
    }

    /// Hash over all lines.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines kept.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl Trace {
    /// Records an effect: whole for the hash, short for people.
    pub fn effect(&mut self, at: Instant, effect: &Effect) {
        match self.keep {
            Keep::Nothing => {}
            Keep::Hash => self.line(at, format_args!("{effect:?}")),
            Keep::Lines => self.line(at, format_args!("  -> {}", short(effect))),
        }
    }

    /// Records an event that the machine gets.
    pub fn event(&mut self, at: Instant, event: &Event) {
        match self.keep {
            Keep::Nothing => {}
            Keep::Hash => self.line(at, format_args!("{event:?}")),
            Keep::Lines => self.line(at, format_args!("<- {}", short_event(event))),
        }
    }
}

fn short(effect: &Effect) -> String {
    match effect {
        Effect::Write(op, FileContent::Checkpoint(checkpoint)) => {
            let held: Vec<String> = checkpoint
                .allocations
                .iter()
                .map(|entry| format!("{}={}", entry.key.container, entry.address))
                .collect();
            let cooling = checkpoint.extension.as_ref().map(|extension| {
                extension
                    .cooling
                    .iter()
                    .map(|c| format!("{} until {}", c.address, c.until))
                    .collect::<Vec<_>>()
            });
            format!(
                "#{} write checkpoint held {held:?} cooling {:?}",
                op.0,
                cooling.unwrap_or_default()
            )
        }
        Effect::Write(op, FileContent::Journal(journal)) => {
            let calls: Vec<String> = journal
                .iter()
                .map(|intent| format!("{}: {}", intent.number, intent.call))
                .collect();
            format!("#{} write journal {calls:?}", op.0)
        }
        Effect::Call(op, call, limit) => format!("#{} call {call} within {limit:?}", op.0),
        Effect::ReadImds(op) => format!("#{} read IMDS", op.0),
        Effect::Host(version, desired) => {
            let enis: Vec<&str> = desired.enis.iter().map(|eni| eni.id.as_str()).collect();
            format!("host v{version} {enis:?} gone {:?}", desired.gone)
        }
        Effect::Reply(id, answer) => match answer {
            Answer::Added(grant) => format!(
                "reply to {}: added {} for {}",
                id.0, grant.address, grant.key.container
            ),
            Answer::Deleted(grant) => format!(
                "reply to {}: deleted {} of {}",
                id.0, grant.address, grant.key.container
            ),
            Answer::UnknownPod => format!("reply to {}: unknown pod", id.0),
            Answer::Refused(reason) => format!("reply to {}: refused: {reason}", id.0),
        },
        Effect::Note(notice) => format!("note {notice:?}"),
    }
}

fn short_event(event: &Event) -> String {
    match event {
        Event::Request(id, Request::Add { key, pod, deadline }) => {
            format!(
                "request {} ADD {} for {} by {deadline}",
                id.0, key.container, pod.name
            )
        }
        Event::Request(id, Request::Del { key, deadline }) => {
            format!("request {} DEL {} by {deadline}", id.0, key.container)
        }
        Event::Done(op, Outcome::Called(Ok(reply))) => {
            format!("#{} done {}", op.0, short_reply(reply))
        }
        Event::Done(op, Outcome::Imds(Ok(metadata))) => format!(
            "#{} done IMDS lists {} ENIs",
            op.0,
            metadata.interfaces.len()
        ),
        Event::Done(op, outcome) => format!("#{} done {outcome:?}", op.0),
        Event::Links(view) => format!("links {} macs, routed {:?}", view.macs.len(), view.routed),
        Event::Abandoned(_) | Event::HostState(..) | Event::Timer | Event::Shutdown => {
            format!("{event:?}")
        }
    }
}

fn short_reply(reply: &Reply) -> String {
    let one = |record: &EniRecord| {
        let last: Vec<String> = record
            .addresses
            .iter()
            .map(|a| format!("{}{}", a.address, if a.primary { "*" } else { "" }))
            .collect();
        format!("{} {:?} {last:?}", record.id, record.status)
    };
    match reply {
        Reply::Interfaces(records) => format!(
            "ENIs [{}]",
            records.iter().map(one).collect::<Vec<_>>().join(", ")
        ),
        Reply::Created(record) => format!("created {}", one(record)),
        Reply::Subnets(_)
        | Reply::InstanceType(_)
        | Reply::Attached(_)
        | Reply::Assigned(_)
        | Reply::Done => format!("{reply:?}"),
    }
}

//! One round: an empty program, `aws-cni` and `minimal_wire`, each started in the same way. Must not: print.

use anyhow::{Context, bail};
use lab::node::Node;
use lab::runtime::PLUGINS;
use lab::runtime::conflist::Conflist;
use lab::runtime::invocation::{Call, Invocation, PodSpec, Running};
use lab::runtime::sandbox::{DelWith, Sandbox};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Who plays, on which node.
#[derive(Debug)]
pub struct Contest<'n> {
    node: &'n Node,
    conflist: &'n Conflist,
    plugin: String,
    sandboxes: Cell<usize>,
}

/// Times of one program, exec to exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// ADD.
    pub add: Duration,
    /// DEL with the pod's namespace still there.
    pub del: Duration,
}

/// One round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// `/bin/true`: what starting a program costs here.
    pub floor: Duration,
    /// The plugin.
    pub plugin: Times,
    /// The yardstick.
    pub minimal: Times,
}

/// All rounds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples(Vec<Round>);

impl Samples {
    /// Adds a round.
    pub fn push(&mut self, round: Round) {
        self.0.push(round);
    }

    /// One time of each round.
    pub fn times(&self, of: impl Fn(&Round) -> Duration) -> Vec<Duration> {
        self.0.iter().map(of).collect()
    }
}

impl<'n> Contest<'n> {
    /// A contest on a node on which plugin, daemon and yardstick are installed.
    pub fn new(node: &'n Node, conflist: &'n Conflist) -> anyhow::Result<Self> {
        let plugin = conflist
            .programs()
            .next()
            .context("the configuration has no plugin")?
            .to_owned();
        Ok(Self {
            node,
            conflist,
            plugin,
            sandboxes: Cell::new(0),
        })
    }

    /// Plays one round; who is first alternates.
    pub fn round(&self, number: usize) -> anyhow::Result<Round> {
        let floor = self.floor()?;
        let (plugin, minimal) = if number.is_multiple_of(2) {
            let plugin = self.plugin()?;
            (plugin, self.minimal()?)
        } else {
            let minimal = self.minimal()?;
            (self.plugin()?, minimal)
        };
        Ok(Round {
            floor,
            plugin,
            minimal,
        })
    }

    fn floor(&self) -> anyhow::Result<Duration> {
        let call = Call {
            verb: "ADD",
            program: PathBuf::from("/bin/true"),
            container: String::new(),
            netns: String::new(),
            pod: spec("none"),
            turn: 0,
            stdin: String::new(),
        };
        self.time(&call)
    }

    fn plugin(&self) -> anyhow::Result<Times> {
        let mut sandbox = self.sandbox()?;
        let add = checked("aws-cni ADD", &sandbox.add()?)?;
        let del = checked("aws-cni DEL", &sandbox.del(DelWith::Netns)?)?;
        sandbox.remove_netns()?;
        Ok(Times { add, del })
    }

    fn minimal(&self) -> anyhow::Result<Times> {
        let sandbox = self.sandbox()?;
        let call = |verb| Call {
            verb,
            program: Path::new(PLUGINS).join("minimal_wire"),
            container: sandbox.container().to_owned(),
            netns: sandbox.netns().to_owned(),
            pod: sandbox.spec().clone(),
            turn: 0,
            // It does not read it, but the runtime's side of the work is the same.
            stdin: self.conflist.stdin(&self.plugin, None),
        };
        let times = Times {
            add: self.time(&call("ADD"))?,
            del: self.time(&call("DEL"))?,
        };
        sandbox.remove_netns()?;
        Ok(times)
    }

    fn sandbox(&self) -> anyhow::Result<Sandbox<'n>> {
        let number = self.sandboxes.get();
        self.sandboxes.set(number + 1);
        let spec = spec(&number.to_string());
        Ok(Sandbox::create(self.node, self.conflist.clone(), spec)?)
    }

    fn time(&self, call: &Call) -> anyhow::Result<Duration> {
        let what = format!("{} {}", call.program.display(), call.verb);
        let finished = call.start(self.node).and_then(Running::finish);
        checked(&what, &[finished.with_context(|| format!("call {what}"))?])
    }
}

/// Each pod has a name of its own. The kernel removes links of a namespace that is gone in the background; a pod with
/// the name of the last one would find that one's link in its way.
fn spec(number: &str) -> PodSpec {
    PodSpec {
        namespace: "bench".to_owned(),
        name: format!("contestant-{number}"),
        uid: format!("uid-of-contestant-{number}"),
    }
}

fn checked(what: &str, calls: &[Invocation]) -> anyhow::Result<Duration> {
    match calls.iter().find(|call| !call.succeeded()) {
        Some(failed) => bail!("{what}: {}", failed.failure()),
        None => Ok(calls.iter().map(|call| call.elapsed).sum()),
    }
}

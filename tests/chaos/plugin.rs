//! T-09: the plugin is killed before each thing it says, to the daemon, to the kernel or to the runtime, in an ADD and in
//! a DEL. The runtime's DEL then leaves nothing of the pod.

use crate::home::{Home, log, looked_after};
use crate::truth::settled;
use e2e::kill::{Cut, Kind, SOCKETS, kinds, record};
use e2e::stage::Stage;
use e2e::wrapped::Wrapped;
use lab::runtime::invocation::Invocation;
use lab::runtime::pod::Pod;
use lab::runtime::sandbox::{DelWith, Sandbox};
use std::collections::BTreeMap;
use std::fs;

/// Two ENIs of three addresses for pods are all there is, so that nothing grows meanwhile.
const VARIABLES: &[(&str, &str)] = &[("IP_COOLDOWN_PERIOD", "0"), ("MAX_ENI", "2")];
/// The plugin of a stage's first node, and the record of what it says.
struct Followed<'s> {
    stage: &'s Stage,
    wrapped: Wrapped<'s>,
}

impl<'s> Followed<'s> {
    fn new(stage: &'s Stage) -> Self {
        let wrapped = Wrapped::new(stage.node(0));
        Self { stage, wrapped }
    }

    /// What the plugin says in one call.
    fn recorded(&self, call: impl FnOnce()) -> BTreeMap<Kind, usize> {
        let trace = log(self.stage, "record");
        self.wrapped.by(&record(SOCKETS, &[], &trace));
        call();
        self.wrapped.by(&[]);
        kinds(&fs::read_to_string(trace).unwrap(), &[])
    }

    /// Makes a call for each thing said before which the plugin then dies; returns how often it died.
    fn killed<T>(
        &self,
        said: &BTreeMap<Kind, usize>,
        prepare: impl Fn() -> T,
        call: impl Fn(&mut T) -> Invocation,
        after: impl Fn(T),
    ) -> usize {
        let mut kills = 0;
        for kind in said.keys() {
            for nth in 1..60 {
                let cut = Cut {
                    kind: kind.clone(),
                    nth,
                };
                eprintln!("{cut}");
                let mut prepared = prepare();
                self.wrapped.by(&cut.command(&log(self.stage, "cut")));
                let died = call(&mut prepared).exit.is_none();
                self.wrapped.by(&[]);
                after(prepared);
                if !died {
                    break;
                }
                kills += 1;
            }
        }
        kills
    }
}

/// A node with both ENIs and a pod that stays.
fn at_home(test: &str, work: impl FnOnce(&Home<'_>, &Pod<'_>, &Followed<'_>)) {
    let stage = Stage::one(test, "t3.small");
    let wrapped = Followed::new(&stage);
    let first = stage.launch(0, VARIABLES);
    let ((), deaths) = looked_after((&stage, 0), VARIABLES, first, |home| {
        let [steady] = home.pods(["steady"]);
        settled(&stage, 0, &[&steady], 2);
        work(home, &steady, &wrapped);
        settled(&stage, 0, &[&steady], 2);
    });
    assert_eq!(deaths, 0);
}

#[test]
fn t09_a_plugin_killed_at_every_word_of_an_add_leaves_nothing_after_the_runtimes_del() {
    at_home("chaos/plugin-add", |home, steady, wrapped| {
        let sandbox = || home.stage.sandbox(0, "web", "0.4.0");
        let end = |mut sandbox: Sandbox<'_>| {
            home.end(&mut sandbox);
            settled(home.stage, 0, &[steady], 2);
        };
        let said = wrapped.recorded(|| {
            let mut sandbox = sandbox();
            assert!(home.stage.add(&mut sandbox).succeeded());
            end(sandbox);
        });
        let add = |sandbox: &mut Sandbox<'_>| home.stage.add(sandbox);
        let kills = wrapped.killed(&said, sandbox, add, end);
        // It connects, asks, makes the link, wires both ends, answers.
        assert!(kills >= 6, "killed {kills} times: {said:?}");
    });
}

#[test]
fn t09_a_plugin_killed_at_every_word_of_a_del_leaves_nothing_after_the_next_del() {
    at_home("chaos/plugin-del", |home, steady, wrapped| {
        let wired = || {
            let [pod] = home.pods(["web"]);
            let (address, sandbox) = (pod.address, pod.into_sandbox());
            assert_ne!(address, steady.address);
            sandbox
        };
        let end = |mut sandbox: Sandbox<'_>| {
            home.end(&mut sandbox);
            settled(home.stage, 0, &[steady], 2);
        };
        let del = |sandbox: &mut Sandbox<'_>| home.stage.del(sandbox, DelWith::Netns);
        let mut first = wired();
        let said = wrapped.recorded(|| assert!(del(&mut first).succeeded()));
        end(first);
        let kills = wrapped.killed(&said, wired, del, end);
        // It connects, asks, removes two rules and a route.
        assert!(kills >= 4, "killed {kills} times: {said:?}");
    });
}

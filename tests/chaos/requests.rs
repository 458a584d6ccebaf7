//! T-09: the daemon is killed before each step of one ADD and of one DEL: the checkpoint's, and whatever it says to the
//! plugin. The plugin waits for its successor, or dies with it.

use crate::home::{FOLDER, Home, log, looked_after};
use crate::truth::settled;
use e2e::daemon::PATIENCE;
use e2e::expect::eventually;
use e2e::kill::{Cut, FILES, Kind, SOCKETS, kinds, record_running};
use e2e::stage::{PLUGIN, Stage};
use lab::runtime::pod::Pod;
use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;

/// Two ENIs of three addresses for pods are all there is, so that nothing grows meanwhile.
const VARIABLES: &[(&str, &str)] = &[("IP_COOLDOWN_PERIOD", "1"), ("MAX_ENI", "2")];
const CHECKPOINT: &str = "/var/run/aws-node/ipam.json.tmp";

/// The steps of what `work` makes the daemon do: changes of its files and words to plugins.
fn recorded(home: &Home<'_>, work: impl FnOnce()) -> BTreeSet<Kind> {
    let trace = log(home.stage, "record");
    let tracer = home.trace(|pid| record_running(&format!("{FILES},{SOCKETS}"), pid, &trace));
    work();
    drop(tracer);
    let record = fs::read_to_string(trace).unwrap();
    let mut steps = kinds(&record, &[CHECKPOINT, FOLDER]);
    steps.retain(|Kind { call, path }, _| {
        path.as_deref() == Some(FOLDER) || path.is_some() && !call.contains("sync")
    });
    let is_said = |line: &&str| line.contains("<UNIX");
    let said: Vec<&str> = record.lines().filter(is_said).collect();
    steps.extend(kinds(&said.join("\n"), &[]));
    steps.into_keys().collect()
}

/// Lets the daemon die at each step of `work`, which gets what was prepared before; returns how often it died.
fn killed<T>(
    home: &Home<'_>,
    steps: &BTreeSet<Kind>,
    prepare: impl Fn() -> T,
    work: impl Fn(T),
) -> usize {
    let mut kills = 0;
    for kind in steps {
        for nth in 1..40 {
            let cut = Cut {
                kind: kind.clone(),
                nth,
            };
            eprintln!("{cut}");
            home.serves();
            let (prepared, before) = (prepare(), home.deaths());
            let tracer = home.trace(|pid| cut.attach(pid, &log(home.stage, "cut")));
            work(prepared);
            drop(tracer);
            if home.deaths() == before {
                break;
            }
            kills += 1;
        }
    }
    kills
}

/// A node with both ENIs and a pod that stays; afterwards every address can still be given to a pod.
fn at_home(test: &str, work: impl FnOnce(&Home<'_>, &Pod<'_>)) {
    let stage = Stage::one(test, "t3.small");
    let first = stage.launch(0, VARIABLES);
    looked_after((&stage, 0), VARIABLES, first, |home| {
        let [steady] = home.pods(["steady"]);
        settled(&stage, 0, &[&steady], 2);
        work(home, &steady);
        settled(&stage, 0, &[&steady], 2);
        let more = home.pods(["a", "b", "c", "d", "e"]);
        let all: Vec<&Pod<'_>> = more.iter().chain([&steady]).collect();
        settled(&stage, 0, &all, 2);
        let given: BTreeSet<Ipv4Addr> = all.iter().map(|pod| pod.address).collect();
        let owned = stage.enis(0).into_iter().flat_map(|eni| eni.addresses);
        let spare = owned.filter(|address| !address.primary);
        assert_eq!(given, spare.map(|address| address.address).collect());
    });
}

#[test]
fn t09_killed_at_every_step_of_an_add_whose_plugin_waits_it_answers_after_its_restart() {
    at_home("chaos/add-waits", |home, steady| {
        let add = || {
            let [pod] = home.pods(["web"]);
            settled(home.stage, 0, &[steady, &pod], 2);
            pod
        };
        let steps = recorded(home, || home.stop(add()));
        let kills = killed(home, &steps, || (), |()| home.stop(add()));
        assert!(kills >= 6, "killed {kills} times: {steps:?}");
    });
}

#[test]
fn t09_killed_with_the_plugin_at_every_step_of_an_add_it_holds_no_address_for_nobody() {
    at_home("chaos/add-dies", |home, steady| {
        let add = || {
            let before = home.deaths();
            let mut sandbox = home.stage.sandbox(0, "web", "0.4.0");
            let mut running = sandbox.begin("ADD", PLUGIN).unwrap();
            eventually(
                "the plugin answers or the daemon dies",
                PATIENCE,
                || match home.deaths() > before || running.has_ended().unwrap() {
                    true => Ok(()),
                    false => Err("neither"),
                },
            );
            // It may have ended by itself.
            let _ = running.kill();
            running.finish().unwrap();
            home.end(&mut sandbox);
            settled(home.stage, 0, &[steady], 2);
        };
        let steps = recorded(home, add);
        let kills = killed(home, &steps, || (), |()| add());
        assert!(kills >= 6, "killed {kills} times: {steps:?}");
    });
}

#[test]
fn t09_killed_at_every_step_of_a_del_it_frees_the_address_once() {
    at_home("chaos/del", |home, steady| {
        let del = |pod: Pod<'_>| {
            home.stop(pod);
            settled(home.stage, 0, &[steady], 2);
        };
        let web = || home.pods(["web"]).into_iter().next().unwrap();
        let pod = web();
        let steps = recorded(home, || del(pod));
        let kills = killed(home, &steps, web, del);
        assert!(kills >= 6, "killed {kills} times: {steps:?}");
    });
}

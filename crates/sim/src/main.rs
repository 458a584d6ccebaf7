//! The program `sim`: runs seeds or the kill sweep on all cores, or one plan, and prints what did not hold and how to
//! replay it. Must not: decide anything about a run; it reads arguments and plan files, starts threads and prints.
#![expect(clippy::print_stdout, reason = "the program's output is its purpose")]

use sim::arguments::{Arguments, USAGE};
use sim::plan::Plan;
use sim::sweep::{self, SCENARIOS};
use sim::tally::Tally;
use sim::trace::{Keep, Trace};
use sim::world::{Orders, Report, run_with};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Violations printed in full; the others are only counted.
const PRINTED: usize = 20;
/// One run in so many is made twice (P10).
const TWICE: u64 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A panic of the machine is a violation, reported like the others.
    std::panic::set_hook(Box::new(|_| {}));
    let done = if arguments.plan.is_some() || arguments.seed.is_some() {
        run_one(&arguments)
    } else if arguments.sweep {
        run_sweep(&arguments)
    } else {
        run_seeds(&arguments)
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// The plan that is asked for by number or file, without steps that are never taken.
fn plan_of(arguments: &Arguments) -> Result<(Plan, Orders), String> {
    let orders = orders(arguments);
    match &arguments.plan {
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
            let plan = text.parse().map_err(|error| format!("{file}: {error}"))?;
            let events = u64::MAX;
            Ok((plan, Orders { events, ..orders }))
        }
        None => {
            let mut plan = Plan::of(arguments.seed.unwrap_or(0), arguments.steps);
            let taken = run_with(&plan, &orders, &mut Trace::new(Keep::Nothing)).steps;
            plan.steps
                .truncate(usize::try_from(taken).unwrap_or(usize::MAX));
            Ok((plan, orders))
        }
    }
}

fn orders(arguments: &Arguments) -> Orders {
    Orders {
        mutant: arguments.mutant,
        events: arguments.steps.into(),
    }
}

fn run_one(arguments: &Arguments) -> Result<ExitCode, String> {
    let (mut plan, mut orders) = plan_of(arguments)?;
    if arguments.shrink {
        plan = sim::shrink::shrink(&plan, arguments.mutant);
        orders.events = u64::MAX;
    }
    let keep = if arguments.trace {
        Keep::Lines
    } else {
        Keep::Nothing
    };
    let mut trace = Trace::new(keep);
    let report = run_with(&plan, &orders, &mut trace);
    if arguments.trace || arguments.shrink {
        print!("{plan}");
    }
    trace.lines().iter().for_each(|line| println!("{line}"));
    let mut tally = Tally::default();
    tally.add("this plan", report);
    print_violations(&tally, |_| "sim --plan FILE".to_owned());
    Ok(last_lines(&tally, "sim: plans", &[]))
}

fn run_seeds(arguments: &Arguments) -> Result<ExitCode, String> {
    let orders = orders(arguments);
    let tally = in_parallel(arguments.seeds, |seed, tally| {
        let plan = Plan::of(seed, arguments.steps);
        let report = if seed.is_multiple_of(TWICE) {
            tally.repeated += 1;
            run_twice(&plan, &orders)
        } else {
            run_with(&plan, &orders, &mut Trace::new(Keep::Nothing))
        };
        tally.add(&format!("seed {seed}"), report);
    });
    let mutant = mutant_words(arguments);
    print_violations(&tally, |name| {
        let seed = name.replace("seed ", "--seed ");
        format!(
            "sim {seed} --steps {}{mutant} --trace [--shrink]",
            arguments.steps
        )
    });
    if arguments.mutant.is_none() {
        println!("{}", tally.situations());
        println!("{}", tally.checks());
    }
    Ok(last_lines(&tally, "sim: seeds", &tally.gaps()))
}

/// P10: a run is a function of its plan. A difference is a violation like any other.
fn run_twice(plan: &Plan, orders: &Orders) -> Report {
    let (mut first, mut second) = (Trace::new(Keep::Hash), Trace::new(Keep::Hash));
    let mut report = run_with(plan, orders, &mut first);
    run_with(plan, orders, &mut second);
    if first.hash() != second.hash() {
        report.violation = Some(sim::invariant::different_again(report.violation));
    }
    report
}

fn run_sweep(arguments: &Arguments) -> Result<ExitCode, String> {
    let mut cases = Vec::new();
    let mut whole = Tally::default();
    for scenario in SCENARIOS {
        let plan = scenario.plan()?;
        let (blows, report) = sweep::blows(&plan, arguments.mutant);
        whole.add(scenario.name, report);
        cases.extend(
            blows
                .into_iter()
                .map(|blow| (scenario.name, plan.clone(), blow)),
        );
    }
    let count = u64::try_from(cases.len()).map_err(|error| error.to_string())?;
    let tally = in_parallel(count, |number, tally| {
        let number = usize::try_from(number).expect("an index of the list");
        let (name, plan, blow) = &cases[number];
        let report = sweep::strike(plan, arguments.mutant, Some(*blow));
        tally.add(&format!("{name}: {blow}"), report);
    });
    whole.merge(tally);
    let mutant = mutant_words(arguments);
    print_violations(&whole, |name| {
        let (file, line) = name.split_once(": ").unwrap_or((name, ""));
        format!(
            "sim --plan FILE{mutant} --trace, where FILE is scenarios/{file}.plan and the line {line:?}"
        )
    });
    println!("{} scenarios, {count} deaths", SCENARIOS.len());
    Ok(last_lines(&whole, "sweep: runs", &[]))
}

/// Does the numbers below `count` on all cores.
fn in_parallel(count: u64, one: impl Fn(u64, &mut Tally) + Sync) -> Tally {
    let (next, total) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut tally = Tally::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    one(number, &mut tally);
                }
                total
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .merge(tally);
            });
        }
    });
    total
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn mutant_words(arguments: &Arguments) -> String {
    arguments
        .mutant
        .map(|mutant| format!(" --mutant {}", mutant.name()))
        .unwrap_or_default()
}

fn print_violations(tally: &Tally, replay: impl Fn(&str) -> String) {
    for (name, violation) in tally.failed.iter().take(PRINTED) {
        let (code, kind) = (violation.invariant.code(), violation.invariant);
        println!(
            "violation of {code} ({kind:?}) in {name} at t={}",
            violation.at
        );
        println!("  {}", violation.text);
        println!("  replay: {}", replay(name));
    }
}

fn last_lines(tally: &Tally, what: &str, gaps: &[String]) -> ExitCode {
    let broken = tally.broken();
    broken
        .iter()
        .chain(gaps)
        .for_each(|line| println!("{line}"));
    println!(
        "{what}={} steps={} (fewest in a run {}) plan_steps={} violations={}",
        tally.runs,
        tally.steps,
        tally.fewest.unwrap_or(0),
        tally.plan_steps,
        tally.failed.len()
    );
    if broken.is_empty() && gaps.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

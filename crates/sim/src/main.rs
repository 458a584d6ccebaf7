//! The program `sim`: runs seeds on all cores and prints what did not hold and how to replay it.
//! Must not: decide anything about a run; it reads arguments, starts threads and prints.

use sim::mutant::Mutant;
use sim::plan::Plan;
use sim::reached::Reached;
use sim::trace::{Keep, Trace};
use sim::world::Report;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const USAGE: &str =
    "usage: sim [--seeds N] [--seed S] [--steps N] [--mutant NAME] [--trace] [--shrink]";
/// Violations printed in full; the others are only counted.
const PRINTED: usize = 20;

struct Arguments {
    seeds: u64,
    seed: Option<u64>,
    steps: u32,
    mutant: Option<Mutant>,
    trace: bool,
    shrink: bool,
}

/// What all threads found.
#[derive(Default)]
struct Total {
    done: u64,
    steps: u64,
    events: u64,
    failed: Vec<(u64, Report)>,
    reached: Reached,
}

#[expect(clippy::print_stdout, reason = "the program's output is its purpose")]
fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(seed) = arguments
        .seed
        .filter(|_| arguments.trace || arguments.shrink)
    {
        print_one(&arguments, seed);
    }
    let total = run_all(&arguments);
    if arguments.mutant.is_none() && arguments.seed.is_none() {
        println!("situations never met: {:?}", total.reached.missing());
    }
    let mut kinds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (seed, report) in &total.failed {
        let code = report
            .violation
            .as_ref()
            .map_or("", |violation| violation.invariant.code());
        let (count, first) = kinds.entry(code).or_insert((0, *seed));
        (*count, *first) = (*count + 1, (*first).min(*seed));
    }
    for (code, (count, first)) in kinds {
        println!("{code} broke in {count} seeds, first {first}");
    }
    println!("{} events handled", total.events);
    println!(
        "sim: seeds={} steps={} violations={}",
        total.done,
        total.steps,
        total.failed.len()
    );
    if total.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        seeds: 1000,
        seed: None,
        steps: 200,
        mutant: None,
        trace: false,
        shrink: false,
    };
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .filter(|text| !text.is_empty())
                .ok_or(format!("{word} needs a value"))
        };
        let number = |text: String| {
            text.parse::<u64>()
                .map_err(|error| format!("{word} {text}: {error}"))
        };
        match word.as_str() {
            "--seeds" => arguments.seeds = number(value()?)?,
            "--seed" => arguments.seed = Some(number(value()?)?),
            "--steps" => {
                arguments.steps =
                    u32::try_from(number(value()?)?).map_err(|error| format!("--steps: {error}"))?
            }
            "--mutant" => {
                let name = value()?;
                let known: Vec<&str> = Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
                let found = Mutant::named(&name)
                    .ok_or(format!("no mutant {name:?}; there are {known:?}"))?;
                arguments.mutant = Some(found);
            }
            "--trace" => arguments.trace = true,
            "--shrink" => arguments.shrink = true,
            other => return Err(format!("unknown argument {other:?}")),
        }
    }
    if (arguments.trace || arguments.shrink) && arguments.seed.is_none() {
        return Err("--trace and --shrink want --seed".to_owned());
    }
    Ok(arguments)
}

#[expect(clippy::print_stdout, reason = "the program's output is its purpose")]
fn print_one(arguments: &Arguments, seed: u64) {
    let mut plan = Plan::of(seed, arguments.steps);
    if arguments.shrink {
        plan = sim::shrink::shrink(&plan, arguments.mutant);
    }
    let mut trace = Trace::new(if arguments.trace {
        Keep::Lines
    } else {
        Keep::Nothing
    });
    let report = sim::world::run(&plan, arguments.mutant, &mut trace);
    println!("{plan:#?}");
    for line in trace.lines() {
        println!("{line}");
    }
    if let Some(violation) = report.violation {
        println!(
            "smallest plan: {} steps, {} at {}: {}",
            plan.steps.len(),
            violation.invariant.code(),
            violation.at,
            violation.text
        );
    }
}

fn run_all(arguments: &Arguments) -> Total {
    let (first, last) = match arguments.seed {
        Some(seed) => (seed, seed + 1),
        None => (0, arguments.seeds),
    };
    let next = AtomicU64::new(first);
    let total = Mutex::new(Total::default());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last {
                        return;
                    }
                    let plan = Plan::of(seed, arguments.steps);
                    let report =
                        sim::world::run(&plan, arguments.mutant, &mut Trace::new(Keep::Nothing));
                    record(&total, arguments, (seed, report));
                }
            });
        }
    });
    total
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[expect(clippy::print_stdout, reason = "the program's output is its purpose")]
fn record(total: &Mutex<Total>, arguments: &Arguments, (seed, report): (u64, Report)) {
    let mut total = total
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    total.done += 1;
    total.steps += report.steps;
    total.events += report.events;
    total.reached.merge(&report.reached);
    if let Some(violation) = &report.violation {
        if total.failed.len() < PRINTED {
            let mutant = arguments
                .mutant
                .map(|mutant| format!(" --mutant {}", mutant.name()))
                .unwrap_or_default();
            println!(
                "violation of {} ({:?}) in seed {seed} at t={}",
                violation.invariant.code(),
                violation.invariant,
                violation.at
            );
            println!("  {}", violation.text);
            println!(
                "  replay: sim --seed {seed} --steps {}{mutant} --trace [--shrink]",
                arguments.steps
            );
        }
        total.failed.push((seed, report));
    }
    if total.done.is_multiple_of(250) {
        println!(
            "… {} seeds, {} steps, {} violations",
            total.done,
            total.steps,
            total.failed.len()
        );
    }
}

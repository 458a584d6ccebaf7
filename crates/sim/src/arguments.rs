//! The words that the program `sim` is called with. Must not: read them from the process or act on them (`main` does).

use crate::mutant::Mutant;

/// How to call it.
pub const USAGE: &str = "usage: sim [--seeds N] [--steps N] [--mutant NAME]   many runs; a step is one event handled by a node
       sim --seed S [--steps N] [--mutant NAME] [--trace] [--shrink]
       sim --plan FILE [--mutant NAME] [--trace] [--shrink]
       sim --sweep [--mutant NAME]   a kill at every effect of every scenario";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// How many seeds, from 0.
    pub seeds: u64,
    /// This one only.
    pub seed: Option<u64>,
    /// The plan of this file only.
    pub plan: Option<String>,
    /// The kill sweep instead of seeds.
    pub sweep: bool,
    /// Events that a node handles before a run begins to end.
    pub steps: u32,
    /// The planted bug.
    pub mutant: Option<Mutant>,
    /// Whether the run is told.
    pub trace: bool,
    /// Whether the plan is made small first.
    pub shrink: bool,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            seeds: 1000,
            seed: None,
            plan: None,
            sweep: false,
            steps: 1000,
            mutant: None,
            trace: false,
            shrink: false,
        }
    }
}

impl Arguments {
    /// Reads the words after the program's name.
    pub fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            let mut value = || {
                let text = words.next().filter(|text| !text.is_empty());
                text.ok_or(format!("{word} needs a value"))
            };
            match word.as_str() {
                "--seeds" => arguments.seeds = number(&word, &value()?)?,
                "--seed" => arguments.seed = Some(number(&word, &value()?)?),
                "--steps" => arguments.steps = number(&word, &value()?)?,
                "--plan" => arguments.plan = Some(value()?),
                "--mutant" => arguments.mutant = Some(mutant(&value()?)?),
                "--sweep" => arguments.sweep = true,
                "--trace" => arguments.trace = true,
                "--shrink" => arguments.shrink = true,
                other => return Err(format!("unknown argument {other:?}")),
            }
        }
        let single = arguments.seed.is_some() || arguments.plan.is_some();
        if (arguments.trace || arguments.shrink) && !single {
            return Err("--trace and --shrink want --seed or --plan".to_owned());
        }
        if arguments.seed.is_some() && arguments.plan.is_some() || arguments.sweep && single {
            return Err("one of --seed, --plan and --sweep".to_owned());
        }
        Ok(arguments)
    }
}

fn number<T: std::str::FromStr<Err: std::fmt::Display>>(
    word: &str,
    text: &str,
) -> Result<T, String> {
    text.parse()
        .map_err(|error| format!("{word} {text}: {error}"))
}

fn mutant(name: &str) -> Result<Mutant, String> {
    let known = || -> Vec<&str> { Mutant::ALL.iter().map(|mutant| mutant.name()).collect() };
    Mutant::named(name).ok_or_else(|| format!("no mutant {name:?}; there are {:?}", known()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, String> {
        Arguments::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn words_mean_what_the_usage_says() {
        let seeds = read("--seeds 7 --steps 50 --mutant cooldown-lost").unwrap();
        assert_eq!((seeds.seeds, seeds.steps), (7, 50));
        assert_eq!(seeds.mutant, Mutant::named("cooldown-lost"));
        assert_eq!(
            read("--plan x.plan --trace").unwrap().plan.as_deref(),
            Some("x.plan")
        );
        assert!(read("--sweep").unwrap().sweep);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for bad in [
            "--seeds",
            "--seeds x",
            "--steps -1",
            "--mutant nobody",
            "--trace",
            "--seed 1 --plan x",
            "--sweep --seed 1",
            "seven",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}

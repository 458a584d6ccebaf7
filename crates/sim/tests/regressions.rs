//! Plans that once broke an invariant, each with the planted bug it was found with: it must still show that bug, and
//! hold without it. Must not: change a plan. How one is made: `sim --seed S --mutant NAME --shrink`; its first lines say
//! what happened, the bug (`# mutant NAME`) and the invariant (`# breaks CODE`).

use sim::mutant::Mutant;
use sim::plan::Plan;
use sim::trace::{Keep, Trace};
use std::path::PathBuf;

struct Regression {
    name: String,
    mutant: Mutant,
    breaks: String,
    plan: Plan,
}

fn all() -> Vec<Regression> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of regressions")
        .map(|entry| entry.expect("an entry of the folder").path())
        .filter(|path| path.extension().is_some_and(|end| end == "plan"))
        .collect();
    files.sort();
    files.into_iter().map(one).collect()
}

fn one(file: PathBuf) -> Regression {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(&file).expect("a readable file");
    let said = |what: &str| text.lines().find_map(|line| line.strip_prefix(what));
    let mutant = said("# mutant ").and_then(Mutant::named);
    Regression {
        mutant: mutant.unwrap_or_else(|| panic!("{name} names no mutant")),
        breaks: said("# breaks ").unwrap_or_default().to_owned(),
        plan: text
            .parse()
            .unwrap_or_else(|error| panic!("{name}: {error}")),
        name,
    }
}

#[test]
fn every_regression_holds_without_its_bug_and_breaks_with_it() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut wrong = Vec::new();
    let all = all();
    for regression in &all {
        let (name, mutant) = (&regression.name, regression.mutant);
        let run = |mutant| {
            let mut trace = Trace::new(Keep::Nothing);
            sim::world::run(&regression.plan, mutant, &mut trace).violation
        };
        if let Some(violation) = run(None) {
            wrong.push(format!("{name} breaks without its bug: {violation:?}"));
        }
        let found = run(Some(mutant)).map(|violation| violation.invariant.code());
        if found != Some(regression.breaks.as_str()) {
            let (bug, breaks) = (mutant.name(), &regression.breaks);
            wrong.push(format!("{name}: {bug} breaks {found:?}, not {breaks}"));
        }
    }
    let _ = std::panic::take_hook();
    assert!(all.len() >= 7, "only {} regressions", all.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_regression_is_small_and_printed_as_it_is_read() {
    for Regression { name, plan, .. } in all() {
        assert!(plan.steps.len() <= 12, "{name}");
        assert_eq!(plan.to_string().parse(), Ok(plan), "{name}");
    }
}

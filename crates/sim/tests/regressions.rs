//! Plans that once broke an invariant, each with the planted bug it was found with: it must still show that bug, and
//! hold without it. Must not: change a plan. How one is made: `sim --seed S --mutant NAME --shrink`.

use sim::mutant::Mutant;
use sim::plan::Plan;
use sim::trace::{Keep, Trace};
use std::path::PathBuf;

struct Regression {
    name: String,
    mutant: Mutant,
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
    let mutant = text
        .lines()
        .find_map(|line| line.strip_prefix("# mutant "))
        .and_then(Mutant::named);
    Regression {
        mutant: mutant.unwrap_or_else(|| panic!("{name} names no mutant")),
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
    for Regression { name, mutant, plan } in &all {
        let run = |mutant| sim::world::run(plan, mutant, &mut Trace::new(Keep::Nothing)).violation;
        if let Some(violation) = run(None) {
            wrong.push(format!("{name} breaks without its bug: {violation:?}"));
        }
        let found = run(Some(*mutant)).map(|violation| violation.invariant);
        if found != Some(mutant.found_by()) {
            wrong.push(format!(
                "{name}: {} is found by {found:?}, not {:?}",
                mutant.name(),
                mutant.found_by()
            ));
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

//! Reads the Dockerfile: which script assembles the root, and how a container of the image starts. Pure.
//! Must not: pass over an instruction that it does not understand; then the image of the tests would not be the
//! Dockerfile's.

use super::Start;
use std::path::Path;

/// The last stage has this for a base: nothing.
const NOTHING: &str = "scratch";
/// Where the stage before it leaves the root.
const ROOT: &str = "/image";
/// Where it has the programs.
const PROGRAMS: &str = "/programs";
/// Where it has the sources.
const SOURCE: &str = "/source";
/// The only thing that makes the root.
const ASSEMBLE: &str = "/source/deploy/image/assemble";
/// What the sources' part of that stage is made by; the tests have the packages by `.ci/tools`.
const PACKAGES: &str = "apt-get update && apt-get install -y --no-install-recommends ";
/// No other instruction may stand anywhere.
const KNOWN: [&str; 7] = [
    "FROM",
    "RUN",
    "COPY",
    "ENV",
    "LABEL",
    "WORKDIR",
    "ENTRYPOINT",
];

/// What the Dockerfile has that this is not prepared for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("Dockerfile line {line}: {why}: {text:?}")]
pub struct DockerfileError {
    line: usize,
    why: &'static str,
    text: String,
}

/// What the Dockerfile says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dockerfile {
    pub(super) assemble: Assemble,
    pub(super) start: Start,
}

/// The step that makes the root.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assemble(Vec<String>);

impl Assemble {
    /// The step with other directories than the Dockerfile's.
    pub(super) fn for_directories(
        &self,
        source: &Path,
        programs: &Path,
        root: &Path,
    ) -> Vec<String> {
        let moved = |word: &String| match word.as_str() {
            ROOT => root.display().to_string(),
            PROGRAMS => programs.display().to_string(),
            word => match word.strip_prefix(SOURCE) {
                Some(rest) => format!("{}{rest}", source.display()),
                None => word.to_owned(),
            },
        };
        self.0.iter().map(moved).collect()
    }
}

/// One instruction with the line it begins on.
struct Instruction {
    line: usize,
    name: String,
    rest: String,
}

impl Instruction {
    fn refuse(&self, why: &'static str) -> DockerfileError {
        DockerfileError {
            line: self.line,
            why,
            text: format!("{} {}", self.name, self.rest),
        }
    }
}

impl Dockerfile {
    pub(super) fn parse(text: &str) -> Result<Self, DockerfileError> {
        let mut stages: Vec<(Instruction, Vec<Instruction>)> = Vec::new();
        for instruction in instructions(text) {
            if !KNOWN.contains(&instruction.name.as_str()) {
                return Err(instruction.refuse("not known"));
            }
            match (instruction.name.as_str(), stages.last_mut()) {
                ("FROM", _) => stages.push((instruction, Vec::new())),
                (_, Some((_, stage))) => stage.push(instruction),
                (_, None) => {
                    return Err(instruction.refuse("nothing may stand before the first stage"));
                }
            }
        }
        let whole = |why| DockerfileError {
            line: 0,
            why,
            text: String::new(),
        };
        let (Some((from, last)), Some((debian, root))) = (stages.pop(), stages.pop()) else {
            return Err(whole(
                "want a stage that assembles the root and one that is the image",
            ));
        };
        if from.rest != NOTHING {
            return Err(from.refuse("the image must be made from nothing"));
        }
        if !debian.rest.ends_with(" AS root") {
            return Err(debian.refuse("the stage before the image must be named root"));
        }
        let start = start(&last)?;
        match assemble(&root)? {
            Some(assemble) => Ok(Self { assemble, start }),
            None => Err(whole("no step assembles the root")),
        }
    }
}

/// The stage before the last has packages, the programs and files of the sources at their own places, and nothing else:
/// then the script makes of them what it makes of the sources anywhere.
fn assemble(stage: &[Instruction]) -> Result<Option<Assemble>, DockerfileError> {
    let mut found = None;
    for instruction in stage {
        let rest = instruction.rest.as_str();
        if found.is_some() {
            return Err(
                instruction.refuse("assembling the root must be the last step of its stage")
            );
        }
        match instruction.name.as_str() {
            "RUN" if rest.starts_with(PACKAGES) => {}
            "RUN" if rest == format!("{ASSEMBLE} {PROGRAMS} {ROOT}") => {
                let words = rest.split_whitespace().map(str::to_owned).collect();
                found = Some(Assemble(words));
            }
            "COPY" if rest == format!("--from=programs {PROGRAMS} {PROGRAMS}") => {}
            "COPY" if is_at_its_own_place(rest) => {}
            _ => return Err(instruction.refuse("not known in the stage that assembles the root")),
        }
    }
    Ok(found)
}

fn is_at_its_own_place(copied: &str) -> bool {
    copied
        .split_once(' ')
        .is_some_and(|(from, to)| to == format!("{SOURCE}/{from}"))
}

/// The last stage takes the root as it is, and says how to start.
fn start(stage: &[Instruction]) -> Result<Start, DockerfileError> {
    let (mut start, mut has_root) = (Start::default(), false);
    for instruction in stage {
        let rest = instruction.rest.as_str();
        match instruction.name.as_str() {
            "COPY" if rest == format!("--from=root {ROOT} /") => has_root = true,
            "ENV" | "LABEL" => match rest.split_once('=') {
                // Docker would take these apart or replace them.
                Some((name, value)) if !rest.contains([' ', '"', '\'', '$', '\\']) => {
                    match instruction.name.as_str() {
                        "ENV" => start.environment.push(rest.to_owned()),
                        _ => start.labels.push((name.to_owned(), value.to_owned())),
                    }
                }
                _ => return Err(instruction.refuse("want one name=value without blanks or quotes")),
            },
            "ENTRYPOINT" => {
                start.entrypoint = serde_json::from_str(rest)
                    .map_err(|_| instruction.refuse("want a list of words"))?;
            }
            _ => return Err(instruction.refuse("not known in the image's stage")),
        }
    }
    match stage.first() {
        Some(first) if !has_root => Err(first.refuse("the image does not take the root")),
        _ => Ok(start),
    }
}

/// Instructions without comments, continued lines joined.
fn instructions(text: &str) -> Vec<Instruction> {
    let mut all: Vec<Instruction> = Vec::new();
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (text, more) = match line.strip_suffix('\\') {
            Some(text) => (text.trim_end(), true),
            None => (line, false),
        };
        match all.last_mut() {
            Some(last) if goes_on => {
                last.rest.push(' ');
                last.rest.push_str(text);
            }
            _ => {
                let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
                let name = name.to_ascii_uppercase();
                all.push(Instruction {
                    line: index + 1,
                    name,
                    rest: rest.trim().to_owned(),
                });
            }
        }
        goes_on = more;
    }
    all
}

#[cfg(test)]
mod tests;

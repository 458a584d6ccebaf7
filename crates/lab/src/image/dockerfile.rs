//! Reads the Dockerfile: which script assembles the root, and how a container of the image starts. Pure.
//! Must not: pass over an instruction that it does not understand; then the image of the tests would not be the
//! Dockerfile's.

use super::Start;
use std::path::Path;

/// The last stage has this for a base: nothing.
const NOTHING: &str = "scratch";
/// Where the stage before it leaves the root.
const ROOT: &str = "/root";
/// Where it has the programs.
const PROGRAMS: &str = "/programs";
/// Where it has the sources.
const SOURCE: &str = "/source";
/// The only thing that makes the root.
const ASSEMBLE: &str = "/source/deploy/image/assemble";

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
        let (Some((from, last)), Some((_, root))) = (stages.pop(), stages.pop()) else {
            return Err(whole(
                "want a stage that assembles the root and one that is the image",
            ));
        };
        if from.rest != NOTHING {
            return Err(from.refuse("the image must be made from nothing"));
        }
        let start = start(&last)?;
        let assemble = root
            .iter()
            .filter(|one| one.name == "RUN" && one.rest.starts_with(ASSEMBLE));
        let steps: Vec<_> = assemble.collect();
        match steps.as_slice() {
            [step] if root.last().is_some_and(|last| last.line == step.line) => {
                let words = step.rest.split_whitespace().map(str::to_owned).collect();
                Ok(Self {
                    assemble: Assemble(words),
                    start,
                })
            }
            [step, ..] => {
                Err(step.refuse("assembling the root must be the last step of its stage"))
            }
            [] => Err(whole("no step assembles the root")),
        }
    }
}

/// The last stage takes the root as it is, and says how to start.
fn start(stage: &[Instruction]) -> Result<Start, DockerfileError> {
    let (mut start, mut has_root) = (Start::default(), false);
    for instruction in stage {
        let rest = instruction.rest.as_str();
        match instruction.name.as_str() {
            "COPY" if rest == format!("--from=root {ROOT} /") => has_root = true,
            "ENV" if rest.contains('=') => start.environment.push(rest.to_owned()),
            "LABEL" => match rest.split_once('=') {
                Some((name, value)) => start.labels.push((name.to_owned(), value.to_owned())),
                None => return Err(instruction.refuse("want name=value")),
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
mod tests {
    use super::*;

    const TEXT: &str = "# a comment\nFROM rust AS programs\nRUN cargo build \\\n  --release\n\nFROM debian AS root\n\
        RUN apt-get install nft\nCOPY --from=programs /programs /programs\n\
        RUN /source/deploy/image/assemble /programs /root\nFROM scratch\nCOPY --from=root /root /\nENV PATH=/usr/sbin\n\
        LABEL a.b=c d\nENTRYPOINT [\"/app/ipamd\", \"x\"]\n";

    #[test]
    fn the_step_that_assembles_the_root_runs_with_other_directories() {
        let read = Dockerfile::parse(TEXT).unwrap();
        let step = read
            .assemble
            .for_directories(Path::new("/s"), Path::new("/p"), Path::new("/r"));
        assert_eq!(step, ["/s/deploy/image/assemble", "/p", "/r"]);
        let start = Start {
            entrypoint: vec!["/app/ipamd".into(), "x".into()],
            environment: vec!["PATH=/usr/sbin".into()],
            labels: vec![("a.b".into(), "c d".into())],
        };
        assert_eq!(read.start, start);
    }

    #[test]
    fn the_repositorys_dockerfile_is_understood() {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Dockerfile"))
                .unwrap();
        let read = Dockerfile::parse(&text).unwrap();
        assert_eq!(read.start.entrypoint, ["/app/ipamd"]);
    }

    #[test]
    fn what_is_not_known_is_refused_by_line_and_text() {
        let refused = |from: &str, to: &str| {
            Dockerfile::parse(&TEXT.replace(from, to))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused("ENV PATH=/usr/sbin", "USER 65532"),
            "Dockerfile line 12: not known in the image's stage: \"USER 65532\""
        );
        assert_eq!(
            refused("/root /\n", "/root/app /app\n"),
            "Dockerfile line 11: not known in the image's stage: \"COPY --from=root /root/app /app\""
        );
        assert!(refused("FROM scratch", "FROM debian").contains("made from nothing"));
        assert!(
            refused("/programs /root\n", "/programs /root\nRUN rm /root/x\n")
                .contains("the last step")
        );
        assert!(
            refused("RUN /source/deploy/image/assemble /programs /root\n", "").contains("no step")
        );
        assert!(refused("[\"/app/ipamd\", \"x\"]", "/app/ipamd").contains("a list of words"));
        assert!(refused("COPY --from=root /root /\n", "").contains("does not take the root"));
        assert!(refused("# a comment", "ARG x").contains("before the first stage"));
    }
}

//! What a node's or pod's kernel shows, read with `ip` as an operator would. Driven by tests.
//! Must not: change anything, or use the code under test to look.

use lab::command::CommandError;
use lab::node::Node;
use lab::runtime::pod::Pod;

/// Where one can look: inside a node, or inside a pod.
pub trait Inside {
    /// Runs `ip` there; its output.
    fn ip(&self, arguments: &[&str]) -> Result<String, String>;

    /// Its output as trimmed lines.
    ///
    /// # Panics
    /// When `ip` fails.
    #[track_caller]
    fn lines(&self, arguments: &[&str]) -> Vec<String> {
        let said = self.ip(arguments).unwrap_or_else(|error| panic!("{error}"));
        said.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// IPv4 rules as `ip` prints them, blanks made single.
    #[track_caller]
    fn rules(&self) -> Vec<String> {
        self.lines(&["-4", "rule"])
    }

    /// IPv4 routes of a table.
    #[track_caller]
    fn routes(&self, table: &str) -> Vec<String> {
        self.lines(&["-4", "route", "show", "table", table])
    }

    /// Names of links, in order of their index.
    #[track_caller]
    fn links(&self) -> Vec<String> {
        let lines = self.lines(&["-o", "link"]);
        let names = lines.iter().filter_map(|line| line.split(": ").nth(1));
        names
            .map(|name| name.split('@').next().unwrap_or(name).to_owned())
            .collect()
    }

    /// Links, IPv4 addresses, routes of all tables and rules as one text: what a failed ADD must leave as it was.
    #[track_caller]
    fn snapshot(&self) -> String {
        let parts: [&[&str]; 4] = [
            &["-o", "link"],
            &["-4", "-o", "address"],
            &["-4", "route", "show", "table", "all"],
            &["-4", "rule"],
        ];
        let texts =
            parts.map(|part| format!("$ ip {}\n{}\n", part.join(" "), self.lines(part).join("\n")));
        texts.concat()
    }
}

impl Inside for Node {
    fn ip(&self, arguments: &[&str]) -> Result<String, String> {
        said(self.run(|| command(arguments)))
    }
}

impl Inside for Pod<'_> {
    fn ip(&self, arguments: &[&str]) -> Result<String, String> {
        said(self.run(|| command(arguments)))
    }
}

fn command(arguments: &[&str]) -> Result<String, CommandError> {
    let line: Vec<&str> = std::iter::once("ip")
        .chain(arguments.iter().copied())
        .collect();
    lab::command::run(&line, "")
}

fn said<E: std::fmt::Display>(
    result: Result<Result<String, CommandError>, E>,
) -> Result<String, String> {
    result
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
}

/// The lines that name one of the addresses (as a whole, not as the beginning of another) or links.
pub fn naming<'a>(lines: &'a [String], name: &str) -> Vec<&'a String> {
    let is_whole =
        |word: &str| word == name || word.split(['/', ':', '@']).any(|part| part == name);
    lines
        .iter()
        .filter(|line| line.split_whitespace().any(is_whole))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_not_found_as_the_beginning_of_another() {
        let lines = [
            "from 10.0.1.12 lookup 2",
            "from 10.0.1.1 lookup 3",
            "10.0.1.1/32 dev a",
        ]
        .map(str::to_owned);
        assert_eq!(naming(&lines, "10.0.1.1").len(), 2);
        assert_eq!(naming(&lines, "10.0.1.12"), [&lines[0]]);
        assert!(naming(&lines, "10.0.1").is_empty());
    }
}

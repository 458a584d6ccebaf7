//! The reference page of the variables, made from the table. Must not: write a file (the example
//! `configuration-docs` prints it, a test compares it).

use crate::resolve::tables;
use crate::variable::{Effect, Kind, OnBad, UNBOUNDED, Variable};

const INTRODUCTION: &str = "\
<!-- Made from the table in crates/config: cargo run -p config --example configuration-docs > docs/configuration.md -->
# Configuration

All configuration of `ipamd` is in its environment. It is read once at start, and the values used are logged. The init
container (`ipamd init`) reads the same variables in the same way.

* A value that cannot be read either is *refused* (the daemon names all such values at once and does not start) or makes
  the daemon *fall back*, to the default unless the row says otherwise, and report it.
* A value that asks for something that is not built yet is refused by name. Rows marked *no effect* say why every value is
  accepted.
* Booleans are `1 t T true TRUE True` and `0 f F false FALSE False`. Integers are decimal digits with an optional sign.
  An empty value counts as unset; where that is reported as a fallback the column \"bad value\" says \"also empty\".
* The number of pods that the node may run is not a variable: until it is read from the node object it is what the
  addresses of the instance type allow and two more, at least 110.
* Credentials come from the AWS SDK's own variables (keys, web identity) or from IMDS; the region always from IMDS.
  `AWS_CA_BUNDLE` and proxy variables are not honoured yet.
";

/// The page.
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (title, rows) in tables() {
        page.push_str(&format!("\n## {title}\n\n| variable | type | default | bad value | meaning |\n|---|---|---|---|---|\n"));
        rows.iter().for_each(|row| page.push_str(&line(row)));
    }
    page
}

fn line(row: &Variable) -> String {
    let default = match row.default {
        "" => "none".to_owned(),
        UNBOUNDED => "the instance type's limit".to_owned(),
        text => format!("`{text}`"),
    };
    let effect = match row.effect {
        Effect::Obeyed => String::new(),
        Effect::OnlyDefault(what) => {
            format!(" **Refused** unless it is the default; not built yet: {what}.")
        }
        Effect::Nothing(why) => format!(" *No effect*: {why}."),
    };
    format!(
        "| `{}` | {} | {default} | {} | {}{effect} |\n",
        row.name,
        row.kind.name(),
        bad(row),
        row.doc
    )
}

fn bad(row: &Variable) -> String {
    let text = match (row.on_bad, row.kind) {
        (OnBad::FallbackTo(text), _) => {
            return format!("fallback to `{text}`; empty: fallback to the default");
        }
        (OnBad::Refused, Kind::Integer { .. }) => "refused; empty: fallback",
        (OnBad::Refused, _) => "refused",
        (OnBad::Fallback, Kind::Text(check)) if check("\u{0}").is_ok() => "none is bad",
        (OnBad::Fallback, Kind::Text(_) | Kind::Exactly(_) | Kind::SoftBool) => "fallback",
        (
            OnBad::Fallback,
            Kind::StrictBool | Kind::Integer { .. } | Kind::Mark | Kind::Field | Kind::Word(_),
        ) => "fallback (also empty)",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_page_is_the_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == markdown(),
            "docs/configuration.md differs from the table: cargo run -p config --example configuration-docs > docs/configuration.md"
        );
    }
}

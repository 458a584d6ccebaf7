//! One row of the configuration table and how its text becomes a value (the three parse rules of ipamd.md §1.0, and a
//! few checks of upstream's entry point). Must not: know any variable by name, or what a value means.

/// One environment variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Name, exactly as in the environment.
    pub name: &'static str,
    /// How its text is read.
    pub kind: Kind,
    /// Text used when the variable is unset; it always parses.
    pub default: &'static str,
    /// What a value that cannot be read does.
    pub on_bad: OnBad,
    /// What a value that can be read does.
    pub effect: Effect,
    /// What it is for, in one or two sentences of Markdown.
    pub doc: &'static str,
}

/// The default of an integer that bounds nothing unless it is set.
pub const UNBOUNDED: &str = "9223372036854775807";

/// How text is read.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A Go boolean; the empty string is a bad value.
    StrictBool,
    /// A Go boolean; the empty string means the default.
    SoftBool,
    /// Optional sign and decimal digits, within bounds (inclusive).
    Integer {
        /// Least value.
        least: i64,
        /// Greatest value.
        most: i64,
    },
    /// A Go integer literal of any base (`0x80`, `0b1`, `0o17`, `017`, `1_000`) that fits a mark: 1 to 2^32 - 1.
    Mark,
    /// The same literals: 0, or at least four neighbouring bits of a mark.
    Field,
    /// One of a few words in any letter case; the value is the word as listed.
    Word(&'static [&'static str]),
    /// One of a few words exactly as listed; the empty string means the default.
    Exactly(&'static [&'static str]),
    /// Any text that the function accepts (its error says what is wanted); the empty string means the default.
    Text(fn(&str) -> Result<(), &'static str>),
}

/// What a value that cannot be read does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBad {
    /// The default is used and the fallback reported.
    Fallback,
    /// The same with another value than the default, which also parses; an empty text still means the default.
    FallbackTo(&'static str),
    /// The daemon does not start.
    Refused,
}

/// What a value that can be read does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is obeyed.
    Obeyed,
    /// Only the default is built; the text names what any other value asks for. Other values are refused.
    OnlyDefault(&'static str),
    /// Every value is accepted and none changes anything; the text says why.
    Nothing(&'static str),
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of the two boolean kinds.
    Bool(bool),
    /// Of `Integer`, `Mark` and `Field`.
    Integer(i64),
    /// Of `Word`, `Exactly` and `Text`.
    Text(String),
}

impl Variable {
    /// A strict boolean (rule B1).
    pub const fn strict(name: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self::row(name, Kind::StrictBool, default, doc)
    }

    /// A soft boolean (rule B2).
    pub const fn soft(name: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self::row(name, Kind::SoftBool, default, doc)
    }

    /// A text of which every value is good.
    pub const fn text(name: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self::row(name, Kind::Text(anything), default, doc)
    }

    /// A row that falls back on a bad value and is obeyed.
    pub const fn row(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default,
            on_bad: OnBad::Fallback,
            effect: Effect::Obeyed,
            doc,
        }
    }

    /// The same row, but a bad value is refused.
    pub const fn refused(self) -> Self {
        Self {
            on_bad: OnBad::Refused,
            ..self
        }
    }

    /// The same row, but a bad value that is not empty makes it fall back to `text` instead of the default.
    pub const fn falls_back_to(self, text: &'static str) -> Self {
        Self {
            on_bad: OnBad::FallbackTo(text),
            ..self
        }
    }

    /// The same row, but only its default is built; `what` names what other values ask for.
    pub const fn only_default(self, what: &'static str) -> Self {
        Self {
            effect: Effect::OnlyDefault(what),
            ..self
        }
    }

    /// The same row, but without effect; `why` says why.
    pub const fn nothing(self, why: &'static str) -> Self {
        Self {
            effect: Effect::Nothing(why),
            ..self
        }
    }

    /// The default as a value.
    pub fn default_value(&self) -> Value {
        self.kind
            .parse(self.default)
            .expect("every default parses, a test goes through all rows")
    }

    /// What is used instead of the bad value `raw` when it is not refused.
    pub fn fallback(&self, raw: Option<&str>) -> &'static str {
        match (self.on_bad, raw) {
            (OnBad::FallbackTo(text), Some(bad)) if !bad.is_empty() => text,
            _ => self.default,
        }
    }

    /// Reads `raw`; the error says what a good value looks like.
    pub fn parse(&self, raw: Option<&str>) -> Result<Value, String> {
        match (raw, self.kind) {
            (None, _) | (Some(""), Kind::SoftBool | Kind::Exactly(_) | Kind::Text(_)) => {
                Ok(self.default_value())
            }
            (Some(text), kind) => kind.parse(text),
        }
    }
}

impl Kind {
    /// What the reference page calls it.
    pub fn name(self) -> String {
        match self {
            Self::StrictBool | Self::SoftBool => "boolean".to_owned(),
            Self::Integer {
                least,
                most: i64::MAX,
            } => format!("integer ≥ {least}"),
            Self::Integer { least, most } => format!("integer {least}–{most}"),
            Self::Mark => "integer literal, 1 to 2^32 - 1".to_owned(),
            Self::Field => "integer literal, 0 or neighbouring bits, at least 4".to_owned(),
            Self::Word(words) => format!("one of `{}`", words.join("`, `")),
            Self::Exactly(words) => format!("one of `{}`, in this letter case", words.join("`, `")),
            Self::Text(_) => "text".to_owned(),
        }
    }

    fn parse(self, text: &str) -> Result<Value, String> {
        match self {
            Self::StrictBool | Self::SoftBool => boolean(text)
                .map(Value::Bool)
                .ok_or_else(|| BOOLEAN.to_owned()),
            Self::Integer { least, most } => match decimal(text) {
                Some(number) if (least..=most).contains(&number) => Ok(Value::Integer(number)),
                Some(_) | None => Err(format!("want an {}", self.name())),
            },
            Self::Mark => match go_literal(text) {
                Some(number) if (1..=i64::from(u32::MAX)).contains(&number) => {
                    Ok(Value::Integer(number))
                }
                Some(_) | None => Err(format!("want an {}", self.name())),
            },
            Self::Field => match go_literal(text).map(u32::try_from) {
                Some(Ok(field)) if is_field(field) => Ok(Value::Integer(field.into())),
                Some(_) | None => Err(format!("want an {}", self.name())),
            },
            Self::Exactly(words) if !words.contains(&text) => Err(format!(
                "want one of {}, in this letter case",
                words.join(", ")
            )),
            Self::Exactly(_) => Ok(Value::Text(text.to_owned())),
            Self::Word(words) => match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                Some(word) => Ok(Value::Text((*word).to_owned())),
                None => Err(format!("want one of {}", words.join(", "))),
            },
            Self::Text(check) => match check(text) {
                Ok(()) => Ok(Value::Text(text.to_owned())),
                Err(want) => Err(want.to_owned()),
            },
        }
    }
}

const BOOLEAN: &str = "want true or false (also 1, t, T, TRUE, True, 0, f, F, FALSE, False)";

/// The check of a text of which every value is good.
pub fn anything(_: &str) -> Result<(), &'static str> {
    Ok(())
}

/// The spellings Go's `strconv.ParseBool` accepts.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn decimal(text: &str) -> Option<i64> {
    // Rust's parser takes exactly Go's decimal form: one optional sign, then digits only.
    text.parse().ok()
}

/// Nothing, or one run of bits that can hold any position of an ENI on its card.
fn is_field(bits: u32) -> bool {
    let run = bits >> bits.trailing_zeros().min(31);
    bits == 0 || (run.count_ones() >= 4 && run.trailing_ones() == run.count_ones())
}

/// Go's base-0 integers: a prefix names the base, a leading 0 alone is octal, single underscores may separate digits.
fn go_literal(text: &str) -> Option<i64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // An underscore may follow the prefix, but nothing else.
    let body = if radix == 10 {
        digits
    } else {
        digits.strip_prefix('_').unwrap_or(digits)
    };
    if body
        .split('_')
        .any(|group| group.is_empty() || !group.chars().all(|c| c.is_digit(radix)))
    {
        return None;
    }
    let magnitude = i64::from_str_radix(&body.replace('_', ""), radix).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_gos() {
        for good in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(boolean(good), Some(true), "{good}");
        }
        for good in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(boolean(good), Some(false), "{good}");
        }
        for bad in ["", "yes", "no", "tRUE", " true", "on", "2"] {
            assert_eq!(boolean(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_empty_string_is_bad_for_a_strict_boolean_only() {
        assert!(Variable::strict("X", "true", "").parse(Some("")).is_err());
        assert_eq!(
            Variable::soft("X", "true", "").parse(Some("")),
            Ok(Value::Bool(true))
        );
        assert_eq!(
            Variable::text("X", "d", "").parse(Some("")),
            Ok(Value::Text("d".into()))
        );
    }

    #[test]
    fn integers_are_decimal_with_one_sign_and_bounded() {
        let row = Variable::row("X", Kind::Integer { least: 0, most: 50 }, "7", "");
        for (text, number) in [("0", 0), ("+5", 5), ("007", 7), ("50", 50), ("-0", 0)] {
            assert_eq!(row.parse(Some(text)), Ok(Value::Integer(number)), "{text}");
        }
        for bad in [
            "",
            " 5",
            "5 ",
            "0x5",
            "1_0",
            "+-5",
            "-1",
            "51",
            "5.0",
            "99999999999999999999",
        ] {
            assert!(row.parse(Some(bad)).is_err(), "{bad:?} was accepted");
        }
        assert_eq!(row.parse(None), Ok(Value::Integer(7)));
    }

    #[test]
    fn marks_are_go_literals() {
        for (text, number) in [
            ("0x80", 128),
            ("128", 128),
            ("0200", 128),
            ("0o200", 128),
            ("0b1000_0000", 128),
            ("0X_FF", 255),
            ("0xffffffff", 0xffff_ffff),
        ] {
            assert_eq!(Kind::Mark.parse(text), Ok(Value::Integer(number)), "{text}");
        }
        for bad in [
            "",
            "0",
            "-1",
            "0x100000000",
            "08",
            "0x",
            "1__0",
            "_1",
            "1_",
            "0xg",
            "0x+1",
            "é",
        ] {
            assert!(Kind::Mark.parse(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_field_is_nothing_or_one_run_of_at_least_four_bits() {
        for (text, bits) in [
            ("0", 0),
            ("0x78", 0x78),
            ("0xf0000000", 0xf000_0000),
            ("0xffffffff", 0xffff_ffff),
            ("15", 15),
        ] {
            assert_eq!(Kind::Field.parse(text), Ok(Value::Integer(bits)), "{text}");
        }
        for bad in ["", "-1", "7", "0x1078", "0x80", "0x1e00000000", "0x5555"] {
            assert!(Kind::Field.parse(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn exact_words_keep_their_letter_case() {
        let row = Variable::row("X", Kind::Exactly(&["prng", "none"]), "prng", "");
        assert_eq!(row.parse(Some("none")), Ok(Value::Text("none".into())));
        assert_eq!(row.parse(Some("")), Ok(Value::Text("prng".into())));
        assert_eq!(
            row.parse(Some("None")),
            Err("want one of prng, none, in this letter case".to_owned())
        );
    }

    #[test]
    fn words_are_found_in_any_case_and_kept_as_listed() {
        let kind = Kind::Word(&["debug", "info"]);
        assert_eq!(kind.parse("DEBUG"), Ok(Value::Text("debug".into())));
        assert_eq!(
            kind.parse("trace"),
            Err("want one of debug, info".to_owned())
        );
    }
}

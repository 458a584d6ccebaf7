//! One event as one line of JSON. Must not: know where it goes.

use crate::clock;
use serde_json::Value;
use std::fmt;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// `{"level":"info","ts":"2026-01-01T00:00:00.000Z","msg":"…",fields…}`: upstream's names, so that its users' log
/// pipelines go on working.
pub(crate) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = event.metadata().level().as_str().to_lowercase();
        let target = event.metadata().target();
        write!(
            writer,
            "{{\"level\":\"{level}\",\"ts\":\"{}\",\"msg\":{}",
            timestamp(),
            Value::from(fields.message)
        )?;
        if !target.starts_with("ipamd") {
            write!(writer, ",\"from\":{}", Value::from(target))?;
        }
        for (name, value) in fields.others {
            write!(writer, ",\"{name}\":{value}")?;
        }
        writeln!(writer, "}}")
    }
}

/// RFC 3339 in UTC with milliseconds.
pub(super) fn timestamp() -> String {
    let wall = clock::wall();
    let whole = wall.rfc3339();
    let milliseconds = wall.0.rem_euclid(1_000_000_000) / 1_000_000;
    format!("{}.{milliseconds:03}Z", whole.trim_end_matches('Z'))
}

#[derive(Default)]
struct Fields {
    message: String,
    /// Names are Rust's field names, which need no escape.
    others: Vec<(String, Value)>,
}

impl Fields {
    /// Names of the head are taken; a field of that name keeps its value under another one.
    fn put(&mut self, field: &Field, value: Value) {
        let name = match field.name() {
            "message" => {
                self.message = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                return;
            }
            taken @ ("level" | "ts" | "msg" | "from") => format!("field_{taken}"),
            name => name.to_owned(),
        };
        self.others.push((name, value));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce()) -> Map<String, Value> {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(Json)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_line_is_one_json_object_with_upstreams_names_and_typed_fields() {
        let line = logged(|| {
            tracing::warn!(count = 3, ratio = 0.5, id = %"eni-1\n", missing = None::<u64>, ok = true, "two\nlines");
        });
        assert_eq!(line["level"], "warn");
        assert_eq!(line["msg"], "two\nlines");
        assert_eq!(
            (&line["count"], &line["ratio"], &line["ok"]),
            (&3.into(), &0.5.into(), &true.into())
        );
        assert_eq!(line["id"], "eni-1\n");
        assert!(!line.contains_key("missing"));
        let ts = line["ts"].as_str().unwrap();
        assert!(
            ts.len() == 24 && ts.ends_with('Z') && ts.as_bytes()[19] == b'.',
            "{ts}"
        );
    }

    #[test]
    fn a_field_cannot_take_the_place_of_the_head() {
        let line = logged(|| tracing::info!(level = "high", msg = "mine", "real"));
        assert_eq!(
            (&line["level"], &line["msg"]),
            (&"info".into(), &"real".into())
        );
        assert_eq!(
            (&line["field_level"], &line["field_msg"]),
            (&"high".into(), &"mine".into())
        );
    }
}

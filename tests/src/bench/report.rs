//! What `make bench` prints. Pure. Must not: judge.

use super::contest::{Round, Samples};
use super::{Memory, PODS};
use crate::percentile::{milliseconds, percentile};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use std::time::Duration;

/// The report.
pub fn text(samples: &Samples, memory: Memory, plugin_bytes: u64) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "exec to exit",
        "p50 ms",
        "p99 ms",
        "median ratio of a round",
    ]);
    let add = |round: &Round| round.plugin.add;
    let del = |round: &Round| round.plugin.del;
    let minimal_add = |round: &Round| round.minimal.add;
    let minimal_del = |round: &Round| round.minimal.del;
    let floor = |round: &Round| round.floor;
    table.add_row(row(samples, ("ADD aws-cni", &add), Some(&minimal_add)));
    table.add_row(row(samples, ("ADD minimal_wire", &minimal_add), None));
    table.add_row(row(samples, ("DEL aws-cni", &del), Some(&minimal_del)));
    table.add_row(row(samples, ("DEL minimal_wire", &minimal_del), None));
    table.add_row(row(samples, ("/bin/true", &floor), None));
    for column in 1..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let Memory {
        after_boot,
        with_pods,
    } = memory;
    format!(
        "{table}\nplugin size: {plugin_bytes} bytes\n\
         ipamd resident memory: {after_boot} KiB after boot, {with_pods} KiB with {PODS} pods"
    )
}

type Of<'a> = &'a dyn Fn(&Round) -> Duration;

fn row(samples: &Samples, (name, of): (&str, Of<'_>), minimal: Option<Of<'_>>) -> [String; 4] {
    let times = samples.times(of);
    let ratio = minimal.map(|minimal| {
        let rounds = times.iter().zip(samples.times(minimal));
        let ratios = rounds.map(|(time, least)| time.as_secs_f64() / least.as_secs_f64());
        format!("{:.2}", median(ratios.collect()))
    });
    let shown = |percent| format!("{:.2}", milliseconds(percentile(&times, percent)));
    [
        name.to_owned(),
        shown(50),
        shown(99),
        ratio.unwrap_or_default(),
    ]
}

/// The lower median of at least one number.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[(numbers.len() - 1) / 2]
}

#[cfg(test)]
mod tests {
    use super::super::contest::Times;
    use super::*;

    #[test]
    fn the_report_has_percentiles_ratios_size_and_memory() {
        let ms = Duration::from_millis;
        let mut samples = Samples::default();
        for n in 1..=100_u64 {
            samples.push(Round {
                floor: ms(1),
                plugin: Times {
                    add: ms(3 * n),
                    del: ms(2 * n),
                },
                minimal: Times {
                    add: ms(2 * n),
                    del: ms(n),
                },
            });
        }
        let memory = Memory {
            after_boot: 10_000,
            with_pods: 11_000,
        };
        let text = text(&samples, memory, 2_700_000);
        let line = |name: &str| -> Vec<String> {
            let line = text.lines().find(|line| line.contains(name)).unwrap();
            let cells = line
                .split(['│', '┆', '|'])
                .map(|cell| cell.trim().to_owned());
            cells.filter(|cell| !cell.is_empty()).collect()
        };
        assert_eq!(
            line("ADD aws-cni"),
            ["ADD aws-cni", "150.00", "297.00", "1.50"]
        );
        assert_eq!(
            line("DEL aws-cni"),
            ["DEL aws-cni", "100.00", "198.00", "2.00"]
        );
        assert_eq!(line("/bin/true"), ["/bin/true", "1.00", "1.00"]);
        assert!(text.contains("plugin size: 2700000 bytes"), "{text}");
        assert!(
            text.contains("10000 KiB after boot, 11000 KiB with 20 pods"),
            "{text}"
        );
    }
}

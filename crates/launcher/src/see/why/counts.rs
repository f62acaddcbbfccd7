//! `--counts`: the library's counters in a running process.

use super::records::{Counters, Records};
use epolyfill_environment::counters::NAMES;
use std::fmt::Write;

/// The most instances that get a column each.
const MOST: usize = 6;
/// The number of counters at the end that are a state, and not a sum.
const STATES: usize = 4;

/// The table: only counters that are not zero.
pub fn table(records: &Records) -> String {
    let instances = &records.instances[..];
    let instances = if (2..=MOST).contains(&instances.len()) { instances } else { &[] };
    let mut head = vec!["total".to_owned()];
    head.extend(instances.iter().map(|instance| format!("instance {}", instance.number)));
    let mut rows = Vec::new();
    for (at, name) in NAMES.iter().enumerate() {
        let all = std::iter::once(&records.sums).chain(instances.iter().map(|instance| &instance.counters));
        let values: Vec<u64> = all.map(|counters| counters.get(at).copied().unwrap_or(0)).collect();
        if values.iter().any(|value| *value != 0) {
            rows.push((*name, values.iter().map(u64::to_string).collect()));
        }
    }
    write(&head, &rows)
}

/// The table with the growth since the one before, per second.
pub fn rates(before: &Counters, now: &Counters, seconds: f64) -> String {
    let head = ["total", "per second"].map(str::to_owned);
    let mut rows = Vec::new();
    for (at, name) in NAMES.iter().enumerate() {
        let [before, now] = [before, now].map(|counters| counters.get(at).copied().unwrap_or(0));
        if now == 0 {
            continue;
        }
        let is_state = at >= NAMES.len() - STATES;
        let rate = if is_state { String::new() } else { rate(now.wrapping_sub(before), seconds) };
        rows.push((*name, vec![now.to_string(), rate]));
    }
    write(&head, &rows)
}

fn rate(growth: u64, seconds: f64) -> String {
    if growth == 0 { "-".to_owned() } else { format!("{:.1}", growth as f64 / seconds) }
}

fn write(head: &[String], rows: &[(&str, Vec<String>)]) -> String {
    let mut text = String::new();
    let names = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let width = |at: usize| {
        let cells = rows.iter().map(|(_, values)| values[at].len());
        cells.chain([head[at].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut line = |name: &str, values: &[String]| {
        let mut line = format!("{name:names$}");
        for (value, width) in values.iter().zip(&widths) {
            let _ = write!(line, "  {value:>width$}");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    };
    line("", head);
    rows.iter().for_each(|(name, values)| line(name, values));
    text
}

#[cfg(test)]
mod tests {
    use super::super::records::Instance;
    use super::*;

    #[test]
    fn the_table_has_what_is_not_zero() {
        let instance = |number: i32, waits: u64| {
            let mut counters = vec![0; NAMES.len()];
            counters[4] = waits;
            Instance { number, counters, ..Instance::default() }
        };
        let mut sums = vec![0; NAMES.len()];
        sums[4] = 1207;
        let records = Records { instances: vec![instance(3, 7), instance(5, 1200)], sums, ..Records::default() };
        assert_eq!(table(&records), "       total  instance 3  instance 5\nwaits   1207           7        1200\n");
    }

    #[test]
    fn rates_are_those_of_the_interval() {
        let [mut before, mut now] = [vec![0; NAMES.len()], vec![0; NAMES.len()]];
        (before[4], now[4]) = (10, 30);
        now[NAMES.len() - 1] = 2;
        assert_eq!(
            rates(&before, &now, 2.0),
            "            total  per second\nwaits          30        10.0\nparked now      2\n"
        );
    }
}

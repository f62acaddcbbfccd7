//! The table at the end of the demo.
//!
//! Rates are medians over the rounds, and a ratio is the median of the ratios within one round: a moment in which the machine was busy
//! elsewhere then spoils one round and not the result.

use super::{SOURCES, Score, Scores, Source, Workload};
use std::time::Duration;

const HEAD: [&str; 6] = ["workload", "on", "events", "seconds", "events/s", "ratio"];

/// The columns of numbers are ranged right.
const RIGHT: [bool; 6] = [false, false, true, true, true, true];

pub fn render(results: &[(Workload, [Scores; SOURCES.len()])]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    for (workload, scores) in results {
        for (index, (source, own)) in SOURCES.into_iter().zip(scores).enumerate() {
            let title = if index == 0 { workload.title() } else { String::new() };
            let [events, seconds, rate] = numbers(own);
            let ratio = match source {
                Source::Epolyfill => String::new(),
                _ => ratio(&scores[0], own),
            };
            rows.push([title, source.title().to_owned(), events, seconds, rate, ratio]);
        }
    }
    let widths: [usize; HEAD.len()] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    });
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths).zip(RIGHT);
        let cells = cells.map(|((cell, width), right)| match right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn numbers(scores: &Scores) -> [String; 3] {
    if scores.is_empty() {
        return ["n/a", "n/a", "n/a"].map(str::to_owned);
    }
    let events: u64 = scores.iter().map(|score| score.events).sum();
    let time: Duration = scores.iter().map(|score| score.time).sum();
    let rate = median(scores.iter().map(rate).collect());
    [events.to_string(), format!("{:.2}", time.as_secs_f64()), format!("{rate:.0}")]
}

/// The rate of the first to that of the other.
fn ratio(epolyfill: &Scores, other: &Scores) -> String {
    if other.is_empty() {
        return "n/a".to_owned();
    }
    let pairs = epolyfill.iter().zip(other);
    let ratio = median(pairs.map(|(ours, other)| rate(ours) / rate(other)).collect());
    format!("{ratio:.2}")
}

/// In events per second. A worker never reports a round without events or without time.
fn rate(score: &Score) -> f64 {
    score.events as f64 / score.time.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(rates: &[u64]) -> Scores {
        let time = Duration::from_secs(1);
        rates.iter().map(|&events| Score { events, time }).collect()
    }

    #[test]
    fn one_spoilt_round_does_not_move_the_ratio() {
        let (ours, other) = (scores(&[100, 10, 100]), scores(&[200, 200, 200]));
        assert_eq!(ratio(&ours, &other), "0.50");
    }

    #[test]
    fn what_the_system_does_not_have_is_not_available() {
        let results = [(Workload::Echo, [scores(&[5]), scores(&[]), scores(&[5])])];
        let table = render(&results);
        assert_eq!(table.matches("n/a").count(), 4, "{table}");
        assert!(table.ends_with("1.00"), "{table}");
    }
}

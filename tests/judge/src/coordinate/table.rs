//! The table of a run, and the lines after it.

use std::time::Duration;

use crate::compare::What;
use crate::counts::Counts;
use crate::kinds::Kind;
use crate::known::{Class, ROWS};
use crate::options::Options;

const COLUMNS: [What; 6] = [What::Lost, What::Extra, What::FewerBits, What::MoreBits, What::OtherBits, What::Answer];

/// The sums of a run.
struct Totals {
    steps: u64,
    reports: u64,
    listed: u64,
    unlisted: u64,
    lost: u64,
    /// Unlisted reports too many.
    extra: u64,
    /// Lost reports of rows that a run avoids, unless it has the option `--listed`.
    known: u64,
    /// Those of the other rows.
    always: u64,
}

impl Totals {
    fn of(counts: &Counts) -> Totals {
        let sum = |what: What| counts.sum(&format!("{}/", what.word()));
        Totals {
            steps: counts.get("steps"),
            reports: counts.sum("reports/"),
            listed: counts.sum("listed/"),
            unlisted: What::ALL.into_iter().map(sum).sum(),
            lost: sum(What::Lost),
            extra: sum(What::Extra) + sum(What::Twice),
            known: counts.sum("known-lost/"),
            always: counts.sum("always-lost/"),
        }
    }

    /// Reports too many, in 10,000.
    fn share(&self) -> f64 {
        (self.listed + self.extra) as f64 * 10_000.0 / self.reports.max(1) as f64
    }

    /// Whether the reports too many are no evidence of one in 10,000 or more: three standard
    /// deviations above that are let pass, and two reports, since a short run has few of either.
    fn has_few_too_many(&self) -> bool {
        let limit = self.reports as f64 / 10_000.0;
        (self.listed + self.extra) as f64 <= limit + 3.0 * limit.sqrt() + 2.0
    }
}

/// Prints the table; returns true if there are no unlisted differences.
pub(super) fn report(counts: &Counts, took: Duration, options: &Options, late: bool) -> bool {
    let totals = Totals::of(counts);
    print_kinds(counts, &totals);
    print_rows(counts);
    print_totals(counts, &totals, took);
    let broken = counts.get("broken/workers");
    if broken > 0 {
        println!("{broken} workers did not end by themselves");
    }
    let left = options.steps.saturating_sub(totals.steps);
    if left > 0 {
        let reason = match (late, broken > 0) {
            (true, false) => "the time was over",
            (false, true) => "workers ended early",
            (true, true) => "the time was over, and workers ended early",
            (false, false) => "nobody knows why",
        };
        println!("{left} of the {} steps asked for were not done: {reason}", options.steps);
    }
    let is_whole = left == 0 || late;
    let is_known = totals.known == 0 || options.listed;
    totals.unlisted == 0 && is_known && broken == 0 && totals.has_few_too_many() && is_whole
}

/// Prints a line for each kind of file, and one for all.
fn print_kinds(counts: &Counts, totals: &Totals) {
    println!();
    print!("{:<18} {:>12} {:>8}", "kind", "reports", "listed");
    for what in COLUMNS {
        print!(" {:>10}", what.word());
    }
    println!();
    for kind in Kind::ALL {
        let of = |what: What| counts.get(&format!("{}/{}", what.word(), kind.word()));
        let (reports, listed) =
            (counts.get(&format!("reports/{}", kind.word())), counts.get(&format!("listed/{}", kind.word())));
        if reports + listed + What::ALL.into_iter().map(of).sum::<u64>() > 0 {
            print_line(kind.word(), reports, listed, of);
        }
    }
    print_line("all", totals.reports, totals.listed, |what| counts.sum(&format!("{}/", what.word())));
    println!();
}

fn print_line(name: &str, reports: u64, listed: u64, of: impl Fn(What) -> u64) {
    print!("{name:<18} {reports:>12} {listed:>8}");
    for what in COLUMNS {
        print!(" {:>10}", of(what) + if what == What::Extra { of(What::Twice) } else { 0 });
    }
    println!();
}

/// Prints the rows of listed differences that were found.
fn print_rows(counts: &Counts) {
    for (row, count) in counts.with_prefix("row/") {
        let known = ROWS.iter().find(|one| one.name == row);
        let lost = counts.get(&format!("row-lost/{row}"));
        if known.is_some_and(|one| one.between) {
            let lost = if lost > 0 { format!(" ({lost} lost)") } else { String::new() };
            println!("{count:>10}  one side doing to the other: {row}{lost}");
            continue;
        }
        let is_news = known.is_none_or(|one| one.class(What::Lost) == Class::News);
        let class = if is_news { "(a) listed as lost" } else { "(b) without news" };
        for (number, class) in [(lost, class), (count.saturating_sub(lost), "(c) listed")] {
            if number > 0 {
                println!("{number:>10}  {class}: {row}");
            }
        }
    }
    let apart = counts.sum("apart/");
    if apart > 0 {
        println!("{apart:>10}  one side doing to the other: gone with each in a process of its own");
    }
    let interrupted = counts.get("interrupted");
    if interrupted > 0 {
        println!("{interrupted:>10}  one side doing to the other: a wait interrupted by the end of a ring");
    }
}

fn print_totals(counts: &Counts, totals: &Totals, took: Duration) {
    let Totals { steps, listed, unlisted, lost, extra, known, always, .. } = *totals;
    println!(
        "{steps} steps in {} histories, {} waits on either side, {:.0} steps a second",
        counts.get("histories"),
        counts.get("waits"),
        steps as f64 / took.as_secs_f64()
    );
    println!(
        "(a) news lost {lost}{}, (b) wake-ups without news not reported {}, \
         (c) reports too many {} ({:.2} in 10,000; {listed} of them listed), \
         other differences {}, settled late {}",
        if known + always > 0 { format!(" and {} of listed kinds", known + always) } else { String::new() },
        counts.sum("no-news/"),
        listed + extra,
        totals.share(),
        unlisted - lost - extra,
        counts.get("late")
    );
}

#[cfg(test)]
mod tests {
    use super::Totals;

    fn totals(reports: u64, listed: u64) -> Totals {
        Totals { steps: 0, reports, listed, unlisted: 0, lost: 0, extra: 0, known: 0, always: 0 }
    }

    #[test]
    fn few_reports_prove_nothing() {
        assert!(totals(3762, 1).has_few_too_many());
        assert!(totals(3762, 4).has_few_too_many());
        assert!(!totals(3762, 5).has_few_too_many());
    }

    #[test]
    fn many_reports_are_held_to_one_in_10_000() {
        assert!(totals(4_000_000, 400).has_few_too_many());
        assert!(!totals(4_000_000, 463).has_few_too_many());
    }
}

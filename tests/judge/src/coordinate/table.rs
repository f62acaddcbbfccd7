//! The table of a run, and the lines after it.

use std::time::Duration;

use crate::compare::What;
use crate::counts::Counts;
use crate::kinds::Kind;
use crate::known::{Class, ROWS};
use crate::options::Options;

/// Prints the table; returns true if there are no unlisted differences.
pub(super) fn report(counts: &Counts, took: Duration, options: &Options, late: bool) -> bool {
    let columns = [What::Lost, What::Extra, What::FewerBits, What::MoreBits, What::OtherBits, What::Answer];
    println!();
    print!("{:<18} {:>12} {:>8}", "kind", "reports", "listed");
    for what in columns {
        print!(" {:>10}", what.word());
    }
    println!();
    for kind in Kind::ALL {
        let of = |what: What| counts.get(&format!("{}/{}", what.word(), kind.word()));
        let (reports, listed) =
            (counts.get(&format!("reports/{}", kind.word())), counts.get(&format!("listed/{}", kind.word())));
        if reports + listed + What::ALL.into_iter().map(of).sum::<u64>() == 0 {
            continue;
        }
        print!("{:<18} {reports:>12} {listed:>8}", kind.word());
        for what in columns {
            print!(" {:>10}", of(what) + if what == What::Extra { of(What::Twice) } else { 0 });
        }
        println!();
    }
    let (reports, listed) = (counts.sum("reports/"), counts.sum("listed/"));
    let sum = |what: What| counts.sum(&format!("{}/", what.word()));
    let unlisted: u64 = What::ALL.into_iter().map(sum).sum();
    print!("{:<18} {reports:>12} {listed:>8}", "all");
    for what in columns {
        print!(" {:>10}", sum(what) + if what == What::Extra { sum(What::Twice) } else { 0 });
    }
    println!("\n");
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
    let (steps, known, always) = (counts.get("steps"), counts.sum("known-lost/"), counts.sum("always-lost/"));
    let extras = listed + sum(What::Extra) + sum(What::Twice);
    let share = extras as f64 * 10_000.0 / reports.max(1) as f64;
    println!(
        "{steps} steps in {} histories, {} waits on either side, {:.0} steps a second",
        counts.get("histories"),
        counts.get("waits"),
        steps as f64 / took.as_secs_f64()
    );
    println!(
        "(a) news lost {}{}, (b) wake-ups without news not reported {}, \
         (c) reports too many {extras} ({share:.2} in 10,000; {listed} of them listed), \
         other differences {}, settled late {}",
        sum(What::Lost),
        if known + always > 0 { format!(" and {} of listed kinds", known + always) } else { String::new() },
        counts.sum("no-news/"),
        unlisted - sum(What::Lost) - sum(What::Extra) - sum(What::Twice),
        counts.get("late")
    );
    let broken = counts.get("broken/workers");
    if broken > 0 {
        println!("{broken} workers did not end by themselves");
    }
    let left = options.steps.saturating_sub(steps);
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
    unlisted == 0 && (known == 0 || options.listed) && broken == 0 && share < 1.0 && is_whole
}

//! `--report FILE`: one page of HTML about a run. All of it is drawn here, as tables and paths; the
//! script of the page only sorts tables and opens what a link leads to.

mod charts;
mod html;
mod strip;
mod tables;

use super::history::History;
use super::history::window::Around;
use super::words::{bytes, counted, duration, grouped};
use epolyfill_audit::{Finding, Grade};
use epolyfill_facts::{Poller, SiteId};
use html::escape;
use std::collections::HashMap;
use std::fmt::Write;

const TEMPLATE: &str = include_str!("report/template.html");

/// The most findings that are drawn.
const MOST_CARDS: usize = 60;

/// A finding in words.
#[derive(Clone, Debug)]
pub struct Card {
    pub pid: i32,
    /// The index of the finding in its process.
    pub index: usize,
    pub finding: Finding,
    /// One sentence each.
    pub fact: String,
    pub consequence: String,
    pub remedy: String,
    /// Where the descriptor was registered, and where the deed was done, if they are known.
    pub site: String,
    pub deed: String,
    /// The line that suppresses it.
    pub suppress: String,
}

/// What the facts do not say.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub command: String,
    /// The seed of chaos and its kinds, as they were given.
    pub chaos: Option<String>,
    /// What was muted, and what could not be seen: a clause each.
    pub unseen: Vec<String>,
    pub sites: HashMap<(i32, SiteId), String>,
}

/// The shape of a grade, so that color is never alone.
fn shape(grade: Grade) -> &'static str {
    match grade {
        Grade::Fault => "✖",
        Grade::Suspect => "▲",
        Grade::Note => "●",
    }
}

/// The page. The history is finished.
pub fn page(history: &History, cards: &[Card], about: &About) -> String {
    let mut cards: Vec<&Card> = cards.iter().collect();
    cards.sort_by_key(|card| (std::cmp::Reverse(card.finding.grade), card.finding.first_ns));
    let mut body = String::new();
    head(&mut body, history, &cards, about);
    findings(&mut body, history, &cards);
    charts::threads(&mut body, history);
    charts::latencies(&mut body, history);
    charts::loops(&mut body, history, &cards);
    tables::descriptors(&mut body, history, about);
    tables::chaos(&mut body, history, about);
    unseen(&mut body, history, about, cards.len());
    let title = format!("{} — epolyfill", verdict(history, &cards).0);
    TEMPLATE.replacen("{{title}}", &escape(&title), 1).replacen("{{body}}", &body, 1)
}

/// The verdict, the sentence after it, and its class.
fn verdict(history: &History, cards: &[&Card]) -> (String, String, &'static str) {
    let count = |grade| cards.iter().filter(|card| card.finding.grade == grade).count() as u64;
    let [faults, suspects, notes] = [Grade::Fault, Grade::Suspect, Grade::Note].map(count);
    let waits = counted(history.processes.iter().map(|process| process.waits).sum(), "wait");
    let also = [(suspects, "suspect"), (notes, "note")];
    let also: Vec<String> = also.iter().filter(|(n, _)| *n > 0).map(|(n, noun)| counted(*n, noun)).collect();
    let first = cards.first().map_or(String::new(), |card| card.fact.clone());
    match (faults, suspects) {
        (0, 0) => {
            let notes = if notes > 0 { format!(", {}", counted(notes, "note")) } else { String::new() };
            (format!("No fault and no suspect in {waits}{notes}."), String::new(), "good")
        }
        (0, _) => (format!("No fault, {} in {waits}.", also.join(", ")), first, "suspect"),
        _ => {
            let mut all = vec![counted(faults, "fault")];
            all.extend(also);
            (format!("{} in {waits}.", all.join(", ")), first, "fault")
        }
    }
}

fn head(out: &mut String, history: &History, cards: &[&Card], about: &About) {
    let (verdict, sentence, class) = verdict(history, cards);
    let mark = match class {
        "fault" => shape(Grade::Fault),
        "suspect" => shape(Grade::Suspect),
        _ => "✓",
    };
    let _ =
        write!(out, "<header class=\"verdict {class}\"><h1><span class=\"grade\">{mark}</span> {}", escape(&verdict));
    if !sentence.is_empty() {
        let mut sentence = sentence;
        if let Some(first) = sentence.get(..1) {
            sentence = first.to_uppercase() + &sentence[1..];
        }
        let _ = write!(out, " {}.", escape(sentence.trim_end_matches('.')));
    }
    let _ = writeln!(out, "</h1>");
    let poller = match history.processes.iter().find_map(|process| process.poller) {
        Some(Poller::Kernel) => "the kernel’s own epoll",
        Some(Poller::Library) => "epolyfill’s epoll",
        Some(Poller::Traced) => "a trace of strace",
        None => "no epoll",
    };
    let chaos = about.chaos.as_ref().map_or(String::new(), |seed| format!(", chaos <code>{}</code>", escape(seed)));
    let wall = html::wall(history.begin_ns.cast_signed() + history.wall_offset_ns);
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(
        out,
        "<p><code>{}</code></p><p class=\"dim small\">{wall}, on {poller}{chaos}; epolyfill {version}</p></header>",
        escape(&about.command)
    );
    let sum = |of: fn(&super::history::process::Process) -> u64| history.processes.iter().map(of).sum::<u64>();
    let loops = history.threads.iter().filter(|thread| thread.is_loop()).count();
    let figures = [
        ("observed for", duration(history.end_ns.saturating_sub(history.begin_ns))),
        ("processes", history.processes.len().to_string()),
        ("loop threads", loops.to_string()),
        ("waits", grouped(sum(|process| process.waits))),
        ("events", grouped(sum(|process| process.events))),
        ("accepted", grouped(sum(|process| process.accepted))),
        ("bytes in", bytes(sum(|process| process.bytes_in))),
        ("bytes out", bytes(sum(|process| process.bytes_out))),
    ];
    out.push_str("<dl class=\"facts\">");
    for (name, value) in figures {
        let _ = write!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    out.push_str(
        "</dl>\n<nav><a href=\"#findings\">Findings</a><a href=\"#threads\">Threads</a><a href=\"#latencies\">Latencies</a>\
         <a href=\"#loops\">Loops over time</a><a href=\"#descriptors\">Descriptors</a><a href=\"#unseen\">Not seen</a></nav>\n",
    );
}

fn findings(out: &mut String, history: &History, cards: &[&Card]) {
    out.push_str("<h2 id=\"findings\">Findings</h2>\n");
    if cards.is_empty() {
        out.push_str("<p>None.</p>\n");
    }
    for (at, card) in cards.iter().take(MOST_CARDS).enumerate() {
        let finding = &card.finding;
        let grade = finding.grade.name();
        let _ = write!(
            out,
            "<article class=\"card {grade}\" id=\"finding-{at}\"><h3><span class=\"grade\">{} {grade}</span> \
             <code>{}</code> <span class=\"dim\">in process {}, thread {}</span></h3><p class=\"fact\">{}</p>",
            shape(finding.grade),
            finding.rule.name(),
            card.pid,
            finding.tid,
            escape(&html::sentence(&card.fact)),
        );
        let _ = write!(out, "<p>{} {}</p><dl>", escape(&html::sentence(&card.consequence)), escape(&card.remedy));
        let mut row = |name: &str, value: &str| {
            if !value.is_empty() {
                let _ = write!(out, "<dt>{name}</dt><dd>{value}</dd>");
            }
        };
        if finding.fd >= 0 {
            let mask = super::words::bits(finding.events);
            row("descriptor", &escape(&format!("{} ({}; {mask})", finding.fd, finding.who.text())));
        }
        let code = |text: &str| if text.is_empty() { String::new() } else { format!("<code>{}</code>", escape(text)) };
        row("registered at", &code(&card.site));
        row("done at", &code(&card.deed));
        let (first, last) = (history.since_begin_ns(finding.first_ns), history.since_begin_ns(finding.last_ns));
        let times = match finding.count {
            1 => format!("once, {} after the start", duration(first)),
            n => format!("{} times, from {} to {} after the start", grouped(n), duration(first), duration(last)),
        };
        row("seen", &times);
        if finding.worst_ns > 0 {
            row("worst", &duration(finding.worst_ns));
        }
        row("suppress", &code(&card.suppress));
        out.push_str("</dl>");
        if let Some(window) = history.windows.around(Around::Finding { pid: card.pid, index: card.index }) {
            strip::draw(out, history, window);
        }
        out.push_str("</article>\n");
    }
    if cards.len() > MOST_CARDS {
        let more = counted((cards.len() - MOST_CARDS) as u64, "more finding");
        let _ = writeln!(out, "<p>{more} of the least grade are not on this page.</p>");
    }
}

fn unseen(out: &mut String, history: &History, about: &About, cards: usize) {
    out.push_str("<h2 id=\"unseen\">What was muted, and what cannot be seen</h2>\n<ul>");
    let mut item = |text: &str| {
        let _ = write!(out, "<li>{}</li>", escape(text));
    };
    about.unseen.iter().for_each(|clause| item(clause));
    let unattributed: u64 = history.processes.iter().map(|process| process.unattributed).sum();
    if unattributed > 0 {
        item(&format!("{} whose data identifies no descriptor.", counted(unattributed, "event")));
    }
    if history.lost > 0 {
        item(&format!("{} found no room in the record and are missing from this page.", counted(history.lost, "fact")));
    }
    for (count, noun) in [(history.unseen_processes, "processes"), (history.unseen_threads, "threads")] {
        if count > 0 {
            item(&format!("{} facts of {noun} beyond the most that are told apart.", grouped(count)));
        }
    }
    item(
        "Reads and writes that do not go through libc’s functions (inline system calls, io_uring), and memory that threads share.",
    );
    item("When something arrived: an arrival is drawn from the last look that did not show it to its report.");
    let width = history.scale.map_or(0, |scale| scale.width_ns);
    item(&format!(
        "Of {}, every one is in the sums and histograms. Kept one by one: 100 ms around the {} and the {} slowest \
         answers; all else is summed per {} of the run.",
        counted(history.facts, "fact"),
        counted(cards as u64, "finding"),
        history.slow.len(),
        duration(width),
    ));
    out.push_str("</ul>\n");
}

//! Where the time of the threads went, the latencies, and the loops over time.

use super::html::{WIDTH, axis, escape, key};
use super::{Card, shape, strip};
use crate::see::history::History;
use crate::see::history::latency::Latency;
use crate::see::history::thread::Thread;
use crate::see::words::{counted, duration, grouped};
use std::fmt::Write;

/// The most threads that are drawn.
const MOST_THREADS: usize = 24;
/// The columns of a histogram for each power of ten.
const PER_DECADE: i32 = 12;

/// The loops that waited most.
fn busiest(history: &History) -> Vec<&Thread> {
    let mut loops: Vec<&Thread> = history.threads.iter().filter(|thread| thread.is_loop()).collect();
    loops.sort_by_key(|thread| std::cmp::Reverse(thread.waits));
    loops.truncate(MOST_THREADS);
    loops.sort_by_key(|thread| (thread.pid, thread.tid));
    loops
}

fn share(part: u64, of: u64) -> f64 {
    part as f64 * 100.0 / of.max(1) as f64
}

fn name(history: &History, thread: &Thread) -> String {
    let process = history.process(thread.pid).map_or("", |process| process.name.as_str());
    escape(format!("{process} {}", thread.tid).trim_start())
}

/// The bar of a thread, and its figures.
pub fn threads(out: &mut String, history: &History) {
    out.push_str("<h2 id=\"threads\">Where the time of each loop went</h2>\n<figure>");
    let loops = busiest(history);
    for thread in &loops {
        let lived = thread.lived_ns();
        let parts = [("asleep", thread.asleep_ns), ("call", thread.calls_ns), ("ownp", thread.own_ns())];
        let mut at = 0.0;
        let _ = write!(
            out,
            "<div class=\"lane\"><b>{}</b><div class=\"plot\"><svg aria-hidden=\"true\">",
            name(history, thread)
        );
        for (class, part) in parts {
            let width = share(part, lived);
            let _ = write!(out, "<rect class=\"{class}\" x=\"{at:.2}%\" width=\"{width:.2}%\" y=\"2\" height=\"18\"/>");
            at += width;
        }
        out.push_str("</svg></div></div>");
    }
    let _ = write!(
        out,
        "<figcaption>{}{}{}</figcaption></figure>\n<div class=\"scroll\"><table class=\"sortable\"><thead><tr><th>thread</th>\
         <th class=\"n\">asleep</th><th class=\"n\">in calls</th><th class=\"n\">outside</th><th class=\"n\">own CPU</th>\
         <th class=\"n\">waiting for CPU</th><th class=\"n\">longest away</th><th class=\"n\">waits</th><th class=\"n\">zero timeout</th>\
         <th class=\"n\">empty</th><th class=\"n\">events</th><th class=\"n\">most at once</th></tr></thead><tbody>",
        key("asleep", "asleep in waits"),
        key("call", "in calls that were seen"),
        key("ownp", "outside of them: own code, unseen calls, or without a processor"),
    );
    for thread in &loops {
        let lived = thread.lived_ns();
        let part = |ns: u64| {
            format!(
                "<td class=\"n\" data-v=\"{ns}\">{} <span class=\"dim\">{:.1} %</span></td>",
                duration(ns),
                share(ns, lived)
            )
        };
        let (cpu, queue) = match thread.times {
            Some(times) => (part(times.cpu_ns), part(times.run_queue_ns)),
            None => ("<td class=\"n\">–</td>".to_owned(), "<td class=\"n\">–</td>".to_owned()),
        };
        let away =
            format!("<td class=\"n\" data-v=\"{}\">{}</td>", thread.longest_away.0, duration(thread.longest_away.0));
        let _ = write!(out, "<tr><td>{}</td>", name(history, thread));
        let _ = write!(
            out,
            "{}{}{}{cpu}{queue}{away}",
            part(thread.asleep_ns),
            part(thread.calls_ns),
            part(thread.own_ns())
        );
        for number in [thread.waits, thread.zero, thread.empty, thread.events, u64::from(thread.most_events)] {
            let _ = write!(out, "<td class=\"n\" data-v=\"{number}\">{}</td>", grouped(number));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>\n");
}

/// Four histograms on one axis, and the slowest answers.
pub fn latencies(out: &mut String, history: &History) {
    let all = &history.latencies;
    let rows = [
        ("arrival → report", "h1", &all.report, "at most; only where the loop did not sleep for it"),
        ("report → read", "h2", &all.read, "to the first read or accept"),
        ("read → answer", "h3", &all.answer, "to the first write to the same descriptor"),
        ("arrival → last", "h4", &all.whole, "to the last of these steps, at most"),
    ];
    out.push_str("<h2 id=\"latencies\">Latencies</h2>\n");
    let most = rows.iter().map(|row| row.2.max_ns).max().unwrap_or(0);
    // From 100 ns to the next power of ten.
    let decades = ((most.max(1) as f64).log10().ceil() as i32).clamp(5, 12) - 2;
    out.push_str("<figure>");
    for (name, class, latency, _) in &rows {
        histogram(out, name, class, latency, decades);
    }
    out.push_str("<div class=\"lane\"><b></b><div class=\"plot axis\">");
    for decade in 0..=decades {
        let left = f64::from(decade) * 100.0 / f64::from(decades);
        let _ = write!(
            out,
            "<span style=\"left:{left:.1}%\">{}</span>",
            duration(10u64.pow(decade as u32 + 2)).replace(".00", "")
        );
    }
    let awaited = grouped(all.awaited);
    let _ = write!(
        out,
        "</div></div><figcaption>One logarithmic axis; the height is the number, each row to its own scale. {awaited} \
         arrivals ended a sleep: they were reported as they came, and are not in the first row.</figcaption></figure>"
    );
    out.push_str(
        "<div class=\"scroll\"><table><thead><tr><th>step</th><th class=\"n\">number</th><th class=\"n\">p50</th>\
         <th class=\"n\">p99</th><th class=\"n\">max</th><th>meaning</th></tr></thead><tbody>",
    );
    for (name, _, latency, meaning) in &rows {
        let _ = write!(
            out,
            "<tr><td style=\"white-space:nowrap\">{name}</td><td class=\"n\">{}</td>",
            grouped(latency.count)
        );
        for ns in [latency.quantile_ns(0.5), latency.quantile_ns(0.99), latency.max_ns] {
            let _ =
                write!(out, "<td class=\"n\">{}</td>", if latency.count > 0 { duration(ns) } else { "–".to_owned() });
        }
        let _ = write!(out, "<td class=\"what\">{meaning}</td></tr>");
    }
    out.push_str("</tbody></table></div>\n");
    slowest(out, history);
}

fn histogram(out: &mut String, name: &str, class: &str, latency: &Latency, decades: i32) {
    let columns = decades * PER_DECADE;
    let edge = |at: i32| 100.0 * 10f64.powf(f64::from(at) / f64::from(PER_DECADE));
    let counts: Vec<u64> =
        (0..columns).map(|at| latency.between(if at == 0 { 0.0 } else { edge(at) }, edge(at + 1))).collect();
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let mut path = String::new();
    for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let height = (count * 56 / most).max(1);
        let (from, to) = (at as u64 * WIDTH / columns as u64, (at as u64 + 1) * WIDTH / columns as u64);
        let _ = write!(path, "M{from} {}h{}v{height}H{from}z", 58 - height, to - from - 2);
    }
    let _ = write!(
        out,
        "<div class=\"lane\"><b>{name}</b><div class=\"plot tall\"><svg viewBox=\"0 0 {WIDTH} 58\" preserveAspectRatio=\"none\">\
         <path class=\"{class}\" d=\"{path}\"/></svg>"
    );
    if latency.count > 0 {
        for (text, ns) in [("p50", latency.quantile_ns(0.5)), ("p99", latency.quantile_ns(0.99))] {
            let left = ((ns.max(100) as f64).log10() - 2.0) * 100.0 / f64::from(decades);
            let _ = write!(
                out,
                "<i style=\"left:{left:.1}%\"></i><span class=\"t\" style=\"left:{left:.1}%;padding-left:3px\">{text}</span>"
            );
        }
    }
    out.push_str("</div></div>");
}

/// The slowest answers, each with its strip.
fn slowest(out: &mut String, history: &History) {
    if history.slow.is_empty() {
        return;
    }
    out.push_str(
        "<h3>The slowest</h3><div class=\"scroll\"><table class=\"sortable\"><thead><tr><th>strip</th><th>descriptor</th>\
         <th class=\"n\">whole</th><th class=\"n\">arrival → report</th><th class=\"n\">report → read</th>\
         <th class=\"n\">read → answer</th><th class=\"n\">at</th></tr></thead><tbody>",
    );
    for (at, slow) in history.slow.iter().enumerate() {
        let chain = &slow.chain;
        let cell = |ns: Option<u64>| match ns {
            Some(ns) => format!("<td class=\"n\" data-v=\"{ns}\">{}</td>", duration(ns)),
            None => "<td class=\"n\" data-v=\"-1\">–</td>".to_owned(),
        };
        let read = chain.read.map(|read| read.begin_ns.saturating_sub(chain.report.end_ns));
        let answer = chain.read.zip(chain.answer).map(|(read, answer)| answer.end_ns.saturating_sub(read.end_ns));
        let _ = write!(
            out,
            "<tr><td><a href=\"#slow-{at}\">{}</a></td><td>{} <span class=\"dim\">of process {}</span></td>{}{}{}{}{}</tr>",
            at + 1,
            chain.fd,
            slow.pid,
            cell(Some(chain.whole_ns())),
            cell(Some(chain.unreported_ns())),
            cell(read),
            cell(answer),
            cell(Some(history.since_begin_ns(chain.report.end_ns))),
        );
    }
    out.push_str("</tbody></table></div>\n");
    for (at, slow) in history.slow.iter().enumerate() {
        let Some(window) = history.windows.around(slow.around) else { continue };
        let whole = duration(slow.chain.whole_ns());
        let _ = write!(
            out,
            "<details id=\"slow-{at}\"{}><summary>{}: descriptor {}, {whole}</summary>",
            if at == 0 { " open" } else { "" },
            at + 1,
            slow.chain.fd
        );
        strip::draw(out, history, window);
        out.push_str("</details>\n");
    }
}

/// The share of time that each loop was busy, over the run.
pub fn loops(out: &mut String, history: &History, cards: &[&Card]) {
    out.push_str("<h2 id=\"loops\">The loops over time</h2>\n<figure>");
    let Some(scale) = history.scale else { return out.push_str("</figure>") };
    let end_ns = history.end_ns.max(history.begin_ns + 1);
    let span = end_ns - history.begin_ns;
    for thread in busiest(history) {
        let (mut busy, mut zero) = (String::new(), String::new());
        let columns = thread.columns.all();
        // At most a thousand columns are drawn.
        let step = columns.len().div_ceil(1000).max(1);
        for (at, group) in columns.chunks(step).enumerate() {
            let begin_ns = scale.origin_ns + (at * step) as u64 * scale.width_ns;
            let to_ns = (begin_ns + (step as u64) * scale.width_ns).min(thread.last_ns);
            let from_ns = begin_ns.max(thread.first_ns);
            if to_ns <= from_ns {
                continue;
            }
            let asleep: u64 = group.iter().map(|column| column.asleep_ns).sum();
            let height = 40 - 40 * asleep.min(to_ns - from_ns) / (to_ns - from_ns);
            let x = (from_ns - history.begin_ns) * WIDTH / span;
            let width = ((to_ns - history.begin_ns) * WIDTH / span).saturating_sub(x).max(1);
            if height > 0 {
                let _ = write!(busy, "M{x} {}h{width}v{height}H{x}z", 42 - height);
            }
            if group.iter().any(|column| column.zero > 0) {
                let _ = write!(zero, "M{x} 46h{width}v8H{x}z");
            }
        }
        let _ = write!(
            out,
            "<div class=\"lane\"><b>{}</b><div class=\"plot tall\"><svg viewBox=\"0 0 {WIDTH} 58\" preserveAspectRatio=\"none\">\
             <path class=\"busy\" d=\"{busy}\"/><path class=\"zero\" d=\"{zero}\"/></svg>",
            name(history, thread)
        );
        for card in cards.iter().filter(|card| card.pid == thread.pid && card.finding.tid == thread.tid).take(40) {
            let left = share(history.since_begin_ns(card.finding.last_ns), span);
            let (mark, grade) = (shape(card.finding.grade), card.finding.grade.name());
            let _ = write!(out, "<span class=\"m grade {grade}\" style=\"left:{left:.1}%\">{mark}</span>");
        }
        out.push_str("</div></div>");
    }
    let _ = writeln!(
        out,
        "<div class=\"lane\"><b></b>{}</div><figcaption>{}{} ✖ ▲ ● findings. One column is {}.</figcaption></figure>",
        axis(history.begin_ns, end_ns, history.begin_ns),
        key("busy", "share of the time outside waits"),
        key("zero", "waits with a timeout of zero"),
        duration(scale.width_ns),
    );
    let unshown = history.threads.iter().filter(|thread| thread.is_loop()).count().saturating_sub(MOST_THREADS);
    if unshown > 0 {
        let _ = writeln!(out, "<p>{} with fewer waits are not drawn.</p>", counted(unshown as u64, "more thread"));
    }
}

//! A strip: what happened around a finding or a slow answer, in lanes.

use super::html::{WIDTH, axis, boxes, escape, key};
use crate::see::history::History;
use crate::see::history::item::{Item, What};
use crate::see::history::window::{Around, Window};
use crate::see::words::{bits, bytes, counted, duration, errno};
use epolyfill_facts::Class;
use std::fmt::Write;

/// What is drawn before and after a finding.
const AROUND_NS: u64 = 50_000_000;
/// The least distance of two marks with text, in percent.
const APART: f64 = 9.0;
/// The most marks of a lane.
const MOST_MARKS: usize = 120;

/// A place on the strip.
struct View {
    begin_ns: u64,
    end_ns: u64,
}

impl View {
    fn unit(&self, ns: u64) -> u64 {
        let ns = ns.clamp(self.begin_ns, self.end_ns) - self.begin_ns;
        ns * WIDTH / (self.end_ns - self.begin_ns).max(1)
    }

    fn percent(&self, ns: u64) -> f64 {
        self.unit(ns) as f64 * 100.0 / WIDTH as f64
    }

    fn span(&self, item: &Item) -> (u64, u64) {
        let (from, to) = (self.unit(item.begin_ns), self.unit(item.end_ns));
        (from, to.max(from + 2))
    }
}

/// Draws a window. Times are relative to the finding, or to the arrival.
pub fn draw(out: &mut String, history: &History, window: &Window) {
    let is_finding = matches!(window.around, Around::Finding { .. });
    let mut view = View { begin_ns: window.begin_ns.max(history.begin_ns), end_ns: window.end_ns };
    if is_finding {
        view.begin_ns = (window.begin_ns + AROUND_NS).max(history.begin_ns);
        view.end_ns = window.end_ns - AROUND_NS;
    }
    view.end_ns = view.end_ns.min(history.end_ns.max(view.begin_ns + 1));
    let shown = |item: &&Item| item.end_ns >= view.begin_ns && item.begin_ns <= view.end_ns && item.pid == window.pid;
    let items: Vec<&Item> = window.items.iter().filter(shown).collect();
    let mine: Vec<&Item> = items.iter().copied().filter(|item| item.concerns(window.pid, window.fd)).collect();
    out.push_str("<figure><div class=\"strip\">");
    if window.fd >= 0 {
        let arrivals = mine.iter().filter(|item| matches!(item.what, What::Arrival { .. })).copied();
        paths(out, "arrives", &[("arr", boxes(&mut arrivals.map(|item| view.span(item)).collect(), 5, 12))], "");
        ready(out, &view, &mine);
        marks(out, &view, "reported", &mine, reported);
        marks(out, &view, "read", &mine, |what| transferred(what, false));
        marks(out, &view, "written", &mine, |what| transferred(what, true));
    }
    thread(out, &view, window, &items);
    let _ = write!(out, "<div class=\"lane\"><b></b>{}</div></div>", axis(view.begin_ns, view.end_ns, window.at_ns));
    caption(out, &view, window, is_finding);
    out.push_str("</figure>");
}

fn caption(out: &mut String, view: &View, window: &Window, is_finding: bool) {
    let zero = if is_finding { "when it was found" } else { "the earliest time of the arrival" };
    let _ = write!(
        out,
        "<figcaption>{} of thread {}, times from {zero}. {}{}{}{}{}",
        duration(view.end_ns - view.begin_ns),
        window.tid,
        key("arr", "arrival, at some time within"),
        key("unread", "reported and not read to its end"),
        key("asleep", "asleep in a wait"),
        key("call", "calls"),
        key("ownp", "outside of seen calls"),
    );
    if window.left_out > 0 {
        let _ = write!(out, " {} of other descriptors are left out.", counted(window.left_out, "call"));
    }
    out.push_str("</figcaption>");
}

/// A lane of paths.
fn paths(out: &mut String, name: &str, paths: &[(&str, String)], labels: &str) {
    let _ = write!(
        out,
        "<div class=\"lane\"><b>{name}</b><div class=\"plot\"><svg viewBox=\"0 0 {WIDTH} 22\" preserveAspectRatio=\"none\">"
    );
    for (class, path) in paths.iter().filter(|(_, path)| !path.is_empty()) {
        let _ = write!(out, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    let _ = write!(out, "</svg>{labels}</div></div>");
}

/// The lane of what has been reported and not been read, with the bytes that looks found.
fn ready(out: &mut String, view: &View, mine: &[&Item]) {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    let mut labels = String::new();
    let mut since = None;
    let mut last = -APART;
    for item in mine {
        match item.what {
            What::Unread { .. } => spans.push(view.span(item)),
            What::Arrival { bits, .. } if bits & libc::EPOLLIN as u32 != 0 => {
                since.get_or_insert(item.end_ns);
            }
            What::Call { call, asked, answer, .. } if matches!(call.class(), Class::Read | Class::Accept) => {
                let is_empty = answer <= 0 || (call.class() == Class::Read && answer.unsigned_abs() < asked);
                if is_empty {
                    since = None;
                }
            }
            What::Look { unread, .. } if unread > 0 && view.percent(item.end_ns) - last >= APART * 1.5 => {
                last = view.percent(item.end_ns);
                let _ = write!(
                    labels,
                    "<span class=\"t b\" style=\"left:{last:.1}%\">{} unread</span>",
                    bytes(unread as u64)
                );
            }
            _ => {}
        }
    }
    // It was still unread when the window closed.
    if let Some(since) = since {
        spans.push((view.unit(since), WIDTH));
    }
    paths(out, "unread", &[("unread", boxes(&mut spans, 3, 16))], &labels);
}

/// The mark of a report: its shape and its text.
fn reported(what: &What) -> Option<(&'static str, String)> {
    match what {
        What::Arrival { bits: events, .. } => Some(("▼", bits(*events))),
        What::Repeat { bits: events, .. } => Some(("▽", bits(*events))),
        What::Close { .. } => Some(("✕", "close".to_owned())),
        What::Chaos { kind, .. } => Some(("◆", format!("chaos {kind:?}"))),
        _ => None,
    }
}

/// The mark of a transfer.
fn transferred(what: &What, is_write: bool) -> Option<(&'static str, String)> {
    let What::Call { call, asked, answer, .. } = *what else { return None };
    let is_wanted = match call.class() {
        Class::Read | Class::Accept => !is_write,
        Class::Write => is_write,
        Class::Move => true,
        _ => return None,
    };
    if !is_wanted {
        return None;
    }
    Some(match answer {
        n if n < 0 => ("△", errno(-n)),
        n if call.class() == Class::Accept => ("▲", format!("fd {n}")),
        n if n.unsigned_abs() >= asked => ("▲", format!("{}, all asked", bytes(n.unsigned_abs()))),
        0 => ("■", "end".to_owned()),
        n => ("▲", bytes(n.unsigned_abs())),
    })
}

/// A lane of marks; texts that would touch are left out.
fn marks(
    out: &mut String,
    view: &View,
    name: &str,
    mine: &[&Item],
    mark: impl Fn(&What) -> Option<(&'static str, String)>,
) {
    let mut labels = String::new();
    let (mut last_text, mut last_mark) = (-100.0, -100.0);
    let mut ticks = Vec::new();
    let mut count = 0;
    let all: Vec<(f64, u64, (&str, String))> = mine
        .iter()
        .filter(|item| item.end_ns >= view.begin_ns && item.end_ns <= view.end_ns)
        .filter_map(|item| Some((view.percent(item.end_ns), view.unit(item.end_ns), mark(&item.what)?)))
        .collect();
    if all.is_empty() && name == "written" {
        return;
    }
    for (at, unit, (shape, text)) in all {
        ticks.push((unit, unit + 2));
        if at - last_mark < 0.8 || count >= MOST_MARKS {
            continue;
        }
        (last_mark, count) = (at, count + 1);
        let _ = write!(labels, "<span class=\"m\" style=\"left:{at:.1}%\">{shape}</span>");
        if at - last_text >= APART + text.len() as f64 * 0.5 && at < 92.0 {
            last_text = at;
            let _ = write!(labels, "<span class=\"t\" style=\"left:{at:.1}%\">{}</span>", escape(&text));
        }
    }
    paths(out, name, &[("call", boxes(&mut ticks, 19, 3))], &labels);
}

/// The lane of the thread: asleep, in calls, in its own code.
fn thread(out: &mut String, view: &View, window: &Window, items: &[&Item]) {
    let [mut asleep, mut others, mut mine, mut own] = [const { Vec::new() }; 4];
    let mut labels = String::new();
    for item in items.iter().filter(|item| item.tid == window.tid) {
        match item.what {
            What::Wait { .. } => {
                asleep.push(view.span(item));
                let (from, to) = (view.percent(item.begin_ns), view.percent(item.end_ns));
                if to - from > 12.0 {
                    let text = duration(item.end_ns - item.begin_ns);
                    let _ = write!(labels, "<span class=\"t\" style=\"left:{from:.1}%\">asleep {text}</span>");
                }
            }
            What::Own | What::Handle { .. } => {
                own.push(view.span(item));
                let (from, to) = (view.percent(item.begin_ns), view.percent(item.end_ns));
                if to - from > 18.0 {
                    let text = duration(item.end_ns - item.begin_ns);
                    let _ = write!(labels, "<span class=\"t b\" style=\"left:{from:.1}%\">away {text}</span>");
                }
            }
            What::Call { .. } | What::Control { .. } | What::Close { .. } if item.concerns(window.pid, window.fd) => {
                mine.push(view.span(item));
            }
            What::Call { .. } | What::Control { .. } | What::Create { .. } | What::Close { .. } => {
                others.push(view.span(item));
            }
            _ => {}
        }
    }
    let lanes = [
        ("ownp", boxes(&mut own, 3, 16)),
        ("asleep", boxes(&mut asleep, 3, 16)),
        ("call", boxes(&mut others, 3, 16)),
        ("mine", boxes(&mut mine, 0, 22)),
    ];
    paths(out, &format!("thread {}", window.tid), &lanes, &labels);
}

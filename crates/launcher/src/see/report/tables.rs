//! The tables of descriptors and of the decisions of chaos.

use super::About;
use super::html::escape;
use crate::see::history::descriptor::Descriptor;
use crate::see::history::{Folded, History};
use crate::see::words::{bits, bytes, counted, duration, grouped};
use epolyfill_facts::SiteId;
use hashbrown::HashMap;
use std::fmt::Write;

/// The most descriptors of the table.
const MOST_ROWS: usize = 250;

/// The table of descriptors, and their sums by registration site.
pub fn descriptors(out: &mut String, history: &History, about: &About) {
    let open = history.processes.iter().flat_map(|process| process.descriptors.values());
    let mut all: Vec<&Descriptor> =
        open.chain(&history.past).filter(|descriptor| descriptor.is_registered() && !descriptor.is_instance).collect();
    let interest = |descriptor: &&Descriptor| (descriptor.unread_since_ns.is_some(), descriptor.reports);
    all.sort_by_key(|descriptor| std::cmp::Reverse(interest(descriptor)));
    let folded: u64 = history.folded.values().map(|sum| sum.descriptors).sum();
    let total = all.len() as u64 + folded;
    let _ =
        write!(out, "<h2 id=\"descriptors\">Descriptors</h2>\n<p>{} were registered.", counted(total, "descriptor"));
    if total > MOST_ROWS as u64 {
        let _ =
            write!(out, " The {MOST_ROWS} with unread data or the most events are listed; the sums by site have all.");
    }
    out.push_str(
        "</p><div class=\"scroll\"><table class=\"sortable\"><thead><tr><th class=\"n\">process</th><th class=\"n\">fd</th>\
         <th>description</th><th>mask</th><th class=\"n\">reports</th><th class=\"n\">bytes in</th><th class=\"n\">bytes out</th>\
         <th class=\"n\">EAGAIN</th><th class=\"n\">slowest read</th><th class=\"n\">unread since</th><th class=\"n\">age</th></tr></thead><tbody>",
    );
    for descriptor in all.iter().take(MOST_ROWS) {
        row(out, history, descriptor);
    }
    out.push_str("</tbody></table></div>\n");
    let mut sites: HashMap<(i32, SiteId), Folded> = history.folded.clone();
    for descriptor in &all {
        let sum = sites.entry((descriptor.pid, descriptor.site)).or_default();
        sum.descriptors += 1;
        sum.reports += descriptor.reports;
        sum.bytes_in += descriptor.bytes_in;
        sum.bytes_out += descriptor.bytes_out;
    }
    by_site(out, sites, about);
}

fn row(out: &mut String, history: &History, descriptor: &Descriptor) {
    let end_ns = descriptor.closed_ns.unwrap_or(history.end_ns);
    let number = |value: u64, text: String| format!("<td class=\"n\" data-v=\"{value}\">{text}</td>");
    let count = |value: u64| number(value, grouped(value));
    let state = if descriptor.closed_ns.is_some() { " <span class=\"dim\">closed</span>" } else { "" };
    let accepted = match descriptor.accepted {
        0 => String::new(),
        n => format!(" <span class=\"dim\">accepted {}</span>", grouped(n)),
    };
    let unread = match descriptor.unread_since_ns {
        Some(since) => {
            let bytes = descriptor.unread.map_or(String::new(), |unread| format!(", {}", bytes(unread.unsigned_abs())));
            let age = end_ns.saturating_sub(since);
            number(age, format!("{}{bytes}", duration(age)))
        }
        None => number(0, "–".to_owned()),
    };
    let age = end_ns.saturating_sub(descriptor.since_ns);
    let _ = write!(
        out,
        "<tr>{}{}<td class=\"what\">{}{accepted}{state}</td><td>{}</td>{}{}{}{}{}{unread}{}</tr>",
        number(descriptor.pid as u64, descriptor.pid.to_string()),
        number(descriptor.fd as u64, descriptor.fd.to_string()),
        if descriptor.words.is_empty() { "–".to_owned() } else { escape(&descriptor.words) },
        bits(descriptor.mask),
        count(descriptor.reports),
        number(descriptor.bytes_in, bytes(descriptor.bytes_in)),
        number(descriptor.bytes_out, bytes(descriptor.bytes_out)),
        count(descriptor.again),
        number(descriptor.slowest_read_ns, duration(descriptor.slowest_read_ns)),
        number(age, duration(age)),
    );
}

fn by_site(out: &mut String, sites: HashMap<(i32, SiteId), Folded>, about: &About) {
    let mut sites: Vec<_> = sites.into_iter().collect();
    sites.sort_by_key(|(key, sum)| (std::cmp::Reverse(sum.reports), *key));
    out.push_str(
        "<h3>By registration site</h3><div class=\"scroll\"><table class=\"sortable\"><thead><tr><th class=\"n\">process</th><th>site</th>\
         <th class=\"n\">descriptors</th><th class=\"n\">reports</th><th class=\"n\">bytes in</th><th class=\"n\">bytes out</th></tr></thead><tbody>",
    );
    for ((pid, site), sum) in sites.iter().take(MOST_ROWS) {
        let words = about.sites.get(&(*pid, *site)).map_or("not known", |words| words.as_str());
        let _ = write!(out, "<tr><td class=\"n\" data-v=\"{pid}\">{pid}</td><td><code>{}</code></td>", escape(words));
        for (value, text) in [
            (sum.descriptors, grouped(sum.descriptors)),
            (sum.reports, grouped(sum.reports)),
            (sum.bytes_in, bytes(sum.bytes_in)),
            (sum.bytes_out, bytes(sum.bytes_out)),
        ] {
            let _ = write!(out, "<td class=\"n\" data-v=\"{value}\">{text}</td>");
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>\n");
}

/// The decisions of chaos.
pub fn chaos(out: &mut String, history: &History, about: &About) {
    if about.chaos.is_none() && history.chaos.is_empty() {
        return;
    }
    let _ = write!(out, "<h2 id=\"chaos\">Chaos</h2>\n<p>{} taken.</p>", counted(history.chaos_count, "decision"));
    out.push_str(
        "<div class=\"scroll\"><table class=\"sortable\"><thead><tr><th class=\"n\">at</th><th class=\"n\">thread</th><th class=\"n\">wait</th>\
         <th>kind</th><th class=\"n\">instance</th><th class=\"n\">descriptor</th><th class=\"n\">amount</th></tr></thead><tbody>",
    );
    for one in &history.chaos {
        let at = history.since_begin_ns(one.ns);
        let _ =
            write!(out, "<tr><td class=\"n\" data-v=\"{at}\">{}</td><td class=\"n\">{}</td>", duration(at), one.tid);
        let fd = if one.fd >= 0 { one.fd.to_string() } else { "–".to_owned() };
        let _ = write!(
            out,
            "<td class=\"n\" data-v=\"{0}\">{0}</td><td>{1:?}</td><td class=\"n\">{2}</td><td class=\"n\">{fd}</td><td class=\"n\">{3}</td></tr>",
            one.ordinal, one.kind, one.epfd, one.amount
        );
    }
    out.push_str("</tbody></table></div>\n");
    if history.chaos_count > history.chaos.len() as u64 {
        let _ = writeln!(out, "<p>The first {} are listed.</p>", history.chaos.len());
    }
}

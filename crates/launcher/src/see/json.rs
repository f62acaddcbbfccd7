//! Findings as JSON, one object a line. `schema` grows when a member changes its meaning or goes.

use super::audit::{Case, Totals};
use super::object::Object;
use super::site::Site;
use super::wording::words;
use epolyfill_facts::NO_FD;

/// The version of the objects.
const SCHEMA: u32 = 1;

/// A new object; the version is its first member.
fn versioned() -> Object {
    let mut object = Object::default();
    object.begin("");
    object.number("schema", SCHEMA);
    object
}

/// The object as a line.
fn line(mut object: Object) -> String {
    String::from_utf8_lossy(object.end()).into_owned() + "\n"
}

/// The line of a finding.
pub fn finding(case: &Case, is_last: bool) -> String {
    let finding = &case.finding;
    let words = words(finding);
    let frame = case.place().map(|site| &site.frame);
    let source = frame.and_then(|frame| frame.source.as_ref());
    let known = |fd: i32| (fd != NO_FD).then_some(fd);
    let name = |site: &Option<Site>| site.as_ref().map(ToString::to_string);
    let mut object = versioned();
    object.text("rule", finding.rule.name()).text("grade", finding.grade.name());
    object.number("pid", case.pid).number("tid", finding.tid).number("fd", finding.fd);
    object.number_or_null("epfd", known(finding.epfd)).number_or_null("other", known(finding.other));
    object.text("descriptor", finding.who.text()).number("events", finding.events).number("bits", finding.bits);
    object.number("count", finding.count).number("first_ns", finding.first_ns).number("last_ns", finding.last_ns);
    object.number("worst_ns", finding.worst_ns).number("wall_offset_ns", case.wall_offset_ns);
    object.text("message", &format!("{} {} {}", words.fact, words.consequence, words.remedy));
    object.text_or_null("site", name(&case.site).as_deref()).text_or_null("deed", name(&case.deed).as_deref());
    object.text_or_null("file", source.map(|(file, _)| file.as_str()));
    object.number_or_null("line", source.map(|(_, line)| *line));
    object.text_or_null("function", frame.and_then(|frame| frame.function.as_deref()));
    object.text("suppress", &case.suppression()).flag("last", is_last);
    line(object)
}

/// The line of a suppression that was not used.
pub fn unused(sentence: &str) -> String {
    let mut object = versioned();
    object.text("rule", "unused-suppression").text("grade", "note").number("pid", 0).number("fd", -1);
    object.number("count", 1).text("message", sentence).text_or_null("site", None);
    line(object)
}

/// The last line: the sums.
pub fn sums(totals: &Totals) -> String {
    let Totals { processes, faults, suspects, notes, suppressed, waits, lost, .. } = *totals;
    let Totals { resumed_sites, resumed_reads, foreign, unattributed, .. } = *totals;
    let mut object = versioned();
    object.text("rule", "summary").text("grade", "summary").number("pid", 0).number("fd", -1);
    object.number("count", faults + suspects + notes).text("message", &totals.line()).text_or_null("site", None);
    object.number("processes", processes).number("faults", faults).number("suspects", suspects);
    object.number("notes", notes).number("suppressed", suppressed).number("waits", waits);
    object.number("facts_lost", lost).number("resumed_sites", resumed_sites).number("resumed_reads", resumed_reads);
    object.number("foreign", foreign).number("unattributed", unattributed);
    line(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use epolyfill_audit::{Finding, Grade, Rule};
    use serde_json::Value;

    #[test]
    fn lines_are_objects_with_the_promised_members() {
        let case = Case::bare(812, Finding { fd: 9, count: 3, ..Finding::new(Rule::SleptEdge, Grade::Fault) });
        let totals = Totals { faults: 1, ..Totals::default() };
        for line in [finding(&case, false), unused("a \"b\"\n"), sums(&totals)] {
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            let object: Value = serde_json::from_str(&line).unwrap();
            for member in ["schema", "rule", "grade", "pid", "fd", "count", "message", "site"] {
                assert!(object.get(member).is_some(), "{member} is not in {line}");
            }
        }
        let object: Value = serde_json::from_str(&finding(&case, true)).unwrap();
        assert_eq!((&object["rule"], &object["fd"], &object["count"]), (&"slept-edge".into(), &9.into(), &3.into()));
        assert_eq!(object["suppress"], "slept-edge:unknown");
    }
}

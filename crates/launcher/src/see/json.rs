//! Findings as JSON, one object a line. `schema` grows when a member changes its meaning or goes.

use super::audit::{Case, Totals};
use super::wording::words;
use epolyfill_facts::NO_FD;
use std::fmt;

/// The version of the objects.
const SCHEMA: u32 = 1;

/// A string with its quotes.
#[derive(Debug)]
pub struct Json<'a>(pub &'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(out, "\\{c}")?,
                c if c.is_control() => write!(out, "\\u{:04x}", u32::from(c))?,
                c => write!(out, "{c}")?,
            }
        }
        out.write_str("\"")
    }
}

/// A string, or null.
pub struct OrNull<'a>(pub Option<&'a str>);

impl fmt::Display for OrNull<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) => Json(text).fmt(out),
            None => out.write_str("null"),
        }
    }
}

/// The line of a finding.
pub fn finding(case: &Case, is_last: bool) -> String {
    let finding = &case.finding;
    let words = words(finding);
    let message = format!("{} {} {}", words.fact, words.consequence, words.remedy);
    let [site, deed] = [&case.site, &case.deed].map(|site| site.as_ref().map(ToString::to_string));
    let frame = case.place().map(|site| &site.frame);
    let source = frame.and_then(|frame| frame.source.as_ref());
    let number = |number: i32| if number == NO_FD { "null".to_owned() } else { number.to_string() };
    format!(
        "{{\"schema\":{SCHEMA},\"rule\":{},\"grade\":{},\"pid\":{},\"tid\":{},\"fd\":{},\"epfd\":{},\"other\":{},\
         \"descriptor\":{},\"events\":{},\"bits\":{},\"count\":{},\"first_ns\":{},\"last_ns\":{},\"worst_ns\":{},\
         \"wall_offset_ns\":{},\"message\":{},\"site\":{},\"deed\":{},\"file\":{},\"line\":{},\"function\":{},\
         \"suppress\":{},\"last\":{is_last}}}\n",
        Json(finding.rule.name()),
        Json(finding.grade.name()),
        case.pid,
        finding.tid,
        finding.fd,
        number(finding.epfd),
        number(finding.other),
        Json(finding.who.text()),
        finding.events,
        finding.bits,
        finding.count,
        finding.first_ns,
        finding.last_ns,
        finding.worst_ns,
        case.wall_offset_ns,
        Json(&message),
        OrNull(site.as_deref()),
        OrNull(deed.as_deref()),
        OrNull(source.map(|(file, _)| file.as_str())),
        source.map_or("null".to_owned(), |(_, line)| line.to_string()),
        OrNull(frame.and_then(|frame| frame.function.as_deref())),
        Json(&case.suppression()),
    )
}

/// The line of a suppression that was not used.
pub fn unused(sentence: &str) -> String {
    let message = Json(sentence);
    format!(
        "{{\"schema\":{SCHEMA},\"rule\":\"unused-suppression\",\"grade\":\"note\",\"pid\":0,\"fd\":-1,\"count\":1,\
         \"message\":{message},\"site\":null}}\n"
    )
}

/// The last line: the sums.
pub fn sums(totals: &Totals) -> String {
    let Totals { processes, faults, suspects, notes, suppressed, waits, lost, .. } = totals;
    let Totals { resumed_sites, resumed_reads, foreign, unattributed, .. } = totals;
    format!(
        "{{\"schema\":{SCHEMA},\"rule\":\"summary\",\"grade\":\"summary\",\"pid\":0,\"fd\":-1,\"count\":{},\
         \"message\":{},\"site\":null,\"processes\":{processes},\"faults\":{faults},\"suspects\":{suspects},\
         \"notes\":{notes},\"suppressed\":{suppressed},\"waits\":{waits},\"facts_lost\":{lost},\
         \"resumed_sites\":{resumed_sites},\"resumed_reads\":{resumed_reads},\"foreign\":{foreign},\
         \"unattributed\":{unattributed}}}\n",
        faults + suspects + notes,
        Json(&totals.line()),
    )
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

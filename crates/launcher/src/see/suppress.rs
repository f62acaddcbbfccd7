//! `--audit-suppress FILE`: findings that are not to be shown, `RULE:FUNCTION` on each line. The
//! function `*` stands for all; empty lines and those that begin with `#` are left out.

use super::audit::Case;
use crate::failure::{Failure, name, why};
use epolyfill_audit::Rule;
use std::ffi::OsStr;

#[derive(Debug)]
struct Line {
    rule: Rule,
    function: String,
    number: usize,
    is_used: bool,
}

/// The suppressions.
#[derive(Debug, Default)]
pub struct Suppressions {
    file: String,
    lines: Vec<Line>,
}

impl Suppressions {
    /// Reads a file of them.
    pub fn read(path: &OsStr) -> Result<Suppressions, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::own(format!("cannot read {}: {}", name(path), why(&error))))?;
        Suppressions::parse(&name(path).to_string(), &text).map_err(Failure::own)
    }

    fn parse(file: &str, text: &str) -> Result<Suppressions, String> {
        let mut lines = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let (line, number) = (line.trim(), at + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((rule, function)) = line.split_once(':').filter(|(_, function)| !function.is_empty()) else {
                return Err(format!("{file}:{number}: {line} is not of the form RULE:FUNCTION"));
            };
            let Some(rule) = Rule::named(rule) else {
                return Err(format!("{file}:{number}: there is no rule {rule}; epolyfill(1) lists the rules"));
            };
            lines.push(Line { rule, function: function.to_owned(), number, is_used: false });
        }
        Ok(Suppressions { file: file.to_owned(), lines })
    }

    /// Whether a finding is suppressed, which uses the suppression.
    pub fn cover(&mut self, case: &Case) -> bool {
        let function = case.function();
        let matches =
            |line: &&mut Line| line.rule == case.finding.rule && (line.function == "*" || line.function == function);
        let found = self.lines.iter_mut().find(matches);
        found.map(|line| line.is_used = true).is_some()
    }

    /// A sentence about each that was not used.
    pub fn unused(&self) -> Vec<String> {
        let unused = self.lines.iter().filter(|line| !line.is_used);
        let sentence = |line: &Line| {
            let (rule, function, file, number) = (line.rule.name(), &line.function, &self.file, line.number);
            format!("the suppression {rule}:{function} ({file}:{number}) was not used.")
        };
        unused.map(sentence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use epolyfill_audit::{Finding, Grade};

    #[test]
    fn a_suppression_covers_its_rule_and_function_and_is_reported_if_it_is_not_used() {
        let text = "# known\n\nspin:unknown\nslept-edge:std::vec::push\nherd:*\n";
        let mut suppressions = Suppressions::parse("known.txt", text).unwrap();
        let mut covers = |rule| suppressions.cover(&Case::bare(7, Finding::new(rule, Grade::Fault)));
        assert!(covers(Rule::Spin) && covers(Rule::Herd) && !covers(Rule::SleptEdge));
        assert_eq!(suppressions.unused(), ["the suppression slept-edge:std::vec::push (known.txt:4) was not used."]);
    }

    #[test]
    fn what_is_no_suppression_is_refused() {
        let refused = |text| Suppressions::parse("f", text).unwrap_err();
        assert_eq!(refused("\nspinn:main"), "f:2: there is no rule spinn; epolyfill(1) lists the rules");
        assert_eq!(refused("spin"), "f:1: spin is not of the form RULE:FUNCTION");
        assert_eq!(refused("spin:"), "f:1: spin: is not of the form RULE:FUNCTION");
    }
}

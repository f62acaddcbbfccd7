//! What of the audit is shown, and when: a finding at its 1st, 10th, 100th … case, or when its grade
//! rises, and at the end what is not shown yet; at last the sums.

use super::site::Site;
use super::words::{counted, grouped};
use epolyfill_audit::{Finding, Grade, Summary};

/// A finding, with what the record alone does not say.
#[derive(Clone, Debug)]
pub struct Case {
    /// The process, and the finding in it.
    pub process: usize,
    pub index: usize,
    pub pid: i32,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC.
    pub wall_offset_ns: i64,
    pub finding: Finding,
    /// Where the descriptor was registered.
    pub site: Option<Site>,
    /// Where the deed was done, if that is another place.
    pub deed: Option<Site>,
    /// Whether it was shown before.
    pub is_repeat: bool,
}

impl Case {
    /// A finding of a process, without places.
    pub fn bare(pid: i32, finding: Finding) -> Case {
        let (process, index, wall_offset_ns) = (0, 0, 0);
        Case { process, index, pid, wall_offset_ns, finding, site: None, deed: None, is_repeat: false }
    }

    /// Where the descriptor was registered, or if that is not known where the deed was done.
    pub fn place(&self) -> Option<&Site> {
        self.site.as_ref().or(self.deed.as_ref())
    }

    /// The function of that place.
    pub fn function(&self) -> String {
        self.place().map_or("unknown".to_owned(), |site| site.frame.name())
    }

    /// The line that suppresses it: `rule:function`.
    pub fn suppression(&self) -> String {
        format!("{}:{}", self.finding.rule.name(), self.function())
    }
}

/// How often a finding was shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown {
    count: u64,
    grade: Option<Grade>,
    /// It is not shown at all.
    pub is_suppressed: bool,
}

impl Shown {
    /// Whether the finding is to be shown now; if so, it counts as shown.
    pub fn is_due(&mut self, finding: &Finding, is_last: bool) -> bool {
        // The next power of ten above what was shown.
        let threshold = self.count.checked_ilog10().map_or(1, |digits| 10u64.saturating_pow(digits + 1));
        let has_risen = self.grade.is_none_or(|grade| finding.grade > grade);
        let has_grown = finding.count > self.count;
        if !has_risen && !(has_grown && (is_last || finding.count >= threshold)) {
            return false;
        }
        (self.count, self.grade) = (finding.count, Some(finding.grade));
        true
    }

    /// Whether it was shown with the present grade or a higher one.
    pub fn has(&self, grade: Grade) -> bool {
        self.grade.is_some_and(|shown| shown >= grade)
    }
}

/// The sums of all processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub processes: u64,
    pub faults: u64,
    pub suspects: u64,
    pub notes: u64,
    pub suppressed: u64,
    pub waits: u64,
    pub lost: u64,
    pub resumed_sites: u64,
    pub resumed_reads: u64,
    pub foreign: u64,
    pub unattributed: u64,
    /// What else could not be seen: a clause each.
    pub unseen: Vec<String>,
}

impl Totals {
    /// Counts a finding.
    pub fn add_finding(&mut self, grade: Grade) {
        *match grade {
            Grade::Fault => &mut self.faults,
            Grade::Suspect => &mut self.suspects,
            Grade::Note => &mut self.notes,
        } += 1;
    }

    /// Counts a process.
    pub fn add_process(&mut self, sums: &Summary) {
        self.processes += 1;
        self.waits += sums.waits;
        self.lost += sums.lost;
        self.resumed_sites += sums.resumed_sites;
        self.resumed_reads += sums.resumed_reads;
        self.foreign += sums.foreign;
        self.unattributed += sums.unattributed;
    }

    /// Adds other sums.
    pub fn add(&mut self, other: &Totals) {
        self.processes += other.processes;
        self.faults += other.faults;
        self.suspects += other.suspects;
        self.notes += other.notes;
        self.suppressed += other.suppressed;
        self.waits += other.waits;
        self.lost += other.lost;
        self.resumed_sites += other.resumed_sites;
        self.resumed_reads += other.resumed_reads;
        self.foreign += other.foreign;
        self.unattributed += other.unattributed;
    }

    /// What was muted, and what could not be seen: a clause each.
    pub fn clauses(&self) -> Vec<String> {
        let mut clauses = Vec::new();
        if self.suppressed > 0 {
            clauses.push(format!("muted: {} by --audit-suppress", counted(self.suppressed, "finding")));
        }
        if self.resumed_sites > 0 {
            let (verb, itself) = if self.resumed_sites == 1 { ("reads", "itself") } else { ("read", "themselves") };
            let (sites, times) = (counted(self.resumed_sites, "site"), counted(self.resumed_reads, "time"));
            clauses.push(format!("muted: {sites} that {verb} on by {itself} (resumed {times})"));
        }
        if self.foreign > 0 {
            clauses.push(format!("{} read by calls that cannot be seen here", counted(self.foreign, "descriptor")));
        }
        if self.unattributed > 0 {
            let events = counted(self.unattributed, "event");
            clauses.push(format!("{events} whose data identifies no registration"));
        }
        if self.lost > 0 {
            clauses.push(format!("{} lost", counted(self.lost, "fact")));
        }
        clauses.extend(self.unseen.iter().cloned());
        clauses
    }

    /// The last line.
    pub fn line(&self) -> String {
        if self.processes == 0 {
            return "audit: no process was observed.".to_owned();
        }
        let counts = [(self.faults, "fault"), (self.suspects, "suspect"), (self.notes, "note")];
        let counts = counts.map(|(number, noun)| counted(number, noun)).join(", ");
        let mut line = format!("audit: {counts} in {}", counted(self.waits, "wait"));
        if self.processes > 1 {
            line += &format!(" of {} processes", grouped(self.processes));
        }
        for clause in self.clauses() {
            line += "; ";
            line += &clause;
        }
        line + "."
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use epolyfill_audit::Rule;

    #[test]
    fn a_finding_is_shown_at_powers_of_ten_and_at_the_end() {
        let mut shown = Shown::default();
        let mut due =
            |count, grade, is_last| shown.is_due(&Finding { count, ..Finding::new(Rule::Spin, grade) }, is_last);
        let counts: Vec<u64> = (1..=2000).filter(|count| due(*count, Grade::Suspect, false)).collect();
        assert_eq!(counts, [1, 10, 100, 1000]);
        assert!(due(2000, Grade::Suspect, true));
        assert!(!due(2000, Grade::Suspect, true), "nothing is shown twice with the same count");
        assert!(due(2000, Grade::Fault, false), "a grade that rises is shown at once");
        assert!(!due(2000, Grade::Fault, true));
    }

    #[test]
    fn thresholds_are_above_what_was_shown() {
        let mut shown = Shown::default();
        let mut due = |count| shown.is_due(&Finding { count, ..Finding::new(Rule::Spin, Grade::Fault) }, false);
        assert_eq!(
            [64, 99, 100, 101, 999, 5000, 9999, 10_000].map(&mut due),
            [true, false, true, false, false, true, false, true]
        );
        assert!(Shown::default().is_due(&Finding { count: 0, ..Finding::new(Rule::Spin, Grade::Note) }, false));
    }

    #[test]
    fn the_last_line_has_what_was_muted_and_what_was_not_seen() {
        let totals = Totals {
            processes: 1,
            faults: 2,
            suspects: 1,
            notes: 3,
            waits: 51_204,
            resumed_sites: 1,
            resumed_reads: 348,
            foreign: 1,
            ..Totals::default()
        };
        assert_eq!(
            totals.line(),
            "audit: 2 faults, 1 suspect, 3 notes in 51,204 waits; muted: 1 site that reads on by itself (resumed 348 \
             times); 1 descriptor read by calls that cannot be seen here."
        );
        assert_eq!(Totals::default().line(), "audit: no process was observed.");
    }
}

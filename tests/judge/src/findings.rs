//! Differences that a history has found.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::compare::What;
use crate::kernel::Answer;
use crate::kinds::Kind;
use crate::known::{Case, Class, FACTS, ROWS};
use crate::world::World;

/// The number of unlisted differences that this process has found.
pub static FOUND: AtomicU32 = AtomicU32::new(0);

/// A difference between the two sides.
#[derive(Clone, Debug)]
pub struct Finding {
    pub step: u32,
    pub what: What,
    pub kind: Kind,
    /// The registration's data, if it is about one.
    pub data: Option<u64>,
    /// The row of `known` that lists it.
    pub row: Option<usize>,
    pub text: String,
}

impl Finding {
    /// Whether the difference must be tried with each side in a process of its own.
    pub fn is_suspect(&self) -> bool {
        self.row.is_none_or(|row| ROWS[row].class(self.what) == Class::News && ROWS[row].unavoidable)
    }
}

impl World<'_> {
    pub fn find(&mut self, case: Case, data: Option<u64>, row: Option<usize>, text: String) {
        self.counts.difference(case.what, case.kind, row);
        FOUND.fetch_add(u32::from(row.is_none()), Relaxed);
        if self.log.is_some() {
            let listed = row.map_or("", |_| " (listed)");
            let line = format!("    ** {}{listed}, {}: {text}", case.what.word(), case.kind.word());
            self.say(|| line);
        }
        self.findings.push(Finding { step: self.step, what: case.what, kind: case.kind, data, row, text });
    }

    pub fn find_answer(&mut self, kind: Kind, text: String) {
        let case = Case { what: What::Answer, kind, edge: false, inside: false, bits: 0, facts: [false; FACTS] };
        self.find(case, None, None, text);
    }

    pub fn differing_answer(&mut self, call: &str, kind: Kind, kernel: Answer, ours: Answer) {
        self.find_answer(kind, format!("{call}: kernel {kernel:?}, ours {ours:?}"));
    }
}

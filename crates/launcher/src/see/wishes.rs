//! What the command line wants to see.

use super::chaos::Chaos;
use std::ffi::OsString;

/// The wishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeing {
    pub audit: bool,
    pub format: Option<Format>,
    /// The launcher's exit status if there is a fault.
    pub exit: Option<u8>,
    /// The file of suppressions.
    pub suppress: Option<OsString>,
    /// The output of strace(1) that is judged instead of a program.
    pub strace: Option<OsString>,
    /// The waits that are perturbed.
    pub chaos: Chaos,
    /// The file that is written instead of standard error.
    pub output: Option<OsString>,
    /// The counts at exit.
    pub summary: bool,
    pub timeline: Option<OsString>,
    /// The file of the page.
    pub report: Option<OsString>,
    pub style: Style,
}

/// How calls are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// 0 for not at all, 1 without times, 2 with the time of day, 3 with the time since 1970.
    pub times: u8,
    /// With the time in each call.
    pub durations: bool,
    /// With the files of the descriptors.
    pub descriptors: bool,
    /// With the edges between them.
    pub edges: bool,
}

impl Seeing {
    /// Whether anything is wanted of a program.
    pub fn is_on(&self) -> bool {
        self.audit || self.summary || self.wants_facts()
    }

    /// Whether the facts themselves are wanted.
    pub fn wants_facts(&self) -> bool {
        self.timeline.is_some() || self.report.is_some() || self.style.times > 0
    }

    /// What the library has to record.
    pub fn recorded(&self) -> String {
        let wishes = [("audit", true), ("counts", self.summary), ("facts", self.wants_facts())];
        wishes.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| *name).collect::<Vec<_>>().join(",")
    }
}

/// The form of the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
    Sarif,
}

/// The names of the forms.
pub const FORMATS: [&str; 3] = ["text", "json", "sarif"];

impl Format {
    /// The form of that name, which is one of `FORMATS`.
    pub fn named(name: &str) -> Format {
        match name {
            "json" => Format::Json,
            "sarif" => Format::Sarif,
            _ => Format::Text,
        }
    }
}

//! Where findings are shown, and in which form.

use super::audit::{Case, Totals};
use super::wishes::{Format, Seeing};
use super::{json, sarif, spawn, text};
use crate::failure::{Failure, name, why};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

/// A report that is being written.
#[derive(Debug)]
pub struct Output {
    /// Whether findings are shown at all.
    is_audit: bool,
    format: Format,
    out: Option<File>,
    /// The file of `--output`.
    path: Option<String>,
    /// For the sentence that the file cannot be written any more.
    stderr: Option<File>,
    command: String,
    directory: PathBuf,
    /// What a log of SARIF will have.
    cases: BTreeMap<(usize, usize), Case>,
}

impl Output {
    /// Opens the file, or takes the standard stream, if that is open.
    pub fn open(seeing: &Seeing, command: String, standard: Option<OwnedFd>) -> Result<Output, Failure> {
        let (mut out, mut stderr, mut path) = (standard, None, None);
        if let Some(file) = &seeing.output {
            let failed = |error: &io::Error| Failure::own(format!("cannot write to {}: {}", name(file), why(error)));
            let opened = File::create(file).map_err(|error| failed(&error))?;
            let opened = spawn::own(opened).map_err(|errno| failed(&errno.into()))?;
            stderr = out.replace(opened);
            path = Some(name(file).to_string());
        }
        Ok(Output {
            is_audit: seeing.audit || seeing.strace.is_some(),
            format: seeing.format.unwrap_or_default(),
            out: out.map(File::from),
            path,
            stderr: stderr.map(File::from),
            command,
            directory: std::env::current_dir().unwrap_or_default(),
            cases: BTreeMap::new(),
        })
    }

    /// Its descriptors.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        [&self.out, &self.stderr].into_iter().flatten().map(AsRawFd::as_raw_fd)
    }

    /// Shows a finding.
    pub fn show(&mut self, case: Case, is_last: bool) {
        match self.format {
            _ if !self.is_audit => {}
            Format::Text => self.write(&text::block(&case)),
            Format::Json => self.write(&json::finding(&case, is_last)),
            Format::Sarif => {
                self.cases.insert((case.process, case.index), case);
            }
        }
    }

    /// Shows the sums, which can be shown again when there is more. A log of SARIF is one object, so
    /// it is written anew into its file, and elsewhere only at the end.
    pub fn sum_up(&mut self, totals: &Totals, unused: &[String], is_end: bool) {
        match self.format {
            _ if !self.is_audit => {}
            Format::Text => {
                let unused: String = unused.iter().map(|sentence| format!("audit: {sentence}\n")).collect();
                self.write(&(unused + &totals.line() + "\n"));
            }
            Format::Json => {
                let unused: String = unused.iter().map(|sentence| json::unused(sentence)).collect();
                self.write(&(unused + &json::sums(totals)));
            }
            Format::Sarif => {
                let is_file = self.path.is_some() && self.is_regular();
                if !is_end && self.is_held_back() {
                    return;
                }
                let cases: Vec<&Case> = self.cases.values().collect();
                let log = sarif::log(&cases, totals, unused, &self.command, &self.directory);
                if let Some(out) = self.out.as_mut().filter(|_| is_file) {
                    let _ = out.set_len(0).and_then(|()| out.rewind());
                }
                self.write(&log);
            }
        }
    }

    /// Whether the sums are shown only at the end.
    pub fn is_held_back(&self) -> bool {
        self.format == Format::Sarif && !(self.path.is_some() && self.is_regular())
    }

    fn is_regular(&self) -> bool {
        self.out.as_ref().and_then(|out| out.metadata().ok()).is_some_and(|found| found.is_file())
    }

    /// Shows what is not a finding. Beside a log of SARIF there is no place for it in its file.
    pub fn print(&mut self, text: &str) {
        match &mut self.stderr {
            Some(stderr) if self.is_audit && self.format != Format::Text => {
                let _ = stderr.write_all(text.as_bytes());
            }
            _ => self.write(text),
        }
    }

    /// Complains, on standard error.
    pub fn complain(&mut self, sentence: &str) {
        if let Some(stderr) = self.stderr.as_mut().or(self.out.as_mut()) {
            let _ = writeln!(stderr, "epolyfill: {sentence}");
        }
    }

    /// Writes; what fails is reported once, if that is possible.
    fn write(&mut self, text: &str) {
        let Some(out) = &mut self.out else { return };
        let Err(error) = out.write_all(text.as_bytes()) else { return };
        self.out = None;
        if let (Some(stderr), Some(path)) = (&mut self.stderr, &self.path) {
            let _ = writeln!(stderr, "epolyfill: cannot write to {path}: {}", why(&error));
        }
    }
}

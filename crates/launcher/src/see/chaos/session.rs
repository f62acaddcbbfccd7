//! One run under chaos: the launcher stays as the parent of the program, and keeps the log.

use super::Chaos;
use super::log;
use super::plan::{self, Given, counted};
use crate::failure::{Failure, name};
use crate::see::parent::{self, Role};
use crate::see::{directory, spawn};
use crate::settings::{self, Setting};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// The name of the mapped log in its directory.
const LOG: &str = "chaos.log";

/// A run that is about to begin. Dropped, nothing of it is left.
#[derive(Debug)]
pub struct Session {
    given: Given,
    /// The directory of the mapped log, unless a hunt has one.
    directory: Option<PathBuf>,
    log: PathBuf,
    kept: Option<(OsString, File)>,
    command: String,
    /// Taken before the program can redirect it; closed if it is.
    stderr: Option<OwnedFd>,
}

impl Session {
    /// Makes everything that is needed. `None` if no chaos is wanted.
    pub fn new(chaos: &Chaos, program: &[OsString]) -> Result<Option<Session>, Failure> {
        let Some(text) = &chaos.plan else { return Ok(None) };
        let given = plan::read(text)?;
        let kept = chaos.log.as_ref().map(|path| Ok((path.clone(), log::create(path)?))).transpose()?;
        let directory = if chaos.scratch.is_none() { Some(directory::make(false)?) } else { None };
        let own = || directory.as_ref().map(|directory| directory.join(LOG));
        let log = chaos.scratch.clone().or_else(own).unwrap_or_default();
        let command = program.iter().map(|word| name(word).to_string()).collect::<Vec<_>>().join(" ");
        let stderr = spawn::own(std::io::stderr()).ok();
        Ok(Some(Session { given, directory, log, kept, command, stderr }))
    }

    /// The variables of the library.
    pub fn variables(&self) -> Vec<(&'static Setting, OsString)> {
        vec![(&settings::CHAOS, self.given.value.clone()), (&settings::CHAOS_LOG, self.log.clone().into())]
    }

    /// Returns in the process that becomes the program. In a hunt that is this one.
    pub fn begin(mut self) -> Result<Session, Failure> {
        if self.directory.is_none() {
            return Ok(self);
        }
        match parent::split()? {
            Role::Program => {
                // The parent removes it.
                self.directory = None;
                Ok(self)
            }
            Role::Parent(child) => {
                let ended = child.run();
                if let Err(failure) = self.conclude() {
                    self.say(&failure.sentence);
                }
                drop(self);
                ended.repeat()
            }
        }
    }

    fn conclude(&self) -> Result<(), Failure> {
        let perturbed = log::read(&self.log);
        let words = &self.given.words;
        let processes = crate::see::words::counted(perturbed.processes, "process");
        let mut sentence = format!("chaos by {words}: {} in {processes}", counted(perturbed.decisions.len()));
        if perturbed.is_full {
            sentence.push_str("; then the log was full, and nothing was perturbed any more");
        }
        // Otherwise the program was not run, and its child has reported why.
        if perturbed.processes > 0 {
            self.say(&sentence);
        }
        let Some((path, file)) = &self.kept else { return Ok(()) };
        log::keep(path, file, &log::text(&perturbed.decisions, &format!("{words}: {}", self.command)))
    }

    fn say(&self, sentence: &str) {
        if let Some(stderr) = self.stderr.as_ref().and_then(|stderr| stderr.try_clone().ok()) {
            let _ = writeln!(File::from(stderr), "epolyfill: {sentence}");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            let _ = std::fs::remove_file(&self.log);
            directory::remove(directory);
        }
    }
}

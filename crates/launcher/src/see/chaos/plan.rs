//! The argument of `--chaos`: `SEED[,KIND[=RATE]…]`, or `@LOG`.

use super::Chaos;
use crate::failure::{Failure, name, why};
use epolyfill_chaos::log::LogError;
use epolyfill_chaos::{ALL, Decision, Plan};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// An argument that is valid.
#[derive(Clone, Debug)]
pub struct Given {
    /// What the library is given.
    pub value: OsString,
    /// The plan in words: "seed 7 (few, late)".
    pub words: String,
}

/// Reads the argument.
pub fn read(text: &OsStr) -> Result<Given, Failure> {
    if let Some(path) = text.as_bytes().strip_prefix(b"@") {
        let path = OsStr::from_bytes(path);
        let decisions = decisions(path)?;
        // The program's children may be elsewhere.
        let absolute = std::fs::canonicalize(path).map_err(|error| unreadable(path, &error))?;
        let value = OsString::from_vec([b"@", absolute.as_os_str().as_bytes()].concat());
        return Ok(Given { value, words: format!("{} of {}", counted(decisions.len()), name(path)) });
    }
    let refused = |what: &str| Failure::own(format!("--chaos does not accept {}: {what}", name(text)));
    let plain = text.to_str().ok_or_else(|| refused("it is not text"))?;
    let plan = Plan::parse(plain).map_err(|complaint| refused(&complaint.to_string()))?;
    let seed = plain.split(',').next().unwrap_or_default();
    Ok(Given { value: text.to_owned(), words: format!("seed {seed} ({})", kinds(&plan)) })
}

/// The kinds of a plan, with commas between them.
fn kinds(plan: &Plan) -> String {
    let names: Vec<&str> = ALL.iter().filter(|row| plan.has(row.kind)).map(|row| row.name).collect();
    names.join(", ")
}

/// "1 decision", "2 decisions".
pub fn counted(n: usize) -> String {
    crate::see::words::counted(n as u64, "decision")
}

fn unreadable(path: &OsStr, error: &std::io::Error) -> Failure {
    Failure::own(format!("cannot read {}: {}", name(path), why(error)))
}

/// The decisions of a log.
fn decisions(path: &OsStr) -> Result<Vec<Decision>, Failure> {
    let text = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    epolyfill_chaos::log::parse(&text).map_err(|error| {
        let path = name(path);
        Failure::own(match error {
            LogError::Line(line) => format!("line {line} of {path} is not one of a log of --chaos"),
            LogError::CutShort => format!("{path} is cut short: the last line of a log of --chaos is 'end'"),
            LogError::NoMemory => format!("{path} is too long"),
        })
    })
}

/// Checks that the wishes can be met. A hunt needs seeds.
pub fn check(chaos: &Chaos) -> Result<(), Failure> {
    if chaos.log.is_some() && !chaos.is_wanted() {
        return Err(Failure::own("--chaos-log has no effect without --chaos; remove it"));
    }
    let given = chaos.plan.as_deref().map(read).transpose()?;
    if chaos.runs.is_some() {
        runs(chaos)?;
        if given.is_some_and(|given| given.value.as_bytes().starts_with(b"@")) {
            return Err(Failure::own("--chaos-hunt draws its own decisions; give --chaos a seed"));
        }
    }
    Ok(())
}

/// The number of runs of a hunt.
pub fn runs(chaos: &Chaos) -> Result<u64, Failure> {
    let text = chaos.runs.as_deref().unwrap_or_default();
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|runs| (1..=1_000_000).contains(runs));
    number.ok_or_else(|| {
        Failure::own(format!("--chaos-hunt does not accept {}; use a number from 1 to 1000000", name(text)))
    })
}

//! Differences that are gone with each side in a process of its own.

use std::fs;

use super::Stage;
use super::findings::Found;
use crate::op::{Op, Verb};

/// The number of attempts to see a difference `SHOWINGS` times with both sides in one process.
const MOST_TOGETHER: usize = 40;
const SHOWINGS: usize = 2;
/// For each of those, the number of runs with each side in a process of its own: a difference that
/// showed in two of N attempts is missed in `APART` times N runs with a probability of e^(-2 *
/// APART).
const APART: usize = 4;

impl Stage {
    /// Whether a difference is an effect of one side on the other: it shows with both in one
    /// process, and never with each in a process of its own, in as many runs as that takes. A
    /// difference that cannot be shown again is not one. One that sleeping threads found must show
    /// without them, in waits of one thread.
    pub(super) fn is_between(&self, found: &Found) -> bool {
        let mut ops = found.ops.clone();
        if ops.iter().any(|op| op.verb == Verb::Sleepers) {
            ops.retain(|op| op.verb != Verb::Sleepers);
            ops.push(Op::new(Verb::Sweep, &[]));
        }
        let file = self.options.out.join(format!("apart-{}", std::process::id()));
        self.write(&file, found.profile, "", &ops);
        let shows = |_: &usize| {
            self.perform(&file, false).is_ok_and(|seen| match found.data {
                Some(data) => seen.about.contains(&(found.sign.clone(), data)),
                None => seen.signs.contains(&found.sign),
            })
        };
        let attempts = (1..=MOST_TOGETHER).filter(shows).nth(SHOWINGS - 1);
        let last = ops.len() as u32;
        let agrees_apart = || {
            let [kernel, ours] = ["kernel", "ours"].map(|side| {
                let seen = self.perform_with(&file, &[format!("--side={side}"), "--brisk".to_owned()]).ok()?;
                let at_last = seen
                    .alone
                    .into_iter()
                    .filter(|(step, of, _)| *step == last && found.data.is_none_or(|data| data == *of));
                // If no registration is named, one of several must report, and any of them may.
                let mut reports: Vec<String> = at_last.map(|(_, _, report)| report).collect();
                reports.sort();
                seen.signs.is_empty().then_some(reports)
            });
            kernel.is_some() && kernel == ours
        };
        let is_between = attempts.is_some_and(|attempts| (0..APART * attempts).all(|_| agrees_apart()));
        let _ = fs::remove_file(&file);
        is_between
    }
}

//! The end of a judgement: its findings are noted, and its reports remembered.

use super::bits;
use crate::compare::{Difference, Report, Round};
use crate::kinds::Kind;
use crate::known::WRITABLE;
use crate::world::{Registration, World};

impl World<'_> {
    /// Counts, notes findings, and updates the memory of reports.
    pub fn conclude(&mut self, name: Option<usize>, rounds: &[Round], differences: Vec<Difference>) {
        for difference in &differences {
            let case = self.case(difference);
            let row = self.row(difference);
            let number = self.registration(difference.data).map(|one| (one.pair, one.number, one.events, one.alive));
            let text = match number {
                Some((pair, number, events, alive)) => format!(
                    "{} in instance {pair}, registered as {}{}: kernel {}, ours {}",
                    number,
                    bits(events),
                    if alive { "" } else { " (and gone)" },
                    bits(difference.kernel),
                    bits(difference.ours)
                ),
                None => format!("data {:#x}, which nobody registered", difference.data),
            };
            self.find(case, Some(difference.data), row, text);
            // A one-shot that only one side has reported is spent on that side only.
            if let Some(registration) = self.registration(difference.data) {
                registration.tainted |= row.is_none() || registration.events & libc::EPOLLONESHOT as u32 != 0;
                registration.differed = true;
            }
        }
        let step = self.step;
        for registration in self.registrations.iter_mut().filter(|one| Some(one.pair) == name) {
            registration.reported_last = [false; 2];
            registration.crossed = self.crossing.contains(&registration.data);
            registration.owed = 0;
        }
        self.crossing.clear();
        self.taint_one_shots(rounds);
        self.moved_between.clear();
        self.last_round.clear();
        self.end_contests(rounds);
        for round in rounds {
            for &(data, _) in round.kernel.iter().filter(|report| is_in_both(round, report.0)) {
                self.registration(data).into_iter().for_each(|one| one.differed = false);
            }
            for (ours, reports) in [(false, &round.kernel), (true, &round.ours)] {
                for &(data, bits) in reports {
                    self.count_report(data, bits, ours, step);
                }
            }
        }
    }

    /// Marks one-shots that only one side has reported because of a contest: they are spent on that
    /// side only, even after the contest.
    fn taint_one_shots(&mut self, rounds: &[Round]) {
        for at in 0..self.registrations.len() {
            let Registration { contested, events, data, file, .. } = self.registrations[at];
            let reported =
                |side: fn(&Round) -> &Vec<Report>| rounds.iter().flat_map(side).any(|report| report.0 == data);
            let differs = reported(|round| &round.kernel) != reported(|round| &round.ours);
            if differs && events & libc::EPOLLONESHOT as u32 != 0 && (contested || self.has_contest_inside(file)) {
                self.registrations[at].tainted = true;
            }
        }
    }

    /// Ends the contest of a registration that is the only one again and was reported by both sides
    /// in one round: it is judged like any other.
    fn end_contests(&mut self, rounds: &[Round]) {
        for at in 0..self.registrations.len() {
            let Registration { contested, data, file, .. } = self.registrations[at];
            if contested && self.exclusive_on(file) < 2 && rounds.iter().any(|round| is_in_both(round, data)) {
                self.registrations[at].contested = false;
            }
        }
    }

    fn count_report(&mut self, data: u64, bits: u32, ours: bool, step: u32) {
        let Some(registration) = self.registration(data) else { return };
        registration.reported = step;
        registration.reported_last[usize::from(ours)] = true;
        registration.shown = if ours { registration.shown } else { bits };
        let (file, exclusive) = (registration.file, registration.is_exclusive());
        let overfull = registration.is_overfull();
        if !ours {
            let kind = self.files[file].kind;
            self.counts.report(kind);
            if kind == Kind::Tcp
                && let Some(at) = self.registrations.iter().rposition(|one| one.data == data)
            {
                self.take_down_received(at);
            }
            // Reports of sleeping threads were handled when they were made.
            if !self.in_passing {
                self.looked_for_room_of(data);
            } else if self.crew.is_some() && bits & WRITABLE != 0 {
                self.found_room_in_passing(data);
            }
        }
        if exclusive {
            let sweeping = self.sweeping;
            let entry = self.exclusive_entry(file);
            if ours {
                entry.ours = true;
            } else {
                // Outside a sweep the level may be gone before the others look.
                entry.kernel |= if sweeping { bits } else { 0 };
                entry.overfull |= overfull;
            }
        }
    }
}

/// Whether both sides reported the registration with this data.
fn is_in_both(round: &Round, data: u64) -> bool {
    [&round.kernel, &round.ours].into_iter().all(|side| side.iter().any(|report| report.0 == data))
}

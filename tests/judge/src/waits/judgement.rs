//! The judgement of a wait: the differences that count.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Wait;
use crate::compare::{self, Difference, Lasting, Round, What};
use crate::findings::FOUND;
use crate::kernel;
use crate::kinds::Kind;
use crate::world::{Pair, Registration, World};

/// The pauses before each further look, in microseconds, while the sides differ. They let late
/// events show up.
pub(super) const PATIENCE_US: [u64; 9] = [0, 0, 50, 200, 500, 1000, 3000, 10_000, 30_000];
/// The number of looks for surplus reports, which do not go away: enough to see whether the
/// kernel's was late.
const PATIENCE_FOR_EXTRAS: usize = 6;

impl World<'_> {
    pub fn judge(&mut self, name: usize, pair: Pair, mut rounds: Vec<Round>) {
        let mut differences = self.compare(&rounds);
        let before = differences.len();
        // If there are many differences, a long wait for each has no point.
        let patience = if FOUND.load(Relaxed) < 30 { &PATIENCE_US[..] } else { &PATIENCE_US[..4] };
        for (look, &us) in patience.iter().enumerate() {
            let grave = |difference: &Difference| difference.what != What::Extra;
            let unlisted = |difference: &Difference| self.row(difference).is_none();
            let waits_for_more = differences
                .iter()
                .any(|difference| grave(difference) || (look < PATIENCE_FOR_EXTRAS && unlisted(difference)));
            if !waits_for_more {
                break;
            }
            if us > 0 {
                std::thread::sleep(Duration::from_micros(us));
            }
            let (_, _, round) = self.wait_once(pair, Wait::LOOK);
            rounds.push(round);
            differences = self.compare(&rounds);
        }
        if before > differences.len() {
            self.counts.add("late", (before - differences.len()) as u64);
        }
        self.conclude(Some(name), &rounds, differences);
    }

    pub fn compare(&self, rounds: &[Round]) -> Vec<Difference> {
        let registrations = &self.registrations;
        let find = |data: u64| registrations.iter().rev().find(|registration| registration.data == data);
        let differences = compare::compare(rounds, |data| find(data).map_or(Lasting::Level, |one| self.lasting(one)));
        let counts = |difference: &Difference| {
            find(difference.data).is_none_or(|one| {
                // Bytes written to a terminal arrive when a worker of the kernel has the time,
                // perhaps between the two waits of the previous step: then the other side has
                // already reported them. The same holds for acknowledgements, whose arrival the
                // judge can see.
                let [by_kernel, by_us] = one.reported_last;
                let early = match difference.what {
                    What::Lost => by_us,
                    What::Extra => by_kernel,
                    _ => false,
                };
                let is_terminal = self.is_terminal(one.file);
                let early = early && (one.crossed || is_terminal);
                // An arrival between the two waits of a round may be reported with the earlier
                // ones, or in the next round.
                let apart =
                    difference.what == What::Extra && difference.kernel != 0 && self.crossing.contains(&one.data);
                let bits = matches!(difference.what, What::FewerBits | What::MoreBits | What::OtherBits);
                // The room of a terminal may also have come and gone between the two waits of a
                // round.
                let fleeting = self.in_passing || self.files[one.file].kind == Kind::Pty;
                let gone = fleeting && !self.is_high(one, difference.kernel | difference.ours);
                // A terminal's delivery in pieces may make one report more on one side.
                let pieces = is_terminal
                    && matches!(difference.what, What::Lost | What::Extra)
                    && difference.kernel == difference.ours;
                // A one-shot reports the bits that are high at its turn, which may differ between
                // the sides.
                let moved = self.crossing.contains(&one.data) || self.moved_between.contains(&one.data);
                let turns = moved && one.events & libc::EPOLLONESHOT as u32 != 0;
                let passed = gone || pieces || bits && (self.in_passing || turns);
                let late = difference.what == What::Extra && one.owed > 0;
                let excused = self.is_excused(one, difference.what) || !bits && self.has_contest_inside(one.file);
                // A registration inside that differs may be ready on one side only.
                let tainted = one.tainted || self.has_inside(one.file, &|one| one.is_apart());
                !tainted && !excused && !early && !apart && !late && !passed
            })
        };
        differences.into_iter().filter(counts).collect()
    }

    /// How long reports of a registration continue.
    fn lasting(&self, one: &Registration) -> Lasting {
        match self.files[one.file].kind {
            _ if !one.is_level() => Lasting::Edge,
            Kind::Mounts if one.events & (libc::EPOLLIN | libc::EPOLLRDNORM) as u32 != 0 => Lasting::InPart,
            kind if kind.is_fleeting() => Lasting::Edge,
            _ => Lasting::Level,
        }
    }

    /// Whether any of these levels lasts.
    pub fn is_high(&self, one: &Registration, levels: u32) -> bool {
        // A look would take the level.
        self.files[one.file].kind.is_fleeting()
            || self.number_of(one.file).is_none_or(|fd| kernel::level(fd, levels as i16) & levels as i16 != 0)
    }

    /// Whether the file is a terminal, or an instance with one in it.
    fn is_terminal(&self, file: usize) -> bool {
        let inside = self.pairs.iter().position(|pair| pair.is_some_and(|pair| pair.file == file));
        self.files[file].kind == Kind::Pty
            || self.registrations.iter().any(|one| one.alive && Some(one.pair) == inside && self.is_terminal(one.file))
    }

    /// Whether a registration may be silent, or report, because another exclusive one of its
    /// description reported, or did not (X1): sweeps judge them all together. If it is the only one
    /// again, it must at least report its level.
    fn is_excused(&self, one: &Registration, what: What) -> bool {
        one.contested && (self.exclusive_on(one.file) > 1 || what != What::Lost || !one.is_level())
    }

    /// Whether the file is an instance whose readiness may depend on which of several exclusive
    /// registrations reported.
    pub(super) fn has_contest_inside(&self, file: usize) -> bool {
        self.has_inside(file, &|one| one.contested)
    }
}

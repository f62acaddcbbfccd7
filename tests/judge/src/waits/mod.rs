//! Waits on either side, and the judgement of their reports.

mod cases;
mod conclusion;
mod events;
mod exclusive;
mod invalid;
mod judgement;
mod polls;

use std::time::Duration;

use libc::{c_int, timespec};

use self::events::Events;
pub use self::events::bits;
use self::judgement::PATIENCE_US;
use crate::calls;
use crate::compare::{Report, Round};
use crate::connections::Movement;
use crate::kernel::{self, Answer};
use crate::kinds::Kind;
use crate::world::{Alone, Pair, Side, World};

/// Room for all registrations that a history can make in one instance.
const EVERYTHING: usize = 512;

/// One wait's arguments.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    pub max: usize,
    pub ns: i64,
    pub call: i64,
    pub ours_first: bool,
}

impl Wait {
    pub const LOOK: Wait = Wait { max: EVERYTHING, ns: 0, call: 0, ours_first: false };
}

fn wait_on_kernel(fd: c_int, events: &mut Events, wait: Wait) -> Answer {
    let (at, max) = (events.0.as_mut_ptr(), wait.max.min(EVERYTHING) as c_int);
    // SAFETY: room for `max` events.
    unsafe {
        match wait.call {
            2 => kernel::epoll_pwait2(fd, at, max, Some(&time(wait.ns))),
            _ => kernel::epoll_wait(fd, at, max, milliseconds(wait.ns)),
        }
    }
}

fn wait_on_ours(fd: c_int, events: &mut Events, wait: Wait) -> Answer {
    let (at, max) = (events.0.as_mut_ptr(), wait.max.min(EVERYTHING) as c_int);
    // SAFETY: room for `max` events.
    unsafe {
        match wait.call {
            2 => calls::epoll_pwait2(fd, at, max, &time(wait.ns)),
            1 => calls::epoll_pwait(fd, at, max, milliseconds(wait.ns)),
            _ => calls::epoll_wait(fd, at, max, milliseconds(wait.ns)),
        }
    }
}

fn time(ns: i64) -> timespec {
    timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 }
}

fn milliseconds(ns: i64) -> c_int {
    (ns / 1_000_000) as c_int
}

impl World<'_> {
    /// Makes one wait on either side.
    pub fn wait_once(&mut self, pair: Pair, wait: Wait) -> (Answer, Answer, Round) {
        let (mut theirs, mut ours) = (Events::new(), Events::new());
        self.look_for_room(true);
        let before = self.connections();
        let (kernel, our) = if wait.ours_first {
            let our = wait_on_ours(pair.ours, &mut ours, wait);
            (wait_on_kernel(pair.kernel, &mut theirs, wait), our)
        } else {
            let kernel = wait_on_kernel(pair.kernel, &mut theirs, wait);
            (kernel, wait_on_ours(pair.ours, &mut ours, wait))
        };
        let is_interrupted = kernel == Err(libc::EINTR) && our != kernel;
        let kernel = if is_interrupted { self.wait_again_on_kernel(pair, &mut theirs, wait) } else { kernel };
        let after = self.connections();
        let moved = |one: &(u64, Movement)| (!before.contains(one)).then_some(one.0);
        self.crossing.extend(after.iter().filter_map(moved));
        // Or between this round and the previous one.
        let last = std::mem::replace(&mut self.last_round, after);
        let moved = |(data, now): &(u64, Movement)| {
            last.iter().any(|(of, before)| of == data && before != now).then_some(*data)
        };
        self.moved_between.extend(before.iter().filter_map(moved));
        let mut round = Round { kernel: theirs.reports(kernel), ours: ours.reports(our) };
        if self.log.is_some() {
            let text = format!(
                "    {} for {} events, {} ns: kernel {}; ours {}",
                ["epoll_wait", "epoll_pwait", "epoll_pwait2"].get(wait.call as usize).unwrap_or(&"wait"),
                wait.max,
                wait.ns,
                self.describe(kernel, &round.kernel),
                self.describe(our, &round.ours)
            );
            self.say(|| text);
        }
        self.forget_fleeting_room(&mut round, wait);
        (kernel, our, round)
    }

    /// Repeats a wait on the kernel's side, which nothing but the end of a ring of the library's side
    /// can have interrupted: the kernel notifies the ring's thread of it.
    fn wait_again_on_kernel(&mut self, pair: Pair, events: &mut Events, wait: Wait) -> Answer {
        const MOST: usize = 10;
        self.counts.add("interrupted", 1);
        let mut answers = (0..MOST).map(|_| wait_on_kernel(pair.kernel, events, wait));
        answers.find(|answer| *answer != Err(libc::EINTR)).unwrap_or(Err(libc::EINTR))
    }

    /// Waits on the one side of this process until it reports nothing more; before `brisk_until`
    /// only once.
    fn wait_alone(&mut self, pair: Pair, wait: Wait) {
        let mut all: Vec<(Report, u32)> = Vec::new();
        let brisk = self.step < self.brisk_until;
        for (look, us) in [0, 0, 100, 1000, 5000].into_iter().enumerate() {
            if us > 0 {
                std::thread::sleep(Duration::from_micros(us));
            }
            let wait = if look == 0 { wait } else { Wait::LOOK };
            let mut events = Events::new();
            let answer = if self.side == Side::Kernel {
                wait_on_kernel(pair.kernel, &mut events, wait)
            } else {
                wait_on_ours(pair.ours, &mut events, wait)
            };
            let reports = events.reports(answer);
            let cut_short = reports.len() == wait.max;
            for (data, bits) in reports {
                match all.iter_mut().find(|(report, _)| report.0 == data) {
                    Some((report, times)) => (report.1, *times) = (report.1 | bits, *times + 1),
                    None => all.push(((data, bits), 1)),
                }
            }
            if brisk && (look > 0 || !cut_short) {
                break;
            }
        }
        all.sort_unstable();
        let step = self.step;
        for (report, times) in all {
            let text = format!("{} {times} times", self.describe(Ok(0), &[report]));
            self.say(|| format!("    wait: {text}"));
            self.alone.push(Alone { step, data: report.0, text });
        }
    }

    /// Waits on either side, and judges the reports.
    pub fn judge_wait(&mut self, name: usize, wait: Wait) {
        let Some(pair) = self.pair(name) else { return };
        if self.side != Side::Both {
            return self.wait_alone(pair, wait);
        }
        self.counts.add("waits", 1);
        let (kernel, our, round) = self.wait_once(pair, wait);
        if kernel.is_err() || our.is_err() {
            if kernel != our {
                self.differing_answer("wait", Kind::Epoll, kernel, our);
            }
            return;
        }
        let cut_short = round.kernel.len() == wait.max || round.ours.len() == wait.max;
        let mut rounds = vec![round];
        if cut_short {
            let (_, _, rest) = self.wait_once(pair, Wait { ours_first: wait.ours_first, ..Wait::LOOK });
            rounds.push(rest);
        }
        self.judge(name, pair, rounds);
    }

    /// Waits for one event at a time, as often as there are events: each must have had its turn
    /// (W3). A late event may spoil a round, so only a difference in several rounds counts.
    pub fn rotate(&mut self, name: usize) {
        let Some(pair) = self.pair(name) else { return };
        self.judge_wait(name, Wait::LOOK);
        if self.side != Side::Both {
            return;
        }
        for us in PATIENCE_US {
            let (_, _, all) = self.wait_once(pair, Wait::LOOK);
            let mut turns = Round::default();
            // Exclusive registrations come and go with the claims of others, and take a turn each
            // time.
            let contested =
                self.registrations.iter().filter(|one| one.alive && one.pair == name && one.contested).count();
            for _ in 0..all.kernel.len().max(all.ours.len()) + contested {
                let (_, _, one) = self.wait_once(pair, Wait { max: 1, ..Wait::LOOK });
                turns.kernel.extend(one.kernel);
                // A second turn counts as the first one; the test is that no registration is passed
                // over.
                let is_fresh = |one: &Report| turns.ours.iter().all(|turn| turn.0 != one.0);
                let fresh = one.ours.into_iter().filter(is_fresh).collect::<Vec<_>>();
                turns.ours.extend(fresh);
            }
            let rounds = [all, turns];
            let differences = self.compare(&rounds);
            if differences.is_empty() || us == PATIENCE_US[PATIENCE_US.len() - 1] {
                self.conclude(Some(name), &rounds, differences);
                return;
            }
            std::thread::sleep(Duration::from_micros(us));
        }
    }
}

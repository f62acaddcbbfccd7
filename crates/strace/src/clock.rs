//! The clock of a trace: one time that never goes back, from whatever times the lines have.

use crate::line::Time;

/// The least time of a line of a trace whose times are missing or too coarse: each costs strace two
/// stops of the program. So durations are not overstated.
const LEAST_NS: u64 = 5_000;

const DAY_NS: u64 = 86_400_000_000_000;

/// The clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    now_ns: u64,
    days: u64,
    last_of_day: u64,
}

impl Clock {
    /// The time of the next line.
    pub fn next(&mut self, time: Time) -> u64 {
        let ns = match time {
            Time::Epoch(ns) => ns,
            Time::Day(ns) => {
                if ns.saturating_add(DAY_NS / 2) < self.last_of_day {
                    self.days += 1;
                }
                self.last_of_day = ns;
                ns.saturating_add(self.days.saturating_mul(DAY_NS))
            }
            Time::Relative(ns) => self.now_ns.saturating_add(ns),
            Time::None | Time::Seconds => self.now_ns.saturating_add(LEAST_NS),
        };
        self.reach(ns);
        self.now_ns
    }

    /// It is at least that late.
    pub fn reach(&mut self, ns: u64) {
        self.now_ns = self.now_ns.max(ns);
    }

    /// The time.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_past_midnight_and_never_back() {
        let mut clock = Clock::default();
        assert_eq!(clock.next(Time::Day(DAY_NS - 1)), DAY_NS - 1);
        assert_eq!(clock.next(Time::Day(5)), DAY_NS + 5);
        assert_eq!(clock.next(Time::Day(4)), DAY_NS + 5);
        assert_eq!(clock.next(Time::Relative(2)), DAY_NS + 7);
        assert_eq!(clock.next(Time::Seconds), DAY_NS + 7 + LEAST_NS);
    }
}

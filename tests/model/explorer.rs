//! The decisions of runs: which to make, and which were made.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The variable that repeats a random run: its seed.
pub const SEED: &str = "EPOLYFILL_MODEL_SEED";
/// The variable that repeats a systematic run: its decisions, as [`Explorer::replay`] takes them.
pub const DECISIONS: &str = "EPOLYFILL_MODEL_DECISIONS";

/// The number of times that a systematic run had another decision to make than the run that it
/// repeats up to there. It depended on something else than the decisions.
pub static DIVERGED: AtomicU64 = AtomicU64::new(0);

/// The way in which decisions are made.
#[derive(Debug)]
pub enum Explorer {
    Systematic {
        made: Vec<(usize, usize)>,
        at: usize,
        preemptions: usize,
        left: usize,
    },
    Random {
        seed: u64,
        state: u64,
        one_in: u64,
    },
    /// One run, given by the decisions that change something: the place of each among all
    /// decisions, and the alternative.
    Replay {
        decisions: Vec<(usize, usize)>,
        at: usize,
    },
}

impl Explorer {
    pub fn systematic(preemptions: usize) -> Explorer {
        Explorer::Systematic { made: Vec::new(), at: 0, preemptions, left: preemptions }
    }

    pub fn random(seed: u64) -> Explorer {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Explorer::Random { seed, state, one_in: [2, 5, 12, 30][(seed % 4) as usize] }
    }

    /// The run with these decisions: `place:alternative`, separated by commas.
    pub fn replay(text: &str) -> Option<Explorer> {
        let decision = |part: &str| {
            let (place, chosen) = part.split_once(':')?;
            Some((place.parse().ok()?, chosen.parse().ok()?))
        };
        let decisions = text.split(',').filter(|part| !part.is_empty()).map(decision).collect::<Option<_>>()?;
        Some(Explorer::Replay { decisions, at: 0 })
    }

    /// The setting of a variable that repeats the run.
    pub fn again(&self) -> String {
        let list = |decisions: &mut dyn Iterator<Item = (usize, usize)>| {
            let parts: Vec<String> = decisions.map(|(place, chosen)| format!("{place}:{chosen}")).collect();
            format!("{DECISIONS}={}", parts.join(","))
        };
        match self {
            Explorer::Random { seed, .. } => format!("{SEED}={seed}"),
            Explorer::Systematic { made, at, .. } => {
                let all = made[..*at].iter().map(|(chosen, _)| *chosen).enumerate();
                list(&mut all.filter(|(_, chosen)| *chosen != 0))
            }
            Explorer::Replay { decisions, .. } => list(&mut decisions.iter().copied()),
        }
    }

    /// Chooses one of `n` alternatives. The first one changes nothing; the others are preemptions
    /// if it `costs`.
    pub fn choose(&mut self, n: usize, costs: bool) -> usize {
        if n < 2 {
            return 0;
        }
        match self {
            Explorer::Systematic { made, at, left, .. } => {
                let open = if costs && *left == 0 { 1 } else { n };
                if *at == made.len() {
                    made.push((0, open));
                } else if made[*at].1 != open {
                    DIVERGED.fetch_add(1, Relaxed);
                }
                let chosen = made[*at].0.min(n - 1);
                *at += 1;
                *left -= usize::from(costs && chosen != 0 && *left > 0);
                chosen
            }
            Explorer::Replay { decisions, at } => {
                let chosen = decisions.iter().find(|(place, _)| place == at).map_or(0, |(_, chosen)| *chosen);
                *at += 1;
                chosen.min(n - 1)
            }
            Explorer::Random { state, one_in, .. } => {
                let mut next = |below: u64| {
                    *state ^= *state << 13;
                    *state ^= *state >> 7;
                    *state ^= *state << 17;
                    state.wrapping_mul(0x2545_f491_4f6c_dd1d) % below
                };
                if costs {
                    if next(*one_in) == 0 { 1 + next(n as u64 - 1) as usize } else { 0 }
                } else {
                    next(n as u64) as usize
                }
            }
        }
    }

    /// Whether a store becomes visible late. In random runs the probability is one half, because it
    /// matters only with a preemption right after the store.
    pub fn delays(&mut self) -> bool {
        match self {
            Explorer::Systematic { .. } | Explorer::Replay { .. } => self.choose(2, true) == 1,
            Explorer::Random { .. } => self.choose(2, false) == 1,
        }
    }

    /// The explorer of the next run, if there is one.
    pub fn advance(self) -> Option<Explorer> {
        match self {
            Explorer::Systematic { mut made, preemptions, at, .. } => {
                made.truncate(at);
                while made.last().is_some_and(|(chosen, n)| chosen + 1 >= *n) {
                    made.pop();
                }
                made.last_mut()?.0 += 1;
                Some(Explorer::Systematic { made, at: 0, preemptions, left: preemptions })
            }
            Explorer::Random { seed, .. } => Some(Explorer::random(seed + 1)),
            Explorer::Replay { .. } => None,
        }
    }
}

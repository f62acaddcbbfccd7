//! Plans: the decisions of a seed, or those of a log.

use core::fmt::{self, Display, Formatter};

use alloc::vec::Vec;

use crate::kinds::{ALL, Tier, by_name, row};
use crate::log::{self, LogError};
use crate::{Decision, Kind, Place};

/// What a run perturbs.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Decisions by the hash of a seed.
    Drawn {
        /// The seed.
        seed: u64,
        /// The probability of each kind, by its number.
        rates: [f64; ALL.len()],
    },
    /// These decisions and no others, sorted.
    Taken(Vec<Decision>),
}

/// The error in a `SEED[,KIND[=RATE]…]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint<'a> {
    /// The seed is not a number.
    Seed(&'a str),
    /// There is no kind of that name.
    Kind(&'a str),
    /// The kind's rate is no probability.
    Rate(Kind, &'a str),
    /// The kind's rate is higher than it may be.
    High(Kind, &'a str),
}

impl Display for Complaint<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Complaint::Seed(text) => write!(out, "'{text}' is not a seed, which is a number up to {}", u64::MAX),
            Complaint::Kind(text) => {
                write!(out, "'{text}' is not a kind of chaos; use all, or one of ")?;
                for (at, row) in ALL.iter().enumerate() {
                    write!(out, "{}{}", if at > 0 { ", " } else { "" }, row.name)?;
                }
                Ok(())
            }
            Complaint::Rate(kind, text) => {
                write!(
                    out,
                    "'{text}' is not a rate of {}, which is above 0 and at most {}",
                    row(kind).name,
                    row(kind).most
                )
            }
            Complaint::High(kind, text) => {
                write!(out, "the rate {text} of {} is too high; at most {}", row(kind).name, row(kind).most)
            }
        }
    }
}

impl Plan {
    /// The plan of `SEED[,KIND[=RATE]…]`. Without kinds the seed draws some of the strict ones, since
    /// one kind can hide what another shows; `all` is all of the strict ones.
    pub fn parse(text: &str) -> Result<Plan, Complaint<'_>> {
        let mut words = text.split(',');
        let first = words.next().unwrap_or_default();
        // A sign or a space is no number either.
        let is_number = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
        let seed = first.parse().ok().filter(|_| is_number).ok_or(Complaint::Seed(first))?;
        let mut rates = [0.0; ALL.len()];
        let mut has_kinds = false;
        for word in words {
            has_kinds = true;
            let (name, rate) = word.split_once('=').map_or((word, None), |(name, rate)| (name, Some(rate)));
            if name == "all" && rate.is_none() {
                strict(&mut rates, |_| true);
                continue;
            }
            let kind = by_name(name).ok_or(Complaint::Kind(name))?;
            rates[kind as usize] = rate.map_or(Ok(row(kind).rate), |text| parse_rate(kind, text))?;
        }
        if !has_kinds {
            strict(&mut rates, |kind| hash(&[seed, SUBSET, kind as u64]) & 1 == 1);
            if rates.iter().all(|rate| *rate == 0.0) {
                rates[Kind::Few as usize] = row(Kind::Few).rate;
            }
        }
        Ok(Plan::Drawn { seed, rates })
    }

    /// The plan of a log.
    pub fn of_log(text: &[u8]) -> Result<Plan, LogError> {
        log::parse(text).map(Plan::Taken)
    }

    /// Whether the plan can decide for a kind at all.
    pub fn has(&self, kind: Kind) -> bool {
        match self {
            Plan::Drawn { rates, .. } => rates[kind as usize] > 0.0,
            Plan::Taken(decisions) => decisions.iter().any(|decision| decision.kind == kind),
        }
    }

    /// Whether the kind happens at a place, and how much: from 1 to `most`.
    pub fn decide(&self, kind: Kind, place: Place, most: u64) -> Option<u64> {
        match self {
            Plan::Drawn { seed, rates } => {
                let rate = rates[kind as usize];
                if rate == 0.0 {
                    return None;
                }
                let Place { process, thread, wait, registration } = place;
                let ordinals = (u64::from(process) << 32) | u64::from(thread);
                let drawn = hash(&[*seed, kind as u64, ordinals, wait, registration]);
                // The 53 bits of a fraction.
                let happens = (drawn >> 11) as f64 / (1u64 << 53) as f64;
                (happens < rate).then(|| 1 + hash(&[drawn]) % most.max(1))
            }
            Plan::Taken(decisions) => {
                let at = decisions.partition_point(|decision| (decision.kind, decision.place) < (kind, place));
                let found = decisions.get(at).filter(|decision| (decision.kind, decision.place) == (kind, place));
                found.map(|decision| decision.amount.clamp(1, most.max(1)))
            }
        }
    }
}

/// Gives strict kinds their usual rates.
fn strict(rates: &mut [f64; ALL.len()], is_wanted: impl Fn(Kind) -> bool) {
    for row in ALL.iter().filter(|row| row.tier == Tier::Strict && is_wanted(row.kind)) {
        rates[row.kind as usize] = row.rate;
    }
}

/// A rate: a decimal fraction.
fn parse_rate(kind: Kind, text: &str) -> Result<f64, Complaint<'_>> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let rate = text.parse::<f64>().ok().filter(|rate| is_plain && *rate > 0.0 && *rate <= 1.0);
    match rate.ok_or(Complaint::Rate(kind, text))? {
        rate if rate > row(kind).most => Err(Complaint::High(kind, text)),
        rate => Ok(rate),
    }
}

/// Separates the draw of the kinds from those of the decisions.
const SUBSET: u64 = 1 << 32;

/// A hash of words: the finalizer of splitmix64 after each.
pub fn hash(words: &[u64]) -> u64 {
    words.iter().fold(0, |state, word| {
        let mut z = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn kinds(text: &str) -> Vec<Kind> {
        let plan = Plan::parse(text).unwrap();
        ALL.iter().map(|row| row.kind).filter(|kind| plan.has(*kind)).collect()
    }

    #[test]
    fn a_seed_alone_draws_some_of_the_strict_kinds() {
        let all: Vec<Vec<Kind>> = (0..64).map(|seed: u64| kinds(&seed.to_string())).collect();
        assert!(all.iter().all(|kinds| !kinds.is_empty()));
        assert!(all.iter().flatten().all(|kind| row(*kind).tier == Tier::Strict));
        for row in ALL.iter().filter(|row| row.tier == Tier::Strict) {
            let with = all.iter().filter(|kinds| kinds.contains(&row.kind)).count();
            assert!((16..48).contains(&with), "{} in {with} of 64", row.name);
        }
    }

    #[test]
    fn kinds_are_those_that_are_named() {
        assert_eq!(kinds("1,few,eintr=0.01"), [Kind::Few, Kind::Eintr]);
        assert_eq!(kinds("1,short"), [Kind::Short]);
        assert_eq!(kinds("1,all").len(), 10);
        assert_eq!(kinds("1,all,fault=0.1").len(), 11);
    }

    #[test]
    fn bad_texts_are_refused() {
        let complaint = |text| Plan::parse(text).unwrap_err();
        for seed in ["", "x", "-1", "+1", " 1", "18446744073709551616", "1.5"] {
            assert_eq!(complaint(seed), Complaint::Seed(seed));
        }
        assert_eq!(complaint("1,bogus=0.5"), Complaint::Kind("bogus"));
        assert_eq!(complaint("1,"), Complaint::Kind(""));
        assert_eq!(complaint("1,all=0.5"), Complaint::Kind("all"));
        for rate in ["", "0", "1.1", "-0.5", "nan", "inf", "x", "1e-3", "."] {
            let text = std::format!("1,few={rate}");
            assert_eq!(Plan::parse(&text).unwrap_err(), Complaint::Rate(Kind::Few, rate));
        }
        assert_eq!(complaint("1,eintr=0.06"), Complaint::High(Kind::Eintr, "0.06"));
        assert!(complaint("1,bogus").to_string().ends_with(
            "one of few, many, shuffle, eintr, late, delay, again, \
            close-parts, other, vain, short, small, fault"
        ));
    }

    #[test]
    fn a_rate_is_how_often_it_happens_and_each_place_decides_for_itself() {
        let plan = Plan::parse("7,few=0.25,late").unwrap();
        let place = |wait| Place { process: 0, thread: 1, wait, registration: 3 };
        let taken: Vec<u64> = (0..10_000).filter_map(|wait| plan.decide(Kind::Few, place(wait), 10)).collect();
        assert!((2_200..2_800).contains(&taken.len()), "{}", taken.len());
        assert!((1..=10).all(|amount| taken.contains(&amount)) && taken.iter().all(|amount| (1..=10).contains(amount)));
        assert_eq!(plan.decide(Kind::Many, place(1), 10), None);
        let differs = |other: &Plan| {
            (0..100).any(|w| plan.decide(Kind::Few, place(w), 10) != other.decide(Kind::Few, place(w), 10))
        };
        assert!(differs(&Plan::parse("8,few=0.25,late").unwrap()));
        assert!(!differs(&Plan::parse("7,few=0.25").unwrap()));
        let elsewhere = |wait| Place { thread: 2, ..place(wait) };
        assert!((0..100).any(|w| plan.decide(Kind::Few, place(w), 10) != plan.decide(Kind::Few, elsewhere(w), 10)));
    }

    #[test]
    fn a_log_decides_what_it_has_and_nothing_else() {
        let plan = Plan::of_log(b"eintr 0 1 412 0 900\nfew 0 1 2 3 1\nend\n").unwrap();
        let place = Place { process: 0, thread: 1, wait: 412, registration: 0 };
        assert_eq!(plan.decide(Kind::Eintr, place, 2_000), Some(900));
        assert_eq!(plan.decide(Kind::Eintr, place, 500), Some(500));
        assert_eq!(plan.decide(Kind::Late, place, 2_000), None);
        assert_eq!(plan.decide(Kind::Eintr, Place { wait: 411, ..place }, 2_000), None);
        assert!(plan.has(Kind::Few) && !plan.has(Kind::Many));
    }
}

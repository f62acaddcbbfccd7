//! The reports of both sides, and their differences. Pure functions, without a descriptor.
//!
//! One judgement considers several rounds, each of which is a wait on either side. The first is the
//! wait of the history. The others follow only if the first was cut short by its `maxevents`, or if
//! the sides differ, since an event that a softirq makes may fall between the two waits of a round.

/// A registration's data and the bits reported.
pub type Report = (u64, u32);

/// The reports of both sides in one round, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    pub kernel: Vec<Report>,
    pub ours: Vec<Report>,
}

/// The difference between the two sides about one registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// The kernel reported, the library did not.
    Lost,
    /// The library reported, the kernel did not.
    Extra,
    /// The library reported twice in one wait (W6).
    Twice,
    /// The library reported only some of the bits.
    FewerBits,
    /// The library reported more bits.
    MoreBits,
    /// Each side reported bits that the other did not.
    OtherBits,
    /// Another result or errno.
    Answer,
}

impl What {
    pub const ALL: [What; 7] =
        [What::Lost, What::Extra, What::Twice, What::FewerBits, What::MoreBits, What::OtherBits, What::Answer];

    pub const fn word(self) -> &'static str {
        match self {
            What::Lost => "lost",
            What::Extra => "extra",
            What::Twice => "twice",
            What::FewerBits => "fewer-bits",
            What::MoreBits => "more-bits",
            What::OtherBits => "other-bits",
            What::Answer => "answer",
        }
    }
}

/// A difference about the registration with this data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    pub what: What,
    pub data: u64,
    /// All bits that each side reported in all rounds.
    pub kernel: u32,
    pub ours: u32,
}

/// How long a registration is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// While its level is high.
    Level,
    /// Once per edge, or once if the report itself takes the level.
    Edge,
    /// While its level is high, but some bits in one report only.
    InPart,
}

/// The bits that are in one report only, where the others last.
const PASSING: u32 = (libc::EPOLLERR | libc::EPOLLPRI) as u32;

fn bits_in(reports: &[Report], data: u64) -> Option<u32> {
    let mut found = reports.iter().filter(|report| report.0 == data).map(|report| report.1).peekable();
    found.peek()?;
    Some(found.fold(0, |all, bits| all | bits))
}

/// Compares the rounds. The last wait must have had room for all events.
pub fn compare(rounds: &[Round], lasting: impl Fn(u64) -> Lasting) -> Vec<Difference> {
    let mut seen: Vec<u64> = Vec::new();
    for round in rounds {
        for &(data, _) in round.kernel.iter().chain(&round.ours) {
            if !seen.contains(&data) {
                seen.push(data);
            }
        }
    }
    seen.into_iter().filter_map(|data| compare_one(rounds, data, lasting(data))).collect()
}

fn compare_one(rounds: &[Round], data: u64, lasting: Lasting) -> Option<Difference> {
    let kernel: Vec<Option<u32>> = rounds.iter().map(|round| bits_in(&round.kernel, data)).collect();
    let ours: Vec<Option<u32>> = rounds.iter().map(|round| bits_in(&round.ours, data)).collect();
    let union = |side: &[Option<u32>]| side.iter().flatten().fold(0, |all, bits| all | bits);
    let (kernel_bits, ours_bits) = (union(&kernel), union(&ours));
    let difference = |what| Some(Difference { what, data, kernel: kernel_bits, ours: ours_bits });

    let twice = |round: &Round| round.ours.iter().filter(|report| report.0 == data).count() > 1;
    if rounds.iter().any(twice) {
        return difference(What::Twice);
    }
    let count = |side: &[Option<u32>]| side.iter().flatten().count();
    if lasting != Lasting::Edge {
        // The last round shows the present level; a report in an earlier round only may have been
        // right then.
        let last = (kernel.last().copied().flatten(), ours.last().copied().flatten());
        match last {
            (Some(_), None) => return difference(What::Lost),
            (None, Some(_)) => return difference(What::Extra),
            (None, None) if count(&kernel) == 0 => return difference(What::Extra),
            (None, None) => return None,
            (Some(k), Some(o)) if lasting == Lasting::Level => return differing_bits(k, o).and_then(difference),
            (Some(_), Some(_)) => {}
        }
    }
    if lasting == Lasting::InPart {
        let passing = |side: &[Option<u32>]| side.iter().flatten().filter(|&bits| bits & PASSING != 0).count();
        return match passing(&ours) > passing(&kernel) {
            true => difference(What::Extra),
            false => differing_bits(kernel_bits, ours_bits).and_then(difference),
        };
    }
    // The library may have reported in the previous round what the kernel reports in this one: it
    // came between the two waits of that round.
    let unanswered =
        |round: usize| kernel[round].is_some() && ours[round.saturating_sub(1)..].iter().all(Option::is_none);
    if (0..rounds.len()).any(unanswered) {
        return difference(What::Lost);
    }
    if count(&ours) > count(&kernel) {
        return difference(What::Extra);
    }
    differing_bits(kernel_bits, ours_bits).and_then(difference)
}

fn differing_bits(kernel: u32, ours: u32) -> Option<What> {
    match (kernel & !ours != 0, ours & !kernel != 0) {
        (false, false) => None,
        (true, false) => Some(What::FewerBits),
        (false, true) => Some(What::MoreBits),
        (true, true) => Some(What::OtherBits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN: u32 = 1;
    const OUT: u32 = 4;

    fn round(kernel: &[Report], ours: &[Report]) -> Round {
        Round { kernel: kernel.to_vec(), ours: ours.to_vec() }
    }

    fn edges(rounds: &[Round]) -> Vec<What> {
        compare(rounds, |_| Lasting::Edge).into_iter().map(|difference| difference.what).collect()
    }

    fn levels(rounds: &[Round]) -> Vec<What> {
        compare(rounds, |_| Lasting::Level).into_iter().map(|difference| difference.what).collect()
    }

    #[test]
    fn the_same_reports_in_another_order_are_no_difference() {
        let rounds = [round(&[(1, IN), (2, OUT)], &[(2, OUT), (1, IN)])];
        assert_eq!(edges(&rounds), []);
        assert_eq!(levels(&rounds), []);
    }

    #[test]
    fn lost_and_extra_are_told_apart() {
        assert_eq!(edges(&[round(&[(1, IN)], &[])]), [What::Lost]);
        assert_eq!(levels(&[round(&[(1, IN)], &[])]), [What::Lost]);
        assert_eq!(edges(&[round(&[], &[(1, IN)])]), [What::Extra]);
        assert_eq!(levels(&[round(&[], &[(1, IN)])]), [What::Extra]);
        assert_eq!(edges(&[round(&[(1, IN)], &[(2, IN)])]), [What::Lost, What::Extra]);
    }

    #[test]
    fn a_bit_that_a_report_takes_away_is_not_forgotten() {
        const ERR: u32 = 8;
        let parts = |rounds: &[Round]| -> Vec<What> {
            compare(rounds, |_| Lasting::InPart).into_iter().map(|difference| difference.what).collect()
        };
        let plain = round(&[(1, IN)], &[(1, IN)]);
        assert_eq!(parts(&[round(&[(1, IN | ERR)], &[(1, IN)]), plain.clone()]), [What::FewerBits]);
        assert_eq!(parts(&[round(&[(1, IN | ERR)], &[(1, IN)]), round(&[(1, IN)], &[(1, IN | ERR)])]), []);
        let twice = [round(&[(1, IN | ERR)], &[(1, IN | ERR)]), round(&[(1, IN)], &[(1, IN | ERR)])];
        assert_eq!(parts(&twice), [What::Extra]);
        assert_eq!(parts(&[plain, round(&[(1, IN)], &[])]), [What::Lost]);
    }

    #[test]
    fn bits_are_compared() {
        assert_eq!(edges(&[round(&[(1, IN | OUT)], &[(1, IN)])]), [What::FewerBits]);
        assert_eq!(levels(&[round(&[(1, IN)], &[(1, IN | OUT)])]), [What::MoreBits]);
        assert_eq!(edges(&[round(&[(1, IN)], &[(1, OUT)])]), [What::OtherBits]);
    }

    #[test]
    fn a_wait_that_was_cut_short_is_judged_with_the_next() {
        let rounds = [round(&[(1, IN)], &[(2, IN)]), round(&[(2, IN)], &[(1, IN)])];
        assert_eq!(edges(&rounds), []);
        let again = [round(&[(1, IN)], &[(1, IN)]), round(&[(2, IN)], &[(1, IN), (2, IN)])];
        assert_eq!(edges(&again), [What::Extra]);
        let levels_again = [round(&[(1, IN)], &[(2, IN)]), round(&[(1, IN), (2, IN)], &[(2, IN), (1, IN)])];
        assert_eq!(levels(&levels_again), []);
    }

    #[test]
    fn what_came_between_two_waits_is_no_difference() {
        assert_eq!(edges(&[round(&[], &[(1, IN)]), round(&[(1, IN)], &[])]), []);
        assert_eq!(edges(&[round(&[(1, IN)], &[]), round(&[], &[(1, IN)])]), []);
        // Two arrivals, the second between the library's waits: one of its reports matches both of
        // the kernel's.
        assert_eq!(edges(&[round(&[(1, IN)], &[(1, IN)]), round(&[(1, IN)], &[])]), []);
    }

    #[test]
    fn a_second_report_is_not_answered_by_one_long_before() {
        let rounds = [round(&[(1, IN)], &[(1, IN)]), round(&[], &[]), round(&[(1, IN)], &[])];
        assert_eq!(edges(&rounds), [What::Lost]);
    }

    #[test]
    fn one_wait_must_not_report_twice() {
        assert_eq!(edges(&[round(&[(1, IN)], &[(1, IN), (1, IN)])]), [What::Twice]);
    }

    #[test]
    fn a_level_is_judged_by_the_last_round() {
        assert_eq!(levels(&[round(&[(1, IN)], &[]), round(&[(1, IN)], &[(1, IN)])]), []);
        assert_eq!(levels(&[round(&[(1, IN)], &[(1, IN)]), round(&[(1, IN)], &[])]), [What::Lost]);
        assert_eq!(levels(&[round(&[], &[(1, IN)]), round(&[], &[])]), [What::Extra]);
    }
}

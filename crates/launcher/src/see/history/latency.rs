//! A histogram of durations on a logarithmic scale: 16 steps for each power of two, so a quantile
//! is at most 6 % too high.

/// The steps for each power of two.
const STEPS: u64 = 16;
/// Indices of all durations of 64 bits.
const SIZE: usize = 64 * STEPS as usize;

/// Durations in nanoseconds.
#[derive(Clone, Debug)]
pub struct Latency {
    counts: Vec<u32>,
    pub count: u64,
    pub max_ns: u64,
    pub sum_ns: u64,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency { counts: vec![0; SIZE], count: 0, max_ns: 0, sum_ns: 0 }
    }
}

fn index(ns: u64) -> usize {
    if ns < STEPS {
        return ns as usize;
    }
    let power = u64::from(ns.ilog2());
    ((power - 3) * STEPS + (ns >> (power - 4)) - STEPS) as usize
}

/// The first duration that is beyond the step.
fn end_of(index: usize) -> u64 {
    let index = index as u64 + 1;
    if index < STEPS {
        return index;
    }
    let power = index / STEPS + 3;
    (STEPS + index % STEPS).checked_shl((power - 4) as u32).unwrap_or(u64::MAX)
}

impl Latency {
    pub fn add(&mut self, ns: u64) {
        let at = &mut self.counts[index(ns)];
        *at = at.saturating_add(1);
        self.count += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// The duration that this share (0 to 1) of all does not exceed.
    pub fn quantile_ns(&self, share: f64) -> u64 {
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return end_of(at).min(self.max_ns);
            }
        }
        self.max_ns
    }

    /// How many are in `[from, to)`, by the steps whose end is in it.
    pub fn between(&self, from: f64, to: f64) -> u64 {
        let is_in = |at: &usize| (from..to).contains(&(end_of(*at) as f64 - 0.5));
        (0..SIZE).filter(|at| self.counts[*at] > 0).filter(is_in).map(|at| u64::from(self.counts[at])).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_ends_where_the_next_begins() {
        for ns in (0..5000).chain([1 << 20, (1 << 40) + 12345, u64::MAX >> 1]) {
            let end = end_of(index(ns));
            assert!(ns < end, "{ns} {end}");
            assert!(end <= ns + ns / 16 + 1, "{ns} {end}");
        }
    }

    #[test]
    fn quantiles_are_within_a_step() {
        let mut latency = Latency::default();
        (1..=1000).for_each(|us| latency.add(us * 1000));
        let median = latency.quantile_ns(0.5);
        assert!((500_000..540_000).contains(&median), "{median}");
        assert_eq!(latency.quantile_ns(1.0), 1_000_000);
        assert_eq!(latency.between(0.0, 1e12), 1000);
    }
}

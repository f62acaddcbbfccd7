//! Sums per slice of the run, in bounded memory: when there are too many columns, each two become
//! one of twice the width.

/// The most columns.
pub const MOST: usize = 2000;

/// What a loop thread did in one slice of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Column {
    pub asleep_ns: u64,
    pub calls_ns: u64,
    pub waits: u32,
    /// Waits with a timeout of zero.
    pub zero: u32,
    pub events: u32,
}

impl Column {
    fn plus(self, other: Column) -> Column {
        Column {
            asleep_ns: self.asleep_ns + other.asleep_ns,
            calls_ns: self.calls_ns + other.calls_ns,
            waits: self.waits + other.waits,
            zero: self.zero + other.zero,
            events: self.events + other.events,
        }
    }
}

/// The columns' place in time. The same for all threads.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub origin_ns: u64,
    pub width_ns: u64,
}

impl Scale {
    pub fn new(origin_ns: u64) -> Scale {
        Scale { origin_ns, width_ns: 50_000 }
    }

    pub fn index(&self, ns: u64) -> usize {
        (ns.saturating_sub(self.origin_ns) / self.width_ns) as usize
    }

    /// Whether the time is beyond the last column.
    pub fn is_beyond(&self, ns: u64) -> bool {
        self.index(ns) >= MOST
    }
}

/// The columns of a thread.
#[derive(Clone, Debug, Default)]
pub struct Columns(Vec<Column>);

impl Columns {
    pub fn all(&self) -> &[Column] {
        &self.0
    }

    /// The column of a time.
    pub fn at(&mut self, scale: &Scale, ns: u64) -> &mut Column {
        let at = scale.index(ns).min(MOST - 1);
        if self.0.len() <= at {
            self.0.resize(at + 1, Column::default());
        }
        &mut self.0[at]
    }

    /// Adds a span of time to the columns that it covers.
    pub fn add(&mut self, scale: &Scale, begin_ns: u64, end_ns: u64, add: impl Fn(&mut Column, u64)) {
        let mut from = begin_ns.max(scale.origin_ns);
        while from < end_ns {
            let next = scale.origin_ns + (scale.index(from) as u64 + 1) * scale.width_ns;
            let to = next.min(end_ns);
            add(self.at(scale, from), to - from);
            from = to;
        }
    }

    /// Makes one column of each two.
    pub fn halve(&mut self) {
        let halved = self.0.chunks(2).map(|pair| pair.iter().fold(Column::default(), |sum, one| sum.plus(*one)));
        self.0 = halved.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_shared_among_the_columns_that_it_covers_and_halving_keeps_the_sum() {
        let scale = Scale { origin_ns: 1000, width_ns: 100 };
        let mut columns = Columns::default();
        columns.add(&scale, 1050, 1320, |column, ns| column.asleep_ns += ns);
        let asleep: Vec<u64> = columns.all().iter().map(|column| column.asleep_ns).collect();
        assert_eq!(asleep, [50, 100, 100, 20]);
        columns.halve();
        let asleep: Vec<u64> = columns.all().iter().map(|column| column.asleep_ns).collect();
        assert_eq!(asleep, [150, 120]);
    }
}

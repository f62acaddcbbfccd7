//! Why an edge is one.

/// The evidence of an edge, or of the next one if there is one. It is for the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The level had been low.
    Level,
    /// A count of arrivals, while the level was high.
    Count,
    /// A call of this process, while the level was high.
    Call,
    /// None: the level is high, and its arrivals cannot be counted.
    Doubt,
}

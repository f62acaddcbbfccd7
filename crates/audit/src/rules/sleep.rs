//! The wait of a thread, for the rules about sleeps.

/// The last wait.
#[derive(Debug, Default)]
pub struct OfThread {
    /// When it began.
    pub(crate) began_ns: u64,
    /// Its time-out; -1 waits without limit.
    pub(crate) timeout_ns: i64,
}

//! TCP segments that were dropped for want of memory. Each wakes those who wait for data, though nothing came of it; and the window is shut then,
//! into which more may be sent and dropped that wakes nobody. Nor does a segment that had come before and is dropped for that.

/// What the kernel tells of a connection's memory.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// How many segments were dropped, for whatever reason.
    pub drops: u32,
    /// More is in use than may be, so what comes is dropped.
    pub is_short: bool,
}

/// What the looks at a connection have shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortage {
    /// How many times a segment was found to have been dropped for want of memory.
    pub found: u8,
    /// How many segments had been dropped, for whatever reason, at the last look that asked.
    drops: u8,
    /// Behind which byte the window was shut at the last look; 0 if it was open.
    pub shut_at: u16,
}

impl Shortage {
    /// As it was packed.
    pub const fn from_word(word: u32) -> Shortage {
        let [low, high, drops, found] = word.to_le_bytes();
        Shortage { found, drops, shut_at: u16::from_le_bytes([low, high]) }
    }

    /// Packed into a word.
    pub const fn to_word(self) -> u32 {
        let [low, high] = self.shut_at.to_le_bytes();
        u32::from_le_bytes([low, high, self.drops, self.found])
    }

    /// Takes in a look: how many bytes have come if the window is shut. While it stays so, what is dropped wakes nobody.
    #[must_use]
    pub fn after(self, shut_behind: Option<u64>, memory: impl FnOnce() -> Memory) -> Shortage {
        /// The largest prime that fits: what comes between two looks is often a multiple of a power of two.
        const PLACES: u64 = 65_521;
        let shut_at = shut_behind.map_or(0, |bytes| (bytes % PLACES) as u16 + 1);
        if shut_at == self.shut_at {
            return self;
        }
        Shortage { shut_at, ..self.with(memory()) }
    }

    /// Takes in what the kernel tells.
    #[must_use]
    pub const fn with(self, memory: Memory) -> Shortage {
        let drops = memory.drops as u8;
        Shortage { found: self.found.wrapping_add((memory.is_short && drops != self.drops) as u8), drops, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Shortage = Shortage { found: 0, drops: 0, shut_at: 0 };

    fn unasked() -> Memory {
        unreachable!("it does not matter")
    }

    fn short_of_memory(drops: u32) -> Memory {
        Memory { drops, is_short: true }
    }

    fn roomy(drops: u32) -> Memory {
        Memory { drops, is_short: false }
    }

    #[test]
    fn an_open_window_drops_nothing_for_want_of_memory() {
        assert_eq!(OPEN.after(None, unasked), OPEN);
    }

    #[test]
    fn a_drop_that_shuts_the_window_is_found_once() {
        let shut = OPEN.after(Some(5000), || short_of_memory(1));
        assert_eq!(shut.found, 1);
        assert_eq!(shut.after(Some(5000), unasked), shut, "what is sent into a shut window wakes nobody");
    }

    #[test]
    fn what_had_come_before_and_comes_again_is_dropped_for_no_want_of_memory() {
        assert_eq!(OPEN.after(Some(5000), || roomy(1)).found, 0);
    }

    #[test]
    fn a_window_that_fills_up_is_no_drop() {
        let shut = OPEN.after(Some(5000), || roomy(0));
        assert_eq!(shut.found, 0);
        // Meanwhile some were sent into it.
        let open = shut.after(None, || roomy(3));
        assert_eq!((open.found, open.shut_at), (0, 0));
        assert_eq!(open.after(Some(9000), || short_of_memory(3)).found, 0);
        assert_eq!(open.after(Some(9000), || short_of_memory(4)).found, 1);
    }

    #[test]
    fn a_window_that_was_opened_and_shut_between_two_looks_is_looked_at_anew() {
        let shut = OPEN.after(Some(5000), || short_of_memory(1));
        assert_eq!(shut.after(Some(5000 + (1 << 16)), || short_of_memory(2)).found, 2);
    }

    #[test]
    fn a_drop_from_before_a_report_is_not_found_after_it() {
        let reported = OPEN.with(short_of_memory(1));
        assert_eq!(reported.found, 1, "others are told");
        assert_eq!(reported.with(short_of_memory(1)), reported);
        assert_eq!(reported.after(Some(5000), || short_of_memory(1)).found, 1);
        assert_eq!(reported.after(Some(5000), || short_of_memory(2)).found, 2);
    }

    #[test]
    fn it_fits_into_a_word() {
        let shortage = Shortage { found: 1, drops: 2, shut_at: 0x304 };
        assert_eq!(Shortage::from_word(shortage.to_word()), shortage);
        assert_eq!(Shortage::from_word(0), OPEN);
    }
}

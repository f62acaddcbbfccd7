//! What an open file remembers of TCP segments that were dropped for want of memory
//! (`epolyfill_rules::shortage`).

use super::Tcp;
use crate::shortage::Shortage;
use crate::sync::atomic::Ordering::SeqCst;

pub use crate::shortage::Memory;

impl Tcp<'_> {
    /// A number that changes when a segment is found to have been dropped for want of memory.
    pub fn shortages(self) -> u8 {
        Shortage::from_word(self.0.tally.load(SeqCst)).found
    }

    /// Whether the connection's window was shut when last looked at.
    pub fn has_shut_window(self) -> bool {
        Shortage::from_word(self.0.tally.load(SeqCst)).shut_at != 0
    }

    /// Takes in a look at the connection's window: how many bytes had come if it was shut.
    pub fn note_window(self, shut_behind: Option<u64>, memory: impl Fn() -> Memory) {
        self.change_shortage(|shortage| shortage.after(shut_behind, &memory));
    }

    /// Takes in what the kernel tells of the connection, whose window was not shut when last looked
    /// at: what was dropped came before what is counted now.
    pub fn note_memory(self, memory: Memory) {
        self.change_shortage(|shortage| shortage.with(memory));
    }

    fn change_shortage(self, change: impl Fn(Shortage) -> Shortage) {
        let changed = |word| {
            let before = Shortage::from_word(word);
            let after = change(before);
            (after != before).then(|| after.to_word())
        };
        let _ = self.0.tally.fetch_update(SeqCst, SeqCst, changed);
    }
}

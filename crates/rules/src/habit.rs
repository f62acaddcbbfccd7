//! Whether a wait polls without sleeping first.

/// Decides whether a wait looks before it sleeps, that is, polls with a timeout of zero. A poll
/// that may sleep enters the wait queue of every descriptor, which costs several times as much as a
/// look. So a look first pays for a busy program, and not for an idle one. After a look that finds
/// nothing the next waits skip theirs, each time for longer.
#[derive(Debug)]
pub struct Habit {
    skip: u8,
    next_skip: u8,
}

impl Habit {
    /// A habit whose first wait looks.
    pub const fn new() -> Habit {
        Habit { skip: 0, next_skip: 1 }
    }

    /// Whether this wait looks first.
    pub const fn looks_first(&mut self) -> bool {
        self.skip = self.skip.saturating_sub(1);
        self.skip == 0
    }

    /// Records the result of a look.
    pub fn looked(&mut self, found: bool) {
        self.next_skip = if found { 1 } else { (self.next_skip * 2).min(16) };
        self.skip = if found { 0 } else { self.next_skip };
    }
}

impl Default for Habit {
    fn default() -> Habit {
        Habit::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of waits that sleep at once before the next one that looks first.
    fn waits_without(habit: &mut Habit) -> usize {
        (0..).take_while(|_| !habit.looks_first()).count()
    }

    #[test]
    fn looks_that_find_nothing_become_rare_and_one_that_finds_is_followed_by_another() {
        let mut habit = Habit::new();
        let mut gaps = [0; 6];
        for gap in &mut gaps {
            *gap = waits_without(&mut habit);
            habit.looked(false);
        }
        assert_eq!(gaps, [0, 1, 3, 7, 15, 15]);
        waits_without(&mut habit);
        habit.looked(true);
        assert_eq!(waits_without(&mut habit), 0);
    }
}

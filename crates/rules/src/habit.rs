//! Whether a wait looks before it sleeps.

/// Whether to look before sleeping. A poll that may sleep enters the wait queue of every descriptor
/// on its way, which costs several times what a mere look does; so a busy program is better off
/// with a look first, and an idle one without. Looks that found nothing are left out for the next
/// waits, ever more of them.
#[derive(Debug)]
pub struct Habit {
    skip: u8,
    next_skip: u8,
}

impl Habit {
    /// Looks the first time.
    pub const fn new() -> Habit {
        Habit { skip: 0, next_skip: 1 }
    }

    /// Whether this wait looks first.
    pub const fn looks_first(&mut self) -> bool {
        self.skip = self.skip.saturating_sub(1);
        self.skip == 0
    }

    /// A wait looked first, and found something or not.
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

    /// How many waits sleep at once before the next one looks first.
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

//! Whether parking pays for an instance: the savings of the last polls against the costs.
//!
//! A parked registration costs a wake-up when it fires. Any other costs its share of every poll.
//! Which of the two is dearer depends on the load. Both are counted at all times, even while
//! nothing is parked: a long-silent registration that fires in the instance's own poll would have
//! been a wake-up. So the load is known before anything is spent on parking.

use crate::shards;

/// The cost of one descriptor in a poll that does not sleep, as the polls of a busy thread do not.
/// A poll that sleeps costs more: `rest::SLEEP_NS`. docs/architecture.md, "Parking", describes how
/// both were measured.
const POLL_NS: i64 = 50;
/// The cost of a watcher that wakes the waiting thread and returns to poll its whole shard.
const WAKE_NS: i64 = 75_000;
/// The cost of each registration that the watcher hands back then.
const HAND_BACK_NS: i64 = 1_000;
/// The cost of moving one registration to a watcher, or back.
const MOVE_NS: i64 = 1_000;

/// The savings of parking less its costs, in nanoseconds.
#[derive(Debug, Default)]
pub struct Account {
    balance: i64,
}

/// The long-silent registrations of a poll.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence {
    /// The number that stayed silent.
    pub lasting: usize,
    /// The number that fired.
    pub broken: usize,
}

impl Account {
    /// An empty account.
    pub const fn new() -> Account {
        Account { balance: 0 }
    }

    /// Books one poll. Of `registrations`, some are `parked`, and some of the others were long
    /// silent. The balance is capped at the cost of moving everything there and back, so that old
    /// polls stop counting.
    pub fn polled(&mut self, registrations: usize, parked: usize, silence: Silence) {
        let spared = (parked + silence.lasting) as i64 * POLL_NS;
        let wake_ups = silence.broken.min(shards::shards_for(silence.lasting).max(1));
        let most = Account::price(registrations);
        self.balance = (self.balance + spared).min(most);
        self.balance -= wake_ups as i64 * WAKE_NS + silence.broken as i64 * HAND_BACK_NS;
        self.balance = self.balance.max(-most);
    }

    /// Books a watcher's wake-up for the instance.
    pub fn woken(&mut self) {
        self.balance -= WAKE_NS;
    }

    /// Books one registration that a watcher handed back.
    pub fn handed_back(&mut self) {
        self.balance -= HAND_BACK_NS;
    }

    /// Books a poll of the parked registrations by the waiting thread, which cancels their saving.
    pub fn looked(&mut self, parked: usize) {
        self.balance -= parked as i64 * POLL_NS;
    }

    /// Whether the savings cover the cost of moving the registrations to watchers.
    pub fn favours_parking(&self, registrations: usize) -> bool {
        self.balance >= Account::price(registrations) / 2
    }

    /// Books that there was nothing to park. The next attempt has to wait for new savings.
    pub fn spend(&mut self, registrations: usize) {
        self.balance = self.balance.min(Account::price(registrations) / 4);
    }

    /// Whether parking has lost more than moving the registrations there and back costs.
    pub fn favours_polling(&self, registrations: usize) -> bool {
        self.balance <= -Account::price(registrations)
    }

    fn price(registrations: usize) -> i64 {
        2 * registrations as i64 * MOVE_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 4000;

    /// The number of polls until parking is favoured, if that takes fewer than 10,000. In each poll
    /// `broken` silent registrations fire.
    fn polls_until_parked(account: &mut Account, broken: usize) -> Option<usize> {
        (1..10_000).find(|_| {
            account.polled(COUNT, 0, Silence { lasting: COUNT - broken, broken });
            account.favours_parking(COUNT)
        })
    }

    #[test]
    fn the_silent_are_parked_once_they_have_cost_the_way() {
        assert_eq!(polls_until_parked(&mut Account::new(), 0), Some(20));
    }

    #[test]
    fn who_takes_turns_is_never_parked() {
        assert_eq!(polls_until_parked(&mut Account::new(), 4), None);
        // One of 4,000 per poll is cheaper on a watcher.
        assert!(polls_until_parked(&mut Account::new(), 1).is_some());
    }

    #[test]
    fn a_load_that_changes_is_followed_both_ways() {
        let mut account = Account::new();
        for _ in 0..10_000 {
            account.polled(COUNT, COUNT, Silence::default());
        }
        let until_polled = (1..10_000).find(|_| {
            account.polled(COUNT, COUNT, Silence::default());
            (0..8).for_each(|_| account.woken());
            account.favours_polling(COUNT)
        });
        assert!(until_polled.is_some_and(|polls| polls < 100), "{until_polled:?}");
        assert!(polls_until_parked(&mut account, 0).is_some_and(|polls| polls < 100));
    }
}

//! Whether parking pays for an instance: what it would save, against what it would cost, over the
//! last polls.
//!
//! All that is parked costs a wake-up when it fires; all that is not costs its share of every poll.
//! Which of the two is dearer depends on what fires, and both are counted at any time, whether
//! there is anything parked or not: a registration that was silent for long and fires in the
//! instance's own poll would have been a wake-up. So the load is known before anything is spent on
//! it.

use crate::shards;

/// The share of one descriptor in a poll that looks and does not sleep, which a busy thread's polls
/// are. One that sleeps costs more: `rest::SLEEP_NS`. How both were measured stands in
/// docs/architecture.md, "Parking".
const POLL_NS: i64 = 50;
/// What it takes to have a watcher wake the waiting thread, and go back to poll over its whole
/// shard.
const WAKE_NS: i64 = 75_000;
/// What each registration adds to that.
const HAND_BACK_NS: i64 = 1_000;
/// What it takes to give one registration to a watcher, or to take it back.
const MOVE_NS: i64 = 1_000;

/// What parking has saved, less what it has cost, in nanoseconds.
#[derive(Debug, Default)]
pub struct Account {
    balance: i64,
}

/// What a poll showed of the registrations that were silent for long.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence {
    /// How many still are.
    pub lasting: usize,
    /// How many fired.
    pub broken: usize,
}

impl Account {
    /// Nothing known yet.
    pub const fn new() -> Account {
        Account { balance: 0 }
    }

    /// One more poll: of `registrations` some are `parked`, and of the others some were silent for
    /// long. What lies far back counts no more: the balance stays within what it takes to move
    /// everything and back.
    pub fn polled(&mut self, registrations: usize, parked: usize, silence: Silence) {
        let spared = (parked + silence.lasting) as i64 * POLL_NS;
        let wake_ups = silence.broken.min(shards::shards_for(silence.lasting).max(1));
        let most = Account::price(registrations);
        self.balance = (self.balance + spared).min(most);
        self.balance -= wake_ups as i64 * WAKE_NS + silence.broken as i64 * HAND_BACK_NS;
        self.balance = self.balance.max(-most);
    }

    /// A watcher woke up for the instance.
    pub fn woken(&mut self) {
        self.balance -= WAKE_NS;
    }

    /// And handed one registration back.
    pub fn handed_back(&mut self) {
        self.balance -= HAND_BACK_NS;
    }

    /// The parked ones were polled by the waiting thread: that was spared for nothing.
    pub fn looked(&mut self, parked: usize) {
        self.balance -= parked as i64 * POLL_NS;
    }

    /// Whether parking has paid for the way there.
    pub fn favours_parking(&self, registrations: usize) -> bool {
        self.balance >= Account::price(registrations) / 2
    }

    /// There was nothing to park: not worth another look until it has paid once more.
    pub fn spend(&mut self, registrations: usize) {
        self.balance = self.balance.min(Account::price(registrations) / 4);
    }

    /// Whether being parked has cost more than the way there and back.
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

    /// How many polls until parking is favoured, if it is within 10,000; each breaks the silence of
    /// so many.
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
        // One of 4,000 in a poll is cheaper by a watcher.
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

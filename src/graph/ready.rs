//! The ready list: the registrations that may be reported, in the order in which they became ready
//! (W3), each at most once. Kernel counterpart: the `rdllist` of `struct eventpoll`.

use std::collections::{TryReserveError, VecDeque};
use std::ops::Index;

use crate::graph::epitem::Epitem;

/// The ready list of one instance.
#[derive(Debug)]
#[doc(alias = "rdllist")]
pub struct ReadyList {
    items: VecDeque<&'static Epitem>,
    /// The number of items at the head that were there at the last poll of everything, and have not
    /// had their turn since. Items that became ready after that poll are behind them.
    waiting: usize,
    /// The number of items at the end that were reported since that poll, by waits that did not
    /// poll everything.
    again: usize,
}

/// The state of the list before a poll was taken in.
#[derive(Debug)]
pub struct Polled {
    before: usize,
    again: usize,
}

impl ReadyList {
    /// An empty list.
    pub const fn new() -> ReadyList {
        ReadyList { items: VecDeque::new(), waiting: 0, again: 0 }
    }

    /// The number of items on the list.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &'static Epitem> + '_ {
        self.items.iter().copied()
    }

    /// Makes room for `more` items.
    pub fn try_reserve(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.items.try_reserve(more)
    }

    /// Puts an item at the end. There must be room.
    pub fn push_back(&mut self, item: &'static Epitem) {
        self.again = 0;
        self.items.push_back(item);
    }

    /// Puts an item at the end that was reported without a poll of everything.
    pub fn push_again(&mut self, item: &'static Epitem) {
        self.again += 1;
        self.items.push_back(item);
    }

    /// Puts an item back whose turn it was.
    pub fn push_front(&mut self, item: &'static Epitem) {
        self.items.push_front(item);
        self.waiting += 1;
    }

    /// Takes the item whose turn it is.
    pub fn pop_front(&mut self) -> Option<&'static Epitem> {
        self.waiting = self.waiting.saturating_sub(1);
        self.again = self.again.min(self.items.len().saturating_sub(1));
        self.items.pop_front()
    }

    /// Moves the last `number` items to the front. They were put at the end only to look at the
    /// items behind them.
    pub fn put_before(&mut self, number: usize) {
        self.items.rotate_right(number);
        self.waiting += number;
    }

    /// Keeps the items that meet the condition.
    pub fn retain(&mut self, condition: impl FnMut(&&'static Epitem) -> bool) {
        (self.waiting, self.again) = (0, 0);
        self.items.retain(condition);
    }

    /// Takes all items off the list.
    pub fn drain(&mut self) -> impl Iterator<Item = &'static Epitem> + '_ {
        (self.waiting, self.again) = (0, 0);
        self.items.drain(..)
    }

    /// The only item on the list, if it was reported by a wait that polled everything.
    pub fn only_reported(&self) -> Option<&'static Epitem> {
        let is_reported = self.items.len() == 1 && self.waiting == 0 && self.again == 0;
        is_reported.then(|| self.items[0])
    }

    /// Begins to take in a poll of everything, after which the ready items are put on the list.
    pub fn begin_poll(&mut self) -> Polled {
        Polled { before: self.items.len(), again: self.again }
    }

    /// Ends taking in a poll: the ready items are on the list. Items that became ready since the
    /// last poll of everything did so while others were reported again, and have a turn before
    /// those.
    pub fn end_poll(&mut self, poll: Polled) {
        if poll.again > 0 && self.items.len() > poll.before {
            let behind = poll.before.saturating_sub(poll.again);
            self.items.make_contiguous()[behind..].rotate_left(poll.again);
        }
        self.again = 0;
        self.waiting = self.items.len();
    }

    /// Returns the first `number` items if all of them have waited for their turn since the last
    /// poll of everything: then no item that became ready since can have a turn before them.
    pub fn waiting(&self, number: usize) -> Option<impl Iterator<Item = &'static Epitem> + '_> {
        (number <= self.waiting).then(|| self.iter().take(number))
    }
}

impl Index<usize> for ReadyList {
    type Output = &'static Epitem;

    fn index(&self, index: usize) -> &&'static Epitem {
        &self.items[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Pooled;

    fn items<const N: usize>() -> [&'static Epitem; N] {
        [(); N].map(|()| Epitem::pool().take().expect("memory"))
    }

    fn places(ready: &ReadyList, items: &[&'static Epitem]) -> Vec<usize> {
        let place = |item: &'static Epitem| items.iter().position(|other| std::ptr::eq(*other, item));
        ready.iter().filter_map(place).collect()
    }

    fn poll(ready: &mut ReadyList, fired: &[&'static Epitem]) {
        let poll = ready.begin_poll();
        fired.iter().for_each(|item| ready.push_back(item));
        ready.end_poll(poll);
    }

    #[test]
    fn who_becomes_ready_while_others_are_reported_has_a_turn_before_they_have_another() {
        let all = items::<5>();
        let mut ready = ReadyList::new();
        ready.try_reserve(5).expect("memory");
        poll(&mut ready, &all[..3]);
        // Reported by the wait that polled.
        let first = ready.pop_front().expect("one");
        ready.push_back(first);
        for _ in 0..2 {
            assert!(ready.waiting(1).is_some());
            let next = ready.pop_front().expect("one");
            ready.push_again(next);
        }
        assert!(ready.waiting(1).is_none(), "all had their turn");
        poll(&mut ready, &all[3..]);
        assert_eq!(places(&ready, &all), [0, 3, 4, 1, 2]);
        assert!(ready.waiting(5).is_some() && ready.waiting(6).is_none());
    }

    #[test]
    fn who_is_put_on_the_list_by_itself_keeps_the_place() {
        let all = items::<4>();
        let mut ready = ReadyList::new();
        ready.try_reserve(4).expect("memory");
        poll(&mut ready, &all[..2]);
        let first = ready.pop_front().expect("one");
        ready.push_again(first);
        ready.push_back(all[2]);
        assert!(ready.waiting(2).is_none(), "the third came after the poll");
        poll(&mut ready, &all[3..]);
        assert_eq!(places(&ready, &all), [1, 0, 2, 3]);
    }
}

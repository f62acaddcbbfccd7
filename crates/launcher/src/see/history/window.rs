//! A window of time in which everything is kept: around a finding, and around the slowest answers.

use super::item::Item;
use std::collections::VecDeque;

/// The most items of a window.
const MOST: usize = 8000;
/// The most items that are remembered, for the windows that begin in the past.
const RECENT: usize = 1 << 17;
/// Facts of several processes are out of order by less than this.
const DISORDER_NS: u64 = 100_000_000;
/// A window takes what began in it for this long after its end.
const PATIENCE_NS: u64 = 5_000_000_000;

/// The reason why a window is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// The finding with this index in this process.
    Finding { pid: i32, index: usize },
    /// One of the slowest answers, by the order in which they were seen.
    Slow(u64),
}

/// A window.
#[derive(Clone, Debug)]
pub struct Window {
    pub around: Around,
    pub begin_ns: u64,
    pub end_ns: u64,
    pub pid: i32,
    pub tid: i32,
    pub fd: i32,
    /// The time that the window is about.
    pub at_ns: u64,
    pub items: Vec<Item>,
    /// Items that found no room.
    pub left_out: u64,
}

impl Window {
    fn takes(&self, item: &Item) -> bool {
        item.begin_ns <= self.end_ns && item.end_ns >= self.begin_ns
    }

    fn push(&mut self, item: Item) {
        // The last quarter is for what the window is about.
        let most = if item.concerns(self.pid, self.fd) { MOST } else { MOST / 4 * 3 };
        if self.items.len() < most {
            self.items.push(item);
        } else {
            self.left_out += 1;
        }
    }
}

/// All windows, and the recent past.
#[derive(Debug, Default)]
pub struct Windows {
    pub all: Vec<Window>,
    recent: VecDeque<Item>,
}

impl Windows {
    /// Takes an item that has just ended.
    pub fn push(&mut self, item: Item) {
        for window in &mut self.all {
            if item.end_ns < window.end_ns + PATIENCE_NS && window.takes(&item) {
                window.push(item);
            }
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(item);
    }

    /// Opens a window, in place of the one around the same.
    pub fn open(&mut self, mut window: Window) {
        self.close(window.around);
        let recent = self.recent.iter().rev().take_while(|item| item.end_ns + DISORDER_NS >= window.begin_ns);
        let past: Vec<Item> = recent.filter(|item| window.takes(item)).copied().collect();
        past.into_iter().rev().for_each(|item| window.push(item));
        self.all.push(window);
    }

    /// Drops a window.
    pub fn close(&mut self, around: Around) {
        self.all.retain(|window| window.around != around);
    }

    /// The window around something.
    pub fn around(&self, around: Around) -> Option<&Window> {
        self.all.iter().find(|window| window.around == around)
    }
}

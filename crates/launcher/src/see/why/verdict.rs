//! Why a registration is not reported although its descriptor seems ready, or why it is not ready,
//! in one sentence. Nothing here reads the process.

use super::super::words::{bits, bytes, counted, duration};
use super::descriptor::Look;
use super::records::Item;

const IN: u32 = libc::EPOLLIN as u32;
const OUT: u32 = libc::EPOLLOUT as u32;
const ET: u32 = libc::EPOLLET as u32;
/// The levels for which a program reads.
const READABLE: u32 = (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;

/// A registration with a look at its descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    pub item: &'a Item,
    pub look: &'a Look,
    /// The registered number is closed, or names another file.
    pub is_ghost: bool,
    /// Whether an earlier look showed the same data.
    pub lasts: bool,
    /// What the instance's threads have done since: "the thread sleeps without limit". `None` if they
    /// may be about to read.
    pub sleep: Option<&'a str>,
}

impl Case<'_> {
    /// The sentence, if there is something to explain.
    pub fn verdict(&self) -> Option<String> {
        let sentence = self
            .ghost()
            .or_else(|| self.spent())
            .or_else(|| self.slept_edge())
            .or_else(|| self.paused())
            .or_else(|| self.no_room())?;
        Some(format!("descriptor {} ({}) {sentence}", self.item.number, self.look.words))
    }

    fn ghost(&self) -> Option<String> {
        let sentence = "is registered, but its number is closed or names another file by now: the open file \
                        lives on in a dup or in a child, and its events still come";
        self.is_ghost.then(|| sentence.to_owned())
    }

    fn is_high(&self, bits: u32) -> bool {
        self.look.levels.is_some_and(|levels| levels & bits != 0)
    }

    /// "36 bytes unread, the last of them 4.20 s old".
    fn unread(&self) -> String {
        let Some(unread) = self.look.unread_words() else { return "there is something to read".to_owned() };
        let age = self.look.last_came.map(|age| format!(" (the last came {} ago)", duration(age.as_nanos() as u64)));
        unread + &age.unwrap_or_default()
    }

    fn spent(&self) -> Option<String> {
        if !self.item.is_spent {
            return None;
        }
        let asked = self.item.events & OUT;
        let state = match () {
            () if self.look.is_readable() => self.unread(),
            () if self.is_high(READABLE | asked) => format!("{} now", bits(self.look.levels.unwrap_or(0))),
            () => return None,
        };
        Some(format!("one-shot: it was reported and not armed again (EPOLL_CTL_MOD does that); {state}"))
    }

    fn slept_edge(&self) -> Option<String> {
        let Item { events, memory, .. } = *self.item;
        let is_reported = memory.is_none_or(|memory| memory.reported & IN != 0);
        // The counters of signals are left unread on purpose by many loops.
        if !self.lasts
            || events & ET == 0
            || events & IN == 0
            || !self.look.is_readable()
            || self.look.is_signal
            || !is_reported
        {
            return None;
        }
        let sleep = self.sleep?;
        let (taken, remedy) = if self.look.is_listener {
            ("accept", "Accept until EAGAIN: what is left makes no edge of its own.")
        } else {
            ("read", "Read until EAGAIN: what is left makes no edge of its own.")
        };
        let calls = match memory.and_then(|memory| memory.calls) {
            None => String::new(),
            Some(0) => format!(", no {taken} since"),
            Some(1) => ", one call since, which left them".to_owned(),
            Some(calls) => format!(", {} since, which left them", counted(calls.into(), "call")),
        };
        Some(format!("edge-triggered: reported readable, {}{calls}; {sleep}. {remedy}", self.unread()))
    }

    fn paused(&self) -> Option<String> {
        let unread = self.look.unread.is_some_and(|count| count > 0);
        let is_paused = unread && self.item.events & IN == 0 && !self.item.is_spent;
        is_paused.then(|| format!("has {}, and EPOLLIN is not asked for ({})", self.unread(), bits(self.item.events)))
    }

    fn no_room(&self) -> Option<String> {
        if self.item.events & OUT == 0 {
            return None;
        }
        let other = "the other end does not read";
        if let Some((queued, size)) = self.look.full {
            let [queued, size] = [queued, size].map(bytes);
            return Some(format!("waits for room to write: {queued} are queued in a buffer of {size}; {other}"));
        }
        let is_full = self.look.levels.is_some_and(|levels| levels & (OUT | READABLE & !IN) == 0);
        is_full.then(|| format!("waits for room to write; {other}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::Remembered;
    use super::*;
    use std::time::Duration;

    const SLEEP: Option<&str> = Some("the thread sleeps without limit");

    fn tcp(unread: u64) -> Look {
        let levels = if unread > 0 { IN | OUT } else { OUT };
        Look { words: "tcp a <- b".to_owned(), levels: Some(levels), unread: Some(unread), ..Look::default() }
    }

    fn item(events: u32, reported: u32, calls: u32) -> Item {
        let memory = Some(Remembered { reported, calls: Some(calls), ..Remembered::default() });
        Item { number: 9, via: 9, events, memory, ..Item::default() }
    }

    fn verdict(item: &Item, look: &Look) -> Option<String> {
        Case { item, look, is_ghost: false, lasts: true, sleep: SLEEP }.verdict()
    }

    #[test]
    fn an_edge_that_was_slept_through_is_named_with_its_bytes() {
        let said = verdict(&item(IN | ET, IN | OUT, 0), &tcp(36)).unwrap();
        let expected = "descriptor 9 (tcp a <- b) edge-triggered: reported readable, 36 bytes unread, no read since; \
                        the thread sleeps without limit. ";
        assert!(said.starts_with(expected), "{said}");
        let said = verdict(&item(IN | ET, IN, 2), &tcp(1)).unwrap();
        assert!(said.contains("1 byte unread, 2 calls since, which left them;"), "{said}");
    }

    #[test]
    fn an_edge_is_not_slept_through_before_its_report_or_without_a_sleep() {
        assert_eq!(verdict(&item(IN | ET, 0, 0), &tcp(36)), None);
        assert_eq!(verdict(&item(IN | ET, IN, 0), &tcp(0)), None);
        assert_eq!(verdict(&item(IN, IN, 0), &tcp(36)), None);
        let case = Case { item: &item(IN | ET, IN, 0), look: &tcp(36), is_ghost: false, lasts: true, sleep: None };
        assert_eq!(case.verdict(), None);
        let case = Case { lasts: false, sleep: SLEEP, ..case };
        assert_eq!(case.verdict(), None);
        let eventfd = Look { is_signal: true, ..tcp(1) };
        assert_eq!(verdict(&item(IN | ET, IN, 0), &eventfd), None);
    }

    #[test]
    fn the_kernel_shows_no_memory() {
        let item = Item { memory: None, ..item(IN | ET, 0, 0) };
        let said = verdict(&item, &Look { last_came: Some(Duration::from_millis(4200)), ..tcp(36) }).unwrap();
        assert!(
            said.contains("edge-triggered: reported readable, 36 bytes unread (the last came 4.20 s ago); the thread"),
            "{said}"
        );
    }

    #[test]
    fn a_one_shot_that_is_not_armed_is_named_if_it_is_ready() {
        let spent = Item { is_spent: true, ..item(IN, 0, 0) };
        assert!(verdict(&spent, &tcp(36)).unwrap().contains("one-shot: it was reported and not armed again"));
        assert_eq!(verdict(&spent, &tcp(0)), None);
    }

    #[test]
    fn a_pause_and_a_lack_of_room_are_named() {
        let said = verdict(&item(OUT | ET, OUT, 0), &tcp(5)).unwrap();
        assert!(said.ends_with("has 5 bytes unread, and EPOLLIN is not asked for (OUT|ET)"), "{said}");
        let full = Look { levels: None, unread: Some(0), full: Some((2_500_000, 2_600_000)), ..tcp(0) };
        let said = verdict(&item(IN | OUT, 0, 0), &full).unwrap();
        assert!(said.contains("2.50 MB are queued in a buffer of 2.60 MB"), "{said}");
        assert_eq!(verdict(&item(IN, 0, 0), &full), None);
    }
}

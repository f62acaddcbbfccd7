//! The explanation as text.

use super::super::words::{bits, counted, duration};
use super::descriptor::Look;
use super::records::{Counters, Instance, Item, Limit};
use super::threads::Thread;
use super::verdict::Case;
use epolyfill_environment::counters::Counter;
use std::collections::HashMap;
use std::fmt::Write;

/// The most registrations of an instance that are listed one by one.
const MOST: usize = 100;

/// A thread that waits on an instance.
#[derive(Debug)]
pub struct Wait {
    pub thread: Thread,
    /// `None` if it could not be found.
    pub limit: Option<Limit>,
}

/// A registration and what its descriptor shows.
#[derive(Debug)]
pub struct Registration {
    pub item: Item,
    pub look: Look,
    pub is_ghost: bool,
    /// The registration and its descriptor at an earlier look.
    pub before: Option<(Item, Look)>,
}

/// An instance with all that concerns it.
#[derive(Debug)]
pub struct Explained {
    pub number: i32,
    /// Who serves it: "poll", "io_uring", "the kernel's epoll".
    pub server: &'static str,
    pub counters: Counters,
    pub registrations: Vec<Registration>,
    pub waits: Vec<Wait>,
    /// The time of an earlier look, and the growth of the counters since.
    before: Option<u64>,
    growth: Counters,
}

impl Explained {
    pub fn new(instance: &Instance, server: &'static str) -> Explained {
        let Instance { number, ref counters, .. } = *instance;
        let counters = counters.clone();
        let (registrations, waits, growth) = (Vec::new(), Vec::new(), Vec::new());
        Explained { number, server, counters, registrations, waits, before: None, growth }
    }

    /// Its waits, its registrations, and what keeps them from being reported. `now` is of
    /// CLOCK_MONOTONIC.
    pub fn write(&self, text: &mut String, now: u64) {
        for wait in &self.waits {
            let _ = writeln!(text, "thread {}", wait.words(self.number, now));
        }
        let _ = writeln!(text, "instance {}", self.head());
        self.table(text);
    }

    /// Adds what was seen of the same instance at an earlier time.
    pub fn compare(&mut self, before: Explained, time: u64) {
        let grown = self.counters.iter().zip(&before.counters);
        self.growth = grown.map(|(now, before)| now.wrapping_sub(*before)).collect();
        self.before = Some(time);
        let earlier = before.registrations.into_iter();
        let mut earlier: HashMap<i32, (Item, Look)> =
            earlier.map(|registration| (registration.item.number, (registration.item, registration.look))).collect();
        self.registrations.iter_mut().for_each(|registration| {
            registration.before = earlier.remove(&registration.item.number);
        });
    }

    /// The sentences about its registrations.
    pub fn verdicts(&self, now: u64) -> Vec<String> {
        let sleep = self.sleep(now);
        let rounds = self.rounds();
        let time = now.saturating_sub(self.before.unwrap_or(now));
        let case = |registration: &Registration| {
            let Registration { item, look, is_ghost, .. } = registration;
            let (lasts, sleep) = match &sleep {
                Some(sleep) => (registration.was_readable(), Some(sleep.as_str())),
                None => (registration.is_untouched(time), rounds.then_some("the loop goes on without it")),
            };
            Case { item, look, is_ghost: *is_ghost, lasts, sleep }.verdict()
        };
        let spin = self.spin(now);
        spin.into_iter().chain(self.registrations.iter().filter_map(case)).collect()
    }

    /// What it did between the two looks: "12 waits and 11 events in 100 ms".
    pub fn progress(&self, now: u64) -> Option<String> {
        let grown = |counter: Counter| self.growth.get(counter as usize).copied().unwrap_or(0);
        let (waits, events) = (counted(grown(Counter::waits), "wait"), counted(grown(Counter::events), "event"));
        let time = duration(now.saturating_sub(self.before?));
        (grown(Counter::waits) > 0).then(|| format!("{waits} and {events} in {time}"))
    }

    /// A loop that does not sleep, and what is ready all the time.
    fn spin(&self, now: u64) -> Option<String> {
        /// As many waits as no loop makes by chance.
        const MANY: u64 = 64;
        let grown = |counter: Counter| self.growth.get(counter as usize).copied().unwrap_or(0);
        let (waits, events) = (grown(Counter::waits), grown(Counter::events));
        if waits < MANY || events < waits / 2 || grown(Counter::sleeps) > waits / 10 {
            return None;
        }
        let lasting: Vec<String> = self.registrations.iter().filter_map(Registration::lasting).collect();
        let lasting = if lasting.is_empty() { "nothing".to_owned() } else { lasting.join(", ") };
        let (number, progress) = (self.number, self.progress(now)?);
        Some(format!("the loop of instance {number} hardly sleeps: {progress}; ready before and after: {lasting}"))
    }

    /// The numbers that are ready now and would be reported.
    pub fn ready(&self) -> Vec<i32> {
        let is_ready = |registration: &&Registration| {
            let Registration { item, look, .. } = registration;
            let asked = item.events | (libc::EPOLLERR | libc::EPOLLHUP) as u32;
            let reported = item.memory.filter(|_| item.events & libc::EPOLLET as u32 != 0);
            let reported = reported.map_or(0, |memory| memory.reported);
            !item.is_spent && look.levels.is_some_and(|levels| levels & asked & !reported != 0)
        };
        self.registrations.iter().filter(is_ready).map(|registration| registration.item.number).collect()
    }

    fn head(&self) -> String {
        let count = counted(self.registrations.len() as u64, "registration");
        let counter = |counter: Counter, noun: &str| {
            let value = self.counters.get(counter as usize).copied().filter(|value| *value > 0);
            value.map(|value| format!(", {}", counted(value, noun))).unwrap_or_default()
        };
        let [waits, events] = [counter(Counter::waits, "wait"), counter(Counter::events, "event")];
        format!("{}, served by {}: {count}{waits}{events}", self.number, self.server)
    }

    /// Whether a wait ended between the looks, or one began.
    fn rounds(&self) -> bool {
        let waits = self.growth.get(Counter::waits as usize).is_some_and(|waits| *waits > 0);
        waits || self.waits.iter().any(|wait| wait.thread.is_asleep)
    }

    /// What its threads do, if one of them has slept since before the earlier look.
    fn sleep(&self, now: u64) -> Option<String> {
        let before = self.before?;
        let sleeps = |wait: &&Wait| {
            wait.thread.is_asleep && wait.limit.and_then(|limit| limit.began).is_none_or(|began| began <= before)
        };
        let sleepers: Vec<&Wait> = self.waits.iter().filter(sleeps).collect();
        match sleepers[..] {
            [] => None,
            [Wait { limit: Some(Limit { timeout: None, .. }), .. }] => {
                Some("the thread sleeps without limit".to_owned())
            }
            [Wait { limit, .. }] => Some(match limit.and_then(|limit| limit.left(now)) {
                Some(left) => format!("the thread sleeps for another {} at most", duration(left)),
                None => "the thread sleeps".to_owned(),
            }),
            _ => Some(format!("{} threads sleep", sleepers.len())),
        }
    }

    fn table(&self, text: &mut String) {
        let is_quiet = |registration: &Registration| {
            let Registration { item, look, is_ghost, .. } = registration;
            let idle = (libc::EPOLLOUT | libc::EPOLLWRNORM) as u32;
            !is_ghost
                && !item.is_spent
                && look.unread.unwrap_or(0) == 0
                && look.levels.is_some_and(|now| now & !idle == 0)
        };
        let many = self.registrations.len() > MOST;
        let (listed, quiet): (Vec<_>, Vec<_>) =
            self.registrations.iter().partition(|registration| !many || !is_quiet(registration));
        let rows: Vec<[String; 7]> = listed.iter().take(MOST).map(|registration| registration.row()).collect();
        if !rows.is_empty() {
            let head = ["fd", "open file", "events", "data", "now", "unread", "state"].map(str::to_owned);
            columns(text, &[&[head], &rows[..]].concat());
        }
        let more = listed.len().saturating_sub(MOST) + quiet.len();
        if more > 0 {
            let quiet = if listed.len() > MOST { "" } else { ", with nothing to read" };
            let _ = writeln!(text, "  and {} more{quiet}", counted(more as u64, "registration"));
        }
    }
}

impl Registration {
    /// A registration whose descriptor was not looked at yet.
    pub fn new(item: &Item, is_ghost: bool) -> Registration {
        Registration { item: item.clone(), look: Look::default(), is_ghost, before: None }
    }

    fn was_readable(&self) -> bool {
        self.before.as_ref().is_some_and(|(_, look)| look.is_readable())
    }

    /// Whether the data of the earlier look is still there, untouched for this many nanoseconds.
    fn is_untouched(&self, time: u64) -> bool {
        let Some((item, look)) = &self.before else { return false };
        let calls = |item: &Item| item.memory.and_then(|memory| memory.calls);
        let same_calls = calls(item).is_some() && calls(item) == calls(&self.item);
        let is_old = self.look.last_came.is_some_and(|age| age.as_nanos() >= u128::from(time));
        look.is_readable() && look.unread == self.look.unread && (same_calls || is_old)
    }

    /// "descriptor 7 (pipe) HUP", if a level that was asked for is high at both looks, and nothing
    /// shows that it was low meanwhile.
    fn lasting(&self) -> Option<String> {
        let Registration { item, look, before, .. } = self;
        let asked = item.events | (libc::EPOLLERR | libc::EPOLLHUP) as u32;
        let is_level = item.events & libc::EPOLLET as u32 == 0 && !item.is_spent;
        let high = look.levels? & before.as_ref()?.1.levels? & asked;
        (is_level && high != 0).then(|| format!("descriptor {} ({}) {}", item.number, look.words, bits(high)))
    }

    fn row(&self) -> [String; 7] {
        let Registration { item, look, is_ghost, .. } = self;
        let mut state = Vec::new();
        if *is_ghost {
            state.push("the number is closed or names another file".to_owned());
        }
        if item.is_spent {
            state.push("one-shot, not armed".to_owned());
        }
        if let Some(memory) = item.memory {
            if memory.reported != 0 && item.events & libc::EPOLLET as u32 != 0 {
                let calls = memory.calls.map_or(String::new(), |calls| format!(", {} since", calls_words(calls)));
                state.push(format!("reported {}{calls}", bits(memory.reported)));
            }
            if memory.is_ready {
                state.push("on the ready list".to_owned());
            }
            if memory.lacks_space {
                state.push("a write found no room".to_owned());
            }
        }
        if let Some(age) = look.last_came.filter(|_| look.unread.is_some_and(|count| count > 0)) {
            state.push(format!("the last data came {} ago", duration(age.as_nanos() as u64)));
        }
        if item.via != item.number {
            state.push(format!("looked at as {}", item.via));
        }
        let source = item.memory.is_some_and(|memory| memory.is_source);
        [
            item.number.to_string(),
            if source { "source of the library".to_owned() } else { look.words.clone() },
            bits(item.events),
            format!("{:#x}", item.data),
            look.levels.map_or("?".to_owned(), |levels| if levels == 0 { "-".to_owned() } else { bits(levels) }),
            look.unread.map_or("-".to_owned(), |count| count.to_string()),
            state.join("; "),
        ]
    }
}

fn calls_words(calls: u32) -> String {
    if calls == 0 { "no call".to_owned() } else { counted(calls.into(), "call") }
}

impl Wait {
    fn words(&self, instance: i32, now: u64) -> String {
        let name = thread_name(&self.thread);
        if !self.thread.is_asleep {
            return format!("{name} is in a wait on instance {instance}, and awake");
        }
        let Some(Limit { timeout, began }) = self.limit else {
            let asleep = asleep(&self.thread);
            return format!("{name} waits on instance {instance}; its timeout could not be found{asleep}");
        };
        let limit = timeout.map_or("without limit".to_owned(), |timeout| format!("at most {}", duration(timeout)));
        match began {
            Some(began) => {
                let time = duration(now.saturating_sub(began));
                format!("{name} has waited on instance {instance} for {time}, {limit}")
            }
            None => format!("{name} waits on instance {instance}, {limit}"),
        }
    }
}

/// "812 (server)".
pub fn thread_name(thread: &Thread) -> String {
    format!("{} ({})", thread.id, thread.name)
}

/// How long a thread has been asleep.
pub fn asleep(thread: &Thread) -> String {
    // The clocks of two processors differ by some milliseconds.
    let time = thread.asleep.filter(|time| time.as_millis() >= 20);
    time.map_or(String::new(), |time| format!("; it last ran {} ago", duration(time.as_nanos() as u64)))
}

/// Rows in columns, each as wide as its widest cell.
fn columns(text: &mut String, rows: &[[String; 7]]) {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let width = widths[at];
            let _ = if at == 0 { write!(line, "  {cell:>width$}") } else { write!(line, "  {cell:width$}") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

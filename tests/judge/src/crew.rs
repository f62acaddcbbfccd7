//! Threads that sleep in a wait, the same number on either side, while a history continues. After
//! each step the judge waits until all have come to rest; then the same registrations must have
//! been reported on both sides.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libc::{c_int, epoll_event};

use crate::calls;
use crate::compare::{Difference, Report, Round, What};
use crate::kernel::{self, Answer};
use crate::kinds::Kind;
use crate::known::WRITABLE;
use crate::waits::Wait;
use crate::world::{Pair, Side, World};

/// The longest time in which threads may come to rest.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// The pauses before each further look, in microseconds, while the sides differ.
const PATIENCE_US: [u64; 7] = [0, 50, 200, 1000, 5000, 20_000, 60_000];
/// The signal that ends a sleep.
const CALL: c_int = 45;
/// The calls in which threads sleep on either side.
const SLEEPS: [i64; 2] = [libc::SYS_epoll_pwait, libc::SYS_ppoll];
/// The most events for which a sleeping thread has room.
const ROOM: usize = 64;

/// The data that a sleeping thread shares with the history.
#[derive(Debug, Default)]
struct Shared {
    tid: AtomicI32,
    done: AtomicBool,
    result: Mutex<Option<(Answer, Vec<Report>)>>,
}

#[derive(Debug)]
struct Sleeper {
    thread: JoinHandle<()>,
    shared: Arc<Shared>,
    /// Its result has been examined.
    judged: bool,
}

/// The threads that sleep on one instance, in the order in which they went to sleep.
#[derive(Debug)]
pub struct Crew {
    pub pair: usize,
    /// Their reports so far, if they have so little room that the order decides which thread gets
    /// which. Judged at the end.
    collected: Option<Round>,
    kernel: Vec<Sleeper>,
    ours: Vec<Sleeper>,
    /// The number of judgements: one when they went to sleep, then one after each step.
    steps: u32,
}

/// A thread's index, the answer of its wait, and its reports.
type Returned = (usize, Answer, Vec<Report>);

/// What the threads of both sides have reported since the last judgement.
#[derive(Debug, Default)]
struct Told {
    /// The threads that returned, the kernel's and ours.
    sides: [Vec<Returned>; 2],
    /// Their reports, and the rest, each registration once.
    round: Round,
    /// The reports that the judge fetched because no thread was left.
    rest: Round,
    differences: Vec<Difference>,
}

impl Told {
    /// How often one side reported the registration.
    fn count(&self, side: usize, data: u64) -> usize {
        let rest = [&self.rest.kernel, &self.rest.ours][side];
        self.sides[side].iter().flat_map(|one| &one.2).chain(rest).filter(|report| report.0 == data).count()
    }
}

extern "C" fn called(_: c_int) {}

/// Installs a handler that does nothing, so that the signal only ends a sleep.
fn prepare_signal() {
    // SAFETY: zeroes are a valid action; the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = called as extern "C" fn(c_int) as usize;
        libc::sigaction(CALL, &raw const action, std::ptr::null_mut());
    }
}

fn sleeper(on_kernel: bool, fd: c_int, max: usize) -> Option<Sleeper> {
    let shared = Arc::new(Shared::default());
    let own = shared.clone();
    let body = move || {
        let mut events = [epoll_event { events: 0, u64: 0 }; ROOM];
        // SAFETY: returns the thread's own number.
        own.tid.store(unsafe { libc::gettid() }, SeqCst);
        let max = max.clamp(1, events.len()) as c_int;
        let at = events.as_mut_ptr();
        // SAFETY: room for `max` events.
        let answer =
            unsafe { if on_kernel { kernel::epoll_wait(fd, at, max, -1) } else { calls::epoll_wait(fd, at, max, -1) } };
        let n = answer.map_or(0, |n| n as usize);
        let reports = events[..n].iter().map(|event| (event.u64, event.events)).collect();
        *own.result.lock().unwrap_or_else(PoisonError::into_inner) = Some((answer, reports));
        own.done.store(true, SeqCst);
    };
    let thread = thread::Builder::new().stack_size(128 * 1024).spawn(body).ok()?;
    Some(Sleeper { thread, shared, judged: false })
}

/// The beginning of a file about a thread.
fn task_file(tid: i32, name: &str) -> Option<String> {
    let mut buffer = [0; 128];
    let fd = calls::open(&format!("/proc/self/task/{tid}/{name}"), libc::O_RDONLY).ok()?;
    let n = kernel::read(fd, &mut buffer).max(0) as usize;
    kernel::close(fd);
    Some(String::from_utf8_lossy(&buffer[..n]).into_owned())
}

impl Sleeper {
    fn is_done(&self) -> bool {
        self.shared.done.load(SeqCst)
    }

    /// Whether the thread has returned from its wait, or sleeps in it.
    fn rests(&self) -> bool {
        if self.is_done() {
            return true;
        }
        let tid = self.shared.tid.load(SeqCst);
        if tid == 0 {
            return false;
        }
        // The number of the call in which it sleeps, or "running".
        let call = task_file(tid, "syscall").and_then(|text| text.split(' ').next()?.parse().ok());
        // A thread that was woken, but whose processor has not yet noticed, still seems to be in
        // the call, but does not sleep any more.
        let sleeps = || task_file(tid, "stat").is_some_and(|text| text.contains(") S "));
        call.is_some_and(|number| SLEEPS.contains(&number)) && sleeps() || self.is_done()
    }

    fn take(&mut self) -> Option<(Answer, Vec<Report>)> {
        if self.judged || !self.is_done() {
            return None;
        }
        self.judged = true;
        self.shared.result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn call(&self) {
        // SAFETY: a thread of this process, which is joined only later.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), self.shared.tid.load(SeqCst), CALL) };
    }
}

impl Crew {
    fn all(&self) -> impl Iterator<Item = &Sleeper> {
        self.kernel.iter().chain(&self.ours)
    }

    /// Whether one side has no sleeping threads left.
    fn is_exhausted(&self) -> bool {
        [&self.kernel, &self.ours].into_iter().any(|side| side.iter().all(|sleeper| sleeper.judged))
    }

    /// Waits until all threads have returned or sleep, and none was woken meanwhile.
    fn rest(&self) -> bool {
        let begun = Instant::now();
        let mut passes = 0;
        while passes < 2 {
            if self.all().all(Sleeper::rests) {
                passes += 1;
            } else if begun.elapsed() > LONGEST_REST {
                return false;
            } else {
                passes = 0;
                thread::yield_now();
            }
        }
        true
    }
}

impl World<'_> {
    /// Puts `count` threads to sleep on either side, one after the other.
    pub fn put_to_sleep(&mut self, name: usize, count: usize, max: usize) {
        self.call_back();
        // The signal that ends their sleep would be an edge of every signalfd.
        let signals = self.registrations.iter().any(|one| one.alive && self.files[one.file].kind == Kind::Signalfd);
        if signals || self.side != Side::Both {
            return;
        }
        let Some(Pair { kernel, ours, .. }) = self.pair(name) else { return };
        prepare_signal();
        // Items that are ready now are not for these threads.
        self.judge_wait(name, Wait::LOOK);
        let mut crew = Crew {
            pair: name,
            collected: (max < ROOM).then(Round::default),
            kernel: Vec::new(),
            ours: Vec::new(),
            steps: 0,
        };
        for _ in 0..count.clamp(1, 8) {
            crew.kernel.extend(sleeper(true, kernel, max));
            crew.rest();
            crew.ours.extend(sleeper(false, ours, max));
            crew.rest();
        }
        self.say(|| format!("{count} threads wait on instance {name} on either side, for {max} events"));
        self.crew = Some(crew);
        self.judge_crew();
    }

    /// Judges the reports of the sleeping threads after a step.
    pub fn judge_crew(&mut self) {
        let Some(mut crew) = self.crew.take() else { return };
        let told = self.hear(&mut crew);
        self.say_returned(&told);
        let failed = told.sides.each_ref().map(|side| side.iter().filter(|one| one.1.is_err()).count() as i32);
        if failed[0] != failed[1] {
            self.differing_answer("a sleeping wait failed", Kind::Epoll, Ok(failed[0]), Ok(failed[1]));
        }
        if crew.collected.is_some() {
            return self.collect(crew, told.round);
        }
        self.note_owed(&told);
        self.compare_threads(&told, crew.steps);
        // A thread that had a spurious wake-up, which does not show, is then first in the wait
        // queue.
        crew.steps += 1;
        let exhausted = crew.is_exhausted();
        self.crew = Some(crew);
        self.conclude(None, &[told.round], told.differences);
        if exhausted {
            self.end_crew();
        }
    }

    /// Waits until the threads rest, and takes the results of those that have returned; while the
    /// sides differ, again and again.
    fn hear(&mut self, crew: &mut Crew) -> Told {
        let mut told = Told::default();
        for (look, us) in PATIENCE_US.into_iter().enumerate() {
            if us > 0 {
                thread::sleep(Duration::from_micros(us));
            }
            if look == 0 && !crew.rest() {
                self.differing_answer("threads do not come to rest", Kind::Epoll, Ok(0), Ok(1));
            }
            for (side, sleepers) in told.sides.iter_mut().zip([&mut crew.kernel, &mut crew.ours]) {
                for (index, sleeper) in sleepers.iter_mut().enumerate() {
                    if let Some((answer, reports)) = sleeper.take() {
                        side.push((index, answer, reports));
                    }
                }
            }
            told.round = Round { kernel: union(&told.sides[0]), ours: union(&told.sides[1]) };
            // If no thread is left to wake, the remaining items are fetched here.
            if let (true, None, Some(pair)) = (crew.is_exhausted(), &crew.collected, self.pair(crew.pair)) {
                let (_, _, more) = self.wait_once(pair, Wait::LOOK);
                told.rest.kernel.extend(more.kernel);
                told.rest.ours.extend(more.ours);
                let all = |some: &[Report], more: &[Report]| once_each(some.iter().chain(more).copied());
                let Told { round, rest, .. } = &told;
                told.round = Round { kernel: all(&round.kernel, &rest.kernel), ours: all(&round.ours, &rest.ours) };
            }
            if crew.collected.is_some() {
                // The library may report an arrival on unread data late, and gets the time for it.
                if told.sides[0].len() <= told.sides[1].len() {
                    break;
                }
                continue;
            }
            let before = told.differences.len();
            told.differences = self.compare_crew(&told);
            if look > 0 && told.differences.is_empty() {
                self.counts.add("late", before as u64);
            }
            if told.differences.is_empty() {
                break;
            }
        }
        told
    }

    fn say_returned(&mut self, told: &Told) {
        if self.log.is_none() || told.sides.iter().all(Vec::is_empty) {
            return;
        }
        let [theirs, ours] = told.sides.each_ref().map(|side| {
            let each = side
                .iter()
                .map(|(index, answer, reports)| format!("thread {index} {}", self.describe(*answer, reports)));
            each.collect::<Vec<_>>().join(", ")
        });
        self.say(|| format!("    returned: kernel's {theirs}; ours {ours}"));
    }

    /// Keeps the reports of threads with little room for the end.
    fn collect(&mut self, mut crew: Crew, round: Round) {
        for &(data, _) in round.kernel.iter().filter(|(_, bits)| bits & WRITABLE != 0) {
            self.found_room_in_passing(data);
        }
        // Once the sides have reported different items, the next step finds them with different
        // items to report.
        let mut same = round.kernel.len() == round.ours.len();
        same &= round.kernel.iter().all(|report| round.ours.contains(report));
        if let Some(collected) = &mut crew.collected {
            collected.kernel.extend(round.kernel);
            collected.ours.extend(round.ours);
        }
        self.crew = Some(crew);
        if !same {
            self.end_crew();
        }
    }

    /// Counts the reports that the library's threads have yet to make.
    fn note_owed(&mut self, told: &Told) {
        for one in &mut self.registrations {
            let [theirs, ours] = [told.count(0, one.data), told.count(1, one.data)];
            // If a step makes several calls, the first may have woken the library's thread, and the
            // last the kernel's, which has nothing left to report.
            let earlier = usize::from(self.in_passing && theirs > 0 && ours > 0);
            one.owed = (one.owed + theirs + earlier).saturating_sub(ours);
        }
    }

    /// Compares which threads one arrival has woken, and how many.
    fn compare_threads(&mut self, told: &Told, steps: u32) {
        let Told { round, rest, differences, .. } = told;
        let is_one = round.kernel.len() == 1 && round.ours.len() == 1 && *rest == Round::default();
        if !self.one_arrival || !differences.is_empty() || !is_one {
            return;
        }
        let [theirs, ours] = told.sides.each_ref().map(|side| side.iter().map(|one| one.0).collect::<Vec<_>>());
        let file = self.registration(round.kernel[0].0).map(|one| one.file);
        let kind = file.map_or(Kind::Epoll, |file| self.files[file].kind);
        // An arrival on these may wake more than once: with an acknowledgement or an error, in
        // pieces, or delayed.
        let once = !matches!(kind, Kind::Tcp | Kind::Udp | Kind::Pty);
        if once && (theirs.len() != ours.len() || (theirs.len() == 1 && theirs != ours && steps <= 1)) {
            let text = format!("threads that returned: kernel's {theirs:?}, ours {ours:?}");
            self.find_answer(kind, text);
        }
    }

    fn compare_crew(&self, told: &Told) -> Vec<Difference> {
        let mut differences = self.compare(std::slice::from_ref(&told.round));
        // An edge is reported to one thread. For several in a row, the second edge may come before
        // or after the first one's thread has left.
        for &(data, bits) in &told.round.ours {
            let Some(one) = self.registrations.iter().rev().find(|one| one.data == data) else { continue };
            if self.one_arrival
                && !one.is_level()
                && !one.tainted
                && !one.contested
                // A terminal delivers in pieces, each of which may wake a sleeping thread.
                && self.files[one.file].kind != Kind::Pty
                && told.count(1, data) > told.count(0, data) + one.owed
                && !differences.iter().any(|one| one.data == data)
            {
                differences.push(Difference { what: What::Extra, data, kernel: bits, ours: bits });
            }
        }
        differences
    }

    /// Waits until the sleeping threads have come to rest.
    pub fn crew_rests(&self) {
        self.crew.as_ref().into_iter().for_each(|crew| _ = crew.rest());
    }

    /// Ends the remaining sleeps, by a signal each: EINTR (W8).
    pub fn call_back(&mut self) {
        self.judge_crew();
        self.end_crew();
    }

    fn end_crew(&mut self) {
        let Some(crew) = self.crew.take() else { return };
        let (name, orderless) = (crew.pair, crew.collected.is_some());
        let mut told = crew.collected.unwrap_or_default();
        let mut wrong = [0, 0];
        for (side, sleepers) in [crew.kernel, crew.ours].into_iter().enumerate() {
            for mut sleeper in sleepers {
                let begun = Instant::now();
                while !sleeper.is_done() && begun.elapsed() < LONGEST_REST {
                    sleeper.call();
                    let called = Instant::now();
                    while !sleeper.is_done() && called.elapsed() < Duration::from_millis(100) {
                        thread::yield_now();
                    }
                }
                if !sleeper.is_done() {
                    // It cannot be joined; the coordinator gets a report, and the process continues
                    // without it.
                    wrong[side] += 1;
                    continue;
                }
                // An event may have come before the signal.
                match sleeper.take() {
                    Some((Ok(_), reports)) if side == 0 => told.kernel.extend(reports),
                    Some((Ok(_), reports)) => told.ours.extend(reports),
                    Some((Err(errno), _)) if errno != libc::EINTR => wrong[side] += 1,
                    _ => {}
                }
                let _ = sleeper.thread.join();
            }
        }
        if wrong[0] != wrong[1] {
            self.differing_answer("sleeps not ended by a signal", Kind::Epoll, Ok(wrong[0]), Ok(wrong[1]));
        }
        self.say(|| format!("the threads on instance {name} are called back"));
        if let Some(pair) = self.pair(name).filter(|_| orderless || told != Round::default()) {
            // Of several levels each side may have reported another one first; levels that last are
            // judged by the last look. And one edge may be reported to a thread on one side, and
            // together with the next one to this look on the other.
            let (_, _, mut levels) = self.wait_once(pair, Wait::LOOK);
            let looked_at: Vec<u64> = levels.kernel.iter().map(|report| report.0).collect();
            for (told, look) in [(&mut told.kernel, &mut levels.kernel), (&mut told.ours, &mut levels.ours)] {
                // A level that a look takes is reported once, to the thread or to this look.
                let is_level = |&(data, _): &Report| {
                    let one = self.registrations.iter().rev().find(|one| one.data == data);
                    one.is_none_or(|one| one.is_level() && !self.files[one.file].kind.is_fleeting())
                };
                let (levels, edges): (Vec<Report>, _) = std::mem::take(look).into_iter().partition(is_level);
                *look = levels;
                *told = once_each(told.iter().copied().filter(|report| !is_level(report)).chain(edges));
            }
            self.in_passing = true;
            self.judge(name, pair, vec![told, levels]);
            looked_at.into_iter().for_each(|data| self.looked_for_room_of(data));
        }
        self.in_passing = false;
    }

    /// Whether threads sleep on this instance.
    pub fn is_slept_on(&self, name: usize) -> bool {
        self.crew.as_ref().is_some_and(|crew| crew.pair == name)
    }
}

/// The reports of all threads, each registration once.
fn union(side: &[Returned]) -> Vec<Report> {
    once_each(side.iter().flat_map(|one| one.2.iter().copied()))
}

fn once_each(reports: impl Iterator<Item = Report>) -> Vec<Report> {
    let mut all: Vec<Report> = Vec::new();
    for (data, bits) in reports {
        match all.iter_mut().find(|report| report.0 == data) {
            Some(report) => report.1 |= bits,
            None => all.push((data, bits)),
        }
    }
    all
}

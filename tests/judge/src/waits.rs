//! Waits on either side, and the judgement of their reports.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use libc::{c_int, epoll_event, timespec};

use crate::calls;
use crate::compare::{self, Difference, Lasting, Report, Round, What};
use crate::kernel::{self, Answer};
use crate::kinds::Kind;
use crate::known::{self, Case, FACTS, Fact, READABLE, WRITABLE};
use crate::world::{Alone, Exclusive, Finding, Movement, Pair, Registration, Room, Side, World};

/// Room for all registrations that a history can make in one instance.
pub const EVERYTHING: usize = 512;

/// The pauses before each further look, in microseconds, while the sides differ. They let late
/// events show up.
const PATIENCE_US: [u64; 9] = [0, 0, 50, 200, 500, 1000, 3000, 10_000, 30_000];
/// The number of looks for surplus reports, which do not go away: enough to see whether the
/// kernel's was late.
const PATIENCE_FOR_EXTRAS: usize = 6;

/// The number of unlisted differences that this process has found.
static FOUND: AtomicU32 = AtomicU32::new(0);

/// One wait's arguments.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    pub max: usize,
    pub ns: i64,
    pub call: i64,
    pub ours_first: bool,
}

impl Wait {
    pub const LOOK: Wait = Wait { max: EVERYTHING, ns: 0, call: 0, ours_first: false };
}

struct Events([epoll_event; EVERYTHING]);

impl Events {
    const fn new() -> Events {
        Events([epoll_event { events: 0, u64: 0 }; EVERYTHING])
    }

    fn reports(&self, answer: Answer) -> Vec<Report> {
        let n = answer.map_or(0, |n| n as usize);
        self.0[..n].iter().map(|event| (event.u64, event.events)).collect()
    }
}

fn wait_on_kernel(fd: c_int, events: &mut Events, wait: Wait) -> Answer {
    let (at, max) = (events.0.as_mut_ptr(), wait.max.min(EVERYTHING) as c_int);
    // SAFETY: room for `max` events.
    unsafe {
        match wait.call {
            2 => kernel::epoll_pwait2(fd, at, max, Some(&time(wait.ns))),
            _ => kernel::epoll_wait(fd, at, max, milliseconds(wait.ns)),
        }
    }
}

fn wait_on_ours(fd: c_int, events: &mut Events, wait: Wait) -> Answer {
    let (at, max) = (events.0.as_mut_ptr(), wait.max.min(EVERYTHING) as c_int);
    // SAFETY: room for `max` events.
    unsafe {
        match wait.call {
            2 => calls::epoll_pwait2(fd, at, max, &time(wait.ns)),
            1 => calls::epoll_pwait(fd, at, max, milliseconds(wait.ns)),
            _ => calls::epoll_wait(fd, at, max, milliseconds(wait.ns)),
        }
    }
}

fn time(ns: i64) -> timespec {
    timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 }
}

fn milliseconds(ns: i64) -> c_int {
    (ns / 1_000_000) as c_int
}

/// The bits of an event, as strace writes them.
pub fn bits(mask: u32) -> String {
    const NAMES: [(c_int, &str); 16] = [
        (libc::EPOLLIN, "IN"),
        (libc::EPOLLPRI, "PRI"),
        (libc::EPOLLOUT, "OUT"),
        (libc::EPOLLERR, "ERR"),
        (libc::EPOLLHUP, "HUP"),
        (libc::EPOLLRDNORM, "RDNORM"),
        (libc::EPOLLRDBAND, "RDBAND"),
        (libc::EPOLLWRNORM, "WRNORM"),
        (libc::EPOLLWRBAND, "WRBAND"),
        (libc::EPOLLMSG, "MSG"),
        (libc::EPOLLRDHUP, "RDHUP"),
        (libc::EPOLLEXCLUSIVE, "EXCLUSIVE"),
        (libc::EPOLLWAKEUP, "WAKEUP"),
        (libc::EPOLLONESHOT, "ONESHOT"),
        (libc::EPOLLET, "ET"),
        (libc::POLLNVAL as c_int, "NVAL"),
    ];
    let mut text = String::new();
    let mut rest = mask;
    for (bit, name) in NAMES {
        if rest & bit.cast_unsigned() != 0 {
            rest &= !bit.cast_unsigned();
            text.push_str(if text.is_empty() { "" } else { "|" });
            text.push_str(name);
        }
    }
    match (text.is_empty(), rest) {
        (true, _) => format!("{mask:#x}"),
        (false, 0) => text,
        (false, _) => format!("{text}|{rest:#x}"),
    }
}

impl World<'_> {
    /// Makes one wait on either side.
    pub fn wait_once(&mut self, pair: Pair, wait: Wait) -> (Answer, Answer, Round) {
        let (mut theirs, mut ours) = (Events::new(), Events::new());
        self.look_for_room(true);
        let before = self.connections();
        let (kernel, our) = if wait.ours_first {
            let our = wait_on_ours(pair.ours, &mut ours, wait);
            (wait_on_kernel(pair.kernel, &mut theirs, wait), our)
        } else {
            let kernel = wait_on_kernel(pair.kernel, &mut theirs, wait);
            (kernel, wait_on_ours(pair.ours, &mut ours, wait))
        };
        let after = self.connections();
        let moved = |one: &(u64, Movement)| (!before.contains(one)).then_some(one.0);
        self.crossing.extend(after.iter().filter_map(moved));
        // Or between this round and the previous one.
        let last = std::mem::replace(&mut self.last_round, after);
        let moved = |(data, now): &(u64, Movement)| {
            last.iter().any(|(of, before)| of == data && before != now).then_some(*data)
        };
        self.moved_between.extend(before.iter().filter_map(moved));
        let mut round = Round { kernel: theirs.reports(kernel), ours: ours.reports(our) };
        if self.log.is_some() {
            let text = format!(
                "    {} for {} events, {} ns: kernel {}; ours {}",
                ["epoll_wait", "epoll_pwait", "epoll_pwait2"].get(wait.call as usize).unwrap_or(&"wait"),
                wait.max,
                wait.ns,
                self.describe(kernel, &round.kernel),
                self.describe(our, &round.ours)
            );
            self.say(|| text);
        }
        self.forget_fleeting_room(&mut round, wait);
        (kernel, our, round)
    }

    /// Removes reports of room that the kernel takes away by itself, on a TCP connection when it
    /// splits the data to be sent, and on a terminal when it delivers. If the side that waited
    /// first found room, and there is none after both waits, the other side waited too late to find
    /// it. The same holds if the other side's wait had no space left for the event.
    fn forget_fleeting_room(&mut self, round: &mut Round, wait: Wait) {
        let (first, second) =
            if wait.ours_first { (&mut round.ours, &mut round.kernel) } else { (&mut round.kernel, &mut round.ours) };
        if first.len() == wait.max {
            self.forget_room_that_one_had(second, first);
        }
        self.forget_room_that_one_had(first, second);
    }

    fn forget_room_that_one_had(&mut self, first: &mut Vec<Report>, second: &[Report]) {
        let mut told_once = Vec::new();
        first.retain_mut(|(data, bits)| {
            let other = second.iter().find(|report| report.0 == *data).map(|report| report.1);
            let room = *bits & WRITABLE & !other.unwrap_or(0);
            let one = self.registrations.iter().rev().find(|one| one.data == *data);
            let Some(one) = one.filter(|one| room != 0 && self.is_out_of_room(one, room)) else { return true };
            *bits &= !room;
            // It was the edge; all other bits were reported with it.
            let gone = other.is_none() && (!one.is_level() || *bits == 0);
            if gone && one.events & libc::EPOLLONESHOT as u32 != 0 {
                told_once.push(*data);
            }
            !gone
        });
        for data in told_once {
            // It is spent on that side only.
            self.registration(data).into_iter().for_each(|one| one.tainted = true);
        }
    }

    /// Notes which TCP connections have become full without a refused write, without a call that
    /// would set SOCK_NOSPACE. The kernel looks at arrivals only in waits: `waits` says that one
    /// follows.
    pub fn look_for_room(&mut self, waits: bool) {
        let slept_on = self.crew.is_some();
        for at in 0..self.registrations.len() {
            let Registration { alive, file, room, .. } = self.registrations[at];
            if !alive || room == Room::Refused || !self.registrations[at].awaits_room() {
                continue;
            }
            let Some(fd) = self.number_of(file).filter(|_| self.files[file].kind == Kind::Tcp) else { continue };
            let now = match (room, calls::is_brimful(fd), calls::progress(fd)) {
                // A sleeping thread looks at once. If there is room again by then, the kernel may
                // have been woken because its own look found none, or because the poll of the
                // library's thread did.
                (Room::Gone(then), true, Some((_, _, now)))
                    if then != now && (waits || slept_on) && self.hears_arrivals(file) =>
                {
                    Room::Refused
                }
                (Room::Gone(_), false, _) => Room::Back,
                (Room::There | Room::Back, true, Some((_, _, now))) => Room::Gone(now),
                _ => room,
            };
            self.set_room(at, now);
        }
    }

    /// Whether an arrival makes the kernel look at the file.
    fn hears_arrivals(&self, file: usize) -> bool {
        const ARRIVAL: u32 = (libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLRDNORM | libc::EPOLLRDBAND) as u32;
        self.registrations.iter().any(|one| one.alive && one.file == file && one.events & ARRIVAL != 0)
    }

    /// Sets by which side's look the kernel is woken for room.
    pub fn set_room(&mut self, at: usize, now: Room) {
        let one = &mut self.registrations[at];
        let before = std::mem::replace(&mut one.room, now);
        if before != now && one.awaits_room() {
            let (pair, number) = (one.pair, one.number);
            self.say(|| format!("    room for {number} in instance {pair}: {before:?}, then {now:?}"));
        }
    }

    /// Notes that from here on the kernel wakes all registrations of a TCP connection for room.
    pub fn refuse_room(&mut self, file: usize) {
        for at in 0..self.registrations.len() {
            if self.registrations[at].alive && self.registrations[at].file == file {
                self.registrations[at].refused = self.step;
                self.set_room(at, Room::Refused);
            }
        }
    }

    /// Notes that a TCP connection may have had no room for a moment.
    pub fn miss_room(&mut self, file: usize) {
        for at in 0..self.registrations.len() {
            let Registration { alive, file: of, room, .. } = self.registrations[at];
            if alive && of == file && room == Room::There {
                self.set_room(at, Room::Back);
            }
        }
    }

    /// Notes that the kernel has reported room to a sleeping thread, in a step of several calls.
    pub fn found_room_in_passing(&mut self, data: u64) {
        let found = |one: &Registration| one.data == data && one.room == Room::Refused && one.refused < self.step;
        if let Some(at) = self.registrations.iter().rposition(found) {
            self.set_room(at, Room::There);
            self.look_for_room(false);
        }
    }

    /// Notes that the kernel has reported the registration with this data.
    pub fn looked_for_room_of(&mut self, data: u64) {
        if let Some(at) = self.registrations.iter().rposition(|one| one.data == data) {
            self.looked_for_room(at);
        }
    }

    /// Notes that the kernel has looked at the levels of a registration.
    pub fn looked_for_room(&mut self, at: usize) {
        let file = self.registrations[at].file;
        if self.files[file].kind != Kind::Tcp {
            return;
        }
        // A look that finds no room lets the kernel wake all waiters of the connection later.
        if self.number_of(file).is_some_and(calls::is_brimful) {
            self.refuse_room(file);
        } else {
            self.set_room(at, Room::There);
        }
    }

    /// Whether a connection or a terminal lacks the room that these levels report. A connection's
    /// level is read only if it seems to have no room, because a poll without room sets
    /// SOCK_NOSPACE and wakes its waiters later.
    fn is_out_of_room(&self, one: &Registration, levels: u32) -> bool {
        match self.files[one.file].kind {
            Kind::Tcp => self.number_of(one.file).is_some_and(calls::is_brimful) && !self.is_high(one, levels),
            Kind::Pty => !self.is_high(one, levels),
            _ => false,
        }
    }

    /// The progress of the watched TCP connections, themselves or in an instance, each with the
    /// data of its registration. Acknowledgements arrive when the kernel has the time, even between
    /// two waits.
    fn connections(&self) -> Vec<(u64, Movement)> {
        let waited = self.registrations.iter().filter(|one| one.alive && !one.is_level());
        let tcp = waited.map(|one| {
            let mut movement = Movement::new();
            self.add_progress(one.file, &mut movement);
            (one.data, movement)
        });
        tcp.filter(|(_, movement)| !movement.is_empty()).collect()
    }

    fn add_progress(&self, file: usize, movement: &mut Movement) {
        if self.files[file].kind == Kind::Tcp {
            movement.push(self.number_of(file).and_then(calls::progress));
        } else if let Some(inside) = self.inside(file) {
            let registered = self.registrations.iter().filter(|one| one.alive && one.pair == inside);
            registered.for_each(|one| self.add_progress(one.file, movement));
        }
    }

    /// The name of an instance.
    fn inside(&self, file: usize) -> Option<usize> {
        self.pairs.iter().position(|pair| pair.is_some_and(|pair| pair.file == file))
    }

    /// Waits on the one side of this process until it reports nothing more; before `brisk_until`
    /// only once.
    fn wait_alone(&mut self, pair: Pair, wait: Wait) {
        let mut all: Vec<(Report, u32)> = Vec::new();
        let brisk = self.step < self.brisk_until;
        for (look, us) in [0, 0, 100, 1000, 5000].into_iter().enumerate() {
            if us > 0 {
                std::thread::sleep(Duration::from_micros(us));
            }
            let wait = if look == 0 { wait } else { Wait::LOOK };
            let mut events = Events::new();
            let answer = if self.side == Side::Kernel {
                wait_on_kernel(pair.kernel, &mut events, wait)
            } else {
                wait_on_ours(pair.ours, &mut events, wait)
            };
            let reports = events.reports(answer);
            let cut_short = reports.len() == wait.max;
            for (data, bits) in reports {
                match all.iter_mut().find(|(report, _)| report.0 == data) {
                    Some((report, times)) => (report.1, *times) = (report.1 | bits, *times + 1),
                    None => all.push(((data, bits), 1)),
                }
            }
            if brisk && (look > 0 || !cut_short) {
                break;
            }
        }
        all.sort_unstable();
        let step = self.step;
        for (report, times) in all {
            let text = format!("{} {times} times", self.describe(Ok(0), &[report]));
            self.say(|| format!("    wait: {text}"));
            self.alone.push(Alone { step, data: report.0, text });
        }
    }

    pub fn describe(&self, answer: Answer, reports: &[Report]) -> String {
        if let Err(errno) = answer {
            return format!("errno {errno}");
        }
        let each = reports.iter().map(|&(data, events)| {
            let registration = self.registrations.iter().rev().find(|registration| registration.data == data);
            let number = registration.map_or(-1, |registration| registration.number);
            format!("{number}:{}", bits(events))
        });
        format!("[{}]", each.collect::<Vec<_>>().join(", "))
    }

    /// Waits on either side, and judges the reports.
    pub fn judge_wait(&mut self, name: usize, wait: Wait) {
        let Some(pair) = self.pair(name) else { return };
        if self.side != Side::Both {
            return self.wait_alone(pair, wait);
        }
        self.counts_of("waits");
        let (kernel, our, round) = self.wait_once(pair, wait);
        if kernel.is_err() || our.is_err() {
            if kernel != our {
                self.differing_answer("wait", Kind::Epoll, kernel, our);
            }
            return;
        }
        let cut_short = round.kernel.len() == wait.max || round.ours.len() == wait.max;
        let mut rounds = vec![round];
        if cut_short {
            let (_, _, rest) = self.wait_once(pair, Wait { ours_first: wait.ours_first, ..Wait::LOOK });
            rounds.push(rest);
        }
        self.judge(name, pair, rounds);
    }

    pub fn judge(&mut self, name: usize, pair: Pair, mut rounds: Vec<Round>) {
        let mut differences = self.compare(&rounds);
        let before = differences.len();
        // If there are many differences, a long wait for each has no point.
        let patience = if FOUND.load(Relaxed) < 30 { &PATIENCE_US[..] } else { &PATIENCE_US[..4] };
        for (look, &us) in patience.iter().enumerate() {
            let grave = |difference: &Difference| difference.what != What::Extra;
            let unlisted = |difference: &Difference| self.row(difference).is_none();
            let waits_for_more = differences
                .iter()
                .any(|difference| grave(difference) || (look < PATIENCE_FOR_EXTRAS && unlisted(difference)));
            if !waits_for_more {
                break;
            }
            if us > 0 {
                std::thread::sleep(Duration::from_micros(us));
            }
            let (_, _, round) = self.wait_once(pair, Wait::LOOK);
            rounds.push(round);
            differences = self.compare(&rounds);
        }
        if before > differences.len() {
            self.counts.add("late", (before - differences.len()) as u64);
        }
        self.conclude(Some(name), &rounds, differences);
    }

    pub fn compare(&self, rounds: &[Round]) -> Vec<Difference> {
        let registrations = &self.registrations;
        let find = |data: u64| registrations.iter().rev().find(|registration| registration.data == data);
        let differences = compare::compare(rounds, |data| find(data).map_or(Lasting::Level, |one| self.lasting(one)));
        let counts = |difference: &Difference| {
            find(difference.data).is_none_or(|one| {
                // Bytes written to a terminal arrive when a worker of the kernel has the time,
                // perhaps between the two waits of the previous step: then the other side has
                // already reported them. The same holds for acknowledgements, whose arrival the
                // judge can see.
                let [by_kernel, by_us] = one.reported_last;
                let early = match difference.what {
                    What::Lost => by_us,
                    What::Extra => by_kernel,
                    _ => false,
                };
                let is_terminal = self.is_terminal(one.file);
                let early = early && (one.crossed || is_terminal);
                // An arrival between the two waits of a round may be reported with the earlier
                // ones, or in the next round.
                let apart =
                    difference.what == What::Extra && difference.kernel != 0 && self.crossing.contains(&one.data);
                let bits = matches!(difference.what, What::FewerBits | What::MoreBits | What::OtherBits);
                // The room of a terminal may also have come and gone between the two waits of a
                // round.
                let fleeting = self.in_passing || self.files[one.file].kind == Kind::Pty;
                let gone = fleeting && !self.is_high(one, difference.kernel | difference.ours);
                // A terminal's delivery in pieces may make one report more on one side.
                let pieces = is_terminal
                    && matches!(difference.what, What::Lost | What::Extra)
                    && difference.kernel == difference.ours;
                // A one-shot reports the bits that are high at its turn, which may differ between
                // the sides.
                let moved = self.crossing.contains(&one.data) || self.moved_between.contains(&one.data);
                let turns = moved && one.events & libc::EPOLLONESHOT as u32 != 0;
                let passed = gone || pieces || bits && (self.in_passing || turns);
                let late = difference.what == What::Extra && one.owed > 0;
                let excused = self.is_excused(one, difference.what) || !bits && self.has_contest_inside(one.file);
                // A registration inside that differs may be ready on one side only.
                let tainted = one.tainted || self.has_inside(one.file, &|one| one.is_apart());
                !tainted && !excused && !early && !apart && !late && !passed
            })
        };
        differences.into_iter().filter(counts).collect()
    }

    /// How long reports of a registration continue.
    fn lasting(&self, one: &Registration) -> Lasting {
        match self.files[one.file].kind {
            _ if !one.is_level() => Lasting::Edge,
            Kind::Mounts if one.events & (libc::EPOLLIN | libc::EPOLLRDNORM) as u32 != 0 => Lasting::InPart,
            kind if kind.is_fleeting() => Lasting::Edge,
            _ => Lasting::Level,
        }
    }

    /// Whether the file is a terminal, or an instance with one in it.
    fn is_terminal(&self, file: usize) -> bool {
        let inside = self.pairs.iter().position(|pair| pair.is_some_and(|pair| pair.file == file));
        self.files[file].kind == Kind::Pty
            || self.registrations.iter().any(|one| one.alive && Some(one.pair) == inside && self.is_terminal(one.file))
    }

    /// Whether any of these levels lasts.
    fn is_high(&self, one: &Registration, levels: u32) -> bool {
        // A look would take the level.
        self.files[one.file].kind.is_fleeting()
            || self.number_of(one.file).is_none_or(|fd| kernel::level(fd, levels as i16) & levels as i16 != 0)
    }

    /// Whether a registration may be silent, or report, because another exclusive one of its
    /// description reported, or did not (X1): sweeps judge them all together. If it is the only one
    /// again, it must at least report its level.
    fn is_excused(&self, one: &Registration, what: What) -> bool {
        one.contested && (self.exclusive_on(one.file) > 1 || what != What::Lost || !one.is_level())
    }

    /// Whether the file is an instance whose readiness may depend on which of several exclusive
    /// registrations reported.
    fn has_contest_inside(&self, file: usize) -> bool {
        self.has_inside(file, &|one| one.contested)
    }

    /// Whether the file is an instance with such a registration in it, directly or in an inner
    /// instance.
    fn has_inside(&self, file: usize, is_such: &dyn Fn(&Registration) -> bool) -> bool {
        self.inside(file).is_some_and(|inside| self.has(inside, is_such))
    }

    /// Whether the instance of this name has such a registration in it, directly or in an inner
    /// instance.
    fn has(&self, name: usize, is_such: &dyn Fn(&Registration) -> bool) -> bool {
        let mut registered = self.registrations.iter().filter(|one| one.alive && one.pair == name);
        registered.any(|one| is_such(one) || self.has_inside(one.file, is_such))
    }

    pub fn exclusive_on(&self, file: usize) -> usize {
        let same = |other: &&Registration| other.alive && other.is_exclusive() && other.file == file;
        self.registrations.iter().filter(same).count()
    }

    fn case(&self, difference: &Difference) -> Case {
        let registration = self.registrations.iter().rev().find(|one| one.data == difference.data);
        let kind = registration.map_or(Kind::Epoll, |one| self.files[one.file].kind);
        let mut facts = registration.map_or([false; FACTS], |one| self.facts_since(one.reported, one.file));
        // A side that was woken for room that is gone again has looked, so it is woken for the next
        // room too.
        facts[Fact::Brimful as usize] = registration.is_some_and(|one| one.is_overfull() || one.differed);
        if let Some(one) = registration.filter(|_| kind == Kind::Tcp) {
            // An arrival wakes only those who ask for one.
            const ARRIVAL: u32 = READABLE | libc::EPOLLPRI as u32;
            let has_come = self.received(one.file) != one.received;
            facts[Fact::Arrived as usize] = has_come && one.events & ARRIVAL != 0;
        }
        facts[Fact::Sharing as usize] = registration.is_some_and(|one| self.is_sharing(one));
        facts[Fact::SeenFromOutside as usize] = registration.is_some_and(|one| self.is_seen_from_outside(one));
        facts[Fact::Repeated as usize] = registration.is_some_and(|one| {
            let was_shown = one.shown != 0 && difference.kernel & !one.shown == 0;
            // A report without room carries no news of room, whatever was refused before it.
            let may_be_room = one.events & WRITABLE & difference.kernel != 0;
            was_shown && (!may_be_room || one.room == Room::There)
        });
        facts[Fact::Rivals as usize] = registration.is_some_and(|one| self.has_rivals_beside(one));
        let edge = registration.is_some_and(|one| !one.is_level());
        let bits = match difference.what {
            What::Extra | What::Twice => difference.ours,
            What::Lost => difference.kernel,
            _ => difference.kernel ^ difference.ours,
        };
        Case { what: difference.what, kind, edge, inside: false, bits, facts }
    }

    /// Whether a poll for another registration can take the level that this one should report.
    fn is_sharing(&self, one: &Registration) -> bool {
        let same = |other: &&Registration| other.alive && other.file == one.file;
        self.files[one.file].kind.is_fleeting() && self.registrations.iter().filter(same).count() > 1
    }

    fn is_seen_from_outside(&self, one: &Registration) -> bool {
        let outer = self.pair(one.pair).map(|pair| pair.file);
        let is_inside = || self.registrations.iter().any(|other| other.alive && Some(other.file) == outer);
        let was_polled = || outer.is_some_and(|file| self.files[file].facts[Fact::SeenFromOutside as usize] > 0);
        self.files[one.file].kind.is_fleeting() && (is_inside() || was_polled())
    }

    /// Whether there are exclusive registrations of other descriptions with the same wait queue.
    fn has_rivals_beside(&self, one: &Registration) -> bool {
        let beside = |other: &Registration| other.alive && other.is_exclusive() && other.file != one.file;
        let kind = self.files[one.file].kind;
        // All lists of mounts of a process have one wait queue.
        let shares_queue = |other: usize| match kind {
            Kind::Fifo => self.queue_of(one.file).contains(&other),
            Kind::Mounts => self.files[other].kind == kind,
            _ => false,
        };
        one.is_exclusive() && self.registrations.iter().any(|other| beside(other) && shares_queue(other.file))
    }

    /// The state of a TCP connection, and the bytes that it has received.
    fn received(&self, file: usize) -> (u8, u64) {
        let fd = self.number_of(file).filter(|_| self.files[file].kind == Kind::Tcp);
        let (state, _, bytes) = fd.and_then(calls::progress).unwrap_or_default();
        (state, bytes)
    }

    /// Records what the registration's connection has received so far.
    pub fn take_down_received(&mut self, at: usize) {
        self.registrations[at].received = self.received(self.registrations[at].file);
    }

    /// The row that lists a difference. An instance shows the readiness of the registrations in it,
    /// and each wake-up of one of these is an edge of the instance, so the rows of edges apply
    /// there too.
    fn row(&self, difference: &Difference) -> Option<usize> {
        let one = self.registrations.iter().rev().find(|one| one.data == difference.data);
        self.case(difference)
            .row()
            .or_else(|| one.and_then(|one| self.row_inside(difference.what, one.file, one.reported)))
    }

    fn row_inside(&self, what: What, file: usize, since: u32) -> Option<usize> {
        let inside = self.inside(file)?;
        let registered = self.registrations.iter().filter(|one| one.alive && one.pair == inside);
        let mut rows = registered.map(|one| {
            // While no thread waits on the inner instance, its ready items stay ready.
            let mut facts = self.facts_since(since.min(one.reported), one.file);
            facts[Fact::SeenFromOutside as usize] = self.files[one.file].kind.is_fleeting();
            // A lost report is recognized by the other levels.
            let always = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
            let bits = if what == What::Lost { self.level_of(one) } else { one.events | always };
            let case = Case { what, kind: self.files[one.file].kind, edge: true, inside: true, bits, facts };
            // The inner item is not reported, so the time of its last arrival is unknown.
            case.row().filter(|&row| !known::ROWS[row].between).or_else(|| self.row_inside(what, one.file, since))
        });
        rows.find_map(|row| row)
    }

    fn level_of(&self, one: &Registration) -> u32 {
        if self.files[one.file].kind.is_fleeting() {
            return one.events;
        }
        // The kernel reports these whether they are asked for or not.
        let always = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
        let desc = self.descs.iter().flatten().find(|desc| desc.file == one.file);
        let level = |fd| u32::from(kernel::level(fd, one.events as i16).cast_unsigned());
        desc.map_or(0, |desc| level(desc.fd) & (one.events | always))
    }

    fn facts_since(&self, step: u32, at: usize) -> [bool; FACTS] {
        let file = &self.files[at];
        let mut facts = file.facts.map(|at| at > step);
        facts[Fact::Uncounted as usize] |= file.datagrams > crate::steps::COUNTED;
        facts[Fact::PeerFull as usize] = file.peer.is_some_and(|peer| self.files[peer].datagrams > 10);
        facts[Fact::Closing as usize] = file.closing;
        facts[Fact::Urgent as usize] = file.got_urgent;
        facts[Fact::LowWater as usize] = file.low_water;
        let is_failed = |fd| crate::kernel::level(fd, 0) & libc::POLLERR != 0;
        facts[Fact::ErrorPending as usize] |= file.kind == Kind::Udp && self.number_of(at).is_some_and(is_failed);
        facts[Fact::EmptyPeeked as usize] = file.got_empty && file.facts[Fact::Peeked as usize] > 0;
        facts[Fact::Shut as usize] = file.shut_for_reading;
        facts[Fact::EmptyAtEnd as usize] = file.shut_for_reading && file.got_empty;
        let overfull = |one: &Registration| one.alive && one.file == at && one.is_overfull();
        facts[Fact::Brimful as usize] = self.registrations.iter().any(overfull);
        facts
    }

    /// Counts, notes findings, and updates the memory of reports.
    pub fn conclude(&mut self, name: Option<usize>, rounds: &[Round], differences: Vec<Difference>) {
        for difference in &differences {
            let case = self.case(difference);
            let row = self.row(difference);
            let number = self.registration(difference.data).map(|one| (one.pair, one.number, one.events, one.alive));
            let text = match number {
                Some((pair, number, events, alive)) => format!(
                    "{} in instance {pair}, registered as {}{}: kernel {}, ours {}",
                    number,
                    bits(events),
                    if alive { "" } else { " (and gone)" },
                    bits(difference.kernel),
                    bits(difference.ours)
                ),
                None => format!("data {:#x}, which nobody registered", difference.data),
            };
            self.find(case, Some(difference.data), row, text);
            // A one-shot that only one side has reported is spent on that side only.
            if let Some(registration) = self.registration(difference.data) {
                registration.tainted |= row.is_none() || registration.events & libc::EPOLLONESHOT as u32 != 0;
                registration.differed = true;
            }
        }
        let step = self.step;
        for registration in self.registrations.iter_mut().filter(|one| Some(one.pair) == name) {
            registration.reported_last = [false; 2];
            registration.crossed = self.crossing.contains(&registration.data);
            registration.owed = 0;
        }
        self.crossing.clear();
        self.taint_one_shots(rounds);
        self.moved_between.clear();
        self.last_round.clear();
        self.end_contests(rounds);
        for round in rounds {
            for &(data, _) in round.kernel.iter().filter(|report| is_in_both(round, report.0)) {
                self.registration(data).into_iter().for_each(|one| one.differed = false);
            }
            for (ours, reports) in [(false, &round.kernel), (true, &round.ours)] {
                for &(data, bits) in reports {
                    self.count_report(data, bits, ours, step);
                }
            }
        }
    }

    /// Marks one-shots that only one side has reported because of a contest: they are spent on that
    /// side only, even after the contest.
    fn taint_one_shots(&mut self, rounds: &[Round]) {
        for at in 0..self.registrations.len() {
            let Registration { contested, events, data, file, .. } = self.registrations[at];
            let reported =
                |side: fn(&Round) -> &Vec<Report>| rounds.iter().flat_map(side).any(|report| report.0 == data);
            let differs = reported(|round| &round.kernel) != reported(|round| &round.ours);
            if differs && events & libc::EPOLLONESHOT as u32 != 0 && (contested || self.has_contest_inside(file)) {
                self.registrations[at].tainted = true;
            }
        }
    }

    /// Ends the contest of a registration that is the only one again and was reported by both sides
    /// in one round: it is judged like any other.
    fn end_contests(&mut self, rounds: &[Round]) {
        for at in 0..self.registrations.len() {
            let Registration { contested, data, file, .. } = self.registrations[at];
            if contested && self.exclusive_on(file) < 2 && rounds.iter().any(|round| is_in_both(round, data)) {
                self.registrations[at].contested = false;
            }
        }
    }

    fn count_report(&mut self, data: u64, bits: u32, ours: bool, step: u32) {
        let Some(registration) = self.registration(data) else { return };
        registration.reported = step;
        registration.reported_last[usize::from(ours)] = true;
        registration.shown = if ours { registration.shown } else { bits };
        let (file, exclusive) = (registration.file, registration.is_exclusive());
        let overfull = registration.is_overfull();
        if !ours {
            let kind = self.files[file].kind;
            self.counts.report(kind);
            if kind == Kind::Tcp
                && let Some(at) = self.registrations.iter().rposition(|one| one.data == data)
            {
                self.take_down_received(at);
            }
            // Reports of sleeping threads were handled when they were made.
            if !self.in_passing {
                self.looked_for_room_of(data);
            } else if self.crew.is_some() && bits & WRITABLE != 0 {
                self.found_room_in_passing(data);
            }
        }
        if exclusive {
            let sweeping = self.sweeping;
            let entry = self.exclusive_entry(file);
            if ours {
                entry.ours = true;
            } else {
                // Outside a sweep the level may be gone before the others look.
                entry.kernel |= if sweeping { bits } else { 0 };
                entry.overfull |= overfull;
            }
        }
    }

    pub fn exclusive_entry(&mut self, file: usize) -> &mut Exclusive {
        let at = self.exclusive.iter().position(|entry| entry.file == file).unwrap_or_else(|| {
            self.exclusive.push(Exclusive { file, kernel: 0, ours: false, changed: false, overfull: false });
            self.exclusive.len() - 1
        });
        &mut self.exclusive[at]
    }

    /// Waits on every instance; then at least one of each description's exclusive registrations
    /// must have reported (X1).
    pub fn sweep(&mut self) {
        self.sweeping = true;
        for name in 0..self.pairs.len() {
            self.judge_wait(name, Wait::LOOK);
        }
        let missed = |world: &World<'_>| {
            let entries = world.exclusive.iter();
            entries.filter(|entry| entry.kernel != 0 && !entry.ours && !entry.changed).copied().collect::<Vec<_>>()
        };
        for us in PATIENCE_US {
            if missed(self).is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_micros(us));
            for name in 0..self.pairs.len() {
                self.judge_wait(name, Wait::LOOK);
            }
        }
        for entry in missed(self) {
            if self.exclusive_on(entry.file) > 1 {
                let kind = self.files[entry.file].kind;
                let rivals = self.registrations.iter().filter(|one| one.alive && one.file == entry.file);
                let since = rivals.map(|one| one.reported).min().unwrap_or(0);
                let mut facts = self.facts_since(since.min(self.swept), entry.file);
                facts[Fact::Brimful as usize] |= entry.overfull;
                let case = Case { what: What::Lost, kind, edge: true, inside: false, bits: entry.kernel, facts };
                let text = format!("no exclusive registration of the description reported {}", bits(entry.kernel));
                self.find(case, None, case.row(), text);
            }
        }
        // The kernel's side has yet to report a terminal's delivery between the two waits of this
        // sweep.
        let files = &self.files;
        self.exclusive.retain(|one| one.ours && one.kernel == 0 && files[one.file].kind == Kind::Pty);
        self.sweeping = false;
        self.swept = self.step;
    }

    /// Waits for one event at a time, as often as there are events: each must have had its turn
    /// (W3). A late event may spoil a round, so only a difference in several rounds counts.
    pub fn rotate(&mut self, name: usize) {
        let Some(pair) = self.pair(name) else { return };
        self.judge_wait(name, Wait::LOOK);
        if self.side != Side::Both {
            return;
        }
        for us in PATIENCE_US {
            let (_, _, all) = self.wait_once(pair, Wait::LOOK);
            let mut turns = Round::default();
            // Exclusive registrations come and go with the claims of others, and take a turn each
            // time.
            let contested =
                self.registrations.iter().filter(|one| one.alive && one.pair == name && one.contested).count();
            for _ in 0..all.kernel.len().max(all.ours.len()) + contested {
                let (_, _, one) = self.wait_once(pair, Wait { max: 1, ..Wait::LOOK });
                turns.kernel.extend(one.kernel);
                // A second turn counts as the first one; the test is that no registration is passed
                // over.
                let is_fresh = |one: &Report| turns.ours.iter().all(|turn| turn.0 != one.0);
                let fresh = one.ours.into_iter().filter(is_fresh).collect::<Vec<_>>();
                turns.ours.extend(fresh);
            }
            let rounds = [all, turns];
            let differences = self.compare(&rounds);
            if differences.is_empty() || us == PATIENCE_US[PATIENCE_US.len() - 1] {
                self.conclude(Some(name), &rounds, differences);
                return;
            }
            std::thread::sleep(Duration::from_micros(us));
        }
    }

    /// Compares poll on the descriptors of the instance (N1).
    pub fn judge_poll(&mut self, name: usize, events: i16) {
        let Some(pair) = self.pair(name) else { return };
        if self.side != Side::Both {
            std::thread::sleep(Duration::from_millis(1));
            let bits = if self.side == Side::Kernel {
                kernel::level(pair.kernel, events)
            } else {
                calls::poll(pair.ours, events).1
            };
            self.alone.push(Alone { step: self.step, data: u64::MAX, text: format!("poll {bits:#x}") });
            return;
        }
        // Exclusive registrations that compete are judged by sweeps.
        if self.registrations.iter().any(|one| one.alive && one.contested) || self.has(name, &|one| one.is_apart()) {
            return;
        }
        self.note(pair.file, Fact::SeenFromOutside);
        let mut seen = (0, 0);
        for us in PATIENCE_US {
            std::thread::sleep(Duration::from_micros(us));
            seen = (kernel::level(pair.kernel, events), calls::poll(pair.ours, events).1);
            if seen.0 == seen.1 {
                break;
            }
        }
        self.say(|| format!("poll of instance {name}: kernel {:#x}, ours {:#x}", seen.0, seen.1));
        if seen.0 != seen.1 {
            let what = if seen.1 == 0 { What::Lost } else { What::Extra };
            let case = Case { what, kind: Kind::Epoll, edge: false, inside: false, bits: 0, facts: [false; FACTS] };
            let of_pair = self.registrations.iter().filter(|one| one.alive && one.pair == name);
            let differences =
                of_pair.map(|one| Difference { what, data: one.data, kernel: one.events, ours: one.events });
            let row = differences.into_iter().find_map(|difference| self.row(&difference));
            self.find(case, None, row, format!("poll of instance {name}: kernel {:#x}, ours {:#x}", seen.0, seen.1));
        }
    }

    /// Makes a wait with invalid arguments.
    pub fn bad_wait(&mut self, name: usize, how: i64) {
        self.bad_wait_again(name, how, 3);
    }

    fn bad_wait_again(&mut self, name: usize, how: i64, patience: u32) {
        if self.side != Side::Both {
            return;
        }
        let pair = self.pair(name).unwrap_or(Pair { kernel: -1, ours: -1, file: 0 });
        let plain = self.desc(name).map_or(-1, |desc| desc.fd);
        let mut room = [epoll_event { events: 0, u64: 0 }; 2];
        let at = room.as_mut_ptr();
        let (kernel_fd, our_fd, at, max) = match how {
            0 => (pair.kernel, pair.ours, at, 0),
            1 => (pair.kernel, pair.ours, at, -1),
            2 => (pair.kernel, pair.ours, at, c_int::MAX),
            3 => (pair.kernel, pair.ours, std::ptr::null_mut(), 1),
            4 => (-1, -1, at, 1),
            5 => (plain, plain, at, 1),
            6 => (600, 600, std::ptr::null_mut(), 0),
            7 => (plain, plain, at, 0),
            _ => (plain, plain, std::ptr::without_provenance_mut(usize::MAX - 4096), 1),
        };
        // SAFETY: there is room for one event, or the kernel refuses the number or the address.
        let answers = unsafe { (kernel::epoll_wait(kernel_fd, at, max, 0), calls::epoll_wait(our_fd, at, max, 0)) };
        self.say(|| format!("bad wait {how} on instance {name}: kernel {:?}, ours {:?}", answers.0, answers.1));
        if answers.0 != answers.1 && patience > 0 {
            std::thread::sleep(Duration::from_millis(1));
            return self.bad_wait_again(name, how, patience - 1);
        }
        if answers.0 != answers.1 {
            // Without room for events the result shows whether there are any, which a valid wait
            // shows better.
            let found = self.findings.len();
            let mut apart = false;
            if let Some(pair) = self.pair(name) {
                let (_, _, round) = self.wait_once(pair, Wait::LOOK);
                apart = round.kernel.is_empty() != round.ours.is_empty();
                self.judge(name, pair, vec![round]);
            }
            let spoilt = self.registrations.iter().any(|one| one.alive && (one.tainted || one.contested));
            if how == 3 && (spoilt || apart || self.findings.len() > found) {
                return;
            }
            self.differing_answer(&format!("bad wait {how}"), Kind::Epoll, answers.0, answers.1);
        }
    }

    pub fn differing_answer(&mut self, call: &str, kind: Kind, kernel: Answer, ours: Answer) {
        self.find_answer(kind, format!("{call}: kernel {kernel:?}, ours {ours:?}"));
    }

    pub fn find_answer(&mut self, kind: Kind, text: String) {
        let case = Case { what: What::Answer, kind, edge: false, inside: false, bits: 0, facts: [false; FACTS] };
        self.find(case, None, None, text);
    }

    pub fn find(&mut self, case: Case, data: Option<u64>, row: Option<usize>, text: String) {
        self.counts.difference(case.what, case.kind, row);
        FOUND.fetch_add(u32::from(row.is_none()), Relaxed);
        if self.log.is_some() {
            let listed = row.map_or("", |_| " (listed)");
            let line = format!("    ** {}{listed}, {}: {text}", case.what.word(), case.kind.word());
            self.say(|| line);
        }
        self.findings.push(Finding { step: self.step, what: case.what, kind: case.kind, data, row, text });
    }

    pub fn counts_of(&mut self, name: &str) {
        self.counts.add(name, 1);
    }
}

/// Whether both sides reported the registration with this data.
fn is_in_both(round: &Round, data: u64) -> bool {
    [&round.kernel, &round.ours].into_iter().all(|side| side.iter().any(|report| report.0 == data))
}

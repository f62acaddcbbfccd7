//! A perturbed wait. The program sees one wait: signals are blocked between its pieces.

use std::ffi::c_int;

use arrayvec::ArrayVec;
use epolyfill_audit::{Mirror, Registration};
use epolyfill_chaos::{Decision, Kind as Chaos, Place, Plan, shuffle};
use epolyfill_facts::{Kind, NO_FD};
use epolyfill_rules::events::{EXCLUSIVE, HUP, IN, LEVELS, ONESHOT, RDHUP};
use nix::errno::Errno;

use super::edits::{Change, Edit, Edits, Frame, MOST, Packed};
use super::state::{Candidate, Masked, State};
use super::{Turn, is_delaying, modify, plan, record, uncover};
use crate::graph::file::kind;
use crate::see::calls::Wait;
use crate::see::recorder;
use crate::see::wait::{Limit, with_looks};
use crate::sys::{self, SigMask};
use crate::thread_exit;

/// How late a thread comes, and a wait times out.
const LATEST_NS: u64 = 5_000_000;
/// How long nothing must be ready before a wait ends with EINTR.
const IDLE_NS: u64 = 2_000_000;
/// The time for another thread to take the events.
const HANDOVER_NS: u32 = 1_000_000;
/// The most registrations of an instance that are looked at for a report in vain.
const MOST_IN_VAIN: usize = 64;

/// A registration that may be reported with nothing there.
type Vain = (Candidate, Decision);

/// A wait under way.
#[derive(Debug)]
struct Run<'a> {
    wait: &'a Wait,
    plan: &'a Plan,
    frame: Frame,
    tid: i32,
    /// The last wait of the thread ended with an EINTR of chaos.
    had_eintr: bool,
    /// Another thread had its chance.
    gave_way: bool,
    /// It has it now.
    gives_way: bool,
}

/// Makes a wait, perturbed where the plan says so. `whole` is the wait as the program called it,
/// `once` waits with another limit and perhaps a mask.
pub fn perturbed(wait: &Wait, whole: impl FnOnce() -> c_int, once: impl Fn(Limit, Option<SigMask>) -> c_int) -> c_int {
    let Some(mut run) = Run::begin(wait) else { return whole() };
    run.come_late();
    if wait.limit == Some(0) {
        // What the thread itself has caused shows in a wait that does not sleep.
        let n = whole();
        return run.shuffled(n);
    }
    let before = sys::swap_signal_mask(sys::ALL_SIGNALS);
    let mask = wait.mask.unwrap_or(before);
    let mut piece = |limit: Limit| with_looks(limit, Some(mask), || once(limit, Some(mask)), |l, m| once(l, Some(m)));
    let answer = run.make(&mut piece);
    let errno = sys::last_errno();
    sys::swap_signal_mask(before);
    if answer < 0 {
        sys::set_errno(errno);
    }
    answer
}

impl Run<'_> {
    /// Begins a wait. `None` if it cannot be perturbed at all.
    fn begin(wait: &Wait) -> Option<Run<'_>> {
        let plan = plan()?;
        let now = sys::now();
        let tid = sys::gettid();
        // A wait that did not return, because its thread was cancelled or left it, shows nothing.
        uncover(&|masked| masked.tid == tid || masked.due_ns + LATEST_NS < now);
        let (frame, had_eintr) = recorder::chaos(|state, mirror, _| {
            let (place, had_eintr) = state.begin_wait(tid)?;
            let instance = mirror.instance_of(wait.epfd)?;
            // An instance in another one, which would sleep.
            let is_inner = !mirror.registrations_of(wait.epfd).is_empty();
            (!is_inner).then_some((Frame { instance, place, began_ns: now }, had_eintr))
        })??;
        (wait.max > 0).then_some(Run { wait, plan, frame, tid, had_eintr, gave_way: false, gives_way: false })
    }

    /// A decision about the wait.
    fn decide(&self, kind: Chaos, most: u64) -> Option<Decision> {
        let place = self.frame.place;
        self.plan.decide(kind, place, most).map(|amount| Decision { kind, place, amount })
    }

    fn record(&self, decision: &Decision, fd: c_int) -> bool {
        record(decision, self.wait.epfd, fd)
    }

    /// `many`: the thread is late.
    fn come_late(&self) {
        if let Some(decision) = self.decide(Chaos::Many, LATEST_NS)
            && self.record(&decision, NO_FD)
        {
            sys::nap(decision.amount as u32);
        }
    }

    fn make(&mut self, piece: &mut dyn FnMut(Limit) -> c_int) -> c_int {
        self.repeat_edges();
        let eintr = self.decide(Chaos::Eintr, IDLE_NS).filter(|_| !self.had_eintr);
        let vain = self.vain();
        let late = self.decide(Chaos::Late, LATEST_NS).filter(|_| self.wait.limit.is_some());
        let end = self.wait.limit.map(|limit| sys::now().saturating_add(limit));
        let late_end = end.zip(late).map(|(end, late)| end.saturating_add(late.amount)).or(end);
        let mut idle = eintr.or(vain.map(|(_, decision)| decision)).map(|decision| decision.amount.min(IDLE_NS));
        let tid = self.tid;
        let n = loop {
            let n = self.part(late_end, idle, piece);
            let now = sys::now();
            let is_idle = idle.is_some() && n == 0;
            idle = None;
            match n {
                1.. => match self.edited(n) {
                    0 if std::mem::take(&mut self.gives_way) => sys::nap(HANDOVER_NS),
                    0 => {}
                    n => break self.shuffled(n),
                },
                0 if is_idle && vain.is_some_and(|vain| self.add_in_vain(&vain, 0)) => break 1,
                0 if is_idle && end.is_none_or(|end| now < end) && self.ends_with_eintr(eintr) => break -1,
                0 if late_end.is_some_and(|end| now >= end) => {
                    // What has arrived is shown with a last look. Without delays there is none: what
                    // arrives as a wait times out may be due to another thread.
                    break if uncover(&|masked| masked.tid == tid) { piece(Some(0)) } else { 0 };
                }
                0 => {
                    uncover(&|masked| masked.tid == tid && masked.due_ns <= now);
                }
                _ => break n,
            }
        };
        if let Some(late) = late.filter(|_| n >= 0 && end.is_some_and(|end| sys::now() > end)) {
            self.record(&late, NO_FD);
        }
        self.finish(n, vain)
    }

    /// Waits until something happens, or something is due.
    fn part(&self, end: Option<u64>, idle: Option<u64>, piece: &mut dyn FnMut(Limit) -> c_int) -> c_int {
        let due = if is_delaying() { recorder::chaos(|state, _, _| state.first_due_ns(self.tid)) } else { None };
        let now = sys::now();
        let until = [end, due.flatten()].into_iter().flatten().min().map(|ns| ns.saturating_sub(now));
        piece([until, idle].into_iter().flatten().min())
    }

    /// Ends the delays, and perhaps adds a report in vain.
    fn finish(&mut self, n: c_int, vain: Option<Vain>) -> c_int {
        let (tid, errno) = (self.tid, Errno::last_raw());
        uncover(&|masked| masked.tid == tid);
        Errno::set_raw(errno);
        let has_room = n > 0 && n < self.wait.max;
        n + c_int::from(has_room && vain.is_some_and(|vain| self.add_in_vain(&vain, n)))
    }

    /// `eintr`: sets errno.
    fn ends_with_eintr(&self, decision: Option<Decision>) -> bool {
        if !decision.is_some_and(|decision| self.record(&decision, NO_FD)) {
            return false;
        }
        recorder::chaos(|state, _, _| state.note_eintr(self.tid));
        sys::set_errno(Errno::EINTR);
        true
    }

    /// The events of a report of `n`.
    fn events(&mut self, n: c_int) -> &mut [Packed] {
        // SAFETY: the wait has written as many events, or there is room for them.
        unsafe { std::slice::from_raw_parts_mut(self.wait.events.cast::<Packed>(), n as usize) }
    }

    /// Holds events back; returns how many are left.
    fn edited(&mut self, n: c_int) -> c_int {
        let _turn = Turn::take();
        if let Some(edits) = self.given_way(n) {
            return self.apply(n, &edits);
        }
        let (plan, frame) = (self.plan, self.frame);
        let events = self.events(n);
        let edits = recorder::chaos(|state, mirror, _| state.edit(plan, mirror, frame, events));
        edits.map_or(n, |edits| self.apply(n, &edits))
    }

    /// `other`: all events go back, for another thread that waits.
    fn given_way(&mut self, n: c_int) -> Option<Edits> {
        if self.gave_way || n as usize > MOST {
            return None;
        }
        let decision = self.decide(Chaos::Other, 1)?;
        let frame = self.frame;
        let events = self.events(n);
        let candidates = recorder::chaos(|state, mirror, _| {
            let has_others = mirror.instance(frame.instance).is_some_and(|instance| instance.waiting > 1);
            has_others.then(|| state.candidates(mirror, frame, events))
        })??;
        if candidates.iter().flatten().any(|candidate| candidate.kind.may_show_once()) {
            return None;
        }
        (self.gave_way, self.gives_way) = (true, true);
        let mut decision = Some(decision);
        let mut edit = |candidate: Candidate| Some(Edit { change: Change::Hold, candidate, decision: decision.take() });
        candidates.into_iter().map(|candidate| candidate.map(&mut edit)).collect()
    }

    /// Makes the changes to a report; returns how many events are left. A change that cannot be
    /// made leaves its event as it is.
    fn apply(&mut self, n: c_int, edits: &Edits) -> c_int {
        let mut left = 0;
        for at in 0..n as usize {
            let edit = edits.get(at).copied().flatten();
            let change = edit.filter(|edit| self.carry_out(edit)).map_or(Change::Keep, |edit| edit.change);
            let events = self.events(n);
            let mut packed = events[at];
            match change {
                Change::Keep => {}
                Change::Part => packed.0.events &= !u32::from(HUP | RDHUP),
                Change::Hold | Change::Delay(_) | Change::Uncover => continue,
            }
            events[left] = packed;
            left += 1;
        }
        left as c_int
    }

    /// Makes a change in the instance.
    fn carry_out(&self, edit: &Edit) -> bool {
        let Candidate { registration, fd, events, data, .. } = edit.candidate;
        let epfd = self.wait.epfd;
        let is_done = match edit.change {
            Change::Keep => true,
            Change::Hold if edit.candidate.is_spent_by_report() => modify(epfd, fd, events, data),
            Change::Part if events & ONESHOT == 0 && edit.candidate.is_spent_by_report() => {
                modify(epfd, fd, events, data)
            }
            // The level is reported again, or when the program sets EPOLLONESHOT again.
            Change::Hold | Change::Part => true,
            Change::Uncover => {
                uncover(&|masked| masked.registration == registration);
                true
            }
            Change::Delay(ns) => {
                let due_ns = sys::now() + ns;
                thread_exit::arm();
                let masked = Masked { registration, epfd, fd, events, data, tid: self.tid, due_ns };
                modify(epfd, fd, events & !LEVELS, data)
                    && recorder::chaos(|state, _, _| state.mask(masked))
                        .unwrap_or_else(|| modify(epfd, fd, events, data))
            }
        };
        if is_done && edit.change != Change::Part {
            recorder::chaos(|state, _, _| state.hold(registration.0));
        }
        if let Some(decision) = edit.decision.filter(|_| is_done) {
            self.record(&decision, fd);
        }
        is_done
    }

    /// Puts the events of a report in another order.
    fn shuffled(&mut self, n: c_int) -> c_int {
        if n < 2 {
            return n;
        }
        let Some(decision) = self.decide(Chaos::Shuffle, u32::MAX.into()) else { return n };
        let frame = self.frame;
        let events = self.events(n);
        let places: ArrayVec<usize, MOST> = recorder::chaos(|state, mirror, _| {
            let candidates = state.candidates(mirror, frame, events);
            let mut is_outside = |candidate: &Option<Candidate>| {
                candidate.as_ref().is_some_and(|candidate| state.is_outside(mirror, candidate))
            };
            (0..candidates.len()).filter(|at| is_outside(&candidates[*at])).collect()
        })
        .unwrap_or_default();
        if places.len() > 1 && self.record(&decision, NO_FD) {
            shuffle(self.events(n), &places, decision.amount);
        }
        n
    }

    /// `again`: an edge whose data is unread comes once more.
    fn repeat_edges(&mut self) {
        if !self.plan.has(Chaos::Again) {
            return;
        }
        let _turn = Turn::take();
        let (frame, tid) = (self.frame, self.tid);
        let reported = recorder::chaos(|state, _, _| state.reported(tid)).unwrap_or_default();
        for registration in reported {
            let place = Place { registration: registration.1, ..frame.place };
            let Some(amount) = self.plan.decide(Chaos::Again, place, 1) else { continue };
            let candidate = recorder::chaos(|state, mirror, _| {
                mirror.still(registration)?;
                let candidate = state.candidate_of(mirror, frame.instance, frame.began_ns, registration.0)?;
                state.is_outside(mirror, &candidate).then_some(candidate)
            });
            let Some(Candidate { fd, kind: Kind::Tcp, events, data, .. }) = candidate.flatten() else { continue };
            let is_unread = sys::ioctl_int(fd, libc::FIONREAD).is_ok_and(|bytes| bytes > 0);
            let decision = Decision { kind: Chaos::Again, place, amount };
            if is_unread && events & ONESHOT == 0 && is_nonblocking(fd) && self.record(&decision, fd) {
                modify(self.wait.epfd, fd, events, data);
            }
        }
    }

    /// `vain`: a registration that this wait may report with nothing there.
    fn vain(&self) -> Option<Vain> {
        if !self.plan.has(Chaos::Vain) {
            return None;
        }
        let Frame { instance, place, began_ns } = self.frame;
        recorder::chaos(|state, mirror, _| {
            let registrations = &mirror.instance(instance)?.registrations;
            registrations.iter().take(MOST_IN_VAIN).find_map(|id| {
                let place =
                    Place { registration: mirror.registration(*id).filter(|it| is_vain(mirror, it))?.serial, ..place };
                let amount = self.plan.decide(Chaos::Vain, place, IDLE_NS)?;
                let candidate = state.candidate_of(mirror, instance, began_ns, *id)?;
                Some((candidate, Decision { kind: Chaos::Vain, place, amount }))
            })
        })?
    }

    /// Adds a report in vain behind `n` events.
    fn add_in_vain(&mut self, (candidate, decision): &Vain, n: c_int) -> bool {
        let _turn = Turn::take();
        let Candidate { registration, fd, events, data, .. } = *candidate;
        let frame = self.frame;
        let is_still = |state: &mut State, mirror: &Mirror| {
            mirror.still(registration).is_some()
                && state.candidate_of(mirror, frame.instance, frame.began_ns, registration.0).is_some()
        };
        let is_reported = self.events(n).iter().any(|packed| { packed.0.u64 } == data);
        let may_be = !is_reported
            && recorder::chaos(|state, mirror, _| is_still(state, mirror)).unwrap_or(false)
            && is_nonblocking(fd)
            // A listener that was shut down can be a connection by now.
            && can_be_vain(kind::identify(fd))
            && sys::level(fd, IN) & IN == 0;
        if !may_be || !self.record(decision, fd) {
            return false;
        }
        let event = libc::epoll_event { events: events & u32::from(IN), u64: data };
        self.events(n + 1)[n as usize] = Packed(event);
        true
    }
}

/// Whether a registration can be reported with nothing there.
fn is_vain(mirror: &Mirror, registration: &Registration) -> bool {
    let can = mirror.file(registration.file).is_some_and(|file| can_be_vain(file.kind));
    can && registration.events & u32::from(IN) != 0 && registration.events & (ONESHOT | EXCLUSIVE) == 0
}

fn can_be_vain(kind: Kind) -> bool {
    matches!(kind, Kind::Udp | Kind::TcpListener | Kind::UnixListener)
}

fn is_nonblocking(fd: c_int) -> bool {
    sys::fcntl(fd, libc::F_GETFL, 0).is_ok_and(|flags| flags & libc::O_NONBLOCK != 0)
}

//! The rules. Each module has the rules of one subject, with the state that they keep for a file, a
//! registration, an instance, a thread or the process.

pub mod astray;
pub mod away;
pub mod batches;
pub mod blocking;
pub mod controls;
pub mod ended;
pub mod foreign;
pub mod ghosts;
pub mod herd;
pub mod kinder;
pub mod numbers;
pub mod oneshot;
pub mod pace;
pub mod room;
pub mod share;
mod sites;
pub mod sleep;
pub mod spins;
pub mod stale;
#[cfg(test)]
pub(crate) mod testing;
pub mod timeouts;
pub mod tls;
pub mod together;
pub mod unread;
pub mod waits;

use epolyfill_facts::{Fact, NO_FD, Op, Start};

use crate::auditor::Context;
use crate::mirror::FileId;

/// Milliseconds in nanoseconds.
pub(crate) const fn ms(n: u64) -> u64 {
    n * 1_000_000
}

/// The state of the rules for an open file description.
#[derive(Debug, Default)]
pub struct OfFile {
    pub(crate) astray: astray::OfFile,
    pub(crate) away: away::OfFile,
    pub(crate) blocking: blocking::OfFile,
    pub(crate) ended: ended::OfFile,
    pub(crate) herd: herd::OfFile,
    pub(crate) numbers: numbers::OfFile,
    pub(crate) room: room::OfFile,
    pub(crate) share: share::Share,
    pub(crate) spins: spins::OfFile,
    pub(crate) together: together::OfFile,
    pub(crate) unread: unread::OfFile,
}

/// The state of the rules for a registration.
#[derive(Debug, Default)]
pub struct OfRegistration {
    pub(crate) kinder: kinder::OfRegistration,
    pub(crate) numbers: numbers::OfRegistration,
    pub(crate) oneshot: oneshot::OfRegistration,
    pub(crate) room: room::OfRegistration,
    pub(crate) share: share::Share,
    pub(crate) spins: spins::OfRegistration,
    pub(crate) unread: unread::OfRegistration,
}

/// The state of the rules for an instance.
#[derive(Debug, Default)]
pub struct OfInstance {
    pub(crate) controls: controls::OfInstance,
    pub(crate) foreign: foreign::OfInstance,
    pub(crate) ghosts: ghosts::OfInstance,
    pub(crate) numbers: numbers::OfInstance,
    pub(crate) oneshot: oneshot::OfInstance,
    pub(crate) sleep: sleep::OfInstance,
    pub(crate) unread: unread::OfInstance,
}

/// The state of the rules for a thread.
#[derive(Debug, Default)]
pub struct OfThread {
    pub(crate) away: away::OfThread,
    pub(crate) batches: batches::OfThread,
    pub(crate) oneshot: oneshot::OfThread,
    pub(crate) sleep: sleep::OfThread,
    pub(crate) stale: stale::OfThread,
    pub(crate) timeouts: timeouts::OfThread,
    pub(crate) waits: waits::OfThread,
}

/// The state of the rules for the process.
#[derive(Debug, Default)]
pub struct OfProcess {
    /// When the process last forked.
    pub(crate) forked_ns: u64,
    astray: astray::OfProcess,
    ended: ended::OfProcess,
    foreign: foreign::OfProcess,
    oneshot: oneshot::OfProcess,
    pub(crate) ghosts: ghosts::OfProcess,
    pub(crate) numbers: numbers::OfProcess,
    room: room::OfProcess,
    tls: tls::OfProcess,
    unread: unread::OfProcess,
}

/// The process starts; the mirror is that of the new process.
pub(crate) fn start(cx: &mut Context<'_>, state: &mut OfProcess, start: Start) {
    astray::start(&mut state.astray);
    ended::start(&mut state.ended);
    foreign::start(cx, &mut state.foreign, start);
    oneshot::start(cx, &mut state.oneshot);
    room::start(cx, &mut state.room);
    tls::start(&mut state.tls);
    unread::start(cx, &mut state.unread);
}

/// A thread begins to wait. Its last report is still in its batch.
pub(crate) fn before_wait(cx: &mut Context<'_>, state: &mut OfProcess, epfd: i32, timeout_ns: i64) {
    away::before_wait(cx, timeout_ns);
    numbers::before_wait(&mut state.numbers);
    stale::before_wait(cx);
    let sleeps = timeout_ns != 0;
    kinder::before_wait(cx, sleeps);
    oneshot::before_wait(cx);
    room::before_wait(cx, &mut state.room, sleeps);
    tls::before_wait(cx, &mut state.tls, &state.room, sleeps);
    if let Some(instance) = cx.mirror.instance_of(epfd) {
        unread::before_wait(cx, &state.room, instance, sleeps);
    }
    let began_ns = cx.stamp.ns;
    if let Ok(thread) = cx.mirror.thread_mut(cx.stamp.tid) {
        thread.state.sleep = sleep::OfThread { began_ns, timeout_ns };
    }
}

/// A wait returned; the thread's batch has its events, and the registrations that it spends are not
/// yet marked.
pub(crate) fn after_wait(cx: &mut Context<'_>, state: &mut OfProcess, report: &Fact<'_>) {
    away::after_wait(cx, report);
    batches::after_wait(cx, report);
    controls::after_wait(cx, report);
    foreign::after_wait(cx, &mut state.foreign, report);
    ghosts::after_wait(cx, report);
    numbers::after_wait(cx);
    spins::after_wait(cx, report);
    timeouts::after_wait(cx, report);
    waits::after_wait(cx, report);
    let Some(thread) = cx.mirror.thread(cx.stamp.tid) else { return };
    let (instance, sleep) = (thread.instance, (thread.state.sleep.began_ns, thread.state.sleep.timeout_ns));
    if let Some(instance) = instance {
        unread::after_wait(cx, instance);
    }
    let again = pace::Again::new(cx, sleep.0, sleep.1);
    tls::after_wait(cx, &mut state.tls, again);
    let mut at = 0;
    while let Some(batched) = cx.mirror.thread(cx.stamp.tid).and_then(|thread| thread.batch.get(at)) {
        at += 1;
        let bits = batched.event.bits;
        if let Some((id, _)) = batched.registration {
            astray::told(cx, id, bits);
            ended::told(cx, &mut state.ended, id, bits);
            kinder::told(cx, id, bits);
            share::told(cx, id);
            oneshot::told(cx, id, bits);
            room::told(cx, &mut state.room, id, bits, again);
            unread::told(cx, &mut state.unread, id, bits, again);
        }
    }
}

/// A call on a descriptor returned. The bytes that it took are not yet counted.
pub(crate) fn call(cx: &mut Context<'_>, state: &mut OfProcess, call: &Fact<'_>) {
    away::call(cx, call);
    blocking::call(cx, call);
    let Fact::Call { fd, .. } = *call else { return };
    of_kind(cx, state, call);
    numbers::call(cx, &mut state.numbers, fd);
    spins::call(cx, call);
    stale::call(cx, call);
    timeouts::call(cx);
    oneshot::call(cx, fd);
    room::call(cx, &mut state.room, call);
    if let Some(file) = cx.mirror.file_of(fd) {
        unread::call(cx, &mut state.unread, file, call);
    }
}

/// A TLS library has returned bytes of a connection, and holds more.
pub(crate) fn tls_read(cx: &mut Context<'_>, state: &mut OfProcess, fd: i32, pending: u64, began_ns: u64) {
    tls::read(cx, &mut state.tls, fd, pending, began_ns);
}

/// The rules about some kinds of files.
fn of_kind(cx: &mut Context<'_>, state: &mut OfProcess, call: &Fact<'_>) {
    let Fact::Call { fd, other, .. } = *call else { return };
    astray::after_close(cx, &mut state.astray, call);
    for fd in [fd, other].into_iter().filter(|fd| *fd != NO_FD) {
        let Some(id) = cx.mirror.file_of(fd) else { continue };
        let Some(kind) = cx.mirror.file(id).map(|file| file.kind) else { continue };
        if kind.is_connection() {
            ended::call(cx, &mut state.ended, fd, call);
            together::call(cx, id, call);
        } else if kind.is_eventfd() {
            astray::call(cx, &mut state.astray, id, call);
        } else if herd::is_for_one(kind) {
            herd::call(cx, id, call);
        } else if kinder::is_repeated(kind) {
            kinder::call(cx, fd, call);
        }
    }
}

/// A control call returned; the mirror is as before it.
pub(crate) fn before_control(cx: &mut Context<'_>, state: &mut OfProcess, control: &Fact<'_>) {
    numbers::before_control(cx, &mut state.numbers, control);
    spins::before_control(cx, control);
    controls::control(cx, control);
    ended::control(cx, &mut state.ended, control);
    foreign::control(cx, &mut state.foreign, control);
    let Fact::Control { epfd, op, fd, errno: 0, .. } = *control else { return };
    let known = cx.mirror.instance_of(epfd).and_then(|instance| cx.mirror.find(instance, fd));
    if let Some(id) = known.filter(|_| Op::from_number(op) == Some(Op::Del)) {
        oneshot::ended(cx, &mut state.oneshot, id);
    }
}

/// A control call returned; the mirror is as after it.
pub(crate) fn after_control(cx: &mut Context<'_>, state: &mut OfProcess, control: &Fact<'_>) {
    ghosts::after_control(cx, control);
    numbers::after_control(cx, &mut state.numbers, control);
    let Fact::Control { epfd, fd, errno: 0, .. } = *control else { return };
    let Some(id) = cx.mirror.instance_of(epfd).and_then(|instance| cx.mirror.find(instance, fd)) else { return };
    oneshot::modified(cx, &mut state.oneshot, id);
    room::modified(cx, id);
    unread::modified(cx, id);
    sleep::added(cx, id);
}

/// A number is about to be closed; the mirror still has it.
pub(crate) fn close(cx: &mut Context<'_>, state: &mut OfProcess, fd: i32) {
    astray::close(cx, &mut state.astray, fd);
    ended::close(cx, &mut state.ended, fd);
    ghosts::close(cx, &mut state.ghosts, fd);
    numbers::close(cx, &mut state.numbers, fd);
    stale::close(cx, fd);
    tls::close(&mut state.tls, fd);
    let mut at = 0;
    while let Some(&id) = cx.mirror.registrations_of(fd).get(at) {
        at += 1;
        oneshot::ended(cx, &mut state.oneshot, id);
    }
    unread::close(cx, &mut state.unread, fd);
    if let Some(file) = cx.mirror.file_of(fd) {
        room::close(cx, &mut state.room, file);
    }
}

/// A number is about to get another; the mirror does not have it yet.
pub(crate) fn duplicate(state: &mut OfProcess, from: i32, to: i32) {
    astray::replaced(&mut state.astray, to);
    unread::duplicated(&mut state.unread, from);
}

/// The process has forked.
pub(crate) fn fork(_cx: &mut Context<'_>, state: &mut OfProcess, _child: i32) {
    ghosts::fork(&mut state.ghosts);
}

/// The process is about to execute another program.
pub(crate) fn exec(cx: &mut Context<'_>, _state: &mut OfProcess) {
    foreign::exec(cx);
}

/// The process is about to end.
pub(crate) fn exit(cx: &mut Context<'_>, state: &mut OfProcess, status: i32) {
    ended::exit(cx, &mut state.ended);
    foreign::exit(cx, &mut state.foreign);
    numbers::exit(cx, &mut state.numbers, status);
    oneshot::exit(cx, &mut state.oneshot, &state.room);
    unread::exit(cx, &mut state.unread);
}

/// Called when a time that a rule asked for ([`Context::tick_at`], [`Context::look_at`]) has come.
pub(crate) fn tick(cx: &mut Context<'_>, state: &mut OfProcess, sleeper: Option<FileId>) {
    away::tick(cx);
    ghosts::tick(cx, &mut state.ghosts);
    astray::tick(cx, &mut state.astray);
    ended::tick(cx, &mut state.ended);
    foreign::tick(cx, &mut state.foreign);
    numbers::tick(cx, &mut state.numbers);
    if let Some(instance) = sleeper {
        oneshot::tick(cx, &mut state.oneshot, &state.room, instance);
        room::tick(cx, &mut state.room, instance);
        unread::tick(cx, &mut state.unread, &state.room, instance);
    }
}

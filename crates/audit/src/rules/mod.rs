//! The rules. Each module has the rules of one subject, with the state that they keep for a file, a
//! registration, an instance, a thread or the process.

#[cfg(test)]
pub(crate) mod testing;
pub mod waits;

use epolyfill_facts::{Fact, Start};

use crate::auditor::Context;

/// The state of the rules for an open file description.
#[derive(Debug, Default)]
pub struct OfFile {}

/// The state of the rules for a registration.
#[derive(Debug, Default)]
pub struct OfRegistration {}

/// The state of the rules for an instance.
#[derive(Debug, Default)]
pub struct OfInstance {}

/// The state of the rules for a thread.
#[derive(Debug, Default)]
pub struct OfThread {
    pub(crate) waits: waits::OfThread,
}

/// The state of the rules for the process.
#[derive(Debug, Default)]
pub struct OfProcess {}

/// The process starts; the mirror is that of the new process.
pub(crate) fn start(_cx: &mut Context<'_>, _state: &mut OfProcess, _start: Start) {}

/// A thread begins to wait. Its last report is still in its batch.
pub(crate) fn before_wait(_cx: &mut Context<'_>, _state: &mut OfProcess, _epfd: i32, _timeout_ns: i64) {}

/// A wait returned; the thread's batch has its events, and the registrations that it spends are not
/// yet marked.
pub(crate) fn after_wait(cx: &mut Context<'_>, _state: &mut OfProcess, report: &Fact<'_>) {
    waits::after_wait(cx, report);
}

/// A call on a descriptor returned. The bytes that it took are not yet counted.
pub(crate) fn call(_cx: &mut Context<'_>, _state: &mut OfProcess, _call: &Fact<'_>) {}

/// A control call returned; the mirror is as before it.
pub(crate) fn before_control(_cx: &mut Context<'_>, _state: &mut OfProcess, _control: &Fact<'_>) {}

/// A control call returned; the mirror is as after it.
pub(crate) fn after_control(_cx: &mut Context<'_>, _state: &mut OfProcess, _control: &Fact<'_>) {}

/// A number is about to be closed; the mirror still has it.
pub(crate) fn close(_cx: &mut Context<'_>, _state: &mut OfProcess, _fd: i32) {}

/// The process has forked.
pub(crate) fn fork(_cx: &mut Context<'_>, _state: &mut OfProcess, _child: i32) {}

/// The process is about to execute another program.
pub(crate) fn exec(_cx: &mut Context<'_>, _state: &mut OfProcess) {}

/// The process is about to end.
pub(crate) fn exit(_cx: &mut Context<'_>, _state: &mut OfProcess) {}

/// Called when a time that a rule asked for ([`Context::tick_at`]) has come.
pub(crate) fn tick(_cx: &mut Context<'_>, _state: &mut OfProcess) {}

//! The waits of the threads, for the rules about sleeps.

use epolyfill_facts::Kind;

use crate::auditor::Context;
use crate::mirror::{FileId, RegistrationId};

/// The last wait of a thread.
#[derive(Debug, Default)]
pub struct OfThread {
    /// When it began.
    pub(crate) began_ns: u64,
    /// Its time-out; -1 waits without limit.
    pub(crate) timeout_ns: i64,
}

/// What can end a wait on an instance.
#[derive(Debug, Default)]
pub struct OfInstance {
    has_timer: bool,
}

/// A registration is made, or its mask is set anew.
pub(crate) fn added(cx: &mut Context<'_>, id: RegistrationId) {
    let Some(registration) = cx.mirror.registration(id) else { return };
    let instance = registration.instance;
    if cx.mirror.file(registration.file).is_some_and(|file| file.kind == Kind::Timerfd)
        && let Some(instance) = cx.mirror.instance_mut(instance)
    {
        instance.state.sleep.has_timer = true;
    }
}

/// Whether a clock of the program can be running while it sleeps: the time-out of its wait, or a
/// timer in the instance.
pub(crate) fn is_clocked(cx: &Context<'_>, instance: FileId, timeout_ns: i64) -> bool {
    timeout_ns >= 0 || cx.mirror.instance(instance).is_some_and(|instance| instance.state.sleep.has_timer)
}

/// Whether all threads of an instance but this one are in a wait.
pub(crate) fn all_others(cx: &Context<'_>, instance: FileId, but: Option<i32>) -> bool {
    cx.mirror
        .threads()
        .all(|(tid, thread)| thread.instance != Some(instance) || thread.waits_since_ns.is_some() || Some(tid) == but)
}

//! The calls that the loader answers in the place of the kernel.

use epolyfill_sites::guest::{By, Call};
use libc::{ENOSYS, c_long};
use syscalls::raw_syscall;

use super::{exec, fork, memory, own_file, signals, threads};

/// Answers a call, or says who makes it.
pub unsafe extern "C" fn answer(call: &Call, result: &mut isize) -> By {
    fork::settle();
    if call.number as c_long == libc::SYS_clone && super::has_c() && is_vfork(call) {
        return By::Guest;
    }
    match answered(call) {
        Some(answer) => {
            *result = answer;
            By::Loader
        }
        None => By::Library,
    }
}

/// Whether a clone makes a process that has the guest's memory, and the guest waits for it.
fn is_vfork(call: &Call) -> bool {
    let has = |flag| call.arguments[0] & flag as usize != 0;
    has(libc::CLONE_VM) && has(libc::CLONE_VFORK) && !has(libc::CLONE_THREAD)
}

fn answered(call: &Call) -> Option<isize> {
    let arguments = &call.arguments;
    match call.number as c_long {
        libc::SYS_rt_sigaction => Some(signals::action(arguments)),
        libc::SYS_arch_prctl => threads::arch_prctl(arguments),
        libc::SYS_set_tid_address => Some(threads::set_tid_address(arguments[0])),
        // The heap of the process is libc's: there is no room for the guest's.
        libc::SYS_brk => Some(0),
        libc::SYS_clone => clone(call),
        libc::SYS_fork => fork(call),
        // Then a program uses clone.
        libc::SYS_clone3 => Some(-ENOSYS as isize),
        libc::SYS_exit => {
            threads::end();
            None
        }
        libc::SYS_execve => exec::execute(arguments),
        libc::SYS_readlink if is_own_file(arguments[0]) => Some(link(arguments[1], arguments[2])),
        libc::SYS_readlinkat if is_own_file(arguments[1]) => Some(link(arguments[2], arguments[3])),
        _ => follow(call),
    }
}

fn clone(call: &Call) -> Option<isize> {
    let has = |flag| call.arguments[0] & flag as usize != 0;
    match (has(libc::CLONE_THREAD), has(libc::CLONE_VM)) {
        (true, _) => Some(threads::create(call)),
        // The parent would run beside a child that has its thread's words in the library.
        (false, true) => Some(-ENOSYS as isize),
        // A child with another stack, or another thread pointer, cannot return over the loader's
        // frames. One with CLONE_VFORK would keep other threads from being made until it ends.
        (false, false) if call.arguments[1] != 0 || has(libc::CLONE_SETTLS) || has(libc::CLONE_VFORK) => None,
        (false, false) => fork(call),
    }
}

/// Forks beside no thread that begins or ends. A handler does not wait for those: it may have
/// interrupted a thread for which one of them waits. Nor does a child of vfork: it may be killed
/// meanwhile, and the threads of its parent wait for the end of the fork.
fn fork(call: &Call) -> Option<isize> {
    (!threads::has_interrupted() && !fork::is_borrowed()).then(|| fork::fork(call))
}

fn is_own_file(path: usize) -> bool {
    let mut buffer = [0; own_file::LONGEST_LINK];
    memory::string(path, &mut buffer).is_some_and(own_file::is_link)
}

/// readlink for the guest's file.
fn link(to: usize, bytes: usize) -> isize {
    let path = own_file::guest().to_bytes();
    let path = &path[..path.len().min(bytes)];
    if path.is_empty() {
        return -libc::EINVAL as isize;
    }
    memory::write(to, path).map_or_else(|error| error, |()| path.len() as isize)
}

/// The calls that follow a path, and which of their arguments it is.
const PATHS: [(c_long, usize); 4] =
    [(libc::SYS_open, 0), (libc::SYS_stat, 0), (libc::SYS_openat, 1), (libc::SYS_newfstatat, 1)];

/// Makes a call for the guest's file; `None` if it is not for that.
fn follow(call: &Call) -> Option<isize> {
    let number = call.number as c_long;
    let (_, place) = PATHS.iter().find(|(follows, _)| *follows == number)?;
    let mut arguments = call.arguments;
    let stays = number == libc::SYS_newfstatat && arguments[3] & libc::AT_SYMLINK_NOFOLLOW as usize != 0;
    if stays || !is_own_file(arguments[*place]) {
        return None;
    }
    arguments[*place] = own_file::guest().as_ptr().addr();
    let [a, b, c, d, ..] = arguments;
    // SAFETY: the path is valid; the rest is the guest's.
    Some(unsafe { raw_syscall!(call.number, a, b, c, d) as isize })
}

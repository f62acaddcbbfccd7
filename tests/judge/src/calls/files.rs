//! Files other than sockets and terminals: pipes, paths, timers, message queues.

use std::ffi::CString;
use std::ptr::null_mut;

use libc::{c_int, itimerspec, timespec};

use super::{Outcome, answer, errno, outcome};
use crate::kernel::Answer;

/// Closes through a stream.
pub fn close_stream(fd: c_int) -> Answer {
    let flags = status_flags(fd)?;
    let mode = match flags & libc::O_ACCMODE {
        libc::O_RDONLY => c"r",
        libc::O_WRONLY => c"w",
        _ => c"r+",
    };
    // SAFETY: the stream is closed once, and nothing else uses it.
    unsafe {
        let stream = libc::fdopen(fd, mode.as_ptr());
        if stream.is_null() {
            return Err(errno());
        }
        answer(libc::fclose(stream))
    }
}

fn status_flags(fd: c_int) -> Answer {
    // SAFETY: no pointers.
    answer(unsafe { libc::fcntl(fd, libc::F_GETFL) })
}

pub fn pair_of_pipes(flags: c_int) -> Result<[c_int; 2], i32> {
    let mut fds = [0; 2];
    // SAFETY: room for two.
    answer(unsafe { libc::pipe2(fds.as_mut_ptr(), flags | libc::O_NONBLOCK | libc::O_CLOEXEC) }).map(|_| fds)
}

pub fn open(path: &str, flags: c_int) -> Answer {
    let path = CString::new(path).map_err(|_| libc::EINVAL)?;
    // SAFETY: a terminated path.
    answer(unsafe { libc::open(path.as_ptr(), flags | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY, 0o600) })
}

pub fn make_fifo(path: &str) -> Answer {
    let path = CString::new(path).map_err(|_| libc::EINVAL)?;
    // SAFETY: a terminated path.
    answer(unsafe { libc::mkfifo(path.as_ptr(), 0o600) })
}

pub fn memory_file(size: i64) -> Answer {
    // SAFETY: a terminated name.
    let fd = answer(unsafe { libc::memfd_create(c"judge".as_ptr(), libc::MFD_CLOEXEC) })?;
    // SAFETY: no pointers.
    answer(unsafe { libc::ftruncate(fd, size) })?;
    Ok(fd)
}

pub fn watch_file(inotify: c_int, path: &str, mask: u32) -> Answer {
    let path = CString::new(path).map_err(|_| libc::EINVAL)?;
    // SAFETY: a terminated path.
    answer(unsafe { libc::inotify_add_watch(inotify, path.as_ptr(), mask) })
}

/// Sets a timer: the first expiration and the period, in nanoseconds.
pub fn set_timer(fd: c_int, first: i64, period: i64) -> Answer {
    let time = |ns: i64| timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 };
    let new = itimerspec { it_interval: time(period), it_value: time(first) };
    // SAFETY: the time is initialized; the old one is not requested.
    answer(unsafe { libc::timerfd_settime(fd, 0, &raw const new, null_mut()) })
}

/// The longest message in a queue.
pub const MESSAGE_BYTES: usize = 64;

/// Makes a message queue with room for `room` messages, and removes its name.
pub fn message_queue(name: u32, room: i64) -> Answer {
    let path = CString::new(format!("/judge-{}-{name}", std::process::id())).map_err(|_| libc::EINVAL)?;
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NONBLOCK | libc::O_CLOEXEC;
    // SAFETY: zeroes are a valid mq_attr; the path is terminated.
    unsafe {
        let mut attributes: libc::mq_attr = std::mem::zeroed();
        attributes.mq_maxmsg = room;
        attributes.mq_msgsize = MESSAGE_BYTES as i64;
        let queue = answer(libc::mq_open(path.as_ptr(), flags, 0o600, &raw mut attributes))?;
        libc::mq_unlink(path.as_ptr());
        Ok(queue)
    }
}

pub fn send_message(queue: c_int, message: &[u8]) -> Outcome {
    // SAFETY: the message is as long as it says.
    outcome(unsafe { libc::mq_send(queue, message.as_ptr().cast(), message.len(), 0) as isize }).map(|_| 1)
}

pub fn receive_message(queue: c_int) -> Outcome {
    let mut message = [0u8; MESSAGE_BYTES];
    // SAFETY: the buffer is as long as it says.
    outcome(unsafe { libc::mq_receive(queue, message.as_mut_ptr().cast(), message.len(), null_mut()) }).map(|_| 1)
}

/// The target of the symbolic link /proc/self/fd/N.
pub fn link_of(fd: c_int) -> String {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).map(|path| path.display().to_string()).unwrap_or_default()
}

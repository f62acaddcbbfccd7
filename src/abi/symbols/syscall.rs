//! `syscall()`, for programs that call by number and not by libc's names. libuv closes in this way,
//! and systemd waits.
//!
//! One table holds the names and the numbers together: each exported name of libc stands in the row
//! of the system call that it makes, or among those that make none by which a program could do the
//! same. An exported name that is in no row does not compile (`export!`), one in a row that is not
//! exported is dead code, and the table is held against `tests/symbols.list`.

#[cfg(target_arch = "x86_64")]
use std::arch::naked_asm;

use libc::{
    c_char, c_int, c_long, c_uint, c_void, epoll_event, fd_set, iovec, loff_t, mmsghdr, msghdr, nfds_t, off_t, pollfd,
};
use libc::{sigset_t, size_t, timespec};
use nix::errno::Errno;

use super::raw_call::RawCall;
use super::{controls, descriptors, exec, fork, libc_answer, polls, signal_waits, signals, sockets, transfers};
use crate::abi::own_signals::{self, WaitMask};
use crate::abi::served as epolls;
use crate::abi::sigsys::KernelAction;
use crate::edge::Facts;
use crate::graph::signal_numbers;
use crate::hooks;
use crate::life::exec_env::Strings;
use crate::life::process;
use crate::options::{self, Poller};
use crate::sleep::By;
use crate::sys::{self, SigMask};

/// Makes a call of the program's; reports an error as libc does.
type Row = fn(&RawCall) -> isize;

/// Makes the dispatch of `syscall()` and the list of the names from the table.
///
/// A row is `number(arguments) [names] => answer`. The answer is in libc's manner, and may use the
/// arguments and the call itself, under the name that the head gives to it. A row of a number that
/// some architectures lack still holds its names on those.
macro_rules! door {
    (
        rows($call:ident) {
            $($(#[$only:meta])? $number:ident($($argument:ident: $type:ty),*) [$($name:ident),*] => $answer:expr;)*
        }
        without_a_number { $($reason:literal [$($(#[$none_only:meta])? $none:ident),*];)* }
    ) => {
        /// The row of a number; `None` for a call that the library need not see.
        #[inline(always)] // Out of line, the dispatch would be a call and a second jump.
        fn row_of(number: c_long) -> Option<Row> {
            Some(match number {
                $(
                    $(#[$only])?
                    libc::$number => {
                        #[allow(unused_unsafe)] // Some rows only pass numbers on.
                        fn row($call: &RawCall) -> isize {
                            let [$($argument,)* ..] = $call.arguments;
                            $(let $argument = $argument as $type;)*
                            // SAFETY: who made the value answers for the arguments.
                            (unsafe { $answer }) as isize
                        }
                        row
                    }
                )*
                _ => return None,
            })
        }

        /// The names that stand in the table. `export!` asks for each of its own.
        #[allow(non_upper_case_globals)] // libc's own names.
        pub(super) mod listed {
            $($(pub const $name: () = ();)*)*
            $($($(#[$none_only])? pub const $none: () = ();)*)*
        }

        /// The numbers and the names of each row.
        #[cfg(test)]
        const ROWS: &[(&str, &[&str])] = &[$((stringify!($number), &[$(stringify!($name)),*])),*];

        /// The names that stand for no number, by the reason.
        #[cfg(test)]
        const NONE: &[(&str, &[&str])] = &[$(($reason, &[$($(#[$none_only])? stringify!($none)),*])),*];
    };
}

door! {
    rows(call) {
        // Descriptors.
        SYS_close(fd: c_int) [close, __close] => descriptors::close_by_number(fd, call);
        SYS_close_range(first: c_uint, last: c_uint, flags: c_uint) [close_range, closefrom] =>
            libc_answer(descriptors::close_numbers(first, last, flags).map(|()| 0));
        SYS_dup(fd: c_int) [dup] => descriptors::duplicate(fd, || call.make_int());
        #[cfg(target_arch = "x86_64")]
        SYS_dup2(old: c_int, new: c_int) [dup2, __dup2] =>
            descriptors::dup_onto(old, new, 0, || call.make_int());
        SYS_dup3(old: c_int, new: c_int, flags: c_int) [dup3] =>
            descriptors::dup_onto(old, new, flags, || call.make_int());
        SYS_fcntl(fd: c_int, command: c_int, argument: usize) [fcntl, fcntl64, __fcntl] =>
            descriptors::control_descriptor(fd, command, argument, || call.make_int());
        #[cfg(target_arch = "x86_64")]
        SYS_pipe(ends: *const c_int) [] => sockets::pair(ends, call.make_int());
        SYS_pipe2(ends: *const c_int, flags: c_int) [pipe, pipe2] =>
            { hooks::keeping_packets(flags); sockets::pair(ends, call.make_int()) };
        SYS_socket() [socket] => signal_numbers::note_made(call.make_int());
        SYS_socketpair(_domain: c_int, _kind: c_int, _protocol: c_int, ends: *const c_int) [socketpair] =>
            sockets::pair(ends, call.make_int());
        SYS_ioctl(fd: c_int, request: libc::Ioctl, argument: usize) [ioctl, tcflush, tcflow, tcsetattr] =>
            controls::any_ioctl(fd, request, argument, || call.make_int());
        SYS_lseek(fd: c_int, _offset: off_t, whence: c_int) [lseek, lseek64] =>
            controls::any_seek(fd, whence, || call.make() as off_t);

        // Instances.
        #[cfg(target_arch = "x86_64")]
        SYS_epoll_create(size: c_int) [epoll_create] => epolls::create(size);
        SYS_epoll_create1(flags: c_int) [epoll_create1] => epolls::create1(flags);
        SYS_epoll_ctl(epfd: c_int, op: c_int, fd: c_int, event: *const epoll_event) [epoll_ctl] =>
            epolls::ctl(epfd, op, fd, event);
        #[cfg(target_arch = "x86_64")]
        SYS_epoll_wait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) [epoll_wait] =>
            epolls::wait(By::Number, epfd, events, max, timeout);
        SYS_epoll_pwait(
            epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int, mask: *const sigset_t, bytes: size_t
        ) [epoll_pwait] =>
            epolls::pwait(By::Number, epfd, events, max, timeout, mask, bytes);
        SYS_epoll_pwait2(
            epfd: c_int, events: *mut epoll_event, max: c_int, limit: *const timespec, mask: *const sigset_t, bytes: size_t
        ) [epoll_pwait2] =>
            epolls::pwait2(By::Number, epfd, events, max, limit, mask, bytes);

        // Polls, which may look at instances.
        #[cfg(target_arch = "x86_64")]
        SYS_poll(set: *mut pollfd, n: nfds_t, timeout: c_int) [poll, __poll, __poll_chk] =>
            polls::poll_any(By::Number, set, n, timeout, || call.make_int());
        SYS_ppoll(set: *mut pollfd, n: nfds_t, limit: *mut timespec, mask: *const sigset_t, bytes: size_t)
            [ppoll, __ppoll_chk] =>
                polls::ppoll_by_number(set, n, limit, (mask, bytes), |mask| call.with(3, mask.addr()).make_int());
        #[cfg(target_arch = "x86_64")]
        SYS_select(n: c_int, r: *mut fd_set, w: *mut fd_set, e: *mut fd_set, limit: *mut libc::timeval)
            [select, __select] => polls::select_any(By::Number, n, [r, w, e], limit, || call.make_int());
        SYS_pselect6(
            n: c_int, r: *mut fd_set, w: *mut fd_set, e: *mut fd_set, limit: *mut timespec, sixth: usize
        ) [pselect] =>
            polls::pselect_by_number(n, [r, w, e], limit, sixth, |sixth| call.with(5, sixth).make_int());

        // Calls that take.
        SYS_read(fd: c_int, buffer: *mut c_void, n: size_t) [read, __read, __read_chk, eventfd_read] =>
            transfers::read_by_number(fd, buffer, n, call);
        SYS_readv(fd: c_int, iov: *const iovec, n: size_t) [readv] =>
            hooks::reading_vector(fd, iov, n, || call.make());
        SYS_preadv2(fd: c_int, iov: *const iovec, n: size_t, at: off_t) [preadv2, preadv64v2] =>
            if at == -1 { hooks::reading_vector(fd, iov, n, || call.make()) } else { call.make() };
        SYS_recvfrom(fd: c_int, _buffer: usize, n: size_t, flags: c_int)
            [recv, __recv_chk, recvfrom, __recvfrom_chk] => transfers::receive_by_number(fd, n, flags, call);
        SYS_recvmsg(fd: c_int, message: *const msghdr, flags: c_int) [recvmsg] =>
            hooks::receiving(fd, flags, || transfers::message_total(message), || call.make());
        SYS_recvmmsg(fd: c_int, messages: *mut mmsghdr, n: c_uint, flags: c_int) [recvmmsg] =>
            transfers::receive_messages(fd, messages, n, flags, || call.make());
        SYS_accept(fd: c_int) [accept] => hooks::accepting(fd, || call.make_int());
        SYS_accept4(fd: c_int) [accept4] => hooks::accepting(fd, || call.make_int());
        SYS_mq_timedreceive(queue: c_int) [mq_receive, mq_timedreceive] =>
            hooks::queueing(queue, Facts::READ_EAGAIN, || call.make());

        // Calls that give.
        SYS_write(fd: c_int, _buffer: usize, n: size_t) [write, __write, eventfd_write] =>
            transfers::write_by_number(fd, n, call);
        SYS_writev(fd: c_int, iov: *const iovec, n: size_t) [writev] =>
            hooks::writing_vector(fd, || transfers::total(iov, n), || call.make());
        SYS_pwritev2(fd: c_int, iov: *const iovec, n: size_t, at: off_t) [pwritev2, pwritev64v2] =>
            if at == -1 { hooks::writing_vector(fd, || transfers::total(iov, n), || call.make()) } else { call.make() };
        SYS_sendto(fd: c_int, _buffer: usize, n: size_t, flags: c_int) [send, __send, sendto] =>
            transfers::send_by_number(fd, n, flags, call);
        SYS_sendmsg(fd: c_int, message: *const msghdr, flags: c_int) [sendmsg] =>
            hooks::sending(fd, flags, || transfers::message_total(message), || call.make());
        SYS_sendmmsg(fd: c_int, messages: *mut mmsghdr, n: c_uint, flags: c_int) [sendmmsg] =>
            transfers::send_messages(fd, messages, n, flags, || call.make_int());
        SYS_sendfile(out: c_int, _input: c_int, _at: usize, n: size_t) [sendfile, sendfile64] =>
            hooks::sending_file(out, n, || call.make());
        SYS_mq_timedsend(queue: c_int) [mq_send, mq_timedsend] =>
            hooks::queueing(queue, Facts::NO_SPACE, || call.make());

        // Calls that move from one descriptor to another.
        SYS_splice(input: c_int, in_at: *mut loff_t, out: c_int, out_at: *mut loff_t, n: size_t, flags: c_uint)
            [splice] =>
                transfers::splice_any(input, !in_at.is_null(), out, !out_at.is_null(), n, flags, || call.make());
        SYS_tee(input: c_int, out: c_int, n: size_t, flags: c_uint) [tee] =>
            transfers::tee_any(input, out, n, flags, || call.make());
        SYS_vmsplice(fd: c_int, iov: *const iovec, n: size_t, flags: c_uint) [vmsplice] =>
            transfers::vmsplice_any(fd, iov, n, flags, || call.make());

        // Calls that change what a descriptor reports.
        SYS_connect(fd: c_int) [connect, __connect] => hooks::connecting(fd, || call.make_int());
        SYS_listen(fd: c_int) [listen] => hooks::listening(fd, || call.make_int());
        SYS_shutdown(fd: c_int, how: c_int) [shutdown] =>
            hooks::shutting_down(fd, how, || call.make_int());
        SYS_getsockopt(fd: c_int, level: c_int, name: c_int) [getsockopt] =>
            hooks::asking(fd, level, name, || call.make_int());
        SYS_setsockopt(fd: c_int, level: c_int, name: c_int) [setsockopt] =>
            hooks::setting(fd, level, name, || call.make_int());
        SYS_timerfd_settime(fd: c_int) [timerfd_settime] =>
            hooks::setting_timer(fd, || call.make_int());
        #[cfg(target_arch = "x86_64")]
        SYS_signalfd(fd: c_int, mask: *const sigset_t) [] =>
            hooks::masking_signals(fd, || signal_waits::without_own(mask, |mask| call.with(1, mask.addr()).make_int()));
        SYS_signalfd4(fd: c_int, mask: *const sigset_t) [signalfd] =>
            hooks::masking_signals(fd, || signal_waits::without_own(mask, |mask| call.with(1, mask.addr()).make_int()));
        SYS_rt_sigtimedwait(set: *const sigset_t) [sigwait, sigwaitinfo, sigtimedwait] =>
            signal_waits::without_own(set, |set| call.with(0, set.addr()).make());
        SYS_rt_sigpending(set: *mut sigset_t) [sigpending] => signal_waits::hide_own(set, call.make_int());

        // Processes.
        SYS_execve(path: *const c_char, words: Strings, environment: Strings)
            [execve, execv, execvp, execvpe, execl, execlp, execle] =>
                exec::by_number(path, words, environment, |passed| call.with(2, passed).make());
        SYS_execveat(_fd: c_int, _path: usize, _words: usize, environment: Strings) [execveat, fexecve] =>
            exec::open_by_number(environment, |passed| call.with(3, passed).make());
        #[cfg(target_arch = "x86_64")]
        SYS_fork() [] => fork::fork(call);
        SYS_clone(flags: u64, stack: u64) [_Fork] => fork::cloning(flags, stack, || call.make());
        SYS_clone3(arguments: usize, bytes: size_t) [] =>
            fork::clone3(arguments, bytes, || call.make());
        SYS_unshare(flags: c_int) [unshare] => fork::unshare_any(flags, || call.make_int());
        SYS_exit_group() [] => { process::exiting(); call.make() };

        // Signals, of which the library may need some for itself.
        SYS_rt_sigaction(signal: c_int, new: *const KernelAction, old: *mut KernelAction, bytes: size_t)
            [sigaction, __sigaction, signal, bsd_signal, ssignal, sysv_signal, __sysv_signal, sigset, sigignore, siginterrupt] =>
                signals::action_by_number(call, signal, new, old, bytes);
        SYS_rt_sigprocmask(how: c_int, set: *const SigMask, before: *mut SigMask, bytes: size_t)
            [sigprocmask, pthread_sigmask, sighold, sigrelse, sigblock, sigsetmask, siggetmask] =>
                if own_signals::are_any() {
                    libc_answer(own_signals::change_mask_at(how, set, before, bytes, 0).map(|()| 0)) as isize
                } else {
                    call.make()
                };
        SYS_rt_sigsuspend(mask: *const sigset_t) [sigsuspend, __sigsuspend, sigpause, __sigpause] =>
            { let mask = WaitMask::of(mask); call.with(0, mask.address().addr()).make() };

        // Calls that libc has no names for.
        SYS_io_submit(_context: usize, _n: usize, requests: *const *const _) [] =>
            hooks::submitting(requests, || call.make());
        SYS_io_uring_setup() [] => set_up_ring(call);
        SYS_io_uring_register(_fd: c_int, what: c_uint, argument: *const c_int) [] =>
            hooks::registering(what, argument, || call.make());
    }

    without_a_number {
        "the door itself" [syscall];
        "libc closes the descriptor of a stream amid other work"
            [fclose, pclose, closedir, freopen, freopen64];
        "a child of libc's own executes" [posix_spawn, posix_spawnp, system, popen];
        "libc keeps the mask for the new thread" [pthread_attr_setsigmask_np];
        "no system call, but a read of a TLS library"
            [#[cfg(feature = "see")] SSL_read, #[cfg(feature = "see")] SSL_read_ex, #[cfg(feature = "see")] gnutls_record_recv];
    }
}

/// Makes a system call by number for the program, and returns the kernel's result: a negative errno
/// on failure. The thread's errno stays as it was.
///
/// # Safety
/// The arguments must be valid for the call `number`, which must return on the caller's stack.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // `raw` is for x86_64 alone.
pub unsafe fn by_number(number: c_long, arguments: [usize; 6]) -> isize {
    // SAFETY: as for the caller.
    let call = unsafe { RawCall::new(number, arguments) };
    match row_of(number) {
        Some(row) => sys::kernel_result(|| row(&call)),
        None => call.make_plain(),
    }
}

/// io_uring_setup, which fails with ENOSYS unless `EPOLYFILL_IO_URING=1`, because epoll control
/// inside a ring would bypass the library.
fn set_up_ring(call: &RawCall) -> isize {
    if options::IO_URING.is_on() || options::poller() == Poller::Kernel {
        return call.make();
    }
    sys::set_errno(Errno::ENOSYS);
    -1
}

/// `syscall` for a call that returns on the caller's stack.
unsafe extern "C" fn served(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
    // SAFETY: as for libc's syscall.
    let call = unsafe { RawCall::new(number, [a, b, c, d, e, f]) };
    row_of(number).map_or_else(|| call.make(), |row| row(&call)) as c_long
}

/// Reports an error of the kernel as libc does.
#[cfg(target_arch = "x86_64")]
extern "C" fn failed(result: usize) -> c_long {
    sys::libc_result(result) as c_long
}

/// Makes any system call by number.
///
/// # Safety
/// As for libc's function of that name.
#[cfg_attr(all(feature = "interpose", not(test)), unsafe(no_mangle))]
#[unsafe(naked)]
// SAFETY: all arguments stay where `served` takes them, the last one on the stack. A clone whose
// child runs on another stack, or on this one while the parent waits, must find nothing of the
// library there: it is made here, like libc's, with the return address on top of the stack. For
// `leaves_the_frame` the argument registers are kept on the stack, and 8 bytes align it.
#[cfg(target_arch = "x86_64")]
pub unsafe extern "C" fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
    naked_asm!(
        ".cfi_startproc",
        // Zero for clone and vfork alone.
        "lea rax, [rdi - {clone}]",
        "test rax, -3",
        "jz 3f",
        "cmp rdi, {clone3}",
        "je 3f",
        "2:",
        "jmp {served}",
        "3:",
        "push rdi",
        "push rsi",
        "push rdx",
        "push rcx",
        "push r8",
        "push r9",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 56",
        "call {leaves}",
        "add rsp, 8",
        "pop r9",
        "pop r8",
        "pop rcx",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        ".cfi_adjust_cfa_offset -56",
        "test eax, eax",
        "jz 2b",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, [rsp + 8]",
        "syscall",
        "cmp rax, -4095",
        "jae 4f",
        "ret",
        "4:",
        "mov rdi, rax",
        "jmp {failed}",
        ".cfi_endproc",
        clone = const libc::SYS_clone,
        clone3 = const libc::SYS_clone3,
        served = sym served,
        leaves = sym fork::leaves_the_frame,
        failed = sym failed,
    )
}

#[cfg(target_arch = "x86_64")]
const _: () = {
    let () = listed::syscall;
    assert!(libc::SYS_vfork == libc::SYS_clone + 2);
};

#[cfg(not(target_arch = "x86_64"))]
use super::export;

#[cfg(not(target_arch = "x86_64"))]
export! {
    /// Makes any system call by number. It is variadic in C; on the supported architectures the
    /// arguments are passed where these parameters are.
    fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
        // SAFETY: as for libc's syscall.
        unsafe { served(number, a, b, c, d, e, f) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{NONE, ROWS};

    /// The names that the built library exports for libc's, by the list that `tests/check-symbols`
    /// holds against it.
    fn exported() -> BTreeSet<&'static str> {
        let list = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/symbols.list"));
        // The sanitizers' defaults are values and no calls.
        let is_call = |name: &&str| !name.contains("epolyfill_") && !name.contains("san_default_");
        list.lines().filter(|line| !line.starts_with('#')).filter(is_call).collect()
    }

    #[test]
    fn the_table_and_the_exports_have_the_same_names() {
        let rows = ROWS.iter().chain(NONE).flat_map(|(_, names)| *names).copied();
        let of_tls = ["SSL_read", "SSL_read_ex", "gnutls_record_recv"];
        let table: BTreeSet<_> = rows.filter(|name| !of_tls.contains(name)).collect();
        let exported = exported();
        let missing: Vec<_> = exported.difference(&table).collect();
        let unknown: Vec<_> = table.difference(&exported).collect();
        assert!(missing.is_empty(), "exported, but in no row: {missing:?}");
        assert!(unknown.is_empty(), "in a row, but not exported: {unknown:?}");
    }

    #[test]
    fn a_name_that_the_kernel_has_too_has_its_number() {
        let numbers: BTreeSet<_> = ROWS.iter().map(|(number, _)| *number).collect();
        for name in exported() {
            if name.parse::<syscalls::Sysno>().is_ok() {
                assert!(numbers.contains(format!("SYS_{name}").as_str()), "{name} has no number");
            }
        }
    }

    /// Where a child returns, and on which stack, decides about the others.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn instructions_of_the_program_reach_every_number_that_makes_no_child() {
        use epolyfill_sites::numbers;

        let names = ROWS.iter().map(|(number, _)| number.trim_start_matches("SYS_"));
        let served = names.filter(|name| !["fork", "clone", "clone3"].contains(name));
        let served: BTreeSet<_> = served.map(|name| name.parse::<syscalls::Sysno>().unwrap().id().into()).collect();
        let wanted = numbers::WANTED.iter().chain(numbers::OF_SIGNALS).copied();
        assert_eq!(served, BTreeSet::from_iter(wanted));
    }

    #[test]
    fn no_number_and_no_name_has_two_rows() {
        let numbers: BTreeSet<_> = ROWS.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers.len(), ROWS.len());
    }
}

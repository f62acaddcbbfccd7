//! The seccomp filter that makes calls at some instructions of the program raise SIGSYS.
//!
//! The filter outlives exec, and the handler does not: a call that is trapped in a program that has
//! no handler ends it. So the filter names single instructions, and is for programs at random
//! addresses only. What is executed later has an instruction at one of these addresses with a
//! probability below one in a million.

use arrayvec::ArrayVec;
use epolyfill_sites::numbers;
use libc::{c_int, sock_filter, sock_fprog};
use nix::errno::Errno;
use syscalls::{Sysno, syscall};

/// A trap of this filter has this si_errno, by which the handler knows it from those of others.
pub const MARK: u16 = 0x6570;

/// The kernel's own limit, BPF_MAXINSNS.
const MOST: usize = 4096;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Offsets into struct seccomp_data: the number, the architecture, and the address behind the
/// instruction, its low half first.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const NEXT: u32 = 8;
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

/// A filter under construction.
#[derive(Debug, Default)]
struct Filter(ArrayVec<sock_filter, MOST>);

impl Filter {
    /// Adds an instruction; E2BIG if it is one too many.
    fn put(&mut self, code: u16, k: u32, jt: u8, jf: u8) -> Result<(), Errno> {
        self.0.try_push(sock_filter { code, jt, jf, k }).map_err(|_| Errno::E2BIG)
    }

    fn allow(&mut self) -> Result<(), Errno> {
        self.put(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0)
    }

    /// Lets other numbers than the wanted ones pass. This comes first: the kernel remembers the
    /// numbers that a filter lets pass by the number alone.
    fn pass_other_numbers(&mut self) -> Result<(), Errno> {
        self.put(LOAD, ARCHITECTURE, 0, 0)?;
        self.put(EQUAL, AUDIT_ARCH_X86_64, 1, 0)?;
        self.allow()?;
        self.put(LOAD, NUMBER, 0, 0)?;
        let count = numbers::WANTED.len() + numbers::OF_SIGNALS.len();
        for (at, number) in numbers::WANTED.iter().chain(numbers::OF_SIGNALS).enumerate() {
            self.put(EQUAL, *number as u32, (count - at) as u8, 0)?;
        }
        self.allow()
    }

    /// Traps calls whose instruction ends at one of these addresses, which have the high half in
    /// common.
    fn trap(&mut self, ends: &[usize]) -> Result<(), Errno> {
        let Some(first) = ends.first() else { return Ok(()) };
        self.put(LOAD, NEXT + 4, 0, 0)?;
        self.put(EQUAL, (first >> 32) as u32, 1, 0)?;
        self.put(JUMP, 2 * ends.len() as u32 + 1, 0, 0)?;
        self.put(LOAD, NEXT, 0, 0)?;
        for end in ends {
            self.put(EQUAL, *end as u32, 0, 1)?;
            self.put(RETURN, libc::SECCOMP_RET_TRAP | u32::from(MARK), 0, 0)?;
        }
        Ok(())
    }

    /// Installs the filter, for this process and all that it starts, for ever.
    fn install(&mut self) -> Result<(), Errno> {
        let filter = sock_fprog { len: self.0.len() as u16, filter: self.0.as_mut_ptr() };
        // A process with CAP_SYS_ADMIN keeps its way to more privileges.
        match set(&filter) {
            Err(Errno::EACCES) => {
                control(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
                set(&filter)
            }
            other => other,
        }
    }
}

/// prctl.
fn control(what: c_int, first: usize, second: usize) -> Result<usize, Errno> {
    // SAFETY: the callers pass plain numbers, or a filter that is as long as it says.
    unsafe { syscall!(Sysno::prctl, what, first, second, 0, 0) }.map_err(errno)
}

fn errno(errno: syscalls::Errno) -> Errno {
    Errno::from_raw(errno.into_raw())
}

/// Installs a filter.
fn set(filter: &sock_fprog) -> Result<(), Errno> {
    const SET_MODE_FILTER: usize = 1;
    /// Kernels before 5.16 turn off speculation otherwise, which makes all code slower. Those before
    /// 4.17 do not know the flag.
    const SPEC_ALLOW: usize = 1 << 2;
    let address = std::ptr::from_ref(filter).addr();
    // A list of calls that somebody else has put on the process rarely has seccomp, and may end the
    // process; prctl is on such lists.
    if control(libc::PR_GET_SECCOMP, 0, 0) != Ok(0) {
        return control(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER as usize, address).map(drop);
    }
    // SAFETY: the filter is as long as it says.
    let call = |flags| unsafe { syscall!(Sysno::seccomp, SET_MODE_FILTER, flags, address) }.map_err(errno);
    match call(SPEC_ALLOW) {
        Err(Errno::EINVAL) => call(0).map(drop),
        other => other.map(drop),
    }
}

/// Makes the wanted calls raise SIGSYS if their instruction ends at one of these addresses, which
/// are in order.
pub fn install(ends: &[usize]) -> Result<(), Errno> {
    let mut filter = Filter::default();
    filter.pass_other_numbers()?;
    for ends in ends.chunk_by(|one, next| one >> 32 == next >> 32) {
        filter.trap(ends)?;
    }
    filter.allow()?;
    filter.install()
}

//! Files whose poll takes the level that it shows. A look of one side would hide the level from the
//! other, so each side has an open file description of its own. The library's side has the number
//! that the history knows, and the kernel's has the number `TWIN` above it, which the library never
//! sees.

use std::ffi::CString;
use std::ptr::null;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use libc::{c_char, c_int};

use crate::kernel::{self, Answer};

/// The distance from a number of the library's side to that of the kernel's.
const TWIN: c_int = 640;
/// The size of a perf event's ring: its header and one page of samples.
const RING: usize = 2 * PAGE;
const PAGE: usize = 4096;

/// From linux/perf_event.h.
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_PAGE_FAULTS: u64 = 2;
const PERF_SAMPLE_IP: u64 = 1;
const PERF_ATTR_SIZE_VER0: u32 = 64;
const DISABLED: u64 = 1;
const EXCLUDE_KERNEL: u64 = 1 << 5;
const EXCLUDE_HV: u64 = 1 << 6;
const PERF_FLAG_FD_CLOEXEC: usize = 8;
const PERF_EVENT_IOC_ENABLE: usize = 0x2400;
const PERF_EVENT_IOC_DISABLE: usize = 0x2401;

/// The first 64 bytes of `struct perf_event_attr`.
#[repr(C)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    config1: u64,
}

static OWN_MOUNTS: AtomicBool = AtomicBool::new(false);
/// The page that causes faults, and the number of changes of a mount.
static TOUCHED: AtomicUsize = AtomicUsize::new(0);
static CHANGES: AtomicUsize = AtomicUsize::new(0);

fn mount_point(directory: &str) -> Option<CString> {
    CString::new(format!("{directory}/mounted")).ok()
}

fn mount(source: *const c_char, at: *const c_char, kind: *const c_char, flags: libc::c_ulong) -> Answer {
    // SAFETY: strings, or NULL.
    match unsafe { libc::mount(source, at, kind, flags, null()) } {
        0 => Ok(0),
        _ => Err(crate::calls::errno()),
    }
}

/// Prepares for both kinds, in a process with a mount namespace of its own. If it has none, no
/// history opens a list of mounts.
pub fn begin(directory: &str) {
    let _ = std::fs::create_dir(format!("{directory}/mounted"));
    let Some(at) = mount_point(directory) else { return };
    // Mounts of other processes must not show here.
    let private = mount(null(), c"/".as_ptr(), null(), libc::MS_REC | libc::MS_PRIVATE);
    let mounted = private.and_then(|_| mount(c"none".as_ptr(), at.as_ptr(), c"tmpfs".as_ptr(), 0));
    OWN_MOUNTS.store(mounted.is_ok(), Relaxed);
    // SAFETY: a new private mapping.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page != libc::MAP_FAILED {
        TOUCHED.store(page.expose_provenance(), Relaxed);
    }
}

pub fn end(directory: &str) {
    if let Some(at) = mount_point(directory).filter(|_| has_own_mounts()) {
        // SAFETY: a string.
        unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) };
    }
}

pub fn has_own_mounts() -> bool {
    OWN_MOUNTS.load(Relaxed)
}

/// The kernel side's number for the library side's `fd`.
pub const fn twin(fd: c_int) -> c_int {
    fd + TWIN
}

/// Moves `other` to the number that belongs to `fd`.
pub fn place_twin(other: c_int, fd: c_int) -> Answer {
    let placed = duplicate(other, twin(fd));
    kernel::close(other);
    placed
}

/// Duplicates the twin of `fd`, after `fd` was duplicated as `new`.
pub fn duplicate_twin(fd: c_int, new: c_int) -> Answer {
    duplicate(twin(fd), twin(new))
}

/// Duplicates onto a free number.
fn duplicate(fd: c_int, onto: c_int) -> Answer {
    let arguments = [fd as usize, libc::F_DUPFD_CLOEXEC as usize, onto as usize, 0, 0, 0];
    // SAFETY: no pointers.
    let got = answer(unsafe { kernel::call(libc::SYS_fcntl, arguments) })?;
    if got == onto {
        return Ok(got);
    }
    kernel::close(got);
    Err(libc::EMFILE)
}

fn answer(value: isize) -> Answer {
    if value < 0 { Err(-value as i32) } else { Ok(value as i32) }
}

/// Opens the list of mounts of this process, by a system call of the judge's own.
pub fn open_mounts() -> Answer {
    let path = c"/proc/self/mounts".as_ptr().addr();
    let arguments = [libc::AT_FDCWD as usize, path, (libc::O_RDONLY | libc::O_CLOEXEC) as usize, 0, 0, 0];
    // SAFETY: the path is a string.
    answer(unsafe { kernel::call(libc::SYS_openat, arguments) })
}

/// Changes the flags of a mount. Every list of mounts shows this once.
pub fn change_mounts(directory: &str) -> Answer {
    let at = mount_point(directory).filter(|_| has_own_mounts()).ok_or(libc::ENOSYS)?;
    let flag = if CHANGES.fetch_add(1, Relaxed).is_multiple_of(2) { libc::MS_NOSUID } else { 0 };
    mount(null(), at.as_ptr(), null(), libc::MS_REMOUNT | libc::MS_BIND | flag)
}

/// Opens a perf event that samples each page fault of this thread while it is enabled.
pub fn open_event() -> Answer {
    let attributes = Attributes {
        kind: PERF_TYPE_SOFTWARE,
        size: PERF_ATTR_SIZE_VER0,
        config: PERF_COUNT_SW_PAGE_FAULTS,
        sample_period: 1,
        sample_type: PERF_SAMPLE_IP,
        read_format: 0,
        flags: DISABLED | EXCLUDE_KERNEL | EXCLUDE_HV,
        wakeup_events: 1,
        breakpoint_type: 0,
        config1: 0,
    };
    let at = (&raw const attributes).addr();
    // SAFETY: the structure is as long as it says.
    answer(unsafe { kernel::call(libc::SYS_perf_event_open, [at, 0, usize::MAX, usize::MAX, PERF_FLAG_FD_CLOEXEC, 0]) })
}

/// Maps the ring of a perf event, without which it reports nothing. A ring that is mapped read-only
/// is never full.
pub fn map_ring(fd: c_int) -> usize {
    // SAFETY: a new mapping.
    let ring = unsafe { libc::mmap(std::ptr::null_mut(), RING, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
    if ring == libc::MAP_FAILED { 0 } else { ring.expose_provenance() }
}

pub fn unmap_ring(ring: usize) {
    if ring != 0 {
        // SAFETY: a mapping of `map_ring`, which is never read.
        unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(ring), RING) };
    }
}

/// Causes one page fault, which both events sample.
pub fn fault(events: [c_int; 2]) {
    let page = TOUCHED.load(Relaxed);
    if page == 0 {
        return;
    }
    let control = |request: usize| {
        for fd in events {
            // SAFETY: no pointers.
            unsafe { kernel::call(libc::SYS_ioctl, [fd as usize, request, 0, 0, 0, 0]) };
        }
    };
    // SAFETY: the page is the judge's own, and its contents are not needed.
    unsafe { kernel::call(libc::SYS_madvise, [page, PAGE, libc::MADV_DONTNEED as usize, 0, 0, 0]) };
    control(PERF_EVENT_IOC_ENABLE);
    // SAFETY: as above.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(page).write_volatile(1) };
    control(PERF_EVENT_IOC_DISABLE);
}

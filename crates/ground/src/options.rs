//! Settings from the environment, as the library reads them (`epolyfill_environment::settings` has
//! the table).

use std::ffi::CStr;
use std::fmt::Write;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32};

use libc::c_char;

use crate::log::Line;
use crate::settings::{self, Complaint, Setting};
use crate::sys;

/// A variable that is yes or no; it is off unless it is set.
#[derive(Debug)]
pub struct Switch {
    setting: &'static Setting,
    on: AtomicBool,
}

impl Switch {
    const fn new(setting: &'static Setting) -> Switch {
        Switch { setting, on: AtomicBool::new(false) }
    }

    /// Whether it is on.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }
}

/// Prints the counters to standard error when the process exits.
pub static COUNTERS: Switch = Switch::new(&settings::COUNTERS);

/// Lets `io_uring_setup` through `syscall()` reach the kernel. Otherwise it fails with ENOSYS, so
/// that event loops that would make their epoll control calls through a ring call the library.
pub static IO_URING: Switch = Switch::new(&settings::IO_URING);

/// Lets the kernel copy to and from the program's structures, so that a bad address is EFAULT and
/// not a fault.
#[unsafe(link_section = ".data.wait")]
pub static STRICT: Switch = Switch::new(&settings::STRICT);

/// Suppresses complaints about settings. The launcher sets it when it has made them.
pub static QUIET: Switch = Switch::new(&settings::QUIET);

/// All switches.
pub static ALL: [&Switch; 4] = [&COUNTERS, &IO_URING, &STRICT, &QUIET];

/// Whether the library also serves the programs that the process executes.
static CHILDREN: AtomicBool = AtomicBool::new(true);

/// Whether the library also serves the programs that the process executes.
pub fn serves_children() -> bool {
    CHILDREN.load(Relaxed)
}

/// Whether the library also serves programs that make their own system calls.
static RAW: AtomicBool = AtomicBool::new(true);

/// Whether the library also serves programs that make their own system calls.
pub fn serves_raw_calls() -> bool {
    RAW.load(Relaxed)
}

/// How the library learns readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Poller {
    /// By a ring where it pays and the kernel has one, otherwise by poll, and by signals where they
    /// pay.
    Auto,
    /// By poll.
    Poll,
    /// By a ring wherever one is possible.
    Uring,
    /// By signals where descriptions can send them, otherwise by poll.
    Signal,
    /// Not at all: the kernel's own epoll serves the program. Only libepolyfill-see.so can.
    Kernel,
}

static POLLER: AtomicU8 = AtomicU8::new(Poller::Poll as u8);

/// The poller in use.
pub fn poller() -> Poller {
    match POLLER.load(Relaxed) {
        0 => Poller::Auto,
        2 => Poller::Uring,
        3 => Poller::Signal,
        4 => Poller::Kernel,
        _ => Poller::Poll,
    }
}

/// Sets another poller, for the models.
pub fn set_poller(poller: Poller) {
    POLLER.store(poller as u8, Relaxed);
}

/// The pollers, in the order of their names in `settings::POLLERS`.
const POLLERS: [Poller; 4] = [Poller::Auto, Poller::Poll, Poller::Uring, Poller::Signal];

/// Reads the environment, which may name another poller than the `usual` one. Called once, at
/// start-up, before the program can change it.
pub fn read(usual: Poller) {
    set_poller(usual);
    for switch in ALL {
        let value = value(switch.setting).and_then(settings::switch);
        switch.on.store(value.unwrap_or(false), Relaxed);
    }
    CHILDREN.store(value(&settings::CHILDREN).and_then(settings::switch) != Some(false), Relaxed);
    RAW.store(value(&settings::RAW).and_then(settings::switch) != Some(false), Relaxed);
    let name = value(&settings::POLLER).unwrap_or_default();
    if let Some(at) = settings::POLLERS.iter().position(|known| known.as_bytes() == name) {
        POLLER.store(POLLERS[at] as u8, Relaxed);
    } else if is_kernel(name) {
        POLLER.store(Poller::Kernel as u8, Relaxed);
    }
    if !QUIET.is_on() {
        note_complaints();
    }
}

/// Whether the kernel's own epoll is to serve the program, which libepolyfill-see.so can do.
fn is_kernel(poller: &[u8]) -> bool {
    cfg!(feature = "see") && poller == settings::KERNEL.as_bytes()
}

/// The value of a variable. Called at start-up only.
pub fn value(setting: &Setting) -> Option<&'static [u8]> {
    // SAFETY: the name ends in NUL; at start-up no other thread changes the environment.
    let value = unsafe { libc::getenv(setting.name.as_ptr()) };
    // SAFETY: a value that getenv found is NUL-terminated.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes())
}

/// Complaints about the environment, in a page that forked children share, so that one process
/// makes them for all. Null if there are none.
static COMPLAINTS: AtomicPtr<Complaints> = AtomicPtr::new(std::ptr::null_mut());

/// The longest text of complaints; the rest is cut off.
const MOST_TEXT: usize = 2048;

#[derive(Debug)]
struct Complaints {
    made: AtomicU32,
    text: Line<MOST_TEXT>,
}

/// Notes the errors in the environment, for the first process that makes an instance.
fn note_complaints() {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    let mut text = Line::new();
    // SAFETY: a word that libc set before this library started.
    let mut entry = unsafe { environ };
    // SAFETY: at start-up no other thread changes the environment, which ends in a null pointer.
    while !entry.is_null() && !unsafe { *entry }.is_null() {
        // SAFETY: entries end in NUL.
        let complaint = settings::complaint(unsafe { CStr::from_ptr(*entry) }.to_bytes());
        if let Some(complaint) =
            complaint.filter(|complaint| !matches!(complaint, Complaint::Poller(name) if is_kernel(name)))
        {
            // Text that does not fit is cut off.
            let _ = writeln!(text, "epolyfill: {complaint}");
        }
        // SAFETY: the null pointer that ends the array was not reached.
        entry = unsafe { entry.add(1) };
    }
    if text.as_bytes().is_empty() {
        return;
    }
    // Without memory there are no complaints.
    if let Ok(page) = sys::map_for_children(size_of::<Complaints>()) {
        let page = page.cast::<Complaints>();
        // SAFETY: the page is large enough, and nothing else uses it.
        unsafe { page.write(Complaints { made: AtomicU32::new(0), text }) };
        COMPLAINTS.store(page, Release);
    }
}

/// Makes the complaints, if there are any and no process of this family has made them. Called when
/// an instance is made.
pub fn complain() {
    // SAFETY: null, or a page that is never unmapped.
    let Some(complaints) = (unsafe { COMPLAINTS.load(Acquire).as_ref() }) else {
        return;
    };
    if complaints.made.swap(1, Relaxed) == 0 {
        complaints.text.to_stderr();
    }
}

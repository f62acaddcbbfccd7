//! The guest's threads. Each is a pthread, which enters the guest where the guest's clone returns.

use std::cell::Cell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI32, AtomicU32};

use epolyfill_sites::guest::{Call, Thread};
use libc::{c_int, pid_t, pthread_t};
use syscalls::{Sysno, syscall};

use super::{enter, fork, memory, robust, signals};

/// The bytes of a pthread's own stack, on which it only starts and ends.
const STACK: usize = 256 << 10;
/// More than the frames of `begin` and of what it calls to enter the guest have.
const FRAMES: usize = 16 << 10;
/// That of a stack pointer.
const ALIGNMENT: usize = 16;

/// The operations on a word of this process alone.
pub(super) const WAIT: c_int = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
pub(super) const WAKE: c_int = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;

static THREAD: OnceLock<Thread> = OnceLock::new();

thread_local! {
    /// The thread's id; a child of fork or vfork has another one.
    static ID: Cell<pid_t> = const { Cell::new(0) };
    /// The stack pointer with which it entered the guest; 0 in the main thread.
    static HOST_STACK: Cell<usize> = const { Cell::new(0) };
    /// The list of robust mutexes that libc has made for the thread.
    static ROBUST: Cell<usize> = const { Cell::new(0) };
    /// The word that is cleared when the thread ends.
    static CLEARED: Cell<usize> = const { Cell::new(0) };
}

/// Notes what the library does for threads, and prepares the main one; false if there is no memory.
pub fn set_up(thread: Thread) -> bool {
    signals::set_up(&thread);
    fork::set_up();
    let _ = THREAD.set(thread);
    let mut key = 0;
    // SAFETY: a valid pointer, and a function that stays.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(end_of_round)) } == 0 {
        KEY.store(key, Relaxed);
    }
    signals::keep_from_libc(make_one) && prepare(0)
}

/// Makes a thread that ends at once; false if there is no memory.
fn make_one() -> bool {
    extern "C" fn end(_: *mut c_void) -> *mut c_void {
        ptr::null_mut()
    }
    let mut thread: MaybeUninit<pthread_t> = MaybeUninit::uninit();
    // SAFETY: the thread is joined if it was made.
    unsafe {
        libc::pthread_create(thread.as_mut_ptr(), ptr::null(), end, ptr::null_mut()) == 0
            && libc::pthread_join(thread.assume_init(), ptr::null_mut()) == 0
    }
}

/// Whether the calling thread is in a handler that has interrupted the library.
pub fn has_interrupted() -> bool {
    (library().has_interrupted)()
}

fn library() -> &'static Thread {
    THREAD.get().expect("`set_up` ran first")
}

/// Makes the calling thread able to run the guest; false if there is no memory. A pthread's own
/// stack is free below `own_stack`.
fn prepare(own_stack: usize) -> bool {
    enter::set_gs();
    ID.set(id());
    ROBUST.set(robust::list());
    (library().prepare)(own_stack)
}

fn id() -> pid_t {
    // SAFETY: no arguments.
    unsafe { syscall!(Sysno::gettid) }.unwrap_or(0) as pid_t
}

/// Answers arch_prctl; `None` if it is not about fs and gs.
pub fn arch_prctl(arguments: &[usize; 6]) -> Option<isize> {
    const SET_GS: usize = 0x1001;
    const SET_FS: usize = 0x1002;
    const GET_FS: usize = 0x1003;
    Some(match *arguments {
        [SET_FS, pointer, ..] => {
            (library().set_pointer)(pointer);
            0
        }
        [GET_FS, to, ..] => {
            let pointer = (library().pointer)().to_ne_bytes();
            memory::write(to, &pointer).map_or_else(|error| error, |()| 0)
        }
        // It is taken.
        [SET_GS, ..] => -libc::EPERM as isize,
        _ => return None,
    })
}

/// Answers set_tid_address: the kernel's word of this thread is libc's.
pub fn set_tid_address(word: usize) -> isize {
    CLEARED.set(word);
    id() as isize
}

/// Makes the kernel clear a word when the calling thread ends.
fn set_kernel_word(word: usize) {
    // SAFETY: the kernel checks the address when the thread ends.
    let _ = unsafe { syscall!(Sysno::set_tid_address, word) };
}

/// A thread that is about to begin.
#[derive(Debug)]
struct Birth<'a> {
    call: &'a Call,
    /// The stack pointer of the new thread.
    stack_pointer: usize,
    pointer: usize,
    /// The signals that it will block.
    blocked: u64,
    /// The new thread's id when it has taken everything from here; -1 if it cannot begin.
    id: AtomicI32,
}

/// Answers a clone that makes a thread.
pub fn create(call: &Call) -> isize {
    let [flags, stack_pointer, _, _, pointer, _] = call.arguments;
    let pointer = if flags & libc::CLONE_SETTLS as usize != 0 { pointer } else { (library().pointer)() };
    // Until the new thread has its gs, a handler could not tell whether it interrupts the guest.
    let blocked = signals::block_for_libc();
    // A handler may have interrupted a thread that a fork, or a thread that ends, waits for.
    let waits = !has_interrupted();
    if waits {
        fork::begin_change();
        fork::join_ended();
    }
    let birth = Birth { call, stack_pointer, pointer, blocked, id: AtomicI32::new(0) };
    let id = match start(&birth) {
        0 => wait_for(&birth),
        error => -error as isize,
    };
    if waits {
        fork::end_change();
    }
    signals::set_blocked(blocked);
    id
}

/// The id of a thread that begins; -EAGAIN if it could not.
fn wait_for(birth: &Birth) -> isize {
    loop {
        match birth.id.load(Acquire) {
            0 => {
                // SAFETY: the word is valid; another value than 0 makes the call return.
                let _ = unsafe { syscall!(Sysno::futex, birth.id.as_ptr(), WAIT, 0usize, 0usize) };
            }
            -1 => return -libc::EAGAIN as isize,
            id => return id as isize,
        }
    }
}

fn start(birth: &Birth) -> c_int {
    let mut attributes = MaybeUninit::uninit();
    let mut thread: MaybeUninit<pthread_t> = MaybeUninit::uninit();
    // SAFETY: the attributes are initialized first; `birth` outlives its use, because `create` waits
    // for it.
    unsafe {
        libc::pthread_attr_init(attributes.as_mut_ptr());
        libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK);
        let argument = ptr::from_ref(birth).cast_mut().cast();
        let result = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), begin, argument);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        result
    }
}

extern "C" fn begin(birth: *mut c_void) -> *mut c_void {
    // SAFETY: `create` waits until the id is set.
    let birth = unsafe { &*birth.cast::<Birth>() };
    let here = 0u8;
    let own_stack = ((&raw const here).addr() - FRAMES) & !(ALIGNMENT - 1);
    let id = if prepare(own_stack) { id() } else { -1 };
    // SAFETY: a plain copy of registers.
    let mut call = unsafe { ptr::read(birth.call) };
    call.stack_pointer = birth.stack_pointer;
    let (pointer, blocked, word) = (birth.pointer, birth.blocked, birth.id.as_ptr());
    if id != -1 {
        set_words(&call, id);
        (library().set_pointer)(pointer);
    }
    birth.id.store(id, Release);
    // From here on, `birth` may be gone; a wake-up of nobody does no harm.
    // SAFETY: the kernel checks the address.
    let _ = unsafe { syscall!(Sysno::futex, word, WAKE, 1usize) };
    if id != -1 {
        signals::set_blocked(blocked);
        // SAFETY: the registers of a clone, with the new thread's stack.
        unsafe { enter::thread(&call, pointer, HOST_STACK.with(Cell::as_ptr)) };
        report_end_at_last();
    } else {
        fork::begin_change();
    }
    fork::end_thread();
    ptr::null_mut()
}

/// Writes the words that the clone asked for, before the guest's thread runs.
fn set_words(call: &Call, id: pid_t) {
    let [flags, _, parent, child, ..] = call.arguments;
    let has = |flag: c_int| flags & flag as usize != 0;
    for (flag, word) in [(libc::CLONE_PARENT_SETTID, parent), (libc::CLONE_CHILD_SETTID, child)] {
        if has(flag) {
            // As for the kernel, a wrong address is no failure.
            let _ = memory::write(word, &id.to_ne_bytes());
        }
    }
    CLEARED.set(if has(libc::CLONE_CHILD_CLEARTID) { child } else { 0 });
}

/// The key whose destructor reports the end of a thread.
static KEY: AtomicU32 = AtomicU32::new(u32::MAX);

/// Makes the thread report its end after the library has given up what it keeps for it. The first
/// round of destructors may include others that come later, the second one none.
fn report_end_at_last() {
    let key = KEY.load(Relaxed);
    // SAFETY: the key exists, or the call fails.
    if key == u32::MAX || unsafe { libc::pthread_setspecific(key, ptr::without_provenance(FIRST_ROUND)) } != 0 {
        report_end();
    }
}

const FIRST_ROUND: usize = 1;
const SECOND_ROUND: usize = 2;

unsafe extern "C" fn end_of_round(round: *mut c_void) {
    let key = KEY.load(Relaxed);
    let again = ptr::without_provenance(SECOND_ROUND);
    // SAFETY: the key exists.
    if round.addr() == SECOND_ROUND || unsafe { libc::pthread_setspecific(key, again) } != 0 {
        report_end();
    }
}

/// Clears the word that the guest waits for, on the pthread's own stack: the guest's may be gone at
/// once.
fn report_end() {
    let word = CLEARED.get();
    if word != 0 && memory::write(word, &0i32.to_ne_bytes()).is_ok() {
        // SAFETY: the kernel checks the address.
        let _ = unsafe { syscall!(Sysno::futex, word, libc::FUTEX_WAKE, 1usize) };
    }
}

/// Ends the thread as exit does; returns if the process is another one, or the thread the main one:
/// then exit itself is right.
pub fn end() {
    let stack = HOST_STACK.get();
    if ID.get() != id() {
        return;
    }
    if stack == 0 {
        // Another thread may wait for this one: the kernel clears the guest's word, and not libc's.
        set_kernel_word(CLEARED.get());
        return;
    }
    // The guest's memory of this thread may be gone from here on, and with it that of its handlers.
    signals::block();
    robust::give_up(ROBUST.get(), ID.get() as u32);
    fork::begin_change();
    (library().end)();
    // SAFETY: the thread is in `enter::thread`, and on the present stack nothing is needed.
    unsafe { enter::leave(stack) };
}

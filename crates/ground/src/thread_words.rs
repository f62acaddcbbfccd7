//! The words of a thread that every wait reads, beside one another. A shared library asks the
//! loader's `__tls_get_addr` for the address of an ordinary thread-local variable, which touches
//! four more pages; these are at a fixed distance from the thread pointer.

use std::cell::Cell;

/// The words of one thread. They have no destructor: they are read in signal handlers and at thread
/// exit.
#[derive(Debug)]
#[repr(C)]
pub struct ThreadWords {
    /// The thread's sleeper (`waitq.rs`).
    pub sleeper: Cell<*const ()>,
    /// The number of the library's locks that the thread holds, and a bit (`lock.rs`).
    pub depth: Cell<u32>,
}

#[cfg(not(target_arch = "x86_64"))]
mod place {
    use std::ptr;

    use super::*;

    thread_local! {
        static WORDS: ThreadWords = const { ThreadWords { sleeper: Cell::new(ptr::null()), depth: Cell::new(0) } };
    }

    pub fn words() -> *const ThreadWords {
        WORDS.with(ptr::from_ref)
    }
}

#[cfg(target_arch = "x86_64")]
mod place {
    use super::*;

    const _: () = assert!(size_of::<ThreadWords>() == 16);

    std::arch::global_asm!(
        ".pushsection .tbss.epolyfill_thread_words,\"awT\",@nobits",
        ".p2align 4",
        ".globl epolyfill_thread_words",
        ".hidden epolyfill_thread_words",
        ".type epolyfill_thread_words,@object",
        ".size epolyfill_thread_words,16",
        "epolyfill_thread_words:",
        ".zero 16",
        ".popsection",
    );

    #[inline(always)]
    pub fn words() -> *const ThreadWords {
        let words: *const ThreadWords;
        // SAFETY: the thread pointer is at its own address, and the loader has put the variable at
        // this distance from it. Neither changes while the thread lives.
        unsafe {
            std::arch::asm!(
                "mov {words}, qword ptr fs:[0]",
                "add {words}, qword ptr [rip + epolyfill_thread_words@GOTTPOFF]",
                words = out(reg) words,
                options(pure, nomem, nostack),
            );
        }
        words
    }
}

/// Calls a function with the words of the calling thread.
#[inline(always)]
pub fn with<T>(work: impl FnOnce(&ThreadWords) -> T) -> T {
    // SAFETY: the words live as long as the thread, and no other thread has a reference to them.
    work(unsafe { &*place::words() })
}

//! Defaults of the runtimes of AddressSanitizer and ThreadSanitizer, for a program that contains
//! one and has this library in front of it.
//!
//! AddressSanitizer refuses to start behind another library unless an option disables that check;
//! it gets its default options from a function that any library may define.

/// The default options of AddressSanitizer, if the program does not define them; ASAN_OPTIONS
/// overrides them.
#[cfg(all(feature = "interpose", not(test)))]
#[unsafe(no_mangle)]
pub extern "C" fn __asan_default_options() -> *const libc::c_char {
    c"verify_asan_link_order=0".as_ptr()
}

/// The default suppressions of ThreadSanitizer, if the program does not define them: it sees the
/// library's copies, but not the locks under which they are made.
#[cfg(all(feature = "interpose", not(test), not(epolyfill_instrumented)))]
#[unsafe(no_mangle)]
pub extern "C" fn __tsan_default_suppressions() -> *const libc::c_char {
    c"race:epolyfill::\nrace:epolyfill_ground::".as_ptr()
}

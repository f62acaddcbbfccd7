//! How a guest is loaded on x86-64: this module has the order of the steps, and the others a step
//! each.

mod answers;
mod command_line;
mod enter;
mod exec;
mod fork;
mod image;
mod initial_stack;
mod mapping;
mod memory;
mod own_file;
mod robust;
mod signals;
mod threads;

use std::convert::Infallible;
use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use epolyfill_environment::settings;
use epolyfill_sites::guest::{self, Guest, Serve};
use image::Image;
use mapping::Mapping;

use super::Failure;

static HAS_C: AtomicBool = AtomicBool::new(false);

/// Whether a C library is linked into the guest. A Go program has its own runtime only.
fn has_c() -> bool {
    HAS_C.load(Relaxed)
}

/// Becomes the guest, or returns why not. `words` is the guest's argv, `first` the beginning of the
/// loader's. Another program has executed the guest if `is_child`.
pub fn run(
    path: &CStr,
    words: Vec<*const c_char>,
    first: [*const c_char; 3],
    is_child: bool,
) -> Result<Infallible, Failure> {
    match library().filter(|_| !is_off()) {
        Some(serve) => {
            let image = readable(path).map_err(Failure::Guest)?;
            if is_child && image.has_c && !image.creates_instances() {
                return Err(Failure::Left);
            }
            load(serve, path, image, words, first).map_err(Failure::Guest)
        }
        // SAFETY: the words are those of the loader's argv.
        None => Err(Failure::Alone(unsafe { crate::execute(path.as_ptr(), words) })),
    }
}

/// The program, if the machine is able to load any.
fn readable(path: &CStr) -> Result<Image, String> {
    // SAFETY: a number in, a number out.
    if !guest::has_fsgsbase(unsafe { libc::getauxval(libc::AT_HWCAP2) }) {
        return Err(
            "static programs need a processor and a kernel (5.9 or later) with the FSGSBASE instructions".to_owned()
        );
    }
    Image::read(path)
}

fn load(
    serve: Serve,
    path: &CStr,
    image: Image,
    mut words: Vec<*const c_char>,
    first: [*const c_char; 3],
) -> Result<Infallible, String> {
    own_file::remember(path)?;
    HAS_C.store(image.has_c, Relaxed);
    let mapping = Mapping::new(&image)?;
    mapping::prepare_stack(&image)?;
    let guest = Guest {
        version: guest::VERSION,
        header_count: mapping.headers.len() as u32,
        headers: mapping.headers.as_ptr(),
        bias: mapping.bias,
        has_c: image.has_c,
        answer: answers::answer,
    };
    let (mut thread, mut why) = (None, std::ptr::null());
    // SAFETY: the guest has been mapped and not entered, and there is one thread.
    let count = unsafe { serve(&guest, &mut thread, &mut why) };
    if count < 0 {
        // SAFETY: then the library has set the reason, a constant.
        return Err(unsafe { CStr::from_ptr(why) }.to_string_lossy().into_owned());
    }
    if !thread.is_some_and(threads::set_up) {
        return Err("there is no memory for a stack".to_owned());
    }
    own_file::take_name();
    drop(image);
    // SAFETY: the words are strings; nothing of the second and the third is needed any more.
    words[0] = unsafe { command_line::show(first) };
    let stack = initial_stack::build(&mapping, &words);
    // SAFETY: the stack is the guest's initial one, and the entry its own.
    unsafe { enter::program(&stack, mapping.entry) }
}

/// The function of the library that serves guests; `None` if the library is not here, as in a child
/// that is not to be served.
fn library() -> Option<Serve> {
    // SAFETY: a valid string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, guest::ENTRY.as_ptr()) };
    // SAFETY: the library exports a function of this type under the name.
    (!found.is_null()).then(|| unsafe { std::mem::transmute::<*mut libc::c_void, Serve>(found) })
}

/// Whether EPOLYFILL_RAW=no leaves the guest's calls alone.
fn is_off() -> bool {
    let value = std::env::var_os(OsStr::from_bytes(settings::RAW.name.to_bytes())).unwrap_or_default();
    settings::switch(value.as_bytes()) == Some(false)
}

//! The words on the guest's stack when it starts: argc, argv, the environment, and the auxiliary
//! vector.

use std::ffi::c_char;

use libc::{AT_BASE, AT_ENTRY, AT_EXECFN, AT_PHDR, AT_PHENT, AT_PHNUM, Elf64_Phdr};

use super::mapping::Mapping;
use super::own_file;

const AT_RSEQ_FEATURE_SIZE: u64 = 27;
const AT_RSEQ_ALIGN: u64 = 28;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// The words from the stack pointer on. The strings stay where the kernel put them.
pub fn build(mapping: &Mapping, words: &[*const c_char]) -> Vec<usize> {
    let mut stack = vec![words.len()];
    stack.extend(words.iter().map(|word| word.addr()));
    stack.push(0);
    // SAFETY: the environment ends in a null pointer, and the loader has one thread.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            stack.push((*entry).addr());
            entry = entry.add(1);
        }
    }
    stack.push(0);
    for (kind, value) in auxiliary() {
        let value = match kind {
            AT_PHDR => mapping.table,
            AT_PHENT => size_of::<Elf64_Phdr>(),
            AT_PHNUM => mapping.headers.len(),
            AT_BASE => 0,
            AT_ENTRY => mapping.entry,
            AT_EXECFN => own_file::given().as_ptr().addr(),
            // The threads' rseq areas are libc's.
            AT_RSEQ_FEATURE_SIZE | AT_RSEQ_ALIGN => continue,
            _ => value,
        };
        stack.extend([kind as usize, value]);
    }
    stack.extend([0, 0]);
    stack
}

/// The kernel's auxiliary vector, without its end. It stands behind the environment that the kernel
/// made, which libc's need not be any more.
fn auxiliary() -> Vec<(u64, usize)> {
    const HIGHEST: u64 = 63;
    let entry = |kind| {
        // SAFETY: a number in, a number out, and errno, which says that there is no such entry.
        let (value, errno) = unsafe {
            *libc::__errno_location() = 0;
            (libc::getauxval(kind) as usize, *libc::__errno_location())
        };
        (errno == 0).then_some((kind, value))
    };
    (1..=HIGHEST).filter_map(entry).collect()
}

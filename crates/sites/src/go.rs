//! How a Go program is recognized.

/// The owner of Go's notes, with its NUL and padded, and the type of the one with the build's id.
const OWNER: &[u8; 4] = b"Go\0\0";
const BUILD_ID: u32 = 4;
/// The three words before a note's owner.
const HEAD: usize = 12;
/// The function that makes a thread, as a Go program with cgo imports it. Without cgo the runtime
/// makes threads by clone, which have no thread control block of libc.
const THREADS: &[u8] = b"pthread_create\0";

/// Whether the notes of a program, the contents of a PT_NOTE segment, include Go's build id.
pub fn has_build_id(notes: &[u8]) -> bool {
    let mut rest = notes;
    while let Some((head, behind)) = rest.split_at_checked(HEAD) {
        let word = |at: usize| head[at..at + 4].try_into().map_or(u32::MAX, u32::from_le_bytes);
        let (owner, contents, kind) = (word(0), word(4), word(8));
        if kind == BUILD_ID && behind.starts_with(OWNER) && owner as usize == OWNER.len() {
            return true;
        }
        let padded = |bytes: u32| (bytes as usize).saturating_add(3) & !3;
        let Some(next) = behind.get(padded(owner).saturating_add(padded(contents))..) else { break };
        rest = next;
    }
    false
}

/// Whether the strings of the dynamic symbols have the function by which threads are made, perhaps
/// as the end of a longer name.
pub fn makes_threads_by_libc(strings: &[u8]) -> bool {
    strings.windows(THREADS.len()).any(|window| window == THREADS)
}

/// What the program headers show of a Go program that the loader can load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// It is linked to a fixed address.
    pub is_fixed: bool,
    /// It names a dynamic linker.
    pub has_linker: bool,
    /// It has thread-local variables of its own.
    pub has_thread_locals: bool,
    /// It needs a library.
    pub needs_library: bool,
}

impl Headers {
    /// Whether it depends on nothing but the kernel, so that the loader can load it.
    pub fn is_static(self) -> bool {
        !(self.has_linker && self.needs_library)
    }

    /// Whether a static Go program has no C code, whose threads would not be the loader's. Go's own
    /// linker makes two kinds of such programs; the second names a dynamic linker for the sake of
    /// its relocations. A C compiler that links one makes thread-local variables or no such name.
    pub fn is_without_c(self) -> bool {
        match self.is_fixed {
            true => !self.has_linker && !self.has_thread_locals,
            false => self.has_linker,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn note(owner: &[u8], kind: u32, contents: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [owner.len() as u32, contents.len() as u32, kind] {
            note.extend(word.to_le_bytes());
        }
        for part in [owner, contents] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    #[test]
    fn the_note_is_found_behind_others() {
        let gnu = note(b"GNU\0", 3, &[1; 20]);
        let odd = note(b"Odd\0", 9, &[1; 5]);
        let go = note(b"Go\0\0", 4, b"an/id");
        assert!(has_build_id(&go));
        assert!(has_build_id(&[gnu.clone(), odd.clone(), go.clone()].concat()));
        assert!(!has_build_id(&[gnu, odd].concat()));
        assert!(!has_build_id(&note(b"Go\0\0", 1, b"an/id")));
        assert!(!has_build_id(&go[..14]));
        assert!(!has_build_id(&note(b"x", 1, &[]).iter().map(|_| 0xff).collect::<Vec<u8>>()));
    }

    #[test]
    fn programs_of_go_s_own_linker_are_without_c() {
        let fixed = Headers { is_fixed: true, ..Headers::default() };
        assert!(fixed.is_static() && fixed.is_without_c());
        let independent = Headers { has_linker: true, has_thread_locals: true, ..Headers::default() };
        assert!(independent.is_static() && independent.is_without_c());
        // gcc -static, gcc -static-pie, and a dynamic program.
        let by_gcc = Headers { has_thread_locals: true, ..fixed };
        assert!(by_gcc.is_static() && !by_gcc.is_without_c());
        assert!(!Headers::default().is_without_c());
        assert!(!Headers { needs_library: true, ..independent }.is_static());
    }

    #[test]
    fn threads_of_libc_are_recognized_by_the_end_of_a_name() {
        assert!(makes_threads_by_libc(b"\0malloc\0pthread_create\0"));
        // What linkers make of two names.
        assert!(makes_threads_by_libc(b"\0_cgo_try_pthread_create\0"));
        assert!(!makes_threads_by_libc(b"\0pthread_create_x\0pthread_creat\0"));
    }
}

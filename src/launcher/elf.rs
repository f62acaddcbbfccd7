//! What an ELF file says about itself, as far as the launcher must know: for which machine it is, and which dynamic linker it asks for.
//!
//! Read by hand: it is one header and one table, in either class and byte order, and the reasons to refuse a program depend on the
//! foreign ones too. See elf(5).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_INTERP: u32 = 3;

/// More program headers, or a longer interpreter, than any program has: the file is damaged, and not worth the memory.
const MOST_HEADERS: usize = 4096;
const LONGEST_INTERPRETER: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Linked to a fixed address.
    Fixed,
    /// A shared library or a position-independent program; ELF does not tell them apart.
    Shared,
    /// An object file, a core dump, or a file whose program headers are not there.
    Neither,
}

/// The machine that a file is for. Two files that can be in one process have equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    number: u16,
    bits: u8,
    big_endian: bool,
}

#[derive(Debug)]
pub struct Elf {
    pub kind: Kind,
    pub machine: Machine,
    /// The dynamic linker that the kernel is asked to start; a static program has none.
    pub interpreter: Option<PathBuf>,
}

impl Elf {
    /// Reads the headers of a file; `None` when it is no ELF file at all.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let mut ident = [0; 16];
        match file.read_exact_at(&mut ident, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        if !ident.starts_with(b"\x7fELF") {
            return Ok(None);
        }
        let shape = Shape { wide: ident[4] == 2, big_endian: ident[5] == 2 };
        let mut header = vec![0; if shape.wide { 64 } else { 52 }];
        if let Err(error) = file.read_exact_at(&mut header, 0) {
            return match error.kind() {
                ErrorKind::UnexpectedEof => Ok(None),
                _ => Err(error),
            };
        }
        let machine = Machine {
            number: shape.half(&header, 18),
            bits: if shape.wide { 64 } else { 32 },
            big_endian: shape.big_endian,
        };
        let (kind, interpreter) = match shape.interpreter(&file, &header) {
            Ok(interpreter) => (kind(shape.half(&header, 16)), interpreter),
            Err(error) => match error.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::InvalidData => (Kind::Neither, None),
                _ => return Err(error),
            },
        };
        Ok(Some(Self { kind, machine, interpreter }))
    }
}

fn kind(number: u16) -> Kind {
    match number {
        ET_EXEC => Kind::Fixed,
        ET_DYN => Kind::Shared,
        _ => Kind::Neither,
    }
}

/// How the numbers of a file are laid out.
#[derive(Clone, Copy)]
struct Shape {
    wide: bool,
    big_endian: bool,
}

impl Shape {
    /// The path in the PT_INTERP segment, if there is one.
    fn interpreter(self, file: &File, header: &[u8]) -> io::Result<Option<PathBuf>> {
        let (table, size_at) =
            if self.wide { (self.double(header, 32), 54) } else { (u64::from(self.word(header, 28)), 42) };
        let size = usize::from(self.half(header, size_at));
        let count = usize::from(self.half(header, size_at + 2));
        if count == 0 {
            return Ok(None);
        }
        if size < if self.wide { 56 } else { 32 } || count > MOST_HEADERS {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut headers = vec![0; size * count];
        file.read_exact_at(&mut headers, table)?;
        let Some(segment) = headers.chunks_exact(size).find(|segment| self.word(segment, 0) == PT_INTERP) else {
            return Ok(None);
        };
        let (offset, length) = if self.wide {
            (self.double(segment, 8), self.double(segment, 32))
        } else {
            let narrow = |at| u64::from(self.word(segment, at));
            (narrow(4), narrow(16))
        };
        if length > LONGEST_INTERPRETER {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut path = vec![0; length as usize];
        file.read_exact_at(&mut path, offset)?;
        let end = path.iter().position(|byte| *byte == 0);
        path.truncate(end.unwrap_or(path.len()));
        Ok(Some(PathBuf::from(OsStr::from_bytes(&path))))
    }

    fn half(self, bytes: &[u8], at: usize) -> u16 {
        self.number(&bytes[at..at + 2]) as u16
    }

    fn word(self, bytes: &[u8], at: usize) -> u32 {
        self.number(&bytes[at..at + 4]) as u32
    }

    fn double(self, bytes: &[u8], at: usize) -> u64 {
        self.number(&bytes[at..at + 8])
    }

    fn number(self, bytes: &[u8]) -> u64 {
        let push = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = match self.number {
            3 => "i386",
            8 => "mips",
            20 | 21 => "powerpc",
            22 => "s390",
            40 => "arm",
            62 if self.bits == 32 => "x32",
            62 => "x86-64",
            183 => "aarch64",
            243 => "riscv",
            258 => "loongarch",
            other => return write!(out, "machine {other} ({} bits)", self.bits),
        };
        write!(out, "{known} ({} bits", self.bits)?;
        out.write_str(if self.big_endian { ", big-endian)" } else { ")" })
    }
}

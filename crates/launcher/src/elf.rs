//! The parts of an ELF file's headers that the launcher needs: the machine, the dynamic linker, and
//! the segments.
//!
//! Parsed by hand: this is one header and one table, in either class and byte order, and the
//! reasons to refuse a program depend on foreign ones too. The dynamic section is in `dynamic`. See
//! elf(5).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const PT_TLS: u32 = 7;
const PF_X: u32 = 1;
const PF_W: u32 = 2;

/// More program headers, or a longer interpreter, than any program has: such a file is damaged, and
/// not worth the memory.
const MOST_HEADERS: usize = 4096;
const LONGEST_INTERPRETER: u64 = 4096;
/// The most bytes of section names that are searched.
const MOST_NAMES: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Linked to a fixed address.
    Fixed,
    /// A shared library or a position-independent program; ELF does not tell them apart.
    Shared,
    /// An object file, a core dump, or a file without its headers.
    Neither,
}

/// The machine that a file is for. Two files that can be in one process have equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    number: u16,
    bits: u8,
    big_endian: bool,
}

/// A segment, which is mapped or read when the file is run.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub kind: u32,
    flags: u32,
    pub offset: u64,
    pub address: u64,
    /// Its size in the file.
    pub size: u64,
}

impl Segment {
    pub fn is_loaded(&self) -> bool {
        self.kind == PT_LOAD
    }

    pub fn is_code(&self) -> bool {
        self.is_loaded() && self.flags & PF_X != 0
    }

    pub fn is_note(&self) -> bool {
        self.kind == PT_NOTE
    }

    pub fn is_thread_local(&self) -> bool {
        self.kind == PT_TLS
    }

    pub fn is_writable(&self) -> bool {
        self.is_loaded() && self.flags & PF_W != 0
    }
}

#[derive(Debug)]
pub struct Elf {
    pub kind: Kind,
    pub machine: Machine,
    /// The dynamic linker that the kernel is asked to start; a static program has none.
    pub interpreter: Option<PathBuf>,
    pub segments: Vec<Segment>,
    pub shape: Shape,
    header: Vec<u8>,
    file: File,
}

impl Elf {
    /// Reads the headers of a file; `None` if it is not an ELF file.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let mut header = vec![0; 64];
        let there = read_up_to(&file, &mut header)?;
        if !header.starts_with(b"\x7fELF") {
            return Ok(None);
        }
        let shape = Shape { wide: header[4] == 2, big_endian: header[5] == 2 };
        let machine = Machine {
            number: shape.half(&header, 18),
            bits: if shape.wide { 64 } else { 32 },
            big_endian: shape.big_endian,
        };
        let kind = match shape.half(&header, 16) {
            ET_EXEC => Kind::Fixed,
            ET_DYN => Kind::Shared,
            _ => Kind::Neither,
        };
        let mut elf = Self { kind, machine, interpreter: None, segments: Vec::new(), shape, header, file };
        let read = match there < shape.header() {
            true => Err(ErrorKind::UnexpectedEof.into()),
            false => elf.read_headers(),
        };
        match read.map_err(|error| (error.kind(), error)) {
            Ok(()) => Ok(Some(elf)),
            Err((ErrorKind::UnexpectedEof | ErrorKind::InvalidData, _)) => {
                Ok(Some(Self { kind: Kind::Neither, ..elf }))
            }
            Err((_, error)) => Err(error),
        }
    }

    fn read_headers(&mut self) -> io::Result<()> {
        self.segments = self.shape.segments(&self.file, &self.header)?;
        if let Some(segment) = self.segments.iter().find(|segment| segment.kind == PT_INTERP) {
            if segment.size > LONGEST_INTERPRETER {
                return Err(ErrorKind::InvalidData.into());
            }
            let mut path = self.bytes(segment.offset, segment.size)?;
            let end = path.iter().position(|byte| *byte == 0);
            path.truncate(end.unwrap_or(path.len()));
            self.interpreter = Some(PathBuf::from(OsStr::from_bytes(&path)));
        }
        Ok(())
    }

    /// The actual and the required length of the file, if a segment reaches beyond its end.
    pub fn cut_short(&self) -> io::Result<Option<(u64, u64)>> {
        let loaded = self.segments.iter().filter(|segment| segment.is_loaded());
        let wanted = loaded.map(|segment| segment.offset.saturating_add(segment.size)).max().unwrap_or(0);
        let there = self.file.metadata()?.len();
        Ok((there < wanted).then_some((there, wanted)))
    }

    /// A part of the file.
    pub fn bytes(&self, offset: u64, size: u64) -> io::Result<Vec<u8>> {
        // The read grows its buffer, so a damaged file cannot claim memory.
        if offset.checked_add(size).is_none_or(|end| self.file.metadata().is_ok_and(|file| end > file.len())) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; size as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Whether the file has a section of this name; no if the section headers were stripped.
    pub fn has_section(&self, name: &str) -> io::Result<bool> {
        let shape = self.shape;
        let (table, at) = match shape.wide {
            true => (shape.double(&self.header, 40), 58),
            false => (u64::from(shape.word(&self.header, 32)), 46),
        };
        let [size, count, names] = [0, 2, 4].map(|field| usize::from(shape.half(&self.header, at + field)));
        if size < if shape.wide { 64 } else { 40 } || names >= count {
            return Ok(false);
        }
        let sections = self.bytes(table, (size * count) as u64)?;
        let names = &sections[names * size..];
        let (offset, length) = match shape.wide {
            true => (shape.double(names, 24), shape.double(names, 32)),
            false => (u64::from(shape.word(names, 16)), u64::from(shape.word(names, 20))),
        };
        let names = self.bytes(offset, length.min(MOST_NAMES))?;
        let mut sections = sections.chunks_exact(size);
        Ok(sections.any(|section| string(&names, shape.word(section, 0) as usize) == name.as_bytes()))
    }
}

/// The string at an offset of a string table, without its NUL.
pub fn string(table: &[u8], at: usize) -> &[u8] {
    table.get(at..).and_then(|rest| rest.split(|byte| *byte == 0).next()).unwrap_or_default()
}

fn read_up_to(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], length as u64)? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

/// How the numbers of a file are laid out.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub wide: bool,
    big_endian: bool,
}

impl Shape {
    const fn header(self) -> usize {
        if self.wide { 64 } else { 52 }
    }

    fn segments(self, file: &File, header: &[u8]) -> io::Result<Vec<Segment>> {
        let (table, size_at) =
            if self.wide { (self.double(header, 32), 54) } else { (u64::from(self.word(header, 28)), 42) };
        let size = usize::from(self.half(header, size_at));
        let count = usize::from(self.half(header, size_at + 2));
        if count == 0 {
            return Ok(Vec::new());
        }
        if size < if self.wide { 56 } else { 32 } || count > MOST_HEADERS {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut headers = vec![0; size * count];
        file.read_exact_at(&mut headers, table)?;
        Ok(headers.chunks_exact(size).map(|header| self.segment(header)).collect())
    }

    fn segment(self, header: &[u8]) -> Segment {
        let kind = self.word(header, 0);
        if self.wide {
            let [offset, address, size] = [8, 16, 32].map(|at| self.double(header, at));
            Segment { kind, flags: self.word(header, 4), offset, address, size }
        } else {
            let [offset, address, size] = [4, 8, 16].map(|at| u64::from(self.word(header, at)));
            Segment { kind, flags: self.word(header, 24), offset, address, size }
        }
    }

    /// A number as wide as an address.
    pub fn address(self, bytes: &[u8], at: usize) -> u64 {
        if self.wide { self.double(bytes, at) } else { u64::from(self.word(bytes, at)) }
    }

    pub fn half(self, bytes: &[u8], at: usize) -> u16 {
        self.number(&bytes[at..at + 2]) as u16
    }

    pub fn word(self, bytes: &[u8], at: usize) -> u32 {
        self.number(&bytes[at..at + 4]) as u32
    }

    pub fn double(self, bytes: &[u8], at: usize) -> u64 {
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

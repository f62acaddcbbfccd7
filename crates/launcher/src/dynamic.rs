//! The dynamic section of an ELF file: the libraries that it needs, the symbols that it imports and
//! those that it defines.

use super::elf::{Elf, string};
use std::collections::HashSet;
use std::io::{self, ErrorKind};

const PT_DYNAMIC: u32 = 2;
const DT_NEEDED: u64 = 1;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_GNU_HASH: u64 = 0x6fff_fef5;

/// More than any table of a real file; this limits the cost of a damaged one.
const MOST_BYTES: u64 = 256 << 20;

/// A name in the file, as bytes of unknown encoding.
type Name = Vec<u8>;

#[derive(Debug, Default)]
pub struct Dynamic {
    /// The libraries that it needs, in their order.
    pub needed: Vec<Name>,
    /// The symbols that it exports.
    pub defined: HashSet<Name>,
    /// The symbols that it imports.
    pub undefined: HashSet<Name>,
}

impl Dynamic {
    /// Reads the dynamic section; it is empty if the file has none.
    pub fn read(elf: &Elf) -> io::Result<Self> {
        let Some(section) = elf.segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else {
            return Ok(Self::default());
        };
        let shape = elf.shape;
        let word = if shape.wide { 8 } else { 4 };
        let section = elf.bytes(section.offset, section.size.min(MOST_BYTES))?;
        let entries: Vec<(u64, u64)> =
            section.chunks_exact(2 * word).map(|entry| (shape.address(entry, 0), shape.address(entry, word))).collect();
        let find = |tag| entries.iter().find(|entry| entry.0 == tag).map(|entry| entry.1);

        let (Some(address), Some(length)) = (find(DT_STRTAB), find(DT_STRSZ)) else {
            return Ok(Self::default());
        };
        let strings = elf.bytes(offset(elf, address)?, length.min(MOST_BYTES))?;
        let needed = entries.iter().filter(|entry| entry.0 == DT_NEEDED);
        let mut dynamic = Self {
            needed: needed.map(|entry| string(&strings, entry.1 as usize).to_vec()).collect(),
            ..Self::default()
        };
        let count = match (find(DT_HASH), find(DT_GNU_HASH)) {
            (Some(table), _) => u64::from(shape.word(&elf.bytes(offset(elf, table)?, 8)?, 4)),
            (None, Some(table)) => match count_by_gnu_hash(elf, offset(elf, table)?)? {
                // GNU ld's table for no exported symbol begins behind the null symbol, whatever the
                // program imports. The names follow the symbols there.
                1 => find(DT_SYMTAB).map_or(0, |symbols| address.saturating_sub(symbols) / symbol_size(shape.wide)),
                count => count,
            },
            (None, None) => 0,
        };
        if let Some(symbols) = find(DT_SYMTAB).filter(|_| count > 0) {
            dynamic.take_symbols(elf, offset(elf, symbols)?, count, &strings)?;
        }
        Ok(dynamic)
    }

    fn take_symbols(&mut self, elf: &Elf, at: u64, count: u64, strings: &[u8]) -> io::Result<()> {
        let (size, section_at) = (symbol_size(elf.shape.wide), if elf.shape.wide { 6 } else { 14 });
        if count > MOST_BYTES / size {
            return Err(ErrorKind::InvalidData.into());
        }
        for symbol in elf.bytes(at, count * size)?.chunks_exact(size as usize) {
            let name = string(strings, elf.shape.word(symbol, 0) as usize).to_vec();
            let is_defined = elf.shape.half(symbol, section_at) != 0;
            if is_defined {
                self.defined.insert(name)
            } else {
                self.undefined.insert(name)
            };
        }
        Ok(())
    }
}

/// The bytes of a symbol.
fn symbol_size(is_wide: bool) -> u64 {
    if is_wide { 24 } else { 16 }
}

/// The number of symbols: one more than the last symbol in the longest chain of the hash table.
/// Imported symbols come before all hashed ones.
fn count_by_gnu_hash(elf: &Elf, at: u64) -> io::Result<u64> {
    let shape = elf.shape;
    let head = elf.bytes(at, 16)?;
    let [buckets, first, bloom] = [0, 4, 8].map(|field| u64::from(shape.word(&head, field)));
    let buckets_at = at + 16 + bloom * if shape.wide { 8 } else { 4 };
    if buckets > MOST_BYTES / 4 {
        return Err(ErrorKind::InvalidData.into());
    }
    let table = elf.bytes(buckets_at, buckets * 4)?;
    let last = table.chunks_exact(4).map(|bucket| u64::from(shape.word(bucket, 0))).max().unwrap_or(0);
    if last < first {
        return Ok(first);
    }
    let chains = buckets_at + buckets * 4;
    for symbol in last.. {
        let link = shape.word(&elf.bytes(chains + (symbol - first) * 4, 4)?, 0);
        if link & 1 != 0 {
            return Ok(symbol + 1);
        }
    }
    Ok(last)
}

/// The file offset of a virtual address.
fn offset(elf: &Elf, address: u64) -> io::Result<u64> {
    let mut loaded = elf.segments.iter().filter(|segment| segment.is_loaded());
    loaded
        .find(|segment| address.checked_sub(segment.address).is_some_and(|inside| inside < segment.size))
        .map(|segment| address - segment.address + segment.offset)
        .ok_or_else(|| ErrorKind::InvalidData.into())
}

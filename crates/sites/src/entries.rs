//! Where else than at its beginning a piece of code may be entered: the targets of direct jumps and
//! calls, and the addresses that a program keeps in its data or instructions or computes, of
//! functions, of labels and of the cases of a `switch`.

use super::length::{self, Reference};

/// A part of a program, as its file has it.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The address in the file's terms.
    pub address: usize,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The bytes of an address, and of an entry in a table of distances.
const WORD: usize = 8;
const DISTANCE: usize = 4;
/// A `switch` with more cases than these is not looked at to its end.
const MOST_CASES: usize = 1024;

/// A place that may be entered, as an offset in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The target of a jump or a call.
    Jump(usize),
    /// The target of an address.
    Address(usize),
    /// A constant that may be an address, and where its instruction is.
    Constant(usize, usize),
    /// The target in a table of distances, and where the table's address is computed. It may be none: a
    /// table is read beyond its end, which nothing marks.
    Case(usize, usize),
    /// A place at some distance from this label: nothing says how far.
    Near(usize),
}

/// Every place in the code that a jump in it or an address in the parts leads to.
pub fn find<'a>(code: Part<'a>, parts: &'a [Part<'a>]) -> impl Iterator<Item = Entry> + 'a {
    // A position-independent program begins at 0, and computes its addresses.
    let is_fixed = parts.iter().all(|part| part.address != 0);
    let mut bases = Bases::default();
    let referred = length::references(code.bytes).flat_map(move |(behind, reference)| {
        let (mut one, mut table) = (None, None);
        match reference {
            Reference::Jump(target) => {
                bases = Bases::default();
                one = Some(Entry::Jump(target));
            }
            Reference::Sum(registers) => one = bases.take(registers).map(Entry::Near),
            Reference::Address(target, register) => {
                bases.set(register, (target < code.bytes.len()).then_some(target));
                (one, table) = (Some(Entry::Address(target)), Some(target));
            }
            Reference::Constant(address, register) if is_fixed => {
                let target = address.wrapping_sub(code.address);
                // Any other constant may have been added to the base.
                if let Some(register) = register.filter(|_| target < code.bytes.len()) {
                    bases.set(register, Some(target));
                }
                one = Some(Entry::Constant(target, behind));
            }
            Reference::Constant(..) => {}
        }
        let cases = table
            .into_iter()
            .flat_map(move |offset| cases(code, parts, offset).map(move |target| Entry::Case(target, behind)));
        one.into_iter().chain(cases)
    });
    referred.chain(parts.iter().flat_map(move |part| addresses(code, *part)).map(Entry::Address))
}

/// The addresses in the code that the registers got behind the last jump.
#[derive(Clone, Copy, Debug, Default)]
struct Bases([Option<usize>; 16]);

impl Bases {
    fn set(&mut self, register: u8, base: Option<usize>) {
        self.0[usize::from(register)] = base;
    }

    /// The base of a jump to a sum of these registers.
    fn take(&mut self, registers: [u8; 2]) -> Option<usize> {
        let bases = core::mem::take(self);
        registers.into_iter().find_map(|register| bases.0[usize::from(register)])
    }
}

/// The addresses in a part. Those of position-independent programs stand in their relocations.
fn addresses<'a>(code: Part<'a>, part: Part<'a>) -> impl Iterator<Item = usize> + 'a {
    let skipped = part.address.next_multiple_of(WORD) - part.address;
    let words = part.bytes.get(skipped..).unwrap_or_default().chunks_exact(WORD);
    words.filter_map(move |word| {
        let offset = (usize::from_le_bytes(word.try_into().ok()?)).wrapping_sub(code.address);
        (offset < code.bytes.len()).then_some(offset)
    })
}

/// The targets in a table of distances from its own beginning, which is at an offset from the code.
fn cases<'a>(code: Part<'a>, parts: &'a [Part<'a>], offset: usize) -> impl Iterator<Item = usize> + 'a {
    let address = code.address.wrapping_add(offset);
    let table = parts.iter().find_map(|part| part.bytes.get(address.wrapping_sub(part.address)..));
    let entries = table.unwrap_or_default().chunks_exact(DISTANCE).take(MOST_CASES);
    entries.map_while(move |entry| {
        let distance = i32::from_le_bytes(entry.try_into().ok()?);
        let target = offset.wrapping_add_signed(distance as isize);
        (target < code.bytes.len()).then_some(target)
    })
}

//! The lengths of instructions, as far as a sweep over code needs them: it looks for jumps into the
//! sites that are rewritten. Compilers let the ends of two calls be one.

/// The operands of an instruction: the bytes that follow the opcode.
#[derive(Clone, Copy)]
struct Shape {
    has_operand: bool,
    /// The bytes of the constant; `BY_SIZE`: four, or two with the prefix of the operand's size.
    constant: u8,
    is_valid: bool,
}

const BY_SIZE: u8 = 0xff;

type Rule = (u8, u8, bool, u8);

const fn table(rules: &[Rule]) -> [Shape; 256] {
    let mut shapes = [Shape { has_operand: false, constant: 0, is_valid: false }; 256];
    let mut index = 0;
    while index < rules.len() {
        let (first, last, has_operand, constant) = rules[index];
        let mut opcode = first as usize;
        while opcode <= last as usize {
            shapes[opcode] = Shape { has_operand, constant, is_valid: true };
            opcode += 1;
        }
        index += 1;
    }
    shapes
}

/// The opcodes of one byte. Prefixes and escapes are not among them.
#[rustfmt::skip]
const ONE: [Shape; 256] = table(&[
    (0x00, 0x03, true, 0), (0x04, 0x04, false, 1), (0x05, 0x05, false, BY_SIZE), (0x08, 0x0b, true, 0),
    (0x0c, 0x0c, false, 1), (0x0d, 0x0d, false, BY_SIZE), (0x10, 0x13, true, 0), (0x14, 0x14, false, 1),
    (0x15, 0x15, false, BY_SIZE), (0x18, 0x1b, true, 0), (0x1c, 0x1c, false, 1), (0x1d, 0x1d, false, BY_SIZE),
    (0x20, 0x23, true, 0), (0x24, 0x24, false, 1), (0x25, 0x25, false, BY_SIZE), (0x28, 0x2b, true, 0),
    (0x2c, 0x2c, false, 1), (0x2d, 0x2d, false, BY_SIZE), (0x30, 0x33, true, 0), (0x34, 0x34, false, 1),
    (0x35, 0x35, false, BY_SIZE), (0x38, 0x3b, true, 0), (0x3c, 0x3c, false, 1), (0x3d, 0x3d, false, BY_SIZE),
    (0x50, 0x5f, false, 0), (0x63, 0x63, true, 0), (0x68, 0x68, false, BY_SIZE), (0x69, 0x69, true, BY_SIZE),
    (0x6a, 0x6a, false, 1), (0x6b, 0x6b, true, 1), (0x6c, 0x6f, false, 0), (0x70, 0x7f, false, 1),
    (0x80, 0x80, true, 1), (0x81, 0x81, true, BY_SIZE), (0x83, 0x83, true, 1), (0x84, 0x8f, true, 0),
    (0x90, 0x99, false, 0), (0x9b, 0x9f, false, 0), (0xa0, 0xa3, false, 8), (0xa4, 0xa7, false, 0),
    (0xa8, 0xa8, false, 1), (0xa9, 0xa9, false, BY_SIZE), (0xaa, 0xaf, false, 0), (0xb0, 0xb7, false, 1),
    (0xb8, 0xbf, false, BY_SIZE), (0xc0, 0xc1, true, 1), (0xc2, 0xc2, false, 2), (0xc3, 0xc3, false, 0),
    (0xc6, 0xc6, true, 1), (0xc7, 0xc7, true, BY_SIZE), (0xc8, 0xc8, false, 3), (0xc9, 0xc9, false, 0),
    (0xca, 0xca, false, 2), (0xcb, 0xcc, false, 0), (0xcd, 0xcd, false, 1), (0xcf, 0xcf, false, 0),
    (0xd0, 0xd3, true, 0), (0xd7, 0xd7, false, 0), (0xd8, 0xdf, true, 0), (0xe0, 0xe7, false, 1),
    (0xe8, 0xe9, false, 4), (0xeb, 0xeb, false, 1), (0xec, 0xef, false, 0), (0xf1, 0xf1, false, 0),
    (0xf4, 0xf5, false, 0), (0xf6, 0xf7, true, 0), (0xf8, 0xfd, false, 0), (0xfe, 0xff, true, 0),
]);

/// Those behind 0f.
#[rustfmt::skip]
const TWO: [Shape; 256] = table(&[
    (0x00, 0x03, true, 0), (0x05, 0x09, false, 0), (0x0b, 0x0b, false, 0), (0x0d, 0x0d, true, 0),
    (0x0f, 0x0f, true, 1), (0x10, 0x23, true, 0), (0x28, 0x2f, true, 0), (0x30, 0x37, false, 0),
    (0x40, 0x6f, true, 0), (0x70, 0x73, true, 1), (0x74, 0x76, true, 0), (0x77, 0x77, false, 0),
    (0x78, 0x7f, true, 0), (0x80, 0x8f, false, 4), (0x90, 0x9f, true, 0), (0xa0, 0xa2, false, 0),
    (0xa3, 0xa3, true, 0), (0xa4, 0xa4, true, 1), (0xa5, 0xa5, true, 0), (0xa8, 0xaa, false, 0),
    (0xab, 0xab, true, 0), (0xac, 0xac, true, 1), (0xad, 0xb9, true, 0), (0xba, 0xba, true, 1),
    (0xbb, 0xc1, true, 0), (0xc2, 0xc2, true, 1), (0xc3, 0xc3, true, 0), (0xc4, 0xc6, true, 1),
    (0xc7, 0xc7, true, 0), (0xc8, 0xcf, false, 0), (0xd0, 0xff, true, 0),
]);

const OF_38: Shape = Shape { has_operand: true, constant: 0, is_valid: true };
const OF_3A: Shape = Shape { has_operand: true, constant: 1, is_valid: true };

/// The shape of an opcode in a map of VEX and EVEX.
fn in_map(map: u8, opcode: u8) -> Shape {
    match map {
        1 => TWO[usize::from(opcode)],
        3 => OF_3A,
        _ => OF_38,
    }
}

/// The length of the instruction at the beginning of the code, and the offset of its opcode; `None`
/// if it is none.
fn decoded(code: &[u8]) -> Option<(usize, usize)> {
    let is_prefix = |byte: &&u8| matches!(**byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3);
    let mut at = code.iter().take_while(is_prefix).count();
    let is_short = code[..at].contains(&0x66);
    let mut is_wide = false;
    if let Some(rex @ 0x40..=0x4f) = code.get(at) {
        is_wide = rex & 8 != 0;
        at += 1;
    }
    let start = at;
    let byte = |at: usize| code.get(at).copied();
    let shape = match byte(at)? {
        0x0f => {
            at += 1;
            match byte(at)? {
                escape @ (0x38 | 0x3a) => {
                    at += 1;
                    if escape == 0x38 { OF_38 } else { OF_3A }
                }
                opcode => TWO[usize::from(opcode)],
            }
        }
        0xc5 => {
            at += 2;
            in_map(1, byte(at)?)
        }
        0xc4 => {
            at += 3;
            in_map(byte(start + 1)? & 0x1f, byte(at)?)
        }
        0x62 => {
            at += 4;
            in_map(byte(start + 1)? & 7, byte(at)?)
        }
        opcode => ONE[usize::from(opcode)],
    };
    let opcode = byte(start)?;
    let operand = if shape.has_operand { operand(code.get(at + 1..)?)? } else { 0 };
    let constant = match (opcode, shape.constant) {
        (0xb8..=0xbf, _) if is_wide => 8,
        // test, of the group that has others without a constant.
        (0xf6, _) if byte(at + 1)? & 0x30 == 0 => 1,
        (0xf7, _) if byte(at + 1)? & 0x30 == 0 => {
            if is_short && !is_wide {
                2
            } else {
                4
            }
        }
        (_, BY_SIZE) => {
            if is_short && !is_wide {
                2
            } else {
                4
            }
        }
        (_, bytes) => usize::from(bytes),
    };
    let length = at + 1 + operand + constant;
    (shape.is_valid && length <= code.len()).then_some((length, start))
}

/// The bytes of an operand in memory or a register.
fn operand(code: &[u8]) -> Option<usize> {
    let mode = *code.first()?;
    let (kind, register) = (mode >> 6, mode & 7);
    if kind == 3 {
        return Some(1);
    }
    let has_index = register == 4;
    let base = if has_index { code.get(1)? & 7 } else { register };
    let distance = match (kind, base) {
        (0, 5) | (2, _) => 4,
        (1, _) => 1,
        _ => 0,
    };
    Some(1 + usize::from(has_index) + distance)
}

/// The length of the instruction at the beginning of the code, and whether it certainly leaves rax
/// alone; `None` if it is none.
pub fn leaves_rax(code: &[u8]) -> Option<(usize, bool)> {
    let (length, opcode) = decoded(code)?;
    let rex = rex(&code[..opcode]);
    let mode = code.get(opcode + 1).copied().unwrap_or(0);
    let (is_memory, first_is_rax) = (mode < 0xc0, rex & 4 == 0 && mode & 0x38 == 0);
    let second_is_rax = !is_memory && rex & 1 == 0 && mode & 7 == 0;
    let leaves = match code[opcode] {
        // Operations into the second operand: mov, add, or, and, sub, xor.
        0x01 | 0x09 | 0x21 | 0x29 | 0x31 | 0x81 | 0x83 | 0x89 | 0xc7 => !second_is_rax,
        // Of a byte, which may be ah.
        0xc6 => is_memory,
        // Into the first: mov, lea, movslq, add, xor.
        0x03 | 0x33 | 0x63 | 0x8b | 0x8d => !first_is_rax,
        0xb8 => rex & 1 != 0,
        // It is xchg of another register with rax otherwise.
        0x90 => rex & 1 == 0,
        0xb9..=0xbf => true,
        // Vector registers, and nop.
        0x0f => matches!(mode, 0x10 | 0x11 | 0x1f | 0x28 | 0x29 | 0x6c | 0x6e | 0x6f | 0x7f),
        _ => false,
    };
    Some((length, leaves))
}

/// The last one of an instruction's prefixes, if that extends its registers; 0 otherwise.
fn rex(prefixes: &[u8]) -> u8 {
    prefixes.last().copied().filter(|byte| byte & 0xf0 == 0x40).unwrap_or(0)
}

/// The registers of an instruction's operands. The second operand may be in memory.
fn registers(rex: u8, mode: u8) -> (u8, Option<u8>) {
    let (first, second) = (mode >> 3 & 7 | (rex & 4) << 1, mode & 7 | (rex & 1) << 3);
    (first, (mode >= 0xc0).then_some(second))
}

/// The register that is a part of the opcode.
fn register(rex: u8, opcode: u8) -> u8 {
    opcode & 7 | (rex & 1) << 3
}

/// The length of the instruction at the beginning of the code; `None` if it is none.
pub fn of(code: &[u8]) -> Option<usize> {
    decoded(code).map(|(length, _)| length)
}

/// The numbers of rcx and r11.
const SCRATCH: [u8; 2] = [1, 11];

/// The length of the instruction at the beginning of the code, and whether it certainly leaves rcx
/// and r11 alone; `None` if it is none that does the same at every address. No instruction that does
/// nothing is one that does: it may be ahead of a function.
pub fn can_move(code: &[u8]) -> Option<(usize, bool)> {
    let (length, opcode) = decoded(code)?;
    let (prefixes, rest) = (&code[..opcode], &code[opcode..length]);
    let rex = rex(prefixes);
    // An operand at a distance from the instruction has no register.
    let mode = |mode: u8| (mode & 0xc7 != 5).then(|| registers(rex, mode));
    let is_other = |register: u8| !SCRATCH.contains(&register);
    let leaves = match *rest {
        // Operations on two whole registers, which may write either of them; and tests.
        [op, operands, ..] if matches!(op, 0x63 | 0x85 | 0x89 | 0x8b | 0x8d) || op < 0x40 && op & 5 == 1 => {
            let (first, second) = mode(operands)?;
            is_other(first) && second.is_none_or(is_other)
        }
        // Operations with a constant, shifts, not, neg, inc, dec and push: the first operand is none.
        [op, operands, ..] if matches!(op, 0x81 | 0x83 | 0xc1 | 0xd1 | 0xd3 | 0xf7) || is_simple(op, operands) => {
            mode(operands)?.1.is_none_or(is_other)
        }
        // Vector registers.
        [0x0f, 0x10 | 0x11 | 0x16 | 0x28 | 0x29 | 0x57 | 0x6c | 0x6e | 0x6f | 0x7f | 0xd6 | 0xef, operands, ..] => {
            mode(operands).map(|_| true)?
        }
        // A condition, and a byte or a half that is extended, into the first operand.
        [0x0f, 0x40..=0x4f | 0xb6 | 0xb7 | 0xbe | 0xbf, operands, ..] => is_other(mode(operands)?.0),
        // Operations of rax and a constant, cltq and cltd, push, push of a constant, mov into al.
        [op, ..] if op < 0x40 && op & 7 == 5 => true,
        [0x50..=0x57 | 0x68 | 0x6a | 0x98 | 0x99 | 0xa9 | 0xb0, ..] => true,
        [op @ (0x58..=0x5f | 0xb8..=0xbf), ..] => is_other(register(rex, op)),
        _ => return None,
    };
    // Another size of an address, or a repetition, is of no use here.
    let is_plain = |byte: &u8| matches!(byte, 0x40..=0x4f | 0x64 | 0x66 | 0xf2 | 0xf3);
    prefixes.iter().all(is_plain).then_some((length, leaves))
}

/// Whether the instruction moves a constant, or is an `inc`, `dec` or `push` of the group 0xff.
fn is_simple(opcode: u8, operands: u8) -> bool {
    let operation = operands >> 3 & 7;
    let is_mov = opcode == 0xc7 || opcode == 0xc6 && operands < 0xc0;
    is_mov && operation == 0 || opcode == 0xff && matches!(operation, 0 | 1 | 6)
}

/// A place that an instruction refers to, as an offset in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A direct jump or call.
    Jump(usize),
    /// An address that is computed from the instruction's own, and the register that gets it. It may be
    /// outside the code.
    Address(usize, u8),
    /// A constant of four or eight bytes, which is an address as it is in programs at fixed addresses,
    /// and the register that gets it or its sum, if one does.
    Constant(usize, Option<u8>),
    /// A jump behind an addition of these registers, or of one of them and something else.
    Sum([u8; 2]),
}

const RAX: u8 = 0;

/// The references in the code, each behind the offset of the next instruction. What is not an instruction
/// is passed over byte by byte; a sweep falls in step with the instructions again soon.
pub fn references(code: &[u8]) -> impl Iterator<Item = (usize, Reference)> + '_ {
    let (mut at, mut sum) = (0, None);
    core::iter::from_fn(move || {
        while at < code.len() {
            let Some((length, opcode)) = decoded(&code[at..]) else {
                at += 1;
                continue;
            };
            let (prefixes, rest) = code[at..at + length].split_at(opcode);
            let rex = rex(prefixes);
            let sum = core::mem::replace(&mut sum, added(rex, rest));
            at += length;
            let found = match (rest, sum) {
                ([0xff, 0xe0..=0xe7], Some(registers)) => Some(Reference::Sum(registers)),
                _ => reference(rex, rest, at),
            };
            if let Some(found) = found {
                return Some((at, found));
            }
        }
        None
    })
}

/// The registers of an addition. All operations with a constant count as one.
fn added(rex: u8, instruction: &[u8]) -> Option<[u8; 2]> {
    match *instruction {
        [0x01 | 0x03, mode, ..] => {
            let (first, second) = registers(rex, mode);
            Some([first, second.unwrap_or(first)])
        }
        [0x05, ..] => Some([RAX; 2]),
        [0x81 | 0x83, mode, ..] => registers(rex, mode).1.map(|register| [register; 2]),
        _ => None,
    }
}

/// The reference of an instruction from its opcode on; `behind` is the offset of the next one.
fn reference(rex: u8, instruction: &[u8], behind: usize) -> Option<Reference> {
    let constant = |value: [u8; 4], register| Reference::Constant(u32::from_le_bytes(value) as usize, register);
    let to = |distance: [u8; 4]| behind.wrapping_add_signed(i32::from_le_bytes(distance) as isize);
    Some(match *instruction {
        [0x70..=0x7f | 0xe0..=0xe3 | 0xeb, distance] => {
            Reference::Jump(behind.wrapping_add_signed(isize::from(distance as i8)))
        }
        // xbegin jumps if its transaction is given up.
        [0xe8 | 0xe9, a, b, c, d] | [0x0f, 0x80..=0x8f, a, b, c, d] | [0xc7, 0xf8, a, b, c, d] => {
            Reference::Jump(to([a, b, c, d]))
        }
        [0x8d, mode, a, b, c, d] if mode & 0xc7 == 5 => Reference::Address(to([a, b, c, d]), registers(rex, mode).0),
        // push and mov of a constant, operations with one, and mov of eight bytes.
        [0x68, a, b, c, d] => constant([a, b, c, d], None),
        [op @ 0xb8..=0xbf, a, b, c, d] => constant([a, b, c, d], Some(register(rex, op))),
        [0x81 | 0xc7, mode, .., a, b, c, d] => constant([a, b, c, d], registers(rex, mode).1),
        [op, a, b, c, d] if op < 0x40 && op & 7 == 5 => constant([a, b, c, d], Some(RAX)),
        [op @ 0xb8..=0xbf, a, b, c, d, e, f, g, h] => {
            Reference::Constant(u64::from_le_bytes([a, b, c, d, e, f, g, h]) as usize, Some(register(rex, op)))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn found(code: &[u8]) -> Vec<Reference> {
        references(code).map(|(_, reference)| reference).collect()
    }

    #[test]
    fn instructions_have_their_lengths() {
        for (bytes, length) in [
            (&[0x55][..], 1),                                             // push %rbp
            (&[0x48, 0x89, 0xe5], 3),                                     // mov %rsp,%rbp
            (&[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8], 10),                  // movabs
            (&[0x66, 0xb8, 1, 2], 4),                                     // mov $0x201,%ax
            (&[0x48, 0xc7, 0x04, 0x24, 1, 2, 3, 4], 8),                   // movq $..,(%rsp)
            (&[0x66, 0xc7, 0x45, 0x08, 1, 2], 6),                         // movw $..,8(%rbp)
            (&[0x48, 0x8d, 0x35, 1, 2, 3, 4], 7),                         // lea ..(%rip),%rsi
            (&[0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0], 9),             // mov %fs:0,%rax
            (&[0xf6, 0x40, 0x08, 0x20], 4),                               // testb $32,8(%rax)
            (&[0xf7, 0xd8], 2),                                           // neg %eax
            (&[0x66, 0x0f, 0x6f, 0x05, 1, 2, 3, 4], 8),                   // movdqa ..(%rip),%xmm0
            (&[0x66, 0x0f, 0x3a, 0x0f, 0xc1, 8], 6),                      // palignr $8,%xmm1,%xmm0
            (&[0xc5, 0xf8, 0x77], 3),                                     // vzeroupper
            (&[0xc5, 0xfd, 0x74, 0x0f], 4),                               // vpcmpeqb (%rdi),%ymm0,%ymm1
            (&[0xc4, 0xe2, 0x7d, 0x78, 0xc0], 5),                         // vpbroadcastb %xmm0,%ymm0
            (&[0xc4, 0xe3, 0x7d, 0x39, 0xc1, 1], 6),                      // vextracti128
            (&[0x62, 0xe1, 0xfe, 0x28, 0x6f, 0x06], 6),                   // vmovdqu64 (%rsi),%ymm16
            (&[0x62, 0xb3, 0x7d, 0x20, 0x3f, 0x44, 0x87, 0x01, 0x00], 9), // vpcmpeqb, with an index
            (&[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0], 8),                      // nopl
            (&[0x0f, 0x85, 1, 2, 3, 4], 6),                               // jne
            (&[0x0f, 0x05], 2),                                           // syscall
        ] {
            let code = [bytes, &[0x90; 8]].concat();
            assert_eq!(decoded(&code).map(|(length, _)| length), Some(length), "{bytes:x?}");
        }
        assert_eq!(decoded(&[0x06]), None);
        assert_eq!(decoded(&[0x48, 0x8d]), None);
    }

    #[test]
    fn instructions_that_write_rax_are_known() {
        let leaves = |bytes: &[u8]| leaves_rax(&[bytes, &[0x90; 8]].concat()).is_some_and(|(_, leaves)| leaves);
        // mov %rax,%rdx; mov %rdx,(%rax); xor %r8d,%r8d; mov $1,%r8d; lea 8(%rax),%rsi; movups.
        for bytes in [
            &[0x48, 0x89, 0xc2][..],
            &[0x48, 0x89, 0x10],
            &[0x45, 0x31, 0xc0],
            &[0x41, 0xb8, 1, 0, 0, 0],
            &[0x48, 0x8d, 0x70, 8],
            &[0x0f, 0x11, 0x83, 0, 0, 0, 0],
        ] {
            assert!(leaves(bytes), "{bytes:x?}");
        }
        // mov %rdx,%rax; mov (%rdx),%eax; xor %eax,%eax; mov $1,%eax; pop %rax; add $1,%eax; xchg; call.
        for bytes in [
            &[0x48, 0x89, 0xd0][..],
            &[0x8b, 0x02],
            &[0x31, 0xc0],
            &[0xb8, 1, 0, 0, 0],
            &[0x58],
            &[0x83, 0xc0, 1],
            &[0x49, 0x90],
            &[0xe8, 0, 0, 0, 0],
        ] {
            assert!(!leaves(bytes), "{bytes:x?}");
        }
    }

    #[test]
    fn targets_are_those_of_jumps_and_not_of_bytes_in_constants() {
        // jmp to 6; mov $0xeb,%eax; jne back to 0; call 20 and more.
        let code = [0xeb, 4, 0xb8, 0xeb, 1, 0, 0, 0x0f, 0x85, 0xf3, 0xff, 0xff, 0xff, 0xe8, 2, 0, 0, 0];
        let jumps = [6, 0, 20].map(Reference::Jump);
        let mut found_jumps = found(&code);
        found_jumps.retain(|reference| !matches!(reference, Reference::Constant(..)));
        assert_eq!(found_jumps, jumps);
        // lea 16(%rip),%rdi.
        let code = [0x48, 0x8d, 0x3d, 16, 0, 0, 0];
        assert_eq!(found(&code), [Reference::Address(23, 7)]);
        // xbegin 16.
        assert_eq!(found(&[0xc7, 0xf8, 10, 0, 0, 0]), [Reference::Jump(16)]);
    }

    #[test]
    fn constants_may_be_addresses() {
        // push; mov to edi, rdi, (%rdi) and 8(%rsp); add to rax and rdx; movabs to rdi and r9.
        for (code, register) in [
            (&[0x68, 0x14, 0x17, 0x40, 0][..], None),
            (&[0xbf, 0x14, 0x17, 0x40, 0], Some(7)),
            (&[0x48, 0xc7, 0xc7, 0x14, 0x17, 0x40, 0], Some(7)),
            (&[0x48, 0xc7, 0x07, 0x14, 0x17, 0x40, 0], None),
            (&[0x48, 0xc7, 0x44, 0x24, 0x08, 0x14, 0x17, 0x40, 0], None),
            (&[0x48, 0x05, 0x14, 0x17, 0x40, 0], Some(0)),
            (&[0x48, 0x81, 0xc2, 0x14, 0x17, 0x40, 0], Some(2)),
            (&[0x48, 0xbf, 0x14, 0x17, 0x40, 0, 0, 0, 0, 0], Some(7)),
            (&[0x49, 0xb9, 0x14, 0x17, 0x40, 0, 0, 0, 0, 0], Some(9)),
        ] {
            assert_eq!(found(code), [Reference::Constant(0x40_1714, register)], "{code:x?}");
        }
    }

    #[test]
    fn a_jump_behind_an_addition_has_its_registers() {
        let sums = |code: &[u8]| {
            let found = found(code).into_iter().filter(|reference| matches!(reference, Reference::Sum(_)));
            found.collect::<Vec<_>>()
        };
        // add %rdx,%rax; add %r8,%rcx; add (%rbx),%rcx; add $8,%rdx; jmp *%rax or *%rcx or *%rdx.
        for (code, registers) in [
            (&[0x48, 0x01, 0xd0, 0xff, 0xe0][..], [2, 0]),
            (&[0x49, 0x03, 0xc8, 0xff, 0xe1], [1, 8]),
            (&[0x48, 0x03, 0x0b, 0xff, 0xe1], [1, 1]),
            (&[0x48, 0x83, 0xc2, 0x08, 0xff, 0xe2], [2, 2]),
        ] {
            assert_eq!(sums(code), [Reference::Sum(registers)], "{code:x?}");
        }
        // mov %rdx,%rax in between.
        assert_eq!(sums(&[0x48, 0x01, 0xd0, 0x48, 0x89, 0xd0, 0xff, 0xe0]), []);
    }

    #[test]
    fn instructions_that_can_move_are_known() {
        let moved = |bytes: &[u8]| can_move(&[bytes, &[0x90; 8]].concat());
        // movslq %edi,%rdi; mov 8(%rsp),%r10; add $8,%rsp; pop %rdi; push $1; cmp; movups;
        // mov %fs:0,%rax; and $-16,%rsi; mov $1,%r8d; cmovne %eax,%edx; inc %eax; sub %fs:0x28,%rdx; movb $1,152(%rsp).
        for bytes in [
            &[0x48, 0x63, 0xff][..],
            &[0x4c, 0x8b, 0x54, 0x24, 0x08],
            &[0x48, 0x83, 0xc4, 0x08],
            &[0x5f],
            &[0x6a, 1],
            &[0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff],
            &[0x0f, 0x11, 0x44, 0x24, 0x10],
            &[0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0],
            &[0x48, 0x83, 0xe6, 0xf0],
            &[0x41, 0xb8, 1, 0, 0, 0],
            &[0x0f, 0x45, 0xd0],
            &[0xff, 0xc0],
            &[0x64, 0x48, 0x2b, 0x14, 0x25, 0x28, 0, 0, 0],
            &[0xc6, 0x84, 0x24, 0x98, 0, 0, 0, 1],
        ] {
            assert_eq!(moved(bytes), Some((bytes.len(), true)), "{bytes:x?}");
        }
        // They write or read rcx or r11: mov %rcx,(%rsi); xor %ecx,%ecx; mov %r11,%r9; pop %rcx; mov $1,%r11d.
        for bytes in [&[0x48, 0x89, 0x0e][..], &[0x31, 0xc9], &[0x4d, 0x89, 0xd9], &[0x59], &[0x41, 0xbb, 1, 0, 0, 0]] {
            assert_eq!(moved(bytes), Some((bytes.len(), false)), "{bytes:x?}");
        }
        // Jumps, calls, ret, hlt, nop, endbr64, what has an address of its own, loop, xbegin, call *%r9,
        // syscall, rep movsb, lea of a 32-bit address, mov into ch.
        for bytes in [
            &[0xeb, 0][..],
            &[0x75, 0],
            &[0xe8, 0, 0, 0, 0],
            &[0x0f, 0x84, 0, 0, 0, 0],
            &[0xc3],
            &[0xf4],
            &[0x90],
            &[0x0f, 0x1f, 0x40, 0],
            &[0xf3, 0x0f, 0x1e, 0xfa],
            &[0x48, 0x8b, 0x05, 0, 0, 0, 0],
            &[0x48, 0x83, 0x3d, 0, 0, 0, 0, 1],
            &[0x0f, 0x10, 0x05, 0, 0, 0, 0],
            &[0xe2, 0],
            &[0xc7, 0xf8, 0, 0, 0, 0],
            &[0x41, 0xff, 0xd1],
            &[0xff, 0x25, 0, 0, 0, 0],
            &[0x0f, 0x05],
            &[0xf3, 0xa4],
            &[0x67, 0x8d, 0x04, 0x24],
            &[0xc6, 0xc5, 1],
        ] {
            assert_eq!(moved(bytes), None, "{bytes:x?}");
        }
    }
}

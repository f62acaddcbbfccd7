//! Makes a history as short as possible: leaves out steps (delta debugging), then makes numbers
//! simpler. Pure functions: the caller decides whether a history still shows its difference.

use crate::op::{Op, Verb};

/// The shortest history found for which `shows` returns true. It must do so for the given one.
pub fn shrink(mut ops: Vec<Op>, mut shows: impl FnMut(&[Op]) -> bool) -> Vec<Op> {
    loop {
        let before = ops.clone();
        ops = drop_steps(ops, &mut shows);
        ops = simplify(ops, &mut shows);
        if ops == before {
            return ops;
        }
    }
}

/// Leaves out pieces, half of the history at first, single steps at last.
fn drop_steps(mut ops: Vec<Op>, shows: &mut impl FnMut(&[Op]) -> bool) -> Vec<Op> {
    let mut piece = ops.len().div_ceil(2).max(1);
    loop {
        let mut end = ops.len();
        let mut dropped = false;
        // From the end, since a late step can be left out without the steps that made it possible.
        while end > 0 {
            let start = end.saturating_sub(piece);
            let rest: Vec<Op> = ops[..start].iter().chain(&ops[end..]).copied().collect();
            if shows(&rest) {
                ops = rest;
                dropped = true;
            }
            end = start;
        }
        if piece > 1 {
            piece = piece.div_ceil(2).min(ops.len().max(1));
        } else if !dropped {
            return ops;
        }
    }
}

/// Tries simpler numbers in each step.
fn simplify(mut ops: Vec<Op>, shows: &mut impl FnMut(&[Op]) -> bool) -> Vec<Op> {
    for at in 0..ops.len() {
        for (argument, name) in ops[at].verb.args().iter().enumerate() {
            for value in simpler(ops[at].verb, name, ops[at].args[argument]) {
                let mut simpler = ops.clone();
                simpler[at].args[argument] = value;
                if shows(&simpler) {
                    ops = simpler;
                    if !matches!(*name, "mask" | "events") {
                        break;
                    }
                }
            }
        }
    }
    ops
}

/// The simpler values for a number, the simplest first.
fn simpler(verb: Verb, name: &str, value: i64) -> Vec<i64> {
    let candidates: Vec<i64> = match name {
        "mask" | "events" => (0..32).filter(|bit| value >> bit & 1 != 0).map(|bit| value & !(1 << bit)).collect(),
        "size" => vec![1, 2, 10, 100, 1000, 4096],
        "max" => vec![64],
        "count" => vec![1, 2, 10, 66],
        "ns" | "how" | "call" | "order" | "variant" | "flags" | "us" => vec![0],
        "what" if verb == Verb::Child => vec![0],
        _ => Vec::new(),
    };
    let rank = |one: i64| candidates.iter().position(|&candidate| candidate == one).unwrap_or(usize::MAX);
    let mine = if matches!(name, "mask" | "events") { usize::MAX } else { rank(value) };
    candidates.iter().copied().filter(|&candidate| candidate != value && rank(candidate) < mine).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(desc: i64, size: i64) -> Op {
        Op::new(Verb::Write, &[desc, size, 4])
    }

    #[test]
    fn only_what_matters_is_left() {
        let mut ops: Vec<Op> = (0..100).map(|n| write(n % 7, 100 + n)).collect();
        ops.insert(40, Op::new(Verb::Drain, &[3, 500, 2]));
        // The difference needs a drain of 3, with a write to 5 somewhere before it and one to 2
        // somewhere after it.
        let shows = |ops: &[Op]| {
            let drain = ops.iter().position(|op| op.verb == Verb::Drain && op.args[0] == 3);
            drain.is_some_and(|at| {
                ops[..at].iter().any(|op| op.args[0] == 5) && ops[at..].iter().any(|op| op.args[0] == 2)
            })
        };
        assert!(shows(&ops));
        let shrunk = shrink(ops, shows);
        assert_eq!(
            shrunk,
            [Op::new(Verb::Write, &[5, 1, 0]), Op::new(Verb::Drain, &[3, 1, 0]), Op::new(Verb::Write, &[2, 1, 0])]
        );
    }

    #[test]
    fn numbers_that_matter_stay() {
        let ops = vec![write(1, 4097), write(2, 20000)];
        let shrunk = shrink(ops, |ops| ops.iter().any(|op| op.args[0] == 1 && op.args[1] > 4096));
        assert_eq!(shrunk, [Op::new(Verb::Write, &[1, 4097, 0])]);
        let masks = vec![Op::new(Verb::Control, &[0, 1, 2, 0x8000_0025, 9])];
        let shrunk = shrink(masks, |ops| ops.first().is_some_and(|op| op.args[3] & 0x8000_0001 == 0x8000_0001));
        assert_eq!(shrunk[0].args[3], 0x8000_0001);
    }

    #[test]
    fn what_never_shows_alone_stays_whole() {
        let ops: Vec<Op> = (0..9).map(|n| Op::new(Verb::Write, &[n, 1, 0])).collect();
        let whole = ops.clone();
        assert_eq!(shrink(ops, |ops| ops == whole), whole);
    }
}

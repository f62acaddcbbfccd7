//! Delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input): the
//! smallest set that still fails, as far as leaving out one at a time can tell.

/// Shrinks a set that fails. `fails` runs the test, and may end the search early by an error. The
/// last elements are tried first: a program often fails at once.
pub fn shrink<T: Clone, E>(set: &[T], fails: &mut dyn FnMut(&[T]) -> Result<bool, E>) -> Result<Vec<T>, E> {
    let mut set = last(set, fails)?;
    let mut parts = 2;
    while set.len() > 1 {
        let size = set.len().div_ceil(parts);
        match smaller(&set, size, fails)? {
            Some((found, is_part)) => {
                parts = if is_part { 2 } else { (parts - 1).max(2) };
                set = found;
            }
            None if size == 1 => break,
            None => parts = (parts * 2).min(set.len()),
        }
    }
    Ok(set)
}

/// The last 1, 2, 4 … elements that fail, or all.
fn last<T: Clone, E>(set: &[T], fails: &mut dyn FnMut(&[T]) -> Result<bool, E>) -> Result<Vec<T>, E> {
    let mut n = 1;
    while n < set.len() {
        let end = &set[set.len() - n..];
        if fails(end)? {
            return Ok(end.to_vec());
        }
        n *= 2;
    }
    Ok(set.to_vec())
}

/// A part of this size, or what is left without one, that fails.
fn smaller<T: Clone, E>(
    set: &[T],
    size: usize,
    fails: &mut dyn FnMut(&[T]) -> Result<bool, E>,
) -> Result<Option<(Vec<T>, bool)>, E> {
    for part in set.chunks(size) {
        if fails(part)? {
            return Ok(Some((part.to_vec(), true)));
        }
    }
    // Of two parts each is what is left without the other.
    if set.len().div_ceil(size) > 2 {
        for at in (0..set.len()).step_by(size) {
            let rest = [&set[..at], &set[(at + size).min(set.len())..]].concat();
            if fails(&rest)? {
                return Ok(Some((rest, false)));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shrunk(n: u32, needed: &[u32]) -> (Vec<u32>, usize) {
        let all: Vec<u32> = (0..n).collect();
        let mut runs = 0;
        let mut fails = |set: &[u32]| {
            runs += 1;
            Ok::<bool, ()>(needed.iter().all(|one| set.contains(one)))
        };
        let found = shrink(&all, &mut fails).unwrap();
        (found, runs)
    }

    #[test]
    fn exactly_what_is_needed_is_left() {
        assert_eq!(shrunk(1, &[0]).0, [0]);
        for one in 0..100 {
            assert_eq!(shrunk(100, &[one]).0, [one]);
        }
        assert_eq!(shrunk(300, &[3, 150, 297]).0, [3, 150, 297]);
        assert_eq!(shrunk(64, &[0, 63]).0, [0, 63]);
    }

    #[test]
    fn the_last_decision_is_found_at_once_and_any_in_few_runs() {
        assert_eq!(shrunk(1000, &[999]).1, 1);
        assert!(shrunk(1000, &[0]).1 < 40);
    }

    #[test]
    fn an_error_ends_the_search() {
        assert_eq!(shrink(&[1, 2, 3], &mut |_| Err::<bool, &str>("enough")), Err("enough"));
    }
}

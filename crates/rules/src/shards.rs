//! The number of watcher threads, and the number of registrations that each of them takes.

/// The size of the first shards, in registrations. After each wake-up the watcher polls its whole
/// shard again, so shards are small. With very many registrations the number of threads matters
/// more. Together with the wake-up descriptor the array fills an allocator block.
const SMALL_SHARD: usize = 127;
const LARGE_SHARD: usize = 1023;
/// The number of small shards. They are filled first.
const SMALL_SHARDS: u16 = 32;

/// The number of registrations that a shard takes.
pub const fn size(number: u16) -> usize {
    if number < SMALL_SHARDS { SMALL_SHARD } else { LARGE_SHARD }
}

/// The number of shards that this many registrations need.
pub fn shards_for(registrations: usize) -> usize {
    let small = registrations.div_ceil(SMALL_SHARD).min(SMALL_SHARDS as usize);
    small + registrations.saturating_sub(small * SMALL_SHARD).div_ceil(LARGE_SHARD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_shards_as_hold_the_registrations() {
        for registrations in [0, 1, 127, 128, 32 * 127, 32 * 127 + 1, 32 * 127 + 1024, 100_000] {
            let shards = shards_for(registrations);
            let room = |shards: usize| (0..shards as u16).map(size).sum::<usize>();
            assert!(room(shards) >= registrations, "{shards} shards are too few for {registrations}");
            assert!(
                shards == 0 || room(shards - 1) < registrations,
                "{shards} shards are too many for {registrations}"
            );
        }
    }
}

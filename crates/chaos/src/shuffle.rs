//! Another order of some items of a list.

use crate::hash;

/// Puts the items at these places in the order of that number; the others stay where they are.
pub fn shuffle<T>(items: &mut [T], places: &[usize], order: u64) {
    for last in (1..places.len()).rev() {
        let other = hash(&[order, last as u64]) as usize % (last + 1);
        items.swap(places[last], places[other]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn shuffled(places: &[usize], order: u64) -> [u8; 6] {
        let mut items = [0, 1, 2, 3, 4, 5];
        shuffle(&mut items, places, order);
        items
    }

    #[test]
    fn items_at_other_places_stay_and_none_is_lost() {
        for order in 0..1000 {
            let mut items = shuffled(&[1, 2, 4], order);
            assert_eq!([items[0], items[3], items[5]], [0, 3, 5]);
            items.sort_unstable();
            assert_eq!(items, [0, 1, 2, 3, 4, 5]);
        }
    }

    #[test]
    fn each_order_is_as_frequent_as_the_others() {
        let mut times = HashMap::new();
        for order in 0..6_000 {
            *times.entry(shuffled(&[1, 2, 4], order)).or_insert(0) += 1;
        }
        assert_eq!(times.len(), 6);
        assert!(times.values().all(|times| (900..1100).contains(times)), "{times:?}");
    }

    #[test]
    fn the_same_number_is_the_same_order() {
        assert_eq!(shuffled(&[0, 1, 2, 3, 4, 5], 7), shuffled(&[0, 1, 2, 3, 4, 5], 7));
        assert_eq!(shuffled(&[3], 7), shuffled(&[], 8));
    }
}

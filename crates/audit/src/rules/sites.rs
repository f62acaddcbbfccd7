//! What a rule knows of each place in the program.

use epolyfill_facts::{NO_FD, SiteId};
use hashbrown::HashMap;

/// Something about each site, or about each descriptor whose site is not known.
#[derive(Debug)]
pub(crate) struct Sites<T>(HashMap<(SiteId, i32), T>);

impl<T> Default for Sites<T> {
    fn default() -> Sites<T> {
        Sites(HashMap::default())
    }
}

impl<T: Default> Sites<T> {
    /// What is known of the site of a registration; `None` for want of memory.
    pub fn of(&mut self, site: SiteId, fd: i32) -> Option<&mut T> {
        self.0.try_reserve(1).ok()?;
        Some(self.0.entry((site, if site == SiteId(0) { fd } else { NO_FD })).or_default())
    }
}

//! The progress of the watched TCP connections.

use crate::calls;
use crate::kinds::Kind;
use crate::world::World;

/// The progress of each TCP connection behind a registration.
pub type Movement = Vec<Option<calls::Progress>>;

impl World<'_> {
    /// The progress of the watched TCP connections, themselves or in an instance, each with the
    /// data of its registration. Acknowledgements arrive when the kernel has the time, even between
    /// two waits.
    pub fn connections(&self) -> Vec<(u64, Movement)> {
        let waited = self.registrations.iter().filter(|one| one.alive && !one.is_level());
        let tcp = waited.map(|one| {
            let mut movement = Movement::new();
            self.add_progress(one.file, &mut movement);
            (one.data, movement)
        });
        tcp.filter(|(_, movement)| !movement.is_empty()).collect()
    }

    fn add_progress(&self, file: usize, movement: &mut Movement) {
        if self.files[file].kind == Kind::Tcp {
            movement.push(self.number_of(file).and_then(calls::progress));
        } else if let Some(inside) = self.inside(file) {
            let registered = self.registrations.iter().filter(|one| one.alive && one.pair == inside);
            registered.for_each(|one| self.add_progress(one.file, movement));
        }
    }

    /// The state of a TCP connection, and the bytes that it has received.
    pub fn received(&self, file: usize) -> (u8, u64) {
        let fd = self.number_of(file).filter(|_| self.files[file].kind == Kind::Tcp);
        let (state, _, bytes) = fd.and_then(calls::progress).unwrap_or_default();
        (state, bytes)
    }

    /// Records what the registration's connection has received so far.
    pub fn take_down_received(&mut self, at: usize) {
        self.registrations[at].received = self.received(self.registrations[at].file);
    }
}

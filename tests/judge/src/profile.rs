//! What a worker process does besides its histories.

/// What the histories of one worker process may do. Some steps change the library for the rest of
/// the process: it has forked, it has threads, its instances are observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Plain,
    Nested,
    Forking,
    Threads,
}

impl Profile {
    pub const ALL: [Profile; 4] = [Profile::Plain, Profile::Nested, Profile::Forking, Profile::Threads];

    pub const fn word(self) -> &'static str {
        match self {
            Profile::Plain => "plain",
            Profile::Nested => "nested",
            Profile::Forking => "forking",
            Profile::Threads => "threads",
        }
    }

    pub fn parse(word: &str) -> Option<Profile> {
        Profile::ALL.into_iter().find(|profile| profile.word() == word)
    }
}

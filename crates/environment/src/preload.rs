//! The library's place in a value of LD_PRELOAD, for the library and the launcher.
//!
//! The runtimes of sanitizers have to come before every other library, and libfaketime has to
//! convert the program's time-outs before this library sees them; everything else comes after it.

/// The beginnings of the names of those files.
const FIRST: [&[u8]; 7] =
    [b"libasan.", b"libtsan.", b"liblsan.", b"libubsan.", b"libhwasan.", b"libclang_rt.", b"libfaketime"];

/// Whether an entry has to come before the library.
fn comes_first(entry: &[u8]) -> bool {
    let name = entry.rsplit(|byte| *byte == b'/').next().unwrap_or(entry);
    FIRST.iter().any(|beginning| name.starts_with(beginning))
}

/// A value without the library, or with the library in the wrong place: the part before it, in two
/// pieces, and the part after it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    before: [&'a [u8]; 2],
    behind: &'a [u8],
}

/// The place for the library in a value; `None` if it is already there. `is_ours` recognizes its
/// entry.
pub fn place<'a>(value: &'a [u8], is_ours: impl Fn(&[u8]) -> bool) -> Option<Place<'a>> {
    let (mut own, mut first, mut start) = (None, 0, 0);
    for entry in value.split(|byte| matches!(byte, b':' | b' ')) {
        let end = start + entry.len();
        if comes_first(entry) {
            first = end;
        } else if own.is_none() && !entry.is_empty() && is_ours(entry) {
            own = Some((start, end));
        }
        start = end + 1;
    }
    let before = match own {
        Some((start, _)) if start >= first => return None,
        // Its separator is removed with it; there is one, because the runtimes come before it.
        Some((start, end)) => [&value[..start], &value[end + 1..first]],
        None => [&value[..first], &b""[..]],
    };
    Some(Place { before, behind: &value[first..] })
}

impl<'a> Place<'a> {
    /// The pieces of the value with the library in it.
    pub fn with(&self, library: &'a [u8]) -> [&'a [u8]; 6] {
        let [one, two] = self.before;
        let is_front = one.is_empty() && two.is_empty();
        let separator = |wanted: bool| if wanted { &b":"[..] } else { &b""[..] };
        // The part behind begins with a separator if there is a part before.
        [one, two, separator(!is_front), library, separator(is_front && !self.behind.is_empty()), self.behind]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn placed(value: &str) -> Option<String> {
        let place = place(value.as_bytes(), |entry| entry == b"/x/ours.so")?;
        Some(String::from_utf8(place.with(b"/x/ours.so").concat()).unwrap())
    }

    #[test]
    fn the_library_goes_in_front_of_all_but_what_must_come_first() {
        assert_eq!(placed("").as_deref(), Some("/x/ours.so"));
        assert_eq!(placed("a.so b.so").as_deref(), Some("/x/ours.so:a.so b.so"));
        assert_eq!(placed("libasan.so.8:a.so").as_deref(), Some("libasan.so.8:/x/ours.so:a.so"));
        assert_eq!(placed("a.so:/l/libfaketime.so.1").as_deref(), Some("a.so:/l/libfaketime.so.1:/x/ours.so"));
    }

    #[test]
    fn the_library_is_moved_behind_what_must_come_first_and_left_where_it_may_be() {
        assert_eq!(placed("/x/ours.so:libfaketime.so.1").as_deref(), Some("libfaketime.so.1:/x/ours.so"));
        assert_eq!(placed("a:/x/ours.so:libtsan.so.2:b").as_deref(), Some("a:libtsan.so.2:/x/ours.so:b"));
        assert_eq!(placed("libtsan.so.2:a:/x/ours.so:b"), None);
        assert_eq!(placed("/x/ours.so"), None);
    }
}

//! Programs that only start another one, such as nohup, so that `--check` can check that one. Only
//! their plain command lines are understood; the other programs that a program starts are not known
//! in advance.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// The command that these words start through a wrapper.
pub fn started(words: &[OsString]) -> Option<&OsStr> {
    let (first, rest) = words.split_first()?;
    let base = first.as_bytes().rsplit(|byte| *byte == b'/').next()?;
    let rest = match base {
        b"nohup" | b"setsid" | b"nice" | b"ionice" => rest,
        // The first word is the duration.
        b"timeout" => rest.split_first().filter(|(time, _)| !is_option(time))?.1,
        b"env" => {
            let assignments = rest.iter().take_while(|word| !is_option(word) && word.as_bytes().contains(&b'='));
            &rest[assignments.count()..]
        }
        _ => return None,
    };
    rest.first().filter(|word| !is_option(word)).map(OsString::as_os_str)
}

fn is_option(word: &OsStr) -> bool {
    word.as_bytes().starts_with(b"-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        started(&words).map(|word| word.to_string_lossy().into_owned())
    }

    #[test]
    fn plain_words_are_understood_and_options_are_left_alone() {
        assert_eq!(of("nohup prog a").as_deref(), Some("prog"));
        assert_eq!(of("/usr/bin/env A=1 B=2 prog").as_deref(), Some("prog"));
        assert_eq!(of("timeout 5 prog").as_deref(), Some("prog"));
        assert_eq!(of("timeout -k 1 5 prog"), None);
        assert_eq!(of("env -i prog"), None);
        assert_eq!(of("sh prog"), None);
        assert_eq!(of("nohup"), None);
    }
}

//! The lines of a text, with their offsets.

/// Iterates over the lines.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a str) -> Lines<'a> {
        Lines { text, at: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<(usize, &'a str)> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let begin = self.at;
        let n = rest.find('\n').unwrap_or(rest.len());
        self.at += n + 1;
        Some((begin, &rest[..n]))
    }
}

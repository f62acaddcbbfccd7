//! Text without allocation: a line in a buffer on the stack, for messages and `/proc` paths.

use std::fmt;

use crate::sys;

/// A line of at most `N` bytes; the rest is cut off.
#[derive(Clone, Copy)]
pub struct Line<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Line<N> {
    /// An empty line.
    pub const fn new() -> Self {
        Line { bytes: [0; N], length: 0 }
    }

    /// Appends text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let room = &mut self.bytes[self.length..];
        let n = text.len().min(room.len());
        room[..n].copy_from_slice(&text.as_bytes()[..n]);
        self.length += n;
        self
    }

    /// Appends a decimal number.
    pub fn number(&mut self, value: i64) -> &mut Self {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut rest = value.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            self.text("-");
        }
        self.text(std::str::from_utf8(&digits[at..]).unwrap_or_default())
    }

    /// Appends spaces up to the column.
    pub fn column(&mut self, column: usize) -> &mut Self {
        while self.length < column.min(N) {
            self.text(" ");
        }
        self
    }

    /// The bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Writes the line to standard error, in one system call, if the descriptor accepts it.
    pub fn to_stderr(self) {
        let _ = sys::write(libc::STDERR_FILENO, self.as_bytes());
    }
}

impl<const N: usize> fmt::Write for Line<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}

impl<const N: usize> fmt::Debug for Line<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.as_bytes()), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_text_line_up() {
        let mut line = Line::<32>::new();
        line.text("a").column(4).number(-120).text("b").number(0);
        assert_eq!(line.as_bytes(), b"a   -120b0");
    }

    #[test]
    fn what_does_not_fit_is_cut_off() {
        let mut line = Line::<4>::new();
        line.text("abc").number(i64::MIN);
        assert_eq!(line.as_bytes(), b"abc-");
    }
}

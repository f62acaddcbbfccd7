//! The arguments of a call, and its result, as strace writes them.

use crate::names;
use epolyfill_facts::errno::EINTR;

/// The arguments of a call, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    rest: &'a str,
    is_closed: bool,
}

/// Steps through the text of arguments; whatever is in strings and in the descriptions of
/// descriptors (`<...>`) is passed over.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    /// The next byte that counts, and where it is.
    fn next(&mut self) -> Option<(usize, u8)> {
        let at = self.at;
        let byte = *self.bytes.get(at)?;
        self.at += 1;
        match byte {
            b'"' => self.string(),
            b'<' if at > 0 && matches!(self.bytes[at - 1], b'0'..=b'9' | b'D') => self.description(),
            _ => {}
        }
        Some((at, byte))
    }

    fn string(&mut self) {
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'"' => return,
                _ => {}
            }
        }
    }

    /// Past the `>` that ends a description; that of an arrow does not.
    fn description(&mut self) {
        let begin = self.at;
        let mut depth = 1;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'<' => depth += 1,
                b'>' if self.bytes[self.at - 2] != b'-' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
        // It was not a description.
        self.at = begin;
    }
}

impl<'a> Args<'a> {
    /// The arguments in the text after the opening parenthesis.
    pub fn new(text: &'a str) -> Args<'a> {
        Args { rest: text, is_closed: false }
    }

    /// The next argument, or an empty text.
    pub fn text(&mut self) -> &'a str {
        if self.is_closed {
            return "";
        }
        let mut scan = Scan { bytes: self.rest.as_bytes(), at: 0 };
        let mut depth = 0_u32;
        while let Some((at, byte)) = scan.next() {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b',' if depth == 0 => return self.cut(at, false),
                b')' if depth == 0 => return self.cut(at, true),
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        self.cut(self.rest.len(), true)
    }

    fn cut(&mut self, at: usize, is_closed: bool) -> &'a str {
        let text = self.rest.get(..at).unwrap_or_default();
        self.rest = self.rest.get(at + 1..).unwrap_or_default();
        self.is_closed = is_closed;
        text.trim()
    }

    /// The next argument as a number.
    pub fn int(&mut self) -> Option<i64> {
        int(self.text())
    }

    /// The next argument as a descriptor.
    pub fn fd(&mut self) -> Option<Fd<'a>> {
        fd(self.text())
    }

    /// Past the next arguments.
    pub fn skip(&mut self, n: usize) -> &mut Args<'a> {
        for _ in 0..n {
            self.text();
        }
        self
    }

    /// What follows the closing parenthesis; `None` if there is none.
    pub fn after(mut self) -> Option<&'a str> {
        while !self.is_closed {
            let before = self.rest.len();
            self.text();
            if self.is_closed && self.rest.is_empty() && before > 0 {
                return None;
            }
        }
        Some(self.rest)
    }
}

/// A descriptor: its number, and what -y or -yy says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fd<'a> {
    pub number: i32,
    pub label: Option<&'a str>,
}

/// Reads a descriptor.
pub fn fd(text: &str) -> Option<Fd<'_>> {
    let (number, label) = match text.split_once('<') {
        Some((number, label)) => (number, Some(label.strip_suffix('>')?)),
        None => (text, None),
    };
    Some(Fd { number: number.trim().parse().ok()?, label })
}

/// Reads a number: decimal, hexadecimal or octal. A comment or a description may follow.
pub fn int(text: &str) -> Option<i64> {
    let text = text.trim();
    let end = text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'-')).unwrap_or(text.len());
    let text = &text[..end];
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(u64::cast_signed);
    }
    if text.len() > 1 && text.starts_with('0') {
        return i64::from_str_radix(text, 8).ok();
    }
    text.parse().ok().or_else(|| text.parse::<u64>().ok().map(u64::cast_signed))
}

/// The number in text that begins after a word, such as `u64=`.
fn after(text: &str, word: &str) -> Option<i64> {
    int(text.split_once(word)?.1)
}

/// The sum of the numbers after a word, in the text outside of strings.
pub fn sum(text: &str, word: &str) -> u64 {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    let mut sum = 0_u64;
    while let Some((at, byte)) = scan.next() {
        if byte == word.as_bytes()[0]
            && let Some(rest) = text.get(at..).and_then(|text| text.strip_prefix(word))
        {
            sum = sum.saturating_add(int(rest).map_or(0, i64::cast_unsigned));
        }
    }
    sum
}

/// Bits and data of a `struct epoll_event`.
pub fn event(text: &str) -> Option<(u32, u64)> {
    let inner = text.trim().strip_prefix('{')?;
    let mut parts = Args::new(inner.strip_suffix('}').unwrap_or(inner));
    let bits = parts.text();
    let bits = names::flags(bits.strip_prefix("events=").unwrap_or(bits), names::EPOLL)?;
    let data = parts.text();
    let data = data.strip_prefix("data=").unwrap_or(data);
    let data = after(data, "u64=").or_else(|| int(data))?;
    Some((bits as u32, data.cast_unsigned()))
}

/// The items of an array.
pub fn items(text: &str) -> impl Iterator<Item = &str> {
    let inner = text.trim().strip_prefix('[').unwrap_or_default();
    let mut parts = Args::new(inner.strip_suffix(']').unwrap_or(inner));
    std::iter::from_fn(move || Some(parts.text()).filter(|item| !item.is_empty()))
}

/// A `struct timespec` in nanoseconds.
pub fn timespec(text: &str) -> Option<i64> {
    let seconds = after(text, "tv_sec=")?;
    seconds.checked_mul(1_000_000_000)?.checked_add(after(text, "tv_nsec=")?)
}

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// The value, or a negative errno.
    pub value: i64,
    /// What -yy says about the descriptor that it is.
    pub label: Option<&'a str>,
    /// What stands behind it, in parentheses.
    pub remark: &'a str,
    /// The duration, by -T.
    pub took_ns: Option<u64>,
}

/// Reads what follows the closing parenthesis. `None` if there is no result: the thread ended, or the
/// line is cut short.
pub fn outcome(text: &str) -> Option<Outcome<'_>> {
    let text = text.trim_start().strip_prefix("=> ").map_or(text, |rest| rest.split_once(") ").map_or("", |p| p.1));
    let text = text.trim_start().strip_prefix("= ")?;
    let (text, took_ns) = took(text.trim_end());
    let (first, remark) = match first_word(text) {
        Some(at) => (&text[..at], text[at..].trim()),
        None => (text, ""),
    };
    let outcome = |value, label| Some(Outcome { value, label, remark, took_ns });
    match first {
        "?" if remark.starts_with("ERESTART") => outcome(-i64::from(EINTR), None),
        "?" => None,
        "-1" if remark.starts_with('E') => {
            let name = remark.split_once(' ').map_or(remark, |(name, _)| name);
            outcome(-i64::from(names::errno(name)), None)
        }
        _ => match fd(first) {
            Some(fd) if fd.label.is_some() => outcome(i64::from(fd.number), fd.label),
            _ => outcome(int(first)?, None),
        },
    }
}

/// Where the first word ends; a description belongs to it.
fn first_word(text: &str) -> Option<usize> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    while let Some((at, byte)) = scan.next() {
        if byte == b' ' {
            return Some(at);
        }
    }
    None
}

fn took(text: &str) -> (&str, Option<u64>) {
    let parts = text.strip_suffix('>').and_then(|text| text.rsplit_once(" <"));
    let Some((rest, took)) = parts else { return (text, None) };
    let Some((seconds, part)) = took.split_once('.') else { return (text, None) };
    if part.is_empty() || part.len() > 9 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return (text, None);
    }
    let Ok(seconds) = seconds.parse::<u32>() else { return (text, None) };
    let part = part.parse::<u64>().unwrap_or(0) * 10_u64.pow(9 - part.len() as u32);
    (rest.trim_end(), Some(u64::from(seconds) * 1_000_000_000 + part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_end_at_their_commas_and_not_within_strings_or_descriptions() {
        let text = r#"3<TCP:[[::1]:80->[::1]:4711]>, "a\",)", 5</tmp/a,b<char 1:3>>, [{x=1, y=2}], NULL) = 4 <0.5>"#;
        let mut args = Args::new(text);
        assert_eq!(args.fd(), Some(Fd { number: 3, label: Some("TCP:[[::1]:80->[::1]:4711]") }));
        assert_eq!(args.text(), r#""a\",)""#);
        assert_eq!(args.fd(), Some(Fd { number: 5, label: Some("/tmp/a,b<char 1:3>") }));
        assert_eq!(args.text(), "[{x=1, y=2}]");
        assert_eq!((args.text(), args.text()), ("NULL", ""));
        assert_eq!(args.after(), Some(" = 4 <0.5>"));
        assert_eq!(Args::new("3, \"cut sho").after(), None);
        assert_eq!(Args::new(") = 3").after(), Some(" = 3"));
    }

    #[test]
    fn each_form_of_an_event_is_read() {
        let expected = Some((0x8000_0001, 7));
        for text in [
            "{events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}",
            "{EPOLLIN|EPOLLET, {u32=7, u64=7}}",
            "{events=EPOLLIN|EPOLLET, data=0x7}",
            "{events=EPOLLIN|0x80000000, data={u32=7, u64=7}}",
        ] {
            assert_eq!(event(text), expected, "{text}");
        }
        assert_eq!(event("0x7ffe1234"), None);
        let two = "[{events=EPOLLIN, data=0x1}, {events=0, data=0x2}, ...]";
        assert_eq!(items(two).filter_map(event).collect::<Vec<_>>(), [(1, 1), (0, 2)]);
    }

    #[test]
    fn each_form_of_a_result_is_read() {
        let of = |text| outcome(text).map(|o| (o.value, o.label, o.took_ns));
        assert_eq!(of(" = 4"), Some((4, None, None)));
        assert_eq!(of("        = 4 <0.000010>"), Some((4, None, Some(10_000))));
        assert_eq!(
            of(" = 7<TCP:[1.1.1.1:2->1.1.1.1:3]> <1.5>"),
            Some((7, Some("TCP:[1.1.1.1:2->1.1.1.1:3]"), Some(1_500_000_000)))
        );
        assert_eq!(of(" = -1 EAGAIN (Resource temporarily unavailable) <0.000008>"), Some((-11, None, Some(8000))));
        assert_eq!(of(" = ? ERESTARTSYS (To be restarted if SA_RESTART is set)"), Some((-4, None, None)));
        assert_eq!(of(" => {parent_tid=[9]}, 88) = 9"), Some((9, None, None)));
        assert_eq!(of(" = 0x802 (flags O_RDWR|O_NONBLOCK)"), Some((0x802, None, None)));
        assert_eq!(of(" = ?"), None);
        assert_eq!(of(" = "), None);
        assert_eq!(of(""), None);
    }
}

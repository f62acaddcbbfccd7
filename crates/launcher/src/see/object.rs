//! A JSON object, built member by member. A trace has millions of them, and `write!` takes three
//! times as long for each.

use std::fmt;
use std::io::Write as _;

/// A string with its quotes.
#[derive(Debug)]
pub struct Json<'a>(pub &'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(out, "\\{c}")?,
                c if c.is_control() => write!(out, "\\u{:04x}", u32::from(c))?,
                c => write!(out, "{c}")?,
            }
        }
        out.write_str("\"")
    }
}

/// An object on a line of its own.
#[derive(Debug, Default)]
pub struct Object {
    bytes: Vec<u8>,
}

impl Object {
    /// Begins a new object, after `before`.
    pub fn begin(&mut self, before: &str) {
        self.bytes.clear();
        self.bytes.extend_from_slice(before.as_bytes());
        self.bytes.push(b'{');
    }

    /// Ends the object, and returns the line.
    pub fn end(&mut self) -> &[u8] {
        self.bytes.push(b'}');
        &self.bytes
    }

    fn key(&mut self, key: &str) {
        if self.bytes.last() != Some(&b'{') {
            self.bytes.push(b',');
        }
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    fn digits(&mut self, number: impl itoa::Integer) {
        self.bytes.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    pub fn number(&mut self, key: &str, number: impl itoa::Integer) -> &mut Object {
        self.key(key);
        self.digits(number);
        self
    }

    /// A time in nanoseconds as microseconds with three decimals.
    pub fn us(&mut self, key: &str, ns: u64) -> &mut Object {
        self.key(key);
        self.digits(ns / 1000);
        // A number from 1000 to 1999, whose first digit becomes the point.
        let point = self.bytes.len();
        self.digits(1000 + ns % 1000);
        self.bytes[point] = b'.';
        self
    }

    pub fn text(&mut self, key: &str, text: &str) -> &mut Object {
        self.key(key);
        let is_plain = |byte: u8| byte != b'"' && byte != b'\\' && !byte.is_ascii_control() && byte.is_ascii();
        if text.bytes().all(is_plain) {
            self.bytes.push(b'"');
            self.bytes.extend_from_slice(text.as_bytes());
            self.bytes.push(b'"');
        } else {
            let _ = write!(self.bytes, "{}", Json(text));
        }
        self
    }

    pub fn flag(&mut self, key: &str, flag: bool) -> &mut Object {
        self.key(key);
        self.bytes.extend_from_slice(if flag { b"true" } else { b"false" });
        self
    }

    fn null(&mut self, key: &str) -> &mut Object {
        self.key(key);
        self.bytes.extend_from_slice(b"null");
        self
    }

    pub fn number_or_null(&mut self, key: &str, number: Option<impl itoa::Integer>) -> &mut Object {
        match number {
            Some(number) => self.number(key, number),
            None => self.null(key),
        }
    }

    pub fn text_or_null(&mut self, key: &str, text: Option<&str>) -> &mut Object {
        match text {
            Some(text) => self.text(key, text),
            None => self.null(key),
        }
    }

    /// A member that is an object; left out if it has no members.
    pub fn object(&mut self, key: &str, members: impl FnOnce(&mut Object)) -> &mut Object {
        let before = self.bytes.len();
        self.key(key);
        self.bytes.push(b'{');
        let empty = self.bytes.len();
        members(self);
        if self.bytes.len() == empty {
            self.bytes.truncate(before);
        } else {
            self.bytes.push(b'}');
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_written_as_a_parser_reads_them() {
        let mut object = Object::default();
        object.begin("");
        object.number("n", -7).us("a", 0).us("b", 1_234_005).text("t", "x").text("e", "\"\\\n\u{1}ä\u{85}");
        object.object("none", |_| {}).object("some", |some| {
            some.flag("f", false).number_or_null("x", None::<i32>).text_or_null("y", None).object("in", |inner| {
                inner.number("u", u64::MAX);
            });
        });
        let line = String::from_utf8(object.end().to_vec()).unwrap();
        let found: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "n": -7, "a": 0.0, "b": 1234.005, "t": "x", "e": "\"\\\n\u{1}ä\u{85}",
            "some": {"f": false, "x": null, "y": null, "in": {"u": u64::MAX}},
        });
        assert_eq!(found, expected, "{line}");
        object.begin(",\n");
        assert_eq!(object.end(), b",\n{}");
    }
}

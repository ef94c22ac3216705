//! What Python's str(), repr() and str methods do where Rust's do otherwise.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

const DEPTH_MAX: usize = 200;

/// str.isspace: Unicode's white space and the four separators of ASCII.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Where str.splitlines splits, besides "\r\n".
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}')
        || matches!(c, '\u{2028}' | '\u{2029}')
}

pub fn split_lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_line_end) {
        let end = rest[at..].chars().next().map_or(1, char::len_utf8);
        let end = at + if rest[at..].starts_with("\r\n") { 2 } else { end };
        lines.push(&rest[..if keep_ends { end } else { at }]);
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

pub fn is_titlecase(c: char) -> bool {
    matches!(c, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}' | '\u{1f88}'..='\u{1f8f}')
        || matches!(c, '\u{1f98}'..='\u{1f9f}' | '\u{1fa8}'..='\u{1faf}')
        || matches!(c, '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}')
}

pub fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || is_titlecase(c)
}

// The first of ten digits in a row.
const TENS: [u32; 60] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6,
    0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x1a80, 0x1a90, 0x1b50, 0x1bb0,
    0x1c40, 0x1c50, 0x2080, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50,
    0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// A decimal digit outside ASCII: int() reads it.
pub fn is_foreign_decimal(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    let code = u32::from(c);
    let small = (0x2080..=0x2089).contains(&code);
    TENS.iter().any(|from| (*from..from + 10).contains(&code)) && !small
        || (0x19d0..=0x19d9).contains(&code)
        || (0x1d7ce..=0x1d7ff).contains(&code)
}

/// str.isdigit of one character: decimal digits and those that are written another way.
pub fn is_digit(c: char) -> bool {
    const OTHERS: [(u32, u32); 20] = [
        (0xb2, 0xb3),
        (0xb9, 0xb9),
        (0x1369, 0x1371),
        (0x19d0, 0x19da),
        (0x2070, 0x2070),
        (0x2074, 0x2079),
        (0x2460, 0x2468),
        (0x2474, 0x247c),
        (0x2488, 0x2490),
        (0x24ea, 0x24ea),
        (0x24f5, 0x24fd),
        (0x24ff, 0x24ff),
        (0x2776, 0x277e),
        (0x2780, 0x2788),
        (0x278a, 0x2792),
        (0x10a40, 0x10a43),
        (0x10e60, 0x10e68),
        (0x11052, 0x1105a),
        (0x1d7ce, 0x1d7ff),
        (0x1f100, 0x1f10a),
    ];
    let code = u32::from(c);
    c.is_ascii_digit()
        || TENS.iter().any(|from| (*from..from + 10).contains(&code))
        || OTHERS.iter().any(|(from, to)| (*from..=*to).contains(&code))
}

/// Where Rust's "alphanumeric" is Python's: not among scripts whose vowels are marks.
pub fn is_known(c: char) -> bool {
    let plain = |c: char| !c.escape_debug().to_string().starts_with('\\');
    c.is_ascii()
        || (plain(c)
            && matches!(c, '\u{80}'..='\u{8ff}' | '\u{1e00}'..='\u{218f}' | '\u{fb00}'..='\u{fdff}'))
        || matches!(c, '\u{3041}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{ff01}'..='\u{ff9d}')
}

pub fn failure(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// Pays for work on that many bytes.
pub fn pay(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes as u64 / 64)
}

/// Pays for a step of a loop that works on that many bytes.
pub fn pay_step(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes as u64 / 64 + 1)
}

/// str(value), as printing and `~` write it. Paid for as it is made: a value may hold another twice,
/// which holds another twice, and so on.
pub fn text(state: &State, value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(String::new()),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            pay(state, text.len())?;
            Ok(text.to_string())
        }
        _ => {
            let mut out = String::new();
            write_repr(state, value, &mut out, 0)?;
            Ok(out)
        }
    }
}

/// What comparing a value with another may cost, in values and bits of text; paid for.
pub fn measure(state: &State, value: &Value) -> Result<u64, Error> {
    measure_at(state, value, 0, &mut 0)
}

/// A value that others may be made of: neither without end nor deeper than the stack. `inside`: it
/// is put into a namespace, which could then be inside itself.
pub fn whole(state: &mut State, value: Value, inside: Option<bool>) -> Result<Value, Error> {
    measure_at(state, &value, usize::from(inside == Some(true)), &mut 0)?;
    Ok(value)
}

fn measure_at(state: &State, value: &Value, depth: usize, seen: &mut u64) -> Result<u64, Error> {
    if depth > DEPTH_MAX {
        return Err(failure("so deep a value is not supported"));
    }
    *seen += 1;
    state.consume_fuel(u64::from(*seen % 2 == 0))?;
    let mut size = 1 + value.as_str().map_or(0, |text| text.len() as u64 / 64);
    let is_map = value.kind() == ValueKind::Map;
    if is_map && is_of_jinja(value, "::Loop") {
        return Ok(size);
    }
    if depth > 0 && is_map && is_of_jinja(value, "::Namespace") {
        return Err(failure("a namespace inside another value is not supported"));
    }
    if is_map || matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        for item in value.try_iter()? {
            size += measure_at(state, &item, depth + 1, seen)?;
            if is_map {
                size += measure_at(state, &value.get_item(&item)?, depth + 1, seen)?;
            }
        }
    }
    Ok(size)
}

fn write_repr(state: &State, value: &Value, out: &mut String, depth: usize) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        return Err(failure("so deep a value cannot be written"));
    }
    state.consume_fuel(1)?;
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => out.push_str(&match f64::try_from(value.clone()) {
            Ok(number) if !value.is_integer() => float(number),
            _ => value.to_string(),
        }),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            pay(state, text.len())?;
            write_text_repr(text, out);
        }
        ValueKind::Seq | ValueKind::Iterable => {
            if let Some(view) = value.downcast_object_ref::<crate::methods::DictView>() {
                out.push_str(view.name);
                out.push('(');
            }
            let items: Vec<Value> = value.try_iter()?.collect();
            out.push(if value.is_tuple() { '(' } else { '[' });
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_repr(state, item, out, depth + 1)?;
            }
            out.push_str(match (value.is_tuple(), items.len()) {
                (true, 1) => ",)",
                (true, _) => ")",
                _ => "]",
            });
            if value.downcast_object_ref::<crate::methods::DictView>().is_some() {
                out.push(')');
            }
        }
        ValueKind::Map if is_of_jinja(value, "::Loop") || is_of_jinja(value, "::Namespace") => {
            return Err(unwritable());
        }
        ValueKind::Map => {
            out.push('{');
            for (i, key) in value.try_iter()?.enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_repr(state, &key, out, depth + 1)?;
                out.push_str(": ");
                write_repr(state, &value.get_item(&key)?, out, depth + 1)?;
            }
            out.push('}');
        }
        ValueKind::Invalid => return Err(failure(value.to_string())),
        _ => return Err(unwritable()),
    }
    Ok(())
}

fn unwritable() -> Error {
    failure("a loop, a namespace, a macro, a function or a method cannot be written")
}

// The loop and namespaces look like dicts here.
fn is_of_jinja(value: &Value, name: &str) -> bool {
    value.as_object().is_some_and(|o| o.type_name().ends_with(name))
}

fn write_text_repr(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                out.push_str(&match code {
                    0..=0xff => format!("\\x{code:02x}"),
                    0x100..=0xffff => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                });
            }
        }
    }
    out.push(quote);
}

// str.isprintable. Rust escapes the same categories; a mark only at the start of a text.
fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\0'..='\u{a0}' => false,
        c => !format!("a{c}").escape_debug().any(|c| c == '\\'),
    }
}

/// Python's repr of a float: shortest digits; an exponent below 1e-4 and from 1e16 on.
pub fn float(v: f64) -> String {
    if v.is_nan() {
        return "nan".into();
    }
    if v.is_infinite() {
        return (if v > 0.0 { "inf" } else { "-inf" }).into();
    }
    let scientific = format!("{v:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if v != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{v}");
    if plain.contains('.') {
        plain
    } else {
        plain + ".0"
    }
}

/// `filter_title` of Jinja: the first character of each word upper, the rest lower.
pub fn title_words(text: &str) -> String {
    let separates = |c: char| is_space(c) || "-({[<".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let inside = separates(first);
        let end = rest.find(|c| separates(c) != inside).unwrap_or(rest.len());
        let (head, tail) = rest[..end].split_at(first.len_utf8());
        out.push_str(&head.to_uppercase());
        out.push_str(&tail.to_lowercase());
        rest = &rest[end..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_does() {
        for (v, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (123456789012345.0, "123456789012345.0"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (1e100, "1e+100"),
        ] {
            assert_eq!(float(v), text);
        }
    }

    #[test]
    fn texts_in_a_list_are_written_as_python_does() {
        for (text, repr) in [
            ("it's", "\"it's\""),
            ("'\"", "'\\'\"'"),
            ("\u{a0}\u{3000}\u{200b}\u{2028}\u{7f}", "'\\xa0\\u3000\\u200b\\u2028\\x7f'"),
            ("e\u{301}ü日\u{10ffff}", "'e\u{301}ü日\\U0010ffff'"),
        ] {
            let mut out = String::new();
            write_text_repr(text, &mut out);
            assert_eq!(out, repr);
        }
    }

    #[test]
    fn lines_end_where_python_ends_them() {
        let text = "a\r\nb\u{b}c\u{85}\u{2028}d\n";
        assert_eq!(split_lines(text, false), ["a", "b", "c", "", "d"]);
        assert_eq!(split_lines("a\r\nb", true), ["a\r\n", "b"]);
    }
}

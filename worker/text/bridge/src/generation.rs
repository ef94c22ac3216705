//! `{% generation %}…{% endgeneration %}`: what of a rendered conversation the assistant wrote.
//!
//! minijinja has no tag of ours, so each tag is replaced in the source by two nested `if true`s with
//! a marker character between, which keeps the tag's own whitespace control at both its sides. The
//! markers are characters that stand nowhere in the input; they are taken out of the output again.

use crate::border::Failure;

pub struct Markers {
    pub open: char,
    pub close: char,
}

/// Two Unicode noncharacters that are in neither text.
pub fn choose_markers(source: &str, variables: &str) -> Result<Markers, Failure> {
    let mut free = ('\u{fdd0}'..='\u{fdef}')
        .filter(|c| !source.contains(*c) && !variables.contains(*c));
    match (free.next(), free.next()) {
        (Some(open), Some(close)) => Ok(Markers { open, close }),
        _ => Err(Failure::invalid("the text uses all of U+FDD0 to U+FDEF: no marker is left")),
    }
}

/// The source without generation tags.
pub fn replace_tags(source: &str, markers: &Markers) -> String {
    let mut out = String::with_capacity(source.len() + 64);
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let size = if rest.starts_with("{#") {
            rest.find("#}").map_or(rest.len(), |i| i + 2)
        } else if rest.starts_with("{{") {
            code_size(rest, "}}")
        } else if rest.starts_with("{%") {
            code_size(rest, "%}")
        } else {
            1
        };
        let piece = &rest[..size];
        rest = &rest[size..];
        match tag_name(piece) {
            Some("generation") => push_tag(&mut out, piece, "if true", markers.open, "if true"),
            Some("endgeneration") => push_tag(&mut out, piece, "endif", markers.close, "endif"),
            Some("raw") => {
                out.push_str(piece);
                let end = end_of_raw(rest);
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            _ => out.push_str(piece),
        }
    }
    out.push_str(rest);
    out
}

/// Removes the markers; byte ranges [from, to) of what stood between them.
pub fn take_spans(rendered: &str, markers: &Markers) -> Result<(String, Vec<u32>), Failure> {
    let mut out = String::with_capacity(rendered.len());
    let mut spans = Vec::new();
    let mut start = None;
    for c in rendered.chars() {
        let at = u32::try_from(out.len()).map_err(|_| Failure::invalid("output above 4 GiB"))?;
        if c == markers.open {
            if start.replace(at).is_some() {
                return Err(Failure::invalid("nested {% generation %}"));
            }
        } else if c == markers.close {
            let from = start.take().ok_or_else(|| Failure::invalid("stray endgeneration"))?;
            spans.extend([from, at]);
        } else {
            out.push(c);
        }
    }
    if start.is_some() {
        return Err(Failure::invalid("{% generation %} was left without endgeneration"));
    }
    Ok((out, spans))
}

// Bytes up to and including `end`, which is not looked for inside string literals.
fn code_size(code: &str, end: &str) -> usize {
    let bytes = code.as_bytes();
    let mut quote = None;
    let mut i = 2;
    while i < bytes.len() {
        match (quote, bytes[i]) {
            (Some(_), b'\\') => i += 1,
            (Some(q), b) if b == q => quote = None,
            (None, b @ (b'"' | b'\'')) => quote = Some(b),
            (None, _) if bytes[i..].starts_with(end.as_bytes()) => return i + end.len(),
            _ => {}
        }
        i += 1;
    }
    code.len()
}

fn tag_name(piece: &str) -> Option<&str> {
    let inner = piece.strip_prefix("{%")?.strip_suffix("%}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    Some(inner.trim())
}

fn end_of_raw(rest: &str) -> usize {
    let mut at = 0;
    while let Some(i) = rest[at..].find("{%") {
        let start = at + i;
        let Some(size) = rest[start..].find("%}") else { break };
        let size = size + 2;
        if tag_name(&rest[start..start + size]) == Some("endraw") {
            return start + size;
        }
        at = start + 2;
    }
    rest.len()
}

fn push_tag(out: &mut String, piece: &str, first: &str, marker: char, second: &str) {
    let sign = |c: Option<char>| c.filter(|c| matches!(c, '-' | '+')).map(String::from);
    let left = sign(piece.chars().nth(2)).unwrap_or_default();
    let right = sign(piece.chars().rev().nth(2)).unwrap_or_default();
    out.push_str(&format!("{{%{left} {first} %}}{{{{ '{marker}' }}}}{{% {second} {right}%}}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: Markers = Markers { open: '<', close: '>' };

    #[test]
    fn tags_keep_their_whitespace_control() {
        assert_eq!(
            replace_tags("a {%- generation -%} b {% endgeneration %}", &M),
            "a {%- if true %}{{ '<' }}{% if true -%} b {% endif %}{{ '>' }}{% endif %}"
        );
    }

    #[test]
    fn strings_comments_and_raw_blocks_are_left_alone() {
        for source in [
            "{{ '{% generation %}' }}",
            "{# {% generation %} #}",
            "{% raw %}{% generation %}{% endraw %}",
            "{% set x = '%}{% generation %}' %}",
            "{% generation",
            "{",
        ] {
            assert_eq!(replace_tags(source, &M), source);
        }
    }
}

//! A template as minijinja has to read it to write what Jinja writes. This is Jinja's own lexer
//! (lexer.py with trim_blocks and lstrip_blocks): line ends, whitespace control, raw blocks and
//! string literals are settled here, and minijinja is left no whitespace to strip.

use crate::border::Failure;
use crate::expression::{Expressions, Kind, Token};
use crate::generation::Markers;
use crate::limits::{Chains, BLOCKS_MAX};
use crate::python::is_space;

pub fn rewrite(source: &str, markers: &Markers) -> Result<String, Failure> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut rewriter = Rewriter {
        source: source.strip_suffix('\n').unwrap_or(&source),
        at: 0,
        out: String::with_capacity(source.len() + 64),
        lines: 0,
        blocks: Vec::new(),
        expressions: Expressions::default(),
        markers,
    };
    rewriter.run()?;
    Ok(rewriter.out)
}

struct Rewriter<'a> {
    source: &'a str,
    at: usize,
    out: String,
    lines: usize,        // line ends that were taken out: given back inside the next tag
    blocks: Vec<String>, // the blocks that are open
    expressions: Expressions,
    markers: &'a Markers,
}

impl<'a> Rewriter<'a> {
    fn run(&mut self) -> Result<(), Failure> {
        while let Some(start) = find_tag(&self.source[self.at..]).map(|i| self.at + i) {
            let sigil = self.source.as_bytes()[start + 1];
            let sign = self.sign(start + 2);
            self.data(start, sign, sigil != b'{');
            self.at = start + 2 + usize::from(sign.is_some());
            match (sigil, self.tag_end("raw", false)) {
                (b'#', _) => self.comment()?,
                (b'%', Some(end)) => self.raw(end)?,
                (b'%', None) => self.tag(true)?,
                _ => self.tag(false)?,
            }
        }
        self.data(self.source.len(), Some(b'+'), false);
        Ok(())
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn sign(&self, at: usize) -> Option<u8> {
        self.source.as_bytes().get(at).copied().filter(|b| matches!(b, b'-' | b'+'))
    }

    fn skip(&mut self, end: usize) {
        self.lines += self.source[self.at..end].matches('\n').count();
        self.at = end;
    }

    fn skip_spaces(&mut self) {
        self.skip(after_spaces(self.source, self.at));
    }

    // Writes the text before a tag, or at the end, without what the tag's sign takes of it.
    fn data(&mut self, end: usize, sign: Option<u8>, strips_line: bool) {
        let text = &self.source[self.at..end];
        let line_starts = self.source[..self.at].ends_with('\n') || self.at == 0;
        let mut left = text;
        if sign == Some(b'-') {
            left = text.trim_end_matches(is_space);
        } else if sign.is_none() && strips_line {
            let line = text.rfind('\n').map_or(0, |i| i + 1);
            if (line > 0 || line_starts) && text[line..].chars().all(is_space) {
                left = &text[..line];
            }
        }
        self.at += left.len();
        self.skip(end);
        if find_tag(left).is_some() || left.ends_with('{') {
            self.out.push_str(&format!("{{{{ {} }}}}", literal(left)));
        } else {
            self.out.push_str(left);
        }
    }

    fn comment(&mut self) -> Result<(), Failure> {
        if self.rest().is_empty() {
            return Ok(()); // as Jinja has it
        }
        let found =
            self.rest().find("#}").ok_or_else(|| self.wrong("Missing end of comment tag"))?;
        let sign = if found > 0 { self.sign(self.at + found - 1) } else { None };
        self.skip(self.at + found + 2);
        self.after_tag(sign);
        Ok(())
    }

    // What a tag's end takes of the text behind it.
    fn after_tag(&mut self, sign: Option<u8>) {
        match sign {
            Some(b'-') => self.skip_spaces(),
            None if self.rest().starts_with('\n') => self.skip(self.at + 1),
            _ => {}
        }
    }

    // Behind the tag `{% name %}` whose inside starts here; `plus`: it may end on "+%}".
    fn tag_end(&self, name: &str, plus: bool) -> Option<(usize, Option<u8>)> {
        let at = after_spaces(self.source, self.at);
        let at = at + self.source[at..].strip_prefix(name).map(|_| name.len())?;
        let at = after_spaces(self.source, at);
        let sign = self.sign(at).filter(|b| plus || *b == b'-');
        let at = at + usize::from(sign.is_some());
        self.source[at..].starts_with("%}").then_some((at + 2, sign))
    }

    fn raw(&mut self, (end, sign): (usize, Option<u8>)) -> Result<(), Failure> {
        self.skip(end);
        if sign.is_some() {
            self.skip_spaces();
        }
        if self.rest().is_empty() {
            return Ok(());
        }
        let begin = self.at;
        let mut from = begin;
        while let Some(start) = self.source[from..].find("{%").map(|i| from + i) {
            let sign = self.sign(start + 2);
            self.at = start + 2 + usize::from(sign.is_some());
            if let Some((end, tail)) = self.tag_end("endraw", true) {
                self.at = begin;
                self.data(start, sign, true);
                self.skip(end);
                self.after_tag(tail);
                return Ok(());
            }
            from = start + 2;
        }
        Err(self.wrong("Missing end of raw directive"))
    }

    fn tag(&mut self, block: bool) -> Result<(), Failure> {
        let mut tokens: Vec<Token> = Vec::new();
        let mut closers: Vec<char> = Vec::new();
        let mut chains = Chains::default();
        let end = if block { "%}" } else { "}}" };
        loop {
            let before = self.at;
            self.at = after_spaces(self.source, self.at);
            let space: String = self.source[before..self.at]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' })
                .collect();
            let rest = self.rest();
            if closers.is_empty() {
                let sign = self.sign(self.at).filter(|b| block || *b == b'-');
                if rest[usize::from(sign.is_some())..].starts_with(end) {
                    self.out.push_str(if block { "{% " } else { "{{ " });
                    self.out.push_str(&"\n".repeat(std::mem::take(&mut self.lines)));
                    self.write_tag(block, &tokens)?;
                    self.at += 2 + usize::from(sign.is_some());
                    if block || sign.is_some() {
                        self.after_tag(sign);
                    }
                    return Ok(());
                }
            }
            let after_dot = tokens.last().is_some_and(|t| t.is(".")) && space.is_empty();
            let Some(c) = rest.chars().next() else {
                return Err(self.wrong("unexpected end of template"));
            };
            let (kind, size) = if c.is_ascii_digit() {
                (Kind::Number, number_size(rest, after_dot))
            } else if c.is_alphanumeric() || c == '_' {
                let size = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                (Kind::Word, size.unwrap_or(rest.len()))
            } else if c == '\'' || c == '"' {
                let size = string_size(rest).ok_or_else(|| self.wrong("unexpected char '\"'"))?;
                (Kind::Text, size)
            } else {
                let size = sign_size(rest).ok_or_else(|| {
                    self.wrong(&format!("unexpected char '{}'", c.escape_default()))
                })?;
                (Kind::Sign, size)
            };
            let text = &rest[..size];
            match c {
                '(' => closers.push(')'),
                '[' => closers.push(']'),
                '{' => closers.push('}'),
                ')' | ']' | '}' if closers.pop() != Some(c) => {
                    return Err(self.wrong(&format!("unexpected '{c}'")));
                }
                _ => {}
            }
            if !chains.take(c) {
                return Err(self.wrong("the expression is too deep or too long"));
            }
            self.at += size;
            let text = match kind {
                Kind::Text => {
                    let inner = &text[1..text.len() - 1];
                    literal(&unescape(inner).map_err(|what| self.wrong(&what))?)
                }
                _ => text.to_string(),
            };
            tokens.push(Token { kind, text, space });
        }
    }

    fn write_tag(&mut self, block: bool, tokens: &[Token]) -> Result<(), Failure> {
        if !block {
            self.expressions.write(tokens, &mut self.out);
            self.out.push_str(" }}");
            return Ok(());
        }
        let name = tokens.first().filter(|t| t.kind == Kind::Word).map_or("", |t| &t.text);
        match name {
            "generation" | "endgeneration" if tokens.len() > 1 => {
                return Err(self.wrong("{% generation %} takes nothing"));
            }
            "autoescape" => return Err(self.wrong("{% autoescape %} is not supported")),
            "do" => return Err(self.wrong("Encountered unknown tag 'do'.")),
            "break" | "continue" => {
                let inner = self.blocks.iter().rev().find(|b| *b == "for" || *b == "generation");
                if inner.is_some_and(|b| b == "generation") {
                    return Err(self.wrong(&format!("{{% {name} %}} leaves {{% generation %}}")));
                }
            }
            "generation" if self.blocks.iter().any(|b| b == "set") => {
                return Err(self.wrong("{% generation %} inside a {% set %} block"));
            }
            "set" if set_has_value(tokens) => {}
            "generation" | "for" | "if" | "elif" | "with" | "macro" | "call" | "filter" | "set" => {
                if self.blocks.len() >= BLOCKS_MAX {
                    return Err(self.wrong("too many blocks or branches inside each other"));
                }
                self.blocks.push(name.to_string());
            }
            "endgeneration" | "endfor" | "endif" | "endwith" | "endmacro" | "endcall"
            | "endfilter" | "endset" => {
                while self.blocks.last().is_some_and(|b| b == "elif") {
                    self.blocks.pop();
                }
                let open = self.blocks.pop().unwrap_or_default();
                if open != name[3..] && [&open, &name[3..]].contains(&"generation") {
                    return Err(self.wrong(&format!("Encountered unknown tag '{name}'.")));
                }
            }
            _ => {}
        }
        match name {
            // A scope: what is set inside is not seen behind it.
            "generation" => {
                self.out.push_str(&format!("with %}}{{{{ '{}' }}}}", self.markers.open));
            }
            "endgeneration" => {
                let start = self.out.trim_end_matches(['\n', ' ']).len();
                let lines = self.out.split_off(start).replace(' ', "");
                self.out.truncate(start - 2);
                self.out
                    .push_str(&format!("{{{{ {lines}'{}' }}}}{{% endwith %}}", self.markers.close));
            }
            _ => {
                self.expressions.write_block(tokens, &mut self.out);
                self.out.push_str(" %}");
            }
        }
        Ok(())
    }

    fn wrong(&self, what: &str) -> Failure {
        let line = self.source[..self.at.min(self.source.len())].matches('\n').count() + 1;
        Failure::invalid(format!("syntax error: {what} (in chat_template:{line})"))
    }
}

// `{% set x = 1 %}`; without a value a block follows.
fn set_has_value(tokens: &[Token]) -> bool {
    let mut target = tokens.iter().take_while(|t| !t.is("|") && !t.is("("));
    target.any(|t| t.is("="))
}

// The first "{{", "{%" or "{#".
fn find_tag(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    bytes.windows(2).position(|w| w[0] == b'{' && matches!(w[1], b'{' | b'%' | b'#'))
}

fn after_spaces(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start_matches(is_space).len()
}

// Digits, with single underscores between them.
fn digits(text: &[u8], mut at: usize) -> usize {
    while at < text.len()
        && (text[at].is_ascii_digit()
            || (text[at] == b'_' && text.get(at + 1).is_some_and(u8::is_ascii_digit)))
    {
        at += 1;
    }
    at
}

fn number_size(text: &str, after_dot: bool) -> usize {
    let bytes = text.as_bytes();
    let whole = digits(bytes, 0);
    let mut size = whole;
    let digit_at = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    if !after_dot {
        if bytes.get(size) == Some(&b'.') && digit_at(size + 1) {
            size = digits(bytes, size + 1);
        }
        if matches!(bytes.get(size), Some(b'e' | b'E')) {
            let signed = usize::from(matches!(bytes.get(size + 1), Some(b'+' | b'-')));
            if digit_at(size + 1 + signed) {
                size = digits(bytes, size + 1 + signed);
            }
        }
    }
    if size > whole {
        return size;
    }
    if bytes[0] == b'0' && matches!(bytes.get(1), Some(b'x' | b'X' | b'o' | b'O' | b'b' | b'B')) {
        let end = text[2..].find(|c: char| !c.is_ascii_hexdigit() && c != '_');
        return end.map_or(text.len(), |i| i + 2);
    }
    if bytes[0] == b'0' {
        return text.find(|c| c != '0' && c != '_').unwrap_or(text.len()); // no "007"
    }
    whole
}

fn string_size(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut i = 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b if b == bytes[0] => return Some(i + 1),
            _ => {}
        }
        i += 1;
    }
    None
}

fn sign_size(text: &str) -> Option<usize> {
    if ["//", "**", "==", "!=", ">=", "<="].iter().any(|s| text.starts_with(s)) {
        return Some(2);
    }
    text.starts_with(|c| "+-/*%~[](){}><=.:|,;".contains(c)).then_some(1)
}

// As minijinja reads it back.
fn literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

// Python's "unicode-escape" of what was encoded with "backslashreplace" before.
fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(c) = chars.next() else { break };
        match c {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(c),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            '0'..='7' => {
                let more = chars.as_str().bytes().take(2).take_while(|b| matches!(b, b'0'..=b'7'));
                let size = more.count();
                let octal = format!("{c}{}", &chars.as_str()[..size]);
                chars = chars.as_str()[size..].chars();
                out.push(code_point(&octal, 8)?);
            }
            'x' | 'u' | 'U' => {
                let size = match c {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let digits = chars.as_str().get(..size).unwrap_or_default();
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(format!("truncated \\{c} escape"));
                }
                chars = chars.as_str()[size..].chars();
                out.push(code_point(digits, 16)?);
            }
            'N' => return Err("the escape \\N{…} is not supported".into()),
            // Behind a backslash Jinja reads a letter outside ASCII as the text of its own escape.
            c if !c.is_ascii() => {
                let code = u32::from(c);
                out.push_str(&match code {
                    0..=0xff => format!("\\x{code:02x}"),
                    0x100..=0xffff => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                });
            }
            c => out.extend(['\\', c]),
        }
    }
    Ok(out)
}

fn code_point(digits: &str, radix: u32) -> Result<char, String> {
    u32::from_str_radix(digits, radix)
        .ok()
        .and_then(char::from_u32)
        .ok_or_else(|| format!("the escape of U+{digits} is no character"))
}

/// For tests: the template rewritten, or what is wrong with it.
#[cfg(test)]
pub fn rewritten(source: &str) -> String {
    rewrite(source, &Markers { open: '<', close: '>' }).unwrap_or_else(|e| e.message)
}

#[cfg(test)]
mod tests {
    use super::rewritten;

    #[test]
    fn whitespace_is_settled_as_jinja_does() {
        for (source, text) in [
            ("a\r\nb\rc\n", "a\nb\nc"),
            ("a {%- if x -%} b {% endif %}\n c", "a{%  if x %}b {%  endif %} c"),
            (" {% if x %}\n  {%+ endif %}", "{%  if x %}  {% \n endif %}"),
            ("a\u{1c} {{- 1 -}} \u{1f}b", "a{{  1 }}b"),
            ("a {# c\n #}\n{# d -#} b{#", "a b"),
            ("{% raw %}\n{{ x }}{% endraw %}\nb", "{{ \"\n{{ x }}\" }}b"),
            ("{ {%- if x %}", "{{ \"{\" }}{%  if x %}"),
            (
                "a {%- generation -%} b {% endgeneration %}",
                "a{% with %}{{ '<' }}b {{ '>' }}{% endwith %}",
            ),
        ] {
            assert_eq!(rewritten(source), text);
        }
    }

    #[test]
    fn literals_are_read_as_python_reads_them() {
        for (source, text) in [
            (r"{{ '\U0001F600\a\/\d\101\'' }}", "{{  \"\u{1f600}\u{7}\\\\/\\\\dA'\" }}"),
            ("{{ 'a\\\nb\r\n' }}", "{{  \"ab\n\" }}"),
            (r"{{ '\é' }}", "{{  \"\\\\xe9\" }}"),
        ] {
            assert_eq!(rewritten(source), text);
        }
        for source in [r"{{ '\N{BULLET}' }}", r"{{ '\ud83d' }}", r"{{ '\x1' }}", "{{ (1] }}"] {
            assert!(rewritten(source).starts_with("syntax error"), "{source}");
        }
    }
}

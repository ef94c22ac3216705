//! Expressions, rewritten where minijinja's operators differ from Python's: `~` (Python's str),
//! comparisons of different types, `in`, the items of a loop, and a dict's methods that hide keys;
//! and where values are made of others, whose size has to stay within bounds.

use std::collections::BTreeSet;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Word,
    Number,
    Text,
    Sign,
}

#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    pub space: String, // before it
}

impl Token {
    pub fn is(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word
    }
}

pub const DICT_METHODS: [&str; 11] = [
    "clear",
    "copy",
    "fromkeys",
    "get",
    "items",
    "keys",
    "pop",
    "popitem",
    "setdefault",
    "update",
    "values",
];

#[derive(Default)]
pub struct Expressions {
    namespaces: BTreeSet<String>, // variables whose attributes are what was set
}

enum Node {
    Leaf(Token),
    Group(Token, Vec<Node>, Token),
}

impl Expressions {
    pub fn write(&mut self, tokens: &[Token], out: &mut String) {
        let tokens = self.with_bound_methods(merged(tokens));
        let mut rest = tokens.into_iter().peekable();
        let nodes = tree(&mut rest);
        out.push_str(&alternatives(&nodes));
    }

    pub fn write_block(&mut self, tokens: &[Token], out: &mut String) {
        let Some((name, rest)) = tokens.split_first() else { return };
        out.push_str(&name.space);
        out.push_str(&name.text);
        let at_top = |sign: &dyn Fn(&Token) -> bool| at_top(rest, sign);
        match name.text.as_str() {
            "set" => {
                let equals = at_top(&|t| t.is("=")).map_or(0, |i| i + 1);
                if let [target, _, made, ..] = rest {
                    if equals == 2 && made.is_word("namespace") {
                        self.namespaces.insert(target.text.clone());
                    }
                }
                rest[..equals].iter().for_each(|t| push(out, t));
                if equals == 0 || is_constant(&rest[equals..]) {
                    return self.write(&rest[equals..], out);
                }
                out.push_str(" _tutti_whole(");
                self.write_argument(&rest[equals..], out);
                out.push_str(if rest[..equals].iter().any(|t| t.is(".")) { ", true)" } else { ")" });
            }
            "call" if rest.first().is_some_and(|t| t.is("(")) => {
                let parameters = at_top(&|t| t.is(")")).map_or(0, |i| i + 1);
                rest[..parameters].iter().for_each(|t| push(out, t));
                self.write(&rest[parameters..], out);
            }
            "for" => {
                let Some(from) = at_top(&|t| t.is_word("in")).map(|i| i + 1) else {
                    return self.write(rest, out);
                };
                let end = at_top(&|t| t.is_word("if") || t.is_word("recursive"))
                    .filter(|i| *i >= from)
                    .unwrap_or(rest.len());
                rest[..from].iter().for_each(|t| push(out, t));
                out.push_str(" _tutti_each(");
                self.write_argument(&rest[from..end], out);
                out.push(')');
                if let Some((word, more)) = rest[end..].split_first() {
                    push(out, word);
                    out.push(' ');
                    self.write(more, out);
                }
            }
            _ => self.write(rest, out),
        }
    }

    // A tuple without brackets gets some: its commas would make it several arguments.
    fn write_argument(&mut self, tokens: &[Token], out: &mut String) {
        let pair = at_top(tokens, |t| t.is(",")).is_some();
        out.push_str(if pair { "(" } else { "" });
        self.write(tokens, out);
        out.push_str(if pair { ")" } else { "" });
    }

    // `x.items` is the method in Jinja, also where x has such a key, and so is `x['items']` where it
    // has not: methods of ours give them.
    fn with_bound_methods(&self, tokens: Vec<Token>) -> Vec<Token> {
        let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
        let mut i = 0;
        while i < tokens.len() {
            let mut token = tokens[i].clone();
            if let [open, key, close, ..] = &tokens[i..] {
                let name = key.text.trim_matches('"');
                let subscript = open.is("[") && close.is("]") && key.kind == Kind::Text;
                if subscript && DICT_METHODS.contains(&name) && out.last().is_some_and(is_operand) {
                    token.text = format!("._tutti_item_{name}()");
                    out.push(token);
                    i += 3;
                    continue;
                }
            }
            let attribute = i > 0 && tokens[i - 1].is(".");
            let called = tokens.get(i + 1).is_some_and(|t| t.is("("));
            let of_namespace = i > 1 && self.namespaces.contains(&tokens[i - 2].text);
            if attribute && !called && !of_namespace && DICT_METHODS.contains(&&*token.text) {
                token.text = format!("_tutti_bound_{}()", token.text);
            }
            out.push(token);
            i += 1;
        }
        out
    }
}

fn is_operand(token: &Token) -> bool {
    match token.kind {
        Kind::Word => !["and", "else", "if", "in", "is", "not", "or"].contains(&&*token.text),
        Kind::Text => true,
        Kind::Number => false,
        Kind::Sign => [")", "]", "}"].contains(&&*token.text) || token.text.ends_with("()"),
    }
}

// The first such token outside of brackets; their last one is.
fn at_top(tokens: &[Token], sign: impl Fn(&Token) -> bool) -> Option<usize> {
    let mut depth = 0;
    tokens.iter().position(|t| {
        depth += match t.text.as_str() {
            "(" | "[" | "{" if t.kind == Kind::Sign => 1,
            ")" | "]" | "}" if t.kind == Kind::Sign => -1,
            _ => 0,
        };
        depth == 0 && sign(t)
    })
}

// Without a name: what holds nothing else.
fn is_constant(tokens: &[Token]) -> bool {
    let named = |t: &Token| {
        t.kind == Kind::Word && !["true", "false", "none"].contains(&&*t.text.to_lowercase())
    };
    !tokens.iter().any(named)
}

fn holds_names(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| match node {
        Node::Leaf(token) => !is_constant(std::slice::from_ref(token)),
        Node::Group(_, inner, _) => holds_names(inner),
    })
}

// Whether a group is a list, a dict or a tuple of what is no constant.
fn makes_value(before: Option<&Node>, open: &Token, inner: &[Node]) -> bool {
    let after_operand = match before {
        Some(Node::Leaf(token)) => is_operand(token),
        Some(Node::Group(..)) => true,
        None => false,
    };
    let comma = |node: &Node| leaf(node).is_some_and(|t| t.is(","));
    !after_operand && (!open.is("(") || inner.iter().any(comma)) && holds_names(inner)
}

// Literals side by side are one.
fn merged(tokens: &[Token]) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens {
        match out.last_mut() {
            Some(last) if last.kind == Kind::Text && token.kind == Kind::Text => {
                last.text.pop();
                last.text.push_str(&token.text[1..]);
            }
            _ => out.push(token.clone()),
        }
    }
    out
}

fn tree(tokens: &mut std::iter::Peekable<std::vec::IntoIter<Token>>) -> Vec<Node> {
    let mut nodes = Vec::new();
    while let Some(token) = tokens.next_if(|t| !(t.is(")") || t.is("]") || t.is("}"))) {
        if token.is("(") || token.is("[") || token.is("{") {
            let inner = tree(tokens);
            let Some(close) = tokens.next() else { break };
            nodes.push(Node::Group(token, inner, close));
        } else {
            nodes.push(Node::Leaf(token));
        }
    }
    nodes
}

fn push(out: &mut String, token: &Token) {
    out.push_str(&token.space);
    if token.space.is_empty()
        && token.kind != Kind::Sign
        && out.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"')
    {
        out.push(' ');
    }
    out.push_str(&token.text);
}

fn leaf(node: &Node) -> Option<&Token> {
    match node {
        Node::Leaf(token) => Some(token),
        Node::Group(..) => None,
    }
}

fn write_nodes(nodes: &[Node], out: &mut String) {
    for (i, node) in nodes.iter().enumerate() {
        match node {
            Node::Leaf(token) => push(out, token),
            Node::Group(open, inner, close) => {
                let made = makes_value(i.checked_sub(1).map(|i| &nodes[i]), open, inner);
                out.push_str(if made { " _tutti_whole(" } else { "" });
                push(out, open);
                out.push_str(&alternatives(inner));
                push(out, close);
                out.push_str(if made { ")" } else { "" });
            }
        }
    }
}

fn after_is(nodes: &[Node], i: usize) -> bool {
    let word = |back: usize, word: &str| {
        i >= back && leaf(&nodes[i - back]).is_some_and(|t| t.is_word(word))
    };
    word(1, "is") || (word(1, "not") && word(2, "is"))
}

// Splits at what binds weaker than a comparison; in between are comparisons.
fn alternatives(nodes: &[Node]) -> String {
    let mut out = String::new();
    let mut from = 0;
    for i in 0..nodes.len() {
        let Some(token) = leaf(&nodes[i]) else { continue };
        let splits = match token.kind {
            Kind::Sign => [",", ":", "="].contains(&&*token.text),
            Kind::Word => {
                ["if", "else", "and", "or"].contains(&&*token.text)
                    || (token.text == "not"
                        && !after_is(nodes, i)
                        && !nodes.get(i + 1).and_then(leaf).is_some_and(|t| t.is_word("in")))
            }
            _ => false,
        };
        if splits {
            comparison(&nodes[from..i], &mut out);
            push(&mut out, token);
            from = i + 1;
        }
    }
    comparison(&nodes[from..], &mut out);
    out
}

fn comparison(nodes: &[Node], out: &mut String) {
    let mut operators: Vec<(usize, usize, &str)> = Vec::new(); // from, to, what
    for i in 0..nodes.len() {
        let Some(token) = leaf(&nodes[i]) else { continue };
        match (token.kind, token.text.as_str()) {
            (Kind::Sign, "==" | "!=" | "<" | "<=" | ">" | ">=") => {
                operators.push((i, i + 1, &token.text));
            }
            (Kind::Word, "in") if !after_is(nodes, i) => {
                let not = i > 0 && leaf(&nodes[i - 1]).is_some_and(|t| t.is_word("not"));
                operators.push(if not { (i - 1, i + 1, "not in") } else { (i, i + 1, "in") });
            }
            _ => {}
        }
    }
    match operators[..] {
        [(from, to, what)] if what != "==" && what != "!=" => {
            let (name, sign) = if what.ends_with("in") { ("in", "") } else { ("ordered", what) };
            let not = if what == "not in" { "not " } else { "" };
            out.push_str(&format!(" ({not}_tutti_{name}("));
            if !sign.is_empty() {
                out.push_str(&format!("\"{sign}\", "));
            }
            sum(&nodes[..from], out);
            out.push_str(", ");
            sum(&nodes[to..], out);
            out.push_str("))");
        }
        _ => {
            let mut at = 0;
            for (from, to, _) in operators {
                sum(&nodes[at..from], out);
                write_nodes(&nodes[from..to], out);
                at = to;
            }
            sum(&nodes[at..], out);
        }
    }
}

// Splits at binary + and -, which bind weaker than `~`.
fn sum(nodes: &[Node], out: &mut String) {
    let mut from = 0;
    for i in 0..nodes.len() {
        let Some(token) = leaf(&nodes[i]) else { continue };
        let binary = i > from
            && leaf(&nodes[i - 1]).is_none_or(|t| t.kind != Kind::Sign)
            && (token.is("+") || token.is("-"));
        if binary {
            concatenation(&nodes[from..i], out);
            push(out, token);
            from = i + 1;
        }
    }
    concatenation(&nodes[from..], out);
}

fn concatenation(nodes: &[Node], out: &mut String) {
    let tilde = |n: &Node| leaf(n).is_some_and(|t| t.is("~"));
    if !nodes.iter().any(tilde) {
        return write_nodes(nodes, out);
    }
    out.push_str(" _tutti_text(");
    for (i, operand) in nodes.split(tilde).enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        write_nodes(operand, out);
    }
    out.push(')');
}

#[cfg(test)]
mod tests {
    use crate::source::rewritten;

    #[test]
    fn operators_become_calls_where_python_differs() {
        for (source, text) in [
            ("a ~ b|upper ~ -1", "_tutti_text( a, b|upper, -1)"),
            ("x + a ~ b * 2 - y", "x + _tutti_text( a, b * 2) - y"),
            (
                "a ~ b if c ~ d is string else e",
                "_tutti_text( a, b) if _tutti_text( c, d is string) else e",
            ),
            ("f(a ~ b, k=c ~ d)", "f( _tutti_text(a, b), k= _tutti_text(c, d))"),
            ("not a in b and c", "not (_tutti_in( a, b)) and c"),
            ("a not in b", "(not _tutti_in( a, b))"),
            ("a is not in b", "a is not in b"),
            ("a + 1 < b", "(_tutti_ordered(\"<\",  a + 1, b))"),
            ("a == b", "a == b"),
            ("f([a, 1], [1, 2])[b]", "f( _tutti_whole([a, 1]), [1, 2])[b]"),
            (
                "a['items'].b + ['items'] + a[\"x\"]",
                "a._tutti_item_items().b + [\"items\"] + a[\"x\"]",
            ),
            ("a.items ~ b.items()", "_tutti_text( a._tutti_bound_items(), b.items())"),
        ] {
            let got = rewritten(&format!("{{{{ {source} }}}}"));
            let squeezed = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(squeezed(&got), squeezed(&format!("{{{{ {text} }}}}")));
        }
    }
}

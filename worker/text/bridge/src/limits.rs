//! What a template may be: minijinja's parser and compiler recurse along an expression and along the
//! branches of an `if`, and the stack has an end. Jinja's own recursion ends at about half as many.

const CHAIN_MAX: usize = 1000; // tokens
const BRACKETS_MAX: usize = 100;
pub const BLOCKS_MAX: usize = 400; // open, their {% elif %} included

/// How deep an expression may be: what stands between commas is a chain, and what is in brackets
/// may be at its deep end.
pub struct Chains(Vec<Chain>); // of the brackets that are open

#[derive(Default)]
struct Chain {
    size: usize,
    longest: usize,
}

impl Default for Chains {
    fn default() -> Self {
        Chains(vec![Chain::default()])
    }
}

impl Chains {
    /// Takes the token that begins with `c`; false: that is too much.
    pub fn take(&mut self, c: char) -> bool {
        let inner = match c {
            ')' | ']' | '}' => self.0.pop().map_or(0, |chain| chain.longest.max(chain.size)),
            _ => 0,
        };
        let Some(chain) = self.0.last_mut() else { return false };
        chain.size += 1 + inner;
        let size = chain.size;
        match c {
            '(' | '[' | '{' => self.0.push(Chain::default()),
            ',' => {
                chain.longest = chain.longest.max(size);
                chain.size = 0;
            }
            _ => {}
        }
        size <= CHAIN_MAX && self.0.len() <= BRACKETS_MAX + 1
    }
}

#[cfg(test)]
mod tests {
    use crate::source::rewritten;

    #[test]
    fn what_would_exhaust_the_stack_is_refused() {
        let many = |piece: &str, n: usize| piece.repeat(n);
        for source in [
            format!("{{{{ {}1{} }}}}", many("(", 200), many(")", 200)),
            format!("{{{{ a{} }}}}", many(".b", 100_000)),
            format!("{{{{ {}1 }}}}", many("not ", 100_000)),
            format!("{{{{ {}1{} }}}}", many("(", 50), many("+1+1+1+1+1+1+1+1+1+1)", 50)),
            format!("{{% if x %}}{}{{% endif %}}", many("{% elif x %}", 70_000)),
            many("{% if x %}", 50_000) + &many("{% break %}", 50_000),
        ] {
            assert!(rewritten(&source).starts_with("syntax error: "), "{}", &source[..40]);
        }
        for source in [
            format!("{{{{ [{}] }}}}", many("{\"a\": [1, 2]}, ", 10_000)),
            format!("{{{{ a{} }}}}", many(" ~ \"b\"", 400)),
            format!("{{% if x %}}{}{{% endif %}}", many("{% elif x %}", 300)),
            many("{% if x %}{% elif y %}{% else %}{% endif %}", 10_000),
        ] {
            assert!(!rewritten(&source).starts_with("syntax error"), "{}", &source[..40]);
        }
    }
}

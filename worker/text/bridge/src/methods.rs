//! Methods of Python's str, list and dict; those of minijinja-contrib where they are the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use minijinja::value::{from_args, Enumerator, Kwargs, Object, ObjectRepr, Tuple, ValueKind};
use minijinja::{Error, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::expression::DICT_METHODS;
use crate::filters::is_iterable;
use crate::python::{
    self, failure, is_cased, is_digit, is_space, is_titlecase, measure, pay, pay_step,
};
use crate::python::split_lines;

// See expression.rs.
const BOUND: &str = "_tutti_bound_";
const ITEM: &str = "_tutti_item_";

/// `x.items` that is not called: a true value, and nothing that can be written.
#[derive(Debug)]
pub struct BoundMethod;

impl Object for BoundMethod {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

/// dict.keys(), values() and items().
#[derive(Debug)]
pub struct DictView {
    pub name: &'static str,
    items: Vec<Value>,
}

impl Object for DictView {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items.clone())
    }
}

fn view(state: &State, value: &Value, method: &str) -> Result<Value, Error> {
    let keys: Vec<Value> = value.try_iter()?.collect();
    state.consume_fuel(keys.len() as u64)?;
    let of = |key: &Value| value.get_item(key);
    let (name, items) = match method {
        "keys" => ("dict_keys", Ok(keys)),
        "values" => ("dict_values", keys.iter().map(of).collect()),
        _ => {
            let pair = |key: &Value| Ok(Value::from(Tuple::from([key.clone(), of(key)?])));
            ("dict_items", keys.iter().map(pair).collect::<Result<_, Error>>())
        }
    };
    Ok(Value::from_object(DictView { name, items: items? }))
}

impl BoundMethod {
    pub fn of(value: &Value, name: &str) -> Option<Value> {
        let is_method = value.kind() == ValueKind::Map && DICT_METHODS.contains(&name);
        is_method.then(|| Value::from_object(BoundMethod))
    }
}

pub fn call(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(attribute) = name.strip_prefix(BOUND) {
        return match BoundMethod::of(value, attribute) {
            Some(method) => Ok(method),
            None => value.get_attr(attribute),
        };
    }
    if let Some(key) = name.strip_prefix(ITEM) {
        return match value.get_item(&Value::from(key))? {
            item if item.is_undefined() => Ok(BoundMethod::of(value, key).unwrap_or(item)),
            item => Ok(item),
        };
    }
    for operand in args.iter().chain([value]) {
        pay(state, operand.as_str().map_or(0, str::len))?;
    }
    match (value.as_str(), value.kind()) {
        (None, ValueKind::Map) if ["keys", "values", "items"].contains(&name) => {
            let () = from_args(args)?;
            view(state, value, name)
        }
        (Some(text), _) => match of_text(state, text, name, args)? {
            Some(result) => Ok(result),
            None => unknown_method_callback(state, value, name, args),
        },
        (None, ValueKind::Seq) if ["index", "count"].contains(&name) => {
            let (wanted,): (&Value,) = from_args(args)?;
            let size = measure(state, wanted)?;
            let mut count = 0;
            for (i, item) in value.try_iter()?.enumerate() {
                state.consume_fuel(size)?;
                if item == *wanted && name == "index" {
                    return Ok(Value::from(i));
                }
                count += usize::from(item == *wanted);
            }
            match name {
                "count" => Ok(Value::from(count)),
                _ => Err(failure("the value is not in the list")),
            }
        }
        _ => unknown_method_callback(state, value, name, args),
    }
}

fn of_text(state: &State, text: &str, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match name {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            let set = any_of(chars.unwrap_or_default());
            let out = |c: char| if chars.is_some() { set(c) } else { is_space(c) };
            Value::from(match name {
                "strip" => text.trim_matches(out),
                "lstrip" => text.trim_start_matches(out),
                _ => text.trim_end_matches(out),
            })
        }
        "split" | "rsplit" => {
            let (separator, limit, more): (Option<&Value>, Option<i64>, Kwargs) = from_args(args)?;
            let named = more.get::<Option<&Value>>("sep")?;
            let limit = limit.or(more.get("maxsplit")?).unwrap_or(-1);
            more.assert_all_used()?;
            let separator = match separator.or(named).filter(|v| !v.is_none()) {
                None => None,
                Some(v) => Some(v.as_str().ok_or_else(|| failure("a separator is a text"))?),
            };
            let limit = usize::try_from(limit).unwrap_or(usize::MAX - 1);
            Value::from_iter(pieces(text, separator, limit, name == "rsplit")?)
        }
        "splitlines" => {
            let (keep, more): (Option<bool>, Kwargs) = from_args(args)?;
            let keep = keep.or(more.get("keepends")?).unwrap_or(false);
            more.assert_all_used()?;
            Value::from_iter(split_lines(text, keep))
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            filled(separator)?;
            let last = name == "rpartition";
            let cut = if last { text.rsplit_once(separator) } else { text.split_once(separator) };
            let parts = match cut {
                Some((head, tail)) => [head, separator, tail],
                None if last => ["", "", text],
                None => [text, "", ""],
            };
            Value::from(Tuple::from(parts.map(Value::from)))
        }
        "removeprefix" | "removesuffix" => {
            let (part,): (&str,) = from_args(args)?;
            let prefix = name == "removeprefix";
            let cut = if prefix { text.strip_prefix(part) } else { text.strip_suffix(part) };
            Value::from(cut.unwrap_or(text))
        }
        "startswith" | "endswith" => {
            let (parts, from, to): (&Value, Option<i64>, Option<i64>) = from_args(args)?;
            let window = sliced(text, from, to).map(|(_, window)| window);
            let parts: Vec<Value> = match parts.as_str() {
                Some(_) => vec![parts.clone()],
                None if parts.is_tuple() => parts.try_iter()?.collect(),
                None => return Err(failure(format!("{name} takes a text or a tuple of them"))),
            };
            let mut found = false;
            for part in &parts {
                let part = part.as_str().ok_or_else(|| failure(format!("{name} takes texts")))?;
                found |= window.is_some_and(|w| match name {
                    "startswith" => w.starts_with(part),
                    _ => w.ends_with(part),
                });
            }
            Value::from(found)
        }
        "find" | "rfind" | "index" | "rindex" | "count" => {
            let (part, from, to): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            let window = sliced(text, from, to);
            if name == "count" {
                return Ok(Some(Value::from(window.map_or(0, |(_, w)| w.matches(part).count()))));
            }
            let found = window.and_then(|(start, w)| {
                let at = if name.starts_with('r') { w.rfind(part) } else { w.find(part) };
                at.map(|i| (start + w[..i].chars().count()) as i64)
            });
            match found {
                None if name.ends_with("index") => return Err(failure("substring not found")),
                found => Value::from(found.unwrap_or(-1)),
            }
        }
        "join" => {
            let (values,): (&Value,) = from_args(args)?;
            if !is_iterable(values) {
                return Err(failure(format!("can only join an iterable, not a {}", values.kind())));
            }
            let mut out = String::new();
            for (i, item) in values.try_iter()?.enumerate() {
                let item = item.as_str().ok_or_else(|| {
                    failure(format!("sequence item {i}: expected a text, found a {}", item.kind()))
                })?;
                pay_step(state, item.len() + text.len())?;
                out.push_str(if i > 0 { text } else { "" });
                out.push_str(item);
            }
            Value::from(out)
        }
        "center" | "ljust" | "rjust" | "zfill" => {
            let (width, fill): (usize, Option<&str>) = from_args(args)?;
            let mut fill = fill.unwrap_or(" ").chars();
            let (Some(fill), None) = (fill.next(), fill.next()) else {
                return Err(failure("the fill character is one character"));
            };
            let signed = text.starts_with(['+', '-']) && name == "zfill";
            let (sign, rest) = text.split_at(usize::from(signed));
            let width = width.saturating_sub(sign.len());
            Value::from(match name {
                "center" => padded(state, text, width, fill, Side::Both)?,
                "ljust" => padded(state, text, width, fill, Side::Right)?,
                "rjust" => padded(state, text, width, fill, Side::Left)?,
                _ => sign.to_string() + &padded(state, rest, width, '0', Side::Left)?,
            })
        }
        "title" | "capitalize" | "islower" | "isupper" | "isspace" | "isdigit" | "isnumeric"
        | "isalpha" | "isalnum" => {
            let () = from_args(args)?;
            match name {
                "title" => Value::from(title(text)),
                "capitalize" => Value::from(capitalized(text)),
                "islower" => Value::from(is_case(text, false)),
                "isupper" => Value::from(is_case(text, true)),
                "isspace" => Value::from(!text.is_empty() && text.chars().all(is_space)),
                "isdigit" => Value::from(!text.is_empty() && text.chars().all(is_digit)),
                _ => Value::from(of_class(text, name)?),
            }
        }
        _ => return Ok(None),
    }))
}

/// Whether a character is one of these.
pub fn any_of(chars: &str) -> impl Fn(char) -> bool {
    let set: BTreeSet<char> = chars.chars().collect();
    move |c| set.contains(&c)
}

fn filled(separator: &str) -> Result<(), Error> {
    match separator {
        "" => Err(failure("empty separator")),
        _ => Ok(()),
    }
}

fn pieces<'a>(
    text: &'a str,
    separator: Option<&str>,
    limit: usize,
    from_end: bool,
) -> Result<Vec<&'a str>, Error> {
    if let Some(separator) = separator {
        filled(separator)?;
        let mut all: Vec<&str> = if from_end {
            text.rsplitn(limit + 1, separator).collect()
        } else {
            text.splitn(limit + 1, separator).collect()
        };
        if from_end {
            all.reverse();
        }
        return Ok(all);
    }
    let mut all = Vec::new();
    let mut rest = text.trim_matches(is_space);
    if limit < usize::MAX - 1 {
        // What is left over keeps its spaces at the side that was not split.
        rest = if from_end {
            text.trim_end_matches(is_space)
        } else {
            text.trim_start_matches(is_space)
        };
    }
    while !rest.is_empty() {
        let cut = if from_end { rest.rfind(is_space) } else { rest.find(is_space) };
        let Some(at) = cut.filter(|_| all.len() < limit) else {
            all.push(rest);
            break;
        };
        if from_end {
            all.push(rest[at..].trim_start_matches(is_space));
            rest = rest[..at].trim_end_matches(is_space);
        } else {
            all.push(&rest[..at]);
            rest = rest[at..].trim_start_matches(is_space);
        }
    }
    if from_end {
        all.reverse();
    }
    Ok(all)
}

// text[from:to] with its first index in characters; None where it starts behind the end.
fn sliced(text: &str, from: Option<i64>, to: Option<i64>) -> Option<(usize, &str)> {
    if from.is_none() && to.is_none() {
        return Some((0, text));
    }
    let size = text.chars().count() as i64;
    let index = |i: i64| if i < 0 { (i + size).max(0) } else { i };
    let (from, to) = (index(from.unwrap_or(0)), index(to.unwrap_or(size)).min(size));
    if from > to {
        return None;
    }
    let byte = |i: i64| text.char_indices().nth(i as usize).map_or(text.len(), |(at, _)| at);
    Some((from as usize, &text[byte(from)..byte(to)]))
}

#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    Left,
    Right,
    Both,
}

pub fn padded(
    state: &State,
    text: &str,
    width: usize,
    fill: char,
    side: Side,
) -> Result<String, Error> {
    let missing = width.saturating_sub(text.chars().count());
    state.consume_fuel(missing as u64 / 16)?;
    let left = match side {
        Side::Left => missing,
        Side::Right => 0,
        Side::Both => missing / 2 + (missing & width & 1), // as CPython
    };
    let fills = |n: usize| fill.to_string().repeat(n);
    Ok(format!("{}{text}{}", fills(left), fills(missing - left)))
}

// How one character begins a word.
fn titlecase(c: char) -> String {
    if is_titlecase(c) {
        return c.to_string();
    }
    // minijinja has the table, and its filter gives it.
    let env = minijinja::Environment::empty();
    let value = Value::from(c.to_string());
    let state = env.empty_state();
    minijinja::value::StringInput::new(&state, &value)
        .map(minijinja::filters::capitalize)
        .ok()
        .and_then(|v| v.as_str().map(String::from))
        .unwrap_or_default()
}

pub fn capitalized(text: &str) -> String {
    recased(text, |at| at == 0)
}

fn title(text: &str) -> String {
    recased(text, |at| !text[..at].chars().next_back().is_some_and(is_cased))
}

// Lower case, but for what begins at places that are asked for.
fn recased(text: &str, begins: impl Fn(usize) -> bool) -> String {
    let lowered = text.to_lowercase(); // of the whole: a final sigma has another form
    let mut at_lower = 0;
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let size: usize = c.to_lowercase().map(char::len_utf8).sum();
        if begins(at) {
            out.push_str(&titlecase(c));
        } else {
            out.push_str(&lowered[at_lower..at_lower + size]);
        }
        at_lower += size;
    }
    out
}

pub fn is_case(text: &str, upper: bool) -> bool {
    let wanted = |c: char| if upper { c.is_uppercase() } else { c.is_lowercase() };
    text.chars().any(is_cased) && text.chars().all(|c| !is_cased(c) || wanted(c))
}

fn of_class(text: &str, name: &str) -> Result<bool, Error> {
    let mut all = !text.is_empty();
    for c in text.chars() {
        let ideograph = matches!(c, '\u{3400}'..='\u{9fff}') && name == "isnumeric";
        if (c.is_alphanumeric() && !python::is_known(c)) || ideograph {
            return Err(failure(format!("{name} of '{c}'")));
        }
        all &= match name {
            "isalpha" => c.is_alphabetic() && !c.is_numeric(),
            "isalnum" => c.is_alphanumeric(),
            _ => c.is_numeric(),
        };
    }
    Ok(all)
}

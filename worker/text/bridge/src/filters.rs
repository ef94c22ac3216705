//! Filters, tests and functions that Jinja's have another result for, or minijinja lacks.

use minijinja::value::{from_args, Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, Output, State, Value};

use crate::methods::{self, BoundMethod};
use crate::python::{self, failure, is_space, measure, pay, pay_step, text};

// What minijinja has and Jinja has not, or has in another way.
const FOREIGN_FILTERS: [&str; 7] =
    ["bool", "split", "lines", "chain", "zip", "urlencode", "pprint"];
const FOREIGN_TESTS: [&str; 4] = ["safe", "startingwith", "endingwith", "containing"];

pub fn add_all(env: &mut Environment<'static>) {
    FOREIGN_FILTERS.iter().for_each(|name| env.remove_filter(name));
    FOREIGN_TESTS.iter().for_each(|name| env.remove_test(name));
    env.set_formatter(write);
    env.set_unknown_method_callback(methods::call);
    env.add_filter("tojson", crate::json::tojson);
    env.add_filter("attr", attr);
    env.add_filter("capitalize", capitalize);
    env.add_filter("center", center);
    for name in ["e", "escape", "forceescape"] {
        env.add_filter(name, escape);
    }
    env.add_filter("float", to_float);
    env.add_filter("indent", indent);
    env.add_filter("int", to_int);
    env.add_filter("join", join);
    env.add_filter("string", |state: &mut State, value: &Value| text(state, value));
    env.add_filter("title", title);
    env.add_filter("trim", trim);
    env.add_filter("truncate", truncate);
    env.add_filter("wordcount", word_count);
    env.add_test("iterable", is_iterable);
    env.add_test("sequence", is_sequence);
    env.add_test("lower", |state: &mut State, value: &Value| is_case(state, value, false));
    env.add_test("upper", |state: &mut State, value: &Value| is_case(state, value, true));
    env.add_function("_tutti_text", concatenated);
    env.add_function("_tutti_each", each);
    env.add_function("_tutti_whole", python::whole);
    env.add_function("_tutti_in", contained);
    env.add_function("_tutti_ordered", ordered);
}

fn write(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) => out.write_str(text).map_err(Error::from),
        None => out.write_str(&text(state, value)?).map_err(Error::from),
    }
}

/// The text that `~` makes; paid for by its length.
fn concatenated(state: &mut State, operands: Rest<Value>) -> Result<String, Error> {
    let mut out = String::new();
    for operand in operands.iter() {
        let piece = text(state, operand)?;
        out.push_str(&piece);
    }
    pay(state, out.len())?;
    Ok(out)
}

fn each(value: Value) -> Result<Value, Error> {
    if value.is_undefined() || is_iterable(&value) {
        return Ok(value);
    }
    Err(failure(format!("a {} is not iterable", value.kind())))
}

fn contained(state: &mut State, item: Value, container: Value) -> Result<bool, Error> {
    if let Some(whole) = container.as_str() {
        return match item.as_str() {
            Some(part) => {
                pay(state, whole.len() + part.len())?;
                Ok(whole.contains(part))
            }
            None => Err(failure(format!("'in <string>' requires a string, not {}", item.kind()))),
        };
    }
    match container.kind() {
        ValueKind::Undefined => Ok(false),
        ValueKind::Map => {
            if matches!(item.kind(), ValueKind::Seq if !item.is_tuple())
                || item.kind() == ValueKind::Map
            {
                return Err(failure(format!("a {} cannot be a key", item.kind())));
            }
            measure(state, &item)?;
            Ok(container.as_object().is_some_and(|map| map.get_value(&item).is_some()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let size = measure(state, &item)?;
            for other in container.try_iter()? {
                state.consume_fuel(size)?;
                if other == item {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        other => Err(failure(format!("a {other} is not iterable"))),
    }
}

fn ordered(state: &mut State, sign: &str, left: Value, right: Value) -> Result<bool, Error> {
    let size = measure(state, &left)?;
    state.consume_fuel(size)?;
    comparable(sign, &left, &right)?;
    Ok(match sign {
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    })
}

fn comparable(sign: &str, left: &Value, right: &Value) -> Result<(), Error> {
    let number = |v: &Value| matches!(v.kind(), ValueKind::Number | ValueKind::Bool);
    let list = |v: &Value| v.kind() == ValueKind::Seq;
    if (number(left) && number(right)) || (left.as_str().is_some() && right.as_str().is_some()) {
        return Ok(());
    }
    if list(left) && list(right) && left.is_tuple() == right.is_tuple() {
        for (a, b) in left.try_iter()?.zip(right.try_iter()?) {
            if a != b {
                return comparable(sign, &a, &b);
            }
        }
        return Ok(());
    }
    let (a, b) = (left.kind(), right.kind());
    Err(failure(format!("'{sign}' not supported between {a} and {b}")))
}

pub fn is_iterable(value: &Value) -> bool {
    use ValueKind::{Iterable, Map, Seq, String, Undefined};
    matches!(value.kind(), Iterable | Map | Seq | String | Undefined)
}

fn is_sequence(value: &Value) -> bool {
    use ValueKind::{Map, Seq, String, Undefined};
    matches!(value.kind(), Map | Seq | String | Undefined)
}

fn attr(value: &Value, name: &str) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Map => Ok(BoundMethod::of(value, name).unwrap_or(Value::UNDEFINED)),
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        kind => Err(failure(format!("the filter attr on a {kind}"))),
    }
}

fn capitalize(state: &mut State, value: &Value) -> Result<String, Error> {
    Ok(methods::capitalized(&text(state, value)?))
}

fn title(state: &mut State, value: &Value) -> Result<String, Error> {
    Ok(python::title_words(&text(state, value)?))
}

fn is_case(state: &mut State, value: &Value, upper: bool) -> Result<bool, Error> {
    Ok(methods::is_case(&text(state, value)?, upper))
}

fn center(state: &mut State, value: &Value, width: Option<usize>) -> Result<String, Error> {
    let text = text(state, value)?;
    methods::padded(state, &text, width.unwrap_or(80), ' ', methods::Side::Both)
}

fn escape(state: &mut State, value: &Value) -> Result<Value, Error> {
    if value.is_safe() {
        return Ok(value.clone());
    }
    let mut out = String::new();
    for c in text(state, value)?.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    Ok(Value::from_safe_string(out))
}

fn indent(state: &mut State, value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    type Args = (Option<Value>, Option<bool>, Option<bool>, Kwargs);
    let (width, first, blank, more): Args = from_args(&args.into_values())?;
    let width = match width {
        Some(width) => Some(width),
        None => more.get::<Option<Value>>("width")?,
    };
    let first = first.or(more.get("first")?).unwrap_or(false);
    let blank = blank.or(more.get("blank")?).unwrap_or(false);
    more.assert_all_used()?;
    let margin = match width {
        None => " ".repeat(4),
        Some(width) => match width.as_str() {
            Some(text) => text.to_string(),
            None => {
                let size = i64::try_from(width)?.max(0) as usize;
                pay(state, size)?;
                " ".repeat(size)
            }
        },
    };
    let text = text(state, value)? + "\n"; // as Jinja does: a last line end stays
    let mut out = String::from(if first { margin.as_str() } else { "" });
    for (i, line) in python::split_lines(&text, false).into_iter().enumerate() {
        if i > 0 {
            pay_step(state, margin.len())?;
            out.push('\n');
            out.push_str(if blank || !line.is_empty() { &margin } else { "" });
        }
        out.push_str(line);
    }
    Ok(out)
}

fn join(
    state: &mut State,
    value: &Value,
    separator: Option<&Value>,
    attribute: Option<Value>,
    more: Kwargs,
) -> Result<String, Error> {
    let separator = match separator {
        Some(separator) => text(state, separator)?,
        None => more.get::<Option<Value>>("d")?.map_or(Ok(String::new()), |v| text(state, &v))?,
    };
    let attribute = match attribute {
        Some(attribute) => Some(attribute),
        None => more.get::<Option<Value>>("attribute")?,
    };
    more.assert_all_used()?;
    let mut out = String::new();
    for (i, item) in each(value.clone())?.try_iter()?.enumerate() {
        let item = match &attribute {
            Some(path) => at_path(item, path)?,
            None => item,
        };
        let piece = text(state, &item)?;
        pay_step(state, piece.len() + separator.len())?;
        out.push_str(if i > 0 { &separator } else { "" });
        out.push_str(&piece);
    }
    Ok(out)
}

fn at_path(mut item: Value, path: &Value) -> Result<Value, Error> {
    let Some(names) = path.as_str() else { return item.get_item(path) };
    for name in names.split('.') {
        item = match name.parse::<usize>() {
            Ok(index) => item.get_item_by_index(index)?,
            Err(_) => item.get_attr(name)?,
        };
    }
    Ok(item)
}

// Python's int and float of a text. Digits of other scripts count there: refused here.
fn number(state: &State, text: &str) -> Result<String, Error> {
    pay(state, text.len())?;
    let text = text.trim_matches(is_space);
    if text.chars().any(python::is_foreign_decimal) {
        return Err(failure("a number of other digits than 0 to 9"));
    }
    let bytes = text.as_bytes();
    let digit = |i: Option<usize>| i.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_digit);
    let lone = |i: usize| bytes[i] == b'_' && !(digit(i.checked_sub(1)) && digit(Some(i + 1)));
    if (0..bytes.len()).any(lone) {
        return Ok(String::new());
    }
    Ok(text.replace('_', ""))
}

fn to_int(
    state: &mut State,
    value: &Value,
    default: Option<Value>,
    base: Option<u32>,
) -> Result<Value, Error> {
    let default = default.unwrap_or_else(|| Value::from(0));
    let truncated = |v: f64| match v.is_finite() {
        true if v.abs() < 1e38 => Ok(Value::from(v.trunc() as i128)),
        true => Err(failure("so large a number")),
        false => Ok(default.clone()),
    };
    match value.kind() {
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::Bool => Ok(Value::from(i64::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => Ok(value.clone()),
        ValueKind::Number => truncated(f64::try_from(value.clone())?),
        ValueKind::String => {
            let number = number(state, value.as_str().unwrap_or_default())?;
            let base = base.unwrap_or(10);
            if !(2..=36).contains(&base) {
                return Err(failure(format!("the filter int with base {base}")));
            }
            if base != 10 && !number.bytes().all(|b| b.is_ascii_digit()) {
                return Err(failure("the filter int with a base, of more than digits"));
            }
            if let Ok(whole) = i128::from_str_radix(&number, base) {
                return Ok(Value::from(whole));
            }
            match number.parse::<f64>() {
                Ok(v) => truncated(v),
                Err(_) => Ok(default),
            }
        }
        _ => Ok(default),
    }
}

fn to_float(state: &mut State, value: &Value, default: Option<Value>) -> Result<Value, Error> {
    let default = default.unwrap_or_else(|| Value::from(0.0));
    match value.kind() {
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::Bool => Ok(Value::from(f64::from(u8::from(value.is_true())))),
        ValueKind::Number => Ok(Value::from(f64::try_from(value.clone())?)),
        ValueKind::String => {
            let number = number(state, value.as_str().unwrap_or_default())?;
            Ok(number.parse::<f64>().map_or(default, Value::from))
        }
        _ => Ok(default),
    }
}

fn trim(state: &mut State, value: &Value, chars: Option<Value>) -> Result<String, Error> {
    let text = text(state, value)?;
    Ok(match chars.as_ref().and_then(Value::as_str) {
        Some(chars) => text.trim_matches(methods::any_of(chars)).to_string(),
        None => text.trim_matches(is_space).to_string(),
    })
}

fn truncate(state: &mut State, value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    type Args = (Option<usize>, Option<bool>, Option<String>, Kwargs);
    let (length, kill_words, end, more): Args = from_args(&args.into_values())?;
    let length = length.or(more.get("length")?).unwrap_or(255);
    let kill_words = kill_words.or(more.get("killwords")?).unwrap_or(false);
    let end = end.or(more.get("end")?).unwrap_or_else(|| "...".into());
    let leeway = more.get::<Option<usize>>("leeway")?.unwrap_or(5);
    more.assert_all_used()?;
    let text = value.as_str().ok_or_else(|| failure("truncate takes a text"))?;
    pay(state, text.len())?;
    let end_size = end.chars().count();
    if length < end_size {
        return Err(failure(format!("expected length >= {end_size}, got {length}")));
    }
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text.to_string());
    }
    let kept: String = text.chars().take(length - end_size).collect();
    let kept =
        if kill_words { &kept[..] } else { kept.rsplit_once(' ').map_or(&kept[..], |p| p.0) };
    Ok(format!("{kept}{end}"))
}

// Runs of what Python's \w takes.
fn word_count(state: &mut State, value: &Value) -> Result<usize, Error> {
    let text = text(state, value)?;
    let mut count = 0;
    let mut inside = false;
    for c in text.chars() {
        if c.is_alphanumeric() && !python::is_known(c) {
            return Err(failure("wordcount of a text in such letters"));
        }
        let word = c.is_alphanumeric() || c == '_';
        count += usize::from(word && !inside);
        inside = word;
    }
    Ok(count)
}

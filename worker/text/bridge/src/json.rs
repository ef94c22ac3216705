//! `tojson` as Python's json.dumps(value, ensure_ascii=False, indent=…) writes it: ", " and ": "
//! as separators ("," before a line break when indented), floats as repr() does, no HTML escapes.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use crate::python::pay;

const DEPTH_MAX: usize = 200;

pub fn tojson(state: &mut State, value: Value, args: Kwargs) -> Result<Value, Error> {
    let indent = match args.get::<Option<Value>>("indent")? {
        None => None,
        Some(v) if v.is_none() || v.is_undefined() => None,
        Some(v) => match v.as_str() {
            Some(text) => Some(text.to_string()),
            None => Some(" ".repeat(usize::try_from(v)?.min(64))),
        },
    };
    let sort_keys = args.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let ensure_ascii = args.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let (item, colon) = match args.get::<Option<Value>>("separators")? {
        Some(pair) if !pair.is_none() => {
            (pair.get_item_by_index(0)?.to_string(), pair.get_item_by_index(1)?.to_string())
        }
        _ => ((if indent.is_some() { "," } else { ", " }).to_string(), ": ".to_string()),
    };
    args.assert_all_used()?;
    let mut writer =
        Writer { state, out: String::new(), indent, item, colon, sort_keys, ensure_ascii, depth: 0 };
    writer.value(&value)?;
    Ok(Value::from(writer.out))
}

// Pays as it writes: a value may hold another twice, which holds another twice, and so on.
struct Writer<'a> {
    state: &'a State<'a, 'a>,
    out: String,
    indent: Option<String>,
    item: String,
    colon: String,
    sort_keys: bool,
    ensure_ascii: bool,
    depth: usize,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) -> Result<(), Error> {
        self.state.consume_fuel(1)?;
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.out.push_str(&number(value)),
            ValueKind::String => self.string(value.as_str().unwrap_or_default())?,
            ValueKind::Seq | ValueKind::Iterable
                if value.downcast_object_ref::<crate::methods::DictView>().is_none() =>
            {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.container('[', ']', items.len(), |w, i| w.value(&items[i]))?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort();
                }
                self.container('{', '}', keys.len(), |w, i| {
                    w.key(&keys[i])?;
                    pay(w.state, w.colon.len())?;
                    let colon = w.colon.clone();
                    w.out.push_str(&colon);
                    w.value(&value.get_item(&keys[i])?)
                })?;
            }
            other => return Err(unserializable(&format!("an object of type {other}"))),
        }
        Ok(())
    }

    fn container(
        &mut self,
        open: char,
        close: char,
        size: usize,
        mut each: impl FnMut(&mut Self, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(open);
        if size > 0 {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(unserializable("so deep a value"));
            }
            for i in 0..size {
                if i > 0 {
                    pay(self.state, self.item.len())?;
                    self.out.push_str(&self.item.clone());
                }
                self.line_break()?;
                each(self, i)?;
            }
            self.depth -= 1;
            self.line_break()?;
        }
        self.out.push(close);
        Ok(())
    }

    fn line_break(&mut self) -> Result<(), Error> {
        if let Some(indent) = &self.indent {
            pay(self.state, indent.len() * self.depth)?;
            self.out.push('\n');
            self.out.push_str(&indent.repeat(self.depth));
        }
        Ok(())
    }

    fn key(&mut self, key: &Value) -> Result<(), Error> {
        match key.kind() {
            ValueKind::String => self.string(key.as_str().unwrap_or_default())?,
            ValueKind::None | ValueKind::Bool | ValueKind::Number => {
                self.out.push('"');
                self.value(key)?;
                self.out.push('"');
            }
            other => return Err(unserializable(&format!("a key of type {other}"))),
        }
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        pay(self.state, text.len())?;
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if c < ' ' || (self.ensure_ascii && c > '~') => {
                    let mut units = [0u16; 2];
                    for unit in c.encode_utf16(&mut units) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
        Ok(())
    }
}

fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    match f64::try_from(value.clone()) {
        Ok(v) if v.is_nan() => "NaN".into(),
        Ok(v) if v.is_infinite() => (if v > 0.0 { "Infinity" } else { "-Infinity" }).into(),
        Ok(v) => crate::python::float(v),
        Err(_) => value.to_string(),
    }
}

fn unserializable(what: &str) -> Error {
    Error::new(ErrorKind::BadSerialization, format!("tojson cannot write {what}"))
}

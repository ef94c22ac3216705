//! Chat templates: Jinja as Transformers sets it up (trim_blocks, lstrip_blocks, loop controls,
//! raise_exception, Python's tojson and string methods). Work is bounded by fuel.

use std::sync::{Arc, Mutex};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::border::{bytes, guarded, text, Buffer, Failure, Ids, INVALID, RAISED};
use crate::generation;

// About one unit an instruction, or 64 bytes made (minijinja's Environment::set_fuel).
const FUEL: u64 = 20_000_000;

struct Rendered {
    text: String,
    spans: Vec<u32>,
}

fn environment(raised: &Arc<Mutex<Option<String>>>) -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_undefined_behavior(UndefinedBehavior::Lenient);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(100);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.add_filter("tojson", crate::json::tojson);
    let raised = raised.clone();
    env.add_function("raise_exception", move |message: String| -> Result<Value, Error> {
        if let Ok(mut slot) = raised.lock() {
            slot.get_or_insert_with(|| message.clone());
        }
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    Ok(env)
}

fn describe(error: &Error) -> String {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    message
}

fn render(source: &str, variables: &[u8], max_output: usize) -> Result<Rendered, Failure> {
    let variables: Value = serde_json::from_slice(variables)
        .map_err(|e| Failure::invalid(format!("the variables are not JSON: {e}")))?;
    let markers = generation::choose_markers(source, &format!("{variables:?}"))?;
    let raised = Arc::new(Mutex::new(None));
    let env = environment(&raised).map_err(|e| Failure::invalid(describe(&e)))?;
    let source = generation::replace_tags(source, &markers);
    let rendered = env
        .template_from_named_str("chat_template", &source)
        .and_then(|template| template.render(variables))
        .map_err(|e| match raised.lock().ok().and_then(|mut slot| slot.take()) {
            Some(message) => Failure { code: RAISED, message },
            None => Failure { code: INVALID, message: describe(&e) },
        })?;
    if rendered.len() > max_output {
        return Err(Failure::invalid(format!("the text is longer than {max_output} bytes")));
    }
    let (text, spans) = generation::take_spans(&rendered, &markers)?;
    Ok(Rendered { text, spans })
}

/// # Safety
/// See bridge.h.
#[no_mangle]
pub unsafe extern "C" fn tutti_template_render(
    source: *const u8,
    source_size: usize,
    variables_json: *const u8,
    variables_size: usize,
    max_output: usize,
    out: *mut Buffer,
    spans: *mut Ids,
    error: *mut Buffer,
) -> i32 {
    guarded(error, || {
        let source = text(source, source_size, "the template")?;
        let rendered = render(source, bytes(variables_json, variables_size), max_output)?;
        out.write(Buffer::from(rendered.text));
        spans.write(Ids::new(rendered.spans, None));
        Ok(())
    })
}

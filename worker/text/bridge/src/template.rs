//! Chat templates: Jinja as Transformers sets it up (loop controls, raise_exception, its tojson;
//! source.rs reads the template as Jinja does). Work is bounded by fuel.

use std::sync::{Arc, Mutex};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::border::{bytes, guarded, text, Buffer, Failure, Ids, INVALID, RAISED};
use crate::generation::{self, Markers};
use crate::{filters, source};

// About one unit an instruction, or 64 bytes made (minijinja's Environment::set_fuel).
const FUEL: u64 = 20_000_000;

struct Rendered {
    text: String,
    spans: Vec<u32>,
}

fn environment(raised: &Arc<Mutex<Option<String>>>) -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    // source.rs has settled the whitespace.
    env.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_undefined_behavior(UndefinedBehavior::Lenient);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(100);
    filters::add_all(&mut env);
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

fn render(template: &str, variables: &[u8], max_output: usize) -> Result<Rendered, Failure> {
    let mut markers = Markers { open: '\u{fdd0}', close: '\u{fdd1}' };
    let mut source = source::rewrite(template, &markers)?;
    if template.contains("generation") {
        // Escapes may have written the markers: what counts is the text that was read.
        markers = generation::choose_markers(&source, &String::from_utf8_lossy(variables))?;
        source = source::rewrite(template, &markers)?;
    }
    let variables: Value = serde_json::from_slice(variables)
        .map_err(|e| Failure::invalid(format!("the variables are not JSON: {e}")))?;
    let raised = Arc::new(Mutex::new(None));
    let env = environment(&raised).map_err(|e| Failure::invalid(describe(&e)))?;
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
    if !template.contains("generation") {
        return Ok(Rendered { text: rendered, spans: Vec::new() });
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

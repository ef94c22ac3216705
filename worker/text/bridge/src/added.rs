//! Tokens that a model's other files add to its tokenizer.json, in the order of Transformers' fast
//! tokenizers: those they list, then special tokens they name.

use crate::border::{bytes, guarded, Buffer, Failure};
use crate::tokenizer::Handle;
use serde_json::Value;
use std::collections::HashSet;
use tokenizers::{AddedToken, Tokenizer};

struct Given {
    token: AddedToken,
    normalized: bool, // its file says whether
    id: Option<u32>,
}

fn tokens_of(files: &Value, key: &str) -> Result<Vec<Given>, Failure> {
    let Some(list) = files.get(key).and_then(Value::as_array) else { return Ok(Vec::new()) };
    let one_of = |one: &Value| {
        let text = one.get("content").and_then(Value::as_str);
        let text = text.ok_or_else(|| Failure::invalid("an added token without content"))?;
        let flag = |key: &str| one.get(key).and_then(Value::as_bool);
        let normalized = flag("normalized");
        let mut token = AddedToken::from(text, flag("special").unwrap_or(false))
            .single_word(flag("single_word").unwrap_or(false))
            .lstrip(flag("lstrip").unwrap_or(false))
            .rstrip(flag("rstrip").unwrap_or(false));
        token.normalized = normalized.unwrap_or(token.normalized);
        let id = one.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        Ok(Given { token, normalized: normalized.is_some(), id })
    };
    list.iter().map(one_of).collect()
}

fn add(tokenizer: &mut Tokenizer, files: &Value) -> Result<(), Failure> {
    let named = tokens_of(files, "named")?;
    let names: HashSet<&str> = named.iter().map(|given| given.token.content.as_str()).collect();
    let own = tokenizer.get_added_tokens_decoder();
    let same: HashSet<&AddedToken> = own.values().collect();
    let mut known: HashSet<String> = own.values().map(|token| token.content.clone()).collect();
    let mut tokens = Vec::new();
    for Given { mut token, normalized, id } in tokens_of(files, "listed")? {
        if same.contains(&token) || id.is_some_and(|id| own.contains_key(&id)) {
            continue;
        }
        if names.contains(token.content.as_str()) && !token.special {
            token.special = true;
            token.normalized &= normalized;
        }
        known.insert(token.content.clone());
        tokens.push(token);
    }
    // Of two with one content the later one counts, as the crate takes them.
    let rest = named.into_iter().chain(tokens_of(files, "extra")?).map(|given| given.token);
    tokens.extend(rest.filter(|token| !known.contains(&token.content)));
    tokenizer.add_tokens(tokens).map(|_| ()).map_err(|e| Failure::invalid(e.to_string()))
}

/// # Safety
/// See bridge.h.
#[no_mangle]
pub unsafe extern "C" fn tutti_tokenizer_add(
    handle: *mut Handle,
    tokens_json: *const u8,
    tokens_size: usize,
    error: *mut Buffer,
) -> i32 {
    guarded(error, || {
        let files: Value = serde_json::from_slice(bytes(tokens_json, tokens_size))
            .map_err(|e| Failure::invalid(e.to_string()))?;
        add((*handle).bare_mut(), &files)
    })
}

//! Tokenizers of tokenizer.json files. Single-text calls only: the batch calls of the crate would
//! start a thread pool, and the engine forks.

use crate::border::{bytes, guarded, text, Buffer, Failure, Ids};
use tokenizers::utils::truncation::truncate_encodings;
use tokenizers::{
    Encoding, PostProcessor, PostProcessorWrapper, Tokenizer, TruncationDirection,
    TruncationParams, TruncationStrategy,
};

/// `bare` neither truncates nor adds special tokens; that is done here, sequence by sequence, as the
/// crate's own `encode` does it. (Set inside the crate, truncation also makes it stop tokenizing
/// early, after which longest_first takes the wrong one of two sequences for the longer.)
pub struct Handle {
    bare: Tokenizer,
    processor: Option<PostProcessorWrapper>,
}

#[repr(C)]
pub struct EncodeRequest {
    text: *const u8,
    text_size: usize,
    pair: *const u8,
    pair_size: usize,
    max_length: usize,
    truncation: i32,
    add_special_tokens: i32,
    offsets: i32,
}

fn load(json: &[u8]) -> Result<Handle, Failure> {
    let mut bare = Tokenizer::from_bytes(json).map_err(|e| Failure::invalid(e.to_string()))?;
    let processor = bare.get_post_processor().cloned();
    bare.with_post_processor(None::<PostProcessorWrapper>);
    // What a file says about length is left to the caller: batches are padded by worker/data.
    bare.with_padding(None);
    bare.with_truncation(None).map_err(|e| Failure::invalid(e.to_string()))?;
    bare.set_encode_special_tokens(false);
    Ok(Handle { bare, processor })
}

/// # Safety
/// See bridge.h.
#[no_mangle]
pub unsafe extern "C" fn tutti_tokenizer_load(
    json: *const u8,
    json_size: usize,
    out: *mut *mut Handle,
    error: *mut Buffer,
) -> i32 {
    guarded(error, || {
        let handle = load(bytes(json, json_size))?;
        out.write(Box::into_raw(Box::new(handle)));
        Ok(())
    })
}

/// # Safety
/// See bridge.h.
#[no_mangle]
pub unsafe extern "C" fn tutti_tokenizer_free(handle: *mut Handle) {
    if !handle.is_null() {
        drop(Box::from_raw(handle));
    }
}

/// # Safety
/// See bridge.h.
#[no_mangle]
pub unsafe extern "C" fn tutti_tokenizer_vocab_size(handle: *const Handle) -> usize {
    (*handle).bare.get_vocab_size(true)
}

/// # Safety
/// See bridge.h.
#[no_mangle]
pub unsafe extern "C" fn tutti_tokenizer_token_to_id(
    handle: *const Handle,
    token: *const u8,
    token_size: usize,
) -> i64 {
    match std::str::from_utf8(bytes(token, token_size)) {
        Ok(token) => (*handle).bare.token_to_id(token).map_or(-1, i64::from),
        Err(_) => -1,
    }
}

impl Handle {
    pub fn bare_mut(&mut self) -> &mut Tokenizer {
        &mut self.bare
    }

    // Offsets, where they are asked for, are of characters: as Transformers has them, and as the
    // processor then trims them.
    fn tokenize(&self, text: &str, type_id: u32, offsets: bool) -> Result<Encoding, Failure> {
        let encoded = if offsets {
            self.bare.encode_char_offsets(text, false)
        } else {
            self.bare.encode(text, false)
        };
        let mut encoding = encoded.map_err(|e| Failure::invalid(e.to_string()))?;
        encoding.set_type_ids(vec![type_id; encoding.len()]);
        Ok(encoding)
    }

    // How many special tokens go around the sequences.
    fn added_tokens(&self, is_pair: bool) -> usize {
        self.processor.as_ref().map_or(0, |p| p.added_tokens(is_pair))
    }

    fn finish(
        &self,
        first: Encoding,
        second: Option<Encoding>,
        add_special: bool,
    ) -> Result<Encoding, Failure> {
        match &self.processor {
            Some(processor) => processor.process(first, second, add_special),
            None => {
                let mut all = vec![first];
                all.extend(second);
                <dyn PostProcessor>::default_process(all, add_special)
                    .map(|parts| Encoding::merge(parts, false))
            }
        }
        .map_err(|e| Failure::invalid(e.to_string()))
    }
}

// Offsets of characters as bytes of the text. What is beyond it ends with it: the crate leaves the
// offset of an empty token at the very end in bytes.
fn byte_offsets(text: &str, encoding: &Encoding) -> Vec<u32> {
    let mut starts: Vec<u32> = text.char_indices().map(|(at, _)| at as u32).collect();
    starts.push(text.len() as u32);
    let end = starts.len() - 1;
    let byte = |at: usize| starts[at.min(end)];
    encoding.get_offsets().iter().flat_map(|&(from, to)| [byte(from), byte(to)]).collect()
}

unsafe fn encode(handle: &Handle, request: &EncodeRequest) -> Result<Ids, Failure> {
    let add_special = request.add_special_tokens != 0;
    let offsets = request.offsets != 0;
    let whole = text(request.text, request.text_size, "the text")?;
    let mut first = handle.tokenize(whole, 0, offsets)?;
    let mut second = None;
    if !request.pair.is_null() {
        if offsets {
            return Err(Failure::invalid("offsets are of one text, not of a pair"));
        }
        let pair = text(request.pair, request.pair_size, "the pair")?;
        second = Some(handle.tokenize(pair, 1, false)?);
    }
    if request.max_length != 0 {
        let added = if add_special { handle.added_tokens(second.is_some()) } else { 0 };
        let max_length = request.max_length.checked_sub(added).ok_or_else(|| {
            let room = request.max_length;
            Failure::invalid(format!("max_length {room} is too short for {added} special tokens"))
        })?;
        let params = TruncationParams {
            direction: TruncationDirection::Right,
            max_length,
            strategy: match request.truncation {
                0 => TruncationStrategy::LongestFirst,
                1 => TruncationStrategy::OnlyFirst,
                2 => TruncationStrategy::OnlySecond,
                other => return Err(Failure::invalid(format!("truncation {other}"))),
            },
            stride: 0,
        };
        (first, second) = truncate_encodings(first, second, &params)
            .map_err(|e| Failure::invalid(e.to_string()))?;
        // The cut-off rest is of no use, and would be processed too.
        first.take_overflowing();
        second.as_mut().map(Encoding::take_overflowing);
    }
    let encoding = handle.finish(first, second, add_special)?;
    let ids = Ids::new(encoding.get_ids().to_vec(), Some(encoding.get_type_ids().to_vec()));
    Ok(if offsets { ids.with_offsets(byte_offsets(whole, &encoding)) } else { ids })
}

/// # Safety
/// See bridge.h.
#[no_mangle]
pub unsafe extern "C" fn tutti_tokenizer_encode(
    handle: *const Handle,
    request: *const EncodeRequest,
    out: *mut Ids,
    error: *mut Buffer,
) -> i32 {
    guarded(error, || {
        out.write(encode(&*handle, &*request)?);
        Ok(())
    })
}

/// # Safety
/// See bridge.h.
#[no_mangle]
pub unsafe extern "C" fn tutti_tokenizer_decode(
    handle: *const Handle,
    ids: *const u32,
    size: usize,
    skip_special_tokens: i32,
    out: *mut Buffer,
    error: *mut Buffer,
) -> i32 {
    guarded(error, || {
        let ids = if size == 0 { &[] } else { std::slice::from_raw_parts(ids, size) };
        let decoded = (*handle).bare
            .decode(ids, skip_special_tokens != 0)
            .map_err(|e| Failure::invalid(e.to_string()))?;
        out.write(Buffer::from(decoded));
        Ok(())
    })
}

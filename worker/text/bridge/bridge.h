/* The border between C++ and Rust: tokenizers and chat templates. Its only caller is worker/text.
 *
 * Every function returns 0, or one of the codes below with a message in `error`. Buffers that come
 * back are freed with tutti_buffer_free / tutti_ids_free. No Rust panic crosses; nothing here
 * starts a thread. A tokenizer may be used by several threads. */
#ifndef TUTTI_WORKER_TEXT_BRIDGE_H_
#define TUTTI_WORKER_TEXT_BRIDGE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  TUTTI_TEXT_OK = 0,
  TUTTI_TEXT_INVALID = 1, /* the input is wrong */
  TUTTI_TEXT_RAISED = 2,  /* the template called raise_exception: the message is its own */
  TUTTI_TEXT_PANIC = 3    /* a bug, or a limit, in a crate */
};

typedef struct tutti_tokenizer tutti_tokenizer;

typedef struct {
  uint8_t* data; /* UTF-8, not terminated */
  size_t size;
} tutti_buffer;

typedef struct {
  uint32_t* ids;
  uint32_t* type_ids; /* as many as ids */
  uint32_t* offsets;  /* twice as many: the bytes [from, to) of the text; NULL unless asked for */
  size_t size;
} tutti_ids;

typedef struct {
  const uint8_t* text;
  size_t text_size;
  const uint8_t* pair; /* NULL: no pair */
  size_t pair_size;
  size_t max_length;          /* 0: not truncated */
  int32_t truncation;         /* 0 longest_first, 1 only_first, 2 only_second */
  int32_t add_special_tokens; /* 0 or 1 */
  int32_t offsets;            /* 0 or 1; of a text alone */
} tutti_encode_request;

int tutti_tokenizer_load(const uint8_t* json, size_t json_size, tutti_tokenizer** out,
                         tutti_buffer* error);
/* Adds tokens to a tokenizer that nobody else has yet. A JSON object of three arrays, `listed`,
 * `named` and `extra`, of {content, single_word, lstrip, rstrip, normalized, special}. Left out are
 * a listed token with an `id` that an added token of the tokenizer has, and a named or extra one
 * with the content of an added or listed one. A listed token that is named, too, is special. */
int tutti_tokenizer_add(tutti_tokenizer* tokenizer, const uint8_t* tokens_json, size_t tokens_size,
                        tutti_buffer* error);
void tutti_tokenizer_free(tutti_tokenizer* tokenizer);
/* Number of tokens, added ones included. */
size_t tutti_tokenizer_vocab_size(const tutti_tokenizer* tokenizer);
/* -1: no such token. */
int64_t tutti_tokenizer_token_to_id(const tutti_tokenizer* tokenizer, const uint8_t* token,
                                    size_t token_size);
int tutti_tokenizer_encode(const tutti_tokenizer* tokenizer, const tutti_encode_request* request,
                           tutti_ids* out, tutti_buffer* error);
int tutti_tokenizer_decode(const tutti_tokenizer* tokenizer, const uint32_t* ids, size_t size,
                           int32_t skip_special_tokens, tutti_buffer* out, tutti_buffer* error);

/* Renders a chat template with the variables of a JSON object (key order kept). `spans`: pairs of
 * byte offsets [from, to) into `out` of what stood inside {% generation %}, in spans.ids with
 * spans.size numbers; the rest of spans is NULL. Output is at most max_output bytes. */
int tutti_template_render(const uint8_t* source, size_t source_size, const uint8_t* variables_json,
                          size_t variables_size, size_t max_output, tutti_buffer* out,
                          tutti_ids* spans, tutti_buffer* error);

void tutti_buffer_free(tutti_buffer* buffer);
void tutti_ids_free(tutti_ids* ids);

#ifdef __cplusplus
}
#endif

#endif /* TUTTI_WORKER_TEXT_BRIDGE_H_ */

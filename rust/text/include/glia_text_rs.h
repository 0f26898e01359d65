// The C face of rust/text. src/text is its only caller; everyone else uses text/tokenizer.h and text/chat_template.h.
//
// Ownership: `GliaBytes` borrows and is only read during the call; `GliaText`, `GliaIds` and the handles are owned by
// the caller and given back with their free function, once. Outputs are written only as far as the return code says.
// Errors: 0 is success. Otherwise the code below, and `error` (if not null) holds a sentence without paths or pointers.
// No panic crosses this line: it becomes kGliaTextInternal.
// Thread rule: a tokenizer and a template may be used from any thread at a time; a stream from one at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct GliaTokenizer GliaTokenizer;
typedef struct GliaStream GliaStream;
typedef struct GliaTemplate GliaTemplate;

typedef struct {
  const char* data;  // may be null when size is 0
  size_t size;
} GliaBytes;

typedef struct {
  char* data;  // UTF-8, not terminated
  size_t size;
  size_t capacity;
} GliaText;

typedef struct {
  int32_t* data;
  size_t size;
  size_t capacity;
} GliaIds;

enum {
  kGliaTextOk = 0,
  kGliaTextUnusable = 1,  // a vocabulary or a template that cannot be used
  kGliaTextInput = 2,     // text, ids or JSON of the request that cannot be used
  kGliaTextBudget = 3,    // a template ran out of its step, memory or output budget
  kGliaTextInternal = 4,
};

// The vocabulary part of a GGUF file, keys tokenizer.ggml.*; ids are -1 and flags are -1 where the file has none.
typedef struct {
  GliaBytes model;
  GliaBytes pre;
  const GliaBytes* tokens;
  size_t token_count;
  const GliaBytes* merges;
  size_t merge_count;
  const double* scores;  // one a token, or none
  size_t score_count;
  const int32_t* types;  // one a token, or none
  size_t type_count;
  int64_t bos, eos, eot, eom, unk;
  int32_t add_bos, add_eos, add_space_prefix;
  int64_t cls, sep;
  int32_t lowercase, strip_accents;
  GliaBytes charsmap;  // SentencePiece's compiled normalizer, or empty
} GliaGgufVocab;

void glia_text_free(GliaText text);
void glia_ids_free(GliaIds ids);

int32_t glia_tokenizer_from_json(GliaBytes tokenizer_json, GliaBytes config_json, GliaTokenizer** out, GliaText* error);
int32_t glia_tokenizer_from_gguf(const GliaGgufVocab* vocab, GliaTokenizer** out, GliaText* error);
void glia_tokenizer_free(GliaTokenizer* tokenizer);
int32_t glia_tokenizer_encode(const GliaTokenizer* tokenizer, GliaBytes text, int32_t add_special, GliaIds* out,
                              GliaText* error);
// The same for a prompt that glia_template_render made with `literal`: the marks in it go, and what is marked stays
// text.
int32_t glia_tokenizer_encode_prompt(const GliaTokenizer* tokenizer, GliaBytes text, GliaIds* out, GliaText* error);
// A text, or a pair where `pair` is not null, with special tokens in at most `most` tokens; `types` tells by token
// which of the two it is of, `dropped` how many there was no room for.
typedef struct {
  GliaIds ids;
  GliaIds types;
  size_t dropped;
} GliaEncoded;
int32_t glia_tokenizer_encode_whole(const GliaTokenizer* tokenizer, GliaBytes text, const GliaBytes* pair, size_t most,
                                    GliaEncoded* out, GliaText* error);
int32_t glia_tokenizer_decode(const GliaTokenizer* tokenizer, const int32_t* ids, size_t count, int32_t skip_special,
                              GliaText* out, GliaText* error);
int32_t glia_tokenizer_vocab_size(const GliaTokenizer* tokenizer);
int32_t glia_tokenizer_end_tokens(const GliaTokenizer* tokenizer, GliaIds* out, GliaText* error);
// The id of a token's text; -1 when the vocabulary has none.
int32_t glia_tokenizer_token_id(const GliaTokenizer* tokenizer, GliaBytes token);
int32_t glia_tokenizer_token_text(const GliaTokenizer* tokenizer, int32_t id, GliaText* out, GliaText* error);
int32_t glia_tokenizer_bos_eos(const GliaTokenizer* tokenizer, GliaText* bos, GliaText* eos, GliaText* error);

// Keeps what it needs of the tokenizer alive.
int32_t glia_stream_new(const GliaTokenizer* tokenizer, int32_t skip_special, GliaStream** out, GliaText* error);
int32_t glia_stream_push(GliaStream* stream, int32_t id, GliaText* out, GliaText* error);
int32_t glia_stream_finish(GliaStream* stream, GliaText* out, GliaText* error);
void glia_stream_free(GliaStream* stream);

int32_t glia_template_new(GliaBytes source, GliaBytes bos, GliaBytes eos, GliaTemplate** out, GliaText* error);
// `literal` may be null. Otherwise the special tokens of that tokenizer which messages and tools spell are marked as
// text.
int32_t glia_template_render(const GliaTemplate* chat_template, GliaBytes messages_json, GliaBytes tools_json,
                             GliaBytes extra_json, int32_t add_generation_prompt, int64_t now_unix_s,
                             const GliaTokenizer* literal, GliaText* out, GliaText* error);
void glia_template_free(GliaTemplate* chat_template);

#ifdef __cplusplus
}
#endif

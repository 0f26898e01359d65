"""Published vocabularies, trimmed to what the texts beside them need, with their publishers' own ids.

llama.cpp's models/ folder has ggml-vocab-<name>.gguf with texts (.inp) and the ids (.out) that the published Hugging Face
tokenizer gives them. A vocabulary is trimmed to single characters, special tokens and the tokens and merges of those ids;
a merge that never wins changes nothing when it is gone, so the ids stay the same but for their numbering.
"""

import json
import pathlib

import gguf

OUT = pathlib.Path(__file__).resolve().parent / "text_tokenizers"
NAMES = ("gpt-2", "mpt", "falcon", "qwen2", "deepseek-coder", "phi-3", "gemma-4", "bert-bge")
SEPARATOR = "\n__ggml_vocab_test__\n"
ID_KEYS = ("bos_token_id", "eos_token_id", "unknown_token_id", "cls_token_id", "seperator_token_id")
OTHER_KEYS = ("add_bos_token", "add_eos_token", "add_space_prefix")


class Source:
    def __init__(self, path):
        self.fields = gguf.GGUFReader(path).fields
        self.tokens = self.get("tokens")
        self.types = self.get("token_type")
        self.scores = self.get("scores")
        self.merges = self.get("merges")
        self.ids = {token: i for i, token in enumerate(self.tokens)}

    def get(self, key):
        field = self.fields.get(f"tokenizer.ggml.{key}")
        return field.contents() if field else None

    def ranks(self):
        """Each pair's turn: its place among the merges, or by the score of what it makes."""
        if self.merges is None:
            return None
        return {tuple(m.split(" ") if m[0] != " " else (m[:m.index(" ", 1)], m[m.index(" ", 1) + 1:])): i
                for i, m in enumerate(self.merges)}

    def turn(self, ranks, pair):
        if ranks is not None:
            return ranks.get(pair)
        made = self.ids.get(pair[0] + pair[1])
        return None if made is None else -self.scores[made]


def parts_of(source, ranks, token):
    """All tokens and merges on the way from the characters of a token to it."""
    if source.merges is None and source.scores is None:  # WordPiece: the longest match, no merges
        return {token}, []
    symbols, merges = list(token), []
    made = set(symbols)
    while len(symbols) > 1:
        turns = [(source.turn(ranks, pair), at) for at, pair in enumerate(zip(symbols, symbols[1:]))]
        turns = [turn for turn in turns if turn[0] is not None]
        if not turns:
            break
        at = min(turns)[1]
        merges.append((symbols[at], symbols[at + 1]))
        symbols[at:at + 2] = [symbols[at] + symbols[at + 1]]
        made.add(symbols[at])
    return made, merges


def trim(source, used):
    """Ids to keep, and merges to keep in their order."""
    ranks = source.ranks()
    keep = {i for i, token in enumerate(source.tokens) if source.types[i] != 1 and not token.startswith("<unused")}
    keep |= {source.ids[c] for c in map(chr, range(0x100 + 0x44)) if c in source.ids}
    merges = set()
    for token in {source.tokens[i] for i in used}:
        made, on_the_way = parts_of(source, ranks, token)
        keep |= {source.ids[text] for text in made if text in source.ids} | {source.ids[token]}
        merges |= set(on_the_way)
    # Reserved tokens by the hundred say nothing more than the first few.
    reserved = [i for i in sorted(keep) if source.types[i] != 1 and i not in used and not source.tokens[i].startswith("<0x")]
    keep -= set(reserved[40:]) - {source.get(key) for key in ID_KEYS}
    ordered = sorted(merges, key=lambda m: ranks[m]) if ranks is not None else None
    return sorted(keep), ordered


def make(folder):
    for name in NAMES:
        path = pathlib.Path(folder) / f"ggml-vocab-{name}.gguf"
        source = Source(path)
        texts = path.with_suffix(".gguf.inp").read_bytes().decode("utf-8").split(SEPARATOR)[:-1]
        rows = path.with_suffix(".gguf.out").read_text().split("\n")[:len(texts)]
        rows = [[int(i) for i in row.split()] for row in rows]
        kept, merges = trim(source, {i for row in rows for i in row})
        number = {old: new for new, old in enumerate(kept)}
        out = OUT / f"published_{name}"
        out.mkdir(exist_ok=True)
        writer = gguf.GGUFWriter(out / "vocab.gguf", "llama")
        writer.add_tokenizer_model(source.get("model"))
        writer.add_tokenizer_pre(source.get("pre") or "default")
        writer.add_token_list([source.tokens[i] for i in kept])
        writer.add_token_types([source.types[i] for i in kept])
        if source.scores is not None:
            writer.add_token_scores([source.scores[i] for i in kept])
        if merges is not None:
            writer.add_token_merges([" ".join(m) for m in merges])
        for key in ID_KEYS:
            if source.get(key) in number:
                writer.add_uint32(f"tokenizer.ggml.{key}", number[source.get(key)])
        for key in OTHER_KEYS:
            if source.get(key) is not None:
                writer.add_bool(f"tokenizer.ggml.{key}", source.get(key))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        with open(out / "expected.json", "w", encoding="utf-8") as file:
            json.dump({"texts": texts, "ids": [[number[i] for i in row] for row in rows]}, file, indent=None)
            file.write("\n")
        print(out.name, len(kept), "of", len(source.tokens), "tokens")

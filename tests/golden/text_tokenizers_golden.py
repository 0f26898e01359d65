"""Expected ids and texts for tokenizers: SmolLM2's own, and small ones trained here on the corpus.

Each small byte-level or SentencePiece vocabulary is written twice: as tokenizer.json and as a GGUF's vocabulary. The
tokenizer.json is built here from what the model families publish; the GGUF holds only what a GGUF can hold.
"""

import json
import os
import pathlib
import random
import re

import gguf
import numpy
import transformers
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "text_tokenizers"
MODELS = pathlib.Path(os.environ.get("GLIA_MODELS") or
                      pathlib.Path(os.environ.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local/share") /
                      "glia/models")
SMOLLM2 = MODELS / "SmolLM2-135M-Instruct.Q4_1.gguf"

# Encoded with special tokens; the first are the corpus' first.
SPECIAL_TEXTS = ["Hello, world!", "The quick brown fox jumps over the lazy dog.",
                 "I'm sure you've seen what they'll do; it's what we'd expect, isn't it?", "", "<s>x</s>"]

ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "\\": "\\"}

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
MARKS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEKKEN = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|\p{{N}}|" + MARKS)
GPT_4O = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTION}"
          r"|\p{N}{1,3}|" + MARKS)
NOT_HAN = r"&&[^\p{Han}]]"
KIMI = "|".join([
    r"[\p{Han}]+",
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER[:-1]}{NOT_HAN}*{LOWER[:-1]}{NOT_HAN}+{CONTRACTION}",
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER[:-1]}{NOT_HAN}+{LOWER[:-1]}{NOT_HAN}*{CONTRACTION}",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
DEEPSEEK_V3 = [
    r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
HAN_HANGUL = "[一-龥ࠀ-一가-\ud7ff]+"
LLAMA_CPP_DEFAULT = [
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    r"\p{N}+",
    r"[0-9][0-9][0-9]",
]


def unescape(line):
    text = re.sub(r"\\(u[0-9a-f]{4}|.)",
                  lambda m: ESCAPES[m[1]] if m[1][0] != "u" else chr(int(m[1][1:], 16)), line)
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def hand_written():
    lines = (HERE / "text_corpus.txt").read_text(encoding="utf-8").split("\n")[:-1]
    return [unescape(line) for line in lines]


def corpus():
    """The hand-written lines, then runs, then every low code point, then random code points of every plane."""
    texts = hand_written()
    texts += [" " * n for n in (3, 4, 7, 8, 15, 16, 17, 31, 33, 64, 127)]
    texts += ["x" + " " * n + "y" for n in (2, 3, 5, 8, 9, 16, 24)]
    texts += ["\n" * n for n in (3, 4, 9)] + ["\t" * n + "x" for n in (2, 3, 5)] + [" \n" * 5, "\n " * 5 + "z"]
    texts += ["ab" * 150, "=" * 77, "é" * 40, "你" * 40, "😀" * 20, "👩‍👩‍👧" * 5, "1" * 50, "a\u0301" * 20]
    texts += ["".join(chr(c) for c in range(start, start + 32)) for start in range(0, 0x180, 32)]
    texts += ["".join(chr(c) + "a" for c in range(start, start + 16)) for start in range(0x2000, 0x2070, 16)]
    rng = random.Random(20240717)
    planes = [(0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x52F), (0x530, 0x1FFF), (0x2000, 0x2BFF), (0x2E80, 0xD7FF),
              (0xE000, 0xFFFF), (0x10000, 0x1FFFF), (0x20000, 0x10FFFF)]
    for _ in range(40):
        picked = []
        for _ in range(rng.randrange(1, 24)):
            low, high = rng.choice(planes)
            picked.append(chr(rng.randrange(low, high + 1)))
            if rng.random() < 0.25:
                picked.append(rng.choice([" ", "\n", "  ", "'s", "7", "ab"]))
        texts.append("".join(picked))
    return texts


# These meet the whole corpus, the others every second text of it.
FULL = ("gpt-2", "smollm", "llama-bpe", "qwen2", "default")
HALF = ("dbrx", "stablelm2", "tekken", "gpt-4o", "kimi-k2", "olmo", "command-r", "falcon", "deepseek-coder", "deepseek-v3")


def byte_level_parts(pre):
    """Normalizer, pre-tokenizer and flags of the published tokenizer.json of each family."""
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    with_regex = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)

    def split(pattern):
        return pre_tokenizers.Split(Regex(pattern), "isolated")

    return {
        "gpt-2": (None, with_regex, False),
        "smollm": (None, pre_tokenizers.Sequence([pre_tokenizers.Digits(True), with_regex]), False),
        "llama-bpe": (None, pre_tokenizers.Sequence([split(LLAMA3), bytes_only]), True),
        "qwen2": (normalizers.NFC(), pre_tokenizers.Sequence([split(QWEN2), bytes_only]), False),
        "dbrx": (None, pre_tokenizers.Sequence([split(LLAMA3), bytes_only]), False),
        "stablelm2": (None, pre_tokenizers.Sequence([split(QWEN2), bytes_only]), False),
        "tekken": (None, pre_tokenizers.Sequence([split(TEKKEN), bytes_only]), True),
        "gpt-4o": (None, pre_tokenizers.Sequence([split(GPT_4O), bytes_only]), False),
        "kimi-k2": (None, pre_tokenizers.Sequence([split(KIMI), bytes_only]), False),
        "olmo": (normalizers.NFC(), with_regex, False),
        "command-r": (normalizers.NFC(), pre_tokenizers.Sequence([pre_tokenizers.Digits(True), with_regex]), False),
        "falcon": (None, pre_tokenizers.Sequence([
            pre_tokenizers.Punctuation("contiguous"), with_regex, pre_tokenizers.Digits(False),
            split("[0-9][0-9][0-9]")]), False),
        "deepseek-coder": (None, pre_tokenizers.Sequence(
            [split(p) for p in (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", HAN_HANGUL)] +
            [pre_tokenizers.Digits(True), bytes_only]), False),
        "deepseek-v3": (None, pre_tokenizers.Sequence([split(p) for p in DEEPSEEK_V3] + [bytes_only]), False),
        "default": (None, pre_tokenizers.Sequence([split(p) for p in LLAMA_CPP_DEFAULT] + [bytes_only]), False),
    }[pre]


def train_byte_level(pre, texts):
    normalizer, pre_tokenizer, ignore_merges = byte_level_parts(pre)
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=700 if pre in FULL else 500, special_tokens=SPECIALS, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    if pre == "llama-bpe":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|endoftext|> $A", pair="<|endoftext|> $A $B",
            special_tokens=[("<|endoftext|>", tokenizer.token_to_id("<|endoftext|>"))])
    return tokenizer


def sentence_piece_merges(pieces):
    """Merges by score, as transformers converts a SentencePiece model (generate_merges)."""
    vocab = {piece: i for i, (piece, _) in enumerate(pieces)}
    merges = []
    for piece, score in pieces:
        local = [(piece[:i], piece[i:], score) for i in range(1, len(piece))
                 if piece[:i] in vocab and piece[i:] in vocab]
        merges.extend(sorted(local, key=lambda m: (vocab[m[0]], vocab[m[1]])))
    merges.sort(key=lambda m: (m[2], len(m[0]), len(m[1])), reverse=True)
    return [(left, right) for left, right, _ in merges]


def train_sentence_piece(texts):
    """A llama-style vocabulary: <unk> <s> </s>, 256 bytes, then pieces with falling scores."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trained.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=900, limit_alphabet=300, show_progress=False,
                                                           special_tokens=["<unk>"], max_token_length=16))
    vocab = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    singles = [piece for piece, _ in vocab if len(piece) == 1]
    longer = [piece for piece, _ in vocab if len(piece) > 1 and piece != "<unk>"]
    pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    pieces += [(f"<0x{b:02X}>", 0.0, 6) for b in range(256)]
    # As SentencePiece trains BPE: the score of a merge is minus its turn; single characters come after all merges.
    pieces += [(piece, -float(turn), 1) for turn, piece in enumerate(longer)]
    pieces += [(piece, -float(len(longer) + turn), 1) for turn, piece in enumerate(singles)]
    return pieces


def sentence_piece_json(pieces, prefix):
    scored = [(piece, score) for piece, score, _ in pieces]
    vocab = {piece: i for i, (piece, _) in enumerate(scored)}
    allowed = {piece for piece, _, kind in pieces if kind == 1}
    merges = [m for m in sentence_piece_merges(scored) if m[0] + m[1] in allowed]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps = [normalizers.Prepend("▁")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence(steps + [normalizers.Replace(" ", "▁")])
    chain = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(chain + ([decoders.Strip(" ", 1, 0)] if prefix else []))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
                                                             special_tokens=[("<s>", 1)])
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in ("<unk>", "<s>", "</s>")])
    return tokenizer


def train_unigram(texts):
    """Unigram over Latin text, with a byte for each byte that it does not know (as T5 and Gemma are published)."""
    latin = [text for text in texts if all(c < "\u0250" for c in text)]
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    trained.train_from_iterator(latin, trainers.UnigramTrainer(
        vocab_size=500, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    vocab = [(piece, score) for piece, score in json.loads(trained.to_str())["model"]["vocab"]]
    vocab += [(f"<0x{b:02X}>", -20.0) for b in range(256)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=2, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(replacement="▁", prepend_scheme="always")])
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def train_word_piece(texts):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(
        vocab_size=900, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))])
    # What a tokenizer_config.json and a fixed-length model put on top: the reader must not let it change ids.
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=16, pad_id=0, pad_token="[PAD]")
    return tokenizer


def write_gguf(path, model, tokens, types, pre=None, merges=None, scores=None, **flags):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    if scores is not None:
        writer.add_token_scores(scores)
    writer.add_token_types(types)
    if merges is not None:
        writer.add_token_merges(merges)
    for name, value in flags.items():
        getattr(writer, f"add_{name}")(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def expected(tokenizer, texts):
    """Ids of each text without special tokens, and their text where it is not the text itself."""
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    decoded = {}
    for i, (text, row) in enumerate(zip(texts, ids)):
        for skip in (False, True):
            back = tokenizer.decode(row, skip_special_tokens=skip)
            if back != text:
                decoded.setdefault(str(i), {})["skip" if skip else "keep"] = back
    with_special = [tokenizer.encode(text, add_special_tokens=True).ids for text in SPECIAL_TEXTS]
    return {"ids": ids, "decoded": decoded, "with_special": with_special}


def write_expected(folder, tokenizer, texts, stride=1):
    folder.mkdir(parents=True, exist_ok=True)
    golden = expected(tokenizer, texts[::stride])
    with open(folder / "expected.json", "w", encoding="utf-8") as file:
        file.write('{"ids": [\n' + ",\n".join(json.dumps(row, separators=(",", ":")) for row in golden["ids"]))
        file.write('\n],\n"decoded": ' + json.dumps(golden["decoded"], ensure_ascii=True))
        file.write(f',\n"stride": {stride}')
        file.write(',\n"with_special": ' + json.dumps(golden["with_special"]) + "}\n")


def published_smollm2():
    """SmolLM2's tokenizer.json as it is published, filled with the vocabulary of its GGUF."""
    reader = gguf.GGUFReader(SMOLLM2)
    read = lambda key: reader.fields[key].contents()  # noqa: E731
    tokens, types = read("tokenizer.ggml.tokens"), read("tokenizer.ggml.token_type")
    merges = [tuple(m.split(" ")) for m in read("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True)
                                  for t, kind in zip(tokens, types) if kind == gguf.TokenType.CONTROL])
    return tokenizer


def against_llama_cpp(path, tokenizer, texts):
    """A second opinion: how many texts llama.cpp encodes otherwise than the expected ids."""
    import llama_cpp
    other = llama_cpp.Llama(model_path=str(path), vocab_only=True, verbose=False)
    differ = 0
    for text in texts:
        mine = tokenizer.encode(text, add_special_tokens=False).ids
        theirs = other.tokenize(text.encode(), add_bos=False, special=True)
        differ += mine != theirs
    return differ


def make(names=()):
    """All, or those folders that are named."""
    wanted = lambda name: not names or name in names  # noqa: E731
    texts = corpus()
    assert texts[:3] == SPECIAL_TEXTS[:3]
    training = hand_written() * 2
    OUT.mkdir(exist_ok=True)
    with open(OUT / "corpus.json", "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(text) for text in texts) + "\n]\n")

    if wanted("smollm2"):
        smollm2 = published_smollm2()
        write_expected(OUT / "smollm2", smollm2, texts)
        print("smollm2: llama.cpp differs on", against_llama_cpp(SMOLLM2, smollm2, texts), "of", len(texts))
    for pre in FULL + HALF:
        if wanted(f"bpe_{pre}"):
            make_byte_level(pre, training, texts)
    make_sentence_piece([name for name in ("spm_prefix", "spm_bare") if wanted(name)], training, texts)
    for name, train in (("unigram", train_unigram), ("wordpiece", train_word_piece)):
        if wanted(name):
            make_encoder(name, train(training), texts)
    if wanted("wordpiece"):
        write_word_piece_gguf(OUT / "wordpiece")
    if wanted("unigram_words"):
        make_unigram_words(texts)


def make_byte_level(pre, training, texts):
    tokenizer = train_byte_level(pre, training)
    folder = OUT / f"bpe_{pre}"
    write_expected(folder, tokenizer, texts, 1 if pre in FULL else 2)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [t for t, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    types = [gguf.TokenType.CONTROL if t in SPECIALS else gguf.TokenType.NORMAL for t in tokens]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    flags = {"add_bos_token": False} if pre == "tekken" else {}
    write_gguf(folder / "vocab.gguf", "gpt2", tokens, types, pre=pre, merges=merges, bos_token_id=0, eos_token_id=2,
               **flags)
    print(folder.name, len(tokens), "tokens; llama.cpp differs on",
          against_llama_cpp(folder / "vocab.gguf", tokenizer, texts))


def make_sentence_piece(names, training, texts):
    pieces = train_sentence_piece(training) if names else []
    for name in names:
        prefix = name == "spm_prefix"
        tokenizer = sentence_piece_json(pieces, prefix)
        folder = OUT / name
        write_expected(folder, tokenizer, texts)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        write_gguf(folder / "vocab.gguf", "llama", [p for p, _, _ in pieces], [k for _, _, k in pieces],
                   scores=[s for _, s, _ in pieces], bos_token_id=1, eos_token_id=2, unk_token_id=0,
                   add_space_prefix=prefix)
        print(folder.name, len(pieces), "tokens; llama.cpp differs on",
              against_llama_cpp(folder / "vocab.gguf", tokenizer, texts))


def make_encoder(name, tokenizer, texts):
    """Unigram or WordPiece: the pipeline as trained."""
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    write_expected(folder, tokenizer, texts)
    print(folder.name, tokenizer.get_vocab_size(), "tokens")
    if name == "wordpiece":
        # transformers reads the same file and gives the same ids.
        fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
        assert [fast.encode(t, add_special_tokens=False) for t in texts[:50]] == json.loads(
            (folder / "expected.json").read_text())["ids"][:50]


def write_word_piece_gguf(folder):
    """As llama.cpp's converter writes it: what begins a word has a mark, what goes on has none."""
    vocab = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    tokens = [token for token, _ in sorted(vocab.items(), key=lambda item: item[1])]
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    types = [gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens]
    written = [token if token in special else token[2:] if token.startswith("##") else "▁" + token for token in tokens]
    write_gguf(folder / "vocab.gguf", "bert", written, types, unk_token_id=vocab["[UNK]"], bos_token_id=vocab["[CLS]"],
               sep_token_id=vocab["[SEP]"])


def make_unigram_words(texts):
    """The unigram vocabulary in the pipeline of T5 and XLM-RoBERTa, and as a GGUF."""
    trained = json.loads((OUT / "unigram" / "tokenizer.json").read_text())["model"]["vocab"]
    # Training also makes pieces of the special tokens' texts; a GGUF has each text once, and scores as 32-bit floats.
    pieces = {}
    for piece, score in trained:
        pieces.setdefault(piece, float(numpy.float32(score)))
    pieces = list(pieces.items())
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    special = ("<pad>", "</s>", "<unk>")
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    folder = OUT / "unigram_words"
    write_expected(folder, tokenizer, texts, 2)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    types = [gguf.TokenType.CONTROL if piece in special else gguf.TokenType.BYTE if piece.startswith("<0x")
             else gguf.TokenType.NORMAL for piece, _ in pieces]
    write_gguf(folder / "vocab.gguf", "t5", [piece for piece, _ in pieces], types, pre="default",
               scores=[score for _, score in pieces], eos_token_id=1, unk_token_id=2, add_space_prefix=True)

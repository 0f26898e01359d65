"""Makes the goldens of the text room: tests/golden/text_tokenizers and tests/golden/text_templates.

    python tests/golden/make_text.py [tokenizers | templates | published FOLDER] [folder of text_tokenizers]...

`published` trims the vocabularies that llama.cpp's models/ folder brings (FOLDER); folders named after `tokenizers` are the
only ones made.

Needs tokenizers, transformers, gguf, jinja2 (versions in the birth certificate, README_text.md) and SmolLM2's GGUF where
programs look for weights. Nothing of Glia's own code takes part: the expected ids are Hugging Face's.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import text_published_golden  # noqa: E402
import text_templates_golden  # noqa: E402
import text_tokenizers_golden  # noqa: E402

if __name__ == "__main__":
    what, rest = sys.argv[1:2], sys.argv[2:]
    if what in ([], ["tokenizers"]):
        text_tokenizers_golden.make(rest)
    if what in ([], ["templates"]):
        text_templates_golden.make()
    if what == ["published"]:
        text_published_golden.make(*rest)

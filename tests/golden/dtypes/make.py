# Makes the golden dequantisations: random blocks of every type and what the Python package `gguf` reads in them.
# Run from the repository root; needs gguf, numpy and torch (versions in README.md).
import importlib.metadata
import pathlib

import gguf
import numpy as np
import torch
from gguf.quants import dequantize

out = pathlib.Path(__file__).parent
random = np.random.default_rng(20240)
T = gguf.GGMLQuantizationType
# Type: where its float16 scales lie in a block.
SCALES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
    T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
}
LATER_SCALES = {T.Q2_K: [80, 82], T.Q3_K: [108], T.IQ4_NL: [0], T.IQ4_XS: [0], T.MXFP4: []}


def make(type_, places, random):
    elements, size = gguf.GGML_QUANT_SIZES[type_]
    n = 4 if elements == 256 else 16
    blocks = random.integers(0, 256, (n, size), dtype=np.uint8)
    for place in places:
        scales = (random.standard_normal(n) * 0.05).astype(np.float16)
        scales[0] = 0.0
        scales[1] = 3e-7  # subnormal
        scales[2] = -0.75
        blocks[:, place:place + 2] = scales.view(np.uint8).reshape(n, 2)
    if type_ == T.MXFP4:  # its scale is an exponent: both ends, and what weights have
        blocks[:, 0] = np.r_[[0, 1, 2, 3, 250, 251], random.integers(110, 130, n - 6)]
    values = dequantize(blocks.reshape(1, -1), type_).astype(np.float32)
    assert values.size == n * elements and np.isfinite(values).all()
    (out / f"{type_.name}.blocks").write_bytes(blocks.tobytes())
    (out / f"{type_.name}.f32").write_bytes(values.astype("<f4").tobytes())


for type_, places in SCALES.items():
    make(type_, places, random)
halves = np.arange(65536, dtype=np.uint16)
halves = halves[np.isfinite(halves.view(np.float16))][::13]
(out / "F16.blocks").write_bytes(halves.tobytes())
(out / "F16.f32").write_bytes(halves.view(np.float16).astype("<f4").tobytes())
bf = random.integers(0, 65536, 512, dtype=np.uint16)
bf = bf[(bf & 0x7F80) != 0x7F80]
(out / "BF16.blocks").write_bytes(bf.tobytes())
(out / "BF16.f32").write_bytes(dequantize(bf.view(np.uint8).reshape(1, -1), T.BF16).astype("<f4").tobytes())
for type_, places in LATER_SCALES.items():
    make(type_, places, random)
f8 = torch.arange(256, dtype=torch.uint8)
f8 = f8[(f8 & 0x7F) != 0x7F]
(out / "F8_E4M3.blocks").write_bytes(f8.numpy().tobytes())
(out / "F8_E4M3.f32").write_bytes(f8.view(torch.float8_e4m3fn).float().numpy().astype("<f4").tobytes())
print("gguf", importlib.metadata.version("gguf"), "numpy", np.__version__, "torch", torch.__version__)

"""A BERT of sentence-transformers (mean pooling, normalised) as ONNX, from its safetensors: what onnxruntime's own optimiser makes of
an export, written down at once: Attention, SkipLayerNormalization and BiasGelu are single operators.
usage: onnx_bert.py FOLDER OUT.onnx   (OUT.int8.onnx is written beside it: onnxruntime's dynamic quantisation)
Inputs: ids [n, length] and mask [n, length] (1: a token, 0: padding), int32. Output: vectors [n, hidden]."""
import json
import struct
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def tensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    kinds = {"F32": np.float32, "F16": np.float16}
    return {name: np.frombuffer(data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]], kinds[t["dtype"]])
            .reshape(t["shape"]).astype(np.float32) for name, t in header.items() if name != "__metadata__" and t["dtype"] in kinds}


class Graph:
    def __init__(self, weights, config):
        self.w, self.c = weights, config
        self.nodes, self.values = [], []

    def constant(self, name, array):
        self.values.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weight(self, name, transpose=False):
        return self.constant(name, self.w[name].T if transpose else self.w[name])

    def node(self, kind, inputs, out, domain="", **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [out], name=out, domain=domain, **attributes))
        return out

    def skip_norm(self, x, skip, bias, stem, out):
        return self.node("SkipLayerNormalization", [x, skip, self.weight(stem + ".weight"), self.weight(stem + ".bias"), bias], out,
                         "com.microsoft", epsilon=self.c["layer_norm_eps"])

    def embeddings(self):
        words = self.node("Gather", [self.weight("embeddings.word_embeddings.weight"), "ids"], "words")
        place = self.w["embeddings.position_embeddings.weight"] + self.w["embeddings.token_type_embeddings.weight"][0]
        shape = self.node("Shape", ["ids"], "length", start=1, end=2)
        zero, axes = self.constant("zero", np.array([0])), self.constant("axis0", np.array([0]))
        places = self.node("Slice", [self.constant("places", place), zero, shape, axes], "placed")
        both = self.node("Add", [words, places], "embedded")
        return self.node("LayerNormalization", [both, self.weight("embeddings.LayerNorm.weight"), self.weight("embeddings.LayerNorm.bias")],
                         "layer0", epsilon=self.c["layer_norm_eps"])

    def layer(self, i, x):
        stem, name = f"encoder.layer.{i}.", f"l{i}_"
        heads = [f"{stem}attention.self.{part}" for part in ("query", "key", "value")]
        qkv = self.constant(name + "qkv", np.concatenate([self.w[h + ".weight"].T for h in heads], 1))
        bias = self.constant(name + "qkv_bias", np.concatenate([self.w[h + ".bias"] for h in heads]))
        seen = self.node("Attention", [x, qkv, bias, "mask"], name + "seen", "com.microsoft", num_heads=self.c["num_attention_heads"])
        out = self.node("MatMul", [seen, self.weight(stem + "attention.output.dense.weight", True)], name + "out")
        x = self.skip_norm(out, x, self.weight(stem + "attention.output.dense.bias"), stem + "attention.output.LayerNorm", name + "attended")
        up = self.node("MatMul", [x, self.weight(stem + "intermediate.dense.weight", True)], name + "up")
        up = self.node("BiasGelu", [up, self.weight(stem + "intermediate.dense.bias")], name + "gelu", "com.microsoft")
        down = self.node("MatMul", [up, self.weight(stem + "output.dense.weight", True)], name + "down")
        return self.skip_norm(down, x, self.weight(stem + "output.dense.bias"), stem + "output.LayerNorm", f"layer{i + 1}")

    def pooled(self, x):
        mask = self.node("Cast", ["mask"], "float_mask", to=TensorProto.FLOAT)
        row = self.node("Unsqueeze", [mask, self.constant("axis1", np.array([1]))], "mask_row")
        total = self.node("Squeeze", [self.node("MatMul", [row, x], "pooled_row"), "axis1"], "total")
        return self.node("LpNormalization", [total], "vectors", axis=1, p=2)  # a mean's length is that of the sum

    def model(self):
        x = self.embeddings()
        for i in range(self.c["num_hidden_layers"]):
            x = self.layer(i, x)
        self.pooled(x)
        graph = helper.make_graph(self.nodes, "encoder",
                                  [helper.make_tensor_value_info(n, TensorProto.INT32, ["n", "length"]) for n in ("ids", "mask")],
                                  [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", self.c["hidden_size"]])], self.values)
        return helper.make_model(graph, ir_version=10,
                                 opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])


def main(folder, out):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    graph = Graph(tensors(Path(folder) / "model.safetensors"), json.loads((Path(folder) / "config.json").read_text()))
    onnx.save(graph.model(), out)
    # Both kinds of weights, one scale per tensor (the default) or per column: the bench takes the fastest.
    for name, kind, columns in [("u8", QuantType.QUInt8, False), ("s8", QuantType.QInt8, False), ("s8c", QuantType.QInt8, True)]:
        quantize_dynamic(out, str(Path(out).with_suffix(f".{name}.onnx")), weight_type=kind, per_channel=columns,
                         extra_options={"DefaultTensorType": TensorProto.FLOAT})


if __name__ == "__main__":
    main(*sys.argv[1:])

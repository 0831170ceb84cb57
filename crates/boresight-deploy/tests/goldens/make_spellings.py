#!/usr/bin/env python3
"""Writes `spellings/*.onnx`: small graphs that spell operators as files of many origins do, each with what ONNX Runtime
makes of it.

usage: python make_spellings.py        (needs onnx and onnxruntime; made with onnx 1.23, onnxruntime 1.32)

The image is that of `image()` in make.py, whose rule the test has too. The logits stand in the file itself, as binary32 in
hexadecimal under the metadata key `logits`.
"""
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FOLDER = pathlib.Path(__file__).parent / "spellings"
IMAGE = (1, 4, 6, 7)
draw = np.random.default_rng(7)


def weights(*dims):
    return draw.normal(0, 0.5, dims).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


def floats(*values):
    return np.array(values, np.float32)


def scalar(value):
    return np.array(value, np.float32)


def node(op, *inputs, out="logits", outs=None, domain="", **attributes):
    return helper.make_node(op, list(inputs), outs or [out], domain=domain, **attributes)


def image(dims):
    place = np.arange(np.prod(dims), dtype=np.int64)
    return ((place * 7919 + 13) % 257 - 128).astype(np.float32).reshape(dims) / 64


def case(name, opset, nodes, dims=IMAGE, fp16=False, batch=None, **constants):
    kind = TensorProto.FLOAT16 if fp16 else TensorProto.FLOAT
    tensors = [value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(value, key)
               for key, value in constants.items()]
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("input", kind, (batch or dims[0], *dims[1:]))],
        [helper.make_tensor_value_info("logits", kind, None)], tensors)
    version = {7: 3, 8: 3, 9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}[opset]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=version)
    if version < 4:
        for tensor in tensors:
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    model.producer_name = ""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"input": image(dims).astype(np.float16 if fp16 else np.float32)})[0]
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("logits", kind, (batch or logits.shape[0], *logits.shape[1:])))
    onnx.checker.check_model(model)
    model.metadata_props.add(key="logits", value=logits.astype("<f4").tobytes().hex())
    onnx.save(model, FOLDER / f"{name}.onnx")


def convolutions():
    case("conv-same-upper", 11, [node("Conv", "input", "w", auto_pad="SAME_UPPER", strides=[2, 2])], w=weights(3, 4, 3, 4))
    case("conv-same-lower", 11, [node("Conv", "input", "w", auto_pad="SAME_LOWER")], w=weights(3, 4, 2, 4))
    case("conv-valid", 7, [node("Conv", "input", "w", auto_pad="VALID", dilations=[1, 1])], w=weights(3, 4, 2, 3))
    case("conv-uneven-groups", 13, [node("Conv", "input", "w", "b", pads=[0, 1, 2, 0], strides=[2, 1], group=2)],
         w=weights(6, 2, 3, 2), b=weights(6))
    case("conv-then-add", 9, [node("Conv", "input", "w", out="c"), node("Add", "c", "b")], w=weights(3, 4, 1, 1), b=weights(3, 1, 1))
    case("conv-of-halves", 13, [node("Cast", "w", out="v", to=1), node("Conv", "input", "v")], w=weights(3, 4, 1, 1).astype(np.float16))
    case("conv-fp16", 13, [node("Conv", "input", "w", "b", pads=[1, 1, 1, 1], out="c"), node("Relu", "c")], fp16=True,
         w=weights(3, 4, 3, 3).astype(np.float16), b=weights(3).astype(np.float16))
    for name, shape, attributes in (
            ("plain", (4, 3, 2, 2), dict(strides=[2, 2])),
            ("four", (4, 3, 4, 4), dict(strides=[2, 2], pads=[1, 1, 1, 1])),
            ("more", (4, 3, 3, 3), dict(strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])),
            ("wide", (4, 3, 2, 2), dict(strides=[3, 4], output_padding=[2, 1])),
            ("groups", (4, 3, 3, 2), dict(strides=[2, 1], group=2, pads=[0, 1, 1, 0])),
            ("still", (4, 3, 3, 3), dict(pads=[1, 1, 1, 1])),
            ("depthwise", (4, 1, 1, 1), dict(strides=[2, 2], group=4))):
        channels = shape[1] * attributes.get("group", 1)
        case(f"transposed-{name}", 11, [node("ConvTranspose", "input", "w", "b", **attributes)], w=weights(*shape), b=weights(channels))
    case("transposed-ones", 11, [node("ConvTranspose", "input", "w", group=4, strides=[2, 3])], w=np.ones((4, 1, 1, 1), np.float32))


def matrices():
    flat = [node("Flatten", "input", out="f")]
    case("gemm-flat", 11, flat + [node("Gemm", "f", "w", "b", transB=1)], w=weights(5, 168), b=weights(5))
    case("gemm-scaled", 9, flat + [node("Gemm", "f", "w", "b", alpha=0.5, beta=-2.0)], w=weights(168, 5), b=weights(1, 5))
    case("gemm-one-addend", 13, flat + [node("Gemm", "f", "w", "b")], w=weights(168, 5), b=scalar(0.25))
    case("gemm-bare", 13, flat + [node("Gemm", "f", "w")], w=weights(168, 5))
    pooled = [node("GlobalAveragePool", "input", out="g")]
    case("matmul-add", 13, pooled + [node("Squeeze", "g", "axes", out="f"), node("MatMul", "f", "w", out="m"),
                                     node("Add", "b", "m")], axes=ints(2, 3), w=weights(4, 5), b=weights(5))
    case("matmul-turned", 11, pooled + [node("Squeeze", "g", axes=[-1, 2], out="f"), node("Transpose", "w", perm=[1, 0], out="v"),
                                        node("MatMul", "f", "v", out="m"), node("Unsqueeze", "m", axes=[2, 3], out="u"),
                                        node("Relu", "u")], w=weights(5, 4))
    case("reshape-computed", 11, [
        node("Shape", "input", out="s"), node("Gather", "s", "zero", axis=0, out="n"),
        node("Unsqueeze", "n", axes=[0], out="n1"), node("Constant", out="rest", value=numpy_helper.from_array(ints(-1))),
        node("Concat", "n1", "rest", axis=0, out="t"), node("Reshape", "input", "t", out="f"),
        node("Gemm", "f", "w")], zero=np.array(0, np.int64), w=weights(168, 3))
    case("reshape-zero", 13, pooled + [node("Reshape", "g", "t", out="f"), node("Gemm", "f", "w")], t=ints(0, -1), w=weights(4, 3))
    case("reshape-and-back", 13, [node("Reshape", "input", "t", out="f"), node("Relu", "f", out="r"),
                                  node("Shape", "input", out="s"), node("Reshape", "r", "s", out="b"),
                                  node("Conv", "b", "w")], t=ints(1, 4, -1), w=weights(2, 4, 1, 1))


def pooling():
    case("average-included", 11, [node("AveragePool", "input", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 1, 1, 0], count_include_pad=1)])
    case("average-ceiling-idle", 11, [node("AveragePool", "input", kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)])
    case("max-padded", 8, [node("MaxPool", "input", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])])
    case("max-ceiling", 11, [node("MaxPool", "input", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1)])
    case("max-ceiling-padded", 12, [node("MaxPool", "input", kernel_shape=[2, 2], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1)])
    case("max-same", 11, [node("MaxPool", "input", kernel_shape=[2, 3], strides=[1, 2], auto_pad="SAME_UPPER")])
    case("max-same-lower", 11, [node("MaxPool", "input", kernel_shape=[2, 3], strides=[1, 2], auto_pad="SAME_LOWER")])
    case("max-global", 11, [node("GlobalMaxPool", "input")])
    case("mean-kept", 11, [node("ReduceMean", "input", axes=[-1, -2], keepdims=1)])
    case("mean-dropped", 13, [node("ReduceMean", "input", axes=[2, 3], keepdims=0)])
    case("mean-input", 18, [node("ReduceMean", "input", "axes")], axes=ints(2, 3))
    case("mean-flat", 13, [node("Reshape", "input", "t", out="f"), node("ReduceMean", "f", axes=[2], keepdims=0)], t=ints(1, 4, 42))
    case("pad-attribute", 7, [node("Pad", "input", pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="constant", value=0.0)])
    case("pad-input", 11, [node("Pad", "input", "p", mode="constant")], p=ints(0, 0, 1, 2, 0, 0, 3, 0))
    case("pad-axes", 18, [node("Pad", "input", "p", "", "axes")], p=ints(2, 1, 0, 3), axes=ints(-1, 2))
    case("pad-lowest", 13, [node("Pad", "input", "p", "v", out="x"), node("MaxPool", "x", kernel_shape=[2, 2])],
         p=ints(0, 0, 1, 0, 0, 0, 0, 1), v=scalar(-np.inf))


def activations():
    case("clip-attributes", 7, [node("Clip", "input", min=0.0, max=6.0)])
    case("clip-open", 11, [node("Clip", "input", "", "high")], high=scalar(0.5))
    case("clip-low", 13, [node("Clip", "input", "low", "")], low=scalar(-0.25))
    case("clip-zero", 13, [node("Clip", "input", "low")], low=scalar(0))
    case("leaky", 9, [node("LeakyRelu", "input")])
    case("prelu-one", 9, [node("PRelu", "input", "slope")], slope=floats(0.2))
    case("prelu-alike", 16, [node("PRelu", "input", "slope")], slope=np.full((4, 1, 1), 0.3, np.float32))
    case("hard-sigmoid", 9, [node("HardSigmoid", "input")])
    case("hard-sigmoid-third", 14, [node("HardSigmoid", "input", alpha=0.25, beta=0.4)])
    case("hard-swish", 14, [node("HardSwish", "input")])
    case("swish", 11, [node("Sigmoid", "input", out="s"), node("Mul", "s", "input")])
    case("gelu-operator", 20, [node("Gelu", "input")])
    root, half, one, two = scalar(2 ** 0.5), scalar(0.5), scalar(1), scalar(2)
    case("gelu-half-last", 11, [node("Div", "input", "r", out="a"), node("Erf", "a", out="b"), node("Add", "b", "one", out="c"),
                                node("Mul", "input", "c", out="d"), node("Mul", "d", "half")], r=root, one=one, half=half)
    case("gelu-half-first", 13, [node("Mul", "input", "half", out="h"), node("Mul", "input", "r", out="a"), node("Erf", "a", out="b"),
                                 node("Add", "one", "b", out="c"), node("Mul", "h", "c")], r=scalar(0.5 ** 0.5), one=one, half=half)
    case("gelu-half-middle", 13, [node("Div", "input", "r", out="a"), node("Erf", "a", out="b"), node("Add", "b", "one", out="c"),
                                  node("Mul", "half", "c", out="d"), node("Mul", "d", "input")], r=root, one=one, half=half)
    case("gelu-two", 13, [node("Div", "input", "r", out="a"), node("Erf", "a", out="b"), node("Add", "b", "one", out="c"),
                          node("Mul", "c", "input", out="d"), node("Div", "d", "two")], r=root, one=one, two=two)
    case("softmax-turned", 11, [node("Transpose", "input", perm=[0, 2, 3, 1], out="a"), node("Softmax", "a", axis=3, out="b"),
                                node("Transpose", "b", perm=[0, 3, 1, 2])])
    case("softmax-pixel", 11, [node("GlobalAveragePool", "input", out="g"), node("Softmax", "g", axis=1)])
    case("softmax-flat", 9, [node("GlobalAveragePool", "input", out="g"), node("Flatten", "g", out="f"), node("Softmax", "f")])
    case("softmax-channels", 13, [node("Softmax", "input", axis=-3)])
    case("norm-old", 7, [node("BatchNormalization", "input", "s", "b", "m", "v", momentum=0.9)], s=weights(4), b=weights(4), m=weights(4), v=weights(4) ** 2 + 1)
    case("norm-new", 15, [node("BatchNormalization", "input", "s", "b", "m", "v", epsilon=1e-3, training_mode=0)],
         s=weights(4), b=weights(4), m=weights(4), v=weights(4) ** 2 + 1)
    case("dropout-old", 7, [node("Dropout", "input", ratio=0.5, out="d"), node("Relu", "d")])
    case("dropout-new", 13, [node("Dropout", "input", "r", "t", out="d"), node("Relu", "d")], r=scalar(0.5), t=np.array(False))


def arithmetic():
    each = weights(4, 1, 1)
    case("add-left", 11, [node("Add", "c", "input")], c=each)
    case("add-one", 7, [node("Add", "input", "c")], c=floats(0.75))
    case("sub-constant", 13, [node("Sub", "input", "c")], c=weights(1, 4, 1, 1))
    case("sub-from-constant", 13, [node("Sub", "c", "input")], c=each)
    case("mul-add", 13, [node("Mul", "input", "s", out="m"), node("Add", "m", "b")], s=each, b=weights(4, 1, 1))
    case("mul-add-fork", 13, [node("Mul", "input", "s", out="m"), node("Add", "m", "b", out="a"), node("Mul", "a", "m")],
         s=each, b=weights(4, 1, 1))
    case("div-constant", 13, [node("Div", "input", "c")], c=np.abs(each) + 0.5)
    case("constants-folded", 13, [node("Mul", "a", "b", out="p"), node("Div", "p", "two", out="q"), node("Sub", "q", "b", out="r"),
                                  node("Sqrt", "two", out="root"), node("Neg", "r", out="n"), node("Add", "n", "root", out="c"),
                                  node("Mul", "input", "c")], a=each, b=weights(1, 1), two=scalar(2))
    case("double-constant", 13, [node("Cast", "c", to=1, out="d"), node("Mul", "input", "d")], c=weights(4, 1, 1).astype(np.float64))
    case("sub-maps", 11, [node("Relu", "input", out="r"), node("Sub", "input", "r")])
    case("mul-pixel", 11, [node("GlobalAveragePool", "input", out="g"), node("Mul", "g", "input")])
    case("add-pixel", 11, [node("GlobalAveragePool", "input", out="g"), node("Add", "input", "g")])
    case("constant-kinds", 13, [node("Constant", out="a", value_float=0.5), node("Constant", out="b", value_floats=[1.0, 2.0, 3.0, 4.0]),
                                node("Constant", out="t", value_ints=[4, 1, 1]), node("Reshape", "b", "t", out="c"),
                                node("Mul", "input", "a", out="m"), node("Add", "m", "c")])
    case("constant-of-shape", 9, [node("ConstantOfShape", "s", out="c", value=numpy_helper.from_array(floats(0.5))),
                                  node("Mul", "input", "c")], s=ints(4, 1, 1))
    typed = helper.make_tensor("c", TensorProto.FLOAT, [4, 1, 1], [0.5, 1.0, -2.0, 0.25])
    case("typed-floats", 11, [node("Mul", "input", "c")], c=typed)
    halves = helper.make_tensor("c", TensorProto.FLOAT16, [4, 1, 1], [0.1, 6e-8, -2.0, 1000.0])
    case("typed-halves", 11, [node("Cast", "c", to=1, out="d"), node("Mul", "input", "d")], c=halves)
    case("batch-of-three", 11, [node("Relu", "input")], dims=(3, 4, 2, 2))
    case("batch-open", 11, [node("Relu", "input")], batch="N")
    case("features", 13, [node("Gemm", "input", "w", out="g"), node("Relu", "g")], dims=(1, 9), w=weights(9, 4))


def channels():
    case("concat-from-end", 11, [node("Relu", "input", out="r"), node("Concat", "input", "r", "input", axis=-3)])
    case("concat-flat", 11, [node("Flatten", "input", out="a"), node("Relu", "a", out="b"), node("Concat", "a", "b", axis=1, out="c"),
                             node("Gemm", "c", "w")], w=weights(336, 2))
    case("split-attribute", 11, [node("Split", "input", outs=["a", "b"], axis=1, split=[1, 3]), node("Relu", "b", out="r"),
                                 node("Concat", "r", "a", axis=1)])
    case("split-input", 13, [node("Split", "input", "s", outs=["a", "b"], axis=1), node("Relu", "a", out="r"),
                             node("Concat", "b", "r", axis=1)], s=ints(3, 1))
    case("split-equal", 11, [node("Split", "input", outs=["a", "b"], axis=1), node("Mul", "b", "a")])
    case("split-count", 18, [node("Split", "input", outs=["a", "b"], axis=1, num_outputs=2), node("Add", "b", "a")])
    case("slice-attributes", 9, [node("Slice", "input", axes=[1], starts=[-3], ends=[2147483647])])
    case("slice-inputs", 13, [node("Slice", "input", "s", "e", "a", "t")], s=ints(1), e=ints(-1), a=ints(-3), t=ints(1))


def resizing():
    asymmetric = dict(coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    case("upsample-attribute", 7, [node("Upsample", "input", scales=[1.0, 1.0, 2.0, 3.0], mode="nearest")])
    case("upsample-input", 9, [node("Upsample", "input", "s")], s=floats(1, 1, 2, 2))
    case("resize-ten", 10, [node("Resize", "input", "s")], s=floats(1, 1, 3, 2))
    case("resize-nearest", 11, [node("Resize", "input", "none", "s", **asymmetric)], none=floats(), s=floats(1, 1, 2.5, 2))
    case("resize-nearest-default", 13, [node("Resize", "input", "", "s")], s=floats(1, 1, 2, 3))
    case("resize-nearest-ceiling", 13, [node("Resize", "input", "", "s", coordinate_transformation_mode="half_pixel",
                                             nearest_mode="round_prefer_ceil")], s=floats(1, 1, 4, 2))
    case("resize-for-nn", 11, [node("Resize", "input", "none", "s", coordinate_transformation_mode="tf_half_pixel_for_nn",
                                    nearest_mode="floor")], none=floats(), s=floats(1, 1, 2, 2))
    case("resize-sizes", 13, [node("Resize", "input", "", "", "s", **asymmetric)], s=ints(1, 4, 13, 15))
    case("resize-axes", 18, [node("Resize", "input", "", "s", axes=[3, 2], mode="linear")], s=floats(2, 1.5))
    case("resize-linear", 11, [node("Resize", "input", "none", "none", "s", mode="linear",
                                    coordinate_transformation_mode="pytorch_half_pixel")], none=floats(), s=ints(1, 4, 11, 9))
    case("resize-linear-down", 13, [node("Resize", "input", "", "", "s", mode="linear")], s=ints(1, 4, 4, 3))
    case("resize-corners-idle", 13, [node("Resize", "input", "", "s", mode="linear", coordinate_transformation_mode="align_corners")],
         s=floats(1, 1, 1, 1))
    case("resize-pixel", 13, [node("GlobalAveragePool", "input", out="g"),
                              node("Resize", "g", "", "", "s", mode="linear", coordinate_transformation_mode="align_corners")], s=ints(1, 4, 5, 3))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for family in (convolutions, matrices, pooling, activations, arithmetic, channels, resizing):
        family()
    print(len(list(FOLDER.glob("*.onnx"))), "files")

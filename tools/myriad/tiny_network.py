"""Writes the smallest useful ONNX file by hand: one convolution, for the check of setup.py and for the tests."""

import struct

FLOAT, FLOAT16 = 1, 10


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def nested(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor(name, dims, kind, raw):
    """TensorProto with its values in `raw_data`."""
    return b"".join(number(1, size) for size in dims) + number(2, kind) + nested(8, name) + nested(9, raw)


def value(name, dims, kind):
    """ValueInfoProto of a tensor with a fixed shape."""
    shape = b"".join(nested(1, number(1, size)) for size in dims)
    return nested(1, name) + nested(2, nested(1, number(1, kind) + nested(2, shape)))


def integers(name, values):
    """AttributeProto with integers."""
    return nested(1, name) + b"".join(number(8, item) for item in values) + number(20, 7)


def node(operator, inputs, outputs, attributes=()):
    names = b"".join(nested(1, name) for name in inputs) + b"".join(nested(2, name) for name in outputs)
    return names + nested(4, operator) + b"".join(nested(5, attribute) for attribute in attributes)


def cast(source, target, kind):
    """NodeProto of a Cast."""
    return node("Cast", [source], [target], [nested(1, "to") + number(3, kind) + number(20, 2)])


def model(nodes, tensors, inputs, outputs, opset=13):
    """ModelProto, its fields in the order of their numbers, as every writer orders them."""
    graph = b"".join(nested(1, item) for item in nodes) + nested(2, "tiny")
    graph += b"".join(nested(5, item) for item in tensors)
    graph += b"".join(nested(11, item) for item in inputs) + b"".join(nested(12, item) for item in outputs)
    return number(1, 7) + nested(2, "boresight") + nested(7, graph) + nested(8, number(2, opset))


def tiny_network(kind=FLOAT):
    """A 3x3 convolution of 4 to 16 channels at 64 x 64 pixels, all in `kind`."""
    code = {FLOAT: "f", FLOAT16: "e"}[kind]
    weights = struct.pack(f"<{16 * 4 * 9}{code}", *(i % 7 / 8 - 0.375 for i in range(16 * 4 * 9)))
    bias = struct.pack(f"<16{code}", *(i / 16 for i in range(16)))
    padded = [integers("kernel_shape", [3, 3]), integers("pads", [1, 1, 1, 1])]
    return model(
        nodes=[node("Conv", ["input", "weight", "bias"], ["output"], padded)],
        tensors=[tensor("weight", [16, 4, 3, 3], kind, weights), tensor("bias", [16], kind, bias)],
        inputs=[value("input", [1, 4, 64, 64], kind)],
        outputs=[value("output", [1, 16, 64, 64], kind)],
    )

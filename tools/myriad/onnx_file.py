"""Whether an ONNX file is whole, and in which floating-point form its constants are, without the onnx package.

Walks the file as protobuf messages do: a key (field number and wire type), then a value. The importer of 2021.4 is lenient:
some files that lost their end still compile, to another network. Here every length must fit and every part be there.
"""

from dataclasses import dataclass, field
from pathlib import Path

from failure import Failure

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
# Field numbers of onnx.proto.
MODEL_VERSION, MODEL_GRAPH, MODEL_OPSETS = 1, 7, 8
GRAPH_NODES, GRAPH_TENSORS, GRAPH_OUTPUTS = 1, 5, 12
NODE_INPUTS, NODE_OUTPUTS, NODE_NAME, NODE_OPERATOR, NODE_ATTRIBUTES = 1, 2, 3, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_INTEGER, ATTRIBUTE_TENSOR = 1, 3, 5
TENSOR_DIMS, TENSOR_KIND, TENSOR_NAME, TENSOR_RAW, TENSOR_LOCATION = 1, 2, 8, 9, 14
# Where a tensor's values are if not raw: float_data, int32_data, int64_data, double_data, uint64_data.
TYPED = {4: 4, 5: None, 7: None, 10: 8, 11: None}
KINDS = {1: "FLOAT", 10: "FLOAT16", 11: "DOUBLE", 16: "BFLOAT16"}
# Bytes of a value in raw_data, by data_type; others (texts, packed halves of bytes) are not counted.
SIZES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 14: 8, 15: 16, 16: 2}
FORMS = {"fp32": "FLOAT", "fp16": "FLOAT16"}


class Damaged(ValueError):
    """The bytes are no whole message."""


@dataclass
class Constant:
    """A tensor that the file holds: its data_type and how many values it has."""

    kind: int
    count: int


@dataclass
class Node:
    operator: str
    name: str
    inputs: list
    outputs: list
    constant: object  # of a Constant node
    target: object  # of a Cast


@dataclass
class Graph:
    nodes: list = field(default_factory=list)
    constants: dict = field(default_factory=dict)


def read_varint(data, start, end):
    value = 0
    for shift in range(0, 70, 7):
        if start >= end:
            break
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
    raise Damaged("a number has no end")


def fields(data):
    """All (field number, value) of a message: an int for a varint, else a memoryview."""
    data = memoryview(data)
    position, end = 0, len(data)
    while position < end:
        key, position = read_varint(data, position, end)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, position = read_varint(data, position, end)
        else:
            length, position = content_length(wire, data, position, end)
            if length > end - position:
                raise Damaged(f"field {number} is {length} bytes long and {end - position} are left")
            value = data[position : position + length]
            position += length
        if number == 0:
            raise Damaged("a field has the number 0")
        yield number, value


def content_length(wire, data, position, end):
    if wire == LENGTH:
        return read_varint(data, position, end)
    if wire in (FIXED64, FIXED32):
        return (8 if wire == FIXED64 else 4), position
    raise Damaged(f"a field has the wire type {wire}")


def message(data):
    """The fields of a message by number, in lists."""
    found = {}
    for number, value in fields(data):
        found.setdefault(number, []).append(value)
    return found


def text(found, number):
    return bytes(found[number][-1]).decode(errors="replace") if number in found else ""


def texts(found, number):
    return [bytes(value).decode(errors="replace") for value in found.get(number, [])]


def integers(values):
    """Values of a repeated integer field: one by one, or packed into one run of bytes."""
    for value in values:
        if isinstance(value, int):
            yield value
            continue
        position = 0
        while position < len(value):
            number, position = read_varint(value, position, len(value))
            yield number


def read_model(data):
    """The graph of a whole model."""
    found = message(data)
    for number, part in ((MODEL_VERSION, "version"), (MODEL_GRAPH, "graph"), (MODEL_OPSETS, "operator set")):
        if number not in found:
            raise Damaged(f"it has no {part}")
    for opset in found[MODEL_OPSETS]:
        message(opset)
    return read_graph(found[MODEL_GRAPH][-1])


def read_graph(data):
    found = message(data)
    if GRAPH_NODES not in found or GRAPH_OUTPUTS not in found:
        raise Damaged("its graph has no nodes or no outputs")
    graph = Graph([read_node(value) for value in found[GRAPH_NODES]])
    for value in found.get(GRAPH_TENSORS, []):
        name, constant = read_tensor(value)
        graph.constants[name] = constant
    for node in graph.nodes:
        if node.operator == "Constant" and node.constant:
            graph.constants[node.outputs[0]] = node.constant
    return graph


def read_node(data):
    found = message(data)
    node = Node(text(found, NODE_OPERATOR), text(found, NODE_NAME), [], [], None, None)
    node.inputs, node.outputs = texts(found, NODE_INPUTS), texts(found, NODE_OUTPUTS)
    for value in found.get(NODE_ATTRIBUTES, []):
        attribute = message(value)
        if ATTRIBUTE_TENSOR in attribute:
            node.constant = read_tensor(attribute[ATTRIBUTE_TENSOR][-1])[1]
        if text(attribute, ATTRIBUTE_NAME) == "to":
            node.target = attribute.get(ATTRIBUTE_INTEGER, [0])[-1]
    return node


def read_tensor(data):
    """Name and constant of a tensor that has as many values as its shape wants."""
    found = message(data)
    name, kind = text(found, TENSOR_NAME), found.get(TENSOR_KIND, [0])[-1]
    if found.get(TENSOR_LOCATION, [0])[-1]:
        raise Damaged(f"tensor {name!r} is in another file, which is not supported")
    count = 1
    for size in integers(found.get(TENSOR_DIMS, [])):
        count *= size
    held = values_held(found, kind)
    if held is not None and held != count:
        raise Damaged(f"tensor {name!r} has {held} values instead of {count}")
    return name, Constant(kind, count)


def values_held(found, kind):
    """How many values a tensor's message has; None for kinds that are not counted."""
    size = SIZES.get(kind)
    if size is None:
        return None
    if TENSOR_RAW in found:
        return len(found[TENSOR_RAW][-1]) / size
    pairs = {14: 2, 15: 2}.get(kind, 1)
    return sum(typed_count(found[number], width) for number, width in TYPED.items() if number in found) / pairs


def typed_count(values, width):
    """Values of a repeated field of fixed `width`, or of varints where there is none."""
    if width is None:
        return sum(1 for _ in integers(values))
    return sum(len(value) for value in values) / width


def uses(graph):
    """Where constants of more than one value reach an operator: (data_type there, constant, node).

    A Cast of a constant is looked through, since what counts is the type in which the operator gets it: that decides
    how the plugin converts it. Single values are left out: bounds, slopes and the like are in either form. So are the
    scales and the region of a Resize, which ONNX wants as FLOAT.
    """
    constants = dict(graph.constants)
    for node in graph.nodes:
        if node.operator == "Cast" and node.inputs and node.inputs[0] in constants:
            constants[node.outputs[0]] = Constant(node.target, constants[node.inputs[0]].count)
    for node in graph.nodes:
        if node.operator in ("Cast", "Resize", "Upsample"):
            continue
        for name in node.inputs:
            constant = constants.get(name)
            if constant and constant.kind in KINDS and constant.count > 1:
                yield constant.kind, name, node


def check_form(graph, form):
    """Fails where a constant reaches an operator in another type than that of `form`."""
    for kind, name, node in uses(graph):
        if KINDS[kind] != FORMS[form]:
            where = f"{node.operator} {node.name or ', '.join(node.outputs)!r}"
            raise Failure(f"it is not of the form {form}: constant {name!r} reaches {where} as {KINDS[kind]}")


def check(path, form):
    """Fails with a sentence unless `path` is a whole ONNX file of `form`."""
    try:
        check_form(read_model(Path(path).read_bytes()), form)
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from error
    except Damaged as damage:
        raise Failure(f"{path} is no whole ONNX file: {damage}") from damage
    except Failure as mismatch:
        raise Failure(f"{path}: {mismatch}") from mismatch

"""What the compiler made of a network, read from the dump of its internal graph (Graphviz's language)."""

import re

from failure import Failure

# A label starts with a title line; lines end in a literal `\l`.
GRAPH = re.compile(r'^\s*label="(Graph .*)"$', re.MULTILINE)
NODE = re.compile(r"^\s*((?:data|stage)_0x[0-9a-f]+) \[\n(.*?)^\s*\];$", re.MULTILINE | re.DOTALL)
EDGE = re.compile(r'^\s*(\w+_0x[0-9a-f]+) -> (\w+_0x[0-9a-f]+) \[\n\s*label="(Stage(?:In|Out)put)', re.MULTILINE)
LABEL = re.compile(r'^\s*label="(.*)"$', re.MULTILINE)
STAGE = re.compile(r"\[(-?\d+) / (-?\d+)\] Stage (.*)")
DIMENSION = re.compile(r"(\w+) : (\d+)")
TILE = re.compile(r"@(soh|sow|soc|tile)=(\d+)/(\d+)")
TILED = {"soh": "height", "sow": "width", "soc": "channels", "tile": "group"}
# Names hold addresses of the compiler's memory, which differ from run to run.
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
INTEGER = re.compile(r"-?\d+")
DECIMAL = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
# Attributes of a stage that have a place of their own in the report.
PLACED = ("hwOpType", "hwOps", "tiling")


def from_dump(text):
    """The report on a compiled network: resources, memory, stages in order of execution, totals."""
    match = GRAPH.search(text)
    if match is None:
        raise Failure("the compiler left no graph that can be read")
    attributes = numbers(label(match.group(1))[1].get("extraAttrs", {}))
    stages = read_stages(text)
    return {
        "resources": attributes.get("resources", {}),
        "memory": attributes.get("usedMemory", {}),
        "stages": stages,
        "totals": totals(stages),
    }


def read_stages(text):
    nodes = {key: label(LABEL.search(body).group(1)) for key, body in NODE.findall(text)}
    inputs, outputs = {}, {}
    for source, target, kind in EDGE.findall(text):
        if kind == "StageInput":
            inputs.setdefault(target, []).append(describe_data(nodes[source]))
        else:
            outputs.setdefault(source, []).append(describe_data(nodes[target]))
    found = []
    for key, (title, attributes) in nodes.items():
        match = STAGE.fullmatch(title)
        # Stages that are never executed, such as a split into views, have the number -1.
        if match and int(match.group(1)) >= 0:
            data = {"inputs": inputs.get(key, []), "outputs": outputs.get(key, [])}
            order = int(match.group(1)), int(match.group(2))
            found.append((order, {**describe_stage(match.group(3), attributes), **data}))
    found.sort(key=lambda pair: pair[0])
    return [{"index": order[0], **stage, "cycles": cycles(stage)} for order, stage in found]


def describe_stage(name, attributes):
    extra = numbers(attributes.get("extraAttrs", {}))
    operation, shaves = extra.get("hwOpType"), int(attributes.get("numSHAVEs", 0))
    tiling = extra.get("tiling", {})
    return {
        "name": ADDRESS.sub("*", name),
        "layer": attributes.get("origLayer", {}).get("name"),
        "unit": "NCE" if operation else "SHAVE" if shaves else "DMA",
        "type": operation or attributes.get("type"),
        "shaves": shaves,
        "mode": tiling.get("mode"),
        "descriptors": tiling.get("numDescr"),
        "cost": tiling.get("cost"),
        "tile": {TILED[axis]: [int(index), int(count)] for axis, index, count in TILE.findall(name)},
        "attributes": {key: value for key, value in extra.items() if key not in PLACED and key != "origin"},
    }


def describe_data(node):
    title, attributes = node
    description = attributes.get("desc", {})
    sizes = dict(DIMENSION.findall(str(description.get("dims", ""))))
    return {
        "name": ADDRESS.sub("*", title.replace("Data ", "", 1)),
        "usage": attributes.get("usage"),
        "type": description.get("type"),
        # The compiler writes the innermost dimension first.
        "dims": {axis: int(size) for axis, size in reversed(list(sizes.items()))},
        "location": attributes.get("dataLocation"),
    }


def cycles(stage):
    """Cycles of a convolution on the NCE: its cost for each pixel of what the stage writes; None for other stages."""
    if stage["cost"] is None or not stage["outputs"]:
        return None
    dims = stage["outputs"][0]["dims"]
    return stage["cost"] * dims.get("N", 1) * dims.get("H", 1) * dims.get("W", 1)


def totals(stages):
    units = [stage["unit"] for stage in stages]
    return {
        "stages": len(stages),
        "nce": units.count("NCE"),
        "shave": units.count("SHAVE"),
        "dma": units.count("DMA"),
        "nce_cycles": sum(stage["cycles"] or 0 for stage in stages),
    }


def label(text):
    """Title and attributes of a label; attributes nest in `key = [`, one to a line."""
    title, *lines = text.split("\\l")
    return title, block(iter(lines))


def block(lines):
    """The attributes up to the closing bracket: a dict, or a list where lines have no key."""
    named, items = {}, []
    for line in lines:
        line = line.strip().rstrip(",")
        key, equals, value = line.partition(" =")
        value = value.strip()
        if line == "]":
            break
        if value == "[":
            named[key] = block(lines)
        elif line == "[":
            items.append(block(lines))
        elif equals:
            named[key] = value
        elif line:
            items.append(line)
    return named or items or {}


def numbers(value):
    """The same attributes with numbers instead of texts where a text is one."""
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [numbers(item) for item in value]
    if INTEGER.fullmatch(value):
        return int(value)
    return float(value) if DECIMAL.fullmatch(value) else value

#!/usr/bin/env python3
"""Holds our constants of a network to those that the Myriad X compiler has written, bit by bit.

usage: check_constants.py MODEL.onnx [--constants FILE] [--cache DIR]

FILE has what `cargo run --release --example device_constants -- MODEL.onnx` prints; without it, that is run. The network is
compiled, and the weights and biases of every convolution are looked for in the blob, in the order in which the compiler
lays them out. One line is printed for each convolution. The exit status is 0 if all are there, 1 if some are not, 2 for wrong
arguments, no compiler or a damaged file.
"""

import argparse
import json
import struct
import subprocess
import sys
from pathlib import Path

import toolchain
from failure import Failure, run

# Channels that the compiler interleaves.
LANES = 8
ROOT = Path(__file__).resolve().parents[2]


def packed(halves):
    return struct.pack(f"<{len(halves)}H", *halves)


def interleaved(kernels, inputs, taps):
    """The bytes of dense kernels `[output][input * taps]`: blocks of eight outputs, then inputs, taps, outputs."""
    count = -(-len(kernels) // LANES) * LANES
    kernels = kernels + [[0] * (inputs * taps)] * (count - len(kernels))
    halves = []
    for first in range(0, count, LANES):
        for at in range(inputs * taps):
            halves.extend(kernels[first + lane][at] for lane in range(LANES))
    return packed(halves)


def pieces(line):
    """What to look for: alternatives, each a list of byte strings that must all be there."""
    outputs, inputs, rows, columns = line["shape"]
    taps, groups = rows * columns, line["groups"]
    size = inputs * taps
    kernels = [line["weights"][at * size : (at + 1) * size] for at in range(outputs)]
    if inputs == 1 and outputs == groups > 1:
        return [depthwise(kernels, tile, taps) for tile in range(1, outputs + 1)]
    per_group = outputs // groups
    whole = [interleaved(kernels[at : at + per_group], inputs, taps) for at in range(0, outputs, per_group)]
    alternatives = [whole, [packed(line["weights"])]]
    # The compiler may have added input channels of zeros.
    for more in (4, 8, 16, 32):
        wide = -(-inputs // more) * more
        if wide > inputs:
            filled = [kernel + [0] * ((wide - inputs) * taps) for kernel in kernels]
            alternatives.append([interleaved(filled[at : at + per_group], wide, taps) for at in range(0, outputs, per_group)])
    # Cut over its input channels, each part is laid out by itself.
    for parts in range(2, 16):
        part = -(-inputs // parts)
        cut = [[kernel[at * taps : (at + part) * taps] for kernel in kernels] for at in range(0, inputs, part)]
        alternatives.append([interleaved(kernels, len(kernels[0]) // taps, taps) for kernels in cut])
    return alternatives


def depthwise(kernels, tile, taps):
    """Depthwise kernels as dense ones with zeros beside the diagonal, `tile` channels at a time."""
    blocks = []
    for first in range(0, len(kernels), tile):
        some = kernels[first : first + tile]
        dense = []
        for at, kernel in enumerate(some):
            row = [0] * (len(some) * taps)
            row[at * taps : (at + 1) * taps] = kernel
            dense.append(row)
        blocks.append(interleaved(dense, len(some), taps))
    return blocks


def is_there(blob, alternatives):
    return any(all(piece in blob for piece in pieces) for pieces in alternatives)


def biases(line):
    """A bias may stand whole, or cut as its convolution was."""
    bias, outputs = line["bias"], len(line["bias"])
    cuts = [outputs] + [size for size in (64, 32, 16, 8) if size < outputs]
    if line["groups"] > 1:
        cuts.append(outputs // line["groups"])
    return [[packed(bias[at : at + size]) for at in range(0, outputs, size)] for size in cuts if size]


def constants(options):
    if options.constants:
        text = options.constants.read_text(encoding="utf-8")
    else:
        command = ["cargo", "run", "--quiet", "--release", "--example", "device_constants", "--", options.model.resolve()]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise Failure(done.stderr.strip().splitlines()[-1])
        text = done.stdout
    return [json.loads(line) for line in text.splitlines()]


def check(options):
    lines = constants(options)
    blob, _ = toolchain.compile_network(toolchain.find(options.cache), options.model, {})
    missing = found = 0
    for line in lines:
        weights, bias = is_there(blob, pieces(line)), not line["bias"] or is_there(blob, biases(line))
        count = len(line["weights"]) + len(line["bias"])
        if weights and bias:
            found += count
        else:
            missing += count
        words = "equal" if weights and bias else "MISSING" + ("" if weights else " weights") + ("" if bias else " bias")
        print(f"{line['name']:<24} scale {line['scale']:>5g}  {count:>7} constants  {words}")
    print(f"{found} of {found + missing} constants are the compiler's")
    return 1 if missing else 0


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument("--constants", type=Path, metavar="FILE")
    parser.add_argument("--cache", type=Path, default=toolchain.default_cache(), help="default: %(default)s")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run(lambda arguments: check(parse(arguments)), sys.argv[1:]))

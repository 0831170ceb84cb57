#!/usr/bin/env python3
"""Compiles ONNX files with the real Myriad X compiler, with no device, and tells what it made of them.

usage: compile.py MODEL.onnx --form fp32|fp16 [--blob OUT.blob] [--json REPORT.json] [KEY=VALUE ...]
       compile.py --many MODEL.onnx ... --form fp32|fp16 [--blobs FOLDER] [--json REPORTS.jsonl] [KEY=VALUE ...]

The first prints a table; the second, also taken for more than one file, prints one line of JSON for each file, in the
order of the files. KEY=VALUE are settings of the plugin, such as MYRIAD_HW_DILATION=YES.

Exit status: 0 compiled, 1 the compiler refused a network, 2 wrong arguments, no compiler, a damaged file or another form.
"""

import argparse
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx_file
import report
import toolchain
from failure import Failure, run

SETTING = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")
COLUMNS = ("stage", "unit", "type", "mode", "descr", "cost", "cycles", "shaves", "output", "name")
RIGHT_ALIGNED = ("stage", "descr", "cost", "cycles", "shaves")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", nargs="+", metavar="MODEL|KEY=VALUE")
    parser.add_argument("--form", choices=sorted(onnx_file.FORMS), required=True, help="what the files are")
    parser.add_argument("--many", action="store_true", help="JSON lines, for one file too")
    parser.add_argument("--blob", type=Path, help="write the blob of the one file")
    parser.add_argument("--blobs", type=Path, metavar="FOLDER", help="write MODEL.blob of each file")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report, or the JSON lines, to a file")
    parser.add_argument("--streams", choices=("1", "2"), help="MYRIAD_THROUGHPUT_STREAMS; the plugin's default is 2")
    parser.add_argument("--cache", type=Path, default=toolchain.default_cache(), help="default: %(default)s")
    options = parser.parse_intermixed_args(arguments)
    matches = [(item, SETTING.fullmatch(item)) for item in options.items]
    options.models = [Path(item) for item, match in matches if not match]
    options.settings = dict(match.groups() for _, match in matches if match)
    if options.streams:
        options.settings["MYRIAD_THROUGHPUT_STREAMS"] = options.streams
    options.many = options.many or len(options.models) > 1
    check_options(options)
    return options


def check_options(options):
    if not options.models:
        raise Failure("no ONNX file is given")
    if options.blob and options.many:
        raise Failure("--blob names one file: with many use --blobs FOLDER")
    if options.blobs and len({model.stem for model in options.models}) < len(options.models):
        raise Failure("two files of one name would get one blob")
    if options.blobs and not options.blobs.is_dir():
        raise Failure(f"{options.blobs} is no folder")
    for target in (options.blob, options.json):
        if target and not target.parent.is_dir():
            raise Failure(f"{target.parent} is no folder")


def write(path, content):
    """Writes a file as a whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def compile_one(home, model, options):
    """The report on one file; writes its blob if that is asked for."""
    onnx_file.check(model, options.form)
    blob, dump = toolchain.compile_network(home, model, options.settings)
    head = {"model": str(model), "form": options.form, "compiler": toolchain.NAME, "settings": options.settings}
    found = {**head, **report.from_dump(dump)}
    target = options.blobs / f"{model.stem}.blob" if options.blobs else options.blob
    if target:
        write(target, blob)
    return found


def one(home, options):
    found = compile_one(home, options.models[0], options)
    if options.json:
        write(options.json, (json.dumps(found, indent=1) + "\n").encode())
    print(table(found))
    return 0


def many(home, options):
    """One line of JSON for each file, a file's failure among them."""

    def verdict(model):
        try:
            return 0, compile_one(home, model, options)
        except Failure as failure:
            return failure.code, {"model": str(model), "form": options.form, "error": str(failure)}

    # A compiler is a process of one thread, so threads that wait for one each keep all cores busy.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        verdicts = list(emit(pool.map(verdict, options.models), options.json is None))
    if options.json:
        write(options.json, "".join(json.dumps(found) + "\n" for _, found in verdicts).encode())
    failed = sum(code != 0 for code, _ in verdicts)
    print(f"{len(verdicts) - failed} of {len(verdicts)} files compiled", file=sys.stderr)
    return max(code for code, _ in verdicts)


def emit(verdicts, printed):
    """Passes on verdicts, printing each as soon as it is its turn."""
    for code, found in verdicts:
        if printed:
            print(json.dumps(found), flush=True)
        yield code, found


def table(found):
    """The report as text."""
    resources, memory, sums = found["resources"], found["memory"], found["totals"]
    head = [
        f"{found['model']} ({found['form']}), {found['compiler']}",
        f"resources: {resources['numCMXSlices']} CMX slices of 128 KiB, {resources['numSHAVEs']} SHAVEs, "
        f"tiling limit {resources['tilingCMXLimit']} B",
        f"memory: CMX {memory['CMX']} B, DDR {memory['BSS']} B, blob {memory['blob']} B, "
        f"input {memory['input']} B, output {memory['output']} B",
    ]
    foot = (
        f"totals: {sums['stages']} stages ({sums['nce']} NCE, {sums['shave']} SHAVE, {sums['dma']} DMA), "
        f"{sums['nce_cycles']} NCE cycles"
    )
    return "\n".join([*head, "", *aligned([COLUMNS, *map(row, found["stages"])]), "", foot])


def row(stage):
    outputs = ["x".join(str(size) for size in data["dims"].values()) for data in stage["outputs"]]
    cells = [stage[key] for key in ("index", "unit", "type", "mode", "descriptors", "cost", "cycles")]
    cells += [stage["shaves"] or None, " ".join(outputs), stage["name"]]
    return ["" if cell is None else str(cell) for cell in cells]


def aligned(rows):
    widths = [max(len(cells[i]) for cells in rows) for i in range(len(COLUMNS))]
    for cells in rows:
        padded = (
            cell.rjust(width) if column in RIGHT_ALIGNED else cell.ljust(width)
            for column, cell, width in zip(COLUMNS, cells, widths)
        )
        yield "  ".join(padded).rstrip()


def main(arguments):
    options = parse(arguments)
    home = toolchain.find(options.cache)
    return many(home, options) if options.many else one(home, options)


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))

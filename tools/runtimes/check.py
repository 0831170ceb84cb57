#!/usr/bin/env python3
"""Holds exported networks to foreign runtimes: the same file and input must give the same logits and labels elsewhere.

usage: check.py DIR [--cache DIR]      DIR has manifest.jsonl and the files that it names (README.md)
       check.py --test [--cache DIR]   tests the check itself

Installs ONNX Runtime, OpenVINO and onnx into the cache first if they are not there. Prints one line for each runtime.
Exit status: 0 all agree, 1 something does not (stderr says what), 2 wrong arguments, files or packages.
"""

import argparse
import os
import sys
from pathlib import Path

import packages

HERE = Path(__file__).resolve().parent


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", nargs="?", type=Path, metavar="DIR")
    parser.add_argument("--test", action="store_true", help="test the check itself")
    parser.add_argument("--cache", type=Path, default=packages.default_cache(), help="default: %(default)s")
    options = parser.parse_args(arguments)
    if options.test == bool(options.dir):
        parser.error("give either DIR or --test")
    if options.dir and not (options.dir / "manifest.jsonl").is_file():
        raise packages.Unusable(f"{options.dir} has no manifest.jsonl")
    return options


def main(arguments):
    options = parse(arguments)
    # The packages of the cache come first, those of the user not at all; one thread, for results that do not vary.
    settings = {"PYTHONPATH": str(packages.ready(options.cache)), "PYTHONNOUSERSITE": "1"}
    settings.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    command = [sys.executable, str(HERE / "agreement.py"), str(options.dir)]
    if options.test:
        command = [sys.executable, "-m", "unittest", "discover", "-s", str(HERE)]
    sys.stdout.flush()
    os.execve(sys.executable, command, {**os.environ, **settings})


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except packages.Unusable as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(2)

#!/usr/bin/env python3
"""Holds exported networks to foreign runtimes: the same file and input must give the same logits and labels elsewhere.

usage: check.py DIR [--cache DIR]

DIR has manifest.jsonl and the files that it names (README.md). Installs ONNX Runtime, OpenVINO and onnx into the cache
first if they are not there. Prints one line for each runtime.
Exit status: 0 all agree, 1 something does not (stderr says what), 2 wrong arguments, files or packages.
"""

import argparse
from pathlib import Path

import packages


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--cache", type=Path, default=packages.default_cache(), help="default: %(default)s")
    options = parser.parse_args(arguments)
    if not (options.dir / "manifest.jsonl").is_file():
        raise packages.Unusable(f"{options.dir} has no manifest.jsonl")
    packages.python(options.cache, [str(Path(__file__).with_name("agreement.py")), str(options.dir)])


if __name__ == "__main__":
    packages.leave(main)

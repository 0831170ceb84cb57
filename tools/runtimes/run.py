#!/usr/bin/env python3
"""Runs Python with the packages of the check: run.py [--cache DIR] SCRIPT ARGUMENT ...

For example: run.py tools/device/openvino_runner.py EXCHANGE, or run.py -m unittest discover -s tools/runtimes.
"""

import argparse
from pathlib import Path

import packages


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=packages.default_cache(), help="default: %(default)s")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what Python is to run")
    options, switches = parser.parse_known_args(arguments)
    command = [*switches, *options.arguments]
    if not command:
        parser.error("say what Python is to run")
    packages.python(options.cache, command)


if __name__ == "__main__":
    packages.leave(main)

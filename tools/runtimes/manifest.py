"""Reads what an export left: manifest.jsonl and the raw files that it names."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy

from packages import Unusable

FORMS = ("fp32", "fp16", "fp16-weights")
TEXTS = ("code", "onnx", "input", "logits", "tolerance")
KEYS = {*TEXTS, "opset", "form", "shape", "logits_shape"}


@dataclass
class Case:
    """One exported file with the input, our logits and the error that is allowed for each of them."""

    code: str
    opset: int
    form: str
    path: Path
    input: numpy.ndarray
    logits: numpy.ndarray
    tolerance: numpy.ndarray


def read(folder):
    """All cases, in the order of the manifest."""
    cases = []
    for number, line in enumerate((folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines(), start=1):
        try:
            cases.append(case(folder, json.loads(line)))
        except (ValueError, OSError) as error:
            raise Unusable(f"manifest.jsonl, line {number}: {error}") from error
    if not cases:
        raise Unusable("manifest.jsonl is empty")
    return cases


def case(folder, entry):
    if not isinstance(entry, dict) or set(entry) != KEYS:
        raise ValueError(f"its keys must be {', '.join(sorted(KEYS))}")
    if not all(isinstance(entry[key], str) for key in TEXTS) or not isinstance(entry["opset"], int):
        raise ValueError(f"{', '.join(TEXTS)} must be texts and opset a number")
    if entry["form"] not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}")
    logits = values(folder, entry["logits"], entry["logits_shape"])
    tolerance = values(folder, entry["tolerance"], entry["logits_shape"])
    if not numpy.isfinite(tolerance).all() or (tolerance < 0).any():
        raise ValueError(f"{entry['tolerance']} has a tolerance that is negative or not finite")
    path = folder / entry["onnx"]
    if not path.is_file():
        raise ValueError(f"there is no {entry['onnx']}")
    images = values(folder, entry["input"], entry["shape"])
    return Case(entry["code"], entry["opset"], entry["form"], path, images, logits, tolerance)


def values(folder, name, shape):
    """Little-endian binary32 values of a shape with four sizes."""
    if not isinstance(shape, list) or len(shape) != 4 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError("a shape must be four positive numbers")
    found = numpy.fromfile(folder / name, dtype="<f4")
    if found.size != math.prod(shape):
        raise ValueError(f"{name} has {found.size} values instead of {math.prod(shape)}")
    return found.reshape(shape)

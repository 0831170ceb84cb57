#!/usr/bin/env python3
"""Scores a network with OpenVINO for a search: the other side of the exchange that README.md describes.

usage: openvino_runner.py EXCHANGE_DIR [--device CPU|MYRIAD|GPU|AUTO]

Works with OpenVINO 2022.1 and newer, and with 2021.4, the version for a Neural Compute Stick 2. On a CPU it computes in
binary32. Exit status: 0 scored, 1 not scored (the last line of stderr says why), 2 wrong arguments.
"""

import argparse
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

try:
    import numpy
except ImportError:
    sys.exit(f"error: {sys.executable} has no numpy: install it, with OpenVINO")

VERSION = 1
MOST_CLASSES = 256


class Failure(Exception):
    """What the search shows its user: one sentence."""


@dataclass
class Request:
    """What is to be scored; `shape` is that of the model's input, `images` has `count` of its images."""

    model: Path
    input_name: str
    shape: list
    images: Path
    count: int
    classes: int


def read_request(folder):
    try:
        entry = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        tensor = entry["input"]
        request = Request(
            model=folder / entry["model"],
            input_name=tensor["name"],
            shape=tensor["shape"],
            images=folder / entry["images"],
            count=entry["count"],
            classes=entry["classes"],
        )
        check_request(request, entry["version"], tensor["layout"], tensor["type"])
    except OSError as error:
        raise Failure(f"cannot read request.json: {error.strerror}") from error
    except (KeyError, TypeError) as error:
        raise Failure(f"request.json lacks or garbles {error}") from error
    except ValueError as error:
        raise Failure(f"request.json: {error}") from error
    return request


def check_request(request, version, layout, kind):
    if version != VERSION:
        raise ValueError(f"version {version} is not {VERSION}")
    if (layout, kind) != ("NCHW", "f32"):
        raise ValueError(f"an input of {kind} in {layout} instead of f32 in NCHW")
    sizes = [*request.shape, request.count, request.classes]
    if len(request.shape) != 4 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError("shape must be four positive numbers, count and classes one each")
    if request.classes > MOST_CLASSES:
        raise ValueError(f"{request.classes} classes do not fit a byte")


def read_images(request):
    """All images, as `[count, C, H, W]`."""
    shape = [request.count, *request.shape[1:]]
    try:
        values = numpy.fromfile(request.images, dtype="<f4")
    except OSError as error:
        raise Failure(f"cannot read {request.images.name}: {error.strerror}") from error
    if values.size != numpy.prod(shape):
        raise Failure(f"{request.images.name} has {values.size} values instead of {numpy.prod(shape)}")
    return values.reshape(shape)


class Current:
    """OpenVINO 2022.1 and newer."""

    def __init__(self, core, request, device):
        # Left alone, OpenVINO takes bfloat16 on CPUs that have it, and AUTO may choose the CPU.
        settings = {"INFERENCE_PRECISION_HINT": "f32"} if device in ("CPU", "AUTO") else {}
        self.compiled = core.compile_model(core.read_model(str(request.model)), device, settings)
        self.name = named(device, lambda: core.get_property(device, "FULL_DEVICE_NAME"))
        if len(self.compiled.inputs) != 1 or len(self.compiled.outputs) != 1:
            raise Failure("the model must have one input and one output")
        tensor = self.compiled.input(0)
        self.input_names, self.shape = tensor.get_names(), list(tensor.get_shape())
        self.type = tensor.get_element_type().to_dtype()
        self.request = self.compiled.create_infer_request()

    def logits(self, images):
        self.request.infer([images.astype(self.type)])
        return self.request.get_output_tensor(0).data


class Classic:
    """OpenVINO 2021.4."""

    def __init__(self, core, request, device):
        network = core.read_network(model=str(request.model))
        if len(network.input_info) != 1 or len(network.outputs) != 1:
            raise Failure("the model must have one input and one output")
        (self.input, tensor), (self.output, result) = *network.input_info.items(), *network.outputs.items()
        tensor.precision = result.precision = "FP32"
        self.input_names, self.shape = {self.input}, list(tensor.input_data.shape)
        settings = {"ENFORCE_BF16": "NO"} if device == "CPU" else {}
        self.executable = core.load_network(network=network, device_name=device, config=settings)
        self.name = named(device, lambda: core.get_metric(device, "FULL_DEVICE_NAME"))

    def logits(self, images):
        return self.executable.infer({self.input: images})[self.output]


def named(device, full_name):
    """What the response calls the device; AUTO and its like have no full name."""
    try:
        return f"OpenVINO {device}: {full_name()}"
    except RuntimeError:
        return f"OpenVINO {device}"


def open_model(request, device):
    """The model on the device, by whichever interface is installed."""
    runner = connect()
    try:
        model = runner(request, device)
    except Failure:
        raise
    except Exception as error:  # OpenVINO raises its own kinds, with causes of several lines
        raise Failure(f"{device} does not take {request.model.name}: {sentence(error)}") from error
    if request.input_name not in model.input_names:
        raise Failure(f"the model's input is {sorted(model.input_names)}, not {request.input_name!r}")
    if model.shape != request.shape:
        raise Failure(f"the model's input has the shape {model.shape} instead of {request.shape}")
    return model


def connect():
    """Makes a model of a request and a device."""
    try:
        from openvino import Core
    except ImportError:
        try:
            from openvino.runtime import Core
        except ImportError:
            return connect_classic()
    return lambda request, device: Current(Core(), request, device)


def connect_classic():
    try:
        from openvino.inference_engine import IECore
    except ImportError as error:
        raise Failure(f"{sys.executable} has no OpenVINO: install it") from error
    return lambda request, device: Classic(IECore(), request, device)


def score(request, model, images):
    """Labels `[count, H, W]` and milliseconds for each image."""
    batch, (height, width) = request.shape[0], request.shape[2:]
    labels = numpy.empty([request.count, height, width], numpy.uint8)
    milliseconds = []
    infer(model, padded(images[:batch], batch))  # the first run also sets up memory: not timed
    for start in range(0, request.count, batch):
        part = images[start : start + batch]
        begin = time.perf_counter()
        logits = infer(model, padded(part, batch))
        spent = (time.perf_counter() - begin) * 1000
        if list(logits.shape) != [batch, request.classes, height, width]:
            raise Failure(f"logits have the shape {list(logits.shape)} instead of {[batch, request.classes, height, width]}")
        labels[start : start + len(part)] = label(logits[: len(part)])
        milliseconds += [round(spent / batch, 4)] * len(part)
    return labels, milliseconds


def infer(model, images):
    try:
        return model.logits(images)
    except Exception as error:  # as above
        raise Failure(f"the device failed on an image: {sentence(error)}") from error


def padded(images, batch):
    """A whole batch: the last one may have fewer images, and is filled up with zeros."""
    missing = batch - len(images)
    return numpy.concatenate([images, numpy.zeros([missing, *images.shape[1:]], images.dtype)]) if missing else images


def label(logits):
    """The class of the largest logit, the first of equal ones; what is not a number never wins."""
    return numpy.where(numpy.isnan(logits), -numpy.inf, logits).argmax(axis=1)


def write(path, content):
    """Writes a file as a whole: it has its name when it is complete."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)


def sentence(error):
    """An error on one line, without the places in OpenVINO's source that it went through."""
    return " ".join(re.sub(r"Exception from \S+:\d+:", "", str(error)).split())[:300] or type(error).__name__


def answer(folder, device):
    # An answer to an earlier request must not be taken for one to this.
    for name in ("response.json", "labels.u8"):
        (folder / name).unlink(missing_ok=True)
    request = read_request(folder)
    images = read_images(request)
    model = open_model(request, device)
    labels, milliseconds = score(request, model, images)
    write(folder / "labels.u8", labels.tobytes())
    response = {"version": VERSION, "device": model.name, "milliseconds": milliseconds}
    write(folder / "response.json", (json.dumps(response) + "\n").encode())


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exchange", type=Path, metavar="EXCHANGE_DIR")
    parser.add_argument("--device", default="CPU", help="CPU, MYRIAD, GPU, AUTO or another that OpenVINO knows")
    options = parser.parse_args(arguments)
    try:
        answer(options.exchange, options.device)
    except (Failure, OSError) as failure:
        print(f"error: {sentence(failure)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

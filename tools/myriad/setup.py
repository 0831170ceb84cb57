#!/usr/bin/env python3
"""Sets up the real Myriad X compiler in a cache folder: OpenVINO 2021.4.2, the last release line on PyPI with the plugin.

Downloads one wheel with pip (checked by its SHA-256), unpacks the libraries that compiling needs, builds a small exporter
against them and compiles a test network. Does nothing when that is already there and works. Needs x86-64 Linux, Python 3.9
or newer with pip, gcc and g++.
"""

import argparse
import importlib.util
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import report
import toolchain
from failure import Failure, run
from tiny_network import tiny_network

LIBRARIES = [
    "libinference_engine.so",
    "libinference_engine_legacy.so",
    "libinference_engine_onnx_reader.so",
    "libinference_engine_transformations.so",
    "libmyriadPlugin.so",
    "libngraph.so",
    "libonnx_importer.so",
    "libonnx_proto.so",
    "libprotobuf.so.3.7.1.0",
    "libtbb.so.2",
    "libtbbmalloc.so.2",
    "plugins.xml",
]
# The test network: 4 -> 16 channels, 3x3, 64 x 64 pixels; 20 cycles for each pixel, as the compiler has always said.
EXPECTED_CYCLES = 20 * 64 * 64
UNFINISHED = ".setup-"
DAY_SECONDS = 86_400


def say(text):
    print(f"setup: {text}", flush=True)


def check_machine():
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise Failure("the Myriad X compiler exists for x86-64 Linux only")
    for tool in ("gcc", "g++"):
        if shutil.which(tool) is None:
            raise Failure(f"{tool} is missing: install a C and C++ compiler")
    if importlib.util.find_spec("pip") is None:
        raise Failure(f"{sys.executable} has no pip: install it")


def download(work):
    """The wheel, fetched with pip."""
    requirements = work / "wheel.txt"
    requirements.write_text(f"{toolchain.WHEEL} --hash=sha256:{toolchain.WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "39", "--platform", "manylinux2014_x86_64", "--require-hashes"]
    done = subprocess.run([*command, "-d", work, "-r", requirements], capture_output=True, text=True)
    wheels = list(work.glob("openvino-*.whl"))
    if done.returncode or not wheels:
        words = [line for line in done.stderr.splitlines() if line.strip()] or ["no words"]
        raise Failure(f"pip could not download {toolchain.WHEEL}: {words[-1].strip()}")
    return wheels[0]


def unpack(wheel, home):
    """Copies what compiling needs, a third of the wheel, and all licences and notices."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in LIBRARIES:
                copy(archive, f"openvino/libs/{name}", home / "libs")
            for name in archive.namelist():
                if name.endswith(".txt") and ".dist-info/" in name:
                    copy(archive, name, home / "licences")
    except (KeyError, zipfile.BadZipFile) as error:
        raise Failure(f"{wheel.name} is not the wheel that was expected: {error}") from error


def copy(archive, name, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / Path(name).name).write_bytes(archive.read(name))


def build(home):
    """Builds the stand-in for libusb and the exporter, both found by the libraries through the exporter's RPATH."""
    native, libs = toolchain.NATIVE, home / "libs"
    usb = libs / "libusb-1.0.so.0"
    shared = ["-shared", "-fPIC", "-Wl,-soname,libusb-1.0.so.0"]
    invoke(["gcc", "-O1", *shared, native / "no_device.c", "-o", usb, "-ldl"])
    # The stand-in comes first and is linked by force: its clock must be found before the C library's.
    link = ["-Wl,--no-as-needed", usb, libs / "libinference_engine.so", "-Wl,--as-needed"]
    link += ["-Wl,--allow-shlib-undefined", f"-Wl,-rpath-link,{libs}", "-Wl,--disable-new-dtags,-rpath,$ORIGIN/libs"]
    # The wheel's strings are those of before C++11.
    dialect = ["-std=c++14", "-D_GLIBCXX_USE_CXX11_ABI=0"]
    invoke(["g++", "-O1", *dialect, native / "export.cpp", *link, "-o", home / "export"])


def invoke(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()[-1:]
        raise Failure(f"{command[0]} could not build the exporter: {' '.join(words[:1]).strip()}")


def check(home):
    """Compiles the test network and compares what comes out."""
    with tempfile.TemporaryDirectory() as work:
        model = Path(work) / "check.onnx"
        model.write_bytes(tiny_network())
        blob, dump = toolchain.compile_network(home, model, {})
    cycles = report.from_dump(dump)["totals"]["nce_cycles"]
    if not blob or cycles != EXPECTED_CYCLES:
        raise Failure(f"the compiler gives the test network {cycles} cycles instead of {EXPECTED_CYCLES}")


def works(home):
    try:
        check(home)
    except (Failure, OSError):
        return False
    return True


def publish(stage, home):
    """Renames the whole tool chain into place; what was there under that name and did not work is set aside."""
    if home.exists():
        home.rename(stage.with_name("broken"))
    try:
        stage.rename(home)
    except OSError:
        # Another setup was faster: its tool chain is the same, and whole.
        if not home.is_dir():
            raise


def sweep(cache):
    """Removes what setups left that were killed."""
    for left in cache.glob(UNFINISHED + "*"):
        if time.time() - left.stat().st_mtime > DAY_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def install(cache, home):
    check_machine()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        sweep(cache)
        with tempfile.TemporaryDirectory(dir=cache, prefix=UNFINISHED) as work:
            stage = Path(work) / "stage"
            say(f"downloading {toolchain.WHEEL} (28 MB); whoever uses it accepts Intel's licence, licences/EULA.txt in it")
            wheel = download(Path(work))
            say("unpacking the libraries")
            unpack(wheel, stage)
            say("building the exporter")
            build(stage)
            say("compiling a test network")
            check(stage)
            publish(stage, home)
    except OSError as error:
        raise Failure(f"cannot write to {cache}: {error.strerror or error}") from error


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=toolchain.default_cache(), help="default: %(default)s")
    cache = parser.parse_args(arguments).cache.expanduser().absolute()
    home = toolchain.folder(cache)
    if home.is_dir() and works(home):
        say(f"ready: {home}")
        return 0
    install(cache, home)
    say(f"ready: {home}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))

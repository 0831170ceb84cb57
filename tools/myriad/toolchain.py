"""The Myriad X compiler in the cache: where it lies and how it is called."""

import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

from failure import REFUSED, UNUSABLE, Failure

NAME = "OpenVINO 2021.4.2 MYRIAD"
WHEEL = "openvino==2021.4.2"
# The file for CPython 3.9 on x86-64 Linux. Only its libraries are used, so the Python that runs this does not matter.
WHEEL_SHA256 = "2260ac472b2834d520789dd29e15eaeeae62eba8c1867159efbda82940d2012f"
NATIVE = Path(__file__).resolve().parent / "native"
# Far beyond the slowest network seen (seconds); it only ends a compiler that hangs.
TIMEOUT_SECONDS = 600


def default_cache():
    """The user's cache folder for this project, by the XDG rules: a relative XDG_CACHE_HOME does not count."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "boresight" / "myriad"


def fingerprint():
    """Changes with the wheel and with what makes a tool chain of it, so an outdated one is never found."""
    digest = hashlib.sha256(WHEEL_SHA256.encode())
    for source in [Path(__file__).with_name("setup.py"), *sorted(NATIVE.iterdir())]:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:12]


def folder(cache):
    """Where in `cache` the tool chain is, or would be."""
    return Path(cache).resolve() / f"openvino-2021.4.2-{fingerprint()}"


def find(cache):
    """The tool chain's folder; a folder of that name is whole, because setup renames it into place last."""
    home = folder(cache)
    if not home.is_dir():
        setup = Path(__file__).with_name("setup.py")
        raise Failure(f"there is no Myriad X compiler in {cache}: run `python3 {setup} --cache {cache}` first")
    return home


def compile_network(home, model, settings):
    """Compiles the ONNX file `model`; returns the bytes of the blob and the dump of the internal graph."""
    with tempfile.TemporaryDirectory(prefix="boresight-") as work:
        blob, dump = Path(work) / "network.blob", Path(work) / "network.dot"
        settings = {**settings, "MYRIAD_DUMP_INTERNAL_GRAPH_FILE_NAME": dump}
        command = [home / "export", home / "libs" / "plugins.xml", Path(model).resolve(), blob]
        execute(command + [f"{key}={value}" for key, value in settings.items()], work)
        return blob.read_bytes(), dump.read_text(encoding="utf-8", errors="replace")


def execute(command, work):
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, timeout=TIMEOUT_SECONDS)
    except OSError as error:
        raise Failure(f"the Myriad X compiler does not start ({error}): run setup.py again") from error
    except subprocess.TimeoutExpired as error:
        raise Failure(f"the Myriad X compiler did not end within {TIMEOUT_SECONDS} seconds", REFUSED) from error
    if done.returncode:
        raise refusal(done.returncode, done.stderr.decode(errors="replace"))


def refusal(status, words):
    """The failure for a compiler that ended with `status` and wrote `words`."""
    words = shortened(words)
    if status < 0:
        return Failure(f"the Myriad X compiler crashed with signal {-status}: {words or 'no words'}", REFUSED)
    if status == 1:
        return Failure(f"the Myriad X compiler refused the network: {words}", REFUSED)
    return Failure(f"the Myriad X compiler does not run ({words}): run setup.py again", UNUSABLE)


def shortened(words):
    """The compiler's words on one line, its source files without the folders of the machine that built it."""
    return re.sub(r"/\S*/(\S+:\d+)", r"\1", " ".join(words.split()))

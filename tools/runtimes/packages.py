"""Installs the pinned packages into a folder of the cache, once."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
UNFINISHED = ".install-"
DAY_SECONDS = 86_400


class Unusable(Exception):
    """Arguments, files or packages that leave nothing to check: exit code 2."""


def default_cache():
    """The user's cache folder for this project, by the XDG rules: a relative XDG_CACHE_HOME does not count."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "boresight" / "runtimes"


def folder(cache):
    """Where the packages are, or would be; another for other pins or another Python."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    return Path(cache).expanduser().resolve() / f"packages-{digest}"


def ready(cache):
    """The folder with the packages, which are installed first if need be.

    It gets its name when everything is in it, so that an install that was interrupted is never used.
    """
    home = folder(cache)
    if not home.is_dir():
        print(f"installing {len(pins())} packages into {home}", file=sys.stderr, flush=True)
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            sweep(home.parent)
            with tempfile.TemporaryDirectory(dir=home.parent, prefix=UNFINISHED) as work:
                install(Path(work) / "packages", home)
        except OSError as error:
            raise Unusable(f"cannot install into {home.parent}: {error.strerror or error}") from error
    return home


def python(cache, arguments):
    """Becomes a Python that has the packages, before all others; it does not return."""
    # Those of the user do not count, and one thread makes results that do not vary.
    settings = {"PYTHONPATH": str(ready(cache)), "PYTHONNOUSERSITE": "1"}
    settings.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **settings})


def leave(main):
    """Runs `main`; ends the program with code 2 and a sentence if nothing can be run."""
    try:
        main(sys.argv[1:])
    except Unusable as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(2)


def pins():
    lines = REQUIREMENTS.read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def install(stage, home):
    if importlib.util.find_spec("pip") is None:
        raise Unusable(f"{sys.executable} has no pip: install it")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--target", stage, "--requirement", REQUIREMENTS]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise Unusable(f"pip could not install the runtimes: {(words or ['no words'])[-1].strip()}")
    try:
        stage.rename(home)
    except OSError:
        # Another install of the same packages was faster.
        if not home.is_dir():
            raise


def sweep(cache):
    """Removes what installs left that were killed."""
    for left in cache.glob(UNFINISHED + "*"):
        if time.time() - left.stat().st_mtime > DAY_SECONDS:
            shutil.rmtree(left, ignore_errors=True)

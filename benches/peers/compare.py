"""Compares training steps and forward passes with PyTorch's on this machine; prints tables in Markdown.

usage: python benches/peers/compare.py            (PyTorch must be installed for the Python that runs it)

Every measurement is a process of its own. A round runs Boresight, PyTorch as shipped and PyTorch with a tuned malloc one
after the other; each cell is the median over the rounds. PyTorch runs in `channels_last`, its fastest form here.
Boresight's step does more than PyTorch's: it also loads the batch, adds a Dice loss and clips the gradient. Memory is the
peak of resident memory; for PyTorch less what it held once its libraries were loaded, for Boresight all of it.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Names in the table; networks and bands.
NETWORKS = {
    "reference": ("reference", 3),
    "MBConv": ("u1;w;n;mb16e4r-x;mbr24e4r-x;mb32e3r-x;mbr32e3r-x", 4),
    "DenseNet and CSP": ("u1;w;n;cc16k2r-x;dn16r-x;cc24k2r-x;dn24r-x;cc32k1r-x", 4),
}
# glibc keeps what is freed instead of handing it back to the system and faulting it in again at the next step.
TUNED = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_ARENA_MAX": "1",
}
MEASURES = [("step", "step_ms"), ("forward", "forward_ms"), ("peak memory", "peak_rss_mb")]


def output(command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, **options).stdout


def program():
    """Builds the Rust side and tells where it lies."""
    command = ["cargo", "build", "--release", "--example", "training_step", "--message-format", "json-render-diagnostics"]
    messages = map(json.loads, output(command).splitlines())
    return next(m["executable"] for m in messages if m.get("target", {}).get("name") == "training_step")


def ours(binary, network, size, threads, options):
    code, bands = network
    command = [binary, "--network", code, "--bands", str(bands), "--size", str(size), "--json"]
    command += ["--batch", str(options.batch), "--repeats", str(options.steps)]
    if threads > 1:
        command += ["--threads", str(threads)]
    return json.loads(output(command))


def theirs(document, size, threads, options, environment):
    command = [sys.executable, str(HERE / "torch_step.py"), document, "--size", str(size), "--threads", str(threads)]
    command += ["--batch", str(options.batch), "--repeats", str(options.steps)]
    return json.loads(output(command, env=os.environ | environment))


def compare(binary, network, size, threads, options):
    """Reports of all rounds: ours, PyTorch as shipped, PyTorch with a tuned malloc."""
    code, bands = network
    with tempfile.TemporaryDirectory() as folder:
        document = str(Path(folder) / "network.json")
        output([binary, "--network", code, "--bands", str(bands), "--size", str(size), "--write", document])
        rounds = []
        for _ in range(options.repeats):
            reports = [
                ours(binary, network, size, threads, options),
                theirs(document, size, threads, options, {}),
                theirs(document, size, threads, options, TUNED),
            ]
            counts = {report["parameters"] for report in reports}
            assert len(counts) == 1, f"the sides disagree about the parameters: {counts}"
            rounds.append(reports)
    return list(zip(*rounds))


def row(name, size, threads, sides):
    """Medians of one cell and their ratios."""
    cells = [name, str(sides[0][0]["parameters"]), str(size), str(threads)]
    for _, key in MEASURES:
        own, shipped, tuned = (statistics.median(report[key] for report in side) for side in sides)
        cells += [f"{own:.1f}", f"{shipped:.1f}", f"{tuned:.1f}", f"**{own / shipped:.2f}**", f"**{own / tuned:.2f}**"]
    return cells


def print_row(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def header(torch_version, options):
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    commit = output(["git", "rev-parse", "--short", "HEAD"]).strip()
    changed = " with changes" if output(["git", "status", "--porcelain"]).strip() else ""
    print(f"{model}, {os.cpu_count()} logical CPUs; {output(['rustc', '--version']).strip()}; PyTorch {torch_version};")
    print(f"commit {commit}{changed}; {datetime.date.today()}; batch {options.batch}; medians of {options.repeats} rounds,")
    print(f"each the median of {options.steps} steps. Times in ms, memory in MB; ratios are Boresight / PyTorch.\n")
    columns = ["network", "parameters", "size", "threads"]
    for name, _ in MEASURES:
        columns += [name, "as shipped", "tuned malloc", "ratio", "ratio, tuned"]
    print_row(columns)
    print_row(["---"] + ["---:"] * (len(columns) - 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[128, 256])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5, help="rounds of each cell")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each process")
    options = parser.parse_args()
    binary = program()
    cells = [(name, size, threads) for name in options.networks for size in options.sizes for threads in options.threads]
    for at, (name, size, threads) in enumerate(cells):
        sides = compare(binary, NETWORKS[name], size, threads, options)
        if at == 0:
            header(sides[1][0]["torch"], options)
        print_row(row(name, size, threads, sides))


if __name__ == "__main__":
    main()

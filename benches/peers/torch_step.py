"""Times forward passes and training steps of one network in PyTorch; prints one line of JSON.

usage: torch_step.py NETWORK.json --size 128 --batch 8 --threads 1 --repeats 10 [--device cuda [--tf32]]
"""

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from torch_network import Network


def milliseconds(call, repeats):
    """Median time of a call until the device has done it; the first two are not counted."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[2:])


def peak_rss_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    libraries = peak_rss_mb()
    parser = argparse.ArgumentParser()
    parser.add_argument("network", type=Path)
    for name, default in [("size", 128), ("batch", 8), ("threads", 1), ("repeats", 10)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tf32", action="store_true", help="let a GPU round factors to TF32, as PyTorch does by default")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.allow_tf32 = options.tf32
    torch.manual_seed(0)
    torch.set_default_device(options.device)
    network = Network(json.loads(options.network.read_text())).to(memory_format=torch.channels_last)
    shape = (options.batch, network.bands, options.size, options.size)
    images = torch.randn(shape).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 2, (options.batch, options.size, options.size))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)

    def step():
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def forward():
        with torch.no_grad():
            network(images)

    step_ms = milliseconds(step, options.repeats)
    # PyTorch's own libraries, several hundred MB, are not held against it.
    peak = peak_rss_mb() - libraries
    network.eval()
    report = {
        "parameters": sum(values.numel() for values in network.parameters()),
        "forward_ms": milliseconds(forward, options.repeats),
        "step_ms": step_ms,
        "peak_rss_mb": peak,
        "torch": torch.__version__,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()

"""Writes the golden of one training step of the reference network, computed by PyTorch in float64.

usage: python tests/training/golden.py > tests/training/golden.json

The network is written out here once more, by hand, so that the golden also holds examples/training_step/reference.rs to
its definition. Weights, images and labels come from `draw`, which tests/training/golden.rs has too. float64 leaves
all rounding errors of the comparison to the side that is tested.
"""

import json
import math

import torch
import torch.nn.functional as F

BATCH, BANDS, CLASSES, SIZE = 2, 3, 2, 24
EPSILON, MOMENTUM = 1e-5, 0.1
MASK = 0xFFFFFFFF


def hash32(value):
    value = ((value ^ value >> 16) * 0x7FEB352D) & MASK
    value = ((value ^ value >> 15) * 0x846CA68B) & MASK
    return value ^ value >> 16


def draw(name, count):
    """Values in [-1, 1) that only depend on a name: FNV-1a of the name, then a hash of each position."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x01000193) & MASK
    values = [(hash32((seed + position) & MASK) >> 8) / 2**23 - 1 for position in range(count)]
    return torch.tensor(values, dtype=torch.float64)


class Step:
    """One pass of the network; tensors come into being where they are first named."""

    def __init__(self, training):
        self.training = training
        self.parameters = {}
        self.statistics = {}

    def parameter(self, name, role, shape):
        values = draw(f"{name}.{role}", math.prod(shape))
        if role == "weight":
            values = values * math.sqrt(3 / math.prod(shape[1:]))
        elif role == "scale":
            values = 1 + 0.5 * values
        else:
            values = 0.25 * values
        values = values.float().double().reshape(shape).requires_grad_()
        self.parameters[f"{name}.{role}"] = values
        return values

    def conv(self, x, name, out, kernel=1, groups=1, bias=True):
        weight = self.parameter(name, "weight", [out, x.shape[1] // groups, kernel, kernel])
        bias = self.parameter(name, "bias", [out]) if bias else None
        return F.conv2d(x, weight, bias, padding=kernel // 2, groups=groups)

    def conv_norm(self, x, name, out, kernel=1, groups=1):
        x = self.conv(x, f"{name}.conv", out, kernel, groups, bias=False)
        name = f"{name}.norm"
        scale, shift = (self.parameter(name, role, [out]) for role in ("scale", "shift"))
        mean = (0.25 * draw(f"{name}.running_mean", out)).float().double()
        variance = (1 + 0.5 * draw(f"{name}.running_variance", out)).float().double()
        self.statistics |= {f"{name}.running_mean": mean, f"{name}.running_variance": variance}
        return F.batch_norm(x, mean, variance, scale, shift, self.training, MOMENTUM, EPSILON)

    def block(self, x, name, out, kernel=3, groups=1):
        return F.relu(self.conv_norm(x, name, out, kernel, groups))

    def inverted_residual(self, x, name, out):
        wide = 4 * x.shape[1]
        x = self.block(self.block(x, f"{name}.e", wide, 1), f"{name}.d", wide, 3, wide)
        squeezed = F.relu(self.conv(x.mean((2, 3), keepdim=True), f"{name}.s.a", wide // 4))
        x = x * torch.sigmoid(self.conv(squeezed, f"{name}.s.b", wide))
        return self.conv_norm(x, f"{name}.p", out)

    def residual(self, x, name, out):
        narrow = self.block(self.block(x, f"{name}.a", out // 2, 1), f"{name}.b", out // 2)
        return F.relu(self.conv_norm(narrow, f"{name}.c", out) + self.conv_norm(x, f"{name}.k", out))

    def up(self, x, skip, name, out):
        x = F.interpolate(self.conv(x, f"{name}.p", out), scale_factor=2, mode="nearest")
        return self.block(self.block(torch.cat([x, skip], 1), f"{name}.a", out), f"{name}.b", out)

    def logits(self, images):
        one = self.block(self.block(images, "stem", 16), "e1", 16)
        two = self.inverted_residual(F.max_pool2d(one, 2), "e2", 24)
        three = self.residual(F.max_pool2d(two, 2), "e3", 32)
        four = self.block(self.block(F.max_pool2d(three, 2), "b1", 48), "b2", 48)
        x = self.up(self.up(self.up(four, three, "u3", 32), two, "u2", 24), one, "u1", 16)
        return self.conv(x, "head", CLASSES)


def number(value):
    """Eight digits: a hundred times finer than the finest tolerance."""
    return float(f"{value.item():.8g}")


def summary(name, values):
    values = values.detach().flatten()
    count = len(values)
    return {
        "name": name,
        "count": count,
        "norm": number(values.norm()),
        "dot": number(values @ draw(f"{name}.probe", count)),
        "probes": [number(values[at]) for at in (0, count // 2, count - 1)],
    }


def main():
    shape = (BATCH, BANDS, SIZE, SIZE)
    images = (1.7 * draw("images", math.prod(shape))).float().double().reshape(shape)
    labels = (draw("labels", BATCH * SIZE * SIZE) < 0).long().reshape(BATCH, SIZE, SIZE)
    step = Step(training=True)
    logits = step.logits(images)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    golden = {
        "source": f"tests/training/golden.py, PyTorch {torch.__version__}, float64",
        "loss": number(loss),
        "train_logits": [number(value) for value in logits.flatten()],
        "evaluate_logits": [number(value) for value in Step(training=False).logits(images).flatten()],
        "gradients": [summary(name, values.grad) for name, values in step.parameters.items()],
        "statistics": [summary(name, values) for name, values in step.statistics.items()],
    }
    print(json.dumps(golden, indent=0, separators=(",", ":")))


if __name__ == "__main__":
    main()

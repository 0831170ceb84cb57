#!/usr/bin/env python3
"""Writes the ONNX goldens beside this file: slim networks with seeded weights, as PyTorch's two exporters write them.

usage: python make.py        (needs torch, onnx and onnxscript; made with torch 2.15, onnx 1.23, onnxscript 0.7)

The architectures are written from their papers: He et al. 2016 (ResNet-18), Sandler et al. 2018 (MobileNetV2),
Ronneberger et al. 2015 (U-Net); channels are a fraction of theirs. Weights come from a seed alone. For each network
there is `name.logits`, the logits that PyTorch gave for the image of `image()`, as binary32, little-endian.
The test reads a file, runs the network and compares. Exporters change: a run with other versions may write other bytes.
"""
import pathlib

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import nn

HERE = pathlib.Path(__file__).parent


def image(channels, size):
    """A multiple of 1/64 for each value, from its place alone; the test has the same rule."""
    place = np.arange(channels * size * size, dtype=np.int64)
    return ((place * 7919 + 13) % 257 - 128).astype(np.float32).reshape(1, channels, size, size) / 64


class Basic(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.side = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.side = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return F.relu(self.second(F.relu(self.first(x))) + self.side(x))


class ResNet18(nn.Module):
    def __init__(self, widths=(3, 6, 10, 14), classes=5):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 7, 2, 3, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        blocks, inputs = [], widths[0]
        for stage, width in enumerate(widths):
            blocks += [Basic(inputs, width, 1 if stage == 0 else 2), Basic(width, width, 1)]
            inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(inputs, classes)

    def forward(self, x):
        x = F.max_pool2d(self.stem(x), 3, 2, 1)
        return self.head(torch.flatten(self.pool(self.blocks(x)), 1))


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        hidden, layers = inputs * expansion, []
        if expansion != 1:
            layers += [nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6()]
        layers += [nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden)]
        layers += [nn.ReLU6(), nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.layers = nn.Sequential(*layers)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.layers(x) if self.is_residual else self.layers(x)


class MobileNetV2(nn.Module):
    # Expansion, channels, repeats, stride; the repeats of the paper are shortened with the channels.
    PLAN = ((1, 2, 1, 1), (6, 3, 2, 2), (6, 4, 2, 2), (6, 5, 2, 2), (6, 6, 1, 1), (6, 8, 2, 2), (6, 10, 1, 1))

    def __init__(self, classes=5):
        super().__init__()
        layers, inputs = [nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU6()], 4
        for expansion, outputs, repeats, stride in self.PLAN:
            for repeat in range(repeats):
                layers.append(Inverted(inputs, outputs, stride if repeat == 0 else 1, expansion))
                inputs = outputs
        layers += [nn.Conv2d(inputs, 24, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU6()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(24, classes))

    def forward(self, x):
        x = self.layers(x).mean([2, 3])
        # As older code has it: sizes are computed in the graph.
        return self.head(x.view(x.size(0), -1))


def double(inputs, outputs, activation):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), activation(),
        nn.Conv2d(outputs, outputs, 3, 1, 1), activation())


class UNet(nn.Module):
    """With transposed convolutions, of kernel 2 and of kernel 3, or with interpolation to the size of the skip."""

    def __init__(self, mode, activation, widths=(4, 6, 8), classes=2):
        super().__init__()
        self.mode = mode
        self.down = nn.ModuleList(double(i, o, activation) for i, o in zip((4,) + widths, widths))
        self.bottom = double(widths[-1], widths[-1], activation)
        self.lift = nn.ModuleList()
        self.up = nn.ModuleList()
        inputs = widths[-1]
        for stage, width in enumerate(reversed(widths)):
            if mode == "transposed":
                even = stage % 2 == 0
                lift = nn.ConvTranspose2d(inputs, width, 2, 2) if even else nn.ConvTranspose2d(inputs, width, 3, 2, 1, 1)
            else:
                lift = nn.Conv2d(inputs, width, 1)
            self.lift.append(lift)
            self.up.append(double(2 * width, width, activation))
            inputs = width
        self.head = nn.Conv2d(inputs, classes, 1)

    def forward(self, x):
        skips = []
        for stage in self.down:
            x = stage(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.bottom(x)
        for lift, up in zip(self.lift, self.up):
            skip = skips.pop()
            x = lift(x)
            if self.mode == "nearest":
                x = F.interpolate(x, size=skip.shape[-2:], mode="nearest")
            elif self.mode == "bilinear":
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = up(torch.cat([skip, x], 1))
        return self.head(x)


class Odds(nn.Module):
    """What the others do not have: activations, padding, splits, squeeze-and-excitation, products, a softmax."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(4, 8, 3, 2, 1)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1))
        self.group = nn.Conv2d(8, 8, (3, 5), 1, (1, 2), groups=2)
        self.slope = nn.PReLU()
        self.head = nn.Conv2d(8, 3, 1)
        self.register_buffer("mean", torch.tensor([0.1, -0.2, 0.3, 0.0]).view(1, 4, 1, 1))
        self.register_buffer("deviation", torch.tensor([1.5, 0.5, 2.0, 1.25]).view(1, 4, 1, 1))

    def forward(self, x):
        x = F.hardswish(self.stem((x - self.mean) / self.deviation))
        x = x * torch.sigmoid(self.squeeze(x))
        first, second = torch.split(x, [3, 5], 1)
        x = torch.cat([F.leaky_relu(second, 0.2), F.silu(first)], 1)
        x = self.slope(self.group(x)) * 0.5 + 1.0
        x = F.avg_pool2d(F.pad(F.gelu(x), (1, 0, 2, 1)), 3, 2, 1, count_include_pad=True)
        x = F.max_pool2d(1.0 - x, 3, 2, 1, ceil_mode=True)
        x = torch.clamp(self.head(x), -1.5, 1.5) * F.hardsigmoid(self.head(x))
        return F.softmax(F.interpolate(x, scale_factor=3, mode="nearest"), 1)


def seeded(network):
    """Weights that no training gave: from a seed, with statistics that are not 0 and 1."""
    torch.manual_seed(20)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.8, 1.6)
                module.bias.uniform_(-0.3, 0.3)
                module.running_mean.uniform_(-0.3, 0.3)
                module.running_var.uniform_(0.5, 1.5)
            elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)
    return network.eval()


def without_remarks(model):
    """The model without stack traces of this machine, which are most of a small file."""
    parts = list(model.graph.node) + list(model.graph.value_info) + list(model.graph.input) + list(model.graph.output)
    for part in parts + list(model.graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    return model


def write(name, network, channels, size, dynamic=None):
    network, x = seeded(network), torch.from_numpy(image(channels, size))
    logits = network(x).detach().numpy().astype("<f4")
    logits.tofile(HERE / f"{name}.logits")
    for suffix, options in (("torchscript", dict(dynamo=False, opset_version=13)), ("dynamo", dict(dynamo=True))):
        path = HERE / f"{name}-{suffix}.onnx"
        if suffix == "torchscript" and dynamic:
            options["dynamic_axes"] = {"input": dynamic, "logits": dynamic if logits.ndim == 4 else {0: "batch"}}
        if suffix == "dynamo":
            options["external_data"] = False
        torch.onnx.export(network, (x,), str(path), input_names=["input"], output_names=["logits"], **options)
        onnx.save(without_remarks(onnx.load(path)), path)
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    open_batch, open_size = {0: "batch"}, {0: "batch", 2: "rows", 3: "columns"}
    write("resnet18", ResNet18(), 3, 64)
    write("mobilenetv2", MobileNetV2(), 3, 64, open_batch)
    write("unet-transposed", UNet("transposed", nn.ReLU), 4, 32)
    write("unet-nearest", UNet("nearest", nn.GELU), 4, 36, open_size)
    write("unet-bilinear", UNet("bilinear", nn.ReLU), 4, 32)
    write("odds", Odds(), 4, 31)

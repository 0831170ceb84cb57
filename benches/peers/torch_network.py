"""A network of Boresight's JSON form (`Network::to_json`) as a PyTorch module."""

import torch
import torch.nn.functional as F
from torch import nn


class ChannelScale(nn.Module):
    def forward(self, x, factors):
        return x * factors


class Concat(nn.Module):
    def forward(self, *parts):
        return torch.cat(parts, 1)


class Add(nn.Module):
    def forward(self, left, right):
        return left + right


class GlobalAvgPool(nn.Module):
    def forward(self, x):
        return x.mean((2, 3), keepdim=True)


class Slice(nn.Module):
    def __init__(self, start, channels):
        super().__init__()
        self.start, self.end = start, start + channels

    def forward(self, x):
        return x[:, self.start : self.end]


class ScaleShift(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x):
        return x * self.scale + self.shift


class Upsample(nn.Module):
    def __init__(self, resize, size):
        super().__init__()
        self.size = size
        self.options = {"mode": "nearest"} if resize == "nearest" else {"mode": "bilinear", "align_corners": False}

    def forward(self, x):
        return F.interpolate(x, size=self.size, **self.options)


def module(op, values, channels, inplace):
    """The module of an operator and the number of channels that it makes from inputs of `channels`."""
    first = channels[0]
    match op:
        case "conv2d":
            made = values["out_channels"]
            options = {key: values[key] for key in ("stride", "padding", "groups", "bias")}
            return nn.Conv2d(first, made, values["kernel"], **options), made
        case "batch_norm":
            return nn.BatchNorm2d(first, eps=values["epsilon"]), first
        case "scale_shift":
            return ScaleShift(first), first
        case "relu":
            return nn.ReLU(inplace), first
        case "relu6":
            return nn.ReLU6(inplace), first
        case "gelu":
            return nn.GELU(), first
        case "sigmoid":
            return nn.Sigmoid(), first
        case "max_pool":
            return nn.MaxPool2d(values["kernel"], values["stride"]), first
        case "avg_pool":
            return nn.AvgPool2d(values["kernel"], values["stride"]), first
        case "global_avg_pool":
            return GlobalAvgPool(), first
        case "upsample":
            return Upsample(values["resize"], values["size"]), first
        case "concat":
            return Concat(), sum(channels)
        case "add":
            return Add(), first
        case "channel_scale":
            return ChannelScale(), first
        case "slice":
            return Slice(values["start"], values["channels"]), values["channels"]
        case "dropout":
            return nn.Dropout(values["rate"]), first
    raise ValueError(f"operator '{op}' is not known here")


class Network(nn.Module):
    """Runs the nodes in their order and lets go of each value after its last reader, as written-out code would."""

    def __init__(self, document):
        super().__init__()
        nodes = document["nodes"]
        self.bands = document["input"]["channels"]
        self.inputs = [node["inputs"] for node in nodes]
        readers = [at for inputs in self.inputs for at in inputs]
        channels = [self.bands]
        kinds = ["input"]
        self.steps = nn.ModuleList()
        for node in nodes:
            op = node["op"]
            kind, values = (op, {}) if isinstance(op, str) else next(iter(op.items()))
            source = node["inputs"][0]
            # In place where nobody else reads the value and its maker needs it no more for its own gradient.
            inplace = readers.count(source) == 1 and kinds[source] in ("batch_norm", "add", "conv2d")
            step, made = module(kind, values, [channels[at] for at in node["inputs"]], inplace)
            self.steps.append(step)
            channels.append(made)
            kinds.append(kind)
        last_reader = {at: reader for reader, inputs in enumerate(self.inputs) for at in inputs}
        self.dead = [[at for at in set(inputs) if last_reader[at] == reader] for reader, inputs in enumerate(self.inputs)]

    def forward(self, x):
        values = {0: x}
        for number, (step, inputs) in enumerate(zip(self.steps, self.inputs)):
            values[number + 1] = step(*(values[at] for at in inputs))
            for at in self.dead[number]:
                del values[at]
        return values[len(self.steps)]

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Iterations of ResNet-20 in PyTorch, as a peer for bench/train.

The network of cfg/resnet20.cfg (shortcuts between stages take every second pixel and
have no weights), batch 128, momentum SGD with weight decay, on pictures that already
lie in memory: what bench/train times too. Not needed by anything else; PyTorch is
Debian's python3-torch or any other.

    python3 bench/train_torch.py [ITERATIONS] [THREADS]
"""
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.stride, self.grow = stride, filters - inputs
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        x = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + F.pad(x, (0, 0, 0, 0, 0, self.grow)))


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        blocks, inputs = [], 16
        for stage, filters in enumerate((16, 32, 64)):
            for block in range(3):
                blocks.append(Block(inputs, filters, 2 if stage and not block else 1))
                inputs = filters
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(64, 10)

    def forward(self, x):
        return self.last(self.blocks(self.first(x)).mean((2, 3)))


def main():
    iterations = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    if len(sys.argv) > 2:
        torch.set_num_threads(int(sys.argv[2]))
    torch.manual_seed(1)
    for name, layout in (("NCHW", torch.contiguous_format), ("NHWC", torch.channels_last)):
        net = ResNet20().to(memory_format=layout)
        sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        x = torch.rand(128, 3, 32, 32).contiguous(memory_format=layout)
        truth = torch.randint(10, (128,))
        times = []
        for i in range(iterations + 2):
            begin = time.perf_counter()
            sgd.zero_grad(set_to_none=True)
            F.cross_entropy(net(x), truth).backward()
            sgd.step()
            if i >= 2:  # the first two choose kernels and allocate
                times.append(time.perf_counter() - begin)
        median, least = statistics.median(times), min(times)
        print(
            f"PyTorch {torch.__version__} {name}, {torch.get_num_threads()} threads: "
            f"median {1e3 * median:.1f} ms, minimum {1e3 * least:.1f} ms, {128 / median:.0f} images/s"
        )


main()

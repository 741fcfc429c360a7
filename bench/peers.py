#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whole networks in other programs for inference, as peers for libdpf.

Reads a cfg and its .weights file (or makes random weights) with a reader of its own, prunes
the smallest weights of each layer, builds the network in PyTorch and exports it to ONNX. Each
program then gets a process of its own for each number of threads and each sparsity; its
outputs must equal libdpf's before anything is timed. Rounds go through all of them by turns,
one running at a time, so that all see the same minute.

    python3 bench/peers.py [-n ROUNDS] [-i RUNS] [-threads 1,2] [-sparsity 0,0.9]
        [-lib build/release/libdpf.so.VERSION] [-python NAME=INTERPRETER]... [CFG [WEIGHTS]]

Programs: libdpf, PyTorch (torch), ONNX Runtime (onnxruntime), OpenVINO (openvino), DeepSparse
(deepsparse); those whose Python module is missing are left out. With -python a program runs
in another interpreter, since their requirements differ. PyTorch, NumPy and onnx are needed
in any case. Layers: what yolov3-tiny and plain networks like it have. Writes CSV to standard
output. Not needed by anything else.
"""
import argparse
import ctypes
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

TOLERANCE = 2e-4  # of an output's largest value: Winograd's kernels round by 2e-5 a layer


# --- the network: cfg and weights ------------------------------------------------------


def read_cfg(path):
    """The sections, each a dict with its name at "type"."""
    sections = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            sections.append({"type": line.strip("[]")})
        elif "=" in line:
            key, value = line.split("=", 1)
            sections[-1][key.strip()] = value.strip()
    return [s for s in sections if s["type"] != "dpf"]


def numbers(layer, key):
    return [int(x) for x in layer[key].split(",")]


def shapes(sections):
    """Gives each layer its inputs ("from") and the channels that come in and go out."""
    layers = sections[1:]
    for i, layer in enumerate(layers):
        if layer["type"] not in ("convolutional", "maxpool", "route", "upsample", "yolo") or "groups" in layer:
            sys.exit(f"peers: layer {i}, [{layer['type']}], has more than this script knows")
        layer["from"] = [i - 1]
        if layer["type"] == "route":
            layer["from"] = [x if x >= 0 else i + x for x in numbers(layer, "layers")]
        layer["in"] = sum(int(sections[0]["channels"]) if x < 0 else layers[x]["out"] for x in layer["from"])
        layer["out"] = int(layer["filters"]) if layer["type"] == "convolutional" else layer["in"]
    for i, layer in enumerate(layers):
        layer["prunable"] = i + 1 == len(layers) or layers[i + 1]["type"] != "yolo"
    return layers


def convolutions(layers):
    return [x for x in layers if x["type"] == "convolutional"]


def parts_of(layer):
    """Sizes of what the .weights file has of a convolution: biases, scales, means, variances, weights."""
    filters = layer["out"]
    normalized = 3 * [filters] if int(layer.get("batch_normalize", 0)) else []
    return [filters] + normalized + [filters * layer["in"] * int(layer["size"]) ** 2]


def random_weights(layers):
    rng = np.random.default_rng(1)
    for layer in convolutions(layers):
        *small, weights = parts_of(layer)
        one = (0, 1, 0, 1)
        layer["parts"] = [rng.uniform(-0.1, 0.1, n) + one[k] for k, n in enumerate(small)]
        layer["parts"].append(rng.uniform(-1, 1, weights) * np.sqrt(6 * layer["out"] / weights))
        layer["parts"] = [x.astype("<f4") for x in layer["parts"]]


def read_weights(layers, path):
    data = Path(path).read_bytes()
    major, minor = np.frombuffer(data, "<i4", 2)
    floats, at = np.frombuffer(data, "<f4", offset=20 if 10 * major + minor >= 2 else 16), 0
    for layer in convolutions(layers):
        layer["parts"] = []
        for n in parts_of(layer):
            layer["parts"].append(floats[at : at + n].copy())
            at += n
    if at != len(floats):
        sys.exit(f"peers: {path} has {len(floats)} floats, the cfg needs {at}")


def write_weights(layers, path):
    with open(path, "wb") as file:
        file.write(np.array([0, 2, 0, 0, 0], "<i4").tobytes())
        for layer in convolutions(layers):
            for part in layer["parts"]:
                file.write(part.tobytes())


def prune(layers, sparsity):
    for layer in convolutions(layers):
        weights = layer["parts"][-1]
        if layer["prunable"]:
            weights[np.argsort(np.abs(weights), kind="stable")[: round(sparsity * len(weights))]] = 0


def folded(layer):
    """Weights and biases with the batch normalisation in them, by the formula of Debian's Darknet."""
    bias, weights = layer["parts"][0], layer["parts"][-1].reshape(layer["out"], layer["in"], *2 * [int(layer["size"])])
    if len(layer["parts"]) == 2:
        return weights, bias
    scale, mean, variance = (x.astype(np.float64) for x in layer["parts"][1:4])
    factor = scale / (np.sqrt(variance) + 1e-6)
    return (weights * factor[:, None, None, None]).astype("f4"), (bias - mean * factor).astype("f4")


# --- the network in PyTorch -------------------------------------------------------------


def torch_network(sections, layers):
    import torch
    from torch import nn
    from torch.nn import functional as F

    def convolution(layer):
        size = int(layer["size"])
        pad = size // 2 if int(layer.get("pad", 0)) else int(layer.get("padding", 0))
        module = nn.Conv2d(layer["in"], layer["out"], size, int(layer.get("stride", 1)), pad)
        weights, bias = folded(layer)
        module.weight.data, module.bias.data = torch.from_numpy(weights), torch.from_numpy(bias)
        act = {"leaky": lambda: nn.LeakyReLU(0.1), "relu": nn.ReLU, "mish": nn.Mish, "linear": None}[layer["activation"]]
        return nn.Sequential(module, act()) if act else module

    class Pool(nn.Module):
        """Darknet's: padding of size - 1 in all, half of it, rounded down, before the first pixel."""

        def __init__(self, layer):
            super().__init__()
            self.size, self.stride = int(layer["size"]), int(layer["stride"])
            self.pad = int(layer.get("padding", self.size - 1))

        def forward(self, x):
            edges = []
            for length in (int(x.shape[3]), int(x.shape[2])):
                out = (length + self.pad - self.size) // self.stride + 1
                before = self.pad // 2
                edges += [before, max(0, (out - 1) * self.stride + self.size - before - length)]
            if any(edges):
                x = F.pad(x, edges, value=-3e38)
            return F.max_pool2d(x, self.size, self.stride)

    class Yolo(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.boxes = len(layer["mask"].split(","))

        def forward(self, x):
            batch, channels, h, w = (int(n) for n in x.shape)
            x = x.reshape(batch * self.boxes, channels // self.boxes, h, w)
            x = torch.cat((torch.sigmoid(x[:, :2]), x[:, 2:4], torch.sigmoid(x[:, 4:])), 1)
            return x.reshape(batch, channels, h, w)

    make = {
        "convolutional": convolution,
        "maxpool": Pool,
        "upsample": lambda layer: nn.Upsample(scale_factor=int(layer.get("stride", 2)), mode="nearest"),
        "yolo": Yolo,
        "route": lambda layer: nn.Identity(),
    }

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.list = nn.ModuleList(make[layer["type"]](layer) for layer in layers)

        def forward(self, x):
            values = []
            for layer, module in zip(layers, self.list):
                inputs = [x if i < 0 else values[i] for i in layer["from"]]
                values.append(module(torch.cat(inputs, 1) if len(inputs) > 1 else inputs[0]))
            heads = [v for v, layer in zip(values, layers) if layer["type"] == "yolo"]
            return tuple(heads) if heads else values[-1]

    height, width = int(sections[0]["height"]), int(sections[0]["width"])
    return Network().eval(), torch.zeros(1, int(sections[0]["channels"]), height, width)


def load(job):
    sections = read_cfg(job["cfg"])
    layers = shapes(sections)
    read_weights(layers, job["weights"])
    return sections, layers


def export(job):
    import torch

    network, example = torch_network(*load(job))
    torch.onnx.export(network, example, job["onnx"], opset_version=13, input_names=["x"], dynamo=False)


# --- the programs: each returns its version and a function from input to outputs --------


def run_libdpf(job):
    class Options(ctypes.Structure):
        _fields_ = [(x, ctypes.c_int) for x in ("threads", "batch", "kernels", "tune", "keep_layers", "random")]
        _fields_ += [("seed", ctypes.c_uint64), ("sparsity", ctypes.c_double), ("global", ctypes.c_int)]

    class Output(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("layer", ctypes.c_int)]
        _fields_ += [(x, ctypes.c_size_t) for x in ("c", "h", "w", "floats")]

    lib = ctypes.CDLL(job["lib"])
    err = ctypes.create_string_buffer(4096)

    def call(name, *arguments):
        if getattr(lib, name)(*arguments, err):
            sys.exit("peers: libdpf: " + err.raw[4:].split(b"\0")[0].decode())

    model, context, out = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.POINTER(ctypes.c_float)()
    options = Options(threads=job["threads"], tune=1)
    call("dpf_model_load", ctypes.byref(model), job["cfg"].encode(), job["weights"].encode(), ctypes.byref(options))
    call("dpf_context_new", ctypes.byref(context), model)
    infos = []
    while lib.dpf_model_output(model, ctypes.c_size_t(len(infos)), ctypes.byref(info := Output()), err) == 0:
        infos.append(info)
    heads = [i for i, info in enumerate(infos) if info.name.startswith(b"yolo")] or [len(infos) - 1]

    def run(x):
        outputs = []
        call("dpf_context_set_planes", context, 0, x.ctypes.data_as(ctypes.c_void_p))
        call("dpf_context_run", context)
        for i in heads:
            call("dpf_context_output", context, 0, ctypes.c_size_t(i), ctypes.byref(out))
            outputs.append(np.ctypeslib.as_array(out, (infos[i].floats,)))
        return outputs

    return Path(job["lib"]).name.partition(".so.")[2], run


def run_torch(job):
    import torch

    torch.set_num_threads(job["threads"])
    network, example = torch_network(*load(job))
    layout = torch.channels_last if "NHWC" in job["peer"] else torch.contiguous_format
    network = network.to(memory_format=layout)
    if "frozen" in job["peer"]:
        with torch.no_grad():
            traced = torch.jit.freeze(torch.jit.trace(network, example.contiguous(memory_format=layout)))
            network = torch.jit.optimize_for_inference(traced)

    def run(x):
        with torch.inference_mode():
            outputs = network(torch.from_numpy(x).contiguous(memory_format=layout))
        return [y.numpy() for y in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return torch.__version__, run


def run_onnxruntime(job):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(job["onnx"], options, providers=["CPUExecutionProvider"])
    return onnxruntime.__version__, lambda x: session.run(None, {"x": x})


def run_openvino(job):
    import openvino

    model = openvino.Core().compile_model(
        job["onnx"],
        "CPU",
        {"INFERENCE_NUM_THREADS": job["threads"], "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"},
    )
    request = model.create_infer_request()
    return openvino.__version__.split("-")[0], lambda x: list(request.infer({0: x}, share_inputs=True).values())


def run_deepsparse(job):
    import deepsparse

    engine = deepsparse.Engine(model=job["onnx"], batch_size=1, num_cores=job["threads"])
    return deepsparse.__version__, lambda x: engine.run([x])


PEERS = {  # name in the table: module that must be there, function
    "libdpf": ("numpy", run_libdpf),
    "PyTorch": ("torch", run_torch),
    "PyTorch NHWC": ("torch", run_torch),
    "PyTorch frozen": ("torch", run_torch),
    "ONNX Runtime": ("onnxruntime", run_onnxruntime),
    "OpenVINO": ("openvino", run_openvino),
    "DeepSparse": ("deepsparse", run_deepsparse),
}


def work(job):
    """A process of one program: says its version, then answers each line that it reads, a number of runs, with
    their milliseconds. The channel is what was standard output; what programs print goes to standard error."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    version, run = PEERS[job["peer"]][1](job)
    x = np.load(job["input"])
    np.savez(job["outputs"], *[y.reshape(-1) for y in run(x)])
    print(version, file=channel, flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line) + 1):
            begin = time.perf_counter()
            run(x)
            times.append(1e3 * (time.perf_counter() - begin))
        print(json.dumps(times[1:]), file=channel, flush=True)  # the first wakes threads and caches


# --- the run ------------------------------------------------------------------------------


class Worker:
    def __init__(self, python, job):
        self.job, self.ms = job, []
        environment = dict(os.environ, PYTHONWARNINGS="ignore")
        if job["peer"] == "libdpf":
            environment.setdefault("GOMP_SPINCOUNT", "1000")  # as ./darknet sets it for itself
        self.process = subprocess.Popen(
            [python, __file__, "-work", json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self.version = self.process.stdout.readline().strip()

    def run(self, runs):
        self.process.stdin.write(f"{runs}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def outputs_of(worker):
    with np.load(worker.job["outputs"]) as file:
        return [file[name] for name in file.files]


def check(worker, first):
    """The worst difference to libdpf's outputs, as a share of the largest value."""
    mine, theirs = outputs_of(first), outputs_of(worker)
    if [len(x) for x in mine] != [len(x) for x in theirs]:
        sys.exit(f"peers: {worker.job['peer']} has other outputs than libdpf")
    worst = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(mine, theirs))
    if not worst <= TOLERANCE:
        sys.exit(f"peers: {worker.job['peer']} differs from libdpf by {worst:.1e} of the largest value")
    return worst


@functools.cache
def has(python, module):
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def prepare(arguments, folder):
    """A .weights and an ONNX file for each sparsity."""
    sections = read_cfg(arguments.cfg)
    for sparsity in arguments.sparsity:
        layers = shapes(sections)
        if arguments.weights:
            read_weights(layers, arguments.weights)
        else:
            random_weights(layers)
        prune(layers, sparsity)
        write_weights(layers, f"{folder}/{sparsity}.weights")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a traced network is for one size is known
            export({"cfg": arguments.cfg, **{k: f"{folder}/{sparsity}.{k}" for k in ("weights", "onnx")}})
    shape = [1] + [int(sections[0][x]) for x in ("channels", "height", "width")]
    np.save(f"{folder}/input.npy", np.random.default_rng(2).random(shape, "f4"))


def start(arguments, folder):
    pythons = dict(x.split("=", 1) for x in arguments.python)
    workers = []
    for threads in arguments.threads:
        for sparsity in arguments.sparsity:
            first = None
            for peer, (module, _) in PEERS.items():
                python = pythons.get(peer, sys.executable)
                if not has(python, module):
                    continue
                job = {
                    **{"peer": peer, "threads": threads, "sparsity": sparsity, "lib": arguments.lib},
                    **{"cfg": arguments.cfg, "input": f"{folder}/input.npy"},
                    **{kind: f"{folder}/{sparsity}.{kind}" for kind in ("weights", "onnx")},
                    "outputs": f"{folder}/{len(workers)}.npz",
                }
                worker = Worker(python, job)
                first = first or worker
                if worker.process.poll() is not None or not worker.version:
                    print(f"peers: {peer} could not be started", file=sys.stderr)
                    continue
                worker.difference = check(worker, first)
                workers.append(worker)
    return workers


def table(workers):
    print("program,version,threads,sparsity (%),ms,median ms,times libdpf's ms,times libdpf's median,difference")
    for worker in workers:
        if worker.job["peer"] == "libdpf":
            first = worker
        least, median = min(worker.ms), statistics.median(worker.ms)
        print(
            f"{worker.job['peer']},{worker.version},{worker.job['threads']},{100 * worker.job['sparsity']:g},{least:.2f},"
            f"{median:.2f},{least / min(first.ms):.2f},{median / statistics.median(first.ms):.2f},{worker.difference:.1e}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cfg", nargs="?", default="/usr/share/darknet/cfg/yolov3-tiny.cfg")
    parser.add_argument("weights", nargs="?")
    parser.add_argument("-n", type=int, default=20, help="rounds")
    parser.add_argument("-i", type=int, default=5, help="runs of each a round")
    parser.add_argument("-threads", default=[1, 2], type=lambda x: [int(n) for n in x.split(",")])
    parser.add_argument("-sparsity", default=[0.0, 0.9], type=lambda x: [float(n) for n in x.split(",")])
    parser.add_argument("-lib", default=str(next(Path("build/release").glob("libdpf.so.*"), "libdpf.so")))
    parser.add_argument("-python", action="append", default=[], metavar="NAME=INTERPRETER")
    parser.add_argument("-work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(json.loads(arguments.work))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(arguments, folder)
        workers = start(arguments, folder)
        for _ in range(arguments.n):
            for worker in workers:
                worker.ms += worker.run(arguments.i)
        for worker in workers:
            worker.close()
    table(workers)


main()

"""The machine in words, because seconds mean nothing without it."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import psutil
import torch

from core.training.device import choose_precision, find_device

PACKAGES = ("torch", "torchvision", "fastai", "lightning")


def describe(packages: Sequence[str] = PACKAGES) -> str:
    """Processor, memory, versions of `packages`, and the numbers that Thaw computes in on this machine."""
    device = find_device("auto")[0]
    bf16 = "bf16" if choose_precision("auto", device) == "bf16" else "fp32 (no native bf16)"
    parts = [
        f"{_processor()}, {os.cpu_count()} cores",
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB memory",
        *([torch.cuda.get_device_name()] if device.type == "cuda" else []),
        platform.system(),
        f"Python {platform.python_version()}",
        *(f"{package} {importlib.metadata.version(package)}" for package in packages),
        f"Thaw in {bf16}, the peers in fp32, each as it comes",
    ]
    return ", ".join(parts)


def _processor() -> str:
    """Its name in shops where the system tells, else its family."""
    if (cpuinfo := Path("/proc/cpuinfo")).is_file():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()

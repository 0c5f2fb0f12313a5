"""In which numbers to compute: 32 bits, or bfloat16 where the hardware has it."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def choose(wanted: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    """`wanted`, with "auto" resolved: bf16 where `device` multiplies it natively, and not by way of 32 bits."""
    if wanted != "auto":
        return wanted
    return "bf16" if _native_bf16(device) else "fp32"


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """A context in which torch computes in `precision` wherever that is safe."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def _native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())

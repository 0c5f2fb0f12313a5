"""In which numbers to compute: 32 bits, or bfloat16 where the hardware has it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["fp32", "bf16"]
Wanted = Literal["auto", "fp32", "bf16"]
TINY = 100_000
"""Parameters below which converting them in every step costs more than bf16 saves (measured on linear heads)."""


def choose(wanted: Wanted, device: torch.device) -> Precision:
    """`wanted`, with "auto" resolved: bf16 where `device` multiplies it natively, and not by way of 32 bits."""
    if wanted != "auto":
        return wanted
    return "bf16" if _native_bf16(device) else "fp32"


def choose_for_training(wanted: Wanted, network: nn.Module, device: torch.device) -> Precision:
    """The same for the network that is trained: under "auto", one of a few parameters stays with 32 bits."""
    if wanted == "auto" and sum(parameter.numel() for parameter in network.parameters()) < TINY:
        return "fp32"
    return choose(wanted, device)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """A context in which torch computes in `precision` wherever that is safe."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def _native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def spare_strided(network: nn.Module, device: torch.device) -> None:
    """Have depthwise convolutions with a stride compute in 32 bits under `autocast` on a CPU.

    There the backward pass in bfloat16 takes 4 to 20 times as long as in 32 bits (torch 2.14 with oneDNN, measured on
    an AMD EPYC with AVX-512): more than a third of a step of MobileNetV2, for four of its layers.
    """
    if device.type != "cpu":
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1 and max(module.stride) > 1:
            module.forward = _in_fp32(module.forward)  # type: ignore[assignment, method-assign]


def _in_fp32(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def in_fp32(images: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return forward(images.float())

    return in_fp32

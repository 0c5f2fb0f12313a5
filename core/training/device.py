"""Where to compute, in which numbers, and how memory is kept."""

import ctypes
import gc
import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn

from core.errors import BadRecipe, Fault
from core.messages import Message


def find_device(wanted: str) -> tuple[torch.device, tuple[Message, ...]]:
    """The device to train on, and what to say about it; "auto" is CUDA, else Apple's MPS, else the CPU.

    Raises BadRecipe when the device that was asked for is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return first_that_computes([torch.device(name) for name, available in there.items() if available])
    if not there[wanted]:
        advice = 'is not to be had: PyTorch finds no such device on this machine; take "auto" or "cpu"'
        raise BadRecipe([Fault("device", wanted, Message(advice))])
    return torch.device(wanted), ()


def first_that_computes(devices: Sequence[torch.device]) -> tuple[torch.device, tuple[Message, ...]]:
    """The first of `devices` on which a small sum comes out right, and a sentence about each before it.

    PyTorch also finds graphics cards for which it has no code, because they are too old.
    """
    failed: list[Message] = []
    for device in devices:
        if (trouble := _trouble(device)) is None:
            return device, tuple(failed)
        template = "This run does not use the graphics processor ({device}), on which a small test failed: {cause}"
        failed.append(Message(template, device=str(device), cause=trouble))
    return torch.device("cpu"), tuple(failed)


def _trouble(device: torch.device) -> str | None:
    """What PyTorch says of a small convolution and a product on `device`; None where both come out right.

    Nothing is drawn at random, so that the run has the same numbers with and without this test.
    """
    try:
        sums = nn.functional.conv2d(torch.ones(1, 2, 4, 4, device=device), torch.ones(3, 2, 3, 3, device=device))
        total = float((sums.flatten(1) @ torch.ones(12, 1, device=device)).item())
    except RuntimeError as error:
        return str(error).partition("\n")[0]
    return None if total == 3 * 2 * 2 * 2 * 9 else f"{total:g}"


def set_tf32(wanted: str) -> None:
    """Under "auto", have NVIDIA GPUs multiply 32-bit numbers with 10 bits behind the point (TF32), added in 32 bits.

    The tensor cores do so on Ampere and newer, several times as fast as with all 23 bits. Who asks for a precision gets
    that one. The choice is the whole process's, and so every run makes it anew.
    """
    torch.backends.cuda.matmul.allow_tf32 = wanted == "auto"
    torch.backends.cudnn.allow_tf32 = wanted == "auto"


def lay_channels_last(network: nn.Module) -> None:
    """Put the weights of convolutions into the layout of pictures that went `to_device`."""
    if all(parameter.device.type != "mps" for parameter in network.parameters()):
        network.to(memory_format=torch.channels_last)


def layout_on(device: torch.device, dimensions: int) -> torch.memory_format:
    """The layout of a tensor of so many dimensions: channels last, where it has any.

    Not on Apple's GPUs: some of their operations have been slow, or wrote nothing, with the channels last.
    """
    return torch.channels_last if dimensions == 4 and device.type != "mps" else torch.contiguous_format


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`, with the channels last where it has any: convolutions then run about twice as fast.

    It goes to a GPU from pinned memory, so that the CPU need not wait until it is there.
    """
    arranged = tensor.contiguous(memory_format=layout_on(device, tensor.ndim))
    if device.type == "cuda":
        return arranged.pin_memory().to(device, non_blocking=True)
    return arranged.to(device)


AMPERE = (8, 0)
"""The compute capability of the first NVIDIA GPUs that can multiply in TF32."""
Precision = Literal["fp32", "bf16"]
_PRECISIONS: dict[str, Precision] = {"fp32": "fp32", "bf16": "bf16"}


@dataclass(frozen=True)
class Numbers:
    """In which numbers a network answers: on a kind of device, and what follows its frozen part in `trained`.

    `frozen` is the precision of the part that ran once, `folded` whether its BatchNorms were made part of its
    convolutions; None where the whole network ran on every picture.
    """

    device: str
    trained: Precision
    frozen: Precision | None = None
    folded: bool = False


TINY = 100_000
"""Parameters below which converting them in every step costs more than bf16 saves (measured on linear heads)."""


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """`wanted`, with "auto" resolved: bf16 where `device` itself multiplies it, and does not use 32 bits for it."""
    if wanted == "auto":
        return "bf16" if _native_bf16(device) else "fp32"
    return _PRECISIONS[wanted]


def choose_training_precision(wanted: str, network: nn.Module, device: torch.device) -> Precision:
    """The same for the network that is trained: under "auto", one of a few parameters stays with 32 bits."""
    if wanted == "auto" and sum(parameter.numel() for parameter in network.parameters()) < TINY:
        return "fp32"
    return choose_precision(wanted, device)


def in_short(precision: Precision, device: torch.device) -> str:
    """What a run says that it computes in: "fp32", "bf16", or "tf32" for 32-bit numbers that are multiplied so."""
    multiplies_so = device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32
    if precision == "fp32" and multiplies_so and torch.cuda.get_device_capability(device) >= AMPERE:
        return "tf32"
    return precision


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
            module._conv_forward = _in_fp32(module._conv_forward)  # type: ignore[assignment, method-assign]


Convolve = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""From pictures, weights and biases to pictures."""


def _in_fp32(convolve: Convolve) -> Convolve:
    def in_fp32(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return convolve(images.float(), weight, bias)

    return in_fp32


# From glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Have this process reuse the memory of large tensors instead of returning it to the system after every layer.

    glibc maps large blocks anew each time, and the system then fills every page with zeros at its first use: up to
    half of a training step on a CPU. Other systems' allocators keep such blocks by themselves. `release_memory` returns
    what is kept.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, -1)


def release_memory() -> None:
    """Return all memory that is kept but not used to the system, that of a GPU included.

    Networks that were cut refer to themselves in circles, so that only the garbage collector frees their weights.
    """
    gc.collect()
    _pass_over_what_is_loaded()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


@cache
def _pass_over_what_is_loaded() -> None:
    """Have the garbage collector look at nothing, from now on, that is there now: PyTorch, above all, is there to stay.

    To look through PyTorch alone takes 0.1 s, after every job.
    """
    gc.freeze()

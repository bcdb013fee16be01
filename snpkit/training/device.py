"""Where a run computes: the device, its number format, memory, and the threads it may use."""

import os
from typing import Any

import torch

from snpkit.errors import UserError
from snpkit.machine import available_cores

# Products of matrices that torch and, beneath it, oneDNN keep prepared, by their shapes: 1,024 each
# by default, and 0.7 MB for both. Captions of many lengths give hundreds of shapes, so that memory
# would grow for as long as a run meets new ones. What pays is that the layers of a step share
# theirs. oneDNN's 256 hold a step's: with 64 a step of the laptop's size took a fifth longer. More
# than a few of torch's own, whose working space is most of the memory, gained nothing. Both
# libraries read the numbers at their first product.
_KEPT_PRODUCTS = {"LRU_CACHE_CAPACITY": "16", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256"}


def choose_device(name: str = "auto") -> torch.device:
    """The device to train on: CUDA before MPS before the CPU, or the one asked for.

    Raises:
        UserError: the name is unknown, or this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            # Under torchrun each process of a machine takes the GPU of its local rank.
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()  # "meta" has no numbers to copy
    except (RuntimeError, AssertionError, ImportError) as error:
        raise UserError(
            f"The device {name!r} is not to be had here; take 'auto', 'cpu', 'cuda' or 'mps'."
        ) from error
    return device


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """A batch with its tensors on the device; what was counted beforehand stays as it is.

    To a GPU they travel from pinned memory, while it works: the processor does not wait.
    """

    def move(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if device.type == "cuda" and value.device.type == "cpu":
            value = value.pin_memory()  # as it is, where the loader has pinned it
        return value.to(device, non_blocking=True)

    return {name: move(value) for name, value in batch.items()}


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The number format of the forward pass; None = plain float32 without autocast.

    "auto" takes bfloat16 on a CUDA device or a CPU that has units for it, float16 on an older CUDA
    device, and float32 elsewhere: where bfloat16 is emulated it is slower than float32.

    Raises:
        UserError: float16 asked for where there is no CUDA device to compute it.
    """
    if precision == "auto":
        if device.type == "cpu" and _cpu_has_bfloat16():
            return torch.bfloat16
        if device.type != "cuda":
            return None
        # The emulated format would be slower than float16.
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    if precision == "fp16" and device.type != "cuda":
        raise UserError(f"Precision fp16 needs a CUDA device, this run is on {device.type}.")
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _cpu_has_bfloat16() -> bool:
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def prepare_cpu(*, products: bool = True) -> int:
    """Set the number of threads, flush denormal numbers, bound what oneDNN keeps, and with
    `products` choose the library that multiplies float32 matrices (`choose_float32_products`).

    Threads are OMP_NUM_THREADS, else one per core: in a container torch sees all cores of its host,
    and more threads than cores make a step many times slower. Gradients that fade below 1e-38 would
    each cost a hundred cycles: they become zero.

    Returns:
        The number of threads set.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(available_cores())
    torch.set_flush_denormal(True)
    for name, kept in _KEPT_PRODUCTS.items():
        os.environ.setdefault(name, kept)
    if products:
        choose_float32_products()
    return torch.get_num_threads()


def choose_float32_products() -> bool:
    """Let oneDNN multiply float32 matrices where it is exact; returns whether it does.

    torch takes Intel's MKL for them, which runs at half of oneDNN's speed on processors of other
    makers. torch hands them to oneDNN only where bfloat16 would do as well, and oneDNN rounds to
    bfloat16 where the processor has matrix units for it. Where it has none, float32 stays float32:
    a product of a few numbers that bfloat16 does not hold tells.

    The choice holds for the whole process. torch has an older setting for the same; once this one
    is made, `torch.get_float32_matmul_precision` refuses to answer.
    """
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    if not hasattr(matmul, "fp32_precision") or not torch.backends.mkldnn.is_available():
        return False
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    before, matmul.fp32_precision = matmul.fp32_precision, "bf16"
    if _products_are_exact():
        return True
    matmul.fp32_precision = before
    return False


def _products_are_exact() -> bool:
    """Whether float32 products, forward and as gradients need them, are known to 1e-5."""
    numbers = torch.full((64, 256), 1 + 2.0**-10)  # bfloat16 would make it 1
    exact = numbers.double() @ numbers.double().T
    for product in (numbers @ numbers.T, (numbers.T.contiguous().T @ numbers.T)):
        if not torch.allclose(product.double(), exact, rtol=1e-5, atol=0):
            return False
    return True

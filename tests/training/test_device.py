"""Where a run computes."""

import os
import subprocess
import sys

import pytest
import torch

from snpkit.errors import UserError
from snpkit.training import device as devices
from snpkit.training.device import (
    autocast_dtype,
    choose_device,
    prepare_cpu,
)

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


@pytest.mark.parametrize(("cuda", "mps", "expected"), [
    (True, True, "cuda:0"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_takes_cuda_before_mps_before_the_cpu(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert str(choose_device()) == expected


def test_under_torchrun_each_process_takes_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert str(choose_device()) == "cuda:3"


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "", "meta", "hpu"])
def test_a_device_that_is_not_there_is_one_sentence(name):
    with pytest.raises(UserError, match="not to be had here; take 'auto'"):
        choose_device(name)


@pytest.mark.parametrize(("bf16", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_auto_precision(monkeypatch, bf16, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    assert autocast_dtype("auto", CUDA) is expected
    assert autocast_dtype("auto", MPS) is None


@pytest.mark.parametrize(("units", "expected"), [
    ({"avx512_bf16": True}, torch.bfloat16), ({"amx_bf16": True, "avx2": True}, torch.bfloat16),
    ({"avx2": True, "avx512_bf16": False}, None), ({}, None)])
def test_a_cpu_takes_bfloat16_where_it_has_units_for_it(monkeypatch, units, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units, raising=False)
    assert autocast_dtype("auto", CPU) is expected


def test_named_precisions():
    assert autocast_dtype("fp32", CUDA) is None
    assert autocast_dtype("bf16", CPU) is torch.bfloat16
    assert autocast_dtype("fp16", CUDA) is torch.float16
    with pytest.raises(UserError, match="fp16 needs a CUDA device, this run is on cpu"):
        autocast_dtype("fp16", CPU)


def test_threads_and_denormals(monkeypatch):
    before = torch.get_num_threads()
    try:
        torch.set_flush_denormal(False)
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        torch.set_num_threads(1)
        assert prepare_cpu() == 1  # the user's word stands
        assert torch.tensor(1e-40) * 1.0 == 0
        monkeypatch.delenv("OMP_NUM_THREADS")
        monkeypatch.setattr(devices, "available_cores", lambda: 2)
        assert prepare_cpu() == 2
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(True)


@pytest.fixture
def products():
    """The library of float32 products, put back afterwards."""
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    yield matmul
    matmul.fp32_precision = before


def test_float32_products_stay_exact_whoever_computes_them(products):
    products.fp32_precision = "none"
    devices.choose_float32_products()
    torch.manual_seed(0)
    for rows, inner, columns in ((300, 768, 500), (1, 33, 7), (64, 3072, 128)):
        a = torch.randn(rows, inner, requires_grad=True)
        b = torch.randn(columns, inner, requires_grad=True)
        weights = torch.randn(rows, columns)
        found = torch.nn.functional.linear(a, b)
        found.backward(weights)
        c, d, w = (x.detach().double() for x in (a, b, weights))
        for own, exact in ((found, c @ d.T), (a.grad, w @ d), (b.grad, w.T @ c)):
            error = (own - exact).abs().max() / exact.abs().max()
            assert error < 1e-5  # rounded to bfloat16 it would be 1e-3


def test_a_processor_that_would_round_keeps_its_library(products, monkeypatch):
    products.fp32_precision = "none"
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(devices, "_products_are_exact", lambda: False)
    assert not devices.choose_float32_products() and products.fp32_precision == "none"
    monkeypatch.setattr(devices, "_products_are_exact", lambda: True)
    assert devices.choose_float32_products() and products.fp32_precision == "bf16"
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    products.fp32_precision = "none"
    assert not devices.choose_float32_products() and products.fp32_precision == "none"


def test_rounding_is_noticed(monkeypatch):
    assert devices._products_are_exact()
    plain = torch.Tensor.__matmul__
    monkeypatch.setattr(
        torch.Tensor, "__matmul__",
        lambda a, b: plain(a, b) if a.dtype is torch.float64
        else plain(a.bfloat16().float(), b.bfloat16().float()),
    )  # fmt: skip
    assert not devices._products_are_exact()


_MANY_SHAPES = """
import sys, torch
from snpkit.machine import current_memory
from snpkit.training.device import prepare_cpu

prepare_cpu()
number = getattr(torch, sys.argv[1])
left, right, out = (torch.ones(shape, dtype=number) for shape in ((1300, 64), (64, 64), (1300, 64)))
held = []
for rows in range(100, 1300):
    torch.mm(left[:rows], right, out=out[:rows])
    if rows in (800, 1299):
        held.append(current_memory(torch.device("cpu")))
print(held[1] - held[0])
"""


@pytest.mark.parametrize("number", ["float32", "bfloat16"])
def test_memory_does_not_grow_with_the_shapes_that_are_met(number):
    # Prepared and kept by torch and by oneDNN, each of the 500 would hold 0.7 MB.
    command = [sys.executable, "-c", _MANY_SHAPES, number]
    one = os.environ | {"OMP_NUM_THREADS": "1"}
    grown = subprocess.run(command, env=one, capture_output=True, text=True, check=True)
    assert int(grown.stdout) < 20e6


_LOADED = """
import torch, snpkit

before = torch.get_float32_matmul_precision()
snpkit.load("laptop")
assert torch.get_float32_matmul_precision() == before
"""


def test_loading_a_model_leaves_the_float32_setting_of_a_program_alone():
    subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, check=True)

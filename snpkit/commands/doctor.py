"""`snpkit doctor`: is this installation well, and if not, what mends it?"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

# As pip takes them.
_NEEDED = ("torch", "transformers>=5.5,<6", "tokenizers", "av", "spacy", "matplotlib", "ipywidgets")
_OPTIONAL = ("decord", "webdataset", "tensorboard", "scipy")  # or only for some machines


def doctor(parameters: bool = False) -> int:
    """Check packages, device, decoding and one training step, and say how to mend what fails.

    Args:
        parameters: Print the true parameter counts beside the paper's, and nothing else.
    """
    if parameters:
        from snpkit.commands.parameters import parameter_table, parameter_text

        print(parameter_text(parameter_table()))
        return 0
    checks: dict[str, Callable[[], str]] = {
        **{wanted.partition(">")[0]: partial(_package, wanted) for wanted in _NEEDED + _OPTIONAL},
        "device": _device,
        "parts of speech": _tagger,
        "decoding": _decoding,
        "training step": _training_step,
    }
    failures = 0
    for name, check in checks.items():
        try:
            print(f"  ok    {name:16} {check()}")
        except Exception as error:
            # A doctor looks on: whatever is broken is reported, with the way to mend it.
            failures += 1
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            print(f"  FAIL  {name:16} {reason}")
    print("All is well." if not failures else f"{failures} of {len(checks)} checks failed.")
    return 1 if failures else 0


def _package(wanted: str) -> str:
    from importlib import import_module
    from importlib.metadata import PackageNotFoundError, version

    name = wanted.partition(">")[0]
    try:
        found = version(name)
        import torch  # noqa: F401  (decord must be imported after torch)

        import_module(name)
        return found
    except (PackageNotFoundError, ImportError) as error:
        if wanted in _OPTIONAL:
            return "not installed (optional)"
        mend = f"pip install '{wanted}'"
        raise RuntimeError(f"{name} cannot be imported ({error}); mend: {mend}") from error


def _device() -> str:
    import torch

    from snpkit.machine import available_cores
    from snpkit.training.device import autocast_dtype, choose_device

    device = choose_device()
    dtype = autocast_dtype("auto", device) or torch.float32
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return f"{device} {name} {available_cores()} cores, trains in {str(dtype)[6:]}"


def _tagger() -> str:
    from snpkit.language.tagging import tag_captions

    tags = [word.pos for word in next(iter(tag_captions(["a red ball bounces"])))]
    return " ".join(tags)


def _decoding() -> str:
    import numpy as np
    import torch

    from snpkit.data.synthetic.render import write_video
    from snpkit.video.backends import find_decord
    from snpkit.video.reader import read_all

    frames = np.zeros((8, 64, 64, 3), np.uint8)
    frames[4:] = 200
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.mp4"
        write_video(path, frames, 8)
        by_pyav = read_all(path, backend="pyav")
        if not find_decord():
            return "H.264 by PyAV"
        if not torch.equal(by_pyav, read_all(path, backend="decord")):
            raise RuntimeError("decord and PyAV read different frames; mend: pip install -U av")
    return "H.264 by decord and PyAV, the same frames"


def _training_step() -> str:
    import torch

    from snpkit.model.config import SNPConfig
    from snpkit.model.pretraining import SNPForPreTraining
    from snpkit.training.estimate import example_batch

    torch.manual_seed(0)
    config = SNPConfig(
        vocab_size=120, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, image_size=16, patch_size=8, clips=1, frames=1,
    )  # fmt: skip
    model = SNPForPreTraining(config)
    batch = example_batch(config, 4, 6)
    for name, most in (("input_ids", 100), ("pixel_values", 255)):
        batch[name] = torch.randint_like(batch[name], 1, most)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    losses = []
    for _ in range(5):
        loss = model(batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    if not losses[-1] < losses[0]:
        raise RuntimeError(f"the loss did not fall ({losses[0]:.2f} to {losses[-1]:.2f})")
    return f"loss {losses[0]:.2f} to {losses[-1]:.2f} in 5 steps"

"""What training does on a GPU, in at most 8 minutes; with `--device cpu` in about one.

    python -m tests.benchmarks.gpu_check --device cuda

Trains the laptop recipe and a shortened gpu_subset (random weights of BERT-base and ResNet-50 size;
tiny ones on a CPU): losses beside the CPU's in float32, time, FLOPs, peak memory beside the plan's,
whether the host waits for the device inside a step, resuming, and two processes.
"""

import argparse
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, ResNetConfig, ResNetForImageClassification

from snpkit.data.samples import sample_manifest
from snpkit.model.pretrained_text import load_text_weights
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.text import format_bytes, format_seconds
from snpkit.training.cards import GPUS, measured_peak
from snpkit.training.device import prepare_cpu
from snpkit.training.estimate import estimate_step, model_config
from snpkit.training.loop import new_run, pretrain, train_step
from snpkit.training.recipe import get_recipe, override
from snpkit.training.setup import prepare
from tests.benchmarks.gpu_processes import STILL, TINY, TINY_RUN, check_two_processes, random_batch

CPU = torch.device("cpu")


def recipes(folder, device):
    """The laptop recipe, and gpu_subset with weights saved in `folder`, smaller ones on a CPU;
    without dropout, and with negatives that are not drawn, so that devices can be compared."""
    torch.manual_seed(0)
    small = device.type == "cpu"
    BertModel(BertConfig(**TINY if small else {})).save_pretrained(folder / "bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{n}" for n in range(30_517))]
    (folder / "bert/vocab.txt").write_text("\n".join(words) + "\n")
    tiny = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    vision = ResNetForImageClassification(ResNetConfig(**tiny if small else {}))
    vision.save_pretrained(folder / "resnet")
    shared = STILL | {"model.negative_sampling": "nearest"}
    if small:
        shared |= {"data.batch_size": 4, "data.size": 32, "data.clips": 2}
    resnet = str(folder / "resnet")
    subset = {"model.text_pretrained": str(folder / "bert"), "model.vision_pretrained": resnet,
              "model.vision": resnet, "data.batch_size": 4 if small else 32,
              "optimisation.micro_batch": 2 if small else 16}  # fmt: skip
    sizes = {f"model.{name}": value for name, value in TINY.items()} if small else {}
    yield override(get_recipe("laptop"), shared | sizes)
    yield override(get_recipe("gpu_subset"), shared | subset)


def start(recipe, precision, device):
    """A run at step 0 with its weights, and its one batch."""
    recipe = override(recipe, {"optimisation.precision": precision})
    config = model_config(recipe)
    torch.manual_seed(2)
    model = SNPForPreTraining(config)
    if recipe.model.get("text_pretrained"):
        load_text_weights(model, recipe.model["text_pretrained"])
    run = new_run(model, [None], recipe, Path(), device)
    batch = random_batch(config, recipe)
    if device.type == "cuda":
        batch |= {name: each.pin_memory() for name, each in batch.items() if torch.is_tensor(each)}
    return run, batch


def train(recipe, precision, device, steps):
    """Losses and seconds of each step, and the peak of allocated bytes (0 on a CPU)."""
    run, batch = start(recipe, precision, device)
    torch.cuda.reset_peak_memory_stats() if device.type == "cuda" else None
    losses, seconds = [], []
    for _ in range(steps):
        began = time.perf_counter()
        losses.append(float(train_step(run, iter([(batch, [])])).values["loss"]))
        seconds.append(time.perf_counter() - began)
        run.result.step += 1
    return losses, seconds, torch.cuda.max_memory_allocated() if device.type == "cuda" else 0


def check_training(recipe, device):
    """Losses, times, FLOPs and memory of one recipe."""
    steps, cpu = (3, True) if device.type == "cpu" else (5, False)
    print(f"\n{recipe.name}: batch {recipe.data.batch_size}")
    expected, *_ = train(recipe, "fp32", CPU, steps)
    print("  losses, CPU in fp32:", *(f"{loss:.3f}" for loss in expected))
    for precision in ("fp32", "bf16") if cpu else ("fp32", "bf16", "fp16"):
        losses, seconds, peak = train(recipe, precision, device, steps)
        worst = max(abs(a / b - 1) for a, b in zip(losses, expected, strict=True))
        planned = estimate_step(override(recipe, {"optimisation.precision": precision}),
                                GPUS["cpu" if cpu else "h200"])  # fmt: skip
        took = statistics.median(seconds[1:])
        share = planned.flops / took / measured_peak(device.type, planned.dtype)
        held = f"measured {format_bytes(peak)}" if peak else "not measured"
        print(f"  {precision}, {device.type}:", *(f"{loss:.3f}" for loss in losses),
              f"(off by {worst:.2%}); {format_seconds(took)} a step, {planned.flops:.2e} FLOPs, "
              f"{share:.0%} of large products; peak: planned {format_bytes(planned.memory.peak)}, "
              + held)  # fmt: skip
        assert worst < 0.05, f"{recipe.name} in {precision}: {losses} against {expected}"
    if cpu:
        print("  fp16: skipped, it needs a CUDA device")


def check_waiting(recipe, device):
    """Raises where the host waits for the device inside a step."""
    if device.type != "cuda":
        print("\nwaiting for the device: skipped, there is no CUDA device")
        return
    run, batch = start(recipe, "bf16", device)
    train_step(run, iter([(batch, [])]))  # allocates
    torch.cuda.set_sync_debug_mode("error")
    train_step(run, iter([(batch, [])]))
    torch.cuda.set_sync_debug_mode("default")
    print(f"\nwaiting for the device: {recipe.name} takes a step without any")


def check_resume(folder, device):
    """A run that Ctrl-C stops and one that is not end with the same weights."""
    recipe, ends = override(get_recipe("laptop"), TINY_RUN), []
    setups = [prepare(recipe, sample_manifest(), train="samples", held_out=None, progress=False)
              for _ in range(3)]  # fmt: skip
    for setup, name, stop in zip(setups, ("whole", "cut", "cut"), (0, 2, 0), strict=True):
        def evaluate(model, step, stop=stop):
            if step == stop:
                os.kill(os.getpid(), signal.SIGINT)
            return {"matching.text_to_video.r10": 1.0}

        pretrain(setup.model, setup.batches, recipe, output=folder / name, evaluate=evaluate,
                 resume=True, tokenizer=setup.tokenizer, device=device.type, progress=False)
        ends.append([value.detach().cpu() for value in setup.model.state_dict().values()])
    pairs = zip(ends[0], ends[2], strict=True)
    gap = max(float((one.double() - two.double()).abs().max()) for one, two in pairs)
    print(f"\nresume: weights differ by {gap:.1e} at most after 4 steps, 2 of them resumed")
    assert gap == 0 if device.type == "cpu" else gap < 1e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    device = torch.device(parser.parse_args().device)
    prepare_cpu()
    name = torch.cuda.get_device_name() if device.type == "cuda" else "the CPU"
    print(f"{name}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for recipe in recipes(folder, device):
            check_training(recipe, device)
        check_waiting(recipe, device)
        check_resume(folder, device)
        check_two_processes(folder, device)
    print("\nall as it should be")


if __name__ == "__main__":
    main()

r"""What differs when torchrun starts several processes; in a single process all of it does nothing.

    torchrun --nproc-per-node 8 -m snpkit pretrain webvid_swin --data videos

`data.batch_size` counts the samples of ALL processes. The matching losses compare all of them:
`snpkit.model.parallel` gathers the features with gradient and explains why the average over the
processes, which DistributedDataParallel takes, is then the gradient of one process with the joined
batch.

Several machines run the same command, each with the same rendezvous:

    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-id snp-1 \
        --rdzv-endpoint FIRST_MACHINE:29500 -m snpkit pretrain webvid_swin --data /shared/videos \
        --output /shared/runs/webvid_swin

Under SLURM one torchrun per node (`sbatch job.sh`; --resume starts the run where there is none):

    #!/bin/bash
    #SBATCH --nodes=2
    #SBATCH --ntasks-per-node=1
    #SBATCH --gpus-per-node=8
    #SBATCH --cpus-per-task=64
    #SBATCH --time=24:00:00
    #SBATCH --requeue
    first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
    srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node 8 --rdzv-backend c10d \
        --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$first:29500" \
        -m snpkit pretrain webvid_swin --data /shared/videos --output /shared/runs/webvid_swin \
        --resume

The output folder must be one that all machines see: a continuation reads it everywhere.

Batch norm: on GPUs its statistics are those of the joined batch (SyncBatchNorm). The CPU has no
such thing: there each process normalises by its own rows, so that several processes equal one only
where the model has no batch norm, or has it in eval mode.

Nobody waits for ever: every process takes as many batches as the others (an epoch's incomplete last
batch is left out), an unreadable video gives its place to another one, all skip a step or none, and
a process that fails ends the others with it.
"""

import gc
import os

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from snpkit.errors import UserError
from snpkit.model.parallel import (  # noqa: F401 (they are part of this module, too)
    from_first_process,
    gather,
    mean_over_processes,
    rank,
    world_size,
)


def init_if_needed(device: torch.device) -> bool:
    """Join the process group that torchrun describes in the environment; True if there is one.

    Raises:
        UserError: the environment names a group that cannot be joined.
    """
    if dist.is_initialized():
        return True
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return False
    try:
        if device.type == "cuda":
            torch.cuda.set_device(device)
            # gloo beside NCCL: how many rows there are is exchanged without waiting for the GPU.
            dist.init_process_group("cpu:gloo,cuda:nccl", device_id=device)
        else:
            dist.init_process_group("gloo")
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"Cannot join the other processes ({str(error).splitlines()[0]}); "
            "start with torchrun or unset WORLD_SIZE."
        ) from error
    return True


def shutdown() -> None:
    """Leave the process group, if there is one.

    Call it when no model wrapped by `parallelise` is in use any more: what holds on to the group
    must go first. Left to the end it can wait for the group's threads while they wait for it.
    """
    if dist.is_initialized():
        gc.collect()
        dist.destroy_process_group()


def parallelise(model: nn.Module, device: torch.device) -> nn.Module:
    """Wrap the model so that its gradients are averaged over the processes; alone: the model.

    On GPUs the model's batch norms become SyncBatchNorm, in place: parameters and names stay.
    """
    if world_size() == 1:
        return model
    share_statistics(model, device)
    # Tasks may leave parameters unused in a step (a head without labels, a pooler).
    devices = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=devices, find_unused_parameters=True)


def share_statistics(model: nn.Module, device: torch.device) -> None:
    """On a GPU, let the batch norms inside `model` normalise by the batch of all processes."""
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)


def is_main() -> bool:
    """True in the one process that writes files and talks to the user."""
    return rank() == 0


def barrier() -> None:
    """Wait until every process is here."""
    if world_size() > 1:
        dist.barrier()


def any_process(flag: Tensor) -> Tensor:
    """The largest value of `flag` over the processes, elementwise, in every process."""
    if world_size() > 1:
        flag = flag.clone()
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return flag


def gather_names(names: list[str], device: torch.device) -> list[str]:
    """Join lists of strings of all processes; as bytes, so that nothing is pickled."""
    if world_size() == 1:
        return names
    content = "\0".join([*names, ""]).encode(errors="surrogateescape")
    rows = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0)
    joined = gather(rows.to(device, torch.uint8))
    return bytes(joined.tolist()).decode(errors="surrogateescape").split("\0")[:-1]

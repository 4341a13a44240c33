"""Communication between the processes that train one model: sums, rows, bytes, batch statistics.

All data are sent as tensors; nothing is pickled.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from torch import Tensor, distributed
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from gatlabel.batch import Batch


@dataclass(frozen=True)
class Ranks:
    """The connected processes. All must call the same methods in the same order.

    Attributes:
        rank: Number of this process, from 0.
        size: Number of processes.
        local_rank: Number of this process on its machine.
        local_size: Number of processes on its machine.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int

    def mean(self, value: Tensor) -> Tensor:
        """Returns the mean over all processes of a tensor, without gradient."""
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total / self.size

    def weight(self, count: Tensor) -> Tensor:
        """Returns the factor for a mean over ``count`` entries of this process.

        The mean over processes of the products is the mean over all entries. Since processes
        average their gradients, the product has the gradient of the whole batch.

        Args:
            count: A scalar; may differ between processes, and be 0.
        """
        mine = count.detach().to(torch.float64 if count.device.type == "cpu" else torch.float32)
        return (mine / self.mean(mine).clamp(min=1 / self.size)).float()

    def gather(self, rows: Tensor) -> Tensor:
        """Returns the rows of all processes, by rank.

        Args:
            rows: ``(n, ...)``; n may differ between processes.
        """
        count = torch.tensor([len(rows)], device=rows.device)
        counts = [torch.zeros_like(count) for _ in range(self.size)]
        distributed.all_gather(counts, count)
        sizes = [int(c) for c in counts]
        padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
        padded[: len(rows)] = rows.detach()
        parts = [torch.zeros_like(padded) for _ in range(self.size)]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def gather_batch(self, batch: Batch) -> Batch:
        """Returns the whole batch, given the share of this process."""
        return dataclasses.replace(
            batch,
            inputs={name: self.gather(part) for name, part in batch.inputs.items()},
            targets={task: self.gather(part) for task, part in batch.targets.items()},
            index=self.gather(batch.index),
        )

    def broadcast(self, data: bytes = b"") -> bytes:
        """Returns the bytes that the first process passed."""
        count = torch.tensor([len(data)])
        distributed.broadcast(count, 0)
        buffer = torch.zeros(int(count), dtype=torch.uint8)
        if not self.rank:
            buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        distributed.broadcast(buffer, 0)
        return buffer.numpy().tobytes()


class RanksEnvironment(ClusterEnvironment):
    """Describes processes to Lightning that have been started and connected before.

    Args:
        ranks: The processes.
    """

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self.ranks = ranks

    @property
    def creates_processes_externally(self) -> bool:
        """Whether Lightning must not start processes."""
        return True

    @property
    def main_address(self) -> str:
        """Not used: the processes are connected."""
        return ""

    @property
    def main_port(self) -> int:
        """Not used: the processes are connected."""
        return 0

    @staticmethod
    def detect() -> bool:
        """Not used: the environment is passed to the trainer."""
        return False

    def world_size(self) -> int:
        """Number of processes."""
        return self.ranks.size

    def global_rank(self) -> int:
        """Number of this process."""
        return self.ranks.rank

    def local_rank(self) -> int:
        """Number of this process on its machine."""
        return self.ranks.local_rank

    def node_rank(self) -> int:
        """Number of the machine."""
        return self.ranks.rank // self.ranks.local_size

    def set_world_size(self, size: int) -> None:
        """Ignored: it is known."""

    def set_global_rank(self, rank: int) -> None:
        """Ignored: it is known."""


class SharedBatchNorm(TorchFunctionMode):
    """A context in which batch norm in training uses the statistics of the whole batch.

    ``torch.nn.SyncBatchNorm`` supports GPUs only, and would replace the modules of the encoder,
    some of which are subclasses of batch norm.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Replaces ``torch.nn.functional.batch_norm``."""
        if function is F.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


class _Sum(torch.autograd.Function):
    """The sum over all processes, with the gradient of the sum of all their losses."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    axes = [axis for axis in range(x.ndim) if axis != 1]
    shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
    values = x.float()
    count = _Sum.apply(values.new_tensor(float(x.numel() // x.shape[1])))
    mean = _Sum.apply(values.sum(axes)) / count
    centred = values - mean.reshape(shape)
    variance = _Sum.apply(centred.square().sum(axes)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            unbiased = variance * count / (count - 1).clamp(min=1)
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    scaled = centred * (variance + eps).rsqrt().reshape(shape)
    if weight is not None:
        scaled = scaled * weight.reshape(shape)
    if bias is not None:
        scaled = scaled + bias.reshape(shape)
    return scaled.to(x.dtype)

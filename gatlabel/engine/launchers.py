"""Launchers that start several processes: torchrun is supported, others are refused."""

from __future__ import annotations

import os

from gatlabel.errors import InputError

_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# Variables by which other launchers tell a process that it is one of several. SLURM_NTASKS is not
# among them, as it is also set for a job that starts a single process without srun.
_SIZES = {
    "WORLD_SIZE": "not torchrun",
    "OMPI_COMM_WORLD_SIZE": "mpirun",
    "PMI_SIZE": "mpiexec",
    "MV2_COMM_WORLD_SIZE": "mpirun",
    "SLURM_STEP_NUM_TASKS": "srun",
}


def launched_by_torchrun() -> bool:
    """Whether torchrun, or a launcher that sets the same variables, started this process."""
    return all(os.environ.get(name) for name in _TORCHRUN)


def refuse_several_processes(*, torchrun: bool = False) -> None:
    """Checks that this process is not one of several that a launcher has started.

    Each would do all the work and write to the same folder.

    Args:
        torchrun: Whether several processes of torchrun are allowed.

    Raises:
        InputError: If it is; the message names the environment variable.
    """
    if torchrun and launched_by_torchrun():
        return
    for variable, launcher in _SIZES.items():
        size = os.environ.get(variable, "")
        if size.strip().isdigit() and int(size) > 1:
            raise InputError(
                f"{variable}={size}: several processes of this launcher ({launcher}) are not "
                "supported here; to train on several devices start gatlabel train --devices N, or "
                "torchrun --nproc-per-node N -m gatlabel train"
            )

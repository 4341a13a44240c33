"""Training takes one process; a launcher of several is refused before it does harm."""

from __future__ import annotations

import os

from gatlabel.errors import InputError

# How launchers tell a process that it is one of several. SLURM_NTASKS is not among them: it is what
# a job may start, and also set for one that starts a single process without srun.
SIZES = {
    "WORLD_SIZE": "torchrun",
    "OMPI_COMM_WORLD_SIZE": "mpirun",
    "PMI_SIZE": "mpiexec",
    "MV2_COMM_WORLD_SIZE": "mpirun",
    "SLURM_STEP_NUM_TASKS": "srun",
}


def refuse_several_processes() -> None:
    """Makes sure that this process is not one of several that were launched to train together.

    Each would train a model of its own, all into one folder.

    Raises:
        InputError: If it is; the message names the variable that says so.
    """
    for variable, launcher in SIZES.items():
        size = os.environ.get(variable, "")
        if size.strip().isdigit() and int(size) > 1:
            raise InputError(
                f"{variable}={size}: training by several processes ({launcher}) is not supported, "
                "each would train a model of its own: start one process"
            )

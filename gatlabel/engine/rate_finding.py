"""The learning rate of a model at its start, found by a short ramp before training begins."""

from __future__ import annotations

import copy
import itertools
import random
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import DataLoader

from gatlabel.batch import Batch, Item
from gatlabel.data.seeds import mixed
from gatlabel.devices import choose_device
from gatlabel.engine.fitting import precision_of
from gatlabel.engine.module import TrainingModule, clip_gradients
from gatlabel.engine.optimizers import make_optimizer
from gatlabel.engine.options import OptimizerOptions
from gatlabel.engine.probing import Probe
from gatlabel.engine.ramp import WINDOW, Ramp
from gatlabel.engine.specs import FitSpec
from gatlabel.engine.supervised import Supervised
from gatlabel.errors import InputError
from gatlabel.logs import Log
from gatlabel.model import Network

LOWEST, HIGHEST = 1e-5, 10.0  # rates of the head, first and last of the ramp
STEPS = 48  # eight to a decade
SAFETY = 2.0  # a ramp takes one step at each rate, a run many
COLLAPSE = 8.0  # the rate of the collapse over the rate taken, from a start that is not fitted


def find_rate(
    model: Network,
    make_objective: Callable[[], Supervised],
    optimizer: OptimizerOptions,
    spec: FitSpec,
    loader: DataLoader[Item],
    *,
    steps: int = STEPS,
    log: Log = lambda line: None,
) -> float:
    """Finds the largest learning rate of the head that training from this start should use.

    A copy of the model trains on the same batches with the same optimiser, at rates that rise
    exponentially (Smith, *Cyclical learning rates for training neural networks*, WACV 2017,
    section 3.3). All groups keep their factors, so the encoder learns at ``encoder_lr`` times the
    rate and frozen parts stay. After every step the loss is taken on the same probe images, with
    the same dropout: the noise between batches, which other finders smooth away, cancels.

    **A fitted start**, as ridge regression is one: the loss falls by no more than three times its
    standard error over the probe images. Half of the largest rate is taken whose smoothed loss is
    within one such error of the lowest: one that does not destroy the start. Half, since a ramp
    takes one step at each rate and a run many.

    **Another start**, as random weights are one: the loss falls fast, overshoots and settles again
    at higher rates, so where it rises says little. A second ramp begins with the weights of the
    lowest loss, and an eighth of the rate at which that one collapses is taken.

    Args:
        model: The model at its start; neither it nor any random state changes.
        make_objective: Returns an objective, which gives the losses of a ramp.
        optimizer: The optimiser; its ``lr`` is not used.
        spec: How the model is fitted.
        loader: Of training images.
        steps: Steps of the ramp, if the loss does not collapse before.
        log: Called with one line.

    Returns:
        The rate.

    Raises:
        InputError: If the loss is not finite at the start, no label of the training images is
            known, or there are too few steps.
    """
    began = time.perf_counter()
    found = ramp(model, make_objective(), optimizer, spec, loader, steps=steps)
    count = len(found.rates)
    if found.is_fitted():
        rate = found.largest_good() / SAFETY
    else:
        settled = copy.deepcopy(model)
        settled.load_state_dict(found.lowest)
        found = ramp(settled, make_objective(), optimizer, spec, loader, steps=steps)
        count += len(found.rates)
        rate = found.rates[-1] / COLLAPSE if found.collapsed() else found.largest_good() / SAFETY
    rate = float(f"{rate:.3g}")
    seconds = time.perf_counter() - began
    log(f"learning rate: {rate:g}, found in {count} steps of a ramp ({seconds:.1f} s)")
    return rate


def ramp(
    model: Network,
    objective: Supervised,
    optimizer: OptimizerOptions,
    spec: FitSpec,
    loader: DataLoader[Item],
    *,
    steps: int = STEPS,
) -> Ramp:
    """Trains a copy of a model at rising rates until its loss collapses.

    Args:
        model: See :func:`find_rate`, as for all that is not listed here.
        objective: Gives the losses; what it keeps of batches changes, its completions do not.
        optimizer: The optimiser.
        spec: How the model is fitted.
        loader: Of training images.
        steps: Steps of the ramp, if the loss does not collapse before.

    Raises:
        InputError: As :func:`find_rate`.
    """
    if steps < WINDOW:
        raise InputError(f"steps={steps}: a ramp needs at least {WINDOW}")
    device = choose_device(spec.device)
    with _same_random_state(device), closing(_epochs(loader)) as batches:
        copied = copy.deepcopy(model)
        module = TrainingModule(copied, objective, optimizer, spec, len(loader)).to(device)
        trainee = _Trainee(module)
        with trainee.precision:
            probe = Probe(module, batches, max(1, len(loader) // 2))
            start = probe.losses()
        found = Ramp(start)
        if not np.isfinite(start).all():
            raise InputError(
                "lr=find: the loss is not finite before the first step; give a number, then "
                "training names the images"
            )
        for step, rate in enumerate(np.geomspace(LOWEST, HIGHEST, steps).tolist()):
            rate = float(f"{rate:.2g}")
            trainee.step(next(batches).to(device), step, rate)
            with trainee.precision:
                losses = probe.losses()
            if not np.isfinite(losses).all():
                break
            found.add(rate, losses, module.model)
            if found.collapsed():
                break
    if not found.rates:
        raise InputError(f"lr=find: training diverges at a learning rate of {LOWEST:g}")
    return found


class _Trainee:
    """Trains a module step by step, each at a rate of its own, with the optimiser of a run."""

    def __init__(self, module: TrainingModule) -> None:
        self.module = module
        spec, device = module.spec, module.device
        precision = precision_of(spec)
        half = precision == "16-mixed"
        kind = torch.float16 if half else torch.bfloat16
        self.precision = torch.autocast(device.type, kind, enabled=precision != "32-true")
        self.scaler = torch.amp.GradScaler(device.type, enabled=half)
        self.optimizer = make_optimizer(module.model, replace(module.optimization, lr=1.0), spec)
        self.factors = [group["lr"] for group in self.optimizer.param_groups]

    def step(self, batch: Batch, number: int, rate: float) -> None:
        """Takes one step, unless the loss or gradient of the batch is not finite."""
        for group, factor in zip(self.optimizer.param_groups, self.factors, strict=True):
            group["lr"] = rate * factor
        self.optimizer.zero_grad()
        torch.manual_seed(mixed(self.module.spec.seed, number))
        with self.precision:
            loss = self.module.training_step(batch, number)
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.unscale_(self.optimizer)
        limit = self.module.optimization.clip_gradient
        norms = clip_gradients(self.module.auxiliary, self.optimizer, limit)
        # a scaler of gradients skips infinite ones by itself
        judged = [loss.detach()] if self.scaler.is_enabled() else [loss.detach(), *norms]
        if all(bool(torch.isfinite(value)) for value in judged):
            self.scaler.step(self.optimizer)
        self.scaler.update()


@contextmanager
def _same_random_state(device: torch.device) -> Iterator[None]:
    """Restores the random states of torch, NumPy and Python, whatever happens inside."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - of libraries that use it
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def _epochs(loader: DataLoader[Item]) -> Generator[Batch]:
    """Yields the batches of the first epoch, the second and so on; the sampler is left as it is."""
    sampler = loader.sampler
    epoch = getattr(sampler, "epoch", None)
    try:
        for number in itertools.count():
            if epoch is not None:
                sampler.set_epoch(number)  # type: ignore[attr-defined]
            yield from loader
    finally:
        if epoch is not None:
            sampler.set_epoch(epoch)  # type: ignore[attr-defined]

"""Learning-rate finder: a short ramp of rates before training."""

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

LOWEST, HIGHEST = 1e-5, 10.0  # first and last rate of the head
STEPS = 48  # 8 per decade
SAFETY = 2.0  # divisor for a fitted start: a ramp takes one step at each rate, a run many
COLLAPSE = 8.0  # divisor of the rate at which the loss collapses, for other starts


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
    """Finds the largest suitable learning rate of the head for training from this initialisation.

    A copy of the model is trained on the same batches with the same optimiser, at exponentially
    increasing rates (Smith, *Cyclical learning rates for training neural networks*, WACV 2017,
    section 3.3). All parameter groups keep their factors: the encoder has ``encoder_lr`` times the
    rate, and frozen parts stay frozen. After every step the loss is computed on the same probe
    images with the same dropout, so that the noise between batches cancels. Other finders smooth
    it instead.

    **A fitted start**, such as ridge regression: the loss falls by at most three standard errors
    over the probe images. The result is half of the largest rate whose smoothed loss is within one
    standard error of the lowest, so that the initialisation is not destroyed. It is half of that
    rate because a ramp takes one step at each rate, but a run many.

    **Another start**, such as random weights: the loss falls fast, overshoots and recovers at
    higher rates, so that the rate at which it rises is not informative. A second ramp starts with
    the weights of the lowest loss, and the result is an eighth of the rate at which it collapses.

    Args:
        model: The initialised model; neither it nor any random state is changed.
        make_objective: Returns a new objective, which computes the losses of a ramp.
        optimizer: The optimiser; its ``lr`` is not used.
        spec: The fit specification.
        loader: Loader of training images.
        steps: Steps of the ramp, unless the loss collapses before.
        log: Called with one line.

    Returns:
        The rate.

    Raises:
        InputError: If the loss is not finite at the start, the training images have no known label,
            or there are too few steps.
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
    log(f"learning rate: {rate:g}, found by a ramp of {count} steps ({seconds:.1f} s)")
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
    """Trains a copy of a model at increasing rates until its loss collapses.

    Args:
        model: The initialised model; it is not changed.
        objective: Computes the losses; its state changes, except for its completions.
        optimizer: The optimiser; its ``lr`` is not used.
        spec: The fit specification.
        loader: Loader of training images.
        steps: Steps of the ramp, unless the loss collapses before.

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
                "lr=find: the loss is not finite before the first step; give a number, so that "
                "training reports the images"
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
    """Trains a module with the optimiser of a run, with a separate learning rate in each step."""

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
        # a gradient scaler skips steps with infinite gradients itself
        judged = [loss.detach()] if self.scaler.is_enabled() else [loss.detach(), *norms]
        if all(bool(torch.isfinite(value)) for value in judged):
            self.scaler.step(self.optimizer)
        self.scaler.update()


@contextmanager
def _same_random_state(device: torch.device) -> Iterator[None]:
    """Restores the random states of torch, NumPy and Python at the end of the block."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - of libraries that use it
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def _epochs(loader: DataLoader[Item]) -> Generator[Batch]:
    """Yields the batches of successive epochs, and restores the sampler at the end."""
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

"""How much can filling in missing labels gain at most? The ceiling, where the truth is known.

    python benchmarks/studies/completion_ceiling.py [--presets voc coco] [--images 500 2000]

Scenes, half of the training labels hidden, a linear head on frozen features (of the encoder that
``gatlabel benchmark`` trains once on other scenes), started as ridge regression and held there as
it does there. Unknown targets are

- ignored, or filled in by ``complete``;
- filled in with the truth: nothing is missing;
- filled in with ``P(y | known labels)`` under the very distribution that the label sets were drawn
  from: the best that a label graph can say without the image;
- filled in with the logit for the image plus that log-odds, for the start and anew after every
  epoch (EM): image and true graph, and for comparison the image alone;
- filled in with ``P(y | known labels, what can be seen)``: perfect eyes and the true graph.

Writes benchmarks/results/completion-ceiling.json: test mAP of every seed in points.
"""

from __future__ import annotations

import dataclasses
import itertools
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from study import arguments, write_result
from torch import Tensor

from gatlabel.baselines.ridge import ridge_start
from gatlabel.data.scenes import SceneImages
from gatlabel.data.scenes.ising import IsingModel
from gatlabel.data.scenes.label_models import label_model
from gatlabel.experiments import make_config
from gatlabel.experiments.fitting import Features, fit_head, predict
from gatlabel.experiments.optimizing import FitOptions
from gatlabel.experiments.preparation import prepare, read_task
from gatlabel.graph import Cooccurrence
from gatlabel.metrics import mean_average_precision
from gatlabel.missing import make_completion
from gatlabel.nn import LinearHead

HIDDEN = 0.5
FIT = FitOptions(lr=5e-3, anchor_strength=3.0)  # the middle of what gatlabel benchmark tries
Array = NDArray[np.float64]


def gibbs(
    model: IsingModel, known: NDArray[np.bool_], values: Array, log_unseen: float, seed: int,
    sweeps: int = 150, burn_in: int = 30,
) -> Array:  # fmt: skip
    """P(y = 1) of every entry given the known ones, ``(N, L)``, by Gibbs sampling.

    Args:
        model: What label sets are drawn from.
        known: ``(N, L)``.
        values: 0 or 1 where known.
        log_unseen: Added to the field of every unknown label: the log of the chance that a present
            label is not seen, where looking for it found nothing; 0 where nobody looked.
        seed: Of the chains.
        sweeps: Averaged.
        burn_in: Before.
    """
    couplings = model.couplings - model.competition
    couplings = couplings - np.diag(np.diag(couplings))
    rng = np.random.default_rng(seed)
    state = np.where(known, values, 0.0)
    fields = state @ couplings + model.fields
    total = np.zeros_like(state)
    for sweep in range(burn_in + sweeps):
        for label in range(state.shape[1]):
            chance = 1 / (1 + np.exp(-fields[:, label] - log_unseen))
            drawn = rng.random(len(state)) < chance
            new = np.where(known[:, label], values[:, label], drawn)
            fields += (new - state[:, label])[:, None] * couplings[label]
            state[:, label] = new
            if sweep >= burn_in:
                total[:, label] += np.where(known[:, label], values[:, label], chance)
    found: Array = total / sweeps
    return found


class Filled:
    """A completion with fixed values, or with the model's logit added to a log-odds."""

    def __init__(self, targets: Tensor, evidence: Tensor | None = None, warmup: float = 0.3):
        self.targets, self.known = targets, targets >= 0
        self.evidence, self.warmup = evidence, warmup

    def update(self, logits: Tensor, progress: float) -> None:
        """Fills in anew, where there is evidence."""
        if self.evidence is not None and progress >= self.warmup:
            self.targets = self.estimates(logits)

    def estimates(self, logits: Tensor) -> Tensor:
        """Values of all entries; those that are known, or fixed, as they are."""
        if self.evidence is None:
            return self.targets
        return torch.where(self.known, self.targets, torch.sigmoid(logits + self.evidence))


def study(preset: str, images: int, seeds: int) -> dict[str, list[float]]:
    """Test mAP in points of every treatment, a number a seed."""
    scenes: dict[str, Any] = {"data": "scenes", "data.preset": preset, "run.seed": 1}
    config = make_config("graphs", heads=("linear",), **{"data.train_images": images}, **scenes)
    task = read_task(config.train)
    data = prepare(config, task, print)
    source = task.roles.train
    assert isinstance(source, SceneImages)
    model, truth = label_model(source.config), np.asarray(source.targets, dtype=np.float64)
    train, test = (Features(split.files["pooled"].open()) for split in (data.train, data.report))
    test.scale = train.scale
    start = partial(ridge_start, train[np.arange(len(train))])
    judged = torch.from_numpy(data.report.targets)
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        targets = np.asarray(source.targets.mask(HIDDEN, seed))
        known, given = targets >= 0, torch.from_numpy(targets)
        counts = Cooccurrence.from_targets(targets, data.names)
        rates = torch.from_numpy(counts.base_rates).float()
        posterior = gibbs(model, known, truth, 0.0, seed)
        clear = np.clip(posterior, 1e-4, 1 - 1e-4)
        evidence = torch.from_numpy(np.log(clear / (1 - clear))).float() - rates.logit()
        seen = known | source.visible
        sighted = gibbs(model, seen, truth, float(np.log(source.config.hidden)), seed)

        def fill(values: Array, given: Tensor = given) -> Filled:
            return Filled(torch.where(given >= 0, given, torch.from_numpy(values).float()))

        ways = {
            "ignore": Filled(given),
            "complete": make_completion("complete", given, counts.graph("npmi")),
            "the truth": fill(truth),
            "true graph": fill(posterior),
            "image, true graph": Filled(given, evidence),
            "image": Filled(given, torch.zeros_like(evidence)),
            "perfect eyes, true graph": fill(sighted),
        }
        for name, completion in ways.items():
            torch.manual_seed(seed)
            head = LinearHead(train.width, len(data.names))
            fit_head(head, train, given, FIT, seed, completion, start)  # type: ignore[arg-type]
            result = 100 * mean_average_precision(predict(head, test), judged).value
            found.setdefault(name, []).append(round(result, 3))
    return found


def main() -> None:
    parser = arguments(__doc__, seeds=5)
    parser.add_argument("--presets", nargs="+", choices=("voc", "coco"), default=("voc", "coco"))
    parser.add_argument("--images", nargs="+", type=int, default=(500, 2000))
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for preset, images in itertools.product(options.presets, options.images):
        title = f"{preset}, {images} images"
        results[title] = study(preset, images, options.seeds)
        base = np.array(results[title]["ignore"])
        for name, values in results[title].items():
            gain = np.array(values) - base
            error = gain.std(ddof=1) / len(gain) ** 0.5
            print(f"{title}: {name}: {np.mean(values):.2f}, {gain.mean():+.2f} ± {error:.2f}")
    content = {"hidden": HIDDEN, "fit": dataclasses.asdict(FIT), "test mAP": results}
    write_result("completion-ceiling", content)


if __name__ == "__main__":
    main()

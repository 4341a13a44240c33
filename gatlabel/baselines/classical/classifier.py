"""One interface to all classical methods: fit, score, save, load."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from gatlabel.baselines.classical.chain import fit_chains
from gatlabel.baselines.classical.decoded import fit_hmm, fit_pairwise
from gatlabel.baselines.classical.forest import fit_forest
from gatlabel.baselines.classical.known import checked, checked_features
from gatlabel.baselines.classical.linear import fit_linear
from gatlabel.baselines.classical.mlknn import fit_mlknn
from gatlabel.baselines.classical.options import CLASSICAL, ClassicalOptions
from gatlabel.baselines.ridge import ridge_start
from gatlabel.errors import InputError, unknown_choice
from gatlabel.files import atomic_folder, read_json, write_json
from gatlabel.model.head_file import MOST, PLAUSIBLE_WIDTH
from gatlabel.nn import Head, LinearHead
from gatlabel.nn.heads.fitted.base import FittedHead
from gatlabel.nn.heads.table import FITTED_HEADS
from gatlabel.option_values import from_yaml
from gatlabel.options import updated
from gatlabel.saving import read_shapes, read_state, write_state
from gatlabel.values import line_of_text, whole_number

FORMAT = "gatlabel-classifier-1"
DESCRIPTION, WEIGHTS = "classifier.json", "classifier.safetensors"


def _as_linear(weight: Tensor, bias: Tensor) -> LinearHead:
    head = LinearHead(weight.shape[1], len(weight)).double()
    with torch.no_grad():
        head.linear.weight.copy_(weight)
        head.linear.bias.copy_(bias)
    return head


def _linear(kind: str, features: Tensor, targets: Tensor, **options: Any) -> LinearHead:
    return _as_linear(*fit_linear(kind, features, targets, **options))


def _ridge(
    features: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> LinearHead:
    start = ridge_start(features, targets, groups=groups)
    return _as_linear(start.weight, start.bias)


#: The fitting function of each method: features ``(N, D)``, targets ``(N, L)``, seed and groups to
#: a head.
METHODS: dict[str, Callable[..., LinearHead | FittedHead]] = {
    "ridge": _ridge,
    "svm": partial(_linear, "svm"),
    "logistic": partial(_linear, "logistic"),
    "centroid": partial(_linear, "centroid"),
    "forest": fit_forest,
    "mlknn": fit_mlknn,
    "chain": fit_chains,
    "hmm": fit_hmm,
    "pairwise": fit_pairwise,
}


class ClassicalClassifier:
    """A classical method on features that supports unknown and constant labels.

    Each label is learned from the images for which it is known. Soft targets count as present from
    0.5. A label without known positives or without known negatives gets its smoothed frequency.

    Args:
        method: A name of :data:`~gatlabel.baselines.classical.CLASSICAL`, or its options.
        seed: Seed of everything random in the method: folds, samples, orders.

    Raises:
        InputError: If there is no such method.

    Attributes:
        options: The options of the method.
        head: The fitted head, in float64; ``None`` before :meth:`fit`.
    """

    def __init__(self, method: str | ClassicalOptions, seed: int = 0) -> None:
        if isinstance(method, str):
            if method not in CLASSICAL:
                raise unknown_choice("classical method", method, CLASSICAL)
            method = CLASSICAL[method]()
        self.options, self.seed = method, seed
        self.head: LinearHead | FittedHead | None = None

    @torch.no_grad()
    def fit(self, features: Any, targets: Any, groups: Sequence[Hashable] | None = None) -> Self:
        """Fits the method.

        Args:
            features: ``(N, D)``, a tensor or an array.
            targets: ``(N, L)`` in [0, 1], -1 for unknown.
            groups: The group of each image, N values: a patient, a video. Images of one group are
                left out together wherever the method leaves images out.

        Raises:
            InputError: If shapes do not fit or a value is not finite.
            MissingExtraError: If scikit-learn is needed and not installed.
        """
        x, y = checked(features, targets)
        fit = METHODS[self.options.name]
        if groups is not None and len(groups) != len(x):
            raise InputError(f"groups: expected {len(x)} values, got {len(groups)}")
        self.head = fit(x, y, seed=self.seed, groups=groups, **self.options.arguments()).eval()
        return self

    @torch.no_grad()
    def scores(self, features: Any) -> Tensor:
        """Returns logits, float64 ``(N, L)``.

        Args:
            features: ``(N, D)``.

        Raises:
            InputError: If nothing was fitted, or the features are not D wide.
        """
        x = checked_features(features)
        head = self._fitted()
        if x.shape[1] != head.in_features:
            raise InputError(f"features: expected (N, {head.in_features}), got {tuple(x.shape)}")
        logits: Tensor = head(x.double())
        return logits

    def as_head(self) -> Head:
        """Returns the head for a model; a linear method gives a linear head in float32."""
        head = self._fitted()
        return copy.deepcopy(head).float() if isinstance(head, LinearHead) else head

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``classifier.json`` and ``classifier.safetensors``, without pickle.

        Raises:
            InputError: If nothing was fitted, or the files cannot be written.
        """
        head = self._fitted()
        described = {
            "format": FORMAT,
            "method": self.options.to_dict(),
            "labels": head.out_features,
            "head": {"kind": head.kind, **head.config},
        }
        with atomic_folder(
            folder, last=DESCRIPTION, replaces=[DESCRIPTION, WEIGHTS], others=True
        ) as place:
            write_state(head, place / WEIGHTS)
            write_json(place / DESCRIPTION, described)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Loads what :meth:`save` wrote; scikit-learn is not needed.

        Raises:
            InputError: If a file is missing, damaged, or of another format.
        """
        place = Path(folder)
        path = place / DESCRIPTION
        described = read_json(path, "description of a classifier")
        if not isinstance(described, dict) or described.get("format") != FORMAT:
            raise InputError(f"{path} is not of the format {FORMAT!r}")
        try:
            method = described.get("method")
            name = method.get("name") if isinstance(method, dict) else None
            if not isinstance(method, dict) or name not in CLASSICAL:
                raise unknown_choice("classical method", str(name), CLASSICAL)
            assert isinstance(method, dict)
            found = cls(updated(CLASSICAL[name](), method, from_yaml))
            head = _described(described, read_shapes(place / WEIGHTS)).double()
        except InputError as error:
            raise InputError(f"{path} is damaged: {error}") from error
        read_state(head, place / WEIGHTS)
        found.head = head.eval()
        return found

    def _fitted(self) -> LinearHead | FittedHead:
        if self.head is None:
            raise InputError(f"{self.options.name}: not fitted yet, call fit first")
        return self.head


def _described(
    described: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> LinearHead | FittedHead:
    """Makes the head that a file describes; sizes beyond the stored weights are refused."""
    options = dict(described["head"]) if isinstance(described.get("head"), dict) else {}
    kinds: dict[str, Any] = {"linear": LinearHead, **FITTED_HEADS}
    kind = options.pop("kind", None)
    if kind not in kinds:
        raise unknown_choice("head", str(kind), kinds)
    known = inspect.signature(kinds[kind]).parameters
    widest = max([PLAUSIBLE_WIDTH, *(size for shape in shapes.values() for size in shape)])
    values: dict[str, Any] = {}
    for name, value in {"labels": described.get("labels"), **options}.items():
        if name not in known or name == "graph":
            raise unknown_choice("option of the head", str(name), known)
        number = not isinstance(value, str)
        values[name] = (
            whole_number(value, name, 0, min(MOST, widest)) if number else line_of_text(value, name)
        )
    try:
        return kinds[kind](**values)
    except TypeError as error:
        raise InputError(f"head: {error}") from error

"""The options of the classical methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatlabel.nn.options import HeadOptions
from gatlabel.options import option

_STRENGTH = (
    "Inverse strength of the regularisation (C in scikit-learn), the same for all labels, on "
    "features of mean squared length one; by default chosen by cross-validated mAP on the training "
    "images."
)
_DECODE = (
    "From the model of all labels to logits: marginals of each label, or joint: positive for the "
    "jointly most probable label set (Viterbi; max-marginals)."
)


@dataclass(frozen=True, kw_only=True)
class ClassicalOptions(HeadOptions):
    """A classical method, fitted on the features of a frozen encoder."""


@dataclass(frozen=True, kw_only=True)
class Ridge(ClassicalOptions):
    """Ridge regression with a penalty chosen by leave-one-out."""

    name: Literal["ridge"] = "ridge"


@dataclass(frozen=True, kw_only=True)
class SVM(ClassicalOptions):
    """A linear support vector machine per label with calibrated scores (extra classical)."""

    name: Literal["svm"] = "svm"
    c: float | None = option(None, _STRENGTH, above=0, least=0, most=1e9)


@dataclass(frozen=True, kw_only=True)
class Logistic(ClassicalOptions):
    """Logistic regression per label (extra classical)."""

    name: Literal["logistic"] = "logistic"
    c: float | None = option(None, _STRENGTH, above=0, least=0, most=1e9)


@dataclass(frozen=True, kw_only=True)
class Centroid(ClassicalOptions):
    """The nearest class mean per label, with calibrated scores."""

    name: Literal["centroid"] = "centroid"


@dataclass(frozen=True, kw_only=True)
class Forest(ClassicalOptions):
    """A random forest; labels known for the same images share its trees (extra classical)."""

    name: Literal["forest"] = "forest"
    trees: int = option(100, "Number of trees per label.", least=1, most=10_000)
    leaf: int = option(1, "Minimum number of images in a leaf.", least=1, most=10_000)


@dataclass(frozen=True, kw_only=True)
class MLkNN(ClassicalOptions):
    """ML-kNN (Zhang and Zhou, 2007); keeps the features of the training images."""

    name: Literal["mlknn"] = "mlknn"
    neighbours: int = option(10, "Number of neighbours.", least=1, most=1000)
    smoothing: float = option(1.0, "Images added to every count.", above=0, least=0, most=1e9)
    metric: Literal["euclidean", "cosine"] = option("cosine", "Distance between features.")


@dataclass(frozen=True, kw_only=True)
class Chain(ClassicalOptions):
    """Chains of logistic regressions, averaged (Read et al., 2011; extra classical)."""

    name: Literal["chain"] = "chain"
    chains: int = option(10, "Number of chains, each in a random order.", least=1, most=1000)
    c: float | None = option(None, _STRENGTH, above=0, least=0, most=1e9)
    folds: int = option(
        3,
        "Folds for the out-of-fold predictions that a chain learns from; 0 learns from the true "
        "labels, which new images do not have.",
        least=0, most=100,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class HMM(ClassicalOptions):
    """A hidden Markov model over an order of the labels, on ridge regression."""

    name: Literal["hmm"] = "hmm"
    order: Literal["frequency", "dependence", "given"] = option(
        "frequency",
        "Order of the labels: by frequency; by dependence (the most frequent first, then the label "
        "with the most mutual information with the previous one); or as given by the data set.",
    )
    smoothing: float = option(
        1.0, "Images added to the counts of a transition.", above=0, least=0, most=1e9
    )
    decode: Literal["marginals", "joint"] = option("marginals", _DECODE)


@dataclass(frozen=True, kw_only=True)
class Pairwise(ClassicalOptions):
    """A pairwise model of the labels (Ising, conditional random field), on ridge regression."""

    name: Literal["pairwise"] = "pairwise"
    shrinkage: float = option(3.0, "Penalty on the squared couplings.", above=0, least=0, most=1e9)
    decode: Literal["marginals", "joint"] = option("marginals", _DECODE)


CLASSICAL: dict[str, type[ClassicalOptions]] = {
    "ridge": Ridge,
    "svm": SVM,
    "logistic": Logistic,
    "centroid": Centroid,
    "forest": Forest,
    "mlknn": MLkNN,
    "chain": Chain,
    "hmm": HMM,
    "pairwise": Pairwise,
}

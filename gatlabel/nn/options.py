"""The options of heads: constructor arguments, initialisation and weight decay."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from gatlabel.errors import InputError
from gatlabel.options import Options, absolute_place, option
from gatlabel.signatures import derived

#: Values of the option ``similarity``; any other text is a choice computed by a run.
CHOOSE, NOTHING = "auto", "none"
_SHARE = r"0\.\d+|\d(?:\.\d+)?e-\d+"
_NUMBER = r"\d+(?:\.\d+)?(?:e[-+]?\d+)?"
#: Part of such a choice.
SIMILARITY_PART = re.compile(rf"(seen|unseen):([a-z]+)=({_SHARE})|map=({_NUMBER})")


def unseen_source(text: str | None) -> str | None:
    """Returns the source of a choice for labels without known presences and absences, if any."""
    parts = [SIMILARITY_PART.fullmatch(part) for part in (text or "").split()]
    return next((part[2] for part in parts if part and part[1] == "unseen"), None)


_WIDEST = 2**16
_NODE_FEATURES = (
    "Label vectors: svd (of the counts), names, learned, or a file. names embeds the label names "
    "(extra names); a file is npz or GloVe text."
)
_VECTORS = partial(absolute_place, words=("svd", "names", "learned"))
_RESIDUAL_DECAY = "Weight decay of the head's deviation from the linear classifier."
_DROPOUT = "Probability of dropping an attention weight in training."


@dataclass(frozen=True, kw_only=True)
class HeadOptions(Options):
    """A head. Its options depend on its kind."""

    name: str = ""


@dataclass(frozen=True, kw_only=True)
class LinearStart(HeadOptions):
    """A head whose classifiers can be initialised as linear ones."""

    start: Literal["random", "ridge"] | None = option(
        None,
        "Initialisation of the classifiers: random, or ridge: regression on the features of the "
        "pretrained encoder, with the penalty chosen by leave-one-out. By default set by the "
        "recipe (otherwise random).",
        argument=False, benchmark=False,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SharedClassifiers(LinearStart):
    """A head in which similar labels can share classifiers."""

    similarity_weight: float | None = option(
        None,
        "Weight of similar labels in a label's classifier; smaller for labels with many images. "
        "By default 0.5 on a graph of similarity (such as knn of name vectors), otherwise 0.",
        least=0, below=1,
    )  # fmt: skip
    similarity: str | None = option(
        None,
        "Labels that share classifiers: auto (from images) or none. The choice in an "
        "earlier run's config.yaml is taken too. By default set by the recipe (otherwise none).",
        short="similarity", argument=False, benchmark=False,
    )  # fmt: skip
    hierarchy: Path | None = option(
        None,
        "File of an is-a hierarchy (child,parent per line), a further source of similarity. All "
        "labels must be in it; other nodes are allowed.",
        argument=False, moves=True,
    )  # fmt: skip
    residual_decay: float = option(
        0.1, _RESIDUAL_DECAY, least=0, most=1e9, argument=False, training=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        text = self.similarity
        if text in (None, NOTHING):
            return
        if text != CHOOSE and not (text and all(map(SIMILARITY_PART.fullmatch, text.split()))):
            raise InputError(
                f"similarity={text}: expected auto, none, or a choice from a config.yaml, such "
                "as seen:names=0.2 unseen:names=0.8"
            )
        if self.start == "random":
            raise InputError(f"similarity={text}: not for start=random, only for ridge")
        if self.similarity_weight is not None:
            raise InputError(
                f"similarity={text}: not for similarity_weight={self.similarity_weight}, only for "
                "none"
            )


@dataclass(frozen=True, kw_only=True)
class GAT(SharedClassifiers):
    """Graph attention over the label graph (Veličković et al., 2018)."""

    name: Literal["gat", "gatv2"] = "gat"
    node_features: str = option("svd", _NODE_FEATURES, absolute=_VECTORS)
    hidden: int = option(256, "Total width of the inner layer.", least=1, most=_WIDEST)
    heads: int = option(4, "Number of attention heads.", least=1, most=_WIDEST)
    base: Literal["classifiers", "nodes"] = option(
        "classifiers", "Input of the attention: free classifiers, or label vectors (nodes)."
    )
    layers: int = option(2, "nodes: number of graph-attention layers.", least=1, most=1000)
    dropout: float = option(0.0, _DROPOUT, least=0, below=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base == "classifiers":
            if self.layers != type(self).layers:
                raise InputError(f"layers={self.layers}: not for base=classifiers, only for nodes")
            return
        if self.residual_decay != type(self).residual_decay:
            raise InputError(
                f"residual_decay={self.residual_decay}: not for base=nodes, only for classifiers"
            )
        if self.start == "ridge":
            raise InputError("start=ridge: not for base=nodes, only for classifiers")


@dataclass(frozen=True, kw_only=True)
class GATv2(GAT):
    """Graph attention with dynamic scores (Brody et al., 2022)."""

    name: Literal["gatv2"] = "gatv2"


@dataclass(frozen=True, kw_only=True)
class GCN(HeadOptions):
    """The graph convolution of ML-GCN (Chen et al., 2019)."""

    name: Literal["gcn"] = "gcn"
    node_features: str = option("svd", _NODE_FEATURES, absolute=_VECTORS)
    hidden: int = option(1024, "Width of the inner layer.", least=1, most=_WIDEST)


@dataclass(frozen=True, kw_only=True)
class PyG(SharedClassifiers):
    """A graph convolution of torch_geometric."""

    name: Literal["pyg"] = "pyg"
    conv: str = option("TransformerConv", "Name of a class of torch_geometric.nn.conv.")
    hidden: int = option(256, "Width of the convolution.", least=1, most=_WIDEST)


@dataclass(frozen=True, kw_only=True)
class Conditioned(HeadOptions):
    """Messages over the label graph, computed per image."""

    name: Literal["conditioned"] = "conditioned"
    hidden: int = option(256, "Total width of the inner layer.", least=1, most=_WIDEST)
    heads: int = option(4, "Number of attention heads.", least=1, most=_WIDEST)
    steps: int = option(
        2, "Iterations of message passing along the edges; 0 disables it.", least=0, most=1000
    )
    dropout: float = option(0.0, _DROPOUT, least=0, below=1)
    residual_decay: float = option(
        0.1, _RESIDUAL_DECAY, least=0, most=1e9, argument=False, training=True
    )


@dataclass(frozen=True, kw_only=True)
class CSRA(HeadOptions):
    """Class-specific residual attention to the image (Zhu and Wu, 2021), no graph."""

    name: Literal["csra"] = "csra"
    heads: int = option(1, "Number of attention heads.", least=1, most=_WIDEST)
    lam: float = option(
        0.1, "Weight of the attended score relative to the average.", least=0, most=1e9
    )


@dataclass(frozen=True, kw_only=True)
class Query(HeadOptions):
    """A decoder of label queries, as in Query2Label (Liu et al., 2021), no graph."""

    name: Literal["query"] = "query"
    hidden: int = option(256, "Width of the queries.", least=1, most=_WIDEST)
    heads: int = option(8, "Number of attention heads.", least=1, most=_WIDEST)
    layers: int = option(1, "Number of decoder layers.", least=1, most=1000)
    self_attention: bool = option(False, "Labels also attend to each other, as in Query2Label.")
    dropout: float = option(
        0.1, "Probability of dropping an attention weight or unit in training.", least=0, below=1
    )


@dataclass(frozen=True, kw_only=True)
class Linear(LinearStart):
    """One linear classifier per label, no graph."""

    name: Literal["linear"] = "linear"


_WRITTEN: dict[str, type[HeadOptions]] = {
    "gat": GAT,
    "gatv2": GATv2,
    "gcn": GCN,
    "pyg": PyG,
    "conditioned": Conditioned,
    "csra": CSRA,
    "query": Query,
    "linear": Linear,
}
#: By the names of ``gatlabel/nn/heads/table.py``; heads without a class here take the arguments of
#: their constructor.
HEADS: dict[str, type[HeadOptions]] = derived(
    "gatlabel.nn.heads.table", "HEADS", _WRITTEN, {"LinearInit": LinearStart}, HeadOptions
)
#: Of heads of ``sequence`` tasks; the length is an option of the task.
SEQUENCE_HEADS: dict[str, type[HeadOptions]] = derived(
    "gatlabel.nn.heads.table", "SEQUENCE_HEADS", {}, {}, HeadOptions, ignored=("length",)
)

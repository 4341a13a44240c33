"""Which options of a run each head takes, and what is said of those that it does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatlabel.errors import InputError
from gatlabel.graph.spec import GraphSpec
from gatlabel.nn import HEADS, GraphAblatable
from gatlabel.nn.heads.shared_classifier import SharedClassifierHead
from gatlabel.training.config import TrainConfig
from gatlabel.training.option_effects import (
    ELSEWHERE,
    has_effect,
    refuse_without_effect,
    usual_values,
)

_GAT = ("node_features", "hidden", "heads", "base", "layers", "kinship", "dropout")
#: By head, its options as a run calls them.
HEAD_OPTIONS: dict[str, tuple[str, ...]] = {
    "linear": (),
    "gcn": ("node_features", "hidden"),
    "gat": _GAT,
    "gatv2": _GAT,
    "pyg": ("conv", "hidden", "kinship"),
    "conditioned": ("hidden", "heads", "steps", "dropout"),
    "csra": ("heads", "lam"),
    "query": ("hidden", "heads", "decoder_layers", "self_attention", "dropout"),
}
#: What a head itself calls an option, where a run calls it otherwise.
OWN_NAMES = {"decoder_layers": "layers", "kinship": "similarity_weight"}
#: Options that mean the same to all heads that take them; a series of runs may give them to all.
SHARED = ("node_features", "hidden", "heads", "dropout")


#: What is said of them.
KIN_FOR_COMPANY = (
    "the head {} cannot share classifiers along edges of similarity (gat, gatv2 and pyg can); it "
    "treats them as co-occurrence"
)


def takes_kin_for_company(head: str, base: str) -> bool:
    """Whether a head has a graph, but does not let kin share classifiers.

    Args:
        head: Name of the head.
        base: What a gat head starts from.
    """
    kind = HEADS[head]
    plain = base == "nodes" and "base" in HEAD_OPTIONS[head]
    return issubclass(kind, GraphAblatable) and (
        plain or not issubclass(kind, SharedClassifierHead)
    )


def head_options(config: TrainConfig, head: str) -> dict[str, Any]:
    """Returns the options of a head that the run sets, leaving the head's own defaults."""
    options = {OWN_NAMES.get(name, name): getattr(config, name) for name in HEAD_OPTIONS[head]}
    return {name: value for name, value in options.items() if value is not None}


def untaken_options(config: TrainConfig, heads: Sequence[str]) -> list[str]:
    """Lists the options that were given, are for particular heads, and that none of these takes.

    Those that a series of heads shares are not among them.
    """
    return [name for name in _untaken(config, heads) if name not in SHARED]


def _untaken(config: TrainConfig, heads: Sequence[str]) -> list[str]:
    usual = usual_values(config)
    particular = dict.fromkeys(name for names in HEAD_OPTIONS.values() for name in names)
    taken = {name for head in heads for name in HEAD_OPTIONS[head]}
    if config.base != "nodes":  # classifiers have no layers
        taken -= {"layers"}
    return [
        name
        for name in particular
        if name not in taken
        and getattr(config, name) not in usual[name]
        and not any(has_effect(config, way) for way in ELSEWHERE.get(name, ()))
    ]


def refuse_untaken_options(config: TrainConfig) -> None:
    """Refuses options that do nothing: those of other heads than the run's own, and all others.

    Not those that a series of runs gives to all heads: see :func:`notes_on_options`.

    Raises:
        InputError: If such an option was given; the message says what it is for.
    """
    for name in untaken_options(config, [config.head]):
        takers = [head for head, names in HEAD_OPTIONS.items() if name in names]
        given = f"{name}={getattr(config, name)}"
        if config.head in takers:
            raise InputError(f"{given}: not for base={config.base}, only for base=nodes")
        hint = (
            "; its layers are decoder_layers" if (config.head, name) == ("query", "layers") else ""
        )
        raise InputError(f"{given}: not for head={config.head}, only for {', '.join(takers)}{hint}")
    spec = GraphSpec.parse(config.graph)
    takers = [head for head, kind in HEADS.items() if issubclass(kind, GraphAblatable)]
    if spec.options and config.head not in takers and config.unknown != "complete":
        only = f"only for {', '.join(takers)}"
        raise InputError(f"graph={config.graph}: not for head={config.head}, {only}")
    refuse_without_effect(config)


def notes_on_options(config: TrainConfig) -> list[str]:
    """Says which of the options that a series of runs shares do nothing in this one."""
    shared = [name for name in _untaken(config, [config.head]) if name in SHARED]
    return [
        f"note: {name}={getattr(config, name)} is not used: the head {config.head} does not take it"
        for name in shared
    ]

"""Refusal of options that have no effect in combination with options of another part.

Combinations within a part are checked where its options are defined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatlabel.errors import InputError
from gatlabel.graph.spec import GraphSpec
from gatlabel.logs import Log
from gatlabel.nn import HEADS, GraphAblatable, LinearHead
from gatlabel.nn.options import NOTHING
from gatlabel.options import find
from gatlabel.training.classical import (
    is_classical,
    options_of_epochs,
    require_fittable,
    without_effect,
)
from gatlabel.training.config import TrainConfig
from gatlabel.training.recipes import RECIPES
from gatlabel.training.resolving import choices_of


def refuse_without_effect(config: TrainConfig, groups: Sequence[str] | None = None) -> None:
    """Refuses given options that have no effect in combination with the others.

    Args:
        config: The options.
        groups: Names of the groups to look at; default: all.

    Raises:
        InputError: The message names the option and what it has an effect with.
    """
    if is_classical(config):
        require_fittable(config)
    for option, only in _without_effect(config):
        if groups is not None and option.partition(".")[0] not in groups:
            continue
        value = _value(config, option)
        if value not in _not_given(config, option):
            raise InputError(f"{option}={value}: {only}")


def without_ineffective(config: TrainConfig, log: Log) -> TrainConfig:
    """Resets given options that have lost their effect by the choices of a recipe.

    Args:
        config: The resolved options.
        log: Called with a line for each option that is reset.

    Returns:
        Options which :func:`refuse_without_effect` accepts, so that the run can be repeated.
    """
    for option, only in _without_effect(config):
        neutral = _not_given(config, option)
        if (value := _value(config, option)) in neutral:
            continue
        log(f"{option}={value} has no effect: {only}")
        config = config.with_options({option: next(each for each in neutral if each is not None)})
    return config


def given_for_epochs(config: TrainConfig) -> list[str]:
    """Lists given options that have an effect on epochs of training only, as ``name=value``."""
    found = []
    for option in options_of_epochs(config):
        if option == "run.folds":  # which have closed forms too
            continue
        value = _value(config, option)
        unset = [None, *_not_given(config, option)]
        if not option.endswith(".name"):  # the kind of a group determines its other defaults
            unset.append(find(config, option).default)
        if option == "images.augmentation":
            unset.append("none")  # what a run without epochs has
        if value not in unset:
            found.append(f"{option}={value}")
    return found


def _without_effect(config: TrainConfig) -> list[tuple[str, str]]:
    """Lists the options without effect, and what they have an effect with."""
    head, init = config.head.name, config.encoder.init
    kind = HEADS.get(head, LinearHead)
    spec = GraphSpec.parse(config.graph)
    found = list(without_effect(config)) if is_classical(config) else []
    if kind.needs_map:
        pooled = ", ".join(name for name, each in HEADS.items() if not each.needs_map)
        found.append(("encoder.pooling", _only("head", head, pooled)))
        if config.encoder.stages != 1:  # what such heads have
            found.append(("encoder.stages", _only("head", head, pooled)))
    if config.encoder.freeze == "encoder":
        only = _only("encoder.freeze", "encoder", "none, norms")
        found += [(f"optimizer.{name}", only) for name in ("encoder_lr", "depth_decay")]
        found.append(("run.refit", only))
    if config.run.epochs == 0:
        found.append(("run.refit", "not for run.epochs=0, which trains nothing"))
    scenes = config.data.name == "scenes"  # which have another baseline
    if (head, config.run.compare) == ("linear", "yes") and not scenes:
        found.append(("run.compare", "not for head=linear, which would be compared with itself"))
    if not issubclass(kind, GraphAblatable) and not _uses_graph(config):
        over_graph = ", ".join(n for n, each in HEADS.items() if issubclass(each, GraphAblatable))
        if spec.options:
            found.append(("graph", _only("head", head, over_graph)))
    unknown = config.missing.unknown
    if unknown != "complete":
        only = _only("missing.unknown", unknown, "complete")
        found.append(("missing.similarity_weight", only))
    if unknown != "pseudo":
        only = _only("missing.unknown", unknown, "pseudo")
        found.append(("missing.pseudo_by_graph", only))
    elif spec.name == "identity":
        found.append(("missing.pseudo_by_graph", "not for graph=identity, which has no edges"))
    if unknown not in ("complete", "pseudo"):
        only = _only("missing.unknown", unknown, "complete, pseudo")
        found.append(("missing.unlabelled", only))
    if getattr(config.head, "start", None) == "ridge" and init is not None:
        found.append(("head.start", _only("encoder.init", init, "none")))
    for option in ("head.similarity", "head.hierarchy"):
        if getattr(config.head, option.partition(".")[2], None) in (None, NOTHING):
            continue
        if init is not None:
            found.append((option, _only("encoder.init", init, "none")))
        elif spec.name != "conditional":
            found.append((option, _only("graph", config.graph, "conditional")))
    return found


def _uses_graph(config: TrainConfig) -> bool:
    """Whether the treatment of unknown labels uses the label graph."""
    missing = config.missing
    return missing.unknown == "complete" or (
        missing.unknown == "pseudo" and missing.pseudo_by_graph
    )


def _only(option: str, has: Any, known: str) -> str:
    return f"not for {option}={has}, only for {known}"


def _not_given(config: TrainConfig, option: str) -> list[Any]:
    """Returns the values that count as not given: of defaults, recipe and unset options."""
    left_open = TrainConfig(data=config.data)
    found = [_value(TrainConfig(), option), _value(RECIPES[config.recipe.name](), option)]
    return [*found, choices_of(left_open).get(option)]


def _value(config: Any, option: str) -> Any:
    for name in option.split("."):
        config = getattr(config, name, None)
    return config

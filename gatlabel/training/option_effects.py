"""Options that do something only beside certain choices; given beside others, they are refused.

One table: for each option the choices beside which it has an effect. What each head takes is in
:mod:`~gatlabel.training.head_options`, what each kind of data takes in
:mod:`~gatlabel.training.data`.
"""

from __future__ import annotations

import dataclasses
import inspect
import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gatlabel.errors import InputError
from gatlabel.graph import VARIANTS
from gatlabel.nn import HEADS, GraphAblatable
from gatlabel.values import shown

if TYPE_CHECKING:
    from gatlabel.training.config import TrainConfig

#: Values of which an option has to have one, by its name; all of them.
Choices = Mapping[str, tuple[Any, ...]]
GIVEN = ("a given",)  # in their place: any but none
SEVERAL = ("several",)  # in their place: a number above 1
FILES = ("csv", "voc", "coco", "json")


def _both(*groups: Iterable[Choices]) -> tuple[Choices, ...]:
    """All ways to meet one of each group."""
    found: tuple[Choices, ...] = ({},)
    for group in groups:
        found = tuple({**one, **other} for one in found for other in group)
    return found


def _variants(option: str) -> tuple[Choices, ...]:
    """The graphs that are built with an option: a variant, or one that ``random`` rewires."""
    taking = tuple(
        name for name, build in VARIANTS.items() if option in inspect.signature(build).parameters
    )
    return {"graph": taking}, {"graph": ("random",), "graph_base": taking}


_OVER_GRAPH = tuple(name for name, head in HEADS.items() if issubclass(head, GraphAblatable))
_POOLED = tuple(name for name, head in HEADS.items() if not head.needs_map)
_GRAPH_IS_USED: tuple[Choices, ...] = ({"head": _OVER_GRAPH}, {"unknown": ("complete",)})
_TOP_K = tuple(dict.fromkeys(v for o in ("top_k", "k") for v in _variants(o)[0]["graph"]))

#: By option, the choices beside which it has an effect: those of any one of the mappings.
EFFECTS: dict[str, tuple[Choices, ...]] = {
    "preset": ({"recipe": ("auto",)},),
    "time": ({"recipe": ("auto",)},),
    "scene_preset": ({"data": ("scenes",)},),
    "train_pictures": ({"data": ("scenes",)},),
    "test_pictures": ({"data": ("scenes",)},),
    "on_error": ({"data": FILES},),
    "weights": ({"init": (None,)},),
    "start": (
        {"head": ("linear", "pyg"), "init": (None,)},
        {"head": ("gat", "gatv2"), "base": ("classifiers",), "init": (None,)},
    ),
    "similarity": (
        {
            **{"head": ("gat", "gatv2", "pyg"), "start": ("ridge", None), "init": (None,)},
            **{"graph": ("conditional",), "kinship": (None,)},
        },
    ),
    "label_column": ({"label_columns": (None,)},),
    "cache_folder": ({"cache": ("disk",)}, {"start": ("ridge", None)}),
    **dict.fromkeys(("pooling", "stages"), ({"head": _POOLED},)),
    "encoder_lr": ({"freeze": ("none", "norms", None)},),
    "graph_base": _both(_GRAPH_IS_USED, [{"graph": ("random",)}]),
    "graph_given": _both(_GRAPH_IS_USED, _variants("given")),
    "graph_threshold": _both(_GRAPH_IS_USED, _variants("threshold")),
    "graph_top_k": _both(
        _GRAPH_IS_USED, [{"graph": _TOP_K}, {"graph": ("random",), "graph_base": _TOP_K}]
    ),
    "gamma_positive": ({"loss": ("focal", "asl")},),
    "gamma_negative": ({"loss": ("asl",)},),
    "clip": ({"loss": ("asl",)},),
    "shrinkage": (
        {"head": ("gat", "gatv2"), "base": ("classifiers",)},
        {"head": ("pyg", "conditioned")},
    ),
    "warmup": ({"schedule": ("onecycle",)},),
    "step_epochs": ({"schedule": ("step",)},),
    "overwrite": ({"output": GIVEN},),
}
#: Of options that a head takes, what else takes them.
ELSEWHERE: dict[str, tuple[Choices, ...]] = {
    "kinship": ({"unknown": ("complete",)},),
    "node_features": (
        {"graph": ("knn",)},
        {"graph": ("random",), "graph_base": ("knn",)},
    ),
}


def usual_values(config: TrainConfig) -> dict[str, list[Any]]:
    """Returns, by option, the values with which it counts as not given.

    They are the default, that of the recipe, and what a run chooses where the option is left open,
    as its ``config.yaml`` then holds it.
    """
    from gatlabel.training.recipes import RECIPES
    from gatlabel.training.resolving import open_choices

    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    recipe = RECIPES.get(config.recipe)
    found = {name: [value] for name, value in defaults.items()}
    for values in (recipe().to_dict() if recipe else {}, open_choices(config)):
        for name, value in values.items():
            found[name].append(value)
    return found


def refuse_without_effect(config: TrainConfig, decided: Collection[str] = ()) -> None:
    """Refuses options that were given and do nothing beside the others.

    Args:
        config: The options.
        decided: Options that the caller does not take from the config, so that nothing depends on
            them here.

    Raises:
        InputError: The message names the option, and beside which choices it has an effect.
    """
    effects = {
        name: tuple({n: v for n, v in way.items() if n not in decided} for way in ways)
        for name, ways in EFFECTS.items()
        if name not in decided
    }
    refuse(config, effects, usual_values(config))


def refuse(
    config: Any, effects: Mapping[str, Sequence[Choices]], usual: Mapping[str, Sequence[Any]]
) -> None:
    """Refuses options of any record that were given and do nothing.

    Args:
        config: The record.
        effects: As :data:`EFFECTS`; names of choices may be those of inner records, with dots.
        usual: By option, the values with which it counts as not given.

    Raises:
        InputError: As :func:`refuse_without_effect`.
    """
    for name, ways in effects.items():
        value = getattr(config, name)
        if value in usual[name] or any(has_effect(config, way) for way in ways):
            continue
        text = value if isinstance(value, str) else shown(value)
        raise InputError(f"{name}={text}: {_only_for(config, ways)}")


def has_effect(config: Any, way: Choices) -> bool:
    """Whether a config has all these choices."""
    return not _unmet(config, way)


def _unmet(config: Any, way: Choices) -> list[str]:
    return [name for name, values in way.items() if not _is_met(_value(config, name), values)]


def _value(config: Any, name: str) -> Any:
    return operator.attrgetter(name)(config)


def _is_met(value: Any, values: tuple[Any, ...]) -> bool:
    if values is GIVEN:
        return value is not None
    if values is SEVERAL:
        return bool(value > 1)
    return value in values


def _only_for(config: Any, ways: Sequence[Choices]) -> str:
    """Says what is not met: of the first of the ways that lack least."""
    nearest = min(ways, key=lambda way: len(_unmet(config, way)))
    option = _unmet(config, nearest)[0]
    values, has, name = nearest[option], _value(config, option), option.rpartition(".")[2]
    if values in (GIVEN, SEVERAL):
        return f"only with {values[0]} {name}"
    has = ", ".join(has) if isinstance(has, tuple) else "none" if has is None else has  # columns
    listed = ", ".join("none" if value is None else str(value) for value in values)
    return f"not for {name}={has}, only for {listed}"

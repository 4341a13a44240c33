"""Whether options are of their types, in range and go together, before anything is read."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, get_type_hints

from gatlabel.errors import InputError
from gatlabel.graph.spec import GraphSpec
from gatlabel.training.clock import seconds_of
from gatlabel.training.similarity_text import check_text
from gatlabel.values import finite_number, of_type, shown

if TYPE_CHECKING:
    from gatlabel.training.config import TrainConfig

_MANY = 10**6
#: Of every option that is a number, the least and the most it may be. The most keeps out slips of
#: the keyboard that would run for ever or fill the memory; nothing that makes sense is near it.
BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("train_pictures", "test_pictures", "batch_size"), (1, _MANY)),
    "step_epochs": (1, _MANY),
    "folds": (2, 1000),
    "epochs": (0, _MANY),  # 0: the start in closed form is the model
    **dict.fromkeys(("layers", "decoder_layers"), (1, 1000)),
    **dict.fromkeys(("hidden", "heads"), (1, 2**16)),
    **dict.fromkeys(("scene_size", "stride"), (1, 8192)),
    "stages": (1, 64),  # how many there are is found when the encoder is made
    "image_size": (8, 8192),  # what the encoder takes is tried when it is made
    **dict.fromkeys(("gamma_positive", "gamma_negative"), (0, 1000)),
    **dict.fromkeys(("weight_decay", "shrinkage", "clip_gradient"), (0, 1e9)),
    **dict.fromkeys(("encoder_lr", "lam"), (0, 1e9)),
    **dict.fromkeys(("scene_strength", "scene_long_tail"), (0, 2)),
    "fractions": (0, 1),
    "lr": (0, 1e9),
    "max_pixels": (1, 2**40),
    "patience": (0, _MANY),
    "scene_difficulty": (0, 1),
    "seed": (0, 2**32 - 1),
    "steps": (0, 1000),
    "workers": (0, _MANY),  # what the machine can carry is checked where they start
}
#: Shares that may be 0 but not 1.
SHARES = (
    *("ema", "dropout", "kinship", "clip", "warmup", "label_noise", "hide_labels"),
    "scene_hidden",
)


def check_options(config: TrainConfig) -> None:
    """Checks what an option is, and what it may be.

    Values are made plain on the way: numbers of NumPy become Python's, lists tuples, and texts
    paths where an option is one.

    Raises:
        InputError: If a value is of the wrong type, not finite or out of range, or a set of files
            lacks its root; it is named.
    """
    for name, hint in _hints().items():
        object.__setattr__(config, name, of_type(getattr(config, name), name, hint))
    for name, (least, most) in BOUNDS.items():
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and not isinstance(number, str):  # a word in its place
                finite_number(number, name, least, most)
    for name in SHARES:
        value = getattr(config, name)
        if value is None or isinstance(value, str) or 0 <= value < 1:
            continue
        single = ", or single" if name == "hide_labels" else ""
        raise InputError(f"{name}={shown(value)}: must be at least 0 and below 1{single}")
    if abs(sum(config.fractions) - 1) > 1e-6:
        raise InputError(f"fractions={list(config.fractions)}: three shares that add up to 1")
    if config.lr == 0:
        raise InputError(f"lr={config.lr}: must be above 0")
    GraphSpec.parse(config.graph)
    if config.similarity is not None:
        check_text(config.similarity)
    if config.time is not None:
        seconds_of(config.time)
    if config.data != "scenes" and config.root is None:
        raise InputError(f"data={config.data} needs root: the folder of the pictures")


@functools.cache
def _hints() -> dict[str, Any]:
    from gatlabel.training.config import TrainConfig

    return get_type_hints(TrainConfig)

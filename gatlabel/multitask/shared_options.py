"""The options of a label graph that holds the labels of several tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gatlabel.errors import InputError
from gatlabel.graph.spec import GraphSpec
from gatlabel.nn.options import HEADS, HeadOptions
from gatlabel.options import Options, choice, option

#: Kinds of tasks whose outputs are one logit per label.
SHARED_KINDS = ("multilabel", "multiclass")


@dataclass(frozen=True, kw_only=True)
class SharedOptions(Options):
    """One label graph for several tasks."""

    tasks: tuple[str, ...] | None = option(
        None,
        "Names of multilabel and multiclass tasks whose labels are in one graph. Each task's "
        "classifiers are its rows of the head. By default, each task has its own graph.",
    )
    graph: str = option(
        "conditional",
        "The graph over the labels of all these tasks, as in a run with one task. A pair is "
        "counted in images that are labelled for both tasks; equal names are one label.",
        absolute=GraphSpec.absolute_text,
    )
    head: HeadOptions = choice(HEADS, "gat", "From features to the logits of all these labels.")

    def __post_init__(self) -> None:
        super().__post_init__()
        GraphSpec.parse(self.graph)
        if self.tasks is None:
            for name, usual in (("graph", "conditional"), ("head", HEADS["gat"]())):
                if getattr(self, name) != usual:
                    raise InputError(f"{name}: only with shared.tasks, which tasks share it")
        elif len(set(self.tasks)) < max(len(self.tasks), 2):
            raise InputError(f"tasks={','.join(self.tasks)}: give the names of two or more tasks")
        require_plain_head(self.head, "shared", ["start"])


def require_plain_head(head: HeadOptions, where: str, known: Sequence[str]) -> None:
    """Refuses options of a head that are supported with one task only.

    Args:
        head: The options.
        where: The owner of the head, for the message.
        known: The names of such options.

    Raises:
        InputError: The message names the option.
    """
    for name, field in head.__dataclass_fields__.items():
        if name == "name" or field.metadata["argument"] or name in known:
            continue
        if getattr(head, name) != field.default:
            raise InputError(f"{where}: head.{name}: not for several tasks")

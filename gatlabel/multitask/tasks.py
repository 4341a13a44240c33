"""The options of one of several tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gatlabel.baselines.classical.options import CLASSICAL
from gatlabel.data.options import DATA, DataOptions
from gatlabel.decisions.options import DecisionOptions
from gatlabel.errors import InputError, nearest, unknown_choice
from gatlabel.graph.spec import GraphSpec
from gatlabel.losses.options import LOSSES, DistillationOptions, LossOptions
from gatlabel.missing.options import MissingOptions
from gatlabel.multitask.shared_options import require_plain_head
from gatlabel.nn.options import HEADS, SEQUENCE_HEADS, HeadOptions
from gatlabel.option_values import from_text
from gatlabel.options import Options, choice, differing, group, nested, option, updated

#: The content of a column, as given on the command line, and its kind of task.
COLUMNS: dict[str, Literal["multilabel", "multiclass", "regression", "sequence"]] = {
    "labels": "multilabel",
    "class": "multiclass",
    "number": "regression",
    "sequence": "sequence",
}
#: Options that one kind of task has.
_OWNERS = {"graph": "multilabel", "length": "sequence", "order": "sequence"}
#: The option of decisions that multi-class tasks have.
CLASS_CALIBRATION = ("multiclass", "calibrate", "temperature")
_GROUPS = ("missing", "distillation", "decision")
_WORD = re.compile(r"(?P<name>[^=]+)=(?P<kind>[^:]+)(?P<rest>(:.+)?)")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class NoData(DataOptions):
    """No data set of its own."""

    name: Literal["none"] = "none"


@dataclass(frozen=True, kw_only=True)
class KindLoss(LossOptions):
    """The loss of the kind of task: bce, cross-entropy, or the squared error."""

    name: Literal["default"] = "default"


@dataclass(frozen=True, kw_only=True)
class SquaredError(LossOptions):
    """The squared error of numbers."""

    name: Literal["squared"] = "squared"


@dataclass(frozen=True, kw_only=True)
class AbsoluteError(LossOptions):
    """The absolute error of numbers."""

    name: Literal["absolute"] = "absolute"


@dataclass(frozen=True, kw_only=True)
class HuberError(LossOptions):
    """The Huber loss of numbers, squared below one standard deviation."""

    name: Literal["huber"] = "huber"


@dataclass(frozen=True, kw_only=True)
class PredictedAlignment(LossOptions):
    """Labels in any order; those that were predicted keep their step (PLA)."""

    name: Literal["pla"] = "pla"


@dataclass(frozen=True, kw_only=True)
class MinimalAlignment(LossOptions):
    """Labels in any order, assigned to the steps at the least loss (MLA)."""

    name: Literal["mla"] = "mla"


@dataclass(frozen=True, kw_only=True)
class KindHead(HeadOptions):
    """The head of the kind of task: linear, or rnn for a sequence."""

    name: Literal["default"] = "default"


TASK_DATA: dict[str, type[DataOptions]] = {"none": NoData, **DATA}
#: Losses of each kind of task besides its default.
KIND_LOSSES: dict[str, Mapping[str, type[LossOptions]]] = {
    "multilabel": LOSSES,
    "multiclass": {},
    "regression": {"squared": SquaredError, "absolute": AbsoluteError, "huber": HuberError},
    "sequence": {"pla": PredictedAlignment, "mla": MinimalAlignment},
}
#: Heads of each kind of task; the default is the first, or linear.
KIND_HEADS: dict[str, Mapping[str, type[HeadOptions]]] = {
    "multilabel": HEADS,
    "multiclass": {"linear": HEADS["linear"]},
    "regression": {"linear": HEADS["linear"]},
    "sequence": SEQUENCE_HEADS,
}
KIND_HEAD = {"sequence": "rnn"}
TASK_HEADS: dict[str, type[HeadOptions]] = {"default": KindHead, **HEADS, **SEQUENCE_HEADS}
TASK_LOSSES: dict[str, type[LossOptions]] = {"default": KindLoss}
for _losses in KIND_LOSSES.values():
    TASK_LOSSES |= _losses


@dataclass(frozen=True, kw_only=True)
class TaskOptions(Options):
    """One of the tasks of a model."""

    name: str = option("", "Name of the task: letters, digits, _ and -.")
    kind: Literal["multilabel", "multiclass", "regression", "sequence"] = option(
        "multilabel", "What is predicted: any labels, one class, numbers, or labels in order."
    )
    column: tuple[str, ...] | None = option(
        None,
        "Column of a CSV file with the targets; an empty cell is not labelled. Several columns are "
        "several numbers, or one label each. None reads multi-label data as in a run with one "
        "task.",
    )
    data: DataOptions = choice(TASK_DATA, "none", "The task's own data set.")
    graph: str | None = option(
        None,
        "multilabel: the label graph, as in a run with one task; by default conditional.",
        absolute=GraphSpec.absolute_text,
    )
    head: HeadOptions = choice(
        TASK_HEADS, "default", "From features to outputs; default is linear, or rnn of sequences.",
        elsewhere=dict.fromkeys(CLASSICAL, "not for several tasks, only for a run with one"),
    )  # fmt: skip
    loss: LossOptions = choice(TASK_LOSSES, "default", "What training minimises.")
    length: int | None = option(
        None, "sequence: maximum length; by default that in the data.", least=1, most=4096
    )
    order: Literal["given", "frequent", "rare"] = option(
        "given",
        "sequence: order of the true labels: given, or by frequency in the training images, the "
        "most frequent or the rarest first. The losses pla and mla learn any order.",
    )
    missing: MissingOptions = group(
        MissingOptions, "multilabel: unknown and wrong training labels."
    )
    distillation: DistillationOptions = group(
        DistillationOptions, "multilabel: what training learns from another model."
    )
    decision: DecisionOptions = group(
        DecisionOptions,
        "multilabel: from probabilities to label sets; multiclass: calibrate=temperature only.",
    )
    weight: float = option(1.0, "Weight of the loss, with balancing=fixed.", least=0, most=1e9)

    def __post_init__(self) -> None:
        if isinstance(self.column, str):
            object.__setattr__(self, "column", (self.column,))
        super().__post_init__()
        if self.head.name == "default":
            head = TASK_HEADS[KIND_HEAD.get(self.kind, "linear")]()
            object.__setattr__(self, "head", head)
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"name={self.name!r}: a task needs a name that begins with a letter and has "
                "letters, digits, _ and -"
            )
        if self.name in ("source", "error"):
            raise InputError(f"name={self.name}: predictions have a field of this name")
        if self.graph is not None:
            GraphSpec.parse(self.graph)
        self._check_kind()

    def _check_kind(self) -> None:
        """Refuses options of other kinds of tasks."""
        kind, column = self.kind, self.column or ()
        where = f"task {self.name!r}"
        for name, owner in _OWNERS.items():
            value = getattr(self, name)
            if value not in (None, "given") and kind != owner:
                raise InputError(f"{where}: {name}={value}: not for kind={kind}, only for {owner}")
        if self.head.name not in KIND_HEADS[kind]:
            heads = ", ".join(KIND_HEADS[kind])
            raise InputError(
                f"{where}: head={self.head.name}: not for kind={kind}, which has {heads}"
            )
        for name in _GROUPS if kind != "multilabel" else ():
            own = getattr(self, name)
            for inner in differing(type(own)(), own):
                if (kind, inner, getattr(own, inner)) == CLASS_CALIBRATION:
                    continue
                raise InputError(
                    f"{where}: {name}.{inner}={getattr(own, inner)}: not for kind={kind}, only for "
                    "multilabel"
                )
        loss = self.loss.name
        if loss != "default" and loss not in KIND_LOSSES[kind]:
            others = ", ".join(["default", *KIND_LOSSES[kind]])
            raise InputError(f"{where}: loss={loss}: not for kind={kind}, which has {others}")
        if self.column == () or len(set(column)) < len(column):
            raise InputError(f"{where}: column={list(column)}: give different columns")
        if len(column) > 1 and kind in ("multiclass", "sequence"):
            raise InputError(f"{where}: kind={kind} has one column, not {len(column)}")
        require_plain_head(self.head, where, ["start"])
        if column and self.missing.unlabelled is not None:
            raise InputError(
                f"{where}: missing.unlabelled={self.missing.unlabelled}: not for a task with a "
                "column, only for one with a data set of its own"
            )


def read_task(word: str) -> TaskOptions:
    """Returns a task like ``things=labels:labels`` or ``size=number:width,height``.

    Options of the task may follow the column: ``story=sequence:order:loss=pla:head.beam=4``.
    Without a column, data are read as in a run with one task: ``story=sequence:head=transformer``.

    Raises:
        InputError: If the word has another form, there is no such kind, or the name is wrong.
    """
    found = _WORD.fullmatch(word)
    if found is None:
        kinds = "|".join(COLUMNS)
        raise InputError(f"task {word!r}: give NAME={kinds}:COLUMN, as in things=labels:labels")
    if found["kind"] not in COLUMNS:
        raise unknown_choice(f"kind of the task {found['name']!r}", found["kind"], COLUMNS)
    rest, given = _with_options(found["rest"])
    columns = [column.strip() for column in rest[1:].split(",")]  # after the colon
    task = TaskOptions(
        name=found["name"], kind=COLUMNS[found["kind"]], column=tuple(columns) if rest else None
    )
    made: TaskOptions = updated(task, nested(given), from_text)
    return made


def _with_options(text: str) -> tuple[str, dict[str, str]]:
    """Splits ``:COLUMN:OPTION=VALUE:…``; a colon in the name of a column stays."""
    given: dict[str, str] = {}
    while True:
        before, colon, last = text.rpartition(":")
        name, equals, value = last.partition("=")
        known = name.partition(".")[0] in _GIVEN
        if colon and equals and not known and nearest(name, _GIVEN):
            raise unknown_choice("option of a task", name, _GIVEN)
        if not colon or not equals or not known:
            return text, dict(reversed(given.items()))
        text, given[name] = before, value


#: Options that may follow a column.
_GIVEN = {*TaskOptions.__dataclass_fields__} - {"name", "kind", "column", "data"}

"""A model with one or several inputs and tasks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from gatlabel.batch import FEATURES, IMAGE
from gatlabel.decisions.by_task import Decisions, decisions_of, save_decisions
from gatlabel.decisions.decision import FILE as DECISIONS
from gatlabel.encoders import Encoder
from gatlabel.encoders.preprocessing import Preprocessing
from gatlabel.errors import InputError, unknown_choice
from gatlabel.files import atomic_folder, write_json
from gatlabel.labels import LabelSet
from gatlabel.model.formats import FILE, TASKS_FORMAT
from gatlabel.model.fusion import FUSIONS
from gatlabel.model.network import Inputs, Network
from gatlabel.model.shared_graph import SharedGraph, require_members
from gatlabel.model.sharing import ADAPTERS
from gatlabel.model.tasks_file import SHARED_GRAPH, WEIGHTS, graph_file, read_tasks_file
from gatlabel.nn.heads.rows import RowsHead
from gatlabel.nn.identity import Identity
from gatlabel.nn.pooling import POOLINGS, StagePool
from gatlabel.saving import read_shapes, read_state, write_state
from gatlabel.tasks import MultiClassTask, MultiLabelTask, Task
from gatlabel.tasks.task import by_name


class Model(Network):
    """Encoders by input, a fusion of their features, and a head for each task.

    Without an encoder, the input ``features`` provides the shared features.

    Args:
        encoders: By the names of inputs: an :class:`~gatlabel.encoders.Encoder` of images, or any
            module with ``out_features`` D from its input to ``(B, D)``.
        tasks: The tasks, with unique names.
        fusion: Name of a fusion of the features of several inputs (``concatenation``).
        adapter: Modules between shared features and heads: ``none`` (hard sharing), ``adapter`` or
            ``cross_stitch`` (see :mod:`gatlabel.model.sharing`).
        pooling: Name of a pooling of image features; unused by heads that take maps.
        resize: How whole images are resized to ``image_size`` (``squash``, ``pad``, ``crop``).
        image_size: Side of the images in pixels; default: the encoder's preferred one.
        shared: A label graph with the labels of several tasks, whose heads are made by
            :meth:`~gatlabel.model.shared_graph.SharedGraph.rows`.

    Raises:
        InputError: If widths do not fit together, or a name is unknown.

    Shapes:
        inputs, B rows each (images uint8 or float ``(B, 3, H, W)``) -> outputs by task.

    Example:
        >>> from gatlabel.encoders import create_encoder
        >>> from gatlabel.nn import LinearHead
        >>> from gatlabel.tasks import MultiLabelTask, RegressionTask
        >>> encoder = create_encoder("shufflenet_v2_x0_5")
        >>> things = MultiLabelTask("things", ["cat", "dog"], LinearHead(1024, ["cat", "dog"]))
        >>> count = RegressionTask("count", ["animals"], LinearHead(1024, ["animals"]))
        >>> model = Model({"image": encoder}, [things, count]).eval()
        >>> outputs = model({"image": torch.zeros(2, 3, 32, 32, dtype=torch.uint8)})
        >>> outputs["things"].shape, outputs["count"].shape
        (torch.Size([2, 2]), torch.Size([2, 1]))
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        tasks: Sequence[Task],
        *,
        fusion: str = "concatenation",
        adapter: str = "none",
        pooling: str = "average",
        resize: str = "squash",
        image_size: int | None = None,
        shared: SharedGraph | None = None,
    ) -> None:
        super().__init__()
        for what, name, known in (
            ("fusion", fusion, FUSIONS),
            ("adapter", adapter, ADAPTERS),
            ("pooling", pooling, POOLINGS),
        ):
            if name not in known:
                raise unknown_choice(what, name, known)
        self._tasks, self._inputs = by_name(tasks), tuple(encoders)
        self.fusion_name, self.adapter_name, self.pooling_name = fusion, adapter, pooling
        self.preprocessing = _preprocessing(encoders, resize, image_size)
        require_members(shared, self._tasks)
        self.shared = shared
        # by what takes features: heads of tasks by their names, and the shared graph by none
        members = {task.name for task in tasks if isinstance(task.head, RowsHead)}
        self._branches = {None if task.name in members else task.name: task.head for task in tasks}
        if shared is not None:
            self._branches[None] = shared.head
        self.maps = any(getattr(head, "needs_map", False) for head in self._branches.values())
        if self.maps and encoders:
            _require_map(encoders)
        # ModuleList, since ModuleDict refuses names that are attributes of a dictionary
        self._encoders = nn.ModuleList(
            each.to(memory_format=torch.channels_last) if isinstance(each, Encoder) else each
            for each in encoders.values()
        )
        self.pools = nn.ModuleList(_pool(each, pooling) for each in encoders.values())
        widths = [_width(name, each) for name, each in encoders.items()]
        if not encoders:
            widths = [int(getattr(next(iter(self._branches.values())), "in_features", 0))]
        self.fusion = FUSIONS[fusion](widths)
        self.width: int = self.fusion.out_features  # type: ignore[assignment]
        if self.maps and adapter != "none":
            raise InputError(f"adapter={adapter}: not for heads that take feature maps")
        self.adapter = ADAPTERS[adapter](len(self._branches), self.width)
        self.heads = nn.ModuleList(task.head for task in tasks)
        for branch, head in self._branches.items():
            width = getattr(head, "in_features", self.width)
            if width != self.width:
                whose = "the shared graph" if branch is None else f"the task {branch!r}"
                raise InputError(
                    f"the head of {whose} takes {width} features, but the encoders give "
                    f"{self.width}"
                )

    @property
    def encoders(self) -> Mapping[str, nn.Module]:
        """The encoders by the names of their inputs."""
        return dict(zip(self._inputs, self._encoders, strict=True))

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks by name."""
        return self._tasks

    @property
    def image_size(self) -> int | None:
        """Side of the images in pixels; ``None`` without an encoder of images."""
        return None if self.preprocessing is None else self.preprocessing.size

    def identity(self) -> Identity:
        """Tasks, inputs and the modules between them; heads have their own identity."""
        tasks = [[task.kind, name, list(task.outputs)] for name, task in self._tasks.items()]
        parts: Identity = {"fusion": self.fusion_name, "adapter": self.adapter_name}
        return {"tasks": tasks, "inputs": list(self._inputs), **parts}

    def features(self, inputs: Inputs) -> Tensor:
        """Returns the shared features ``(B, D)``, or the map ``(B, D, h, w)`` if a head takes maps.

        Args:
            inputs: Inputs by name, or a tensor if there is only one.

        Raises:
            InputError: If an input is missing.
        """
        names = self._inputs or (FEATURES,)
        if isinstance(inputs, Tensor):
            if len(names) > 1:
                raise InputError(f"give the inputs by name: {', '.join(names)}")
            inputs = {names[0]: inputs}
        missing = [name for name in names if name not in inputs]
        if missing:
            raise InputError(
                f"the model takes the input {missing[0]!r}, but there is only {', '.join(inputs)}"
            )
        if not self._inputs:
            return inputs[FEATURES]
        parts = [
            self._encoded(encoder, pool, inputs[name])
            for name, encoder, pool in zip(names, self._encoders, self.pools, strict=True)
        ]
        fused: Tensor = self.fusion(parts)
        return fused

    def _encoded(self, encoder: nn.Module, pool: nn.Module, given: Tensor) -> Tensor:
        """Returns the features of one input."""
        if not isinstance(encoder, Encoder):
            return encoder(given)
        found = encoder.of_images(given)
        return found if self.maps else pool(found)  # type: ignore[return-value]

    def task_features(self, features: Tensor) -> dict[str, Tensor]:
        """Returns the input of each task's head, computed from the shared features."""
        if self.maps:
            pooled = self.pools[0](features) if self.pools else features
            given = {
                name: features if getattr(head, "needs_map", False) else pooled
                for name, head in self._branches.items()
            }
        else:
            given = dict(zip(self._branches, self.adapter(features), strict=True))
        if self.shared is None:
            return {name: given[name] for name in self._tasks}
        logits = self.shared(given[None])  # of all labels of the graph, once for all its tasks
        return {name: given.get(name, logits) for name in self._tasks}

    def all_heads(self) -> list[nn.Module]:
        """Returns the heads of the tasks, and that of the shared graph."""
        return [*super().all_heads(), *([] if self.shared is None else [self.shared.head])]

    def replace_head(self, branch: str | None, head: nn.Module) -> None:
        """Takes another head for one of :attr:`branches`, with equal widths."""
        if branch in self._branches:
            self._branches[branch] = head

    @property
    def branches(self) -> list[str | None]:
        """What takes features, in order: the heads of tasks by name, the shared graph as none."""
        return list(self._branches)

    @property
    def decisions(self) -> Decisions:
        """The decisions of multi-label tasks and of calibrated multi-class tasks by name."""
        decided = (MultiLabelTask, MultiClassTask)
        found = {n: t.decision for n, t in self._tasks.items() if isinstance(t, decided)}
        return {name: own for name, own in found.items() if own is not None}

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Returns the outputs of each task, of B rows each."""
        return self.outputs(inputs)

    @property
    def config(self) -> dict[str, Any]:
        """Primitives that, with graphs and weights, restore the model."""
        return {
            "format": TASKS_FORMAT,
            "inputs": [
                {"name": name, "encoder": each.config if isinstance(each, Encoder) else None}
                for name, each in self.encoders.items()
            ],
            "fusion": self.fusion_name,
            "adapter": self.adapter_name,
            "pooling": self.pooling_name,
            "resize": "squash" if self.preprocessing is None else self.preprocessing.resize,
            "image_size": self.image_size,
            "tasks": [_described(task) for task in self._tasks.values()],
            **({} if self.shared is None else {"shared": self.shared.config}),
        }

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``model.json``, the weights, label graphs, and the decisions of the tasks.

        All files appear together, ``model.json`` last, and replace those of another model. Other
        files in the folder are kept.

        Raises:
            InputError: If they cannot be written, or a head is not a :class:`~gatlabel.nn.Head`.
        """
        config = self.config
        graphs = {
            graph_file(name): task.graph  # type: ignore[attr-defined]
            for name, task in self._tasks.items()
            if getattr(task, "graph", None) is not None
        }
        if self.shared is not None:
            graphs[SHARED_GRAPH] = self.shared.graph
        files = [FILE, WEIGHTS, DECISIONS, *graphs]
        with atomic_folder(folder, last=FILE, replaces=files, others=True) as at:
            for file, graph in graphs.items():
                graph.save(at / file)
            write_state(self, at / WEIGHTS)
            save_decisions(at, self.decisions)
            write_json(at / FILE, config)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        *,
        encoders: Mapping[str, nn.Module] | None = None,
    ) -> Self:
        """Loads a model that :meth:`save_pretrained` wrote, in evaluation mode on the CPU.

        Tasks get the default losses of their kinds, since losses are not saved.

        Args:
            folder: The folder.
            encoders: Encoders that are your own modules, by input name (their weights are loaded).

        Raises:
            InputError: If a file is missing, damaged, or of another format.
        """
        place = Path(folder)
        shapes = read_shapes(place / WEIGHTS)
        made, tasks, options = read_tasks_file(place, shapes, encoders or {})
        model = cls(made, tasks, **options)
        read_state(model, place / WEIGHTS)
        labels, classes = (
            {name: LabelSet(own.outputs) for name, own in model.tasks.items() if own.kind == kind}
            for kind in (MultiLabelTask.kind, MultiClassTask.kind)
        )
        found = decisions_of(place, labels, classes)
        for name, decision in found.items():
            model.tasks[name].decision = decision  # type: ignore[attr-defined]
        return model.eval()


def _described(task: Task) -> dict[str, Any]:
    kind = getattr(task.head, "kind", None)
    if kind is None:
        raise InputError(
            f"the head of the task {task.name!r} is a {type(task.head).__name__}: only heads of "
            "gatlabel can be saved with a model"
        )
    return {**task.config, "head": {"kind": kind, **task.head.config}}  # type: ignore[dict-item]


def _preprocessing(
    encoders: Mapping[str, nn.Module], resize: str, size: int | None
) -> Preprocessing | None:
    """Returns the preprocessing of the input ``image`` in evaluation."""
    encoder = encoders.get(IMAGE)
    if not isinstance(encoder, Encoder):
        return None
    own = encoder.image_size if size is None else size
    return replace(encoder.preprocessing, size=own, resize=resize)


def _require_map(encoders: Mapping[str, nn.Module]) -> None:
    (encoder, *others) = encoders.values()
    if others or not isinstance(encoder, Encoder) or encoder.stages > 1:
        raise InputError(
            "a head that takes feature maps is for models with one encoder of images of one stage"
        )


def _pool(encoder: nn.Module, pooling: str) -> nn.Module:
    if not isinstance(encoder, Encoder):
        return nn.Identity()
    return StagePool(pooling, encoder.stages) if encoder.stages > 1 else POOLINGS[pooling]()


def _width(name: str, encoder: nn.Module) -> int:
    if isinstance(encoder, Encoder):
        return encoder.pooled_features
    width = getattr(encoder, "out_features", None)
    if not isinstance(width, int):
        raise InputError(
            f"the encoder of the input {name!r} has no out_features: give it the width of its "
            "features"
        )
    return width

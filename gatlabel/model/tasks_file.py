"""``model.json`` of a model with tasks, read as untrusted data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from gatlabel.encoders.description import EncoderDescription
from gatlabel.encoders.encoder import OWN_MODULE, Encoder
from gatlabel.encoders.sizes import MOST_PIXELS, RESIZES
from gatlabel.errors import InputError, MissingExtraError, first_line
from gatlabel.files import read_json
from gatlabel.graph import LabelGraph
from gatlabel.labels import LabelSet, labels_of
from gatlabel.model.formats import FILE, TASKS_FORMAT
from gatlabel.model.fusion import FUSIONS
from gatlabel.model.head_file import HeadDescription, check_sizes, choice, table
from gatlabel.model.shared_graph import SharedGraph
from gatlabel.model.sharing import ADAPTERS
from gatlabel.nn import HEADS, Head
from gatlabel.nn.heads.rows import RowsHead
from gatlabel.nn.heads.table import SEQUENCE_HEADS
from gatlabel.nn.pooling import POOLINGS
from gatlabel.saving import Shapes, require_file
from gatlabel.tasks import TASKS, Task
from gatlabel.values import finite_number, line_of_text, shown, truth_value, whole_number

WEIGHTS = "model.safetensors"
SHARED_GRAPH = "graph.json"  # of several tasks
MOST_TASKS = 1000
#: The supported heads of each kind of task.
_HEADS = dict.fromkeys(TASKS, HEADS) | {"sequence": SEQUENCE_HEADS}
Made = tuple[dict[str, nn.Module], list[Task], dict[str, Any]]


def graph_file(task: str) -> str:
    """Returns the name of the file of a task's label graph."""
    return f"graph-{task}.json"


def read_tasks_file(folder: Path, shapes: Shapes, encoders: Mapping[str, nn.Module]) -> Made:
    """Reads ``model.json`` and the label graphs of a folder.

    Args:
        folder: The folder.
        shapes: The shapes of the saved tensors by name.
        encoders: Encoders that are your own modules, by input name.

    Returns:
        Encoders by input and tasks, with random weights, and the other arguments of the model.

    Raises:
        InputError: If a file is missing or of another format, or a value is invalid; the message
            names file and value.
    """
    path = folder / FILE
    require_file(path, "model description")
    config = read_json(path, "model description")
    if not isinstance(config, dict) or config.get("format") != TASKS_FORMAT:
        raise InputError(
            f"{path} is not of the format {TASKS_FORMAT!r}: a model with one head is loaded by "
            "MultiLabelClassifier.from_pretrained"
        )
    try:
        return _made(config, folder, shapes, encoders)
    except MissingExtraError:
        raise
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # raised by a network that does not take the options
        raise InputError(f"{path} is damaged: {first_line(error)}") from error


def _made(
    config: Mapping[str, Any], folder: Path, shapes: Shapes, encoders: Mapping[str, nn.Module]
) -> Made:
    inputs, tasks = (_list(config, name) for name in ("inputs", "tasks"))
    size = config.get("image_size")
    options: dict[str, Any] = {
        "fusion": choice(config.get("fusion"), "fusion", FUSIONS),
        "adapter": choice(config.get("adapter"), "adapter", ADAPTERS),
        "pooling": choice(config.get("pooling"), "pooling", POOLINGS),
        "resize": choice(config.get("resize"), "resize", RESIZES),
        "image_size": size if size is None else whole_number(size, "image_size", 1, MOST_PIXELS),
    }
    made = {}
    for each in inputs:
        name = line_of_text(each.get("name"), "inputs.name")
        made[name] = _encoder(name, each, encoders)
    shared = _shared(config, folder, shapes) if config.get("shared") is not None else None
    if shared is not None:
        options["shared"] = shared
    return made, [_task(each, folder, shapes, shared) for each in tasks], options


def _shared(config: Mapping[str, Any], folder: Path, shapes: Shapes) -> SharedGraph:
    described = HeadDescription.read(table(config, "shared"), HEADS)
    check_sizes(described, shapes)
    path = folder / SHARED_GRAPH
    require_file(path, "label graph")
    graph = LabelGraph.load(path)
    return SharedGraph(described.make(graph.labels, graph), graph)


def _encoder(name: str, config: Mapping[str, Any], own: Mapping[str, nn.Module]) -> nn.Module:
    described = None
    if config.get("encoder") is not None:
        described = EncoderDescription.from_dict(table(config, "encoder"))
    if described is not None and described.name != OWN_MODULE:
        return described.make()
    if name not in own:
        raise InputError(
            f"the encoder of the input {name!r} is your own module: give it as "
            f"encoders={{{name!r}: …}}"
        )
    given = own[name]
    if described is not None and isinstance(given, Encoder):
        described.require(given)
    return given


def _task(
    config: Mapping[str, Any], folder: Path, shapes: Shapes, shared: SharedGraph | None
) -> Task:
    kind = choice(config.get("kind"), "kind", TASKS)
    name = line_of_text(config.get("name"), "tasks.name")
    names = labels_of(config.get("outputs"))
    options: dict[str, Any] = {}
    head: Head
    if shared is not None and table(config, "head").get("kind") == RowsHead.kind:
        head = shared.rows(names)
    else:
        described = HeadDescription.read(config, _HEADS[kind])
        check_sizes(described, shapes)
        graph = _graph(folder / graph_file(name), names) if described.has_graph else None
        if graph is not None and kind == "multilabel":
            options["graph"] = graph
        head = described.make(names, graph)
    for option in ("offset", "scale") if kind == "regression" else ():
        values = config.get(option)
        if not isinstance(values, list):
            raise InputError(f"{option}={shown(values)}: give a list of numbers")
        options[option] = [finite_number(value, option) for value in values]
    if kind == "sequence":
        options["partly_known"] = truth_value(config.get("partly_known", False), "partly_known")
    return TASKS[kind](name, names, head, **options)


def _graph(path: Path, names: LabelSet) -> LabelGraph:
    require_file(path, "label graph")
    graph = LabelGraph.load(path)
    names.require_same_names(graph.names, str(path))
    return graph.reorder(names)


def _list(config: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = config.get(name)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InputError(f"{name}={shown(value)}: give a list of tables")
    if len(value) > MOST_TASKS:
        raise InputError(f"{name}: {len(value)} are more than {MOST_TASKS}")
    return value

"""An archive that would make torch run more than operators on tensors is never handed to torch."""

import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatlabel.deploy import export_model
from gatlabel.deploy.pt2_file import load_pt2
from gatlabel.deploy.pt2_vetting import vet
from gatlabel.errors import InputError
from tests.deploy.models import make

PROGRAM = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
Change = Callable[[dict[str, bytes]], None]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return export_model(make("csra"), tmp_path_factory.mktemp("good") / "b", format="pt2").file


def rewritten(good: Path, path: Path, change: Change) -> Path:
    """Writes the archive again with other contents."""
    with zipfile.ZipFile(good) as archive:
        parts = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(f"model/{name}", content)
    return path


def in_json(file: str, *way: Any, value: Any) -> Change:
    def change(parts: dict[str, bytes]) -> None:
        content = json.loads(parts[file])
        place = content
        for step in way[:-1]:
            place = place[step]
        place[way[-1]] = value
        parts[file] = json.dumps(content).encode()

    return change


def added(name: str, content: bytes = b"x") -> Change:
    return lambda parts: parts.update({name: content})


class Harmful:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.write_text, (self.path, "was here"))


NODE = ("graph_module", "graph", "nodes", 0)
CHANGES: dict[str, tuple[Change, str]] = {
    "pickled weight": (
        in_json(WEIGHTS, "config", "model.encoder.trunk.0.bias", "use_pickle", value=True),
        "trunk.0.bias pickled",
    ),
    "library": (added("data/aotinductor/model/x.so"), "it holds data/aotinductor"),
    "object": (added("data/constants/custom_obj_0"), "it holds data/constants/custom_obj_0"),
    "second program": (added("models/other.json"), "it holds models/other.json"),
    "guards": (in_json(PROGRAM, "guards_code", value=["print(1)"]), "it holds Python code"),
    "function": (in_json(PROGRAM, *NODE, "target", value="torch.hub.load"), "calls torch.hub.load"),
    "attribute": (
        in_json(PROGRAM, *NODE, "target", value="torch.ops.aten.add.Tensor.__init__.__globals__"),
        "it calls torch.ops.aten.add.Tensor.__init__",
    ),
    "method": (in_json(PROGRAM, *NODE, "target", value="_operator.methodcaller"), "it calls _op"),
    "file": (
        in_json(PROGRAM, *NODE, "target", value="torch.ops.aten.from_file.default"),
        "it calls torch.ops.aten.from_file",
    ),
    "extension": (in_json(PROGRAM, *NODE, "target", value="#x:y"), "it calls #x:y"),
    "name": (in_json(PROGRAM, *NODE, "name", value="x=print(1)"), "as name"),
    "key": (in_json(PROGRAM, "range_constraints", "print(1)", value={}), "as key"),
    "size": (
        in_json(PROGRAM, *NODE, "x", value={"expr_str": "Symbol('s1').__class__"}),
        "as expr_str",
    ),
    "long size": (in_json(PROGRAM, *NODE, "x", value={"expr_str": "1" * 60 + "!"}), "as expr_str"),
    "call": (in_json(PROGRAM, *NODE, "x", value={"expr_str": "eval('1')"}), "as expr_str"),
    "power": (
        in_json(PROGRAM, *NODE, "x", value={"expr_str": "Pow(Integer(9), Pow(Integer(9), 9))"}),
        "as expr_str",
    ),
    "power of Python": (in_json(PROGRAM, *NODE, "x", value={"expr_str": "9**9**9"}), "as expr_str"),
    "endless size": (
        in_json(PROGRAM, *NODE, "x", value={"expr_str": "Mul(9, " * 200 + "9" + ")" * 200}),
        "as expr_str",
    ),
    "tree": (
        in_json(PROGRAM, *NODE, "x", value={"in_spec": '[1, {"type": "os.x"}]'}),
        "as in_spec",
    ),
    "subprogram": (in_json(PROGRAM, *NODE, "x", value={"as_graph": {}}), "an argument as_graph"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_refused(change: str, good: Path, tmp_path: Path) -> None:
    apply, message = CHANGES[change]
    path = rewritten(good, tmp_path / "model.pt2", apply)
    with pytest.raises(InputError, match=f"model.pt2 is refused: .*{message}"):
        vet(path)


def test_an_archive_that_was_only_packed_again_is_read(good: Path, tmp_path: Path) -> None:
    path = rewritten(good, tmp_path / "model.pt2", lambda parts: None)
    loaded = load_pt2(path, "cpu")
    assert loaded.run(np.zeros((2, 3, 24, 24), np.uint8)).shape == (2, 6)


def test_a_pickle_is_not_opened(good: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    buffer = io.BytesIO()
    torch.save(Harmful(mark), buffer, pickle_module=pickle)
    change = added("data/sample_inputs/model.pt", buffer.getvalue())
    path = rewritten(good, tmp_path / "model.pt2", change)
    with pytest.raises(InputError, match="it holds pickled example inputs"):
        load_pt2(path, "cpu")
    assert not mark.exists()


def test_parts_that_only_one_reader_finds(good: Path, tmp_path: Path) -> None:
    """torch falls back to an older layout, with pickles, that zip readers find at the root."""
    path = tmp_path / "model.pt2"
    shutil.copy(good, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("version", b"5.1")
        archive.writestr("serialized_state_dict.pt", b"x")
    with pytest.raises(InputError, match=r"model\.pt2 is not a readable pt2 archive"):
        vet(path)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_part_twice(good: Path, tmp_path: Path) -> None:
    """Two readers may not choose different ones."""
    path = tmp_path / "model.pt2"
    shutil.copy(good, path)
    with zipfile.ZipFile(path, "a") as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(PROGRAM))
        archive.writestr(name, b"{}")
    with pytest.raises(InputError, match="refused: it holds two parts of the same name"):
        vet(path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_other_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.pt2 is not a readable pt2 archive"):
        vet(path)

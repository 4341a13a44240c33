"""docs/development.md names the files through which an image goes; calls are traced to check it."""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

import gatlabel
from gatlabel import Predictor
from gatlabel.training import TrainConfig, plain, train
from tests.colours import write_colours

PACKAGE = Path(gatlabel.__file__).parent
PAGE = PACKAGE.parent / "docs" / "development.md"

#: What programs call: a walk begins here.
STARTS = {"deploy/predictor.py", "training/data.py", "engine/fitting.py"}

Calls = dict[str, set[str]]  # by file: the files that call its functions


@contextmanager
def traced() -> Iterator[Calls]:
    """Notes for every file of the package which of its other files call it.

    What lies between two files of the package in the stack, such as a data loader, is left out.
    """
    calls: Calls = {}

    def caller(frame: FrameType | None, file: str) -> str | None:
        while frame is not None:
            found = frame.f_code.co_filename
            if found != file and found.startswith(str(PACKAGE)):
                return Path(found).relative_to(PACKAGE).as_posix()
            frame = frame.f_back
        return None

    def note(frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(str(PACKAGE)) and frame.f_code.co_name[0] != "<":
            name = Path(file).relative_to(PACKAGE).as_posix()
            calls.setdefault(name, set()).add(caller(frame.f_back, file) or "")

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def walk_of(title: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8").split(f"### {title}\n")[1].split("\n#")[0]
    return re.findall(r"^\| `([\w/]+\.py)` \|", text, re.MULTILINE)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("walk")
    return plain().with_options(
        {
            "data": "csv",
            "data.root": write_colours(folder / "data"),
            "images.size": 32,
            "encoder.backbone": "shufflenet_v2_x0_5",
            "encoder.weights": "none",
            "run.batch_size": 8,
            "run.epochs": 1,
            "run.compare": "no",
            "run.progress": False,
            "run.output": folder / "run",
        }
    )


@pytest.fixture(scope="module")
def training(config: TrainConfig) -> Calls:
    with traced() as calls:
        train(config)
    return calls


@pytest.fixture(scope="module")
def prediction(config: TrainConfig, training: Calls) -> Calls:
    assert config.run.output is not None
    image = next((config.run.output.parent / "data" / "images").iterdir())
    with traced() as calls:
        Predictor.load(config.run.output)(image)
    return calls


@pytest.mark.parametrize(
    ("title", "most", "traces"),
    [
        ("From image to prediction", 9, "prediction"),
        ("From annotation file to loss", 15, "training"),
    ],
)
def test_each_file_of_a_walk_is_called_by_an_earlier_one(
    title: str, most: int, traces: str, request: pytest.FixtureRequest
) -> None:
    calls: Calls = request.getfixturevalue(traces)
    walk = walk_of(title)
    assert 5 < len(walk) <= most
    for position, file in enumerate(walk):
        callers = calls[file]
        known = file in STARTS or callers & set(walk[:position])
        assert known, f"{file} is called by {sorted(callers)} only"


def test_the_trace_sees_which_file_calls(prediction: Calls) -> None:
    assert "inference.py" in prediction["model/classifier.py"]
    assert "losses/bce.py" not in prediction

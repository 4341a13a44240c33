import os
from pathlib import Path

import pytest
import torch

from tests.colours import write_colours

# Tests run in one process a core; more threads than cores make tiny models slower, not faster.
torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "soak" not in config.option.markexpr:  # hours: only where they are asked for
        left_out = [item for item in items if "soak" in item.keywords]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if "soak" not in item.keywords]
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images and label matrices, which the project never contains."""
    folder = Path(os.environ.get("GATLABEL_SHARED", ROOT.parent / "shared")).resolve() / "data"
    if not folder.is_dir():
        pytest.skip("no shared data: set GATLABEL_SHARED to the folder that holds data/")
    return folder


@pytest.fixture
def tiny_csv(tmp_path: Path) -> Path:
    """A folder with 24 small images of coloured squares in two splits, and its labels.csv."""
    return write_colours(tmp_path / "data")

import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
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
    """The folder of real pictures and label matrices, which the project never contains."""
    folder = Path(os.environ.get("GATLABEL_SHARED", ROOT.parent / "shared")).resolve() / "data"
    if not folder.is_dir():
        pytest.skip("no shared data: set GATLABEL_SHARED to the folder that holds data/")
    return folder

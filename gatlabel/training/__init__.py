"""Training: recipes give a typed config, :func:`train` turns one into a run folder.

>>> from gatlabel.training import TrainConfig, plain, train
>>> config = plain(epochs=1, train_pictures=32, test_pictures=16, image_size=32,
...                backbone="shufflenet_v2_x0_5", weights="none",
...                compare="no", progress=False, output=Path("demo"))
>>> result = train(config)
>>> sorted(path.name for path in result.folder.iterdir())[:3]
['checkpoints', 'config.yaml', 'counts.json']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.training.config import TrainConfig
    from gatlabel.training.evaluation import Evaluation, evaluate
    from gatlabel.training.recipes import RECIPES, asl, auto, default, mlgcn, plain
    from gatlabel.training.run import RunResult, resume, train
    from gatlabel.training.run_folder import RunFinishedError
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "RECIPES",
    "Evaluation",
    "RunFinishedError",
    "RunResult",
    "TrainConfig",
    "asl",
    "auto",
    "default",
    "evaluate",
    "mlgcn",
    "plain",
    "resume",
    "train",
]

"""Using a trained model: images in, label names with probabilities out.

predictor = Predictor.load("runs/demo")
prediction = predictor("photo.jpg")
prediction.labels, prediction.probabilities["dog"]

export_model("runs/demo", "demo-onnx", format="onnx")  # a file that runs without gatlabel
Predictor.load("demo-onnx")("photo.jpg")  # the same predictions
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.deploy.description import Description, Parity
    from gatlabel.deploy.export import Export, export_model
    from gatlabel.deploy.exported_model import ExportedModel
    from gatlabel.deploy.exported_tasks import ExportedTasks
    from gatlabel.deploy.formats import FORMATS
    from gatlabel.deploy.prediction import Prediction
    from gatlabel.deploy.predictor import Predictor
    from gatlabel.deploy.task_export import TaskExport, export_tasks
    from gatlabel.deploy.task_prediction import TaskPrediction
    from gatlabel.deploy.task_predictor import TaskPredictor
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "FORMATS",
    "Description",
    "Export",
    "ExportedModel",
    "ExportedTasks",
    "Parity",
    "Prediction",
    "Predictor",
    "TaskExport",
    "TaskPrediction",
    "TaskPredictor",
    "export_model",
    "export_tasks",
]

"""Using a trained model: pictures in, label names with probabilities out.

predictor = Predictor.load("runs/demo")
prediction = predictor("photo.jpg")
prediction.labels, prediction.probabilities["dog"]

export_model("runs/demo", "demo-onnx", format="onnx")  # a file that runs without gatlabel
Predictor.load("demo-onnx")("photo.jpg")  # the same answers
"""

from gatlabel.deploy.description import Description, Parity
from gatlabel.deploy.export import Export, export_model
from gatlabel.deploy.exported_model import ExportedModel
from gatlabel.deploy.formats import FORMATS
from gatlabel.deploy.prediction import Prediction
from gatlabel.deploy.predictor import Predictor

__all__ = [
    "FORMATS",
    "Description",
    "Export",
    "ExportedModel",
    "Parity",
    "Prediction",
    "Predictor",
    "export_model",
]

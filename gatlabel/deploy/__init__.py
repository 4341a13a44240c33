"""Using a trained model: pictures in, label names with probabilities out.

predictor = Predictor.load("runs/demo")
prediction = predictor("photo.jpg")
prediction.labels, prediction.probabilities["dog"]
"""

from gatlabel.deploy.prediction import Prediction
from gatlabel.deploy.predictor import Predictor

__all__ = ["Prediction", "Predictor"]

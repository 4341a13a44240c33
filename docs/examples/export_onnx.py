"""Train a small model, export it as ONNX, and label images with onnxruntime alone."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
from PIL import Image

from gatlabel import Predictor
from gatlabel.data.scenes import read_scenes
from gatlabel.deploy import export_model
from gatlabel.training import plain, train


def label(session: onnxruntime.InferenceSession, photo: Path) -> dict[str, float]:
    """Labels an image as another program would, without gatlabel and torch."""
    metadata = {
        name: json.loads(value)
        for name, value in session.get_modelmeta().custom_metadata_map.items()
        if name in ("labels", "image_size")
    }
    size = metadata["image_size"]
    image = Image.open(photo).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image).transpose(2, 0, 1)[None]  # uint8 (1, 3, S, S)
    (logits,) = session.run(["logits"], {"images": pixels})  # float32 (1, L)
    probabilities = 1 / (1 + np.exp(-logits[0]))
    return dict(zip(metadata["labels"], probabilities.tolist(), strict=True))


with TemporaryDirectory() as folder:
    work = Path(folder)
    train(
        plain().with_options(
            {
                "data": "scenes",
                "data.train_images": 64,
                "data.test_images": 16,
                "encoder.backbone": "squeezenet1_1",
                "encoder.weights": "none",  # random; "default" for ImageNet
                "images.size": 64,
                "run.epochs": 1,
                "run.compare": "no",
                "run.output": work / "run",
                "run.progress": False,
            }
        )
    )
    bundle = export_model(work / "run", work / "bundle", format="onnx", threshold=0.3)
    print(f"{bundle.size} bytes, largest difference {bundle.parity.greatest_difference:.1e}")

    pixels = read_scenes("voc", train=1, val=1, test=1).test.load(0)  # uint8 (3, 96, 96)
    photo = work / "photo.png"
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(photo)

    session = onnxruntime.InferenceSession(work / "bundle" / "model.onnx")
    found = label(session, photo)
    for name in sorted(found, key=found.__getitem__, reverse=True)[:3]:
        print(f"{name}: {found[name]:.2f}")

    ours = Predictor.load(work / "bundle")(photo).probabilities
    assert np.allclose(list(found.values()), list(ours.values()), atol=0.05)

"""Scenes, the built-in data set: silhouettes whose co-occurrence follows published label counts.

Label sets are drawn from an Ising model fitted to the counts of Pascal VOC 2007 or MS-COCO 2014;
its couplings are the true label graph (:func:`true_graph`). Images are drawn on the fly from a
seed. A known share of the present labels is hidden and can only be inferred from the other labels.
An oracle (:func:`oracle_map`) gives the best possible result, with and without the graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.data.scenes.config import PRESETS, SceneConfig, scene_config
    from gatlabel.data.scenes.images import SceneImages
    from gatlabel.data.scenes.ising import IsingModel
    from gatlabel.data.scenes.label_models import label_model, true_graph
    from gatlabel.data.scenes.layout import Role, Shape
    from gatlabel.data.scenes.oracle import (
        OracleResult,
        oracle_map,
        oracle_result,
        oracle_scores,
        posterior,
        visible_only_scores,
    )
    from gatlabel.data.scenes.reader import read_scenes
    from gatlabel.data.scenes.sheet import contact_sheet
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "PRESETS",
    "IsingModel",
    "OracleResult",
    "Role",
    "SceneConfig",
    "SceneImages",
    "Shape",
    "contact_sheet",
    "label_model",
    "oracle_map",
    "oracle_result",
    "oracle_scores",
    "posterior",
    "read_scenes",
    "scene_config",
    "true_graph",
    "visible_only_scores",
]

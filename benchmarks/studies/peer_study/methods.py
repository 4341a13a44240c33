"""The methods by name; each is imported only where it runs."""

from __future__ import annotations

from collections.abc import Callable

from peer_study.clock import Clock
from peer_study.task import Fitted, Task

Fit = Callable[[Task, Clock], Fitted]
NEEDS_FASTAI = ("fastai",)


def method(name: str) -> Fit:
    """Returns what trains by the method, with all that it imports already imported.

    Raises:
        SystemExit: If there is no such method, or its package is not installed.
    """
    if name in ("default", "linear"):
        from peer_study import gatlabel_method

        gatlabel_method.start_up()
        return gatlabel_method.fit_gatlabel(None if name == "default" else name)
    if name == "fastai":
        try:
            import fastai.vision.all  # noqa: F401
        except ImportError as error:
            raise SystemExit(f"fastai is not installed here ({error}): extra peers") from error
        from peer_study.fastai_method import fit_fastai

        return fit_fastai
    if name == "plain":
        from peer_study.plain_loop import fit_plain

        return fit_plain
    if name in ("csra", "ml-decoder", "ml-gcn"):
        from peer_study.published_heads import fit_published

        return fit_published(name)
    return _closed_form(name)


def _closed_form(name: str) -> Fit:
    import sklearn.linear_model
    import sklearn.model_selection
    import sklearn.svm  # noqa: F401

    import gatlabel.baselines.ridge  # noqa: F401
    from peer_study import closed_form

    fits = {
        "ridge": closed_form.fit_ridge,
        "sklearn-logistic": closed_form.fit_sklearn("logistic"),
        "sklearn-svm": closed_form.fit_sklearn("svm"),
    }
    if name not in fits:
        raise SystemExit(f"there is no method {name!r}")
    return fits[name]

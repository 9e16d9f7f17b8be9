"""Every frozen result that gives a frame shows itself in a notebook, and text from data stays text there."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import tne_eval.impact
import tne_eval.indicators
from tne_eval.impact import honest_did, infer_effect, permutation_test, synthetic_did
from tne_eval.indicators import bootstrap


def _results() -> list[type]:
    found = {}
    for package in (tne_eval.indicators, tne_eval.impact):
        for module in pkgutil.iter_modules(package.__path__):
            if module.name == "_fused":
                continue
            for name, kind in vars(importlib.import_module(f"{package.__name__}.{module.name}")).items():
                if inspect.isclass(kind) and dataclasses.is_dataclass(kind) and hasattr(kind, "to_frame"):
                    found[f"{kind.__module__}.{name}"] = kind
    return list(found.values())


@pytest.mark.parametrize("kind", _results(), ids=lambda kind: kind.__name__)
def test_a_result_is_frozen_documented_and_shown(kind):
    assert kind.__dataclass_params__.frozen and "__slots__" in vars(kind)
    assert inspect.getdoc(kind) and "_repr_html_" in vars(kind)


RNG = np.random.default_rng(5)
SHOWN = {
    "permutation": lambda: permutation_test(RNG.normal(size=12), np.arange(12) < 2),
    "chosen": lambda: infer_effect(RNG.normal(size=30), np.arange(30) < 2, size=RNG.uniform(1, 3, 30)),
    "bootstrap": lambda: bootstrap(["gini", "theil_t"], RNG.lognormal(size=50), replicates=99),
    "honest": lambda: honest_did([0.1, 0.0, 0.3], np.eye(3) / 100, 2, bound=[0.5, 1.0]),
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown_is_a_table_under_its_name(name):
    result = SHOWN[name]()
    page = result._repr_html_()
    assert type(result).__name__ in page and page.count("<table") == 1


def test_labels_from_data_stay_text():
    import pandas as pd

    hostile = '<img src=x onerror="alert(1)">'
    outcomes = pd.DataFrame(RNG.normal(size=(8, 6)), index=[hostile, *"bcdefgh"], columns=range(2016, 2022))
    page = synthetic_did(outcomes, ["b"], 2020)._repr_html_()
    table = infer_effect(RNG.normal(size=30), np.arange(30) < 2, size=np.ones(30))
    assert "<img" not in page and "<img" not in table._repr_html_()

"""Maps: the projection against published values, the classes, and a drawing that is always the same."""

import itertools

import numpy as np
import pandas as pd
import pytest
import shapely
from matplotlib import pyplot as plt

from tne_eval import maps
from tne_eval.errors import DesignError, MissingDataError, UnknownNameError
from tne_eval.report.blocks import figure_block


def square(code, lon, lat, size=0.5):
    box = shapely.box(lon, lat, lon + size, lat + size)
    return maps.Contour(code, f"Département {code}", shapely.MultiPolygon([box]))


CONTOURS = {
    contour.code: contour
    for contour in [
        *(square(f"{rank + 1:02d}", -1 + 0.5 * (rank % 8), 44 + 0.5 * (rank // 8)) for rank in range(24)),
        *(square(code, 2 + 0.2 * rank, 48.6, 0.2) for rank, code in enumerate(maps.AROUND_PARIS)),
        *(square(code, 10 * rank - 60, 5 * rank - 20) for rank, code in enumerate(maps.OVERSEAS)),
    ]
}


def test_constants_are_those_that_ign_publishes():
    assert pytest.approx(0.7256077650532670, abs=1e-13) == maps._N
    assert pytest.approx(11_754_255.4261, abs=1e-3) == maps._C
    assert pytest.approx(12_655_612.0499, abs=1e-3) == maps._YS


@pytest.mark.parametrize(
    ("lon", "lat", "east", "north"),
    [
        (3.0, 46.5, 700_000.0, 6_600_000.0),  # origin of EPSG:2154, by definition
        (2.38, 46.225, 652_213.05, 6_569_647.91),  # centre of the area of use of EPSG:2154, as its register gives it
        (2.2945, 48.8584, 648_237.30, 6_862_271.68),  # Eiffel tower
    ],
)
def test_lambert93(lon, lat, east, north):
    assert maps.lambert93(lon, lat) == pytest.approx((east, north), abs=0.01)


def test_lambert93_is_conformal_and_true_on_its_parallels():
    for lat in (42.0, 44.0, 46.5, 49.0, 51.0):
        step = 1e-6
        (x0, x1, x2), (y0, y1, y2) = maps.lambert93([5.0, 5.0 + step, 5.0], [lat, lat, lat + step])
        phi = np.radians(lat)
        e2 = maps._F * (2 - maps._F)
        across = maps._A / np.sqrt(1 - e2 * np.sin(phi) ** 2) * np.cos(phi) * np.radians(step)
        along = maps._A * (1 - e2) / (1 - e2 * np.sin(phi) ** 2) ** 1.5 * np.radians(step)
        scale = np.hypot(x1 - x0, y1 - y0) / across
        assert np.hypot(x2 - x0, y2 - y0) / along == pytest.approx(scale, rel=1e-5)
        if lat in (44.0, 49.0):
            assert scale == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        ((10, 20), ["moins de 10,0\u00a0%", "de 10,0 à moins de 20,0\u00a0%", "20,0\u00a0% ou plus"]),
        (1, ["toutes les valeurs"]),
    ],
)
def test_classes(classes, labels):
    ranks, found = maps._classify(pd.Series({"01": 9.9, "02": 10.0, "03": 20.0, "04": np.nan}), classes, 1, "%")
    assert found == labels
    assert "04" not in ranks and (len(labels) == 1 or ranks == {"01": 0, "02": 1, "03": 2})


def test_lightness_of_the_classes_falls_steadily():
    lightness = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in maps._palette(5)]
    assert all(first - second > 0.1 for first, second in itertools.pairwise(lightness))


def test_drawing_is_deterministic_and_speaks_french():
    values = pd.Series({code: float(rank) for rank, code in enumerate(CONTOURS)}).drop("971")
    figures = []
    for _ in range(2):
        ax = maps.draw_departements(
            values, outlined=["02", "95", "971"], classes=3, legend_title="Taux $x$", unit="%", contours=CONTOURS
        )
        words = [text.get_text() for text in ax.get_legend().get_texts()]
        titles = [inset.get_title() for inset in ax.child_axes]
        figures.append(figure_block(ax.figure, name="carte", caption="c", alt="a", data=values.reset_index()))
    assert figures[0] == figures[1]
    assert words[-2:] == ["Non disponible", "Territoire numérique éducatif"] and words[0].startswith("moins de")
    assert titles == [*maps.OVERSEAS.values(), "Paris et environs"]


def test_named_classes_and_no_values():
    waves = pd.Series({"01": "_un", "02": "deux"})
    ax = maps.draw_departements(waves, classes=["_un", "deux"], missing="", contours=CONTOURS)
    assert len(ax.get_legend().get_texts()) == 2
    figure_block(ax.figure, name="carte", caption="c", alt="a", data=waves.reset_index())
    ax = maps.draw_departements(None, contours=CONTOURS)
    assert ax.get_legend() is None
    figure_block(ax.figure, name="carte", caption="c", alt="a", data=waves.reset_index())


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (UnknownNameError, {"values": pd.Series({"2a": 1.0})}),
        (UnknownNameError, {"values": None, "outlined": ["2"]}),
        (UnknownNameError, {"values": pd.Series({"01": "x"}), "classes": ["y"]}),
        (DesignError, {"values": pd.Series({"01": 1.0}), "classes": (1, 2), "colors": ["red"]}),
    ],
)
def test_refused(error, call):
    with pytest.raises(error):
        maps.draw_departements(contours=CONTOURS, **call)


def test_shipped_contours():
    contours = maps.load_contours()
    assert len(contours) == 101 and {"02", "2A", "971", "976"} <= set(contours)
    assert contours["02"].name == "Aisne"
    ax = maps.draw_departements(None, outlined=["02", "2A"])
    figure_block(ax.figure, name="carte", caption="c", alt="a", data=pd.DataFrame({"x": [1]}))


def test_missing_contours(tmp_path):
    with pytest.raises(MissingDataError):
        maps.load_contours(tmp_path / "absent.json")


def test_schools_are_drawn_at_their_place_and_by_class():
    schools = pd.DataFrame(
        {"longitude": [3.5, 3.6, 3.7, None], "latitude": [49.5, 49.6, 49.7, 49.5], "value": [80.0, 100, 120, 90]}
    )
    ax = maps.draw_schools(schools, "02", classes=[90, 110], legend_title="IPS")
    drawn = [tuple(np.round(item.get_offsets()[0])) for item in ax.collections if len(item.get_offsets())]
    east, north = maps.lambert93([3.5, 3.6, 3.7], [49.5, 49.6, 49.7])
    assert drawn == [tuple(np.round(pair)) for pair in zip(east, north, strict=True)]
    sizes = [item.get_sizes()[0] for item in ax.collections if len(item.get_offsets())]
    assert sizes == sorted(sizes) and len(set(sizes)) == 3
    assert len(ax.get_legend().get_texts()) == 3
    plt.close(ax.figure)


def test_schools_without_a_place_or_in_no_departement_are_refused():
    nowhere = pd.DataFrame({"longitude": [None], "latitude": [None], "value": [1.0]})
    with pytest.raises(DesignError, match="no school"):
        maps.draw_schools(nowhere, "02")
    with pytest.raises(UnknownNameError):
        maps.draw_schools(nowhere, "20")

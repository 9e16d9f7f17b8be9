"""Maps of the départements without a GIS library: Lambert-93 in numpy, contours shipped with the figures."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath

import matplotlib as mpl
import numpy as np
import pandas as pd
import shapely
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from tne_eval import french
from tne_eval.errors import DesignError, MissingDataError, UnknownNameError
from tne_eval.paths import shipped

OVERSEAS = {"971": "Guadeloupe", "972": "Martinique", "973": "Guyane", "974": "La Réunion", "976": "Mayotte"}
AROUND_PARIS = ("75", "92", "93", "94", "95", "78", "91", "77")
# From light to dark at even steps of lightness: the order of the classes survives a grey printer.
_LIGHTEST, _DARKEST = (0.886, 0.925, 0.957), (0.043, 0.310, 0.541)
_MISSING = {"facecolor": "white", "hatch": "//////", "edgecolor": "#8A929B"}
_PLAIN = {"facecolor": "#EDF0F3", "edgecolor": "#9AA3AD"}
_EDGE, _OUTLINE = "#FFFFFF", "#111111"
_STYLE = {"font.family": "sans-serif", "font.size": 9, "hatch.linewidth": 0.4}

# GRS80 and the constants of EPSG:2154: secant at 44° N and 49° N, origin 46°30' N 3° E at (700 km, 6 600 km).
_A, _F = 6_378_137.0, 1 / 298.257222101
_E = np.sqrt(_F * (2 - _F))
_LON0, _LAT0, _LAT1, _LAT2 = np.radians([3.0, 46.5, 44.0, 49.0])
_X0, _Y0 = 700_000.0, 6_600_000.0


@dataclass(frozen=True, slots=True)
class Contour:
    """A département: its polygons, in degrees (longitude, latitude)."""

    code: str
    name: str
    shape: shapely.MultiPolygon


def _isometric(lat):
    return np.arctanh(np.sin(lat)) - _E * np.arctanh(_E * np.sin(lat))


def _grand_normal(lat):
    return _A / np.sqrt(1 - (_E * np.sin(lat)) ** 2)


_N = np.log(_grand_normal(_LAT2) * np.cos(_LAT2) / (_grand_normal(_LAT1) * np.cos(_LAT1))) / (
    _isometric(_LAT1) - _isometric(_LAT2)
)
_C = _grand_normal(_LAT1) * np.cos(_LAT1) / _N * np.exp(_N * _isometric(_LAT1))
_YS = _Y0 + _C * np.exp(-_N * _isometric(_LAT0))


def lambert93(lon, lat) -> tuple[np.ndarray, np.ndarray]:
    """Degrees on GRS80 (RGF93) → metres east and north in Lambert-93 (EPSG:2154); arrays of one shape."""
    angle = _N * (np.radians(np.asarray(lon, dtype=float)) - _LON0)
    radius = _C * np.exp(-_N * _isometric(np.radians(np.asarray(lat, dtype=float))))
    return _X0 + radius * np.sin(angle), _YS - radius * np.cos(angle)


@cache
def load_contours(path: FilePath | None = None) -> Mapping[str, Contour]:
    """Contours by département code, from a GeoJSON file whose features have `code` and `nom`."""
    place = shipped("embedded") / "contours.json" if path is None else path
    if not place.is_file():
        raise MissingDataError("the contours of the départements are missing", where=str(place))
    features = json.loads(place.read_text(encoding="utf-8"))["features"]
    contours = {}
    for feature in features:
        shape = shapely.geometry.shape(feature["geometry"])
        parts = shape.geoms if shape.geom_type == "MultiPolygon" else [shape]
        code = feature["properties"]["code"]
        contours[code] = Contour(code, feature["properties"]["nom"], shapely.MultiPolygon(list(parts)))
    return dict(sorted(contours.items()))


@mpl.rc_context(_STYLE)
def draw_departements(
    values: pd.Series | None,
    *,
    outlined: Sequence[str] = (),
    classes: int | Sequence[float] | Sequence[str] = 5,
    legend_title: str = "",
    missing: str = "Non disponible",
    outline_label: str = "Territoire numérique éducatif",
    decimals: int = 1,
    unit: str = "",
    colors: Sequence[str] | None = None,
    contours: Mapping[str, Contour] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Choropleth of the départements, readable in grey, with overseas and Paris in framed insets.

    Parameters
    ----------
    values : value or class name by département code; codes that are absent or missing are hatched, or plain when
        `missing` is empty. None draws the contours alone.
    outlined : codes drawn with a black outline.
    classes : how many classes (equal counts), or the bounds between classes, or the class names from first to last.
    legend_title, missing, outline_label, decimals, unit : words and form of the legend.
    colors : one colour a class; None goes from light to dark.
    ax : where to draw; None makes a figure.

    Returns
    -------
    The main Axes; insets are its children.
    """
    contours = load_contours() if contours is None else contours
    unknown = {*outlined, *(() if values is None else values.index)} - set(contours)
    if unknown:
        raise UnknownNameError("département", min(map(str, unknown)), contours)
    ranks, labels = _classify(values, classes, decimals, unit)
    palette = list(colors) if colors is not None else _palette(len(labels))
    if len(palette) != len(labels):
        raise DesignError(f"{len(palette)} colours for {len(labels)} classes")

    def look(code: str) -> dict:
        if code in ranks:
            return {"facecolor": palette[ranks[code]], "edgecolor": _EDGE}
        return _MISSING if values is not None and missing else _PLAIN

    if ax is None:
        _, ax = plt.subplots(figsize=(8.4, 7.4))
    mainland = [code for code in contours if code not in OVERSEAS]
    flat = {code: shapely.transform(contours[code].shape, _to_lambert) for code in mainland}
    simple = dict(zip(flat, shapely.coverage_simplify(list(flat.values()), 1_200.0), strict=True))
    _draw(ax, simple, look, outlined)
    ax.set_xlim(-215_000, 1_255_000)
    ax.set_ylim(5_830_000, 7_130_000)
    _bare(ax)
    _draw_insets(ax, contours, flat, look, outlined)
    _legend(ax, labels, palette, legend_title, missing if _has_missing(values, ranks, contours) else "",
            outline_label if len(outlined) else "")  # fmt: skip
    return ax


@mpl.rc_context(_STYLE)
def draw_schools(
    schools: pd.DataFrame,
    departement: str,
    *,
    classes: int | Sequence[float] = 4,
    legend_title: str = "",
    decimals: int = 0,
    contours: Mapping[str, Contour] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """One département and its schools, a disc each, larger and darker from class to class.

    Parameters
    ----------
    schools : `longitude`, `latitude` (degrees) and `value`; rows without a place or a value are left out.
    departement : code; classes : how many (equal counts), or the bounds between them; the rest as in
        `draw_departements`. Where `ax` is None a figure is made.

    Raises UnknownNameError on an unknown code, DesignError where no school has a place and a value.
    """
    contours = load_contours() if contours is None else contours
    if departement not in contours:
        raise UnknownNameError("département", departement, contours)
    known = schools.dropna(subset=["longitude", "latitude", "value"]).reset_index(drop=True)
    if known.empty:
        raise DesignError("no school has a place and a value", remedy="give longitude, latitude and value")
    ranks, labels = _classify(known["value"], classes, decimals, "")
    palette = _palette(len(labels))
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 6.4))
    shape = contours[departement].shape
    if departement in OVERSEAS:  # outside the range of Lambert-93: degrees, east squeezed as at this latitude
        squeeze = np.cos(np.radians(shape.centroid.y))
        flat = shapely.transform(shape, lambda points: points * [squeeze, 1.0])
        east, north = known["longitude"].to_numpy() * squeeze, known["latitude"].to_numpy()
    else:
        flat = shapely.transform(shape, _to_lambert)
        east, north = lambert93(known["longitude"], known["latitude"])
    _draw(ax, {departement: flat}, lambda code: _PLAIN, [departement])
    place = np.array([ranks[row] for row in known.index])
    for rank, color in enumerate(palette):
        own = place == rank
        size = 14 + 14 * rank
        ax.scatter(east[own], north[own], s=size, color=color, edgecolor=_OUTLINE, linewidth=0.4, zorder=3 + rank)
    # Places far from the outline (islands that share the code) would shrink the rest to a speck.
    left, bottom, right, top = flat.bounds
    margin = 0.05 * max(right - left, top - bottom)
    ax.set(xlim=(left - margin, right + margin), ylim=(bottom - margin, top + margin))
    _bare(ax)
    keys = [
        ax.scatter([], [], s=14 + 14 * rank, color=color, edgecolor=_OUTLINE, linewidth=0.4, label=_plain(label))
        for rank, (color, label) in enumerate(zip(palette, labels, strict=True))
    ]
    ax.legend(handles=keys, title=_plain(legend_title), loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return ax


# --- classes -------------------------------------------------------------------------------------------------


def _classify(values: pd.Series | None, classes, decimals: int, unit: str) -> tuple[dict[str, int], list[str]]:
    """Class rank by code, and the label of each class."""
    if values is None:
        return {}, []
    known = values.dropna()
    if isinstance(classes, Sequence) and classes and isinstance(classes[0], str):
        strange = set(known) - set(classes)
        if strange:
            raise UnknownNameError("class", min(map(str, strange)), classes)
        return {code: classes.index(name) for code, name in known.items()}, list(classes)
    bounds = _quantiles(known, classes) if isinstance(classes, int) else [float(bound) for bound in classes]
    ranks = {code: int(np.searchsorted(bounds, value, side="right")) for code, value in known.items()}
    return ranks, _labels(bounds, decimals, unit)


def _quantiles(values: pd.Series, count: int) -> list[float]:
    if values.empty:
        return []
    shares = np.arange(1, count) / count
    return sorted({float(bound) for bound in np.quantile(values.to_numpy(dtype=float), shares)})


def _labels(bounds: list[float], decimals: int, unit: str) -> list[str]:
    end = f"{french.HARD}{unit}" if unit else ""
    texts = [french.number(bound, decimals) for bound in bounds]
    if not texts:
        return ["toutes les valeurs"]
    middle = [f"de {low} à moins de {high}{end}" for low, high in itertools.pairwise(texts)]
    return [f"moins de {texts[0]}{end}", *middle, f"{texts[-1]}{end} ou plus"]


def _palette(count: int) -> list[tuple[float, ...]]:
    steps = np.linspace(0, 1, count) if count != 1 else np.array([0.6])
    return [tuple(np.array(_LIGHTEST) + step * (np.array(_DARKEST) - np.array(_LIGHTEST))) for step in steps]


def _has_missing(values: pd.Series | None, ranks: dict, contours: Mapping) -> bool:
    return values is not None and len(set(contours) - set(ranks)) > 0


# --- drawing -------------------------------------------------------------------------------------------------


def _to_lambert(points: np.ndarray) -> np.ndarray:
    return np.column_stack(lambert93(points[:, 0], points[:, 1]))


def _draw(ax: Axes, shapes: Mapping[str, shapely.Geometry], look, outlined: Sequence[str], line: float = 0.4) -> None:
    # As artists: patches would make the limits of the axes, which every map sets itself.
    for code in shapes:
        ax.add_artist(PathPatch(_path(shapes[code]), linewidth=line, zorder=1, **look(code)))
    for code in outlined:
        if code in shapes:
            outline = PathPatch(_path(shapes[code]), facecolor="none", edgecolor=_OUTLINE, linewidth=1.3, zorder=2)
            ax.add_artist(outline)


def _path(shape: shapely.Geometry) -> Path:
    parts = shape.geoms if shape.geom_type == "MultiPolygon" else [shape]
    rings = [ring for part in parts for ring in (part.exterior, *part.interiors)]
    return Path.make_compound_path(*(Path(shapely.get_coordinates(ring), closed=True) for ring in rings))


def _draw_insets(ax: Axes, contours: Mapping[str, Contour], flat: Mapping, look, outlined: Sequence[str]) -> None:
    """Overseas in a row below, Paris and its ring above on the left, all frames of one width."""
    width, gap = 0.155, 0.018
    present = [code for code in OVERSEAS if code in contours]
    for place, code in enumerate(present):
        inset = ax.inset_axes((place * (width + gap), 0.0, width, 0.16))
        shape = contours[code].shape
        squeeze = np.cos(np.radians(shape.centroid.y))
        local = shapely.transform(shape, lambda points, squeeze=squeeze: points * [squeeze, 1.0])
        simple = local.simplify(max(local.bounds[3] - local.bounds[1], 0.1) / 150)
        _draw(inset, {code: simple}, look, outlined)
        _frame(inset, local.bounds, OVERSEAS[code])
    around = {code: flat[code] for code in AROUND_PARIS if code in flat}
    if around:
        inset = ax.inset_axes((0.0, 0.82, width, 0.16))
        near = [around[code].bounds for code in AROUND_PARIS[:5] if code in around]
        bounds = (*np.min(near, axis=0)[:2], *np.max(near, axis=0)[2:])
        simple = dict(zip(around, shapely.coverage_simplify(list(around.values()), 200.0), strict=True))
        _draw(inset, simple, look, outlined)
        _frame(inset, bounds, "Paris et environs")


def _frame(inset: Axes, bounds: tuple[float, ...], title: str) -> None:
    left, bottom, right, top = bounds
    middle, height = (left + right) / 2, (top - bottom) * 1.16
    box = inset.get_window_extent()
    ratio = box.width / box.height
    width = max((right - left) * 1.16, height * ratio)
    height = width / ratio
    inset.set_xlim(middle - width / 2, middle + width / 2)
    inset.set_ylim((bottom + top) / 2 - height / 2, (bottom + top) / 2 + height / 2)
    inset.set_xticks([])
    inset.set_yticks([])
    inset.set_title(title, fontsize=7.5, pad=2.5, color="#333333")
    for spine in inset.spines.values():
        spine.set(visible=True, color="#8A929B", linewidth=0.7)


def _bare(ax: Axes) -> None:
    ax.set_aspect("equal", adjustable="box")
    ax.set_axis_off()


def _legend(ax: Axes, labels: list[str], palette: list, title: str, missing: str, outline: str) -> None:
    keys = [Patch(facecolor=color, edgecolor="#8A929B", linewidth=0.5, label=_plain(label))
            for label, color in zip(labels, palette, strict=True)]  # fmt: skip
    if missing:
        keys.append(Patch(linewidth=0.5, label=_plain(missing), **_MISSING))
    if outline:
        keys.append(Patch(facecolor="none", edgecolor=_OUTLINE, linewidth=1.3, label=_plain(outline)))
    if keys:
        ax.legend(handles=keys, title=_plain(title), loc="lower left", bbox_to_anchor=(0.0, 0.22), frameon=False,
                  alignment="left", handlelength=1.5, handleheight=1.1, labelspacing=0.45, fontsize=8.5,
                  title_fontproperties={"weight": "bold", "size": 8.8})  # fmt: skip


def _plain(text: str) -> str:
    """Text that matplotlib neither reads as a formula nor drops."""
    text = text.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text

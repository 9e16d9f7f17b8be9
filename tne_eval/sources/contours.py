"""Outlines of the départements, light enough to be shipped and still fitting one another."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry import mapping, shape

from tne_eval.errors import ContractError, Problem
from tne_eval.sources.geography import departement_name, list_departements, normalise_departement

# In degrees: about 2.5 km, under a pixel on a map of France; the coordinates keep some 100 m.
TOLERANCE = 0.025
DECIMALS = 3
# Islands under some 9 km² cannot be seen on such a map; the largest part of a département always stays.
SMALLEST_ISLAND = 0.001


def read_outlines(path: Path) -> dict[str, shapely.Geometry]:
    """Outline of each département by code; every problem of the file at once."""

    def problem(found: str, expected: str, remedy: str) -> Problem:
        return Problem(path.name, None, None, found, expected, remedy)

    try:
        features = json.loads(path.read_text(encoding="utf-8-sig"))["features"]
        outlines = {feature["properties"]["code"]: shape(feature["geometry"]) for feature in features}
    except (ValueError, KeyError, TypeError, AttributeError, shapely.errors.ShapelyError) as error:
        found = f"{type(error).__name__}: {error}"[:120]
        expected = "GeoJSON features with a property 'code'"
        raise ContractError([problem(found, expected, "Fetch the file again.")]) from error
    known = {code: outline for code, outline in outlines.items() if code in set(list_departements())}
    lost = [code for code in list_departements() if code not in known]
    problems = [problem(f"no outline of {code}", "the 101 départements", "Fetch the file again.") for code in lost] + [
        problem(f"an outline of {code} that is no polygon", "a polygon", "Fetch the file again.")
        for code, outline in known.items()
        if outline.geom_type not in ("Polygon", "MultiPolygon") or outline.is_empty
    ]
    if problems:
        raise ContractError(problems)
    return {normalise_departement(code): known[code] for code in sorted(known)}


def _polygons(outline: shapely.Geometry) -> list[shapely.Polygon]:
    """Parts of an outline that are worth drawing."""
    parts = [part for part in shapely.get_parts(outline) if part.geom_type == "Polygon"]
    largest = max(parts, key=lambda part: part.area)
    return [part for part in parts if part is largest or part.area >= SMALLEST_ISLAND]


def simplify_outlines(outlines: dict[str, shapely.Geometry]) -> dict[str, shapely.Geometry]:
    """Simplified together, so that common borders stay common; valid polygons on a grid of 0.001 degree."""
    repaired = [shapely.MultiPolygon(_polygons(shapely.make_valid(outline))) for outline in outlines.values()]
    simple = shapely.set_precision(
        shapely.coverage_simplify(np.array(repaired, dtype=object), TOLERANCE), 10.0**-DECIMALS
    )
    return dict(zip(outlines, (shapely.normalize(outline) for outline in simple), strict=True))


def outlines_json(outlines: dict[str, shapely.Geometry]) -> bytes:
    """GeoJSON with `code` and `nom`, one feature per line."""

    def rounded(coordinates):
        if isinstance(coordinates, (int, float)):
            return round(coordinates, DECIMALS)
        return [rounded(part) for part in coordinates]

    features = [
        json.dumps(
            {
                "type": "Feature",
                "properties": {"code": code, "nom": departement_name(code)},
                "geometry": {
                    "type": outline.geom_type,
                    "coordinates": rounded(mapping(outline)["coordinates"]),
                },
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )
        for code, outline in outlines.items()
    ]
    return ('{"type":"FeatureCollection","features":[\n' + ",\n".join(features) + "\n]}\n").encode()

"""Sources that report the same thing, side by side: how far they agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from tne_eval.sources.tables.exams import dnb_college_groups, ivac_college_groups, link_ivac
from tne_eval.sources.tables.places import fibre_of_barometre, fibre_of_indicator
from tne_eval.sources.tables.schools import colleges_of, ips_groups
from tne_eval.sources.tables.spec import Field, Frames

FIELDS = (
    Field("comparison", "string", "Ce qui est comparé"),
    Field("level", "string", "Maille de la comparaison"),
    Field("left_source", "string", "Première source"),
    Field("right_source", "string", "Seconde source"),
    Field("left", "number", "Total ou moyenne de la première source", decimals=2),
    Field("right", "number", "Total ou moyenne de la seconde source", decimals=2),
    Field("difference", "number", "Première moins seconde", decimals=2),
    Field("compared", "integer", "Unités comparées"),
    Field("differing", "integer", "Unités qui diffèrent"),
    Field("largest_difference", "number", "Plus grand écart absolu d'une unité", decimals=2),
    Field("only_left", "integer", "Unités de la première source seule"),
    Field("only_right", "integer", "Unités de la seconde source seule"),
)


def _compare(
    comparison: str, level: str, left: pd.Series, right: pd.Series, sources: tuple[str, str], how: str = "sum"
) -> dict:
    """One row: two series of figures on the units that both hold, each unit once."""
    left, right = left.dropna().astype(float), right.dropna().astype(float)
    common = left.index.intersection(right.index)
    gap = left[common] - right[common]
    totals = (left[common].agg(how), right[common].agg(how)) if len(common) else (np.nan, np.nan)
    return {
        "comparison": comparison,
        "level": level,
        "left_source": sources[0],
        "right_source": sources[1],
        "left": totals[0],
        "right": totals[1],
        "difference": totals[0] - totals[1],
        "compared": len(common),
        "differing": int((gap.abs() > 1e-9).sum()),
        "largest_difference": gap.abs().max() if len(common) else np.nan,
        "only_left": len(left.index.difference(right.index)),
        "only_right": len(right.index.difference(left.index)),
    }


def _fibre(frames: Frames) -> Iterator[dict]:
    yield _compare(
        "fibre_percent, trimestres communs",
        "département × trimestre",
        fibre_of_barometre(frames["barometre_2023"]),
        _common_quarters(fibre_of_indicator(frames["fibre_2024"]), fibre_of_barometre(frames["barometre_2023"])),
        ("barometre_2023", "fibre_2024"),
        "mean",
    )


def _common_quarters(series: pd.Series, other: pd.Series) -> pd.Series:
    quarters = other.index.get_level_values(1).unique()
    return series[series.index.get_level_values(1).isin(quarters)]


def _dnb(frames: Frames, tables: Frames) -> Iterator[dict]:
    detailed = tables["dnb"]
    merged = frames["dnb_colleges_2021"]
    for session in sorted(merged["session"].astype(int).unique()):
        mine = detailed[detailed["session"] == session].groupby("departement")
        theirs = merged[merged["session"] == session].groupby("code_departement")
        for name, column in (("dnb_registered", "inscrits"), ("dnb_present", "presents"), ("dnb_admitted", "admis")):
            yield _compare(
                f"{name}, session {session}",
                "département",
                mine[name].sum(),
                theirs[column].sum(),
                ("dnb_departement", "dnb_colleges_2021"),
            )
    general = detailed[detailed["serie"] == "generale"]
    ivac = frames["ivac"]
    for session in sorted(set(general["session"]) & set(ivac["session"].astype(int))):
        yield _compare(
            f"candidats de la série générale (présents, IVAC), session {session}",
            "département",
            general[general["session"] == session].groupby("departement")["dnb_present"].sum(),
            ivac[ivac["session"] == session].groupby("code_departement")["nb_candidats_g"].sum(),
            ("dnb_departement", "ivac"),
        )


def _by_school(frames: Frames) -> Iterator[dict]:
    enrolment = colleges_of(frames["effectifs_colleges"])
    ips = pd.concat([frames["ips_colleges_2021"], frames["ips_colleges_2022"]], ignore_index=True)
    years = sorted(set(enrolment["rentree_scolaire"].astype(int)) & set(ips["rentree_scolaire"].astype(int)))
    for year in years:
        mine = enrolment[enrolment["rentree_scolaire"] == year].set_index("numero_college")
        theirs = ips[ips["rentree_scolaire"] == year].set_index("uai")
        source = "ips_colleges_2022" if year >= 2022 else "ips_colleges_2021"
        yield _compare(
            f"élèves par collège, rentrée {year}",
            "collège",
            mine["nombre_eleves_total"],
            theirs["effectifs"],
            ("effectifs_colleges", source),
        )
        yield _compare(
            f"nombre de collèges, rentrée {year}",
            "département",
            mine.groupby("code_departement").size(),
            theirs.groupby("code_du_departement").size(),
            ("effectifs_colleges", source),
        )
    merged = frames["dnb_colleges_2021"]
    for session in sorted(merged["session"].astype(int).unique()):
        theirs = merged[merged["session"] == session].set_index("numero_college")
        mine = enrolment[enrolment["rentree_scolaire"] == session - 1].set_index("numero_college")
        for name in ("nombre_eleves_total", "rep", "rep_plus"):
            yield _compare(
                f"{name} par collège, rentrée {session - 1}",
                "collège",
                mine[name],
                theirs[name],
                ("effectifs_colleges", "dnb_colleges_2021"),
            )
        for year in sorted(ips["rentree_scolaire"].astype(int).unique()):
            yield _compare(
                f"IPS par collège, session {session} et rentrée {year}",
                "collège",
                theirs["ips"],
                ips[(ips["rentree_scolaire"] == year).to_numpy()].set_index("uai")["ips"],
                ("dnb_colleges_2021", "ips_colleges_2022" if year >= 2022 else "ips_colleges_2021"),
                "mean",
            )


def _segregation(frames: Frames, tables: Frames) -> Iterator[dict]:
    theirs = tables["segregation"]
    theirs = theirs[theirs["unit_type"] == "departement"]
    mine = tables["colleges"]
    for year in sorted(set(theirs["school_year"]) & set(mine["school_year"])):
        yield _compare(
            f"nombre de collèges, rentrée {year}",
            "département",
            mine[mine["school_year"] == year].set_index("departement")["colleges"],
            theirs[theirs["school_year"] == year].set_index("unit")["segregation_colleges"],
            ("effectifs_colleges", "segregation_colleges"),
        )


def _skills(frames: Frames) -> Iterator[dict]:
    raw = frames["evaluations_departement"]
    keys = ["indic_id", "enforce_zone_id", "metric_enforce_date"]
    values = raw.set_index(keys)
    initial = values["indic_vi"].dropna()
    yield _compare(
        "compétences : valeur initiale et valeur observée à la même date",
        "indicateur × territoire",
        initial,
        values["indic_va"].reindex(initial.index),
        ("evaluations_departement", "evaluations_departement"),
        "mean",
    )
    # The barometer of 2023 has no national evaluation among its indicators: nothing to compare.
    yield _compare(
        "compétences des évaluations nationales",
        "département × date",
        pd.Series(dtype=float),
        pd.Series(dtype=float),
        ("evaluations_departement", "barometre_2023"),
        "mean",
    )


def _linkage(frames: Frames) -> Iterator[dict]:
    """Collèges whose UAI is found in the IPS file that their session takes."""
    linked = link_ivac(frames)
    for session, part in linked.groupby("session"):
        year = int(part["ips_school_year"].iloc[0]) if part["ips_school_year"].notna().any() else None
        found = part["ips"].notna()
        yield {
            "comparison": f"appariement par UAI, IVAC session {session} et IPS {year}",
            "level": "collège",
            "left_source": "ivac",
            "right_source": "ips_colleges_2022" if year and year >= 2022 else "ips_colleges_2021",
            "left": float(len(part)),
            "right": float(found.sum()),
            "difference": float((~found).sum()),
            "compared": int(found.sum()),
            "differing": 0,
            "largest_difference": np.nan,
            "only_left": int((~found).sum()),
            "only_right": 0,
        }


def reconcile(frames: Frames, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per comparison: totals or means on the units both sources hold, how many differ and by how much."""
    rows = [
        *_fibre(frames),
        *_dnb(frames, tables),
        *_by_school(frames),
        *_segregation(frames, tables),
        *_skills(frames),
        *_linkage(frames),
    ]
    return pd.DataFrame(rows)[[field.name for field in FIELDS]]


def left_out(frames: Frames) -> list[str]:
    """Départements too small for one group of schools, as sentences."""
    small = {
        "IPS des écoles": ips_groups(frames, "ecoles")[1],
        "IPS des collèges": ips_groups(frames, "colleges")[1],
        "DNB des collèges": dnb_college_groups(frames)[1],
        "IVAC des collèges": ivac_college_groups(frames)[1],
    }
    return [
        f"{what}, {period} : {departement} laissé de côté ({schools} établissement(s))"
        for what, units in small.items()
        for departement, period, schools in units.itertuples(index=False)
    ]


def format_reconciliation(table: pd.DataFrame) -> str:
    """The reconciliation for a reader: one comparison per line pair."""
    lines = []
    for row in table.itertuples():
        lines.append(f"{row.comparison} ({row.level}) : {row.left_source} / {row.right_source}")
        if row.compared == 0:
            lines.append("    rien de commun")
            continue
        gap = "" if np.isnan(row.largest_difference) else f", écart maximal {row.largest_difference:.2f}"
        lines.append(
            f"    {row.left:.2f} / {row.right:.2f} (écart {row.difference:+.2f}) ; {row.compared} comparés, "
            f"{row.differing} diffèrent{gap} ; seuls à gauche {row.only_left}, à droite {row.only_right}"
        )
    return "\n".join(lines)

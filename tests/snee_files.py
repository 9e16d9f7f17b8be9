"""The two SNEE files as the portal exports them, generated: true shape and known defects, invented rows.

The rows are fixtures: they never enter a report. What was published of the real files holds of these.

Exactly, to the cent or to the unit: 6,870 conventions of 6,866 SIREN; grants 103,095,993.73 € and spending
196,533,726.48 €; grants of the thirteen metropolitan regions, of Nord (5,270,453 €) and of the conventions without
département (124,834, 53,172 and 7,680 €); spending of Auvergne-Rhône-Alpes (19,772,786 €) and Nord (10,537,288 €);
12,670 écoles and 7,810 communes, of which 1,552 and 1,160 in Auvergne-Rhône-Alpes, 684 and 314 in Nord; 26
conventions of mean spending 435,000 € in Seine-Saint-Denis and 113 of 27,500 € in Moselle; 3,101 conventions at 65 %
or more, one above 70 %; 107 conventions of 200,000 € and more; 12,624 écoles listed, 6,995 of them with SIREN "#N/A".

To the decimal printed: grant over spending of all (52.5 %), of Seine-Saint-Denis (34.0), La Réunion (32.5) and Moselle
(43.8), under 5,000 € (63.5), from 200,000 € (39.3; 22.6 % of spending), of the median convention (63.7) and of the one
above 70 % (82).

Of the eighteen columns of the écoles eight are known from the portal's own view of them, code of the département and
SIREN from the conventions: the other names are invented, and so is the blank département of the écoles whose convention
has none.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from malformed import siren, uai

from tne_eval.sources.geography import academie_of, departement_name, list_departements, list_regions, region_of

CONVENTIONS, LISTED, WITHOUT_SIREN, SCHOOLS, COMMUNES = 6870, 12_624, 6995, 12_670, 7810
GRANTS, SPENDING = 10_309_599_373, 19_653_372_648  # cents
REGIONS = {  # euros of grants
    "Île-de-France": 16_820_965,
    "Auvergne-Rhône-Alpes": 11_643_780,
    "Hauts-de-France": 11_206_064,
    "Occitanie": 8_437_845,
    "Grand Est": 7_820_160,
    "Nouvelle-Aquitaine": 7_784_489,
    "Provence-Alpes-Côte d'Azur": 7_563_308,
    "Pays de la Loire": 5_460_219,
    "Bretagne": 5_241_519,
    "Normandie": 4_917_530,
    "Centre-Val de Loire": 4_438_647,
    "Bourgogne-Franche-Comté": 3_788_296,
    "Corse": 569_748,
}
NOWHERE = {"Polynésie française": 124_834, "Saint-Barthélemy": 53_172, "Saint-Pierre-et-Miquelon": 7680}
_OVERSEAS = ("971", "972", "973", "974", "976")
_SMALL, _LARGE = 500_000, 20_000_000  # cents
_LARGE_COUNT, _LARGE_SPENDING, _LARGE_RATE = 107, round(0.226 * SPENDING), 0.393
_SMALL_SHARE, _SMALL_RATE = 0.33, 0.635
_HIGH, _ABOVE_MEDIAN = 3101, 333
_UAI_PREFIX = {"2A": "620", "2B": "720", "975": "975", "977": "971", "987": "984"}
_CONVENTION_COLUMNS = [
    "code_region",
    "region_academique_ou_com",
    "code_academie",
    "academie",
    "code_departement",
    "departement",
    "raison_sociale_du_signataire_de_la_convention",
    "siren_signataire_de_la_convention",
    "code_commune_siege",
    "nom_officiel_commune_siege",
    "nombre_de_communes",
    "nombre_d_ecoles",
    "depenses_realisees_par_la_collectivite",
    "montant_de_la_subvention",
    "position",
]
_SCHOOL_COLUMNS = [
    "code_region",
    "region_academique_ou_com",
    "code_academie",
    "academie",
    "code_departement",
    "departement_uai",
    "uai",
    "nom_de_l_ecole",
    "nom_de_la_commune_uai",
    "raison_sociale_du_signataire_de_la_convention",
    "siren_signataire_de_la_convention",
    "nombre_de_classes_referentiel",
    "adresse_ecole",
    "code_postal_ecole",
    "type_ecole",
    "etat_ecole",
    "circonscription",
    "position_ecole",
]


def write_snee_files(
    folder: Path, seed: int = 0, schools: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Path]:
    """Write the two files; the same bytes for the same seed. Paths by source id.

    `schools` gives, by département, UAIs to list before any invented one.
    """
    rng = np.random.default_rng(seed)
    conventions = _conventions(rng)
    rows = _convention_rows(conventions, rng)
    paths = {
        "snee_collectivites": Path(folder) / "fr-en-aap-snee-collectivites.csv",
        "snee_ecoles": Path(folder) / "fr-en-aap-snee-ecoles.csv",
    }
    _write(paths["snee_collectivites"], _CONVENTION_COLUMNS, rows)
    _write(paths["snee_ecoles"], _SCHOOL_COLUMNS, _school_rows(conventions, rows, rng, schools or {}))
    return paths


def _write(path: Path, columns: Sequence[str], rows: Sequence[Mapping]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, columns, delimiter=";", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _shares(total: int, weights: np.ndarray) -> np.ndarray:
    """Whole numbers that add up to `total`, in proportion to the weights (largest remainders)."""
    exact = total * np.asarray(weights, dtype=float) / np.sum(weights)
    whole = np.floor(exact).astype("int64")
    whole[np.argsort(whole - exact, kind="stable")[: total - whole.sum()]] += 1
    return whole


def _groups() -> list[dict]:
    """Places with their own totals: départements, conventions, grants, spending (cents), large ones, share at 65 %."""
    euro = 100
    # Few conventions share the money of these: their large ones are set.
    special = {
        "93": {"n": 26, "grant": 3_845_400, "spending": 11_310_000, "large": (20, 10_400_000, 0.33), "high": 0.0},
        "59": {"n": 280, "grant": 5_270_453, "spending": 10_537_288, "large": (9, 3_500_000, 0.42), "high": 0.3},
        "57": {"n": 113, "grant": 1_361_085, "spending": 3_107_500, "large": (1, 250_000, 0.38), "high": 0.15},
        "974": {"n": 20, "grant": 2_000_000, "spending": 6_153_846, "large": (9, 4_900_000, 0.32), "high": 0.0},
    }
    for facts in special.values():
        facts["grant"] *= euro
        facts["spending"] *= euro
    groups = [{"places": [code], **facts} for code, facts in special.items()]
    free = []
    for region, grant in REGIONS.items():
        places = [code for code in list_departements() if region_of(code) == region and code not in special]
        apart = sum(facts["grant"] for code, facts in special.items() if region_of(code) == region)
        free.append({"places": places, "grant": grant * euro - apart})
    told = sum(REGIONS.values()) + sum(NOWHERE.values())
    overseas = [code for code in _OVERSEAS if code not in special]
    free.append({"places": overseas, "grant": GRANTS - told * euro - special["974"]["grant"]})
    auvergne = next(group for group in free if "69" in group["places"])
    auvergne |= {"spending": 19_772_786 * euro, "n": 1000}
    nowhere = round(sum(NOWHERE.values()) * euro / 0.55)
    left = SPENDING - nowhere - sum(group.get("spending", 0) for group in [*groups, *free])
    others = [group for group in free if group is not auvergne]
    for group, spending in zip(others, _shares(left, [group["grant"] for group in others]), strict=True):
        group["spending"] = int(spending)
    numbers = _shares(CONVENTIONS - 6 - 1000 - sum(g["n"] for g in groups), [group["grant"] for group in others])
    for group, number in zip(others, numbers, strict=True):
        group["n"] = int(number)
    sets = [group["large"] for group in groups]
    number = _LARGE_COUNT - sum(n for n, _, _ in sets)
    money = _LARGE_SPENDING - sum(euros * euro for _, euros, _ in sets)
    rate = (_LARGE_RATE * _LARGE_SPENDING - sum(euros * euro * rate for _, euros, rate in sets)) / money
    for group, count in zip(free, _shares(number, [group["grant"] for group in free]), strict=True):
        group |= {"large": (int(count), round(money * count / number) / euro, rate), "high": 0.5}
    return [
        *groups,
        *free,
        {"places": [""], "n": 6, "grant": None, "spending": nowhere, "large": (0, 0, 0.0), "high": 0.0},
    ]


def _scaled(values: np.ndarray, total: int, low: int, high: int) -> np.ndarray:
    """Whole numbers between bounds that add up to `total`, near the values in proportion."""
    factor = np.array([1e-6, 1e12])
    for _ in range(200):
        middle = np.sqrt(factor.prod())
        factor[int(np.clip(values * middle, low, high).sum() > total)] = middle
    whole = np.floor(np.clip(values * factor[0], low, high)).astype("int64")
    room = high - whole
    step = total - int(whole.sum())
    place = int(room.argmax())
    assert 0 <= step <= room[place]
    whole[place] += step
    return whole


def _spending(groups: Sequence[dict], rng: np.random.Generator) -> list[np.ndarray]:
    """Spending of each convention, group by group: the large ones first, then the small ones."""
    found = []
    for group in groups:
        number, euros, _ = group["large"]
        big = np.array([], dtype="int64")
        if number:
            big = _LARGE + _shares(round(euros * 100) - number * _LARGE, rng.lognormal(0.0, 0.6, number))
        quiet = group["high"] == 0
        small = rng.integers(80_000, _SMALL - 1_000, 0 if quiet else round(_SMALL_SHARE * group["n"]))
        count = group["n"] - len(big) - len(small)
        left = group["spending"] - int(big.sum() + small.sum())
        found.append(np.concatenate([big, small, _scaled(rng.lognormal(0, 0.8, count), left, _SMALL, _LARGE - 1)]))
    return found


def _kinds(spending: Sequence[np.ndarray], groups: Sequence[dict], rng: np.random.Generator) -> list[np.ndarray]:
    """What each convention is: large, small_high, small_low, high, above (the median), low."""
    wanted = _shares(_HIGH, [group["n"] * group["high"] for group in groups])
    above = _shares(_ABOVE_MEDIAN + 2, [group["n"] * (group["high"] >= 0.3) for group in groups])
    kinds = []
    for money, high, more in zip(spending, wanted, above, strict=True):
        kind = np.where(money >= _LARGE, "large", np.where(money < _SMALL, "small_low", "low")).astype(object)
        small = np.flatnonzero(kind == "small_low")
        kind[rng.permutation(small)[: min(int(0.45 * len(small)), high)]] = "small_high"
        rest = np.flatnonzero(kind == "low")
        rest = rest[np.argsort(money[rest] * rng.lognormal(0, 0.3, len(rest)), kind="stable")]
        count = high - int((kind == "small_high").sum())
        kind[rest[:count]] = "high"
        kind[rest[count : count + more]] = "above"
        kinds.append(kind)
    return kinds


def _centred(mean: float, spread: float, money: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rates whose mean, weighted by the money, is `mean`."""
    noise = rng.uniform(-spread, spread, len(money))
    return mean + noise - np.average(noise, weights=money)


def _grants(
    spending: Sequence[np.ndarray], kinds: Sequence[np.ndarray], groups: Sequence[dict], rng: np.random.Generator
) -> np.ndarray:
    """Cents of grant of every convention: rates by kind, then the rest of its group's grants over the low ones."""
    money, kind = np.concatenate(spending), np.concatenate(kinds)
    rate = np.full(len(money), np.nan)
    high = np.isin(kind, ("small_high", "high"))
    rate[high] = rng.uniform(0.6502, 0.6998, high.sum())
    rate[np.flatnonzero(kind == "high")[0]] = 0.82
    above = np.flatnonzero(kind == "above")
    rate[above] = rng.uniform(0.638, 0.649, len(above))
    rate[above[-2:]] = 0.637
    small, known = kind == "small_low", kind == "small_high"
    left = _SMALL_RATE * money[small | known].sum() - (rate[known] * money[known]).sum()
    rate[small] = _centred(left / money[small].sum(), 0.015, money[small], rng)
    start = 0
    grants = np.zeros(len(money), dtype="int64")
    for group, own in zip(groups, spending, strict=True):
        place = np.arange(start, start + len(own))
        start += len(own)
        if group["grant"] is None:
            rate[place] = 0.55
            continue
        large = place[kind[place] == "large"]
        if len(large):
            rate[large] = _centred(group["large"][2], 0.02, money[large], rng)
        known = place[~np.isnan(rate[place])]
        rest = np.setdiff1d(place, known)
        grants[known] = np.round(rate[known] * money[known])
        left = group["grant"] - int(grants[known].sum())
        guess = np.round(_centred(left / money[rest].sum(), 0.03, money[rest], rng) * money[rest])
        grants[rest] = guess.astype("int64")
        grants[rest[money[rest].argmax()]] += left - int(grants[rest].sum())
        assert (grants[rest] > 0.1 * money[rest]).all() and (grants[rest] < 0.6365 * money[rest]).all()
    return grants


def _conventions(rng: np.random.Generator) -> dict[str, np.ndarray]:
    groups = _groups()
    spending = _spending(groups, rng)
    grants = _grants(spending, _kinds(spending, groups, rng), groups, rng)
    places, schools, communes = [], [], []
    counts = _numbers(groups)
    for group, own, (number, towns) in zip(groups, spending, counts, strict=True):
        places += [group["places"][n % len(group["places"])] for n in range(len(own))]
        more = _shares(number - len(own), own)
        schools.append(1 + more)
        joint = np.zeros(len(own), dtype="int64")
        joint[rng.permutation(np.flatnonzero(more > 0))[: towns - len(own)]] = 1
        communes.append(1 + joint)
    money = np.concatenate(spending)
    territory = np.array([""] * (len(money) - 6) + [*NOWHERE] * 2, dtype=object)
    for name, euros in NOWHERE.items():
        first, second = np.flatnonzero(territory == name)
        grants[first], grants[second] = 60 * euros, 40 * euros
    last = np.arange(len(money) - 6, len(money))
    money[last] = _shares(groups[-1]["spending"], grants[last])
    return {
        "departement": np.array(places, dtype=object),
        "territory": territory,
        "spending": money,
        "grant": grants,
        "schools": np.concatenate(schools),
        "communes": np.concatenate(communes),
    }


def _numbers(groups: Sequence[dict]) -> list[tuple[int, int]]:
    """(écoles, communes) of each group."""
    fixed = {"69": (1552, 1160), "59": (684, 314), "93": (180, 26), "57": (230, 120), "974": (60, 20), "": (12, 6)}
    told = [next((fixed[code] for code in group["places"] if code in fixed), None) for group in groups]
    open_ = [group for group, numbers in zip(groups, told, strict=True) if numbers is None]
    left = [total - sum(numbers[k] for numbers in told if numbers) for k, total in enumerate((SCHOOLS, COMMUNES))]
    size = sum(group["n"] for group in open_)
    more = [_shares(number - size, [group["n"] for group in open_]) for number in left]
    rest = iter([(group["n"] + int(a), group["n"] + int(b)) for group, a, b in zip(open_, *more, strict=True)])
    return [numbers or next(rest) for numbers in told]


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}".rstrip("0").rstrip(".")


def _convention_rows(conventions: Mapping[str, np.ndarray], rng: np.random.Generator) -> list[dict]:
    academies = sorted({academie_of(code) for code in list_departements()})
    regions = list_regions()
    rows = []
    for n, code in enumerate(conventions["departement"]):
        if code:
            region, academie = region_of(code), academie_of(code)
            place = (f"{regions.index(region) + 1:02d}", region, f"{academies.index(academie) + 1:02d}", academie)
            place = (*place, code.zfill(3), departement_name(code))
        else:
            place = ("00", conventions["territory"][n], "", "", "", "")
        town = f"Commune {n + 1:04d}"
        kind = "Commune de" if conventions["communes"][n] == 1 else "Communauté de communes de"
        # Four signatories hold two conventions.
        number = siren(20_000_000 + (n - 100 if 100 <= n < 104 else n))
        figures = (
            int(conventions["communes"][n]),
            int(conventions["schools"][n]),
            _money(int(conventions["spending"][n])),
            _money(int(conventions["grant"][n])),
        )
        name = f"{kind} {town}" if not 100 <= n < 104 else rows[n - 100][_CONVENTION_COLUMNS[6]]
        position = f"{43 + n % 600 / 100:.2f}, {n % 700 / 100:.2f}"
        rows.append(
            dict(zip(_CONVENTION_COLUMNS, (*place, name, number, f"{n:05d}", town, *figures, position), strict=True))
        )
    return [rows[n] for n in rng.permutation(len(rows))]


def _school_rows(
    conventions: Mapping[str, np.ndarray], rows: Sequence[dict], rng: np.random.Generator, known: Mapping
) -> list[dict]:
    """One row a school of each convention, but 46; SIREN lost for whole conventions first, then school by school."""
    owner = np.repeat(np.arange(len(rows)), [row["nombre_d_ecoles"] for row in rows])
    owner = owner[np.sort(rng.permutation(len(owner))[:LISTED])]
    lost = rng.random(len(rows))[owner] < 0.5
    swap = rng.permutation(np.flatnonzero(lost if lost.sum() > WITHOUT_SIREN else ~lost))
    lost[swap[: abs(int(lost.sum()) - WITHOUT_SIREN)]] ^= True
    queues = {code: [*map(str, uais)][::-1] for code, uais in known.items()}
    used = {number for queue in queues.values() for number in queue}
    next_number = dict.fromkeys(("975", "971", "984"), 9000)
    found = []
    for place, n in enumerate(owner):
        row = rows[n]
        code = row["code_departement"].lstrip("0") if row["code_departement"] else ""
        code = code.zfill(2) if code else {"Pol": "987", "Sai": "977"}[row["region_academique_ou_com"][:3]]
        if "Miquelon" in row["region_academique_ou_com"]:
            code = "975"
        number = queues[code].pop() if queues.get(code) else None
        prefix = _UAI_PREFIX.get(code, code.zfill(3))
        while number is None:
            next_number[prefix] = next_number.get(prefix, 0) + 1
            number = uai(int(prefix) * 10_000 + next_number[prefix])
            number = None if number in used else number
        school = {name: row[name] for name in _SCHOOL_COLUMNS if name in row}
        school |= {
            "uai": number,
            "departement_uai": row["departement"],
            "nom_de_l_ecole": f"Ecole élémentaire {place + 1:05d}",
            "nom_de_la_commune_uai": row["nom_officiel_commune_siege"],
            "nombre_de_classes_referentiel": 1 + place % 9,
            "adresse_ecole": f"{place % 90 + 1} rue de l'École",
            "code_postal_ecole": "",
            "type_ecole": "Ecole élémentaire publique",
            "etat_ecole": "OUVERT",
            "circonscription": "",
            "position_ecole": row["position"],
        }
        if lost[place]:
            school["siren_signataire_de_la_convention"] = "#N/A"
            school["raison_sociale_du_signataire_de_la_convention"] = "#N/A"
        found.append(school)
    return [found[n] for n in rng.permutation(len(found))]

"""Segregation between schools: published values, peers, brute force, laws, and DEPP's own figures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tne_eval.errors import DesignError
from tne_eval.indicators.segregation import (
    decompose_segregation,
    dissimilarity,
    entropy_by_sector,
    exposure,
    mutual_information,
    normalized_entropy,
    normalized_exposure,
)

REFERENCE = Path(__file__).parent / "reference"
DEPP_FILE = "segregation/fr-en-indicateur_segregation_sociale_colleges.csv"
GROUPS = ["tfav", "fav", "moy", "defav"]


@pytest.fixture(scope="module")
def schools(reference_data):
    rows = reference_data("segregation_schools00.csv.gz")
    return rows.pivot_table(index=["state", "school"], columns="race", values="n", aggfunc="sum", fill_value=0)


@pytest.fixture(scope="module")
def peer():
    """Values of PySAL, made by tests/reference/segregation_pysal.py."""
    return pd.read_csv(REFERENCE / "segregation_pysal.csv", index_col="statistic")["value"]


def random_counts(seed, schools=12, groups=3):
    return np.random.default_rng(seed).integers(0, 40, (schools, groups)) + np.eye(schools, groups, dtype=int)


@pytest.mark.opendata
def test_values_published_with_the_r_package_segregation(schools):
    """Vignette of the R package `segregation` (Elbers 2021), data set schools00."""
    assert mutual_information(schools) == pytest.approx(0.4255389759, abs=1e-9)
    assert normalized_entropy(schools) == pytest.approx(0.4188083146, abs=1e-9)
    assert dissimilarity(schools["black"], schools["white"]) == pytest.approx(0.7283878849, abs=1e-9)
    result = decompose_segregation(schools, schools.index.get_level_values("state"))
    assert result.mutual_information.between == pytest.approx(0.0992437, abs=5e-8)
    assert result.mutual_information.within == pytest.approx(0.3262953, abs=5e-8)


@pytest.mark.opendata
def test_values_of_pysal(schools, peer):
    total = schools.sum(axis=1)
    black, white = schools["black"], schools["white"]
    held = black + white > 0
    found = {
        "dissimilarity black white": dissimilarity(black, white),
        "exposure black white": exposure(black[held], white[held], (black + white)[held]),
        "isolation black": exposure(black, black, total),
        "normalized_exposure black": normalized_exposure(black, total),
        "normalized_entropy": normalized_entropy(schools),
    }
    for name, value in found.items():
        assert value == pytest.approx(peer[name], abs=1e-9), name


def test_limits():
    even, apart = [[10, 20], [30, 60]], [[10, 0], [0, 60], [5, 0]]
    for index in (mutual_information, normalized_entropy):
        assert index(even) == pytest.approx(0, abs=1e-15)
    assert normalized_entropy(apart) == pytest.approx(1)
    assert mutual_information([[1, 0], [0, 1]]) == pytest.approx(np.log(2))
    (first, second), total = np.array(apart).T, np.sum(apart, axis=1)
    for index in (dissimilarity(first, second), normalized_exposure(first, total), exposure(first, first, total)):
        assert index == pytest.approx(1)
    assert dissimilarity(*np.array(even).T) == exposure(first, second, total) == 0


def test_a_case_by_hand():
    """Two schools of 10: 8 + 2 and 2 + 8. D = 6/10; isolation = .8·.8 + .2·.2 = .68; η² = (.68 − .5)/.5."""
    first, second, total = [8, 2], [2, 8], [10, 10]
    assert dissimilarity(first, second) == pytest.approx(0.6)
    assert exposure(first, first, total) == pytest.approx(0.68)
    assert exposure(first, second, total) == pytest.approx(0.32)
    assert normalized_exposure(first, total) == pytest.approx(0.36)
    assert mutual_information([[8, 2], [2, 8]]) == pytest.approx(0.8 * np.log(1.6) + 0.2 * np.log(0.4))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_laws(seed):
    counts = random_counts(seed)
    first, rest, total = counts[:, 0], counts[:, 1:].sum(axis=1), counts.sum(axis=1)
    share = first.sum() / total.sum()
    joint = counts / counts.sum()
    product = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    brute = np.sum(joint[joint > 0] * np.log(joint[joint > 0] / product[joint > 0]))
    assert mutual_information(counts) == pytest.approx(brute, abs=1e-12)
    assert mutual_information(counts.T) == pytest.approx(brute, abs=1e-12)
    assert 0 <= normalized_entropy(counts) <= 1
    assert normalized_exposure(first, total) == pytest.approx(
        (exposure(first, first, total) - share) / (1 - share), abs=1e-12
    )
    assert normalized_exposure(first, total) == pytest.approx(1 - exposure(first, rest, total) / (1 - share), abs=1e-12)
    assert exposure(first, first, total) + exposure(first, rest, total) == pytest.approx(1)
    assert dissimilarity(first, rest) == pytest.approx(
        np.sum(total * np.abs(first / total - share)) / (2 * total.sum() * share * (1 - share)), abs=1e-12
    )
    order = np.random.default_rng(seed).permutation(len(counts))
    # Twice the pupils, another order, a school cut into two halves alike and an empty school change nothing.
    halves = np.vstack([counts[order] * 2, counts[order[:1]] * 2, counts[:1] * 0])
    halves[[0, -2]] //= 2
    for index in (
        mutual_information,
        normalized_entropy,
        lambda c: dissimilarity(c[:, 0], c[:, 1:].sum(axis=1)),
        lambda c: normalized_exposure(c[:, 0], c.sum(axis=1)),
    ):
        assert index(halves) == pytest.approx(index(counts), abs=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_decomposition_by_cluster(seed):
    """The parts sum to the total, between is the index of the merged clusters, within that of each cluster alone."""
    counts = random_counts(seed)
    cluster = np.array(["b", "a", "c"])[np.random.default_rng(seed).integers(0, 3, 12)]
    cluster[:3] = ["a", "b", "c"]
    result = decompose_segregation(counts, cluster)
    total, between, within = result.mutual_information
    assert total == pytest.approx(mutual_information(counts), abs=1e-12)
    assert total == pytest.approx(between + within, abs=1e-12)
    merged = pd.DataFrame(counts).groupby(cluster).sum()
    assert between == pytest.approx(mutual_information(merged), abs=1e-12)
    assert result.normalized_entropy.total == pytest.approx(normalized_entropy(counts), abs=1e-12)
    assert list(result.frame["cluster"]) == ["a", "b", "c"]
    assert result.frame["contribution"].sum() == pytest.approx(within, abs=1e-12)
    assert result.frame["percent"].sum() + result.between_percent == pytest.approx(100)
    for row in result.frame.itertuples():
        held = counts[cluster == row.cluster]
        held = held[:, held.sum(axis=0) > 0]
        alone = mutual_information(held) if len(held) > 1 and held.shape[1] > 1 else 0
        assert row.mutual_information == pytest.approx(alone, abs=1e-12)
        assert row.population_share == pytest.approx(held.sum() / counts.sum())
    sector = entropy_by_sector(
        merged.div(merged.sum(axis=1), axis=0), result.frame["population_share"], result.frame["normalized_entropy"]
    )
    assert sector.mutual_information == pytest.approx(result.mutual_information, abs=1e-12)
    pd.testing.assert_frame_equal(sector.frame, result.frame)


def test_a_cluster_of_one_school_or_one_group_has_no_segregation_within():
    result = decompose_segregation([[5, 5], [3, 0], [4, 0]], ["one school", "one group", "one group"])
    assert (result.frame[["mutual_information", "normalized_entropy", "contribution"]] == 0).all(axis=None)
    assert result.between_percent == pytest.approx(100)


def test_no_segregation_has_no_percent():
    result = decompose_segregation([[1, 1], [1, 1]], ["a", "b"])
    assert result.between_percent == 0
    assert (result.frame["percent"] == 0).all()


def test_the_caller_keeps_the_data():
    counts = pd.DataFrame(random_counts(1))
    kept = counts.copy()
    decompose_segregation(counts, ["a", "b"] * 6)
    normalized_exposure(counts[0], counts.sum(axis=1))
    pd.testing.assert_frame_equal(counts, kept)


GOOD = [[8, 2], [2, 8], [5, 5]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mutual_information([[8, -2], [2, 8]]), "zero or more"),
        (lambda: mutual_information([[8, np.nan], [2, 8]]), "missing or infinite"),
        (lambda: mutual_information([[8, np.inf], [2, 8]]), "missing or infinite"),
        (lambda: mutual_information([[8, 0], [2, 0]]), "no pupils in any school"),
        (lambda: mutual_information([[8, 2]]), "fewer than two schools"),
        (lambda: mutual_information([[8, 2], [0, 0]]), "fewer than two schools"),
        (lambda: mutual_information([[8], [2]]), "fewer than two groups"),
        (lambda: mutual_information([8, 2]), "two dimensions"),
        (lambda: mutual_information([[8, 2], [2]]), "else than numbers"),
        (lambda: mutual_information([["many", "few"], ["a", "b"]]), "else than numbers"),
        (lambda: mutual_information(np.empty((0, 2))), "fewer than two schools"),
        (lambda: dissimilarity([1, 2], [1, 2, 3]), "shape"),
        (lambda: dissimilarity([1, 2], [0, 0]), "no pupils"),
        (lambda: dissimilarity([[1, 2]], [[1, 2]]), "shape"),
        (lambda: exposure([4, 1], [1, 2], [3, 3]), "first is larger than the total"),
        (lambda: exposure([1, 1], [1, 4], [3, 3]), "second is larger than the total"),
        (lambda: normalized_exposure([3, 3], [3, 3]), "outside the group"),
        (lambda: decompose_segregation(GOOD, ["a", "b"]), "2 labels"),
        (lambda: decompose_segregation(GOOD, ["a", "a", "a"]), "fewer than two clusters"),
        (lambda: decompose_segregation(GOOD, ["a", "b", None]), "missing labels"),
        (lambda: decompose_segregation(GOOD, ["a", "b", np.nan]), "missing labels"),
        (lambda: entropy_by_sector(GOOD, [0.5, 0.5], [0, 0]), "population_share has shape"),
        (lambda: entropy_by_sector(GOOD, [0.5, 0.5, 0], [0, 0, 0]), "no pupils"),
        (lambda: entropy_by_sector(GOOD, [0.5, 0.3, np.nan], [0, 0, 0]), "no pupils"),
        (lambda: entropy_by_sector(GOOD, [0.5, 0.3, 0.2], [0, 0, 1.2]), "between 0 and 1"),
        (lambda: entropy_by_sector(GOOD, [0.5, 0.3, 0.2], [0, 0, np.nan]), "between 0 and 1"),
        (lambda: entropy_by_sector([[8, 2], [0, 0]], [0.5, 0.5], [0, 0]), "fewer than two sectors"),
        (lambda: entropy_by_sector([[8, 2], [2, 8], [0, 0]], [0.4, 0.4, 0.2], [0, 0, 0]), "no pupils"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(DesignError) as refusal:
        call()
    assert words in str(refusal.value)


@pytest.fixture(scope="module")
def depp(opendata):
    """DEPP's rows where both sectors are there: 1,419 territories and years."""
    rows = pd.read_csv(opendata / DEPP_FILE, sep=";", dtype={"acad": str, "dep": str})
    return rows[rows["i_entropie_interPUPR"].notna()]


def sector_entropy(row, groups=GROUPS, **moved):
    """Index between sectors, total, and percents of public, private, between, from DEPP's shares and sector indices."""
    get = {**row, **moved}
    shares = np.array([[get[f"p_{name}_{sector}"] for name in GROUPS] for sector in ("pu", "pr")])
    if groups != GROUPS:
        one = shares[:, [GROUPS.index(name) for name in groups]].sum(axis=1)
        shares = np.column_stack([one, shares.sum(axis=1) - one])
    private = get["poids_prive_calcul"]
    result = entropy_by_sector(shares, [100 - private, private], [get["i_entropie_pu"], get["i_entropie_pr"]])
    index = result.normalized_entropy
    return np.array([index.between, index.total, *result.frame["percent"], result.between_percent])


PUBLISHED = ["i_entropie_interPUPR", "i_entropie_tot", "contrib_pu", "contrib_pr", "contrib_interPUPR"]


@pytest.mark.opendata
def test_depp_figures_from_depp_shares(depp):
    """The index between sectors, the total and the contributions come out of the shares in the same file.

    DEPP prints three decimals of the indices and one of the percents. What the file does not allow: the indices of
    the public and of the private sector, which need the collèges one by one, and are taken as printed.
    """
    assert len(depp) == 1419
    found = np.array([sector_entropy(row) for row in depp.to_dict("records")])
    gap = pd.DataFrame(np.abs(found - depp[PUBLISHED].to_numpy()), columns=PUBLISHED)
    same = (gap[PUBLISHED[:2]] <= 0.0005).mean()
    assert same["i_entropie_interPUPR"] > 0.94
    assert same["i_entropie_tot"] > 0.79
    assert gap["i_entropie_interPUPR"].max() < 0.001
    assert (gap["i_entropie_tot"] <= 0.001).mean() > 0.998
    assert gap["i_entropie_tot"].max() < 0.0011
    assert (gap[PUBLISHED[2:]].max() < 1.1).all()
    assert (gap[PUBLISHED[2:]].quantile(0.9) < [0.4, 0.2, 0.25]).all()
    assert depp[PUBLISHED[2:]].sum(axis=1).between(99.85, 100.15).all()


@pytest.mark.opendata
def test_the_rounding_of_the_shares_explains_every_difference_with_depp(depp):
    """Each input may be half a unit of its last decimal away: the reach of that and of the printed result is enough."""
    rows = depp[depp["annee"] == depp["annee"].max()].to_dict("records")
    inputs = [f"p_{name}_{sector}" for name in GROUPS for sector in ("pu", "pr")] + ["poids_prive_calcul"]
    halves = dict.fromkeys(inputs, 0.05) | {"i_entropie_pu": 0.0005, "i_entropie_pr": 0.0005}
    assert len(rows) > 100
    for row in rows:
        found = sector_entropy(row)
        reach = sum(np.abs(sector_entropy(row, **{name: row[name] + half}) - found) for name, half in halves.items())
        gap = np.abs(found - [row[name] for name in PUBLISHED])
        assert (gap <= 1.05 * reach + [0.0005, 0.0005, 0.05, 0.05, 0.05]).all(), row["nom_academie"]


@pytest.mark.opendata
def test_depp_uses_four_social_groups_not_two(depp):
    rows = depp.to_dict("records")
    published = depp["i_entropie_interPUPR"].to_numpy()
    for groups in (["defav"], ["tfav"], ["tfav", "fav"]):
        between = np.array([sector_entropy(row, groups)[0] for row in rows])
        assert (np.abs(between - published) <= 0.0005).mean() < 0.1

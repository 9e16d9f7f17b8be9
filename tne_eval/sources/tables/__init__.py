"""The shipped tables: one pure function each, raw frames in, tidy frame out."""

from tne_eval.sources.tables.exams import DNB, DNB_COLLEGES, IVAC_COLLEGES
from tne_eval.sources.tables.places import FIBRE, IFN, SKILLS, TNE_COUNTERS
from tne_eval.sources.tables.schools import COLLEGES, IPS_COLLEGES, IPS_ECOLES, SEGREGATION
from tne_eval.sources.tables.spec import Field, Table

TABLES: tuple[Table, ...] = (
    DNB,
    SEGREGATION,
    COLLEGES,
    IPS_ECOLES,
    IPS_COLLEGES,
    DNB_COLLEGES,
    IVAC_COLLEGES,
    FIBRE,
    IFN,
    SKILLS,
    TNE_COUNTERS,
)

__all__ = ["TABLES", "Field", "Table"]

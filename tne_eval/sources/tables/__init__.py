"""The shipped tables: one pure function each, raw frames in, tidy frame out."""

from tne_eval.sources.tables.digital import ENT_DEVICES, ENT_USE, PIX_CAMPAIGNS, PIX_CERTIFICATIONS, PREMISES
from tne_eval.sources.tables.evaluations import EVAL6E, EVAL6E_COLLEGES
from tne_eval.sources.tables.exams import DNB, DNB_COLLEGES, IVAC_COLLEGES
from tne_eval.sources.tables.kinds import DNB_BY_AREA, DNB_BY_PRIORITY, IPS_BY_AREA, IPS_BY_PRIORITY, IVAC_BY_PRIORITY
from tne_eval.sources.tables.places import FIBRE, IFN, ILLECTRONISME, SKILLS, TNE_COUNTERS
from tne_eval.sources.tables.schools import COLLEGES, IPS_COLLEGES, IPS_ECOLES, SEGREGATION
from tne_eval.sources.tables.snee import SNEE
from tne_eval.sources.tables.spec import Field, Table

TABLES: tuple[Table, ...] = (
    DNB,
    SEGREGATION,
    COLLEGES,
    IPS_ECOLES,
    IPS_COLLEGES,
    DNB_COLLEGES,
    IVAC_COLLEGES,
    IPS_BY_PRIORITY,
    DNB_BY_PRIORITY,
    IVAC_BY_PRIORITY,
    FIBRE,
    IFN,
    SKILLS,
    TNE_COUNTERS,
)

# Made only from files that were fetched: a build without them does not have these tables.
FETCHED: tuple[Table, ...] = (
    EVAL6E,
    EVAL6E_COLLEGES,
    ENT_USE,
    ENT_DEVICES,
    PIX_CAMPAIGNS,
    PIX_CERTIFICATIONS,
    PREMISES,
    ILLECTRONISME,
    DNB_BY_AREA,
    IPS_BY_AREA,
    SNEE,
)

__all__ = ["FETCHED", "TABLES", "Field", "Table"]

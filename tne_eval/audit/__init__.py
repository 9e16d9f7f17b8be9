"""What the data are worth: rules that find implausible figures, the register of what is missing, requests for it."""

from tne_eval.audit.audit import audit_file, audit_programme, audit_table
from tne_eval.audit.availability import STATUSES, data_availability
from tne_eval.audit.finding import SEVERITIES, Finding, findings_frame
from tne_eval.audit.needs import list_holders, list_needs
from tne_eval.audit.request import RequestNote, asked_of, request_kinds, write_request
from tne_eval.audit.words import describe_finding, severity_word

__all__ = [
    "SEVERITIES",
    "STATUSES",
    "Finding",
    "RequestNote",
    "asked_of",
    "audit_file",
    "audit_programme",
    "audit_table",
    "data_availability",
    "describe_finding",
    "findings_frame",
    "list_holders",
    "list_needs",
    "request_kinds",
    "severity_word",
    "write_request",
]

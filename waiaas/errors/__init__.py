"""The one exception of this library, its codes, and the texts of errors and findings in English and Korean."""

from waiaas.errors.codes import ALL_CODES, ERROR_CODES, OWN_CODES, ErrorCode
from waiaas.errors.exceptions import LANGUAGES, WAIaaSError, refusal
from waiaas.errors.reasons import REASONS

__all__ = [
    "ALL_CODES",
    "ERROR_CODES",
    "LANGUAGES",
    "OWN_CODES",
    "REASONS",
    "ErrorCode",
    "WAIaaSError",
    "refusal",
]

"""The one exception of this library, its codes, and the texts of errors and findings in English and Korean."""

from waiaas.errors.base import LANGUAGES, WAIaaSError, refusal
from waiaas.errors.codes import ERROR_CODES, ErrorCode
from waiaas.errors.reasons import REASONS

__all__ = ["ERROR_CODES", "LANGUAGES", "REASONS", "ErrorCode", "WAIaaSError", "refusal"]

"""The words around errors and findings in each language; the texts themselves are in `waiaas.errors`.

Answers, help, progress and errors of usage are in English.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

#: The words by language; all languages have the same keys and placeholders.
MESSAGES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "error": "Error",
        "what_to_do": "What to do",
        "obstacle": "Obstacle",
        "warning": "Warning",
        "problem": "problem",
        "note": "note",
        "interrupted": "Interrupted",
        "unchanged": "{path} is unchanged.",
        "output_lost": "The command did its work, but its answer could not be written: {cause}.",
    },
    "ko": {
        "error": "오류",
        "what_to_do": "해결 방법",
        "obstacle": "걸림돌",
        "warning": "경고",
        "problem": "문제",
        "note": "참고",
        "interrupted": "중단됨",
        "unchanged": "{path} 파일은 변경되지 않았습니다.",
        "output_lost": "명령은 완료되었지만 결과를 출력하지 못했습니다. 원인: {cause}.",
    },
}


def language(name: str) -> str:
    """Return the language of a locale: its first part, in lower case.

    >>> language("ko_KR.UTF-8"), language("KO"), language("en-US"), language("C")
    ('ko', 'ko', 'en', 'c')
    """
    return re.split("[_.@-]", name)[0].lower()

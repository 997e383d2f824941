"""The main lines of answers, and the words around errors and findings, whose own texts are in `waiaas.errors`.

The details of answers, help, progress and errors of usage are in English.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import click

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
        "created": "Created {path} at schema version {version}.",
        "latest": "{path} is at schema version {version}, the latest.",
        "nothing_to_do": "{path} is at schema version {version}, the latest: nothing to do.",
        "empty": "{path} is empty.",
        "empty_to_upgrade": "{path} is empty: an upgrade creates the tables in it. Do it: {command}",
        "pending": "{path} is at schema version {version}; an upgrade to {latest} is pending.",
        "then": "{first}, then {second}",
        "planned": "{path}: schema version {version} to {to}",
        "nothing_changed": "Nothing was changed.",
        "do_it": "Do it: {command}",
        "upgraded": "Upgraded {path} from schema version {version} to {to}.",
        "downgraded": "Downgraded {path} from schema version {version} to {to}.",
        "would_succeed": "An upgrade of {path} from schema version {version} to {to} succeeds.",
        "would_change_rows": "An upgrade of {path} would change rows that it must not change, in: {tables}."
        " Do not upgrade it.",
        "copy_removed": "This was done to a copy, which was removed. {path} is unchanged.",
        "not_compared": "{path} is at schema version {version}: its tables and links were not compared.",
        "no_problem": "no problem found.",
        "no_problem_partly": "no problem found in what was checked.",
        "one_problem": "1 problem found.",
        "problems": "{count} problems found.",
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
        "created": "{path} 데이터베이스를 만들었습니다(스키마 버전: {version}).",
        "latest": "{path} 데이터베이스는 최신 스키마 버전({version})입니다.",
        "nothing_to_do": "{path} 데이터베이스는 최신 스키마 버전({version})이므로 할 일이 없습니다.",
        "empty": "{path} 데이터베이스가 비어 있습니다.",
        "empty_to_upgrade": "{path} 데이터베이스가 비어 있습니다. 업그레이드하면 테이블이 생성됩니다. 명령: {command}",
        "pending": "{path} 데이터베이스(스키마 버전: {version})를 업그레이드해야 합니다. 최신 버전: {latest}",
        "then": "{first} 실행 후 {second} 실행",
        "planned": "{path}: 스키마 버전 {version} → {to}",
        "nothing_changed": "변경된 내용은 없습니다.",
        "do_it": "명령: {command}",
        "upgraded": "{path} 데이터베이스를 업그레이드했습니다. 스키마 버전: {version} → {to}",
        "downgraded": "{path} 데이터베이스를 다운그레이드했습니다. 스키마 버전: {version} → {to}",
        "would_succeed": "{path} 데이터베이스를 업그레이드할 수 있습니다. 스키마 버전: {version} → {to}",
        "would_change_rows": "{path} 데이터베이스를 업그레이드하면 변경되어서는 안 되는 행이 변경됩니다."
        " 업그레이드하지 마십시오. 테이블: {tables}",
        "copy_removed": "사본에서 실행한 후 사본을 삭제했습니다. {path} 파일은 변경되지 않았습니다.",
        "not_compared": "{path} 데이터베이스(스키마 버전: {version})의 테이블과 연결은 비교하지 않았습니다.",
        "no_problem": "문제가 없습니다.",
        "no_problem_partly": "검사한 범위에서는 문제가 없습니다.",
        "one_problem": "문제가 1개 있습니다.",
        "problems": "문제가 {count}개 있습니다.",
    },
}


def current_language() -> str:
    """Return the language of the running command."""
    return str(click.get_current_context().find_root().params["lang"])


def language(name: str) -> str:
    """Return the language of a locale: its first part, in lower case.

    >>> language("ko_KR.UTF-8"), language("KO"), language("en-US"), language("C")
    ('ko', 'ko', 'en', 'c')
    """
    return re.split("[_.@-]", name)[0].lower()

"""The words around errors and findings, and usage errors, in each language; other texts are in `waiaas.errors`.

An error, or what the check finds, is told in the language that was asked for, wherever it stands. Answers, help and
progress are in English.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import click

#: Language -> what a line says, with equal keys and placeholders.
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "error": "Error",
        "what_to_do": "What to do",
        "in_the_way": "In the way",
        "warning": "Warning",
        "problem": "problem",
        "note": "note",
        "usage": "Usage",
        "interrupted": "Interrupted",
        "as_it_was": "{path} is as it was.",
        "output_lost": "The command did its work, but its answer could not be written: {cause}.",
        "empty_path": "The path is empty: name a file.",
        "folder_path": "The path ends as a folder's does: name a file.",
        "url_path": "A URL or a connection string is not the path of a database file: name a file.",
        "in_memory": "A database in memory ends with the command: name a file.",
        "write_the_path_as": "Write the path as {path}",
        "write_before_the_command": "Write {option} before the command",
        "write_behind_the_command": "Write {option} behind the command",
        "sessions": "sessions",
        "more": "… and {count} more (all with --json)",
    },
    "ko": {
        "error": "오류",
        "what_to_do": "해결 방법",
        "in_the_way": "걸림돌",
        "warning": "경고",
        "problem": "문제",
        "note": "참고",
        "usage": "사용법",
        "interrupted": "중단됨",
        "as_it_was": "{path} 파일은 이전 상태 그대로입니다.",
        "output_lost": "명령은 완료되었지만 결과를 출력하지 못했습니다. 원인: {cause}.",
        "empty_path": "경로가 비어 있습니다. 파일을 지정하십시오.",
        "folder_path": "경로가 폴더 경로처럼 끝납니다. 파일을 지정하십시오.",
        "url_path": "URL 또는 연결 문자열은 데이터베이스 파일의 경로가 아닙니다. 파일을 지정하십시오.",
        "in_memory": "메모리 데이터베이스는 명령이 끝나면 사라집니다. 파일을 지정하십시오.",
        "write_the_path_as": "경로를 {path} 형태로 쓰십시오",
        "write_before_the_command": "{option} 옵션을 명령 앞에 쓰십시오",
        "write_behind_the_command": "{option} 옵션을 명령 뒤에 쓰십시오",
        "sessions": "세션",
        "more": "… 외 {count}개(--json 옵션으로 전체 확인)",
    },
}


def usage_message(error: click.UsageError, lang: str) -> str:
    """Say what is wrong with a command line: click's own words are English, so others stand for them in Korean."""
    if isinstance(error, BadPath):
        return WORDS[lang][error.problem]
    if lang == "en":
        return error.format_message()
    if isinstance(error, click.MissingParameter):
        return f"{_hint(error)} 인수가 없습니다."
    if isinstance(error, click.BadParameter):
        return f"{_hint(error)} 값이 올바르지 않습니다. {_allowed(error)}"
    if isinstance(error, click.NoSuchOption):
        return f"'{error.option_name}' 옵션은 없습니다.{_possible(error.possibilities)}"
    if isinstance(error, NoSuchCommand):
        return f"'{error.name}' 명령은 없습니다.{_possible(error.possibilities)}"
    if isinstance(error, click.BadOptionUsage):
        return f"'{error.option_name}' 옵션의 사용법이 올바르지 않습니다."
    return f"명령의 인수가 올바르지 않습니다. ({error.format_message()})"


def language(asked: str) -> str:
    """Return what may be the code of a language: of a locale such as `ko_KR.UTF-8` the first part, in lower case.

    >>> language("ko_KR.UTF-8"), language("KO"), language("en-US"), language("C")
    ('ko', 'ko', 'en', 'c')
    """
    return re.split("[_.@-]", asked)[0].lower()


class BadPath(click.BadParameter):
    """A path that can be no file; `problem` is a key of `WORDS`."""

    def __init__(self, problem: str) -> None:
        """Take the key of what is to be said."""
        super().__init__(WORDS["en"][problem])
        self.problem = problem


class NoSuchCommand(click.UsageError):
    """A command that does not exist, and those that it may have been meant to be."""

    def __init__(self, name: str, possibilities: list[str], ctx: click.Context) -> None:
        """Take the name, and the names like it."""
        maybe = f" Did you mean '{possibilities[0]}'?" if possibilities else ""
        super().__init__(f"No such command '{name}'.{maybe}", ctx)
        self.name = name
        self.possibilities = possibilities


def _hint(error: click.BadParameter) -> str:
    return str(error.param.get_error_hint(error.ctx)) if error.param and error.ctx else str(error.param_hint)


def _allowed(error: click.BadParameter) -> str:
    kind = error.param.type if error.param else None
    if isinstance(kind, click.Choice):
        return f"다음 중 하나여야 합니다: {', '.join(map(str, kind.choices))}."
    return "정수여야 합니다."


def _possible(names: list[str] | None) -> str:
    return f" 혹시 '{names[0]}'입니까?" if names else ""

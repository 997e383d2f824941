"""The texts of every language: complete, consistent and readable."""

import re
from string import Formatter

import click
import pytest

from waiaas import Finding
from waiaas.cli import main
from waiaas.errors import ALL_CODES, LANGUAGES, REASONS
from waiaas.errors.texts import texts_in
from waiaas.vocabularies import POLICY_TYPES

CATALOGUES = {lang: texts_in(lang) for lang in ("en", "ko")}
EN, KO = CATALOGUES["en"], CATALOGUES["ko"]

#: Reason -> the details in its message and hint.
PLACEHOLDERS: dict[str, str] = {
    "file_not_found": "path",
    "not_a_file": "path",
    "file_exists": "path",
    "not_a_database": "path",
    "other_program": "path tables",
    "schema_version_missing": "path",
    "schema_version_empty": "path",
    "code_too_old": "path version latest",
    "empty_database": "path",
    "not_a_path": "",
    "empty_path": "",
    "not_sqlite": "backend",
    "needs_file": "path",
    "upgrade_pending": "path version",
    "database_closed": "path",
    "inside_transaction": "",
    "connection_settings": "problem",
    "unfinished_query": "",
    "hidden_table": "path table",
    "change_undone": "path table",
    "database_busy": "path seconds",
    "read_only": "path",
    "cannot_open": "path cause",
    "log_unreadable": "path",
    "log_without_database": "path sidecar",
    "sidecar_not_a_file": "path sidecar",
    "sidecar_of_another_user": "path sidecar owner",
    "file_replaced": "path",
    "file_in_use": "path programs",
    "disk_full": "path",
    "io_error": "path cause",
    "no_room_for_temporary_files": "path folder cause",
    "clock_unusable": "time",
    "too_many_files": "path",
    "out_of_memory": "path",
    "sqlite_error": "path cause",
    "corrupt": "path cause",
    "unreadable_value": "path cause",
    "backup_failed": "path cause",
    "file_open": "path programs",
    "restore_failed": "path backup cause",
    "token_key_unusable": "key",
    "no_room_to_rehearse": "path needed free",
    "copy_failed": "path cause",
    "copy_left": "path folder cause",
    "invalid_url": "",
    "driver_missing": "",
    "server_unavailable": "path cause",
    "connection_lost": "path cause",
    "commit_unknown": "path",
    "transaction_conflict": "path cause",
    "pool_exhausted": "path size seconds",
    "too_many_connections": "path cause",
    "access_denied": "path cause",
    "database_not_found": "path",
    "insufficient_privilege": "path cause",
    "server_read_only": "path",
    "statement_canceled": "path cause",
    "unsuitable_database": "path problem",
    "server_error": "path cause",
    "move_refused": "path count values",
    "target_not_empty": "path",
    "source_changed": "path",
    "copy_differs": "path table before after",
    "unexpected_schema": "table problem",
    "strange_schema": "path problem",
    "leftover_table": "table rows",
    "dependent_object": "kind name table column",
    "dependent_on_table": "kind name table",
    "name_taken": "kind name table column",
    "value_not_allowed": "table column values rows count",
    "foreign_key_elsewhere": "table column parent expected",
    "orphan_sessions": "sessions count",
    "links_lost": "sessions count",
    "cannot_downgrade": "version target",
    "rebuild_refused": "table problem",
    "alter_refused": "table cause",
    "name_exists": "kind name",
    "foreign_key_violations": "table count",
    "rows_lost": "table before after",
    "migration_failed": "version cause",
    "not_synced": "path cause",
    "log_not_written_back": "path cause",
    "journal_mode_kept": "path cause",
    "settings_not_restored": "path settings cause",
    "rights_returned": "path sessions links wallets settings",
    "rights_not_compared": "path",
}

#: Kind of finding -> the details in its message.
FINDINGS: dict[str, str] = {
    "damage": "cause",
    "foreign_key_violation": "where parent count",
    "foreign_key_mismatch": "cause",
    "session_without_wallet": "rows",
    "session_without_default": "rows",
    "session_with_many_defaults": "rows",
    "kill_switch_state": "where",
    "invalid_text": "where count",
    "invalid_time": "where count",
    "invalid_json": "where count",
    "not_text": "where count",
    "invalid_count": "where count",
    "invalid_limits": "where count",
    "sequence_behind": "where actual wanted",
    "missing_table": "where",
    "missing_column": "where",
    "missing_foreign_key": "where key",
    "missing_unique": "where table",
    "missing_index": "where table",
    "missing_check": "where check",
    **dict.fromkeys(("column_type", "not_null", "column_default", "primary_key"), "where actual wanted"),
    **dict.fromkeys(("generated_column", "autoincrement", "table_options"), "where actual wanted"),
    "index_differs": "where table actual wanted",
    "extra_table": "where",
    "extra_column": "where",
    "extra_foreign_key": "where key",
    "extra_index": "where table",
    "extra_check": "where check",
    "extra_trigger": "where",
    "unsafe_trigger": "where table",
    "extra_view": "where",
}

#: What a reason's hint asks the reader to type, in every language.
WORDS_TO_TYPE = {
    "file_not_found": "`waiaas init PATH`",
    "file_exists": "`waiaas status`",
    "empty_database": "`waiaas init`",
    "upgrade_pending": "`waiaas upgrade`",
    "corrupt": "`sqlite3 FILE .recover`",
    "unreadable_value": "`waiaas check FILE`",
    "change_undone": "`waiaas check FILE`",
    "backup_failed": "`--no-backup`",
    "orphan_sessions": "`--skip-orphans`",
    "links_lost": "`--drop-links`",
    "foreign_key_violations": "`waiaas check`",
    "migration_failed": "`waiaas check`",
}

HANGUL = re.compile("[가-힣]")
#: Korean particles whose form depends on the last sound of the word before them.
UNSAFE_PARTICLE = re.compile(r"\}(을|를|이|가|은|는|과|와|로|으로|나|라)(?![가-힣])|\}이[가-힣]")


def placeholders(template: str) -> set[str]:
    """Return the names between braces; a single brace is an error."""
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def texts(lang: str) -> list[str]:
    """Return every message and hint of a language."""
    catalogue = CATALOGUES[lang]
    pairs = [*catalogue.codes.values(), *catalogue.reasons.values(), *catalogue.findings.values()]
    return [*(field.message for field in catalogue.fields.values()), *(text for pair in pairs for text in pair)]


def test_these_are_all_languages() -> None:
    """The supported languages are those tested here."""
    assert tuple(CATALOGUES) == LANGUAGES


@pytest.mark.parametrize("lang", CATALOGUES)
def test_every_code_has_a_message_and_a_hint(lang: str) -> None:
    """A language has a message and a hint for each code, in the order of the codes."""
    assert list(CATALOGUES[lang].codes) == list(ALL_CODES)
    assert all(text.message and text.hint for text in CATALOGUES[lang].codes.values())


@pytest.mark.parametrize("code", ALL_CODES)
def test_languages_name_the_same_policies_and_commands(code: str) -> None:
    """For each code, words in capitals and commands are the same in both languages."""
    english, korean = (re.findall(r"[A-Z][A-Z0-9_]{5,}|`.+?`", c.codes[code].hint) for c in (EN, KO))
    assert sorted(english) == sorted(korean)


@pytest.mark.parametrize("lang", CATALOGUES)
def test_a_hint_does_not_repeat_its_message(lang: str) -> None:
    """A hint does not repeat its message."""
    assert [code for code, text in CATALOGUES[lang].codes.items() if text.hint in text.message] == []


@pytest.mark.parametrize("lang", CATALOGUES)
def test_policies_in_hints_exist(lang: str) -> None:
    """A name in capitals in a hint is an existing policy type."""
    hints = " ".join(text.hint for text in CATALOGUES[lang].codes.values())
    words = set(re.findall(r"\b[A-Z0-9]+_[A-Z0-9_]+\b", hints))
    assert words <= set(POLICY_TYPES)


@pytest.mark.parametrize("lang", CATALOGUES)
def test_every_reason_has_a_message_and_a_hint(lang: str) -> None:
    """A language has a message and a hint for each reason, in the order of the reasons."""
    assert list(CATALOGUES[lang].reasons) == list(REASONS)
    assert all(text.message and text.hint for text in CATALOGUES[lang].reasons.values())


def test_these_are_all_reasons() -> None:
    """The reasons are those whose details are listed here."""
    assert list(REASONS) == list(PLACEHOLDERS)


@pytest.mark.parametrize("lang", CATALOGUES)
def test_texts_are_one_clean_line(lang: str) -> None:
    """A text is not empty, has no stray white space, and ends with a full stop, except English findings."""
    phrases = [message for message, _ in EN.findings.values()] if lang == "en" else []
    assert [t for t in texts(lang) if t != " ".join(t.split()) or t.endswith(".") is (t in phrases)] == []


@pytest.mark.parametrize("lang", CATALOGUES)
def test_texts_of_codes_have_no_placeholders(lang: str) -> None:
    """Texts of codes have no placeholder, because they must make sense without details."""
    assert [code for code, text in CATALOGUES[lang].codes.items() if re.search("[{}]", " ".join(text))] == []


@pytest.mark.parametrize("lang", CATALOGUES)
def test_messages_of_codes_are_different(lang: str) -> None:
    """No two codes share a message."""
    messages = [text.message for text in CATALOGUES[lang].codes.values()]
    assert len(set(messages)) == len(messages)


@pytest.mark.parametrize("lang", CATALOGUES)
@pytest.mark.parametrize("reason", PLACEHOLDERS)
def test_texts_use_every_detail(reason: str, lang: str) -> None:
    """Message and hint of a reason use all of its details and no others."""
    message, hint = CATALOGUES[lang].reasons[reason]
    assert placeholders(message) | placeholders(hint) == set(PLACEHOLDERS[reason].split())


@pytest.mark.parametrize("reason", PLACEHOLDERS)
def test_languages_use_the_same_placeholders(reason: str) -> None:
    """The message has the same placeholders in both languages, and so has the hint."""
    english, korean = EN.reasons[reason], KO.reasons[reason]
    assert [placeholders(t) for t in korean] == [placeholders(t) for t in english]


@pytest.mark.parametrize("lang", CATALOGUES)
@pytest.mark.parametrize("reason", WORDS_TO_TYPE)
def test_hint_names_what_to_type(reason: str, lang: str) -> None:
    """A hint quotes the command or option that helps, in every language."""
    assert WORDS_TO_TYPE[reason] in CATALOGUES[lang].reasons[reason][1]


def test_code_too_old_has_the_daemons_wording() -> None:
    """The refusal of a newer file contains the daemon's wording, which people search for."""
    assert "code too old" in EN.reasons["code_too_old"][0]


def test_english_is_written_in_ascii() -> None:
    """English texts contain only characters that a plain terminal can show."""
    assert [t for t in texts("en") if not t.isascii()] == []


def test_korean_is_written_in_hangul() -> None:
    """Every Korean text contains Hangul, so none was left in English."""
    assert [t for t in texts("ko") if not HANGUL.search(t)] == []


def test_korean_is_polite() -> None:
    """Every Korean text ends with a sentence in the polite form, or with a list of values."""
    endings = ("니다.", "십시오.", "}.", ").")
    assert [t for t in texts("ko") if not t.endswith(endings)] == []


def test_korean_particles_fit_any_value() -> None:
    """No Korean particle that depends on the sound before it follows a placeholder."""
    assert [t for t in texts("ko") if UNSAFE_PARTICLE.search(t)] == []


@pytest.mark.parametrize("text", ["{path}을 엽니다.", "{path}이 없습니다.", "{n}이지만", "{n}로 갑니다."])
def test_unsafe_particle_is_recognised(text: str) -> None:
    """The check finds a particle right after a placeholder."""
    assert UNSAFE_PARTICLE.search(text)


@pytest.mark.parametrize("lang", CATALOGUES)
def test_every_kind_of_finding_has_a_message_and_a_hint(lang: str) -> None:
    """A language has a message and a hint for each documented kind of finding, in the same order."""
    assert list(CATALOGUES[lang].findings) == list(FINDINGS)
    fields = set(Finding.__dataclass_fields__) | {"problem", "note"}
    assert set(re.findall("`([a-z_]+)`", str(Finding.__doc__))) - fields == set(FINDINGS)


@pytest.mark.parametrize("lang", CATALOGUES)
@pytest.mark.parametrize("kind", FINDINGS)
def test_findings_use_every_detail(kind: str, lang: str) -> None:
    """The message of a finding uses all of its details; the hint, shown once per kind, uses none."""
    message, hint = CATALOGUES[lang].findings[kind]
    assert (placeholders(message), placeholders(hint)) == (set(FINDINGS[kind].split()), set())


@pytest.mark.parametrize("kind", FINDINGS)
def test_languages_name_the_same_things_to_type_about_findings(kind: str) -> None:
    """Commands, functions and SQL keywords are the same in the hints of both languages."""
    english, korean = (re.findall(r"[A-Z]{4,}(?: KEY)?|`.+?`", texts.findings[kind][1]) for texts in (EN, KO))
    assert sorted(english) == sorted(korean)


def commands_in_hints(language: str) -> set[str]:
    """Return the commands that the hints of a language name, without their arguments."""
    catalogue = CATALOGUES[language]
    hints = " ".join(text.hint for texts in (catalogue.codes, catalogue.reasons) for text in texts.values())
    hints += " ".join(hint for _, hint in catalogue.findings.values())
    return {command.strip() for command in re.findall("`waiaas ([a-z-]+(?: [a-z-]+)*)", hints)}


@pytest.mark.parametrize("language", CATALOGUES)
def test_commands_in_hints_exist(language: str) -> None:
    """Every command in a hint exists."""
    named = commands_in_hints(language)
    assert {"check", "init", "sessions revoke", "links add", "links default", "kill-switch recover"} <= named
    for words in map(str.split, named):
        command: click.Command = main
        for word in words:
            assert isinstance(command, click.Group), words
            command = command.commands[word]
        assert not isinstance(command, click.Group), words


@pytest.mark.parametrize("language", CATALOGUES)
def test_hints_of_findings_name_no_python(language: str) -> None:
    """Hints about findings of `check` name commands, and no Python."""
    assert not [hint for _, hint in CATALOGUES[language].findings.values() if "Service" in hint]


def test_messages_about_fields_use_the_same_placeholders() -> None:
    """A message about a field has the same placeholders in both languages."""
    english, korean = ({name: placeholders(text.message) for name, text in c.fields.items()} for c in (EN, KO))
    assert english == korean

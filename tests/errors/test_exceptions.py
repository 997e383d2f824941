"""The exception: its attributes, its texts, and copies of it."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from waiaas.errors import (
    ALL_CODES,
    LANGUAGES,
    REASONS,
    AuthenticationError,
    ConflictError,
    DatabaseBusyError,
    DatabaseError,
    NotFoundError,
    PermissionDeniedError,
    SystemLockedError,
    UpgradePendingError,
    UpgradeRefusedError,
    WAIaaSError,
    refusal,
)

ATTRIBUTES = (
    "code",
    "domain",
    "http_status",
    "retryable",
    "reason",
    "message",
    "details",
    "hint",
    "args",
)


def by_pickle(error: WAIaaSError) -> WAIaaSError:
    """Pickle and unpickle the error, as a process pool does."""
    restored = pickle.loads(pickle.dumps(error))
    assert isinstance(restored, WAIaaSError)
    return restored


class TestWAIaaSError:
    """An error built from a code."""

    def test_follows_its_code(self) -> None:
        """Domain, HTTP status and retryable are those of the code."""
        error = WAIaaSError("RENEWAL_TOO_EARLY")
        assert (error.code, error.domain, error.http_status, error.retryable) == (
            "RENEWAL_TOO_EARLY",
            "SESSION",
            403,
            True,
        )

    def test_has_the_message_of_the_code(self) -> None:
        """Without its own texts, an error has the code's message and hint, and no details."""
        error = WAIaaSError("WALLET_NOT_FOUND")
        assert error.message == "There is no such wallet."
        assert error.hint == "Check the wallet's id."
        assert (error.details, error.reason) == (None, None)

    def test_has_its_own_message_and_hint(self) -> None:
        """A given message and hint replace those of the code."""
        error = WAIaaSError("WALLET_NOT_FOUND", "No wallet w-1.", hint="List them.")
        assert (error.message, error.hint) == ("No wallet w-1.", "List them.")

    def test_keeps_an_empty_message(self) -> None:
        """An empty message is a given message, so the code's does not replace it."""
        assert WAIaaSError("WALLET_NOT_FOUND", "").message == ""

    def test_is_printed_as_its_message_alone(self) -> None:
        """The text of the exception is the message without the hint."""
        assert str(WAIaaSError("WALLET_NOT_FOUND", "Gone.", hint="Look.")) == "Gone."

    def test_refuses_an_unknown_code(self) -> None:
        """A code that is not in the table is a programming error, and the exception names it."""
        with pytest.raises(ValueError, match="'NO_SUCH_CODE'"):
            WAIaaSError("NO_SUCH_CODE")

    def test_keeps_details_from_later_changes(self) -> None:
        """Details are copied, so that later changes of the caller's mapping have no effect."""
        given: dict[str, object] = {"walletId": "w-1"}
        error = WAIaaSError("WALLET_NOT_FOUND", details=given)
        given["walletId"] = "w-2"
        assert error.details == {"walletId": "w-1"}

    def test_does_not_fill_its_own_message(self) -> None:
        """Braces in a given message are text, not placeholders."""
        error = WAIaaSError("CHAIN_ERROR", "got {path}", details={"path": "x"})
        assert error.message == "got {path}"


class TestClass:
    """The class of an error, which a program catches."""

    BY_STATUS = {
        401: AuthenticationError,
        403: PermissionDeniedError,
        404: NotFoundError,
        409: ConflictError,
        410: ConflictError,
    }
    BY_CODE = {
        "SYSTEM_LOCKED": SystemLockedError,
        "SCHEMA_INCOMPATIBLE": DatabaseError,
        "DATABASE_BUSY": DatabaseBusyError,
        "DATABASE_UNAVAILABLE": DatabaseError,
    }

    @pytest.mark.parametrize("code", ALL_CODES)
    def test_follows_the_code(self, code: str) -> None:
        """The code determines the class: some codes have their own, others that of their HTTP status."""
        error = WAIaaSError(code)
        assert type(error) is self.BY_CODE.get(code, self.BY_STATUS.get(error.http_status, WAIaaSError))

    @pytest.mark.parametrize("reason", REASONS)
    def test_is_a_database_error_for_every_reason(self, reason: str) -> None:
        """A refusal is a DatabaseError."""
        assert isinstance(refusal(reason), DatabaseError)

    def test_follows_the_reason(self) -> None:
        """A lock, a pending upgrade and a refused upgrade have their own classes."""
        assert type(refusal("database_busy")) is DatabaseBusyError
        assert type(refusal("upgrade_pending")) is UpgradePendingError
        assert type(refusal("orphan_sessions")) is UpgradeRefusedError
        assert type(refusal("migration_failed")) is UpgradeRefusedError
        assert type(refusal("disk_full")) is DatabaseError

    def test_subclass_of_a_program_is_kept(self) -> None:
        """A program's subclass keeps its class, whatever its code."""

        class OurError(WAIaaSError):
            pass

        assert type(OurError("INVALID_TOKEN")) is OurError


class TestReason:
    """The reason in the details of a refused database file."""

    def test_decides_message_hint_and_retryable(self) -> None:
        """A reason's texts and retryable take precedence over those of the code."""
        error = WAIaaSError(
            "DATABASE_BUSY",
            details={"reason": "database_busy", "path": "a.db", "seconds": 5},
        )
        assert error.reason == "database_busy"
        assert error.retryable is True
        assert error.message == ("a.db is still locked by another connection after 5 s.")
        assert error.hint.startswith("Stop the daemon")

    def test_is_replaced_by_a_given_message(self) -> None:
        """A given message takes precedence over the reason's, whose hint is kept."""
        error = WAIaaSError("DATABASE_UNAVAILABLE", "No.", details={"reason": "disk_full"})
        assert (error.message, error.hint) == ("No.", "Free some space, then try again.")

    @pytest.mark.parametrize("value", ["no_such_reason", None, 7, ["disk_full"], "disk_full"])
    def test_is_ignored_if_unknown(self, value: object) -> None:
        """If the reason is unknown or the code has no reasons, the texts are those of the code."""
        error = WAIaaSError("SCHEMA_INCOMPATIBLE", details={"reason": value})
        assert (error.reason, error.retryable) == (None, False)
        plain = WAIaaSError("SCHEMA_INCOMPATIBLE")
        assert (error.message, error.hint) == (plain.message, plain.hint)

    def test_belongs_to_refusals_only(self) -> None:
        """Another code's details may contain a reason of the same name with another meaning."""
        error = WAIaaSError("CONSTRAINT_VIOLATED", details={"reason": "io_error"})
        assert (error.reason, error.retryable) == (None, False)
        assert error.message == WAIaaSError("CONSTRAINT_VIOLATED").message


class TestRefusal:
    """The helper that builds a refusal."""

    @pytest.mark.parametrize("reason", REASONS)
    def test_carries_the_reason(self, reason: str) -> None:
        """Every reason creates an error with its code, its name and its retryable flag."""
        error = refusal(reason)
        assert (error.code, error.reason) == (REASONS[reason].code, reason)
        assert error.retryable is REASONS[reason].retryable

    @pytest.mark.parametrize("lang", LANGUAGES)
    @pytest.mark.parametrize("reason", REASONS)
    def test_missing_details_read_as_question_marks(self, reason: str, lang: str) -> None:
        """A missing detail is shown as ?, and does not hide the error."""
        body = refusal(reason).to_dict(lang)
        assert "{" not in f"{body['message']}{body['hint']}"
        without = (
            "inside_transaction",
            "unfinished_query",
            "not_a_path",
            "empty_path",
            "invalid_url",
            "driver_missing",
        )
        assert ("?" in str(body["message"])) is (reason not in without)

    def test_keeps_the_details(self) -> None:
        """The given values are in the details, next to the reason."""
        error = refusal("links_lost", sessions=["s-1", "s-2"], count=2)
        assert error.details == {"reason": "links_lost", "sessions": ["s-1", "s-2"], "count": 2}

    def test_refuses_an_unknown_reason(self) -> None:
        """A reason that is not in the table is a programming error, and the exception names it."""
        with pytest.raises(ValueError, match="'no_such_reason'"):
            refusal("no_such_reason")


class TestPlaceholders:
    """How details are shown in the texts of a reason."""

    @pytest.mark.parametrize(
        ("sessions", "shown"),
        [
            (["a"], "a"),
            (("a", "b"), "a, b"),
            (["a", "b", "c", "d", "e"], "a, b, c, d, e"),
            (["a", "b", "c", "d", "e", "f"], "a, b, c, d, e … (+1)"),
            (list("abcdefghijkl"), "a, b, c, d, e … (+7)"),
        ],
    )
    def test_shows_five_of_a_list(self, sessions: object, shown: str) -> None:
        """A list is shown with commas, with at most five items and the number of the others."""
        error = refusal("orphan_sessions", sessions=sessions, count=1)
        assert error.message.endswith(f": {shown}.")

    def test_shows_none_as_unknown(self) -> None:
        """A detail of None is shown like a missing one."""
        assert refusal("file_not_found", path=None).message == "There is no file ?."

    def test_shows_a_path(self) -> None:
        """A path object is shown as its text."""
        assert refusal("file_not_found", path=Path("a.db")).message == "There is no file a.db."

    def test_does_not_fill_braces_in_values(self) -> None:
        """A value is text: braces in it are not filled."""
        error = refusal("file_not_found", path="{cause}{0}")
        assert error.message == "There is no file {cause}{0}."


class TestToDict:
    """The error as a dictionary for operators."""

    def test_has_every_key(self) -> None:
        """All keys are present, with None for missing details."""
        assert WAIaaSError("TOKEN_EXPIRED").to_dict() == {
            "code": "TOKEN_EXPIRED",
            "domain": "AUTH",
            "http_status": 401,
            "retryable": False,
            "message": "The session token has expired.",
            "details": None,
            "hint": "Create a new session, and renew its token before it expires.",
        }

    def test_is_in_the_requested_language(self) -> None:
        """Message and hint are in the requested language, filled with the same details."""
        body = refusal("code_too_old", path="a.db", version=20, latest=19).to_dict(lang="ko")
        assert body["message"] == (
            "설치된 waiaas 릴리스가 너무 오래되었습니다. "
            "스키마 버전 19까지만 지원하는데 a.db 파일의 스키마 버전은 20입니다."
        )
        assert body["hint"] == "waiaas의 최신 릴리스를 설치하십시오."

    @pytest.mark.parametrize("lang", LANGUAGES)
    def test_keeps_given_texts_in_every_language(self, lang: str) -> None:
        """A given message and hint are not replaced by translations."""
        error = WAIaaSError("DATABASE_UNAVAILABLE", "A", details={"reason": "corrupt"}, hint="B")
        body = error.to_dict(lang)
        assert (body["message"], body["hint"]) == ("A", "B")

    def test_refuses_an_unknown_language(self) -> None:
        """An unknown language is refused with the list of known ones."""
        with pytest.raises(ValueError, match=r"'fr'.*en, ko"):
            WAIaaSError("TOKEN_EXPIRED").to_dict("fr")

    def test_returns_a_new_dictionary(self) -> None:
        """Changing the returned details does not change the error."""
        error = refusal("file_not_found", path="a.db")
        details = error.to_dict()["details"]
        assert isinstance(details, dict)
        details.clear()
        assert error.details == {"reason": "file_not_found", "path": "a.db"}


class TestToPublicDict:
    """The error as a client of the service may see it."""

    SECRET = "/srv/secret/wallets.db"

    @pytest.mark.parametrize("lang", LANGUAGES)
    @pytest.mark.parametrize("reason", REASONS)
    def test_hides_details_for_operators(self, reason: str, lang: str) -> None:
        """A refusal of the database has the texts of its code, and none of its details."""
        names = ("path", "cause", "tables", "table", "name", "values", "problem", "key", "sessions", "backend", "kind")
        error = refusal(reason, **dict.fromkeys(names, self.SECRET))
        body = error.to_public_dict(lang)
        plain = WAIaaSError(error.code).to_dict(lang)
        assert body == {**plain, "retryable": REASONS[reason].retryable}
        assert set(body) == set(error.to_dict(lang))

    def test_hides_given_texts_of_a_refusal(self) -> None:
        """A given message and hint of a refusal of the database are omitted, because they may contain a path."""
        error = WAIaaSError("DATABASE_UNAVAILABLE", self.SECRET, hint=self.SECRET, details={"reason": "corrupt"})
        assert self.SECRET not in str(error.to_public_dict())

    def test_keeps_given_texts_of_other_errors(self) -> None:
        """A given message and hint of any other error are shown to clients."""
        body = WAIaaSError("INVALID_MASTER_PASSWORD", "No.", hint="Send it.").to_public_dict()
        assert (body["message"], body["hint"]) == ("No.", "Send it.")

    def test_keeps_safe_details_only(self) -> None:
        """Ids, limits, times and states are kept; a detail that is not known to be safe is omitted."""
        error = WAIaaSError("SESSION_LIMIT_EXCEEDED", details={"walletId": "w-1", "limit": 5, "path": self.SECRET})
        assert error.to_public_dict()["details"] == {"walletId": "w-1", "limit": 5}
        assert error.details == {"walletId": "w-1", "limit": 5, "path": self.SECRET}

    def test_refuses_an_unknown_language(self) -> None:
        """An unknown language is refused."""
        with pytest.raises(ValueError, match=r"'fr'.*en, ko"):
            refusal("corrupt").to_public_dict("fr")


class TestRepr:
    """The repr, which appears in logs and tracebacks."""

    def test_names_the_code(self) -> None:
        """An error without a reason shows only its code."""
        assert repr(WAIaaSError("INVALID_TOKEN")) == "AuthenticationError('INVALID_TOKEN')"

    def test_names_the_reason(self) -> None:
        """A refusal also shows its reason."""
        assert repr(refusal("database_busy", path="/home/kim/a.db", seconds=5)) == (
            "DatabaseBusyError('DATABASE_BUSY', reason='database_busy')"
        )

    def test_hides_details_message_and_hint(self) -> None:
        """Nothing that may be secret is shown."""
        error = WAIaaSError("INVALID_TOKEN", "s3cret", details={"t": "s3cret"}, hint="s3cret")
        assert "s3cret" not in repr(error)


@pytest.mark.parametrize("travel", [by_pickle, copy.copy, copy.deepcopy])
@pytest.mark.parametrize(
    "error",
    [
        WAIaaSError("INVALID_TOKEN"),
        WAIaaSError("INVALID_TOKEN", "own", details={"a": [1]}, hint="do"),
        refusal("orphan_sessions", sessions=["s-1"], count=1),
    ],
    ids=["plain", "own texts", "refusal"],
)
class TestCopies:
    """Errors that are copied or sent to another process."""

    def test_keeps_every_attribute(self, error: WAIaaSError, travel: Callable[[WAIaaSError], WAIaaSError]) -> None:
        """The copy is another object with equal attributes."""
        arrived = travel(error)
        assert arrived is not error
        assert type(arrived) is type(error)
        assert {a: getattr(arrived, a) for a in ATTRIBUTES} == {a: getattr(error, a) for a in ATTRIBUTES}

    def test_has_the_same_texts_in_every_language(
        self, error: WAIaaSError, travel: Callable[[WAIaaSError], WAIaaSError]
    ) -> None:
        """The copy has the same texts in every language."""
        arrived = travel(error)
        assert [arrived.to_dict(lang) for lang in LANGUAGES] == [error.to_dict(lang) for lang in LANGUAGES]


def test_deepcopy_shares_no_details() -> None:
    """A deep copy has its own details, including the lists in them."""
    error = refusal("orphan_sessions", sessions=["s-1"], count=1)
    copied = copy.deepcopy(error)
    assert error.details is not None and copied.details is not None
    assert copied.details["sessions"] is not error.details["sessions"]

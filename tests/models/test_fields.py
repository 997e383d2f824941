"""Times, flags, JSON and ids: the values stored in the file, read with plain `sqlite3`, and the values in Python."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peewee import Case, IntegrityError, Model, SqliteDatabase, fn
from support.old_files import query
from support.python_processes import environment

import waiaas
from waiaas.models import MODELS, Policy, Session, SessionWallet, Wallet
from waiaas.models.fields import AutoIncrement, Flag, Integer, Text

LATEST = waiaas.LATEST_SCHEMA_VERSION

UTC = timezone.utc
KOREA = timezone(timedelta(hours=9))
OLD_NEW_YORK = timezone(-timedelta(hours=4, minutes=56, seconds=2))

#: A time, and the whole Unix seconds that it is stored as (`date -u -d … +%s`).
MOMENTS = {
    "epoch": (datetime(1970, 1, 1, tzinfo=UTC), 0),
    "usual": (datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), 1_700_000_000),
    "last-32-bit-second": (datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC), 2_147_483_647),
    "after-32-bits": (datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC), 2_147_483_648),
    "year-9999": (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), 253_402_300_799),
    "year-1": (datetime(1, 1, 1, tzinfo=UTC), -62_135_596_800),
    "leap-day": (datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC), 1_709_251_199),
    "leap-day-of-2000": (datetime(2000, 2, 29, tzinfo=UTC), 951_782_400),
    "after-no-leap-day-in-2100": (datetime(2100, 3, 1, tzinfo=UTC), 4_107_542_400),
    "other-day-in-korea": (datetime(2024, 3, 1, 0, 0, tzinfo=KOREA), 1_709_218_800),
    "offset-with-seconds": (datetime(1883, 11, 18, 12, 3, 58, tzinfo=OLD_NEW_YORK), -2_717_650_800),
    "microseconds": (datetime(2023, 11, 14, 22, 13, 20, 999_999, tzinfo=UTC), 1_700_000_000),
    "just-before-1970": (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1),
    "a-microsecond-before-1969": (datetime(1969, 12, 31, 23, 59, 58, 1, tzinfo=UTC), -2),
    "microseconds-in-year-9999": (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 253_402_300_799),
}

#: A Python value, and its JSON text in the file.
JSON_TEXTS = {
    "object": ({"limit": 1.5, "memo": "점심"}, '{"limit":1.5,"memo":"점심"}'),
    "nested": ({"a": [{"b": [1, [2, {}]]}, []]}, '{"a":[{"b":[1,[2,{}]]},[]]}'),
    "order-of-keys": ({"z": 1, "a": 2, "M": 3}, '{"z":1,"a":2,"M":3}'),
    "tuple": ((1, (2,)), "[1,[2]]"),
    "true-and-null": ([True, False, None], "[true,false,null]"),
    "nothing-in-it": ({}, "{}"),
    "empty-list": ([], "[]"),
    "empty-text": ("", '""'),
    "zero": (0, "0"),
    "false": (False, "false"),
    "text": ("plain", '"plain"'),
    "text-null": ("null", '"null"'),
    "quotes": ('it\'s "so" \\ /', '"it\'s \\"so\\" \\\\ /"'),
    "short-escapes": ("\b\f\n\r\t", '"\\b\\f\\n\\r\\t"'),
    "control-characters": ("\x00\x1f\x7f\x80", '"\\u0000\\u001f\x7f\x80"'),
    "line-separators": ("\u2028\u2029\ufeff", '"\u2028\u2029\ufeff"'),
    "non-ascii": ("한국어 ñ 🔑", '"한국어 ñ 🔑"'),
    "non-ascii-key": ({"금액": "천"}, '{"금액":"천"}'),
    "lone-high-surrogate": ("\ud800", '"\\ud800"'),
    "lone-low-surrogate": (["a\udfffb"], '["a\\udfffb"]'),
    "lone-surrogate-in-key": ({"\udc00": 1}, '{"\\udc00":1}'),
    "floats": ([1.0, -0.5, 1e-7, 1e21], "[1.0,-0.5,1e-07,1e+21]"),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fields") / "wallets.db"


@pytest.fixture(scope="module")
def opened(path: Path) -> Iterator[SqliteDatabase]:
    database = waiaas.connect(path).peewee
    yield database
    database.close_all()


@pytest.fixture
def session(opened: SqliteDatabase) -> Iterator[Session]:
    """The only session of the file, in a block in which the models are bound to it."""
    with opened.bind_ctx(MODELS):
        Session.delete().execute()
        yield Session.create(
            id="s-1", token_hash="hash", expires_at=1, absolute_expires_at=2, created_at=3, revoked_at=None
        )


def stored(path: Path, column: str) -> tuple[Any, str]:
    """Return a column's value of the only session, and its type, as stored in the file."""
    ((value, kind),) = query(path, f"SELECT {column}, typeof({column}) FROM sessions")
    return value, kind


class TestUTCDateTime:
    @pytest.mark.parametrize(("moment", "seconds"), MOMENTS.values(), ids=MOMENTS)
    def test_is_stored_as_whole_seconds_rounded_down(
        self, session: Session, path: Path, moment: datetime, seconds: int
    ) -> None:
        """A time in any timezone is stored as whole Unix seconds, rounded down."""
        Session.update(expires_at=moment).execute()
        assert stored(path, "expires_at") == (seconds, "integer")

    @pytest.mark.parametrize(("moment", "seconds"), MOMENTS.values(), ids=MOMENTS)
    def test_is_read_as_an_aware_utc_datetime(
        self, session: Session, opened: SqliteDatabase, moment: datetime, seconds: int
    ) -> None:
        """Stored seconds are read as a UTC datetime without a fraction of a second."""
        opened.execute_sql("UPDATE sessions SET expires_at = ?", (seconds,))
        read = Session.get().expires_at
        assert read == moment.replace(microsecond=0)
        assert (type(read), read.tzinfo, read.utcoffset()) == (datetime, UTC, timedelta(0))

    def test_saving_a_read_row_changes_nothing(self, session: Session) -> None:
        """A row that was read and saved again is unchanged."""
        Session.update(expires_at=datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC)).execute()
        before = Session.select().dicts().get()
        session = Session.get()
        assert not session.save(), "a field that was not set is not written"
        session.expires_at = session.expires_at
        assert session.save() == 1
        assert Session.select().dicts().get() == before

    def test_accepts_unix_seconds(self, session: Session, path: Path) -> None:
        """An int is stored unchanged, as Unix seconds."""
        Session.update(expires_at=1_700_000_001).execute()
        assert stored(path, "expires_at") == (1_700_000_001, "integer")

    def test_none_is_null(self, session: Session, path: Path) -> None:
        """None is stored as NULL and read as None."""
        Session.update(revoked_at=5).execute()
        Session.update(revoked_at=None).execute()
        assert stored(path, "revoked_at") == (None, "null")
        assert Session.get().revoked_at is None

    def test_none_is_refused_if_the_column_is_not_null(self, session: Session, path: Path) -> None:
        """A time cannot be set to None if the column is NOT NULL."""
        with pytest.raises(IntegrityError, match="NOT NULL"):
            Session.update(expires_at=None).execute()
        assert stored(path, "expires_at") == (1, "integer")

    @pytest.mark.parametrize("naive", [datetime(2024, 1, 1), datetime(1970, 1, 1, fold=1), datetime.max])
    def test_a_naive_datetime_is_refused(self, session: Session, path: Path, naive: datetime) -> None:
        """A datetime without a timezone is refused with ValueError that names the column, in rows and in queries."""
        with pytest.raises(ValueError, match="expires_at"):
            Session.update(expires_at=naive).execute()
        with pytest.raises(ValueError, match="expires_at"):
            Session.create(id="s-2", token_hash="h", expires_at=naive, absolute_expires_at=2, created_at=3)
        with pytest.raises(ValueError, match="expires_at"):
            Session.select().where(Session.expires_at > naive).count()
        assert stored(path, "expires_at") == (1, "integer")

    def test_a_timezone_without_offset_is_naive(self, session: Session, path: Path) -> None:
        """A datetime whose timezone gives no offset is naive (Python's own rule) and refused with ValueError."""

        class Unknown(tzinfo):
            def utcoffset(self, moment: datetime | None) -> None:
                return None

        with pytest.raises(ValueError, match="expires_at"):
            Session.update(expires_at=datetime(2024, 1, 1, tzinfo=Unknown())).execute()
        assert stored(path, "expires_at") == (1, "integer")

    @pytest.mark.parametrize("value", [date(2024, 1, 1), "2024-01-01", "soon"], ids=str)
    @pytest.mark.filterwarnings("ignore:The default date adapter is deprecated:DeprecationWarning")
    def test_values_that_are_not_times_are_refused(self, session: Session, path: Path, value: Any) -> None:
        """A date or a text is neither an aware datetime nor Unix seconds, and is not stored."""
        with pytest.raises((TypeError, ValueError)):
            Session.update(expires_at=value).execute()
        assert stored(path, "expires_at") == (1, "integer")

    def test_a_stored_text_is_read_unchanged(self, session: Session, opened: SqliteDatabase) -> None:
        """A stored value that is not a number is read unchanged, so that one bad row does not hide the others."""
        opened.execute_sql("UPDATE sessions SET expires_at = 'soon'")
        assert Session.get().expires_at == "soon"

    @pytest.mark.parametrize("seconds", [253_402_300_800, 1_700_000_000_000, 2**63 - 1, 1e300, float("inf")])
    def test_seconds_out_of_range_are_read_as_the_nearest_time(
        self, session: Session, opened: SqliteDatabase, seconds: float
    ) -> None:
        """A stored number outside Python's range is read as the nearest time, so that one bad row hides no others."""
        opened.execute_sql("UPDATE sessions SET expires_at = ?, created_at = ?", (seconds, -seconds))
        read = Session.get()
        assert read.expires_at == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
        assert read.created_at == datetime(1, 1, 1, tzinfo=UTC)
        assert read.absolute_expires_at == datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)

    @pytest.mark.slow
    def test_timezone_of_the_process_does_not_matter(self, tmp_path: Path) -> None:
        """Stored seconds and read datetimes do not depend on the TZ of the process."""
        code = """
import sys, time
from datetime import datetime, timezone
import waiaas
from waiaas.models import MODELS, SchemaVersion, Session
started = int(time.time())
database = waiaas.connect(sys.argv[1]).peewee
with database.bind_ctx(MODELS):
    values = dict(id="s", token_hash="h", expires_at=datetime(2024, 7, 1, 12, tzinfo=timezone.utc))
    Session.create(**values, absolute_expires_at=1_709_251_199, created_at=0)
    read = Session.get()
    applied = SchemaVersion.get_by_id(waiaas.LATEST_SCHEMA_VERSION).applied_at.timestamp()
print(time.timezone, read.expires_at.isoformat(), read.absolute_expires_at.isoformat(), read.created_at.isoformat())
print(database.execute_sql("SELECT expires_at, absolute_expires_at, created_at FROM sessions").fetchall())
print(started <= applied <= time.time())
database.close_all()
"""
        zones = {"KST-9": -32_400, "EST5EDT,M3.2.0,M11.1.0": 18_000}
        for zone, west in zones.items():
            done = subprocess.run(
                [sys.executable, "-c", code, str(tmp_path / f"{west}.db")],
                env=environment(TZ=zone),
                capture_output=True,
                text=True,
            )
            assert done.stdout.splitlines() == [
                f"{west} 2024-07-01T12:00:00+00:00 2024-02-29T23:59:59+00:00 1970-01-01T00:00:00+00:00",
                "[(1719835200, 1709251199, 0)]",
                "True",
            ], done.stderr


class TestTimesInQueries:
    @pytest.fixture(autouse=True)
    def sessions(self, session: Session) -> None:
        """Sessions s-1 … s-5, each expiring ten seconds after the one before."""
        Session.update(expires_at=1_700_000_010).execute()
        for number in range(2, 6):
            Session.create(
                id=f"s-{number}",
                token_hash="hash",
                expires_at=1_700_000_000 + 10 * number,
                absolute_expires_at=2,
                created_at=3,
                revoked_at=None if number % 2 else 1_700_000_100,
            )

    @staticmethod
    def found(condition: Any) -> list[str]:
        query = Session.select(Session.id).where(condition).order_by(Session.id)
        return [id_ for (id_,) in query.tuples()]

    @pytest.mark.parametrize("zone", [UTC, KOREA, OLD_NEW_YORK], ids=str)
    def test_comparisons_accept_datetimes_in_any_timezone(self, zone: timezone) -> None:
        """Equality, order, BETWEEN and IN compare times in any timezone."""
        column = Session.expires_at
        moment = [datetime(2023, 11, 14, 22, 13, 20 + 10 * n, tzinfo=UTC).astimezone(zone) for n in range(4)]
        assert self.found(column == moment[1]) == ["s-1"]
        assert self.found(column != moment[1]) == ["s-2", "s-3", "s-4", "s-5"]
        assert self.found(column < moment[3]) == ["s-1", "s-2"]
        assert self.found(column >= moment[3]) == ["s-3", "s-4", "s-5"]
        assert self.found(column.between(moment[1], moment[2])) == ["s-1", "s-2"]
        assert self.found(column.in_([moment[1], moment[3]])) == ["s-1", "s-3"]
        assert self.found(column.not_in([moment[1], moment[3]])) == ["s-2", "s-4", "s-5"]

    def test_a_time_in_a_query_is_rounded_down_too(self) -> None:
        """A query for any time within a second finds that stored second."""
        moment = datetime(2023, 11, 14, 22, 13, 30, 999_999, tzinfo=UTC)
        assert self.found(Session.expires_at == moment) == ["s-1"]
        assert self.found(Session.expires_at > moment) == ["s-2", "s-3", "s-4", "s-5"]

    def test_null_is_found_with_is_null(self) -> None:
        """A time that is not set is found as NULL, and by no comparison."""
        column = Session.revoked_at
        assert self.found(column.is_null()) == ["s-1", "s-3", "s-5"]
        assert self.found(column < datetime(9999, 1, 1, tzinfo=UTC)) == ["s-2", "s-4"]

    def test_results_of_expressions_are_datetimes(self) -> None:
        """The maximum of times, and a time shifted in the database, are datetimes again."""
        newest = Session.select(fn.MAX(Session.expires_at)).scalar()
        assert newest == datetime(2023, 11, 14, 22, 14, 10, tzinfo=UTC)
        Session.update(expires_at=Session.expires_at + 3600).execute()
        assert Session.get_by_id("s-5").expires_at == datetime(2023, 11, 14, 23, 14, 10, tzinfo=UTC)


class TestFlag:
    @pytest.fixture
    def links(self, session: Session) -> Iterator[list[str]]:
        """Links of the session to the wallets a (its default), b and c."""
        for name in "abc":
            values = {"name": name, "chain": "solana", "environment": "testnet", "public_key": name}
            Wallet.create(id=name, created_at=1, updated_at=1, **values)
            SessionWallet.create(session=session, wallet=name, is_default=name == "a", created_at=1)
        yield list("abc")
        Wallet.delete().execute()

    @staticmethod
    def stored_flags(path: Path) -> list[tuple[Any, ...]]:
        rows = query(path, "SELECT wallet_id, is_default, typeof(is_default) FROM session_wallets ORDER BY 1")
        return [(wallet, flag) for wallet, flag, kind in rows if kind == "integer"]

    def test_is_stored_as_0_or_1(self, links: list[str], path: Path) -> None:
        """A bool is stored as the integer 1 or 0."""
        assert self.stored_flags(path) == [("a", 1), ("b", 0), ("c", 0)]

    def test_truth_values_are_stored_as_0_or_1(self, links: list[str], path: Path) -> None:
        """Any other value is stored as 1 or 0 by its truth value."""
        for wallet, value in (("a", 0), ("b", 7), ("c", "yes")):
            SessionWallet.update(is_default=value).where(SessionWallet.wallet == wallet).execute()
        assert self.stored_flags(path) == [("a", 0), ("b", 1), ("c", 1)]

    def test_is_read_as_a_bool(self, links: list[str], opened: SqliteDatabase) -> None:
        """A stored 0 is False, and any other number is True."""
        opened.execute_sql("UPDATE session_wallets SET is_default = 2 WHERE wallet_id = 'c'")
        read = [link.is_default for link in SessionWallet.select().order_by(SessionWallet.wallet)]
        assert read == [True, False, True]
        assert {type(flag) for flag in read} == {bool}

    def test_is_found_with_a_bool(self, links: list[str]) -> None:
        """True and False find the rows with 1 and 0."""
        column = SessionWallet.is_default
        chosen = SessionWallet.select(SessionWallet.wallet).order_by(SessionWallet.wallet)
        assert [wallet for (wallet,) in chosen.where(column == True).tuples()] == ["a"]  # noqa: E712
        assert [wallet for (wallet,) in chosen.where(column == False).tuples()] == ["b", "c"]  # noqa: E712
        assert [wallet for (wallet,) in chosen.where(column.in_([True])).tuples()] == ["a"]

    def test_is_set_by_an_expression(self, links: list[str], path: Path) -> None:
        """An expression over the row sets each row's flag, so that one statement moves the default."""
        link = SessionWallet
        link.update(is_default=link.wallet == "b").execute()
        assert self.stored_flags(path) == [("a", 0), ("b", 1), ("c", 0)]
        link.update(is_default=Case(None, [(link.wallet == "c", 1)], 0)).execute()
        assert self.stored_flags(path) == [("a", 0), ("b", 0), ("c", 1)]

    def test_none_is_refused(self, links: list[str], path: Path) -> None:
        """None is NULL, which no flag column allows."""
        with pytest.raises(IntegrityError, match="NOT NULL"):
            SessionWallet.update(is_default=None).execute()
        assert self.stored_flags(path) == [("a", 1), ("b", 0), ("c", 0)]


class TestJSONText:
    @pytest.mark.parametrize(("value", "text"), JSON_TEXTS.values(), ids=JSON_TEXTS)
    def test_is_stored_as_compact_text(self, session: Session, path: Path, value: Any, text: str) -> None:
        """A value is stored as JSON without spaces, and with non-ASCII characters unescaped."""
        Session.update(constraints=value).execute()
        assert stored(path, "constraints") == (text, "text")

    @pytest.mark.parametrize(("value", "text"), JSON_TEXTS.values(), ids=JSON_TEXTS)
    def test_is_read_as_the_value(self, session: Session, opened: SqliteDatabase, value: Any, text: str) -> None:
        """JSON text in the file is read as its value."""
        opened.execute_sql("UPDATE sessions SET constraints = ?", (text,))
        assert as_javascript(Session.get().constraints) == as_javascript(value)

    def test_white_space_of_other_writers_is_read(self, session: Session, opened: SqliteDatabase) -> None:
        """JSON text with spaces and escapes is read like any other."""
        opened.execute_sql("UPDATE sessions SET constraints = ?", ('{ "a" : [ 1.0,\n "\\ud55c\\uad6d" ] }',))
        assert Session.get().constraints == {"a": [1, "한국"]}

    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf], ids=str)
    @pytest.mark.parametrize("wrap", [lambda n: n, lambda n: {"a": [n]}], ids=["alone", "nested"])
    def test_numbers_that_are_not_finite_are_refused(
        self, session: Session, path: Path, number: float, wrap: Any
    ) -> None:
        """NaN and the infinities are refused with ValueError, and the row keeps its value."""
        Session.update(constraints={"kept": 1}).execute()
        with pytest.raises(ValueError, match="JSON"):
            Session.update(constraints=wrap(number)).execute()
        assert stored(path, "constraints") == ('{"kept":1}', "text")

    @pytest.mark.parametrize("value", [b"bytes", {1, 2}, Decimal("1.5"), object()], ids=lambda v: type(v).__name__)
    def test_values_that_json_cannot_represent_are_refused(self, session: Session, path: Path, value: Any) -> None:
        """A Python value that JSON cannot represent is refused with TypeError, and the row keeps its value."""
        Session.update(constraints=1).execute()
        with pytest.raises(TypeError):
            Session.update(constraints=[value]).execute()
        assert stored(path, "constraints") == ("1", "text")

    def test_none_is_null_and_a_null_inside_is_json(self, session: Session, path: Path) -> None:
        """None is SQL NULL; inside a value it is JSON's null."""
        Session.update(constraints=None, usage_stats=[None]).execute()
        assert stored(path, "constraints") == (None, "null")
        assert stored(path, "usage_stats") == ("[null]", "text")
        read = Session.get()
        assert (read.constraints, read.usage_stats) == (None, [None])

    def test_a_stored_json_null_is_read_as_none(self, session: Session, opened: SqliteDatabase) -> None:
        """The text `null` is read as None, and is not NULL in a query."""
        opened.execute_sql("UPDATE sessions SET constraints = 'null'")
        assert Session.get().constraints is None
        assert Session.select().where(Session.constraints.is_null()).count() == 0

    def test_none_is_refused_if_the_column_is_not_null(self, session: Session, path: Path) -> None:
        """A policy without rules is not stored."""
        with pytest.raises(IntegrityError, match="NOT NULL"):
            Policy.create(id="p", type="WHITELIST", rules=None, created_at=1, updated_at=1)
        assert query(path, "SELECT count(*) FROM policies") == [(0,)]

    def test_an_expression_is_copied_unchanged(self, session: Session, path: Path) -> None:
        """A query expression stays an expression and is not converted to JSON text."""
        Session.update(constraints={"a": "b"}).execute()
        Session.update(usage_stats=Session.constraints).execute()
        assert stored(path, "usage_stats") == ('{"a":"b"}', "text")

    @pytest.mark.parametrize(
        "value", [{"a": 1.0}, "text", 7, False, [1, 2], []], ids=["dict", "text", "int", "bool", "list", "empty"]
    )
    def test_is_found_by_value(self, session: Session, value: Any) -> None:
        """A row is found by its JSON value, including lists, and by no other value."""
        Session.update(constraints=value).execute()
        column = Session.constraints
        assert Session.select().where(column == value).count() == 1
        assert Session.select().where(column != value).count() == 0
        assert Session.select().where(column == {"other": value}).count() == 0


def as_javascript(value: Any) -> Any:
    """Return a JSON value with its types, all numbers as doubles, as in JavaScript."""
    if isinstance(value, bool) or value is None:
        return (type(value).__name__, value)
    if isinstance(value, (int, float)):
        return ("number", float(value))
    if isinstance(value, (list, tuple)):
        return [as_javascript(each) for each in value]
    if isinstance(value, dict):
        return {key: as_javascript(each) for key, each in value.items()}
    return value


FINITE = st.floats(allow_nan=False, allow_infinity=False)
SAFE_INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
TEXTS = st.text() | st.sampled_from(["\ud800", "x\udfff", "\u2028", "지갑 🔑", '\\"'])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | SAFE_INTEGERS | FINITE | TEXTS,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(TEXTS, values, max_size=4),
    max_leaves=12,
)


@pytest.mark.slow
@given(JSON_VALUES)
def test_json_round_trip(opened: SqliteDatabase, path: Path, value: Any) -> None:
    """Any JSON value survives a round trip through the file, and its text is valid for any JSON reader."""
    with opened.bind_ctx(MODELS):
        Session.replace(
            id="s-1", token_hash="h", expires_at=1, absolute_expires_at=2, created_at=3, constraints=value
        ).execute()
        read = Session.get_by_id("s-1").constraints
    ((text,),) = query(path, "SELECT constraints FROM sessions WHERE id = 's-1'")
    assert as_javascript(read) == as_javascript(value)
    assert value is None or as_javascript(json.loads(text.encode("utf-8"))) == as_javascript(value)


@given(st.datetimes(timezones=st.sampled_from([UTC, KOREA, OLD_NEW_YORK]), min_value=datetime(2, 1, 1)))
def test_times_round_trip(opened: SqliteDatabase, moment: datetime) -> None:
    """Any time that UTC can represent survives a round trip as the start of its second."""
    if moment > datetime(9999, 12, 31, tzinfo=UTC):
        moment -= timedelta(days=2)
    with opened.bind_ctx(MODELS):
        Session.replace(id="s-1", token_hash="h", expires_at=moment, absolute_expires_at=2, created_at=3).execute()
        read = Session.get_by_id("s-1").expires_at
    assert timedelta(0) <= moment - read < timedelta(seconds=1)
    assert (read.microsecond, read.tzinfo) == (0, UTC)


class TestColumnClauses:
    class Odd(Model):
        """A table with unusual defaults and value sets."""

        id = AutoIncrement()
        word = Text(default="it's", values=("it's", 'say "so"', ""))
        number = Integer(default=-(2**62), values=(-(2**62), 7))
        flag = Flag(default=True, values=(0, 1))
        maybe = Text(null=True, values=("a",))
        free = Text(null=True)

    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[SqliteDatabase]:
        database = SqliteDatabase(tmp_path / "odd.db")
        with database.bind_ctx([self.Odd]):
            database.create_tables([self.Odd])
            yield database
        database.close()

    def test_defaults_apply_to_plain_sql(self, database: SqliteDatabase) -> None:
        """A row inserted without the library gets the same defaults, and a column without one gets NULL."""
        database.execute_sql("INSERT INTO odd DEFAULT VALUES")
        self.Odd.create()
        rows = database.execute_sql("SELECT word, number, flag, maybe, free FROM odd").fetchall()
        assert rows == [("it's", -(2**62), 1, None, None)] * 2

    @pytest.mark.parametrize(
        ("column", "value"),
        [("word", "it''s"), ("word", "IT'S"), ("number", 8), ("flag", 2), ("flag", -1), ("maybe", ""), ("maybe", "A")],
    )
    def test_values_outside_the_set_are_refused_for_plain_sql(
        self, database: SqliteDatabase, column: str, value: Any
    ) -> None:
        """A value outside a column's set is refused, even by plain SQL."""
        with pytest.raises(IntegrityError, match="CHECK constraint failed"):
            database.execute_sql(f"INSERT INTO odd ({column}) VALUES (?)", (value,))
        assert database.execute_sql("SELECT count(*) FROM odd").fetchone() == (0,)

    @pytest.mark.parametrize(
        ("column", "value"),
        [("word", 'say "so"'), ("word", ""), ("number", 7), ("flag", 0), ("maybe", None), ("maybe", "a")],
    )
    def test_values_of_the_set_are_accepted(self, database: SqliteDatabase, column: str, value: Any) -> None:
        """Each value of a set is stored unchanged, and NULL if the column allows it."""
        database.execute_sql(f"INSERT INTO odd ({column}) VALUES (?)", (value,))
        assert database.execute_sql(f"SELECT {column} FROM odd").fetchall() == [(value,)]

    def test_an_id_is_never_reused(self, database: SqliteDatabase) -> None:
        """The id of a deleted row is not reused."""
        first, second = self.Odd.create().id, self.Odd.create().id
        self.Odd.delete().execute()
        assert self.Odd.create().id > second > first

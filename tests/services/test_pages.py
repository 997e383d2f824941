"""Paginated lists contain each item once, whatever is added or removed while they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.application import NOBODY, NOW, Application, expect_refusal

from waiaas.services import Page


def pages(read: Callable[..., Page[Any]], limit: int, **filters: Any) -> Iterator[Page[Any]]:
    """Read a list page by page, to its end."""
    page = read(limit=limit, **filters)
    yield page
    while page.next_after is not None:
        page = read(limit=limit, after=page.next_after, **filters)
        yield page


def ids_of(read: Callable[..., Page[Any]], limit: int, **filters: Any) -> list[str]:
    """Return the ids of a whole list, read page by page."""
    return [item.id for page in pages(read, limit, **filters) for item in page.items]


@pytest.fixture
def listed(app: Application) -> Application:
    """Ten wallets, and ten sessions linked to two of them each: three revoked, three expired, four active."""
    wallets = [app.wallet() for _ in range(10)]
    for number in range(10):
        ttl = 300 if number % 3 == 1 else 3600
        session = app.session(wallets[number], wallets[(number + 1) % 10], ttl=ttl)
        if number % 3 == 2:
            app.sessions.revoke(session.id, actor="admin")
    for number, (wallet,) in enumerate(app.query("SELECT id FROM wallets ORDER BY id")):
        if number % 2:
            app.wallets.suspend(wallet, actor="admin")
    app.clock.now = NOW + 300
    return app


@pytest.mark.parametrize("which", ["sessions", "wallets"])
@pytest.mark.parametrize("limit", [1, 2, 3, 9, 10, 11, 200])
def test_pages_contain_everything_once_in_order(listed: Application, which: str, limit: int) -> None:
    """For any limit, all pages except the last are full, and together they contain the whole list in order of ids."""
    read = {"sessions": listed.sessions.list, "wallets": listed.wallets.list}[which]
    found = list(pages(read, limit))
    expected = [id_ for (id_,) in listed.query(f"SELECT id FROM {which} ORDER BY id")]
    assert [item.id for page in found for item in page.items] == expected
    assert len(found) == -(-10 // limit)
    assert all(len(page.items) == limit for page in found[:-1])
    assert [page.next_after for page in found] == [*(page.items[-1].id for page in found[:-1]), None]


def test_listed_sessions_equal_those_of_get(listed: Application) -> None:
    """A list returns each session with its links and its status, as `get` does."""
    page = listed.sessions.list()
    assert page.items == tuple(listed.sessions.get(session.id) for session in page.items)
    assert [session.status for session in page.items] == ["ACTIVE", "EXPIRED", "REVOKED"] * 3 + ["ACTIVE"]
    assert [len(session.wallets) for session in page.items] == [2] * 10


@pytest.mark.parametrize("status", ["ACTIVE", "EXPIRED", "REVOKED"])
@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_sessions_of_a_status(listed: Application, status: str, limit: int) -> None:
    """Only sessions of the given status are listed, and every page except the last is full."""
    expected = [session.id for session in listed.sessions.list().items if session.status == status]
    assert ids_of(listed.sessions.list, limit, status=status) == expected
    assert len(expected) in (3, 4)


def test_sessions_of_a_wallet(listed: Application) -> None:
    """Only sessions linked to the given wallet are listed, with all their links; the status narrows them further."""
    ((wallet,), *_) = listed.query("SELECT id FROM wallets ORDER BY id")
    linked = [id_ for (id_,) in listed.query("SELECT session_id FROM session_wallets WHERE wallet_id = ?", wallet)]
    assert len(linked) == 2
    assert ids_of(listed.sessions.list, 1, wallet_id=wallet) == sorted(linked)
    assert all(len(session.wallets) == 2 for session in listed.sessions.list(wallet).items)
    by_status = [ids_of(listed.sessions.list, 1, wallet_id=wallet, status=each) for each in ("ACTIVE", "EXPIRED")]
    assert sorted(by_status[0] + by_status[1]) == sorted(linked)
    assert listed.sessions.list(NOBODY) == Page((), None)


def test_wallets_of_a_status(listed: Application) -> None:
    """Only wallets of the given status are listed."""
    suspended = [id_ for (id_,) in listed.query("SELECT id FROM wallets WHERE status = 'SUSPENDED' ORDER BY id")]
    assert ids_of(listed.wallets.list, 2, status="SUSPENDED") == suspended
    assert len(ids_of(listed.wallets.list, 2, status="ACTIVE")) == 5
    assert ids_of(listed.wallets.list, 2, status="TERMINATING") == []


def test_added_items_do_not_shift_pages(listed: Application) -> None:
    """Sessions and wallets added between two pages come last, so that no item is repeated or missing."""
    before = ids_of(listed.sessions.list, 50)
    ((wallet,), *_) = listed.query("SELECT id FROM wallets WHERE status = 'ACTIVE' ORDER BY id DESC")
    seen, added = [], []
    for page in pages(listed.sessions.list, 3):
        seen += [session.id for session in page.items]
        if len(added) < 3:
            added.append(listed.session(wallet).id)
    assert seen == before + added
    seen = []
    for page in pages(listed.wallets.list, 3):
        seen += [each.id for each in page.items]
        if len(seen) < 7:
            listed.wallet()
    assert len(seen) == len(set(seen)) == 12


def test_changed_statuses_do_not_shift_pages(listed: Application) -> None:
    """If sessions of an earlier page leave the list, the later pages are still complete."""
    active = ids_of(listed.sessions.list, 50, status="ACTIVE")
    first = listed.sessions.list(status="ACTIVE", limit=2)
    for session in first.items:
        listed.sessions.revoke(session.id, actor="admin")
    rest = listed.sessions.list(status="ACTIVE", limit=2, after=first.next_after)
    assert [session.id for session in rest.items] == active[2:]
    assert rest.next_after is None


def test_the_default_limit_is_50(app: Application) -> None:
    """A page contains 50 items if the caller gives no limit."""
    for _ in range(51):
        app.session(app.wallet())
    for page in (app.sessions.list(), app.wallets.list()):
        assert (len(page.items), page.next_after) == (50, page.items[-1].id)


def test_an_empty_list(app: Application) -> None:
    """An empty list is one empty page without a next page."""
    assert app.sessions.list() == Page((), None)
    assert app.wallets.list() == Page((), None)


def test_a_cursor_after_the_end(listed: Application) -> None:
    """A cursor after the last id returns an empty page, and a cursor need not be the id of an existing row."""
    assert listed.sessions.list(after="ffffffff-ffff-7fff-bfff-ffffffffffff") == Page((), None)
    assert len(listed.sessions.list(after=NOBODY).items) == 10
    assert len(listed.wallets.list(after="").items) == 10


WRONG = {
    "limit": [0, -1, 201, 2**70, True, False, 1.0, "5", None, [5]],
    "status": ["active", "", "TERMINATED ", 5, ["ACTIVE"], True],
    "after": [5, 1.5, True, b"x", ["x"], {}],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
@pytest.mark.parametrize("which", ["sessions", "wallets"])
def test_invalid_arguments_are_refused(app: Application, which: str, name: str, value: object) -> None:
    """A limit out of range, an unknown status or a cursor that is not a string is refused under its name."""
    read: Any = {"sessions": app.sessions.list, "wallets": app.wallets.list}[which]
    with expect_refusal(app, "ACTION_VALIDATION_FAILED") as caught:
        read(**{name: value})
    assert caught.value.details is not None
    assert list(caught.value.details["fields"]) == [name]  # type: ignore[call-overload]


def test_all_invalid_arguments_are_reported_at_once(app: Application) -> None:
    """One refusal reports all invalid arguments."""
    with expect_refusal(app, "ACTION_VALIDATION_FAILED") as caught:
        app.sessions.list(status="LIVE", limit=0, after=5)  # type: ignore[arg-type]
    assert caught.value.details == {
        "fields": {
            "limit": ["Must be an integer from 1 to 200."],
            "after": ["Must be the next_after of a page."],
            "status": ["Must be one of: ACTIVE, EXPIRED, REVOKED."],
        }
    }


def test_a_page_is_followed_to_the_end(app: Application) -> None:
    """A page is iterable and has a length, and `next` returns each further page of the same list, then None."""
    ids = [app.wallet() for _ in range(5)]
    suspended = [app.wallets.suspend(id_, actor="admin").id for id_ in ids[:3]]
    page, seen = app.wallets.list(limit=2), []
    while page is not None:
        assert len(page) == len(page.items)
        seen.append([wallet.id for wallet in page])
        page = page.next()
    assert seen == [ids[:2], ids[2:4], ids[4:]]
    rest = app.wallets.list(status="SUSPENDED", limit=2).next()
    assert rest is not None
    assert [wallet.id for wallet in rest] == suspended[2:]
    assert rest.next() is None

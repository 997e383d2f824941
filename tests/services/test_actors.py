"""Whoever or whatever is said to have asked, and why: every method of every service treats it in one way."""

from __future__ import annotations

from typing import Any

import pytest
from support.service_harness import Scene, World, refused
from support.service_parameters import Place, call, name_of, places, prepare

import waiaas
from waiaas import SuspendWalletRequestSchema
from waiaas.schemas import MAX_REASON_LENGTH
from waiaas.services.ids import MAX_ACTOR_LENGTH

TOLD = [place for place in places() if place.name in ("actor", "reason") and place.method != "list"]
every_place = pytest.mark.parametrize("place", TOLD, ids=map(name_of, TOLD))

#: What says neither who asked nor why, and what is said of it.
NOTHING_SAID: dict[str, tuple[object, str]] = {
    "int": (5, "Must be "),
    "bool": (True, "Must be "),
    "bytes": (b"x", "Must be "),
    "object": ({"a": 1}, "Must be "),
    "column": (waiaas.Wallet.name, "Must be "),
    "surrogate": ("a\ud800", "Must be "),
    "nul": ("a\0", "Must be "),
    "empty": ("", "Must not be blank."),
    "blank": ("  ", "Must not be blank."),
    "a megabyte": ("x" * 1_000_000, "Must have at most "),
}


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world)


def test_every_method_that_changes_something_says_who_asked() -> None:
    """No change is left out of these tests: each method that writes the audit log takes an actor."""
    changes = {
        *("SessionService.create", "SessionService.renew", "SessionService.revoke", "TokenService.rotate"),
        *("SessionWalletService.link", "SessionWalletService.set_default", "SessionWalletService.unlink"),
        *("KillSwitchService.activate", "KillSwitchService.escalate", "KillSwitchService.recover"),
        *("WalletService.create", "WalletService.resume", "WalletService.suspend", "WalletService.terminate"),
    }
    assert {name_of(place) for place in TOLD} == {
        *(f"{name}-actor" for name in changes),
        "WalletService.suspend-reason",
    }


@every_place
@pytest.mark.parametrize("kind", NOTHING_SAID)
def test_what_says_nothing_is_refused(scene: Scene, place: Place, kind: str) -> None:
    """It is refused under its key before anything is written, in English and Korean, and it is not told."""
    value, message = NOTHING_SAID[kind]
    with refused(scene.world, "ACTION_VALIDATION_FAILED") as caught:
        call(scene, place, value)
    ((key, (said,)),) = caught.value.details["fields"].items()  # type: ignore[index, union-attr]
    assert (key, said[: len(message)]) == (place.name, message)
    assert len(said) < 100
    korean: Any = caught.value.to_dict("ko")["details"]
    assert korean["fields"][key] != [said]


@every_place
def test_none_stands_for_the_default_alone(scene: Scene, place: Place) -> None:
    """None is a reason (there is none), and not an actor."""
    if place.name == "reason":
        call(scene, place, None)
        assert [event[5] for event in scene.world.events()] == [{"reason": None}]
    else:
        with refused(scene.world, "ACTION_VALIDATION_FAILED"):
            call(scene, place, None)


@every_place
@pytest.mark.parametrize("text", ["a", "관리자 1", "longest"])
def test_what_is_said_is_kept_as_it_is(scene: Scene, place: Place, text: str) -> None:
    """Text of any script, up to the longest that is taken, stands in the audit log as it came."""
    if text == "longest":
        text = "지" * (MAX_ACTOR_LENGTH if place.name == "actor" else MAX_REASON_LENGTH)
    prepare(scene, place)
    call(scene, place, text)
    said = [event[5]["reason"] if place.name == "reason" else event[1] for event in scene.world.events()]
    assert set(said) == {text}


def test_an_actor_is_looked_at_where_nothing_changes_too(scene: Scene) -> None:
    """A session that is revoked already, or a wallet that is the default, is no way around it."""
    world = scene.world
    world.sessions.revoke(scene.alone.id, actor="admin")
    with refused(world, "ACTION_VALIDATION_FAILED"):
        world.sessions.revoke(scene.alone.id, actor="")
    with refused(world, "ACTION_VALIDATION_FAILED"):
        world.links.set_default(scene.session.id, scene.first, actor="")


@pytest.mark.parametrize("reason", [None, "why\nand since when", "x" * MAX_REASON_LENGTH, "x" * 1001, " ", 5, b"x"])
def test_a_reason_is_what_the_request_takes(scene: Scene, reason: Any) -> None:
    """The service takes the reasons that `SuspendWalletRequestSchema` takes, and no others."""
    errors = SuspendWalletRequestSchema().validate({"reason": reason})
    if errors:
        with refused(scene.world, "ACTION_VALIDATION_FAILED") as caught:
            scene.world.wallets.suspend(scene.first, reason, actor="admin")
        assert caught.value.details == {"fields": errors}
    else:
        assert scene.world.wallets.suspend(scene.first, reason, actor="admin").suspension_reason == reason

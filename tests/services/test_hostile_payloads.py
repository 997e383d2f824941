"""Payloads meant to be expensive are accepted or refused with a short error that does not repeat them at length."""

from __future__ import annotations

import random
import time
import tracemalloc
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from support.application import Application

import waiaas
from waiaas import schemas

pytestmark = pytest.mark.slow

LARGE = 200_000
SCHEMAS: dict[str, schemas.WireSchema] = {
    name: getattr(schemas, name)() for name in schemas.__all__ if name.endswith("RequestSchema")
}
KEYS = sorted({str(field.data_key) for schema in SCHEMAS.values() for field in schema.fields.values()})


class Hostile:
    """Makes payloads of any shape, some of them large, from a fixed seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        # Created once: what is measured is the handling of a payload, not its creation.
        self.large: list[Any] = [
            *("x" * LARGE, "\0" * LARGE, " " * LARGE, "\ud800" * LARGE, "9" * LARGE, "wai_sess_" + "a." * LARGE),
            *(["x"] * LARGE, [str(uuid.UUID(int=n)) for n in range(LARGE // 10)], [[]] * LARGE, [{}] * LARGE),
            *(dict.fromkeys(map(str, range(LARGE))), {"x" * LARGE: 1}, {"a": ["y" * 1000] * 1000}, 10**4000),
            self._deep(list), self._deep(dict),
        ]  # fmt: skip
        self.small: list[Any] = [
            *(None, True, 0, -1, 1.5, float("nan"), float("inf"), 2**63, "", "x", "\0", "\ud800", b"x", [], {}, ()),
            *(str(uuid.UUID(int=1)), "ACTIVE", "solana", "testnet", {"a": 1}, [1, "x"], 300, "50"),
        ]

    def _deep(self, kind: type) -> Any:
        value: Any = kind()
        for _ in range(900):
            value = [value] if kind is list else {"a": value}
        return value

    def value(self) -> Any:
        draw = self.random.random()
        if draw < 0.3:
            return self.random.choice(self.large)
        if draw < 0.9:
            return self.random.choice(self.small)
        return [self.random.choice(self.large + self.small) for _ in range(self.random.randrange(120))]

    def payload(self) -> Any:
        if self.random.random() < 0.1:
            return self.value()
        keys = self.random.sample(KEYS, self.random.randrange(6))
        return {key: self.value() for key in keys}


def calls(app: Application, hostile: Hostile) -> list[Callable[[], Any]]:
    """Pass one payload to every schema, and to the services that take values outside a schema."""
    payload, value = hostile.payload(), hostile.value()
    return [
        *(lambda schema=schema: schema.load(payload) for schema in SCHEMAS.values()),
        lambda: app.sessions.create(
            wallet_ids=hostile.value(),
            default_wallet_id=value,
            ttl=hostile.value(),
            constraints=hostile.value(),
            actor="admin",
        ),
        lambda: app.wallets.create(
            name=value,
            chain=hostile.value(),
            environment=hostile.value(),
            public_key=value,
            default_network=hostile.value(),
            owner_address=value,
            actor="admin",
        ),
        lambda: app.sessions.authenticate(value),
        lambda: app.sessions.authorize("wai_sess_x", value),
        lambda: app.sessions.renew(value, actor="admin"),
        lambda: app.sessions.get(value),
        lambda: app.sessions.list(value, status=value, after=value),
        lambda: app.links.link(value, value, actor="admin"),
        lambda: app.links.resolve(value, value),
        lambda: app.wallets.suspend(value, value, actor=value),
    ]


def refusal_of(call: Callable[[], Any]) -> waiaas.WAIaaSError | None:
    try:
        call()
    except waiaas.WAIaaSError as error:
        return error
    return None


def test_hostile_payloads_are_refused_with_short_errors(app: Application) -> None:
    """Every payload is accepted or refused with a code, and the error's text has a bounded length."""
    hostile = Hostile(7)
    app.wallet()
    for _ in range(60):
        for call in calls(app, hostile):
            error = refusal_of(call)
            if error is not None:
                assert len(str(error)) < 20_000
                assert len(str(error.to_public_dict("ko"))) < 20_000


@pytest.mark.stress
def test_the_cost_of_hostile_payloads(app: Application) -> None:
    """Print the maximum time and memory for one of 20,000 payloads."""
    hostile = Hostile(11)
    app.wallet()
    slowest = largest = 0.0
    count = 0
    while count < 20_000:
        for call in calls(app, hostile):
            count += 1
            measures_memory = count % 20 == 0
            if measures_memory:
                tracemalloc.start()
            started = time.process_time()
            refusal_of(call)
            taken = time.process_time() - started
            if measures_memory:
                largest = max(largest, tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
            else:
                slowest = max(slowest, taken)
    print(
        f"\n{count} payloads: at most {slowest * 1000:.1f} ms (CPU), {largest / 2**20:.2f} MiB (every 20th measured)"
    )

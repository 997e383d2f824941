"""The primary is lost under callers of the services, and its synchronous standby takes over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.failover import Cluster, new_server, restart_delay, run_failover

import waiaas
from waiaas import WAIaaSError
from waiaas.backends import postgresql as backend

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def new_cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture
def cluster(new_cluster: Cluster) -> Iterator[Cluster]:
    yield new_cluster
    if not new_cluster.standby.is_running():
        new_cluster.standby.start()


def check(counts: Counter[str]) -> None:
    """What was acknowledged is there, what was refused is not, and the rest was reported as unknown."""
    assert counts["acknowledged"] > 0
    assert counts["acknowledged revocations"] > 0
    assert counts["lost"] == 0
    assert counts["valid again"] == 0
    assert counts["refused but done"] == 0
    assert counts["unknown but done"] <= counts["creations unknown"]


@pytest.mark.parametrize("by_network", [False, True])
def test_no_acknowledged_change_is_lost(cluster: Cluster, by_network: bool) -> None:
    """With both hosts in the URL, callers go on by themselves; a call without an answer is `commit_unknown`."""
    counts = run_failover(cluster, 4, seed=by_network, by_network=by_network)
    cluster.renew()
    print(f"\n{dict(counts)}")
    check(counts)


@pytest.mark.stress
@pytest.mark.parametrize("by_network", [False, True])
def test_no_acknowledged_change_is_lost_in_many_failovers(cluster: Cluster, by_network: bool) -> None:
    """The same twenty times, with eight callers."""
    total: Counter[str] = Counter()
    for seed in range(20):
        counts = run_failover(cluster, 8, seed, by_network=by_network)
        cluster.renew()
        check(counts)
        total += counts
    print(f"\n20 failovers: {dict(total)}")


def test_callers_go_on_after_a_restart() -> None:
    """Reads and changes succeed as soon as a new connection does, without code of the user."""
    server = new_server()
    try:
        print(f"\nseconds after the first connection: {restart_delay(server, seed=1):.3f}")
    finally:
        server.remove()


def test_what_only_the_crashed_primary_has_is_not_acknowledged(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that waited for the standby is there after the primary's restart, and still could be lost with it."""
    monkeypatch.setattr(backend, "_ANSWER_WITHIN", 1)
    primary = cluster.primary
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    with (
        waiaas.connect(primary.url("wallets"), busy_timeout=0.5) as database,
        ThreadPoolExecutor(1) as pool,
    ):
        cluster.standby.stop("immediate")
        change = pool.submit(
            database.wallets.create,
            name="w",
            chain="solana",
            environment="testnet",
            public_key="only here",
            actor="test",
        )
        while not primary.execute(waits):
            assert not change.done()
        primary.restart("immediate")
        with pytest.raises(WAIaaSError) as caught:
            change.result()
        assert caught.value.reason == "commit_unknown"
        assert primary.execute("SELECT name FROM wallets WHERE public_key = 'only here'", "wallets") == [("w",)]
        cluster.standby.start()

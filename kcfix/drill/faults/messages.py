"""Faults of messages and offsets: payments that succeed and whose purchase never appears."""

from __future__ import annotations

from kcfix.drill import groups, wire
from kcfix.drill.buy import buy
from kcfix.drill.checkout import PARTITIONS
from kcfix.drill.faults.fault import FLOW, Site, State

WORKER = FLOW.purchase_worker
GROUP = FLOW.purchase_group
TOPIC = FLOW.purchase_confirmed
POISON_TIER = 12
"""A tier that the table's CHECK refuses."""
POISON_PARTITION = 0


def send_nowhere(site: Site) -> State:
    """payment-service writes a payment's event down and finds no broker to send it to."""
    return {"payments": buy(site.drill, 1, unsent=True)}


def send_at_last(site: Site, state: State) -> None:
    """The recorded event is sent, where no one has settled the payment meanwhile."""
    site.send_again(site.without_purchase(state.get("payments", [])))


def lose_offsets(site: Site) -> State:
    """The group's offsets are gone, payments come in while the worker is down, and its start skips them all."""
    site.stop_worker(WORKER)
    groups.forget(site.drill, GROUP, TOPIC)
    state: State = {"payments": []}
    for partition in range(PARTITIONS):
        state["payments"] += buy(site.drill, 1, partition=partition)
    site.remember(state)
    site.start_worker(WORKER)
    return state


def send_skipped(site: Site, state: State) -> None:
    """What was skipped and is still unsettled is sent again under the eyes of the worker, which then commits.

    The offsets are not moved back to it: what else has come behind it since, poison perhaps, would be read again.
    """
    site.start_worker(WORKER)
    site.send_again(site.without_purchase(state.get("payments", [])))


def poison_protected(site: Site) -> State:
    """A payment that can't become a purchase, on a partition with a committed offset: the worker loops on it."""
    first = buy(site.drill, 1, partition=POISON_PARTITION)
    end = wire.ends(site.drill, TOPIC)[POISON_PARTITION][1]
    state: State = {"payments": first, "poison": [], "partition": POISON_PARTITION, "offset": end}
    site.remember(state)
    groups.wait_committed(site.drill, GROUP, TOPIC, POISON_PARTITION, end)
    return _poison(site, state)


def poison_unprotected(site: Site) -> State:
    """The same on a partition that has no committed offset: after a crash it is skipped with all behind it."""
    site.stop_worker(WORKER)
    groups.forget(site.drill, GROUP, TOPIC, [POISON_PARTITION])
    end = wire.ends(site.drill, TOPIC)[POISON_PARTITION][1]
    site.start_worker(WORKER)
    return _poison(site, {"payments": [], "poison": [], "partition": POISON_PARTITION, "offset": end})


def _poison(site: Site, state: State) -> State:
    """The poison first, then a good payment behind it."""
    state["poison"] = buy(site.drill, 1, tier=POISON_TIER, partition=state["partition"])
    site.remember(state)
    state["payments"] += buy(site.drill, 1, partition=state["partition"])
    return state


def pass_poison(site: Site, state: State) -> None:
    """The money goes back, the offset goes behind the poison, and what was skipped behind it is sent again."""
    poison = state.get("poison", [])
    with site.database() as connection:
        connection.execute(
            "UPDATE payments SET status = 'refunded', updated_at = now() WHERE id = ANY(%s::uuid[])",
            (site.without_purchase(poison),),
        )
    if poison:
        site.stop_worker(WORKER)
        partition, behind = int(state["partition"]), int(state["offset"]) + 1
        if groups.committed(site.drill, GROUP, TOPIC).get(partition, 0) < behind:
            groups.commit(site.drill, GROUP, TOPIC, {partition: behind})
    site.start_worker(WORKER)
    end = wire.ends(site.drill, TOPIC)[POISON_PARTITION][1]
    groups.wait_committed(site.drill, GROUP, TOPIC, POISON_PARTITION, end)
    site.send_again(site.without_purchase(state.get("payments", [])))

"""Which addresses are reached elsewhere than where they say."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kcfix.adapters.addresses import AddressMap, Told

TOLD = Told({"kafka:9092": "127.0.0.1:29092", "kafka": "172.20.0.2"}, {"127.0.0.1:29092"})


def a_map(
    explicit: Mapping[str, str] | None = None,
    *,
    configured: tuple[str, ...] = ("kafka:9092",),
    resolves: bool = False,
    told: Told = TOLD,
) -> tuple[AddressMap, list[str]]:
    asked: list[str] = []

    def ask() -> Told:
        asked.append("docker")
        return told

    return AddressMap(explicit or {}, ask, lambda: configured, lambda host: resolves), asked


def test_a_name_that_only_containers_know_is_reached_at_its_published_port() -> None:
    addresses, asked = a_map()
    assert addresses.get("kafka:9092") == "127.0.0.1:29092"
    assert addresses.get("kafka:9092") == "127.0.0.1:29092"
    assert asked == ["docker"]


def test_an_unpublished_port_is_reached_at_the_container() -> None:
    addresses, _ = a_map()
    assert addresses["kafka:29093"] == "172.20.0.2:29093"


def test_what_this_host_resolves_is_left_alone_and_docker_is_not_asked() -> None:
    addresses, asked = a_map(resolves=True)
    assert addresses.get("kafka:9092") is None
    assert asked == []


@pytest.mark.parametrize("address", ["127.0.0.1:9092", "10.1.2.3:9092", "[::1]:9092"])
def test_an_ip_address_is_left_alone(address: str) -> None:
    addresses, asked = a_map()
    assert addresses.get(address) is None
    assert asked == []


def test_an_explicit_entry_wins_with_and_without_a_port() -> None:
    addresses, asked = a_map({"kafka:9092": "10.0.0.9:1", "db": "10.0.0.8", "other": "10.0.0.7:5"}, resolves=True)
    assert addresses["kafka:9092"] == "10.0.0.9:1"
    assert addresses["db:5432"] == "10.0.0.8:5432"
    assert addresses["other:80"] == "10.0.0.7:5"
    assert asked == []


def test_a_name_advertised_by_a_broker_reached_through_its_published_port_is_mapped() -> None:
    addresses, _ = a_map(configured=("localhost:29092",))
    assert addresses["kafka:9092"] == "127.0.0.1:29092"


def test_a_name_advertised_by_a_broker_elsewhere_is_not_taken_for_a_container_here() -> None:
    addresses, _ = a_map(configured=("broker.example.com:9092",))
    assert addresses.get("kafka:9092") is None


def test_it_is_never_empty_to_those_who_test_it() -> None:
    addresses, _ = a_map()
    assert addresses
    assert dict(addresses) == {}

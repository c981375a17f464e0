"""The whole-topic search of `kcfix trace --scan`, with its progress."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from kcfix.core.judging.scan import scan, scan_ranges
from kcfix.core.payments import PaymentId
from kcfix.core.ports.kafka import SearchResult
from kcfix.errors import KcfixError
from kcfix.services import Services


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan came to."""

    result: SearchResult | None
    """None: Kafka did not answer."""
    offsets: int | None
    """How many offsets were read."""
    warnings: tuple[str, ...] = ()


def scanned_by(
    ids: Collection[PaymentId], since: datetime | None, until: datetime | None, services: Services
) -> Scanned:
    """The search, shown with its rate and the time left to a person who watches. Never raises Unreachable."""
    try:
        kafka = services.kafka
        wanted = scan_ranges(kafka, services.flow, since, until)
        with services.bar(wanted.offsets) as bar:
            bar.say("scanning")
            started = services.monotonic()
            result = scan(kafka, wanted, ids, bar.advance)
            seconds = services.monotonic() - started
    except KcfixError as error:
        return Scanned(None, None, (f"nothing was scanned: {error.message}",))
    offsets = sum(r.end - r.start for r in result.searched)
    rate = f", {offsets / seconds:,.0f} a second" if seconds > 0 else ""
    services.progress(f"scanned {offsets:,} offsets{rate}")
    return Scanned(result, offsets, tuple(f"not scanned: {tp}: {why}" for tp, why in sorted(result.failed.items())))

"""Whether a made-up payment may be written to the system that these settings mean."""

from __future__ import annotations

from kcfix.settings.fields import ADDRESSES, Settings, Source


def why_no_probe(settings: Settings) -> str | None:
    """Why no probe may be made here; None where one may.

    `probe = true` is about the system whose addresses stand beside it. A flag or a variable that names another address
    leads to a system of which nobody said that it may be tried on.
    """
    if not settings.probe:
        return (
            f"context {settings.context} does not say `probe = true`: no payment is made up in a system that is in use"
        )
    said = settings.origin("probe").where
    beside = False
    for name in ADDRESSES:
        origin = settings.origin(name)
        if origin.source is Source.DEFAULT:
            continue
        if origin.source is not Source.FILE or origin.where != said:
            return (
                f"{name} comes from {origin}, and `probe = true` stands in {said}: it is about the system named there"
            )
        beside = True
    return None if beside else f"`probe = true` stands in {said}, which names no system: brokers, dsn or project"

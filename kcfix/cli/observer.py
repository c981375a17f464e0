"""An observer of the systems of a run, for the commands that go on: `watch`, `monitor`."""

from __future__ import annotations

from kcfix.cli.observing import deadline
from kcfix.core.watching.observation import Observation
from kcfix.core.watching.observe import Observer, Places
from kcfix.services import Services


def observer_of(services: Services) -> Observer:
    """An observer of the systems that the settings name. Nothing is asked yet."""
    return Observer(
        Places(
            flow=services.flow,
            kafka=lambda: services.kafka,
            docker=lambda: services.docker,
            discovery=lambda: services.discovery,
            database=lambda: services.database,
            words=lambda: services.acknowledgements.read().by_payment,
            now=services.now,
            overdue=services.settings.overdue,
            deadline=deadline(services),
        )
    )


def look(observer: Observer, services: Services) -> Observation:
    """The next look. What was silent in it is opened anew for the look after it: servers come and go."""
    seen = observer.look()
    services.look_again([str(system) for system in seen.silent])
    return seen

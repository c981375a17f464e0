"""Rules about what lies around a worker: Redis, its network, other projects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from kcfix.core.doctor.diagnosis import Confidence, Evidence, EvidenceKind, Found, Need, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule
from kcfix.core.doctor.rules.configuration import DOCKER, compose_line, made_anew
from kcfix.core.doctor.rules.proof import lately, log_line, required, things_of, told, trouble_thing
from kcfix.core.doctor.troubles import Trouble


def redis_unset(examination: Examination) -> Iterator[Found]:
    """A worker lacks REDIS_URL and dies while it loads.

    The shared package opens its Redis client at once: an uncaught exception, exit 1 and no `Starting` line. A Redis
    that is merely unreachable stops only the cache-worker; purchases go on.
    """
    for worker in required(examination):
        lines = [t for t in told(examination, worker, all_lives=True) if t.trouble is Trouble.REDIS_UNSET]
        boxes = [c for c in worker.containers or () if not c.environment.get("REDIS_URL")]
        if lines and boxes and not worker.work.members:
            yield Found(
                symptom=f"{worker.stage.worker} can't start without REDIS_URL",
                cause=f"REDIS_URL is not set in the environment of {boxes[0].name}",
                evidence=(log_line(lines[-1].entry),),
                action=(compose_line(boxes[0], "REDIS_URL", "${REDIS_URL}"), *made_anew(examination, boxes[0])),
                about=(*things_of(worker), trouble_thing(Trouble.REDIS_UNSET)),
                since=boxes[0].created_at,
            )


def redis_silent(examination: Examination) -> Iterator[Found]:
    """A worker can't reach Redis.

    cache-worker ends and is started again and again; the others go on, with an error line a second that drowns the
    log. Free hosted instances are paused after some idle days. Purchases are unaffected; the app shows them up to five
    minutes late.
    """
    for worker in required(examination):
        lines = lately(examination, worker, frozenset({Trouble.REDIS_SILENT}))
        if lines:
            yield Found(
                symptom=f"{worker.stage.worker} can't reach Redis",
                cause=lines[-1].words[:250],
                evidence=(log_line(lines[-1].entry),),
                action=(f"kcfix logs {worker.stage.worker} --errors",),
                about=(*things_of(worker), trouble_thing(Trouble.REDIS_SILENT)),
                confidence=Confidence.LIKELY,
            )


def off_network(examination: Examination) -> Iterator[Found]:
    """A worker's container is not on the network of the others, so that it can't resolve their names.

    It finds neither `kafka` nor anything else by name (ENOTFOUND). It was disconnected, or started by `docker run`
    without the network.
    """
    shared = Counter(n for c in examination.containers if c.running for n in c.networks)
    usual = {n for n, count in shared.items() if count >= 2}
    for worker in required(examination):
        for box in worker.containers or ():
            if not box.running or not usual or usual & set(box.networks):
                continue
            network = shared.most_common(1)[0][0]
            yield Found(
                symptom=f"{box.name} is not on the network of the others",
                cause=f"it is on {', '.join(box.networks) or 'no network'}, the others are on {network}",
                evidence=(
                    Evidence(EvidenceKind.CONTAINER, f"{box.name}: networks {', '.join(box.networks) or 'none'}"),
                ),
                action=(
                    f"docker network connect --alias {worker.stage.worker} {network} {box.name}",
                    f"kcfix restart {worker.stage.worker}",
                ),
                about=(
                    *things_of(worker),
                    trouble_thing(Trouble.KAFKA_SILENT),
                    trouble_thing(Trouble.DATABASE_SILENT),
                ),
            )


def projects_alike(examination: Examination) -> Iterator[Found]:
    """Several Compose projects on this host have the same worker, and it is not said which one is meant.

    Nothing is discovered from them then, and changes are refused until `--project` or a context chooses.
    """
    found = examination.discovery.value
    if found is not None and found.alike:
        names = ", ".join(name or "(none)" for name in found.alike)
        yield Found(
            symptom=f"several Compose projects look alike: {names}",
            cause="each has containers of the same services",
            action=tuple(f"kcfix --project {name} doctor" for name in found.alike if name),
            about=tuple(Thing("project", name or "(none)") for name in found.alike),
        )


RULES = (
    Rule(
        "C005", Severity.ERROR, "REDIS_URL is not set", redis_unset, frozenset({Need.DOCKER, Need.LOGS}), modes=("52",)
    ),
    Rule("C006", Severity.CAUTION, "A worker can't reach Redis", redis_silent, frozenset({Need.LOGS}), modes=("52",)),
    Rule("C011", Severity.CAUTION, "Several projects look alike", projects_alike, DOCKER),
    Rule("C013", Severity.ERROR, "A worker is not on the system's network", off_network, DOCKER),
)

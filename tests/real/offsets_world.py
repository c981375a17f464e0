"""A worker without offsets, and a kcfix that dies right after a call of one of its systems."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kcfix.drill import groups
from kcfix.drill.engine import Engine
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import Drill
from tests.real.conftest import kafka
from tests.real.repair_world import WORKER

GROUP = "purchase-creation-workers"
TOPIC = "purchase-confirmed"


@pytest.fixture
def bare(system: Drill, engine: Engine) -> None:
    """The worker is stopped, its group has no committed offset, and of earlier tests no message is left in the log."""
    engine.stop(system, WORKER, grace_seconds=30)
    groups.wait_empty(system, GROUP)
    groups.forget(system, GROUP, TOPIC)
    with contextlib.closing(kafka.admin.KafkaAdminClient(**kafka_settings(system))) as admin:
        everything = {kafka.TopicPartition(TOPIC, p): -1 for p in range(3)}
        admin.delete_records(everything)


DYING = """
import os, signal, sys
from kcfix.main import main
from kcfix.services import Services

system, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
opener = getattr(Services, "_open_" + system)

class Dying:
    def __init__(self, port): self._port, self._left = port, count
    def __getattr__(self, wanted):
        real = getattr(self._port, wanted)
        if wanted != name: return real
        def call(*given, **named):
            result = real(*given, **named)
            self._left -= 1
            if not self._left: os.kill(os.getpid(), signal.SIGKILL)
            return result
        return call

setattr(Services, "_open_" + system, lambda services: Dying(opener(services)))
sys.exit(main(sys.argv[4:]))
"""


def die_after(port: str, call: str, count: int, system: Drill, folder: Path, *argv: str) -> None:
    """Run kcfix until the `count`th call of this method of this port has returned: then it dies by SIGKILL."""
    done = subprocess.run(
        [sys.executable, "-c", DYING, port, call, str(count), "-C", f"drill:{system.name}", *argv],
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()

"""Carries out the plan for one worker: stop, wait until its group is empty, pin, start, prove (docs/decisions.md 4).

Every step is journalled before its effect. Killed at any point, the next run plans from what it finds: a stopped
worker, some offsets committed, some not; what is committed protects, the rest is pinned then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from kcfix.core.journal import Recorder
from kcfix.core.judging.snapshot import Reading
from kcfix.core.move.committing import commit_offsets
from kcfix.core.move.pin import Pin
from kcfix.core.offsets import Group, PartitionLag
from kcfix.core.ports.database import DatabasePort
from kcfix.core.ports.docker import DockerPort
from kcfix.core.ports.kafka import KafkaPort
from kcfix.core.restart.plan import Plan, Way, plan_restart
from kcfix.core.restart.proof import Watching, gap_ranges, lost_in_gap, prove
from kcfix.core.restart.read import group_view, situation
from kcfix.core.restart.report import Outcome, Report
from kcfix.core.workers import Container, ContainerState
from kcfix.errors import KcfixError, OutcomeUnknown, Refused, Unreachable

GRACE = timedelta(seconds=30)
"""Between SIGTERM and SIGKILL: a killed worker leaves a ghost in its group for half a minute."""
EMPTY_WAIT = timedelta(seconds=45)
"""How long to wait for the group to lose its last member: a ghost stays about 26 s."""
EMPTY_POLL = timedelta(milliseconds=500)
SPEAK = timedelta(seconds=5)
SETTLE = timedelta(seconds=2)
"""After the proof, before the gap is read again: what the worker has in hand is not lost."""
DOING = {"stop": ("stopping", "stopped"), "start": ("starting", "started"), "restart": ("restarting", "restarted")}


class _Leave(Exception):
    """Ends the work on one worker; the report has all that is to be said."""


@dataclass
class Applying:
    """The work on one worker."""

    report: Report
    docker: Callable[[], DockerPort]
    kafka: Callable[[], KafkaPort]
    database: Callable[[], DatabasePort]
    journal: Recorder
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    progress: Callable[[str], None]
    wait: timedelta

    @property
    def _plan(self) -> Plan:
        return self.report.plan

    def run(self) -> None:
        """Do it. None of kcfix's own errors is raised: the report says what happened, also after an interruption."""
        try:
            match self._plan.way:
                case Way.RESTART | Way.START:
                    self._plainly()
                case Way.PIN:
                    self._with_pins()
                case Way.MISSING | Way.ELSEWHERE:
                    self._only_pins()
        except _Leave:
            pass
        except KcfixError as error:
            if self.report.changed:
                self._end(Outcome.STOPPED if self.report.stopped else Outcome.UNKNOWN, error.message, self._again)
            else:
                self.report.stopped = ()
                self.report.error, self.report.text = error, error.message
        except BaseException:
            if self.report.changed and self.report.outcome is Outcome.UNCHANGED:
                self._end(Outcome.STOPPED if self.report.stopped else Outcome.UNKNOWN, "cut short", self._again)
            raise

    # the ways

    def _plainly(self) -> None:
        docker = self.docker()
        since = docker.now()
        for box in self._plan.containers:
            if box in self._plan.stopping:
                self._change("restart", box, lambda c: docker.restart(c.id, grace=GRACE))
            else:
                self._start(box)
        self._prove(since, self._plan.view.lags if self._plan.view else (), ())

    def _with_pins(self) -> None:
        docker = self.docker()
        before = group_view(self.kafka(), self._plan.stage).lags
        for box in self._plan.stopping:
            self.report.stopped = (*self.report.stopped, box.name)
            self._change("stop", box, lambda c: docker.stop(c.id, grace=GRACE))
        if not self._became_empty():
            self._start_again()
        pins = self._read_pins()
        self._commit(pins)
        since = docker.now()
        self.report.stopped = tuple(c.name for c in self._plan.containers)
        for box in self._plan.containers:
            self._start(box)
        self._prove(since, before, pins)

    def _only_pins(self) -> None:
        if not self._became_empty():
            raise Refused(
                f"group {self._plan.stage.group} has members ({self._members()}): offsets can be committed only for an "
                "empty group",
                hint="stop that worker where it runs, then run this again",
            )
        pins = self._read_pins()
        self._commit(pins)
        if self.report.changed:
            self._end(Outcome.PINNED, "the offsets are set; the worker is not started")

    # steps with containers

    def _change(self, verb: str, box: Container, act: Callable[[Container], None]) -> None:
        """Journal, act, journal. The report counts the step from the moment that it may have had an effect."""
        doing, did = DOING[verb]
        step = self.journal.intend(
            {"step": verb, "container": box.name, "container_id": box.id, "worker": self.report.worker}
        )
        self.progress(f"{doing} {box.name}")
        self.report.steps.append(f"{verb} {box.name}: begun")
        failed: KcfixError | None = None
        try:
            act(box)
        except KcfixError as error:
            failed = error
        if failed is None or self._is_done(verb, box, failed):
            self.journal.done(step, {"ok": True})
            self.report.steps[-1] = f"{did} {box.name}"
            return
        unknown = isinstance(failed, OutcomeUnknown)
        self.journal.done(step, {"ok": None if unknown else False, "error": failed.message})
        self.report.steps[-1] = f"{verb} {box.name}: {failed.message}"
        self._not_done(verb, box, failed)

    def _is_done(self, verb: str, box: Container, failed: KcfixError) -> bool:
        """A time-out is not a failure: look whether it was done after all."""
        if not isinstance(failed, OutcomeUnknown):
            return False
        try:
            now = self.docker().inspect(box.id)
        except KcfixError:
            return False
        if verb == "stop":
            return now.state is ContainerState.EXITED
        return now.running and (verb == "start" or now.started_at != box.started_at)

    def _not_done(self, verb: str, box: Container, error: KcfixError) -> None:
        untouched = not isinstance(error, OutcomeUnknown) and self._stands_as_it_was(box)
        if untouched and len(self.report.steps) == 1 and verb != "start":
            self.report.steps.clear()
            raise type(error)(f"{box.name}: {verb} failed: {error.message}", hint=error.hint)
        if verb == "stop" and untouched:
            self.report.stopped = tuple(n for n in self.report.stopped if n != box.name)
        elif verb == "restart" and not untouched:
            self.report.stopped = (*self.report.stopped, box.name)
        outcome = Outcome.UNKNOWN if isinstance(error, OutcomeUnknown) else Outcome.STOPPED
        self._end(
            outcome, f"{box.name}: {verb} failed: {error.message}", f"docker logs --tail 20 {box.name}", self._again
        )
        raise _Leave

    def _stands_as_it_was(self, box: Container) -> bool:
        try:
            now = self.docker().inspect(box.id)
        except KcfixError:
            return False
        return (now.state, now.started_at) == (box.state, box.started_at)

    def _start(self, box: Container) -> None:
        self._change("start", box, lambda c: self.docker().start(c.id))
        self.report.stopped = tuple(n for n in self.report.stopped if n != box.name)

    # steps with the group

    def _became_empty(self) -> bool:
        """Whether the group has no member, waiting for it at most `EMPTY_WAIT`."""
        begun = spoken = self.monotonic()
        while True:
            group = self._group()
            passed = self.monotonic() - begun
            if group.is_empty:
                return True
            if passed >= EMPTY_WAIT.total_seconds():
                return False
            if self.monotonic() - spoken >= SPEAK.total_seconds():
                spoken = self.monotonic()
                self.progress(
                    f"waiting until group {group.group_id} is empty ({passed:.0f} s of {EMPTY_WAIT.seconds} s; "
                    "a member that was killed stays for half a minute)"
                )
            self.sleep(EMPTY_POLL.total_seconds())

    def _group(self) -> Group:
        group = self._plan.stage.group
        try:
            return self.kafka().groups([group])[group]
        except Unreachable as error:
            if self.report.changed:
                self._leave_stopped(f"whether group {group} is empty can't be told: {error.message}")
            raise

    def _members(self) -> str:
        return ", ".join(f"{m.client_id} at {m.host}" for m in self._group().members) or "unknown ones"

    def _start_again(self) -> None:
        who = self._members()
        for box in self._plan.stopping:
            self._start(box)
        self._end(
            Outcome.STARTED_AGAIN,
            f"group {self._plan.stage.group} was not empty after {EMPTY_WAIT.seconds} s ({who}), so nothing could be "
            f"committed and {self.report.worker} was started again as it was: messages that came meanwhile on a "
            "partition without a usable committed offset may have been skipped",
            self._again,
        )
        raise _Leave

    def _read_pins(self) -> tuple[Pin, ...]:
        """The pins as of now, with the group empty. Where they may not be committed the worker stays stopped."""
        self.progress("reading the messages that no committed offset protects")
        boxes = Reading(self._plan.containers)
        if self._plan.way is Way.ELSEWHERE:
            boxes = Reading.unknown("no answer")
        found = situation(self._plan.stage, boxes, (), self.kafka, self.database)
        now = plan_restart(found, accept_skip=self._plan.accept_skip)
        if now.refusal is not None:
            self._leave_stopped(now.refusal.reason, now.refusal.hint)
        self.report.pins = now.pins
        return now.pins

    def _commit(self, pins: tuple[Pin, ...]) -> None:
        commits = [pin.commit for pin in pins]
        failed = commit_offsets(self.kafka(), self._plan.stage.group, commits, self.journal, self.report.steps)
        if failed is not None:
            self._leave_stopped(failed)

    # endings

    @property
    def _again(self) -> str:
        return f"kcfix restart {self.report.worker}"

    def _end(self, outcome: Outcome, text: str, *hints: str) -> None:
        self.report.outcome, self.report.text, self.report.next = outcome, text, hints

    def _leave_stopped(self, why: str, hint: str | None = None) -> None:
        """End with the worker as it is now: stopped, because a start would skip messages for good."""
        if not self.report.changed:
            raise Refused(why, hint=hint)
        hints = [hint] if hint else []
        if self._plan.way is Way.PIN:
            self.report.stopped = tuple(c.name for c in self._plan.containers)
            self._end(Outcome.STOPPED, why, *hints, *([] if hint and self._again in hint else [self._again]))
        else:
            self._end(Outcome.PINNED, f"not all offsets are set: {why}", *hints)
        raise _Leave

    def _prove(self, since: datetime, before: tuple[PartitionLag, ...], pins: tuple[Pin, ...]) -> None:
        logs = f"kcfix logs {self.report.worker} -n 50"
        self._end(Outcome.UNPROVEN, "it was started; whether it works was not looked at to the end", logs)
        self.progress(f"started {self.report.worker}; watching until it works, at most {self.wait.seconds} s")
        watching = Watching(
            self._plan.stage, self.docker(), self.kafka, self.now, self.monotonic, self.sleep, self.progress
        )
        proof = prove(watching, [c.id for c in self._plan.containers], since, self.wait)
        self.report.proof = proof
        if proof.proven:
            self._end(Outcome(proof.work.state), "; ".join(proof.work.reasons))
        else:
            why = f"started, and not seen to work within {self.wait.seconds} s: {'; '.join(proof.missing)}"
            self._end(Outcome.UNPROVEN, why, logs)
        self._name_the_lost(before, pins)

    def _name_the_lost(self, before: tuple[PartitionLag, ...], pins: tuple[Pin, ...]) -> None:
        stage = self._plan.stage
        try:
            after = group_view(self.kafka(), stage).lags
            ranges = gap_ranges(pins, before or after, after)
            if ranges:
                self.sleep(SETTLE.total_seconds())
                after = group_view(self.kafka(), stage).lags
            lost = lost_in_gap(stage, ranges, after, self.kafka(), self.database) if ranges else ()
        except (Unreachable, Refused) as error:
            self.report.lost_error = error.message
            return
        skipped = [s for pin in pins for s in pin.passed if s.owed] if self._plan.loss else []
        self.report.lost = tuple({(s.partition, s.offset): s for s in (*skipped, *lost)}.values())

"""The drill's broker: Apache Kafka, one KRaft node, advertised as `kafka:9092` as the real one is; or three of them.

With three every partition lies on each of them, and any one of them can be down.

A second listener, `kafka:9094`, asks for a password as a managed broker would. Nothing uses it but the faults about it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from kcfix.drill import image
from kcfix.drill.cache import broker_jars
from kcfix.drill.engine import Bind, Engine, Spec
from kcfix.drill.image import Ground
from kcfix.drill.network import kafka_answers, kafka_settings
from kcfix.drill.state import KAFKA, Drill
from kcfix.errors import Unreachable
from kcfix.flow import Flow

PARTITIONS = 3
START_TIMEOUT_SECONDS = 60
SASL_ADDRESS = "kafka:9094"
SASL_USER = "workers"
"""Its password is the drill's own."""
_FOLDER = "/opt/drill-broker"

_PROPERTIES = """process.roles=broker,controller
node.id=%NUMBER%
controller.quorum.voters=%VOTERS%
listeners=PLAINTEXT://:9092,SASL_PLAINTEXT://:9094,CONTROLLER://%CONTROLLER%:9093
advertised.listeners=PLAINTEXT://%NAME%:9092,SASL_PLAINTEXT://%NAME%:9094
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\\
  org.apache.kafka.common.security.plain.PlainLoginModule required user_workers="%PASSWORD%";
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=/data/kafka/log
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=%REPLICAS%
min.insync.replicas=%IN_SYNC%
offsets.topic.replication.factor=%REPLICAS%
offsets.topic.num.partitions=50
transaction.state.log.replication.factor=%REPLICAS%
transaction.state.log.min.isr=%IN_SYNC%
log.retention.hours=168
log.segment.bytes=1073741824
offsets.retention.minutes=10080
group.initial.rebalance.delay.ms=0
"""

_START = """set -e
for folder in /opt/kafka/libs /usr/share/java/kafka; do [ -d "$folder" ] && libs="$folder" && break; done
java() { exec "${JAVA:-java}" -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -cp "$libs/*" \
  -Dorg.slf4j.simpleLogger.logFile=System.out -Dorg.slf4j.simpleLogger.showDateTime=true \
  "-Dorg.slf4j.simpleLogger.dateTimeFormat=[yyyy-MM-dd HH:mm:ss,SSS]" \
  -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.log.kafka=info \
  -Dorg.slf4j.simpleLogger.log.org.apache.kafka=info \
  -Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn \
  -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaConfig=warn \
  "$@"; }
if [ ! -f /data/kafka/log/meta.properties ]; then
  (java kafka.tools.StorageTool format -t "$CLUSTER_ID" -c /opt/drill-broker/server.properties)
fi
java kafka.Kafka /opt/drill-broker/server.properties
"""


def ground(engine: Engine, version: str, progress: Callable[[str], None]) -> Ground:
    """An image of Kafka where one can be had, else the jars from Maven on the host's Java."""
    names = [f"apache/kafka:{version}"]
    if version.startswith("3.5."):
        names.append("confluentinc/cp-kafka:7.5.0")
    found = image.pulled(engine, *names)
    if found is not None:
        return found
    jars = broker_jars(version, progress)
    java = image.program("java")
    home = str(Path(java).parent.parent)
    extra = [str(p) for p in sorted(Path("/etc").glob("java-*"))] + ([] if home.startswith("/usr/") else [home])
    base = image.host(engine, *extra)
    return Ground(base.image, (*base.binds, Bind(str(jars), "/opt/kafka/libs")), borrowed=True)


def write_files(drill: Drill) -> None:
    """Put the configuration of each broker into the data folder."""
    for service in drill.kafka_ports:
        at = drill.data_folder / service
        at.mkdir(exist_ok=True)
        at.chmod(0o755)
        for name, text in (("server.properties", properties(drill, service)), ("start.sh", _START)):
            (at / name).write_text(text, encoding="utf-8")
            (at / name).chmod(0o644)


def properties(drill: Drill, service: str = KAFKA) -> str:
    """The configuration of one of the brokers."""
    services = list(drill.kafka_ports)
    count, alone = len(services), len(services) == 1
    voters = ",".join(f"{number}@{name}:9093" for number, name in enumerate(services, start=1))
    values = {
        "PASSWORD": drill.password,
        "NUMBER": services.index(service) + 1,
        "NAME": service,
        "VOTERS": "1@127.0.0.1:9093" if alone else voters,
        "CONTROLLER": "127.0.0.1" if alone else "",
        "REPLICAS": count,
        "IN_SYNC": max(1, count - 1),
    }
    text = _PROPERTIES
    for name, value in values.items():
        text = text.replace(f"%{name}%", str(value))
    return text


def spec(drill: Drill, ground: Ground, labels: dict[str, str], service: str = KAFKA) -> Spec:
    """The container of one of the brokers."""
    environment = {"CLUSTER_ID": drill.cluster_id}
    if ground.borrowed:
        environment["JAVA"] = image.program("java")
    return Spec(
        service=service,
        image=ground.image,
        command=("/bin/sh", f"{_FOLDER}/start.sh"),
        user="1002:1002" if ground.borrowed else "0:0",
        environment=environment,
        binds=(*ground.binds, Bind(str(drill.data_folder / service), _FOLDER)),
        volume=(drill.volume(service), "/data/kafka"),
        port=(9092, drill.kafka_ports[service]),
        labels=labels,
        health=("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9092"),
    )


def wait_until_ready(drill: Drill, alive: Callable[[], None], timeout_seconds: float = START_TIMEOUT_SECONDS) -> None:
    """Return once every broker answers and every topic of the flow is there, as kafka-init makes them.

    `alive` is called between tries and raises where the container has ended.

    Raises:
        Unreachable: the broker does not answer in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while not all(kafka_answers(port) for port in drill.kafka_ports.values()):
        alive()
        if time.monotonic() > deadline:
            raise Unreachable(f"the drill's broker did not answer within {timeout_seconds:.0f} s", system="kafka")
        time.sleep(0.1)
    while True:
        try:
            return make_topics(drill)
        except KafkaError as error:
            alive()
            if time.monotonic() > deadline:
                raise Unreachable(f"making the drill's topics: {error!r}", system="kafka") from error
            time.sleep(0.3)


def make_topics(drill: Drill) -> None:
    """Make the topics of the flow that are not there.

    Raises:
        KafkaError: the broker did not; some may be there.
    """
    admin = KafkaAdminClient(**kafka_settings(drill), request_timeout_ms=10_000)
    try:
        there = set(admin.list_topics())
        missing = [t for t in Flow().topics if t not in there]
        if missing:
            replicas = len(drill.kafka_ports)
            admin.create_topics(
                [NewTopic(name, num_partitions=PARTITIONS, replication_factor=replicas) for name in missing]
            )
    except TopicAlreadyExistsError:
        pass
    finally:
        admin.close()

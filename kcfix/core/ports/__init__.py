"""What the core asks of Docker, Kafka and PostgreSQL, one file each.

Every call has a deadline that the adapter got from the settings. Every call may raise `Unreachable` (no answer, or
not in time: nothing is known) or `AccessDenied` (a right is missing). Only the calls under "changes" change anything.
"""

from __future__ import annotations

from kcfix.core.ports.database import (
    MOST_AT_ONCE,
    Behind,
    DatabaseIdentity,
    DatabasePort,
    DeleteOrder,
    DeleteRecheck,
    DeleteResult,
    DeleteState,
    HeldPurchase,
    Hold,
    IndexState,
    InsertOrder,
    InsertResult,
    InsertState,
    PaidPayment,
    PaymentPass,
    ProbeOrder,
    ProbesSeen,
    Recheck,
    SchemaFacts,
    StudentCourse,
)
from kcfix.core.ports.docker import DockerPort, Engine
from kcfix.core.ports.health import DatabaseHealth, LockWait, OpenTransaction, RoleFacts, StuckPayments
from kcfix.core.ports.kafka import (
    Broker,
    Cluster,
    KafkaPort,
    OffsetRange,
    PartitionInfo,
    Reach,
    SearchResult,
    SendResult,
    SendState,
    Topic,
    TopicConfig,
)

__all__ = [
    "MOST_AT_ONCE",
    "Behind",
    "Broker",
    "Cluster",
    "DatabaseHealth",
    "DatabaseIdentity",
    "DatabasePort",
    "DeleteOrder",
    "DeleteRecheck",
    "DeleteResult",
    "DeleteState",
    "DockerPort",
    "Engine",
    "HeldPurchase",
    "Hold",
    "IndexState",
    "InsertOrder",
    "InsertResult",
    "InsertState",
    "KafkaPort",
    "LockWait",
    "OffsetRange",
    "OpenTransaction",
    "PaidPayment",
    "PartitionInfo",
    "PaymentPass",
    "ProbeOrder",
    "ProbesSeen",
    "Reach",
    "Recheck",
    "RoleFacts",
    "SchemaFacts",
    "SearchResult",
    "SendResult",
    "SendState",
    "StuckPayments",
    "StudentCourse",
    "Topic",
    "TopicConfig",
]

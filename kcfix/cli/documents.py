"""The shapes of all JSON documents: docs/schemas is made from them, and the tests hold every document against them."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.cli.documents_certificate import CERTIFICATE
from kcfix.cli.documents_change import CHANGE
from kcfix.cli.documents_dlq import DLQ
from kcfix.cli.documents_doctor import DOCTOR
from kcfix.cli.documents_look import LOOK
from kcfix.cli.documents_offsets import OFFSETS
from kcfix.cli.documents_setup import SETUP
from kcfix.cli.documents_trace import TRACE
from kcfix.cli.documents_watch import WATCH
from kcfix.cli.shapes import Document

DOCUMENTS: Mapping[str, Document] = {
    **LOOK,
    **CERTIFICATE,
    **TRACE,
    **CHANGE,
    **OFFSETS,
    **DLQ,
    **DOCTOR,
    **SETUP,
    **WATCH,
}
"""By the name in the document's `schema`."""

"""One connection to one broker: address map, TCP, TLS, SASL, and requests with deadlines.

The address map leads a name that only resolves inside Docker to a port that this host can reach. It is used for
connecting only, so the process's resolver stays as it is, and TLS still checks the name that the broker advertises.
"""

from __future__ import annotations

import io
import socket
import struct
import threading
from collections.abc import Mapping
from typing import Any

from kcfix import __version__
from kcfix.adapters import kafka_protocol
from kcfix.adapters.kafka_address import Address, AddressMap, Deadline
from kcfix.adapters.kafka_errors import UNSUPPORTED_VERSION, LinkError, Trouble, error_name
from kcfix.adapters.kafka_security import Security

CONNECT_SECONDS = 3.0
MAX_ANSWER_BYTES = 256 * 1024 * 1024


def _resolve(address: Address, deadline: Deadline) -> list[Any]:
    """Addresses of a name, by a thread, because the C library's resolver knows no deadline."""
    found: list[Any] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failed.append(error if isinstance(error, OSError) else OSError(str(error)))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(deadline.left())
    if not found:
        detail = (
            "a name that this host can't resolve"
            if failed
            else f"no answer from the resolver in {deadline.seconds:g} s"
        )
        raise LinkError(Trouble.NAME, str(address), detail)
    return found


class Connection:
    """A connection to one broker. After an error it is closed and stays so."""

    def __init__(self, place: str, host: str, sock: socket.socket, client_id: str, security: Security) -> None:
        self.place = place
        self._host = host
        self._sock = sock
        self._security = security
        self._client_id = client_id
        self._correlation = 0
        self._waiting: dict[int, Any] = {}
        self._early: dict[int, Any] = {}
        self._unwanted: set[int] = set()
        self._versions: dict[int, tuple[int, int]] = {}
        self.requests = 0
        self.closed = False

    def ask(self, request: Any, deadline: Deadline) -> Any:
        """The answer to one request."""
        return self.receive(self.send(request, deadline), deadline)

    def send(self, request: Any, deadline: Deadline) -> int:
        """Send a request. Its number is for `receive`, which takes the answer, or `forget`, which lets it go."""
        if self.closed:
            raise LinkError(Trouble.CLOSED, self.place)
        if request.API_VERSION is None:
            request.API_VERSION = self._version(request)
        self._correlation += 1
        request.with_header(correlation_id=self._correlation, client_id=self._client_id)
        frame = request.encode(framed=True, header=True)
        number = self._correlation
        self._waiting[number] = request.header
        self.requests += 1
        try:
            self._sock.settimeout(self._left(deadline))
            self._sock.sendall(frame)
        except OSError as error:
            raise self._broken(error, deadline) from error
        return number

    def receive(self, number: int, deadline: Deadline) -> Any:
        """The answer to the request with this number; those to requests before it are kept until they are asked for."""
        while number not in self._early:
            if self.closed or number not in self._waiting:
                raise LinkError(Trouble.CLOSED, self.place, sent=True)
            oldest = next(iter(self._waiting))
            answer = self._next_answer(self._waiting.pop(oldest), deadline)
            if oldest in self._unwanted:
                self._unwanted.discard(oldest)
            else:
                self._early[oldest] = answer
        return self._early.pop(number)

    def forget(self, number: int) -> None:
        """The answer to this request is of no use any more."""
        self._early.pop(number, None)
        if number in self._waiting:
            self._unwanted.add(number)

    def _next_answer(self, header: Any, deadline: Deadline) -> Any:
        size = struct.unpack(">i", self._take(4, deadline))[0]
        if not 4 <= size <= MAX_ANSWER_BYTES:
            self.close()
            raise LinkError(Trouble.PROTOCOL, self.place, sent=True)
        frame = self._take(size, deadline)
        kind = header.get_response_class()
        try:
            stream = io.BytesIO(frame)
            number = kind.parse_header(stream).correlation_id
            answer = kind.decode(memoryview(frame)[stream.tell() :])
        except (ValueError, IndexError, struct.error, TypeError, KeyError) as error:
            self.close()
            raise LinkError(
                Trouble.PROTOCOL, self.place, f"an answer that can't be read ({error})", sent=True
            ) from error
        if number != header.correlation_id:
            self.close()
            raise LinkError(Trouble.PROTOCOL, self.place, "the answer to another question", sent=True)
        return answer

    def close(self) -> None:
        self.closed = True
        self._waiting.clear()
        self._early.clear()
        self._unwanted.clear()
        self._sock.close()

    @property
    def versions(self) -> Mapping[int, tuple[int, int]]:
        """Oldest and newest version of each request, by its number, that the broker knows."""
        return self._versions

    def supports(self, request_class: Any, version: int) -> bool:
        """Whether broker and library both know this version of the request."""
        low, high = self._versions.get(request_class.API_KEY, (0, -1))
        return bool(low <= version <= min(high, request_class.max_version))

    def _version(self, request: Any) -> int:
        low, high = self._versions.get(request.API_KEY, (0, -1))
        highest = request.max_version if request._max_version is None else request._max_version
        version = min(high, highest)
        if version < max(low, request._min_version or 0):
            raise LinkError(Trouble.PROTOCOL, self.place, f"this broker's version does not know {request.name}")
        return int(version)

    def _left(self, deadline: Deadline) -> float:
        left = deadline.left()
        if left == 0.0:
            raise TimeoutError
        return left

    def _take(self, size: int, deadline: Deadline) -> bytearray:
        frame = bytearray(size)
        view = memoryview(frame)
        while view:
            try:
                self._sock.settimeout(self._left(deadline))
                count = self._sock.recv_into(view)
            except OSError as error:
                raise self._broken(error, deadline) from error
            if count == 0:
                self.close()
                raise LinkError(
                    Trouble.CLOSED, self.place, "the broker closed the connection without an answer", sent=True
                )
            view = view[count:]
        return frame

    def _broken(self, error: OSError, deadline: Deadline) -> LinkError:
        self.close()
        if isinstance(error, TimeoutError):
            detail = f"connected, but no answer within {deadline.seconds:.3g} s"
            return LinkError(Trouble.ANSWER_TIMEOUT, self.place, detail, sent=True)
        if self._security.tls and self.requests <= 1 and not isinstance(error, ConnectionError):
            # With TLS 1.3 a broker that does not take the client's certificate says so only now.
            return self._security.failure(error, self.place, self._host)
        return LinkError(Trouble.CLOSED, self.place, f"the connection broke ({error.strerror or error})", sent=True)

    def greet(self, deadline: Deadline) -> None:
        """Learn what the broker can do, and log in where the settings say so."""
        name = {"client_software_name": "kcfix", "client_software_version": __version__}
        answer = self.ask(kafka_protocol.ApiVersionsRequest(version=3, **name), deadline)
        if answer.error_code == UNSUPPORTED_VERSION:
            answer = self.ask(kafka_protocol.ApiVersionsRequest(version=0), deadline)
        if answer.error_code:
            raise LinkError(
                Trouble.PROTOCOL, self.place, f"the broker answered {error_name(answer.error_code)}", sent=True
            )
        self._versions = {key.api_key: (key.min_version, key.max_version) for key in answer.api_keys}
        if self._security.logs_in:
            self._log_in(deadline)

    def _log_in(self, deadline: Deadline) -> None:
        wanted = self._security.mechanism
        mechanism = self._security.sasl(self._host)
        hello = self.ask(kafka_protocol.SaslHandshakeRequest(mechanism=wanted, max_version=1), deadline)
        if hello.error_code:
            offered = ", ".join(hello.mechanisms) or "none"
            detail = f"the broker does not take SASL {wanted} (it offers: {offered})"
            raise LinkError(Trouble.LOGIN, self.place, detail, sent=True)
        while not mechanism.is_done():
            answer = self.ask(kafka_protocol.SaslAuthenticateRequest(auth_bytes=mechanism.auth_bytes()), deadline)
            if answer.error_code:
                user = self._security.user
                detail = f"the broker refused the login of {user} by SASL {wanted} ({error_name(answer.error_code)})"
                raise LinkError(Trouble.LOGIN, self.place, detail, sent=True)
            try:
                mechanism.receive(bytes(answer.auth_bytes))
            except (ValueError, KeyError) as error:
                # In SCRAM the broker proves that it knows the password, too.
                detail = f"the broker did not prove itself in SASL {wanted} ({error})"
                raise LinkError(Trouble.PROTOCOL, self.place, detail, sent=True) from error


def connect(address: Address, map_: AddressMap, security: Security, client_id: str, deadline: Deadline) -> Connection:
    """A connection that is ready for requests.

    Raises:
        LinkError: with what failed: name, port, TLS, login or the answer.
        UsageError: the security settings can't be used.
    """
    target = map_.lead(address)
    place = str(address) if target == address else f"{address} (here {target})"
    sock = _open(target, place, deadline)
    connection: Connection | None = None
    try:
        if security.tls:
            sock = _wrap(sock, address.host, place, security, deadline)
        connection = Connection(place, address.host, sock, client_id, security)
        connection.greet(deadline)
    except BaseException:
        sock.close()
        raise
    return connection


def _open(target: Address, place: str, deadline: Deadline) -> socket.socket:
    try:
        found = _resolve(target, deadline)
    except LinkError as error:
        raise LinkError(error.trouble, place, error.detail) from error
    limit = deadline.left(CONNECT_SECONDS)
    trouble = LinkError(Trouble.CONNECT_TIMEOUT, place)
    for family, kind, protocol, _, where in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(deadline.left(CONNECT_SECONDS) or 0.001)
            sock.connect(where)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            if isinstance(error, TimeoutError):
                trouble = LinkError(Trouble.CONNECT_TIMEOUT, place, f"no connection within {limit:.2g} s")
            elif isinstance(error, ConnectionRefusedError):
                trouble = LinkError(Trouble.REFUSED, place)
            else:
                trouble = LinkError(Trouble.NO_ROUTE, place, f"no connection ({error.strerror or error})")
        else:
            return sock
    raise trouble


def _wrap(sock: socket.socket, host: str, place: str, security: Security, deadline: Deadline) -> socket.socket:
    context = security.context()
    try:
        sock.settimeout(deadline.left() or 0.001)
        wrapped: socket.socket = context.wrap_socket(sock, server_hostname=host)
    except TimeoutError as error:
        detail = f"connected, but no TLS handshake within {deadline.seconds:.3g} s"
        raise LinkError(Trouble.ANSWER_TIMEOUT, place, detail) from error
    except (OSError, ValueError) as error:
        raise security.failure(error, place, host) from error
    return wrapped

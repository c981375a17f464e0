"""From what a flag, a variable or a file says to the value of a setting. A BadValue says what is wrong with it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from kcfix.core.setup.security import unknown_option
from kcfix.core.times import parse_duration

Environ = Mapping[str, str]


NONE = "none"
"""In the place of a host: there is none."""


class BadValue(ValueError):
    """The value of a setting can't be understood; the text says what it must be."""


def parse_text(value: object, environ: Environ) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise BadValue("must be a text that is not empty")
    return value.strip()


def parse_bool(value: object, environ: Environ) -> bool:
    """True or false, also as a text."""
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    found = words.get(str(value).strip().lower())
    if found is None:
        raise BadValue("must be true or false")
    return found


def parse_seconds(value: object, environ: Environ) -> timedelta:
    """A duration above zero: a number of seconds, or a text such as `10s` or `1m30s`."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadValue("must be a number of seconds or a duration such as 10s")
    duration = parse_duration(value) if isinstance(value, str) else timedelta(seconds=value)
    if duration <= timedelta(0):
        raise BadValue("must be longer than zero")
    return duration


def parse_path(value: object, environ: Environ) -> Path:
    """A path; `~` is the home folder."""
    text = parse_text(value, environ)
    home = environ.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        return Path(home) / text[2:]
    return Path(text)


def _items(value: object) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return [part for item in value for part in _items(item)]
    raise BadValue("must be a text or a list of texts")


def parse_hosts(value: object, environ: Environ) -> str:
    """Names or URLs, with commas between several of them."""
    found = tuple(dict.fromkeys(_items(value)))
    if not found:
        raise BadValue("must be a text that is not empty, or a list of such")
    if NONE in found and len(found) > 1:
        raise BadValue(f"is {NONE!r}, or names hosts, and not both")
    return ",".join(found)


def checked_address(text: str, *, default_port: int | None = None) -> str:
    """`host:port` with a port that can be one; IPv6 hosts stand in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        if default_port is None:
            raise BadValue(f"{text!r} is not of the form host:port")
        return f"{text}:{default_port}"
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise BadValue(f"{text!r} is not of the form host:port")
    if ":" in host and not host.startswith("["):
        raise BadValue(f"{text!r} is not of the form host:port; an IPv6 address stands in brackets")
    return f"{host}:{int(port)}"


def parse_listen(value: object, environ: Environ) -> str:
    """Where to listen, `host:port`; a port alone is one of the loopback. Port 0 is any that is free."""
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    host, colon, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535 or bool(colon) is not bool(host):
        raise BadValue(f"{text!r} is neither a port nor of the form host:port")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise BadValue(f"{text!r} is not of the form host:port; an IPv6 address stands in brackets")
    return f"{host or '127.0.0.1'}:{int(port)}"


def parse_brokers(value: object, environ: Environ) -> tuple[str, ...]:
    """Bootstrap servers; a missing port is 9092."""
    return tuple(checked_address(item, default_port=9092) for item in _items(value))


def parse_address_map(value: object, environ: Environ) -> Mapping[str, str]:
    """A map from addresses to addresses: a table, or `from=to` items."""
    if isinstance(value, Mapping):
        pairs = [(str(k), v) for k, v in value.items()]
    else:
        pairs = []
        for item in _items(value):
            before, equals, after = item.partition("=")
            if not equals:
                raise BadValue(f"{item!r} is not of the form host:port=host:port")
            pairs.append((before.strip(), after.strip()))
    mapping: dict[str, str] = {}
    for before, after in pairs:
        if not isinstance(after, str):
            raise BadValue(f"{before!r} must map to a text")
        # Without ports it is the host that is mapped, whatever the port.
        if ":" in before:
            mapping[checked_address(before)] = checked_address(after)
        elif before and after:
            mapping[before] = after
        else:
            raise BadValue("an address is empty")
    return mapping


def parse_security(value: object, environ: Environ) -> Mapping[str, object]:
    """A table of the Kafka client's security options. Whether they go together is asked when they are used."""
    if not isinstance(value, Mapping):
        raise BadValue("must be a table")
    options: dict[str, object] = {}
    for key, given in value.items():
        problem = unknown_option(str(key))
        if problem is not None:
            raise BadValue(problem)
        if key == "ssl_check_hostname":
            options[key] = parse_bool(given, environ)
        elif not isinstance(given, str) or not given:
            raise BadValue(f"{key} must be a text that is not empty")
        else:
            options[str(key)] = given
    return options


def parse_command(value: object, environ: Environ) -> tuple[str, ...]:
    """The words of a command: a list of texts, or one text in which a shell's quotes hold words together."""
    if isinstance(value, str):
        try:
            words = shlex.split(value)
        except ValueError:
            raise BadValue("a quote is not closed") from None
    elif isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        words = [str(word) for word in value]
    else:
        raise BadValue("must be a text or a list of texts")
    if not words or not words[0]:
        raise BadValue("must name a command")
    return tuple(words)


def parse_names(value: object, environ: Environ) -> Mapping[str, object]:
    """A table of names, as `kcfix.flow.Flow.named` takes it."""
    if not isinstance(value, Mapping):
        raise BadValue("must be a table")
    return dict(value)

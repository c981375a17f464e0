"""PostgreSQL over TLS: authorities, names, client certificates, and what is said of each thing that does not fit."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from kcfix.errors import AccessDenied, KcfixError, Unreachable
from tests.fakes_database import FakeDatabase, payment_id
from tests.real.certificates import KEY_PASSWORD, Authority, Pair
from tests.real.pooler import pooler
from tests.real.postgres_server import PASSWORD, SUPERUSER, Server
from tests.real.postgres_world import PostgresWorld, server_with_shapes
from tests.real.secure_broker import server_certificates

ADMITS = (
    "hostssl all shown all cert",
    "hostnossl all walled all reject",
    "hostssl all walled all scram-sha-256",
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def shown(authority: Authority) -> dict[str, Pair]:
    made = server_certificates(authority)
    time.sleep(1)  # until the expired one has expired
    return made


@pytest.fixture(scope="module")
def postgres(authority: Authority, shown: dict[str, Pair]) -> Iterator[Server]:
    good = shown["good"]
    tls = {"ssl_cert_file": good.certificate, "ssl_key_file": good.key, "ssl_ca_file": authority.certificate}
    with server_with_shapes(tls, admits=ADMITS) as started:
        yield started


@pytest.fixture
def world(postgres: Server) -> Iterator[PostgresWorld]:
    made = PostgresWorld(postgres)
    made.fill(FakeDatabase())
    yield made
    made.close()


def whole(world: PostgresWorld, dsn: str, **more: str) -> None:
    """Ask and read, on a connection that is encrypted."""
    with closing(world.again(dsn, payments_dsn=more.get("payments_dsn"))) as database:
        assert database.identity().name == world.name
        assert database.facts([payment_id(1)])[payment_id(1)].payment is None
        rows = world.asked(
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
            "WHERE application_name = 'kcfix test'"
        )
        assert rows == [(True,)]


def failure(world: PostgresWorld, dsn: str) -> KcfixError:
    with closing(world.again(dsn)) as database, pytest.raises(KcfixError) as caught:
        database.identity()
    told = f"{caught.value.message} {caught.value.hint}"
    assert PASSWORD not in told
    assert KEY_PASSWORD not in told
    return caught.value


Word = str | Path


def dsn(world: PostgresWorld, *, host: Word = "localhost", user: Word = SUPERUSER, **options: Word) -> str:
    query = urlencode({name: str(value) for name, value in options.items()})
    return f"postgresql://{user}:{PASSWORD}@{host}:{world.server.port}/{world.name}?{query}"


# what works


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_tls_with_an_authority_of_ones_own(world: PostgresWorld, authority: Authority, mode: str) -> None:
    whole(world, dsn(world, sslmode=mode, sslrootcert=authority.certificate))


def test_tls_without_a_check(world: PostgresWorld) -> None:
    whole(world, dsn(world, sslmode="require"))


def test_a_client_certificate_in_place_of_a_password(world: PostgresWorld, authority: Authority) -> None:
    client = _client(world, authority)
    whole(world, dsn(world, user="shown", sslmode="verify-full", sslrootcert=authority.certificate, **client))


def test_a_key_under_a_password(world: PostgresWorld, authority: Authority) -> None:
    client = _client(world, authority)
    locked = authority.locked(Pair(client["sslcert"], client["sslkey"]))
    locked.chmod(0o600)
    options: dict[str, Word] = {**client, "sslkey": locked, "sslpassword": KEY_PASSWORD}
    whole(world, dsn(world, user="shown", sslmode="require", **options))


def test_payments_in_another_database(world: PostgresWorld, authority: Authority) -> None:
    tls: dict[str, Word] = {"sslmode": "verify-full", "sslrootcert": authority.certificate}
    elsewhere = PostgresWorld(world.server)
    elsewhere.fill(FakeDatabase())
    world.execute("DROP TABLE payments CASCADE")
    whole(world, dsn(world, **tls), payments_dsn=dsn(elsewhere, **tls))
    elsewhere.close()


@pytest.mark.parametrize("to", ["127.0.0.1", "localhost"])
def test_the_name_that_is_checked_is_the_one_in_the_dsn(
    world: PostgresWorld, authority: Authority, shown: dict[str, Pair], to: str
) -> None:
    """Where an address map leads elsewhere, by address or by name."""
    asked = dsn(world, host="kafka.example.com", sslmode="verify-full", sslrootcert=authority.certificate)
    port = world.server.port
    with _shows(world.server, shown["other"]):
        mapped = world.again(asked, address_map={f"kafka.example.com:{port}": f"{to}:{port}"})
        with closing(mapped):
            assert mapped.identity().name == world.name


def test_tls_to_a_pooler(world: PostgresWorld, authority: Authority, shown: dict[str, Pair], tmp_path: Path) -> None:
    with pooler(world.server, tmp_path, shown["good"]) as pooled:
        trusted = f"?sslmode=verify-full&sslrootcert={authority.certificate}"
        with closing(world.again(pooled.dsn(world.name, more=trusted))) as database:
            assert database.identity().name == world.name
        error = failure(world, pooled.dsn(world.name, more="?sslmode=disable"))
        assert "without TLS" in error.message


# what is said of what does not


def test_an_authority_that_is_not_trusted(world: PostgresWorld, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    error = failure(world, dsn(world, sslmode="verify-ca", sslrootcert=stranger.certificate))
    assert isinstance(error, Unreachable)
    assert "its certificate is not trusted: its authority is not known here" in error.message
    assert "sslrootcert" in str(error.hint)


def test_a_file_of_authorities_that_is_not_there(world: PostgresWorld) -> None:
    error = failure(world, dsn(world, sslmode="verify-full", sslrootcert="/no/such/ca.pem"))
    assert "(sslrootcert) is not there" in error.message


def test_a_certificate_of_another_name(world: PostgresWorld, authority: Authority, shown: dict[str, Pair]) -> None:
    with _shows(world.server, shown["other"]):
        error = failure(world, dsn(world, sslmode="verify-full", sslrootcert=authority.certificate))
        assert "its certificate is for another name" in error.message
        whole(world, dsn(world, sslmode="verify-ca", sslrootcert=authority.certificate))


def test_a_certificate_that_has_expired(world: PostgresWorld, authority: Authority, shown: dict[str, Pair]) -> None:
    with _shows(world.server, shown["expired"]):
        error = failure(world, dsn(world, sslmode="verify-full", sslrootcert=authority.certificate))
    assert "its certificate is not trusted: it has expired" in error.message


def test_a_client_certificate_that_is_demanded(world: PostgresWorld, authority: Authority) -> None:
    _client(world, authority)
    error = failure(world, dsn(world, user="shown", sslmode="require"))
    assert isinstance(error, AccessDenied)
    assert "it demands a client certificate for this user" in error.message
    assert "sslcert" in str(error.hint)


def test_a_client_certificate_of_another_authority(world: PostgresWorld, authority: Authority, tmp_path: Path) -> None:
    _client(world, authority)
    client = Authority(tmp_path, "stranger").issue("shown")
    client.key.chmod(0o600)
    options = {"sslcert": client.certificate, "sslkey": client.key}
    error = failure(world, dsn(world, user="shown", sslmode="require", **options))
    assert isinstance(error, AccessDenied)
    assert "client certificate" in error.message


def test_a_key_that_others_may_read(world: PostgresWorld, authority: Authority, tmp_path: Path) -> None:
    client = _client(world, authority)
    key = tmp_path / "open.key"
    key.write_bytes(client["sslkey"].read_bytes())
    key.chmod(0o644)
    error = failure(world, dsn(world, user="shown", sslmode="require", **{**client, "sslkey": key}))
    assert "the client's private key (sslkey) can't be used" in error.message


def test_a_server_that_wants_tls(world: PostgresWorld) -> None:
    world.add_user("walled")
    error = failure(world, dsn(world, user="walled", sslmode="disable"))
    assert isinstance(error, AccessDenied)
    assert "without TLS" in error.message
    assert "sslmode" in str(error.hint)


def _client(world: PostgresWorld, authority: Authority) -> dict[str, Path]:
    """A certificate for the user who is to show one."""
    world.add_user("shown")
    made = authority.issue("shown")
    made.key.chmod(0o600)
    return {"sslcert": made.certificate, "sslkey": made.key}


@contextmanager
def _shows(server: Server, pair: Pair) -> Iterator[None]:
    """The server shows another certificate meanwhile."""
    files = {"server.pem": pair.certificate, "server.key": pair.key}
    before = {name: (server.folder / name).read_bytes() for name in files}
    _reload(server, {name: path.read_bytes() for name, path in files.items()})
    try:
        yield
    finally:
        _reload(server, before)


def _reload(server: Server, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (server.folder / name).write_bytes(content)
    with server.connect() as connection:
        before = connection.execute("SELECT pg_conf_load_time()").fetchone()
        connection.execute("SELECT pg_reload_conf()")
        while connection.execute("SELECT pg_conf_load_time()").fetchone() == before:
            time.sleep(0.05)

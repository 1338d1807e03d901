"""What tests of several modules are given: a registry, a disk, a database of their own."""

import contextlib
import gc
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

import pytest
from nursery import Nursery

# Of the package, fixtures import what they use themselves: the process that only hands the tests to
# others would import TensorFlow before they can begin.

PASSWORD = "s3cret:@/%{x}"  # All that an address has to write in another way.


def pytest_collection_finish(session):
    """Has no collection of garbage look again at what was imported: that took a sixth of all."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """The built-in models and no others, whatever a test or a docstring has registered before."""
    from kerastrain import models

    built_in = {k: v for k, v in models._builders.items() if v in models._BUILT_IN}
    monkeypatch.setattr(models, "_builders", built_in)


@pytest.fixture(autouse=True)
def settles_at_once(monkeypatch):
    """Two who begin at the same moment have a test of their own."""
    from kerastrain import _run_lock

    monkeypatch.setattr(_run_lock, "_SETTLING", 0.0)


@pytest.fixture
def short_calls(monkeypatch):
    """Lets a call run three batches of the nine that an epoch has."""
    from kerastrain import engine

    monkeypatch.setattr(engine, "_steps_a_call", lambda seconds, steps: 3)


@pytest.fixture
def folder(tmp_path):
    """A run's, which isn't there yet."""
    return tmp_path / "run"


@pytest.fixture(scope="session")
def nursery():
    """Starts Python processes, which have TensorFlow already where the system is Linux."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        yield subprocess.Popen
        return
    nursery = Nursery()
    yield nursery.popen
    nursery.close()


@pytest.fixture
def starts_at_once(nursery, monkeypatch):
    """Has the package start its processes in the nursery."""
    monkeypatch.setattr(subprocess, "Popen", nursery)


@pytest.fixture(scope="session")
def postgres_server():
    """Yields a function that makes a new, empty database and returns its address.

    The server is private: in a folder of its own, on a socket within that, without a port, and with
    a password. It skips the test where Debian's PostgreSQL, or its driver psycopg2, is missing.
    """
    psycopg2 = pytest.importorskip("psycopg2", reason="PostgreSQL needs psycopg2-binary")
    programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("Debian's PostgreSQL is not installed")
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="ktr-pg-"))  # Short, as a socket's path is.
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        owner = _other_than_root(folder)
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        run = programs[-1].parent
        subprocess.run(
            [
                *(run / "initdb", "-D", folder / "data", "-U", "ktr", "--no-sync"),
                *("-E", "UTF8", "--locale=C"),
                *("--auth=scram-sha-256", f"--pwfile={folder / 'password'}"),
            ],
            check=True,
            capture_output=True,
            **owner,
        )
        log = stack.enter_context(open(folder / "log", "wb"))
        settings = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off"}
        server = subprocess.Popen(
            [
                *(run / "postgres", "-D", folder / "data"),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            stdout=log,
            stderr=log,
            **owner,
        )
        stack.callback(server.wait)
        stack.callback(server.send_signal, signal.SIGINT)  # Which waits for no connection.
        names = iter(f"database_{number}" for number in range(10**6))

        def new_database():
            name = next(names)
            with contextlib.closing(_connected(psycopg2, server, folder)) as connection:
                connection.autocommit = True
                connection.cursor().execute(f"CREATE DATABASE {name}")
            password = urllib.parse.quote(PASSWORD, safe="")
            return f"postgresql://ktr:{password}@/{name}?host={folder}"

        yield new_database


@pytest.fixture
def postgres(postgres_server):
    """The address of a new, empty database; see `postgres_server`."""
    return postgres_server()


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "none", folder]
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk takes the rights to do so")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _other_than_root(folder):
    """Gives a folder to a user as whom PostgreSQL runs; returns what `Popen` takes for that."""
    if os.getuid() != 0:
        return {}
    shutil.chown(folder, "postgres", "postgres")
    return {"user": "postgres", "group": "postgres", "extra_groups": [], "cwd": folder}


def _connected(psycopg2, server, folder):
    """Connects, as soon as the server listens."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return psycopg2.connect(
                host=str(folder), user="ktr", password=PASSWORD, dbname="postgres"
            )
        except psycopg2.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)

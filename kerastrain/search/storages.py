"""Where the trials of a search are kept: in memory, a file or a database, by Optuna."""

import contextlib
import importlib.util
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import optuna
import sqlalchemy

from kerastrain._checks import invalid, show

_JOURNALS = (".journal", ".log")
_SQLITES = (".db", ".sqlite", ".sqlite3")
_DRIVERS = {"psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
_PASSWORDS = ("password", "passwd", "sslpassword")  # As an address may have them behind a "?".
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)  # s


def storage_of(storage: Any) -> Any:
    """Returns one of Optuna's storages.

    Args:
        storage: `None` for memory; a path that ends in ".journal" or ".log" (a file to which
            processes append), or in ".db", ".sqlite" or ".sqlite3"; the address of a database,
            such as "postgresql://host/name"; or a storage of Optuna's.
    """
    if storage is None or isinstance(storage, optuna.storages.BaseStorage):
        return storage
    must = (
        "be None, a path ending in '.journal', '.log', '.db', '.sqlite' or '.sqlite3', the address "
        "of a database or one of Optuna's storages"
    )
    address = os.fspath(storage) if isinstance(storage, str | os.PathLike) else storage
    if not isinstance(address, str):
        received = f"storage={show(storage)}"
        raise invalid("search", "storage", must, received, kind=TypeError)
    if "://" in address:
        return _database(_url_of(address), address)
    address = os.path.expanduser(address)
    path = pathlib.Path(address)
    if path.suffix not in (*_JOURNALS, *_SQLITES):
        raise invalid("search", "storage", must, f"storage={address!r}")
    with reached(address):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in _JOURNALS:
            return _journal(address)
    return _database(sqlalchemy.URL.create("sqlite", database=address), address)


@contextlib.contextmanager
def connected(storage: Any) -> Iterator[Any]:
    """Opens what was passed as `storage`, and closes what it opened; see `storage_of`."""
    opened = storage_of(storage)
    try:
        yield opened
    finally:
        if opened is not storage:
            opened.remove_session()
        if opened is not storage and isinstance(opened, optuna.storages.RDBStorage):
            opened.engine.dispose()


@contextlib.contextmanager
def reached(storage: Any) -> Iterator[None]:
    """Words what goes wrong where a storage is asked for the first time."""
    try:
        yield
    except ImportError as error:
        module = str(getattr(error.__cause__ or error, "name", None))
        raise ImportError(
            f"`search(storage={_shown(storage)!r})` needs {module}, which is not installed. "
            f"Install it with: pip install {_DRIVERS.get(module, module)}"
        ) from error
    except (
        OSError,
        optuna.exceptions.StorageInternalError,
        sqlalchemy.exc.SQLAlchemyError,
    ) as error:
        lines = str(error.__cause__ or error).strip().splitlines() or ["no reason given"]
        received = f"storage={_shown(storage)!r} ({type(error).__name__}: {lines[0]})"
        raise invalid("search", "storage", "be one that can be reached", received) from error


def _journal(path: str) -> Any:
    try:
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(path))
    except (KeyError, TypeError, ValueError) as error:  # Whatever Optuna meets in another's file.
        must = "be a journal of Optuna's, or a file that isn't there yet"
        raise invalid("search", "storage", must, f"storage={path!r}") from error


def _database(url: sqlalchemy.URL, address: str) -> Any:
    is_file = url.drivername.startswith("sqlite")
    # Several processes may write to a file, and each waits for the other; a server may have closed
    # a connection that was idle while a model trained.
    options = {"connect_args": {"timeout": 60}} if is_file else {"pool_pre_ping": True}
    # Optuna takes braces for places to fill in.
    text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    with reached(address):
        for pause in _PAUSES:
            try:
                return optuna.storages.RDBStorage(text, engine_kwargs=options)
            except sqlalchemy.exc.SQLAlchemyError as error:
                # Processes that begin together all make the tables, and all but one fail.
                is_there = isinstance(error, sqlalchemy.exc.IntegrityError)
                if not is_there and "already exists" not in str(error):
                    raise
                time.sleep(pause)
        return optuna.storages.RDBStorage(text, engine_kwargs=options)


def _url_of(address: str) -> sqlalchemy.URL:
    url = _parsed(address)
    if url is None:
        must = (
            "be an address such as 'postgresql://user:password@host/name', with '@' and ':' in a "
            "password as '%40' and '%3A'"
        )
        raise invalid("search", "storage", must, f"storage={_shown(address)!r}")
    # Which driver is meant where none is named has changed with SQLAlchemy 2.1.
    has_psycopg2, has_psycopg = map(importlib.util.find_spec, ("psycopg2", "psycopg"))
    driver = "psycopg2" if has_psycopg2 or not has_psycopg else "psycopg"
    is_open = url.drivername == "postgresql"
    return url.set(drivername=f"postgresql+{driver}") if is_open else url


def _shown(storage: Any) -> str:
    """Returns a storage as an error may show it: an address without its password."""
    text = str(storage)
    if "://" not in text:
        return text
    url = _parsed(text)
    if url is None:
        return f"{text.partition('://')[0]}://…"
    return url.difference_update_query(_PASSWORDS).render_as_string(hide_password=True)


def _parsed(address: str) -> sqlalchemy.URL | None:
    """Returns an address in its parts; `None` if it is none, or has an "@" in its password."""
    try:
        url = sqlalchemy.make_url(address)
    except (ValueError, sqlalchemy.exc.ArgumentError):
        return None
    return None if "@" in (url.host or "") else url

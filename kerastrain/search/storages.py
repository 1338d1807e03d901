"""Where the trials of a search are kept: in memory, a file or a database, by Optuna."""

import contextlib
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import optuna
import sqlalchemy.exc

from kerastrain._checks import invalid, show

_JOURNALS = (".journal", ".log")
_SQLITES = (".db", ".sqlite", ".sqlite3")
_DRIVERS = {"psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}


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
    if not isinstance(storage, str | os.PathLike):
        received = f"storage={show(storage)}"
        raise invalid("search", "storage", must, received, kind=TypeError)
    address = os.fspath(storage)
    path = pathlib.Path(address)
    is_journal, is_sqlite = path.suffix in _JOURNALS, path.suffix in _SQLITES
    if "://" not in address and not (is_journal or is_sqlite):
        raise invalid("search", "storage", must, f"storage={address!r}")
    with reached(storage):
        if "://" not in address:
            path.parent.mkdir(parents=True, exist_ok=True)
        if "://" not in address and is_journal:
            backend = optuna.storages.journal.JournalFileBackend(address)
            return optuna.storages.JournalStorage(backend)
        url = address if "://" in address else f"sqlite:///{address}"
        # Several processes may write, and each waits for the other.
        waits = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
        return optuna.storages.RDBStorage(url, engine_kwargs=waits)


@contextlib.contextmanager
def reached(storage: Any) -> Iterator[None]:
    """Words what goes wrong where a storage is asked for the first time."""
    try:
        yield
    except ModuleNotFoundError as error:
        driver = _DRIVERS.get(str(error.name), str(error.name))
        raise ImportError(
            f"`search(storage={_without_password(storage)!r})` needs {error.name}, which is not "
            f"installed. Install it with: pip install {driver}"
        ) from error
    except (
        OSError,
        optuna.exceptions.StorageInternalError,
        sqlalchemy.exc.SQLAlchemyError,
    ) as error:
        first = str(error.__cause__ or error).strip().splitlines()[0]
        received = f"storage={_without_password(storage)!r} ({type(error).__name__}: {first})"
        raise invalid("search", "storage", "be one that can be reached", received) from error


def _without_password(storage: Any) -> str:
    return re.sub(r"(://[^:/@]+):[^@]*@", r"\1:…@", str(storage))

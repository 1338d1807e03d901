"""Where the trials of a search are kept, and what is said of a place that can't be reached."""

import multiprocessing
import os
import pathlib
import sys

import pytest

optuna = pytest.importorskip("optuna", reason="a search needs the extra `search`")

from kerastrain.search.storages import connected, reached, storage_of  # noqa: E402

KINDS = (
    "be None, a path ending in '.journal', '.log', '.db', '.sqlite' or '.sqlite3', the address "
    "of a database or one of Optuna's storages"
)
ADDRESS = (
    "be an address such as 'postgresql://user:password@host/name', with '@' and ':' in a password "
    "as '%40' and '%3A'"
)


def keeps(storage):
    """Whether what is written in one opening of a storage is there in the next."""
    with connected(storage) as opened:
        trial = optuna.create_study(storage=opened, study_name="a").ask()
        trial.suggest_float("rate", 0, 1)
    with connected(storage) as opened:
        return "rate" in optuna.load_study(storage=opened, study_name="a").trials[0].params


def message(kind, storage):
    with pytest.raises(kind) as error:
        storage_of(storage)
    assert "s3cret" not in "".join(map(str, chain_of(error.value)))
    return str(error.value)


def chain_of(error):
    """An error and all that a traceback shows before it."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def unreached(storage, why):
    return (
        "`search`: `storage` must be one that can be reached. "
        f"Received: storage={storage!r} ({why})."
    )


# What is taken


def test_nothing_is_memory_and_a_storage_of_optunas_is_itself():
    assert storage_of(None) is None
    storage = optuna.storages.InMemoryStorage()
    assert storage_of(storage) is storage


@pytest.mark.parametrize("name", ["a.db", "a.sqlite", "a.sqlite3"])
def test_a_file_of_sqlite_is_told_by_its_ending(tmp_path, name):
    assert isinstance(storage_of(tmp_path / name), optuna.storages.RDBStorage)
    assert (tmp_path / name).read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize("name", ["a.journal", "a.log"])
def test_a_journal_is_told_by_its_ending(tmp_path, name):
    assert isinstance(storage_of(str(tmp_path / name)), optuna.storages.JournalStorage)
    assert (tmp_path / name).is_file()


@pytest.mark.parametrize("name", ["search.db", "search.journal"])
def test_a_folder_that_is_not_there_is_made(tmp_path, name):
    assert keeps(tmp_path / "runs" / "first" / name)


def test_a_path_counts_from_where_the_process_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert keeps("search.db")
    assert (tmp_path / "search.db").is_file()


@pytest.mark.parametrize("name", ["a b", "50%20", "{first}", "#1", "größe", "a@b:c"])
@pytest.mark.parametrize("ending", ["db", "journal"])
def test_a_path_may_have_any_signs(tmp_path, name, ending):
    assert keeps(tmp_path / f"{name}.{ending}")
    assert f"{name}.{ending}" in os.listdir(tmp_path)


def test_an_address_of_sqlite_is_taken(tmp_path):
    assert keeps(f"sqlite:///{tmp_path / 'a.db'}")
    assert (tmp_path / "a.db").is_file()


def test_a_database_of_postgresql_keeps_trials(postgres):
    assert keeps(postgres)


def test_connections_are_given_back(postgres):
    psycopg2 = pytest.importorskip("psycopg2")
    with connected(postgres) as opened:
        optuna.create_study(storage=opened, study_name="a").ask()
    connection = psycopg2.connect(postgres)
    cursor = connection.cursor()
    cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    assert cursor.fetchone() == (1,)
    connection.close()


def test_a_storage_of_optunas_stays_open(tmp_path):
    storage = storage_of(tmp_path / "a.db")
    with connected(storage) as opened:
        study = optuna.create_study(storage=opened, study_name="a")
    study.ask()
    assert len(study.trials) == 1


def _opened(barrier, address, answers):
    barrier.wait()
    try:
        storage_of(address)
        answers.put("opened")
    except Exception as error:
        answers.put(repr(error))


@pytest.mark.parametrize("kind", ["db", "journal", "postgres"])
def test_processes_that_begin_together_open_a_new_storage(request, tmp_path, kind):
    if sys.platform != "linux":
        pytest.skip("processes are forked here, so that they begin together")
    address = str(tmp_path / f"a.{kind}")
    if kind == "postgres":
        address = request.getfixturevalue("postgres")
    fork = multiprocessing.get_context("fork")
    barrier, answers = fork.Barrier(4), fork.SimpleQueue()
    processes = [fork.Process(target=_opened, args=(barrier, address, answers)) for _ in range(4)]
    for process in processes:
        process.start()
    found = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    assert found == ["opened"] * 4


# What is refused


@pytest.mark.parametrize(
    "storage, shown", [("a.txt", "'a.txt'"), ("", "''"), (pathlib.Path("runs"), "'runs'")]
)
def test_a_path_that_ends_otherwise_is_refused(storage, shown):
    assert message(ValueError, storage) == (
        f"`search`: `storage` must {KINDS}. Received: storage={shown}."
    )


@pytest.mark.parametrize(
    "storage, shown", [(3, "3"), (b"a.db", "b'a.db'"), (["a.db"], "['a.db']"), (False, "False")]
)
def test_what_is_no_place_is_refused(storage, shown):
    assert message(TypeError, storage) == (
        f"`search`: `storage` must {KINDS}. Received: storage={shown}."
    )


@pytest.mark.parametrize("name", ["a.db", "a.journal"])
def test_a_folder_that_cannot_be_made_is_told(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("file").touch()
    assert message(ValueError, f"file/{name}") == unreached(
        f"file/{name}", "FileExistsError: [Errno 17] File exists: 'file'"
    )


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("a.db").mkdir()
    pathlib.Path("a.journal").mkdir()
    assert message(ValueError, "a.db") == unreached(
        "a.db", "OperationalError: unable to open database file"
    )
    assert message(ValueError, "a.journal") == unreached(
        "a.journal", "IsADirectoryError: [Errno 21] Is a directory: 'a.journal'"
    )


def test_a_file_that_is_no_database_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("a.db").write_text("Nothing of the kind. " * 100)
    assert message(ValueError, "a.db") == unreached("a.db", "DatabaseError: file is not a database")


@pytest.mark.parametrize(
    "text", ["Nothing of the kind.\nNot at all.\n", "1\n2\n", '{"a": 1}\n[]\n']
)
def test_a_file_that_is_no_journal_is_told_and_left_alone(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("a.log").write_text(text)
    assert message(ValueError, "a.log") == (
        "`search`: `storage` must be a journal of Optuna's, or a file that isn't there yet. "
        "Received: storage='a.log'."
    )
    assert pathlib.Path("a.log").read_text() == text


def test_a_server_that_does_not_answer_is_told_without_the_password():
    pytest.importorskip("psycopg2", reason="PostgreSQL needs psycopg2-binary")
    address = "postgresql://me:s3cret@127.0.0.1:1/trials"
    found = message(ValueError, address)
    assert found.startswith(
        "`search`: `storage` must be one that can be reached. Received: "
        "storage='postgresql://me:***@127.0.0.1:1/trials' (OperationalError: connection to server "
        'at "127.0.0.1", port 1 failed: Connection refused'
    )
    assert "\n" not in found


def test_a_password_behind_the_question_mark_is_left_out():
    pytest.importorskip("psycopg2", reason="PostgreSQL needs psycopg2-binary")
    address = "postgresql:///trials?host=/nowhere&user=me&password=s3cret"
    assert message(ValueError, address).startswith(
        "`search`: `storage` must be one that can be reached. Received: "
        "storage='postgresql:///trials?host=%2Fnowhere&user=me' (OperationalError: connection to "
        'server on socket "/nowhere/.s.PGSQL.5432" failed: No such file or directory'
    )


def test_a_password_that_the_server_refuses_is_not_shown(postgres):
    folder = postgres.partition("host=")[2]
    address = f"postgresql://ktr:s3cret-not@/postgres?host={folder}"
    assert message(ValueError, address).startswith(
        "`search`: `storage` must be one that can be reached. Received: "
        f"storage='postgresql://ktr:***@/postgres?host={folder.replace('/', '%2F')}' "
        "(OperationalError: connection to server on socket "
        f'"{folder}/.s.PGSQL.5432" failed: FATAL:  password authentication failed for user "ktr"'
    )


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:s3@s3cret@host/trials",
        "postgresql://me:s3@s3:cret@host/trials",
        "postgresql://me:s3cret@host:port/trials",
    ],
)
def test_an_address_that_cannot_be_read_is_not_shown(address):
    assert message(ValueError, address) == (
        f"`search`: `storage` must {ADDRESS}. Received: storage='postgresql://…'."
    )


def test_an_address_of_nothing_known_is_told():
    assert message(ValueError, "nothing://me:s3cret@host/trials") == unreached(
        "nothing://me:***@host/trials",
        "NoSuchModuleError: Can't load plugin: sqlalchemy.dialects:nothing",
    )


@pytest.mark.parametrize(
    "scheme, module, package",
    [
        ("postgresql", "psycopg2", "psycopg2-binary"),
        ("postgresql+psycopg2", "psycopg2", "psycopg2-binary"),
        ("mysql", "MySQLdb", "mysqlclient"),
        ("mysql+pymysql", "pymysql", "pymysql"),
    ],
)
def test_a_driver_that_is_missing_says_how_to_install_it(monkeypatch, scheme, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    assert message(ImportError, f"{scheme}://me:s3cret@host/trials") == (
        f"`search(storage='{scheme}://me:***@host/trials')` needs {module}, which is not "
        f"installed. Install it with: pip install {package}"
    )


def test_a_storage_of_optunas_that_fails_is_told():
    storage = optuna.storages.InMemoryStorage()
    with pytest.raises(ValueError, match="reached") as error, reached(storage):
        raise optuna.exceptions.StorageInternalError("It is gone.\nReally.")
    assert str(error.value) == (
        "`search`: `storage` must be one that can be reached. "
        f"Received: storage={str(storage)!r} (StorageInternalError: It is gone.)."
    )


def test_an_error_without_words_is_told():
    with pytest.raises(ValueError, match="reached") as error, reached("a.db"):
        raise OSError
    assert str(error.value) == unreached("a.db", "OSError: no reason given")


def test_a_path_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with connected("~/trials.journal"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["trials.journal"]

"""Python processes that begin in a moment, for tests of what they do and not of how they begin.

A process takes seconds to start, nearly all of them to import TensorFlow. Here one process imports
what a worker of a search does, computes nothing, and is forked for each that is asked for.
"""

import fcntl
import os
import pickle
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import traceback

_HEADER = 4  # bytes, of a length or of a process's number
_FAR = 200  # above all the numbers that a parent's files have


class Nursery:
    """A process that is forked where others start one."""

    def __init__(self):
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env={**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
                pass_fds=[theirs.fileno()],
            )
        self._line = ours

    def popen(
        self,
        command,
        *,
        stdin=None,
        stdout=None,
        stderr=None,
        text=False,
        env=None,
        pass_fds=(),
        start_new_session=False,
    ):
        """Starts `[python, "-P", "-m", module, *arguments]` or `[python, "-c", script, ...]`."""
        ours, theirs = {}, {}
        for number, given in enumerate((stdin, stdout, stderr)):
            if given == subprocess.PIPE:
                ends = os.pipe()
                theirs[number], ours[number] = ends if number == 0 else ends[::-1]
            elif given is not None:
                theirs[number] = os.dup(given.fileno())
        ended, theirs[-1] = os.pipe()
        theirs |= {number: os.dup(number) for number in pass_fds}
        packed = pickle.dumps(
            (command[1:], dict(env or os.environ), os.getcwd(), start_new_session, list(theirs))
        )
        header = len(packed).to_bytes(_HEADER, "big")
        socket.send_fds(self._line, [header], list(theirs.values()))
        self._line.sendall(packed)
        for number in theirs.values():
            os.close(number)
        pid = int.from_bytes(self._line.recv(_HEADER), "big")
        assert pid, "the nursery has ended"
        return _Forked(command, pid, ended, ours, text)

    def close(self):
        """Ends the process."""
        self._line.close()
        self._process.wait()


class _Forked:
    """What is asked of a `subprocess.Popen`."""

    returncode = None

    def __init__(self, command, pid, ended, pipes, text):
        self.args, self.pid, self._ended = command, pid, ended
        modes = {"stdin": "w", "stdout": "r", "stderr": "r"}
        for number, (name, mode) in enumerate(modes.items()):
            how = (mode, -1) if text else (mode + "b", 0)
            setattr(self, name, os.fdopen(pipes[number], *how) if number in pipes else None)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for file in filter(None, (self.stdin, self.stdout, self.stderr)):
            file.close()
        self.wait()

    def wait(self, timeout=None):
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked process", timeout)
            self.returncode = int(os.read(self._ended, 16))
            os.close(self._ended)
        return self.returncode

    def poll(self):
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def communicate(self, nothing=None, timeout=None):
        """Returns all that it printed, which has to be little, when it has ended."""
        assert nothing is None
        self.wait(timeout)
        return tuple(file and file.read() for file in (self.stdout, self.stderr))

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def _serve(line):
    """Forks for each that is asked for, and tells of each how it ended."""
    import kerastrain.search  # noqa: F401  # And with it all that takes seconds.

    ends = {}  # From what tells that a process has ended to its number, and where to say how.
    while True:
        for told in select.select([line, *ends], [], [])[0]:
            if told is not line:
                pid, end = ends.pop(told)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                os.write(end, str(code).encode())
                os.close(end)
                os.close(told)
                continue
            header, files, _, _ = socket.recv_fds(line, _HEADER, 16)
            if not header:
                return
            packed = b""
            while len(packed) < int.from_bytes(header, "big"):
                packed += line.recv(1 << 16)
            *task, numbers = pickle.loads(packed)
            places = dict(zip(numbers, files, strict=True))
            pid = os.fork()
            if pid == 0:
                for file in (line.detach(), *ends, *(end for _, end in ends.values())):
                    os.close(file)
                _run(*task, places)
            line.sendall(pid.to_bytes(_HEADER, "big"))
            end = places.pop(-1)
            for file in places.values():
                os.close(file)
            ends[os.pidfd_open(pid)] = (pid, end)


def _run(arguments, environment, folder, is_new_session, places):
    """Does in this process what its parent asks for, and ends it."""
    os.close(places.pop(-1))
    if is_new_session:
        os.setsid()
    os.chdir(folder)
    far = {number: fcntl.fcntl(file, fcntl.F_DUPFD, _FAR) for number, file in places.items()}
    for file in places.values():
        os.close(file)
    for number, file in far.items():
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = environment.get("PYTHONPATH", "").split(os.pathsep)
    random.seed()
    code = 0
    try:
        kind, named, *others = [each for each in arguments if each != "-P"]
        sys.argv = [kind, *others]
        if kind == "-m":
            runpy.run_module(named, run_name="__main__")
        else:
            exec(named, {"__name__": "__main__"})
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))

"""Running a script: what the user's program sees, prints and leaves behind is what `python` itself makes of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from gradviz.errors import UsageError
from gradviz.events import End, Error, Note, Status
from gradviz.recorder import Recorder
from gradviz.run import Target, load, run_script

DRIVER = """
import sys
from gradviz.recorder import Recorder
from gradviz.run import Target, run_script
module = sys.argv[1] == "-m"
name, *arguments = sys.argv[2 if module else 1 :]
sys.exit(run_script(Target(name, tuple(arguments), module=module), Recorder(), last=True).exit_code)
"""


@dataclass(frozen=True)
class Result:
    stdout: str
    stderr: str
    status: int


class Workplace:
    """A directory with a user's files in it, where a program can be run by Python itself and by gradviz."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return file

    def _run(self, command: list[str]) -> Result:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "80"}
        done = subprocess.run(
            [sys.executable, *command], cwd=self.path, env=environment, capture_output=True, text=True, timeout=60
        )
        return Result(done.stdout, done.stderr, done.returncode)

    def python(self, *arguments: str) -> Result:
        return self._run(list(arguments))

    def gradviz(self, *arguments: str) -> Result:
        return self._run(["-c", DRIVER, *arguments])

    def same(self, *arguments: str) -> Result:
        """What both make of it; fails where that is not the same."""
        expected = self.python(*arguments)
        assert self.gradviz(*arguments) == expected
        return expected


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


ENVIRONMENT = """
    import os, sys
    import __main__
    print(sys.argv)
    print(sys.path[0])
    print(__name__, __file__, __package__, __cached__, __doc__, __annotations__)
    print(__spec__ and (__spec__.name, __spec__.parent, __spec__.origin, __spec__.cached))
    print(type(__loader__).__name__, __loader__.name, __loader__.path)
    print(__builtins__)
    print(list(globals()))
    print(__main__.__dict__ is globals(), sys.modules["__main__"] is __main__)
    print(sys.flags, os.getcwd(), __debug__)
    print(sys.stdin.isatty(), sys.stdout.encoding, sys.stderr.errors)
    class C: pass
    print(C, C.__module__)
"""


def test_script_sees_what_python_shows_it(place: Workplace) -> None:
    place.write("script.py", ENVIRONMENT)
    assert "'script.py', 'a', '--b', '--', '-m'" in place.same("script.py", "a", "--b", "--", "-m").stdout


@pytest.mark.parametrize("name", ["./script.py", "folder/script.py", "folder/../script.py", ".//script.py", "link.py"])
def test_script_is_found_by_any_path(place: Workplace, name: str) -> None:
    place.write("script.py", ENVIRONMENT)
    place.write("folder/script.py", ENVIRONMENT)
    place.write("folder/target.py", ENVIRONMENT)
    (place.path / "link.py").symlink_to(place.path / "folder" / "target.py")
    place.same(name)


def test_absolute_path_and_name_without_extension(place: Workplace) -> None:
    place.same(str(place.write("elsewhere/script", ENVIRONMENT)))


def test_script_imports_from_its_own_folder(place: Workplace) -> None:
    place.write("folder/helper.py", "print('helper', __name__, __file__)")
    place.write("helper.py", "print('the wrong helper')")
    place.write("folder/script.py", "import helper")
    assert "folder/helper.py" in place.same("folder/script.py").stdout


def test_module_is_run_with_relative_imports(place: Workplace) -> None:
    place.write("package/__init__.py", "import sys; print('init', __name__, sys.argv)")
    place.write("package/sub/__init__.py", "print('init', __name__)")
    place.write("package/sub/near.py", "value = 3")
    place.write("package/far.py", "value = 4")
    place.write("package/sub/module.py", textwrap.dedent(ENVIRONMENT) + "from .near import value\nfrom .. import far\n")
    assert "package.sub.module" in place.same("-m", "package.sub.module", "x").stdout


def test_package_is_run_by_its_main_module(place: Workplace) -> None:
    place.write("package/__init__.py", "")
    place.write("package/__main__.py", textwrap.dedent(ENVIRONMENT) + "from . import other\nprint(other)\n")
    place.write("package/other.py", "")
    place.same("-m", "package", "--flag")


def test_namespace_package_and_top_level_module(place: Workplace) -> None:
    place.write("outer/inner/module.py", ENVIRONMENT)
    place.write("single.py", ENVIRONMENT)
    place.same("-m", "outer.inner.module")
    place.same("-m", "single")


def test_source_encoding_is_honoured(place: Workplace) -> None:
    source = "# -*- coding: latin-1 -*-\ntext = 'caf\xe9'\nprint(ascii(text))\n"
    (place.path / "script.py").write_bytes(source.encode("latin-1"))
    assert place.same("script.py").stdout == "'caf\\xe9'\n"
    (place.path / "script.py").write_bytes(b"\xef\xbb\xbfprint(ascii('\xc3\xa9'))\r\n")
    place.same("script.py")


def test_future_imports_of_gradviz_do_not_leak(place: Workplace) -> None:
    place.write("script.py", "def f(x: int): pass\nprint(f.__annotations__)")
    assert "<class 'int'>" in place.same("script.py").stdout


@pytest.mark.parametrize(
    "statement",
    [
        "sys.exit()",
        "sys.exit(0)",
        "sys.exit(3)",
        "sys.exit(-1)",
        "sys.exit(True)",
        "sys.exit('a message')",
        "sys.exit([1, 'list'])",
        "raise SystemExit",
        "exit(4)",
        "import threading; threading.Thread(target=sys.exit, args=(5,)).start()",
        "import os; os._exit(6)",
    ],
)
def test_exit_status_is_kept(place: Workplace, statement: str) -> None:
    place.write("script.py", f"import sys\nprint('before')\n{statement}\n")
    place.same("script.py")


RAISING = {
    "plain": "def f(x):\n    return 1 / x\n\n\nf(0)\n",
    "at once": "raise ValueError('no')\n",
    "chained": "try:\n    {}['a']\nexcept KeyError as error:\n    raise ValueError('b') from error\n",
    "context": "try:\n    {}['a']\nexcept KeyError:\n    int('c')\n",
    "group": (
        "def f(i):\n    raise ValueError(i)\n\n\nfound = []\nfor i in range(2):\n    try:\n        f(i)\n"
        "    except ValueError as error:\n        found.append(error)\nraise ExceptionGroup('both', found)\n"
    ),
    "library": "import json\njson.loads('{')\n",
    "import": "import broken\n",
    "import syntax": "import invalid\n",
    "missing import": "import nowhere_to_be_found\n",
    "note": "error = ValueError('a')\nerror.add_note('look here')\nraise error\n",
    "hook": "import sys\nsys.excepthook = lambda kind, _, tb: print('hook', kind, tb.tb_lineno, tb.tb_next)\n1 / 0\n",
    "raising hook": "import sys\ndef hook(*_):\n    raise TypeError('in the hook')\nsys.excepthook = hook\n1 / 0\n",
    "recursion": "def f():\n    f()\nf()\n",
    "silent message": "class Odd(Exception):\n    def __str__(self):\n        raise TypeError\nraise Odd\n",
    "assert": "x = 1\nassert x == 2, 'x is not two'\n",
    "thread": "import threading\nthreading.Thread(target=lambda: 1 / 0, name='worker').start()\n",
}


@pytest.mark.parametrize("case", RAISING)
def test_traceback_is_what_python_prints(place: Workplace, case: str) -> None:
    place.write("broken.py", "def f():\n    raise RuntimeError('while importing')\n\n\nf()\n")
    place.write("invalid.py", "x = (\n")
    place.write("script.py", RAISING[case])
    result = place.python("script.py")
    ours = place.gradviz("script.py")
    if case == "recursion":  # how often a line was repeated is not ours to say
        assert ours.stderr.splitlines()[:6] == result.stderr.splitlines()[:6]
        assert ours.stderr.splitlines()[-1] == result.stderr.splitlines()[-1]
    elif case == "thread":
        assert "gradviz" not in ours.stderr
        assert ours.stderr.splitlines()[-1] == result.stderr.splitlines()[-1]
    else:
        assert ours == result
    assert ours.status == result.status


def test_traceback_of_a_module_has_only_its_own_frames(place: Workplace) -> None:
    place.write("package/__init__.py", "")
    place.write("package/module.py", "def f():\n    raise ValueError('no')\n\n\nf()\n")
    ours = place.gradviz("-m", "package.module")
    lines = place.python("-m", "package.module").stderr.splitlines()
    # Python shows its own two frames of `runpy` first.
    assert ours.stderr.splitlines() == [lines[0], *lines[3:]]
    assert ours.status == 1


def test_raising_package_is_the_programs_own_failure(place: Workplace) -> None:
    place.write("package/__init__.py", "raise ValueError('in the package')")
    place.write("package/module.py", "")
    ours = place.gradviz("-m", "package.module")
    assert ours.status == 1
    assert "in the package" in ours.stderr
    assert "gradviz" not in ours.stderr.replace(str(place.path), "")


def test_warnings_are_what_python_prints(place: Workplace) -> None:
    place.write(
        "script.py",
        """
        import warnings
        def old():
            warnings.warn("old", DeprecationWarning, stacklevel=2)
        old()
        old()
        warnings.warn("look")
        print("\\d")
        """,
    )
    assert "DeprecationWarning: old" in place.same("script.py").stderr


def test_threads_exit_handlers_and_pools_end_in_pythons_order(place: Workplace) -> None:
    place.write(
        "script.py",
        """
        import atexit, threading, time
        from concurrent.futures import ThreadPoolExecutor
        atexit.register(print, "exit handler")
        def late():
            time.sleep(0.1)
            print("thread", flush=True)
        threading.Thread(target=late).start()
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        pool = ThreadPoolExecutor(1)
        pool.submit(print, "pool", flush=True)
        time.sleep(0.05)
        print("end of script")
        """,
    )
    assert place.same("script.py").stdout == "pool\nend of script\nthread\nexit handler\n"


def test_pickles_and_child_processes_find_main(place: Workplace) -> None:
    place.write(
        "script.py",
        """
        import multiprocessing, pickle
        class Point: pass
        def square(x):
            return x * x
        if __name__ == "__main__":
            print(type(pickle.loads(pickle.dumps(Point()))) is Point)
            for method in ("fork", "spawn"):
                with multiprocessing.get_context(method).Pool(1) as pool:
                    print(method, pool.map(square, [2, 3]))
        """,
    )
    assert "spawn [4, 9]" in place.same("script.py").stdout


def test_forked_child_ends_where_the_script_ends(place: Workplace) -> None:
    place.write(
        "script.py",
        """
        import atexit, os, sys
        child = os.fork()
        if child:
            print("child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        else:
            atexit.register(print, "exit handler of the child")
            print("in the child")
            sys.exit(7)
        """,
    )
    assert place.same("script.py").stdout == "in the child\nexit handler of the child\nchild ended with 7\n"


def test_everything_is_put_back(place: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    script = place.write(
        "script.py",
        """
        import io, sys, warnings
        sys.argv.append("more")
        sys.path.append("somewhere")
        sys.stdout = io.StringIO()
        sys.excepthook = print
        warnings.simplefilter("ignore")
        """,
    )
    state = (sys.argv, list(sys.argv), list(sys.path), sys.stdout, sys.excepthook, sys.modules["__main__"])
    filters = list(__import__("warnings").filters)
    outcome = run_script(Target(str(script)), Recorder())
    assert state == (sys.argv, list(sys.argv), list(sys.path), sys.stdout, sys.excepthook, sys.modules["__main__"])
    assert list(__import__("warnings").filters) == filters
    assert (outcome.status, outcome.exit_code) == (Status.FINISHED, 0)
    assert outcome.module.__dict__["sys"] is sys


@pytest.mark.parametrize("waiting", ["time.sleep(60)", "threading.Thread(target=time.sleep, args=(60,)).start()"])
def test_interrupt_ends_with_130(place: Workplace, waiting: str) -> None:
    place.write("script.py", f"import threading, time\nprint('ready', flush=True)\n{waiting}\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", DRIVER, "script.py"]
    with subprocess.Popen(
        command, cwd=place.path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.splitlines()[-1:] == (["KeyboardInterrupt"] if waiting.startswith("time") else [])
    assert "gradviz" not in stderr.replace(str(place.path), "")


@pytest.mark.parametrize(
    ("source", "status", "exit_code"),
    [
        ("x = 1\n", Status.FINISHED, 0),
        ("1 / 0\n", Status.RAISED, 1),
        ("raise SystemExit(3)\n", Status.EXITED, 3),
        ("raise SystemExit('no')\n", Status.EXITED, 1),
        ("raise SystemExit\n", Status.EXITED, 0),
        ("raise KeyboardInterrupt\n", Status.INTERRUPTED, 130),
    ],
)
def test_recording_says_how_it_ended(
    place: Workplace, capsys: pytest.CaptureFixture[str], source: str, status: Status, exit_code: int
) -> None:
    script = place.write("script.py", f"x = 0\n{source}")
    recorder = Recorder()
    outcome = run_script(Target(str(script)), recorder)
    assert (outcome.status, outcome.exit_code) == (status, exit_code)
    assert recorder.events[-1] == End(status, exit_code)
    errors = [event.type for event in recorder.events if isinstance(event, Error)]
    assert errors == (["ZeroDivisionError"] if status is Status.RAISED else [])
    assert all(recorder.graph().sites[error.site or 0].line == 2 for error in recorder.graph().errors)
    notes = [event.text for event in recorder.events if isinstance(event, Note)]
    ended = status in (Status.EXITED, Status.INTERRUPTED)
    assert notes == (["it ended at line 2 of `script.py`"] if ended else [])


BAD = {
    "missing": ("scirpt.py", "there is no file", "did you mean `script.py`?"),
    "directory": ("folder", "is a directory", "name a script"),
    "syntax": ("syntax.py", "`syntax.py`, line 2: '(' was never closed in `y = (`", "correct"),
    "indentation": ("indent.py", "line 2: unexpected indent", "correct"),
    "encoding": ("encoding.py", "`encoding.py`", "correct"),
    "binary": ("binary.dat", "neither a Python script nor a gradviz log", "name"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_run_is_refused(place: Workplace, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    place.write("script.py", "")
    place.write("syntax.py", "x = 1\ny = (\n")
    place.write("indent.py", "x = 1\n  y = 2\n")
    (place.path / "encoding.py").write_bytes(b"x = '\xff'\n")
    (place.path / "binary.dat").write_bytes(bytes(range(256)))
    (place.path / "folder").mkdir()
    monkeypatch.chdir(place.path)
    name, message, help = BAD[case]
    with pytest.raises(UsageError) as caught:
        load(Target(name))
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert help in caught.value.help


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere_to_be_found", "there is no module named `nowhere_to_be_found`"),
        ("package.nowhere", "there is no module named `package.nowhere`"),
        ("package.module.deeper", "there is no module named"),
        ("package", "`package` is a package without a `__main__` module"),
        ("", "there is no module named"),
        ("package..module", "there is no module named"),
        ("_struct", "has no Python code to run"),
        ("invalid", "`invalid`, line 1: '(' was never closed"),
    ],
)
def test_module_that_cannot_be_run_is_refused(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    place.write("package/__init__.py", "raise AssertionError('nothing is imported to find out')")
    place.write("package/module.py", "")
    place.write("invalid.py", "x = (\n")
    monkeypatch.chdir(place.path)
    with pytest.raises(UsageError, match=re.escape(message)):
        load(Target(name, module=True))

"""
Each kind of install, from a directory where nothing of ours lies.

In the checkout everything is found whether it is installed or not, so nothing is shown
there. Each kind hides a fault that another shows: an editable install finds a plugin that is
missing from the wheel, and a wheel finds one that an import hook would hide from Twisted.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
import venv
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

import loki_twisted

CHECKOUT = Path(__file__).parent.parent
PAGE = CHECKOUT / "loki_twisted" / "page"
SOURCES = ("loki_twisted", "twisted", "pyproject.toml", "setup.py", "MANIFEST.in")
PAPERS = ("README.rst", "LICENSE", "CHANGELOG.rst")
SECONDS = 100
TWISTD = "from twisted.scripts.twistd import run; run()"
PROVIDERS = """
from loki_twisted.agents.providers.plugins import installed_providers
print(*installed_providers())
"""
NO_NETWORK = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")


@attrs.frozen
class Environment:
    """
    A virtual environment that has all that we need, and nothing of us.

    Twisted lies in it like installed there: a plugin of ours lands in Twisted's own directory.
    """

    path: Path

    @classmethod
    def make(cls, path: Path) -> Environment:
        """Make one out of the packages of this environment."""
        venv.EnvBuilder(with_pip=False, symlinks=True).create(path)
        environment = cls(path)
        site = environment.site
        for package in Path(sysconfig.get_path("purelib")).iterdir():
            if package.name == "twisted":
                environment._add_twisted(package)
            elif "loki" not in package.name.lower():
                (site / package.name).symlink_to(package)
        return environment

    def _add_twisted(self, package: Path) -> None:
        twisted = self.site / "twisted"
        twisted.mkdir()
        for entry in package.iterdir():
            if entry.name != "plugins":
                (twisted / entry.name).symlink_to(entry)
        for plugin in (package / "plugins").glob("*.py"):
            if "loki" not in plugin.name:
                (twisted / "plugins").mkdir(exist_ok=True)
                shutil.copy(plugin, twisted / "plugins")

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.path / "bin" / "python")

    @property
    def site(self) -> Path:
        """Where its packages lie."""
        (site,) = self.path.glob("lib/python*/site-packages")
        return site

    def pip(self, *words: str) -> None:
        """Run pip for it, with the network off."""
        pip = [sys.executable, "-m", "pip", "--python", self.python]
        ended = subprocess.run(
            [*pip, *words], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def run(self, *command: str) -> str:
        """Run something in it, from an empty directory; gives what it printed."""
        ended = subprocess.run(
            command,
            cwd=self.neutral,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    @property
    def neutral(self) -> Path:
        """A directory where nothing of ours lies."""
        place = self.path / "neutral"
        place.mkdir(exist_ok=True)
        return place

    @property
    def variables(self) -> dict[str, str]:
        """An environment that leads to no other installation."""
        own = {n: v for n, v in os.environ.items() if not n.startswith(("LOKI_", "PYTHON"))}
        return {**own, "PATH": f"{self.path / 'bin'}:/usr/bin:/bin"}

    def commands_of_twisted(self) -> set[str]:
        """What ``twist --help`` lists."""
        listed = self.run(self.python, "-m", "twisted", "--help").partition("Commands:")[2]
        return set(re.findall(r"^ +([a-z][\w-]*) ", listed, re.MULTILINE))

    def files_of_twisted(self) -> dict[str, bytes]:
        """The files in Twisted's own directories that an install could touch."""
        twisted = self.site / "twisted"
        files = [*twisted.glob("*.py"), *(twisted / "plugins").glob("*.py")]
        return {str(file.relative_to(twisted)): file.read_bytes() for file in files}


def build_wheel(source: Path, place: Path) -> list[str]:
    """Build a wheel; gives what pip is to install."""
    return [_build(source, place, "build_wheel")]


def build_sdist(source: Path, place: Path) -> list[str]:
    """Pack the sources."""
    return [_build(source, place, "build_sdist")]


def use_source(source: Path, place: Path) -> list[str]:
    """Install the sources where they lie."""
    return ["--editable", str(source)]


def _build(source: Path, place: Path, kind: str) -> str:
    program = f"from setuptools import build_meta; build_meta.{kind}({str(place)!r})"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (built,) = place.iterdir()
    return str(built)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the sources, because building leaves things behind."""
    place = tmp_path / "source"
    place.mkdir()
    for name in (*SOURCES, *PAPERS):
        original = CHECKOUT / name
        if original.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "dropin.cache")
            shutil.copytree(original, place / name, ignore=ignored)
        else:
            shutil.copy(original, place / name)
    return place


def files_below(directory: Path) -> dict[str, int]:
    """All files there, and how long they are."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.stat().st_size for path in files}


def serve(environment: Environment) -> None:
    """Let twistd serve, and ask it whether it lives."""
    process = subprocess.Popen(
        [environment.python, "-c", TWISTD, "-n", "--pidfile=", "loki", "--port", "0"],
        cwd=environment.neutral,
        env=environment.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process, process.stdout:
        try:
            lines = iter(process.stdout)
            listening = next(line for line in lines if "Listening on" in line)
            url = listening.partition("Listening on ")[2].split()[0]
            with urllib.request.urlopen(f"{url}/health/live", timeout=SECONDS) as answer:
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("prepare", [build_wheel, build_sdist, use_source])
def test_install(prepare: Callable[[Path, Path], list[str]], source: Path, tmp_path: Path) -> None:
    """Once installed both commands and twistd work; once removed Twisted is as it was before."""
    environment = Environment.make(tmp_path / "venv")
    twisted_before = environment.files_of_twisted()
    built = tmp_path / "built"
    built.mkdir()
    environment.pip("install", *NO_NETWORK, *prepare(source, built))

    bin_ = environment.path / "bin"
    assert "loki serve" in environment.run(str(bin_ / "loki"), "--help")
    assert "demo" in environment.run(str(bin_ / "lokictl"), "--help")
    version = environment.run(environment.python, "-m", "loki_twisted", "--version")
    assert version == f"loki {loki_twisted.__version__} (loki_twisted)\n"
    home = "import loki_twisted; print(loki_twisted.__path__[0])"
    package = Path(environment.run(environment.python, "-c", home).strip())
    assert package.parent == (source if prepare is use_source else environment.site)
    assert (package / "py.typed").exists()
    assert files_below(package / "page") == files_below(PAGE)
    assert {"loki", "web"} <= environment.commands_of_twisted()
    providers = environment.run(environment.python, "-c", PROVIDERS).split()
    assert {"claude", "loki", "demo"} <= set(providers)
    serve(environment)

    environment.pip("uninstall", "--yes", "--disable-pip-version-check", "loki-twisted")
    assert environment.files_of_twisted() == twisted_before
    assert [entry.name for entry in environment.site.glob("*loki*")] == []
    commands = environment.commands_of_twisted()
    assert "web" in commands
    assert "loki" not in commands


def test_nothing_shadows_twisted() -> None:
    """An __init__.py beside the plugin would replace Twisted's, and go with us when we go."""
    files = (CHECKOUT / "twisted").rglob("*.py")

    assert {path.name for path in files} == {"loki_plugin.py", "loki_providers.py"}

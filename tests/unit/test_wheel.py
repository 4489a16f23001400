"""The wheel is whole, and its base install is enough for a producer.

The wheel is built and unpacked, and used by a Python that can import only what the wheel's own metadata asks for
without any extra, from a folder in which the two packages do not lie.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest
from processes import ROOT

#: Runs first in the other Python: everything installed that is not in the closure of the base requirements is hidden.
HIDE_THE_REST = """
import importlib.metadata as metadata, re, sys
from packaging.requirements import Requirement

def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()

wheel_folder = sys.argv[1]
base = next(iter(metadata.distributions(name="chatterqueue", path=[wheel_folder])))
allowed, queue = set(), [(text, "") for text in base.requires]
while queue:
    text, extra = queue.pop()
    requirement = Requirement(text)
    if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
        continue
    for wanted in ("", *requirement.extras):
        if (canonical(requirement.name), wanted) not in allowed:
            allowed.add((canonical(requirement.name), wanted))
            queue += [(text, wanted) for text in metadata.distribution(requirement.name).requires or []]
names = {name for name, _ in allowed}
owners = metadata.packages_distributions()
hidden = {module for module, of in owners.items() if not names & {canonical(name) for name in of}}
assert {"torch", "numpy", "av", "hibari"} <= hidden, "the test's own environment lacks what it hides"

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in hidden - {"producer", "worker"}:
            raise ModuleNotFoundError(f"hidden: {name}", name=name)

sys.meta_path.insert(0, Hide())
sys.path.insert(0, wheel_folder)
import producer
assert producer.__file__.startswith(wheel_folder), producer.__file__
"""

USES = {
    "the public names": "for name in producer.__all__: getattr(producer, name)",
    "a narration": "producer.Narration(text='Hello.')",
    "the command line": "import producer.cli, sys; sys.argv = ['chatterqueue', '--help']; producer.cli.main()",
    "the ledger's scripts": "import importlib.resources as r; import producer.ledger\n"
    "assert [p for p in (r.files('producer.ledger') / 'scripts').iterdir() if p.name.endswith('.lua')]",
    "the guard": "from producer.stack.process import GUARD; assert GUARD.is_file()",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (path,) = folder.glob("*.whl")
    zipfile.ZipFile(path).extractall(folder / "unpacked")
    return folder / "unpacked"


def test_the_wheel_holds_every_file_of_both_packages_and_nothing_else(wheel):
    packed = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    there = {
        path.relative_to(ROOT).as_posix()
        for package in ("producer", "worker")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert {name for name in packed if ".dist-info/" not in name} == there
    assert {"producer/py.typed", "worker/py.typed"} <= packed


@pytest.mark.parametrize("use", USES)
def test_a_producer_needs_the_base_install_only(wheel, tmp_path, use):
    ran = subprocess.run(
        [sys.executable, "-P", "-c", f"{HIDE_THE_REST}\n{USES[use]}", wheel],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr

"""Check a built wheel: what a user needs is in it, nothing else is. `python tools/check_wheel.py FOLDER`."""

import sys
import zipfile
from pathlib import Path

NEEDED = ("tenfold/py.typed", "tenfold/__init__.pyi", "tenfold/cli/__init__.py", "tenfold/systems/timeline/design.yaml")
SUFFIXES = (".py", ".pyi", ".yaml", ".typed", ".md", ".json")


def trouble(names: list[str]) -> list[str]:
    """What is wrong with a wheel that holds these files, one sentence each."""
    files = [name for name in names if ".dist-info/" not in name]
    missing = [f"{name} is missing" for name in NEEDED if name not in files]
    outside = [f"{name} stands outside of tenfold/" for name in files if not name.startswith("tenfold/")]
    tests = [f"{name} is a test" for name in files if Path(name).name.startswith(("test_", "conftest"))]
    odd = [f"{name} does not belong into a wheel" for name in files if not name.endswith(SUFFIXES)]
    return missing + outside + tests + odd


def main(folder: str) -> int:
    """Check the one wheel in the folder; exit code 1 when something is wrong."""
    (wheel,) = Path(folder).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    found = trouble(names)
    sys.stdout.write(("\n".join(found) or f"{wheel.name}: {len(names)} files, as it should be") + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""Make the virtual environment and install requirements into it; a second run has nothing to do and says so.

    python3 tools/set_up.py [--venv DIR] [REQUIREMENTS ...]

Runs before anything is installed, on whatever Python there is: standard library only, and old syntax, so that an old
Python gets as far as the sentence that tells it is too old.
"""

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def complaint(version, has_venv):
    """Why this Python cannot be used, in words; `None` when it can."""
    if tuple(version[:2]) < OLDEST:
        return (
            "Turnaround needs Python {}.{} or newer; this is {}.{}. "
            "Install a newer one, or name it: make run PYTHON=python3.12"
        ).format(*(OLDEST + tuple(version[:2])))
    if not has_venv:
        return (
            "This Python lacks its venv module, which Debian and Ubuntu ship apart. "
            "Install it (sudo apt install python3-venv) and try again."
        )
    return None


def fingerprint(files):
    """Changes with the content of the files, the files they include, and the Python that made the environment."""
    digest = hashlib.sha256(repr((sys.version_info[:3], os.path.realpath(sys.executable))).encode())
    for path in sorted(files):
        with open(path, "rb") as opened:
            content = opened.read()
        digest.update(content)
        for line in content.decode("utf-8").splitlines():
            if line.startswith("-r "):
                included = os.path.join(os.path.dirname(path), line[3:].strip())
                digest.update(fingerprint([included]).encode())
    return digest.hexdigest()


def python_in(venv):
    return os.path.join(venv, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))


def version_of(python):
    try:
        asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        return subprocess.check_output(asked, stderr=subprocess.DEVNULL).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def set_up(venv, files):
    python, wanted = python_in(venv), fingerprint(files)
    version = "{}.{}".format(*sys.version_info)
    names = ", ".join(os.path.relpath(path, ROOT) for path in files)
    stamp = os.path.join(venv, "installed-" + hashlib.sha256(names.encode()).hexdigest()[:8])
    fits = version_of(python) == version
    if fits and os.path.exists(stamp):
        with open(stamp) as opened:
            if opened.read() == wanted:
                print(f"The environment in {venv} is up to date with {names}.")
                return
    if not fits:
        if os.path.isdir(venv) and os.listdir(venv):
            if not os.path.exists(os.path.join(venv, "pyvenv.cfg")):
                sys.exit(f"{venv} is there and is no Python environment; it is left alone. Name another folder.")
            shutil.rmtree(venv)
        print(f"Making a Python {version} environment in {venv} ...", flush=True)
        subprocess.check_call([sys.executable, "-m", "venv", venv])
    print(f"Installing {names} into {venv}; the first time this takes some minutes ...", flush=True)
    chosen = [part for path in files for part in ("-r", path)]
    subprocess.check_call([python, "-m", "pip", "install", "--disable-pip-version-check", *chosen])
    with open(stamp, "w") as opened:
        opened.write(wanted)
    print(f"Installed {names}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", default=os.path.join(ROOT, ".venv"))
    parser.add_argument("requirements", nargs="*", default=[os.path.join(ROOT, "requirements.txt")])
    asked = parser.parse_args()
    # Debian without python3-venv still has `venv`, but not the `ensurepip` that it calls.
    has_venv = all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))
    problem = complaint(sys.version_info, has_venv)
    if problem:
        sys.exit(problem)
    try:
        set_up(asked.venv, asked.requirements)
    except subprocess.CalledProcessError as failed:
        sys.exit(
            "Setting up stopped: `{}` failed with code {}; its own words are above. "
            "Check the network and the free disk space, then run the same command again.".format(
                " ".join(failed.cmd[:4]), failed.returncode
            )
        )


if __name__ == "__main__":
    main()

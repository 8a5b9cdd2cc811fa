"""Every measurement in turn, each in a process of its own, so that none inherits another's memory or warm caches."""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = (
    "raster",
    "inflate",
    "warp",
    "video",
    "removers",
    "models",
    "zero123",
    "zero123plus",
    "shap_e",
    "sv3d",
    "gpu_memory",
    "startup",
    "page",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"which to run; all when none is named: {', '.join(PARTS)}")
    parts = parser.parse_args().parts or PARTS
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    failed = []
    for part in parts:
        print(f"\n== {part} ==", flush=True)
        if subprocess.run([sys.executable, "-m", f"bench.{part}"], cwd=ROOT, check=False).returncode:
            failed.append(part)
    if failed:
        sys.exit(f"These measurements did not finish: {', '.join(failed)}.")


if __name__ == "__main__":
    main()

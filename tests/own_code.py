"""A model's folder that brings code of its own, as some repositories do: whoever trusts them has it fetched and run."""

import json
from pathlib import Path

MODELING = """
from pathlib import Path
from transformers import PreTrainedConfig, PreTrainedModel

Path({canary!r}).mkdir(exist_ok=True)

class Config(PreTrainedConfig):
    pass

class Model(PreTrainedModel):
    config_class = Config
"""


def brings_code(folder: Path, canary: Path) -> None:
    """`canary` is there once the code was run."""
    (folder / "modeling.py").write_text(MODELING.format(canary=str(canary)))
    config = folder / "config.json"
    names = {"AutoConfig": "modeling.Config", "AutoModel": "modeling.Model"}
    config.write_text(json.dumps(json.loads(config.read_text()) | {"auto_map": names}))

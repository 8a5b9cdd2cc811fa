"""Training on two processes, as `torchrun --nproc-per-node=2 -m pipelines.invs.train ...` begins it.

By torchrun's own launcher behind its command line, which is told to fork: what both import, they import once.
"""

import runpy
import sys

import accelerate  # noqa: F401 - what training imports later, here before the fork
import diffusers.training_utils  # noqa: F401
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

MODULE = "pipelines.invs.train"


def train(arguments: list[str]) -> None:
    sys.argv[1:] = arguments
    runpy.run_module(MODULE, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    alone = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id="test",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="fork",
        monitor_interval=0.1,
    )
    elastic_launch(alone, train)(sys.argv[1:])

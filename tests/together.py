"""Processes of one torchrun job, forked from one that has imported torch already."""

import multiprocessing
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from torch.distributed import TCPStore

from findna.cli import main
from findna.pretraining import heldout

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["torch", "findna.cli.pretrain", "tests.together"])


@dataclass(frozen=True)
class Done:
    """Exit codes by rank, and what all wrote to standard error."""

    codes: list[int]
    stderr: str


def _process(
    rank: int, n_processes: int, port: int, words: list[str], log: str, heldout_tokens: int
) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(n_processes),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "OMP_NUM_THREADS": "1",
    }
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    heldout.TOKENS = heldout_tokens
    sys.argv = ["findna", *words]
    main()


def together(folder: Path, *words: object, n_processes: int = 2) -> Done:
    """Run the command line in several processes; their messages go to a file in ``folder``."""
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)  # outlives them
    log = folder / "together.log"
    log.unlink(missing_ok=True)
    arguments = n_processes, store.port, list(map(str, words)), str(log), heldout.TOKENS
    processes = [
        _CONTEXT.Process(target=_process, args=(rank, *arguments)) for rank in range(n_processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return Done([process.exitcode for process in processes], log.read_text())

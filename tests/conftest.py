"""A made-up genome, a tiny seeded model, and the command line as a function."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from findna.cli import main
from findna.config import EncoderConfig
from findna.example import write_example
from findna.genome import Genome
from findna.model.checkpoint import Model, save_checkpoint

SHARED = Path(os.environ.get("FINDNA_SHARED", Path(__file__).parents[2] / "shared" / "data"))

TINY = EncoderConfig(
    dim=24, track_size=4, hidden=32, n_blocks=2, layers_per_block=5, norm="layer", n_cls=2,
    max_length=100,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _private_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with genome.fa, regions.bed and variants.vcf."""
    folder = tmp_path_factory.mktemp("example")
    write_example(folder)
    return folder


@pytest.fixture
def genome(example: Path) -> Iterator[Genome]:
    with Genome(example / "genome.fa") as fasta:
        yield fasta


def make_model(config: EncoderConfig, seed: int = 1) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Model(config).requires_grad_(False).eval()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of a few thousand parameters."""
    folder = tmp_path_factory.mktemp("models") / "little"
    save_checkpoint(folder, make_model(TINY), {"steps_done": 0}, "# little\n{digest}\n")
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """``run("embed", path, "-o", out)``: the command line, checked for tracebacks."""

    def invoke(*arguments: object, input: bytes | None = None, code: int = 0) -> Result:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr("sys.argv", ["findna", *words])
        result = CliRunner().invoke(main, words, input=input)
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert "Traceback" not in result.output
        assert result.exit_code == code, result.output[-2000:]
        return result

    return invoke


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file into the test's folder."""

    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def random_sequence(length: int, seed: int = 0, letters: str = "ACGT") -> str:
    return "".join(random.Random(seed).choices(letters, k=length))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data at {SHARED}; set FINDNA_SHARED to its folder")
    return SHARED


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device"))])  # fmt: skip
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)

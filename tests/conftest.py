"""A made-up genome, a tiny seeded model, and the command line as a function."""

from __future__ import annotations

import math
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import settings

from findna import console
from findna.cli import main
from findna.genome.encoding import decode, encode, reverse_complement
from findna.genome.fasta import Genome
from findna.model.checkpoint import Model, load_checkpoint, save_checkpoint
from findna.model.config import EncoderConfig
from findna.model.devices import Compute
from findna.model.heads import SiteHead, TaskHead
from findna.pretraining import heldout
from findna.tasks.features import Features, FeatureTable
from findna.tasks.sites import SiteConfig
from findna.tasks.task import TaskConfig, save_task
from tests.made_up import write_example

SHARED = Path(os.environ.get("FINDNA_SHARED", Path(__file__).parents[2] / "shared" / "data"))

# tests run side by side, with models too small for a second thread; the processes they start too
os.environ.setdefault("OMP_NUM_THREADS", "1")
# expected values are those of fp32, whatever is fast on this machine
os.environ["FINDNA_PRECISION"] = "fp32"
torch.set_num_threads(1)

settings.register_profile("findna", deadline=None)  # a busy machine is no failure
settings.load_profile("findna")

# what a shell starts in the background ignores Ctrl-C, and what it starts in turn would do so too
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TINY = EncoderConfig(
    dim=24, track_size=4, hidden=32, n_blocks=2, layers_per_block=5, norm="layer", n_cls=2,
    max_length=100,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _private_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _private_home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks of one's own are looked for, and written, in an empty folder."""
    monkeypatch.setenv("FINDNA_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("FINDNA_PATH", raising=False)


@pytest.fixture(autouse=True)
def _short_evaluations() -> Iterator[None]:
    """Pretraining is measured often, on little; a test's ``monkeypatch.undo()`` leaves it so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heldout, "TOKENS", 4_000)
        yield


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


def make_task(
    folder: Path,
    model: Path,
    features: Features = Features(),
    kind: str = "classes",
    classes: tuple[str, ...] = ("no", "yes"),
    window: int = 0,
    seed: int = 0,
    upstream: int | None = None,
    stranded: bool = False,
) -> Path:
    """A task folder with a random head, standardised on random sequences so that rows differ."""
    checkpoint = load_checkpoint(str(model))
    sequences = [encode(random_sequence(120, i)) for i in range(30)]
    table = FeatureTable(checkpoint.model.encoder, sequences, Compute(torch.device("cpu")))
    x = torch.from_numpy(table.matrix(features, np.arange(len(sequences))))
    head = TaskHead(x.shape[1], len(classes))
    rng = torch.Generator().manual_seed(seed)
    weight = torch.randn(head.linear.weight.shape, generator=rng) / x.shape[1] ** 0.5
    head.load_state_dict(
        {
            "mean": x.mean(0),
            "scale": x.std(0) + 1e-3,
            "linear.weight": weight,
            "linear.bias": torch.randn(len(classes), generator=rng) / 4,
        }
    )
    config = TaskConfig(
        mode="probe",
        kind=kind,
        classes=classes,
        window=window,
        encoder=str(model),
        encoder_digest=checkpoint.digest,
        features=features,
        temperature=0.7,
        upstream=upstream,
        stranded=stranded,
    )
    save_task(folder, config, head.requires_grad_(False), {}, "{digest}\n")
    return folder


@pytest.fixture(scope="session")
def tasks(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Task folders that read the little model in four ways.

    ``binary``: both strands; ``three``: three classes, the forward strand, bins and 3-mers;
    ``labels``: three labels, both strands, bins, after the second layer; ``value``: two targets,
    the forward strand.
    """
    folder = tmp_path_factory.mktemp("tasks")
    return {
        "binary": make_task(folder / "binary", model_folder),
        "three": make_task(
            folder / "three", model_folder, Features(("std", "center"), 4, 3, False),
            classes=("donor", "acceptor", "neither"),
        ),
        "labels": make_task(
            folder / "labels", model_folder, Features((), 2, readout=2), "multilabel",
            ("a", "b", "c"),
        ),
        "value": make_task(
            folder / "value", model_folder, Features(("max", "mean"), 0, 0, False), "regression",
            ("log2fc", "rate"),
        ),
    }  # fmt: skip


@pytest.fixture(scope="session")
def site_task(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task folder ``sites`` of two classes of single bases, with a random head.

    Probabilities above one half are rare, and of both classes and strands.
    """
    encoder = load_checkpoint(str(model_folder))
    config = SiteConfig(
        mode="probe", classes=("donor", "acceptor"), tile=100, margin=12, reach=2,
        encoder=str(model_folder), encoder_digest=encoder.digest, slopes=(1.0, 1.5),
        shifts=(-3.5, -5.0),
    )  # fmt: skip
    head = SiteHead(encoder.config.dim, config.reach, len(config.classes))
    head.linear.weight.data.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    head.linear.bias.data.zero_()
    folder = tmp_path_factory.mktemp("site_task") / "sites"
    save_task(folder, config, head.requires_grad_(False), {}, "{digest}\n")
    return folder


MOTIF = "CAGGTAAGTA"


def write_genome(folder: Path, n_contigs: int = 4, length: int = 3000, every: int = 100) -> None:
    """Contigs with a motif on either strand, its fourth base a site; d has N and no sites."""
    rng = np.random.default_rng(0)
    records, rows = [], []
    for i in range(n_contigs):
        letters = list(random_sequence(length, i))
        for k in range(every, length - every, every):
            at, reverse = k + int(rng.integers(50)), bool(rng.integers(2))
            word = decode(reverse_complement(encode(MOTIF))) if reverse else MOTIF
            letters[at : at + len(MOTIF)] = word
            site = at + len(MOTIF) - 4 if reverse else at + 3
            rows.append(f"c{i}\t{site}\t{site + 1}\tdonor\t0\t{'+-'[reverse]}\n")
        records.append(f">c{i}\n{''.join(letters)}\n")
    records.append(f">d\n{random_sequence(130, 9)}{'N' * 150}{random_sequence(100, 8)}\n")
    (folder / "g.fa").write_text("".join(records))
    (folder / "s.bed").write_text("".join(rows))


@pytest.fixture(scope="session")
def donors(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """A folder with g.fa, s.bed and the task ``donors``, trained along with its encoder."""
    folder = tmp_path_factory.mktemp("sites")
    write_genome(folder)
    words = ["finetune", folder / "g.fa", "-t", "donors", "--dense", "--train", folder / "s.bed",
             "--holdout", "c3", "-o", folder / "donors", "-m", model_folder, "--mode", "full",
             "--epochs", 30, "--batch-tokens", 2000, "--lr", 0.01, "-@", 1]  # fmt: skip
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """``run("embed", path, "-o", out)``: the command line, checked for tracebacks."""
    n_threads = torch.get_num_threads()
    monkeypatch.setattr(console, "SECONDS", math.inf)  # a slow machine has no more to say

    def invoke(*arguments: object, input: bytes | None = None, code: int = 0) -> Result:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr("sys.argv", ["findna", *words])
        result = CliRunner().invoke(main, words, input=input)
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert "Traceback" not in result.output
        assert result.exit_code == code, result.output[-2000:]
        return result

    yield invoke
    torch.set_num_threads(n_threads)  # as it was before --threads


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

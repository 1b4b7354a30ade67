from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from potstill.cluster.options import ClusterOptions
from potstill.cluster.spec import BaseSpec
from potstill.cluster.storage import Storage, open_storage
from potstill.ledger.ledger import Ledger
from potstill.models.torch_base import Base, load_base
from potstill.store.cells import Store
from random_model import write_random_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [f"What is {k} and {k * k} of {k % 7} things?" for k in range(50)]
    return write_random_model(tmp_path_factory.mktemp("models") / "tiny", texts, context_tokens=200)


@pytest.fixture(scope="session")
def base(model_folder: Path) -> Base:
    return load_base(model_folder, device="cpu")


@pytest.fixture(scope="session")
def spec_in(model_folder: Path, base: Base) -> Callable[[Path], BaseSpec]:
    """The tiny base as workers load it for a study in a directory, which is made."""

    def make(directory: Path) -> BaseSpec:
        Store(directory)
        path = str(model_folder)
        return BaseSpec(path, "float32", "cpu", "torch", base.base_hash, directory, 1)

    return make


@pytest.fixture
def baseless(spec_in: Callable[[Path], BaseSpec], tmp_path: Path) -> BaseSpec:
    """What workers are told for a study in the test's directory whose base is not there."""
    return replace(spec_in(tmp_path), path="/no/base")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's directory of a file's tests."""
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """The URL of a new bucket on an S3 server on loopback, to which this process has the keys."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "potstill")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "potstill-secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3").mkdir("students")
        yield "s3://students"
    server.stop()


@pytest.fixture
def storage(bucket: str, tmp_path: Path) -> Storage:
    """The storage in the bucket of a study in a directory of the test's own."""
    opened = open_storage(ClusterOptions(storage=f"{bucket}/runs"), tmp_path)
    assert opened is not None
    return opened


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened

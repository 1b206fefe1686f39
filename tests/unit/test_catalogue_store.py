"""Results and pictures in an object store: a real S3 server on this machine, in a process of its own."""

import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from reliable_ads.benchmarks.sleeping_engine import SleepingSpec
from reliable_ads.catalogue.claim import ClaimError
from reliable_ads.catalogue.rows import Catalogue
from reliable_ads.catalogue.run import Run
from reliable_ads.catalogue.storage import StorageError, open_storage

from .catalogue_examples import PROMPTS, check_whole, rows, write_csv, write_products

s3fs = pytest.importorskip("s3fs")
pytest.importorskip("moto")
KEYS = {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def bucket():
    """s3://shop on a server of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    before = {name: os.environ.get(name) for name in (*KEYS, "AWS_ENDPOINT_URL")}
    os.environ.update(KEYS, AWS_ENDPOINT_URL=endpoint)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(endpoint, timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        s3fs.S3FileSystem().mkdir("shop")
        yield "s3://shop"
    finally:
        server.kill()
        server.wait()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


@pytest.fixture
def put(bucket, tmp_path):
    """A catalogue of four products in the bucket; its URL."""
    path = write_csv(tmp_path / "products.csv", write_products(tmp_path, 4))
    store = s3fs.S3FileSystem()
    store.put(str(path), "shop/in/products.csv")
    store.put(str(tmp_path / "pictures"), "shop/in/pictures", recursive=True)
    return f"{bucket}/in/products.csv"


def run(listed: str, out: str, **more) -> dict:
    return Run(Catalogue(listed, PROMPTS), SleepingSpec(**more), open_storage(out), say=lambda line: None)()


@pytest.mark.slow(reason="a server")
def test_a_catalogue_in_a_bucket_into_a_bucket(bucket, put, tmp_path):
    out = f"{bucket}/results"
    listed = Catalogue(put, PROMPTS)
    summary = Run(listed, SleepingSpec(), open_storage(out), limit=2, say=lambda line: None)()
    assert summary["jobs"] == 2 and run(put, out)["jobs"] == 4 and run(put, out)["jobs"] == 4
    with pytest.raises(ClaimError, match="other settings"):
        run(put, out, rate=0.1)
    store = s3fs.S3FileSystem()
    store.get("shop/results", str(tmp_path / "got"), recursive=True)
    assert {row["id"] for row in rows(tmp_path / "got")} == {f"p{number}" for number in range(4)}
    check_whole(tmp_path / "got")
    assert not (tmp_path / "got" / "run.json").exists()


@pytest.mark.slow(reason="a server")
def test_what_is_not_in_a_bucket_is_named(bucket, put):
    with pytest.raises(StorageError, match=r"s3://shop/gone.csv.*(does not exist|can't be read)"):
        Catalogue(f"{bucket}/gone.csv", PROMPTS)
    with pytest.raises(OSError, match=r"s3://nobodys/x.*can't be"):
        run(put, "s3://nobodys/x")
    s3fs.S3FileSystem().rm("shop/in/pictures/1.png")
    summary = run(put, f"{bucket}/partly")
    assert summary["jobs"] == 3 and summary["failures"] == {"unusable picture": 1}

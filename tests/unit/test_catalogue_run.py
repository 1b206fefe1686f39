"""A run over a catalogue: what it writes, how it goes on, and whose results it leaves alone."""

import io
import json
import os
import shutil
import socket
import time

import pytest

from reliable_ads.benchmarks.sleeping_engine import SleepingSpec
from reliable_ads.catalogue import claim
from reliable_ads.catalogue import manifest as manifests
from reliable_ads.catalogue.claim import ClaimError, Lease
from reliable_ads.catalogue.manifest import ManifestError
from reliable_ads.catalogue.plan import dry_run
from reliable_ads.catalogue.progress import Progress, duration, serve_metrics
from reliable_ads.catalogue.rows import Catalogue, CatalogueError
from reliable_ads.catalogue.run import Run
from reliable_ads.catalogue.storage import open_storage
from reliable_ads.catalogue.summary import Failures, Totals
from reliable_ads.catalogue.worker import Worker

from .catalogue_examples import PROMPTS, catalogue, check_whole, failures, opened, rows, run, write_csv, write_products
from .gallery_examples import Links, files


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_one_row_per_attempt_and_one_picture_per_product(tmp_path, out):
    summary = run(catalogue(tmp_path), out, price=2.0)
    found = rows(out)
    assert summary["jobs"] == 6 == len({row["key"] for row in found}) and summary["to_do"] == 0
    assert summary["attempts"] == len(found) and summary["usable"] == sum(row["accepted"] for row in found)
    assert all(sum(row["returned"] for row in found if row["id"] == f"p{n}") == 1 for n in range(6))
    first = found[0]
    assert json.loads(first["carried"]) == {"colour": "blue"} and first["attempt"] == 1
    assert first["p_available"] in (pytest.approx(0.8), pytest.approx(0.05))
    assert json.loads(first["versions"]) == {"engine": "sleeping"}
    assert summary["price"] == pytest.approx(2 * summary["worker_hours"], abs=1e-3)
    assert json.loads((out / "summary.json").read_text()) == summary
    check_whole(out)


def test_again_it_draws_nothing(tmp_path, out):
    listed = catalogue(tmp_path)
    run(listed, out)
    before = files(out)
    run(listed, out)
    assert files(out) == before


def test_it_goes_on_where_it_was(tmp_path, out):
    listed = catalogue(tmp_path)
    assert run(listed, out, limit=2)["to_do"] == 4
    pictures = {name: content for name, content in files(out).items() if name.endswith((".png", ".jpeg", ".parquet"))}
    summary = run(listed, out)
    assert summary["to_do"] == 0 and pictures.items() <= files(out).items()
    assert len(list((out / "manifest").iterdir())) == 2
    whole = run(listed, tmp_path / "other")
    same = ("jobs", "usable", "attempts", "steps", "rejected_attempts_by_defect")
    assert {name: summary[name] for name in same} == {name: whole[name] for name in same}
    check_whole(out)


def test_new_products_are_drawn_and_old_ones_stay(tmp_path, out):
    run(catalogue(tmp_path, 3), out)
    summary = run(catalogue(tmp_path, 5), out)
    assert summary["jobs"] == 5
    assert run(catalogue(tmp_path, 2), out)["jobs"] == 5
    check_whole(out)


def test_a_worker_does_no_job_twice(tmp_path, out):
    job = next(iter(catalogue(tmp_path)))
    worker = Worker(SleepingSpec().open(), str(out), {})
    record = worker(job)
    kept = {name: os.stat(out / name).st_mtime_ns for name in files(out)}
    assert worker(job) == record and {name: os.stat(out / name).st_mtime_ns for name in files(out)} == kept


def test_killed_between_a_part_and_its_records(tmp_path, out, monkeypatch):
    """The records are still there: the part counts."""
    listed = catalogue(tmp_path)
    worker = Worker(SleepingSpec().open(), str(out), {})
    records = [worker(job) for job in listed]
    manifest = opened(out)
    assert len(manifest.pending) == 6
    monkeypatch.setattr(manifest.out, "delete", lambda names: None)
    manifest.flush()
    assert len(list((out / "records").iterdir())) == 6
    again = opened(out)
    assert again.pending == [] and again.totals.jobs == 6 and not any(map(again.add, records))
    check_whole(out)


def test_a_damaged_record_is_drawn_again_and_a_damaged_part_named(tmp_path, out):
    listed = catalogue(tmp_path)
    worker = Worker(SleepingSpec().open(), str(out), {})
    keys = [worker(job)["key"] for job in listed]
    (out / "records" / f"{keys[0]}.json").write_text('{"key": "')
    shutil.copy(out / "records" / f"{keys[1]}.json", out / "records" / f"{keys[2]}.json")
    manifest = opened(out)
    assert not manifest.is_done(keys[0]) and not manifest.is_done(keys[2]) and manifest.is_done(keys[1])
    manifest.flush()
    (part,) = (out / "manifest").iterdir()
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(ManifestError, match=r"part-000001.parquet.*is damaged"):
        opened(out)


def test_without_pyarrow_parts_are_json_until_there_is_some(tmp_path, out, monkeypatch):
    listed = catalogue(tmp_path)
    monkeypatch.setattr(manifests, "has_pyarrow", lambda: False)
    run(listed, out, limit=2)
    first = run(listed, out, limit=1)
    assert [path.name for path in sorted((out / "manifest").iterdir())] == ["part-000001.jsonl", "part-000002.jsonl"]
    monkeypatch.undo()
    summary = run(listed, out)
    assert first["jobs"] == 3 and summary["jobs"] == 6 and not list((out / "manifest").glob("*.jsonl"))
    check_whole(out)


def test_what_failed_is_named_and_tried_again(tmp_path, out):
    listed_rows = write_products(tmp_path, 5)
    listed_rows[1]["picture"] = "pictures/gone.png"
    (tmp_path / "pictures" / "text.png").write_text("no picture")
    listed_rows[2]["picture"] = "pictures/text.png"
    listed_rows[3]["id"] = "p0"
    listed = Catalogue(write_csv(tmp_path / "a.csv", listed_rows), PROMPTS)
    spec = SleepingSpec(fails=("p4",))
    summary = run(listed, out, spec)
    assert summary["jobs"] == 1 and summary["to_do"] == 3
    assert summary["failures"] == {"duplicate id": 1, "unusable picture": 1, "error": 2}
    assert [(each["line"], each["id"]) for each in failures(out)] == [(5, "p0"), (3, "p1"), (4, "p2"), (6, "p4")]
    assert "does not exist" in failures(out)[1]["reason"] and "asked to fail" in failures(out)[3]["reason"]
    page = (out / "index.html").read_text("utf-8")
    assert "p4" in page and "Without a result" in page
    shutil.copy(tmp_path / "pictures" / "0.png", tmp_path / "pictures" / "gone.png")
    assert run(listed, out, spec)["jobs"] == 2
    assert {each["id"] for each in failures(out)} == {"p0", "p2", "p4"}


def test_a_catalogue_without_a_usable_row_is_refused_first(tmp_path, out):
    listed_rows = [{**row, "picture": ""} for row in write_products(tmp_path, 2)]
    with pytest.raises(CatalogueError, match=r"no row of .* can be used: 2 × no picture: line 2"):
        run(Catalogue(write_csv(tmp_path / "a.csv", listed_rows), PROMPTS), out)


def test_what_failed_before_its_first_result_claims_no_folder(tmp_path, out):
    class Failing(SleepingSpec):
        def open(self):
            raise RuntimeError("no such device")

    with pytest.raises(RuntimeError):
        run(catalogue(tmp_path), out, Failing(rate=0.5))
    assert run(catalogue(tmp_path), out)["to_do"] == 0
    with pytest.raises(ClaimError, match=r"other settings \(seed was 0, is 7\)"):
        run(Catalogue(tmp_path / "products.csv", PROMPTS, seed=7), out)


def test_results_of_others_are_left_alone(tmp_path, out):
    listed = catalogue(tmp_path)
    run(listed, out)
    before = files(out)
    with pytest.raises(ClaimError, match=r"other settings \(rate was 0.6, is 0.5\)"):
        run(listed, out, SleepingSpec(rate=0.5))
    others = [{**row, "id": f"other{row['id']}"} for row in write_products(tmp_path, 3)]
    with pytest.raises(ClaimError, match="holds 6 results, none of them of this catalogue"):
        run(Catalogue(write_csv(tmp_path / "b.csv", others), PROMPTS), out)
    assert {name: files(out)[name] for name in before} == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("a page of mine")
    with pytest.raises(ClaimError, match="holds other files"):
        run(listed, tmp_path / "mine")
    (out / "catalogue.json").write_text("{}")
    with pytest.raises(ClaimError, match="can't be read"):
        run(listed, out)


def test_one_run_at_a_time(tmp_path):
    out = open_storage(tmp_path)
    with Lease(out), Lease(out):  # this process itself
        pass
    for about, refused in (
        ({"host": "elsewhere", "pid": 1}, True),
        ({"host": socket.gethostname(), "pid": 2**22 + 1}, False),
    ):
        out.write("run.json", json.dumps({**about, "beat": 4e9}).encode())
        if refused:
            with pytest.raises(ClaimError, match=r"another run works in .*process 1 on elsewhere"), Lease(out):
                pass
        else:
            with Lease(out):
                pass


def test_a_run_whose_jobs_take_long_still_says_that_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "BEAT", 0.01)
    out = open_storage(tmp_path)
    with Lease(out):
        first = out.read("run.json")
        until = time.monotonic() + 20
        while out.read("run.json") == first and time.monotonic() < until:
            time.sleep(0.01)
        assert out.read("run.json") != first
    assert not out.exists("run.json")


def test_a_dry_run_says_hours_and_memory_and_writes_nothing(tmp_path, out):
    def said(spec=None, **more) -> str:
        lines = []
        listed = catalogue(tmp_path)
        dry_run(Run(listed, spec or SleepingSpec(seconds=0.01), open_storage(out), **more), 2, lines.append)
        return "\n".join(lines)

    assert "6 jobs, 0 of them done; 6 in this run." in said() and "Time: not known yet" in said()
    assert not out.exists()
    run(catalogue(tmp_path), out, SleepingSpec(seconds=0.01), limit=4)
    shutil.rmtree(out / "pages")
    before = files(out)
    assert "2 in this run" in said() and "GiB at most, measured on 4 results" in said()
    assert "worker-hours to do. Price: " in said(price=1e6) and "With 2 workers: 0 s." in said()
    with pytest.raises(ClaimError, match="other settings"):
        said(SleepingSpec(rate=0.1))
    assert files(out) == before


def test_chunks_of_a_plan_are_read_one_by_one(tmp_path):
    pytest.importorskip("ray")
    from reliable_ads.catalogue.ray_run import CHUNKS_PER_FILE, read_chunk, write_chunks

    listed, out = list(catalogue(tmp_path, 5)), open_storage(tmp_path / "out")
    assert write_chunks(out, iter(listed), 2) == 3
    assert [job for number in range(3) for job in read_chunk(out, number)] == listed
    many = [listed[0]] * (2 * CHUNKS_PER_FILE + 1)
    assert write_chunks(out, iter(many), 2) == CHUNKS_PER_FILE + 1
    assert read_chunk(out, CHUNKS_PER_FILE) == listed[:1] and len(read_chunk(out, CHUNKS_PER_FILE - 1)) == 2


def test_pages_show_all_and_lead_to_files_that_exist(tmp_path, out, monkeypatch):
    monkeypatch.setattr("reliable_ads.catalogue.page.ON_A_PAGE", 4)
    run(catalogue(tmp_path), out)
    words = []
    for page in (out / "index.html", out / "pages" / "000001-1.html", out / "pages" / "000001-2.html"):
        read = Links(page.read_text("utf-8"))
        assert read.links and not [link for link in read.links if not (page.parent / link).exists()]
        assert not read.tags & {"script", "link", "iframe"}
        words += read.words
    assert {f"bottle {number}" for number in range(6)} <= set(words)
    assert len(list((out / "pages").iterdir())) == 2


def test_what_a_catalogue_says_is_text_on_a_page(tmp_path, out):
    rows_ = write_products(tmp_path, 1)
    rows_[0] |= {"caption": "<script>alert(1)</script>", "id": "../../x"}
    run(Catalogue(write_csv(tmp_path / "a.csv", rows_), PROMPTS), out)
    assert "script" not in Links((out / "pages" / "000001-1.html").read_text("utf-8")).tags
    check_whole(out)


def test_the_progress_line_and_the_numbers_for_prometheus():
    import urllib.request

    totals = Totals(jobs=4, usable=3, attempts=9, seconds=7200)
    stream = io.StringIO()
    progress = Progress(10, totals, Failures(), 1.5, stream)
    progress.count(False)
    progress.count(True)
    progress.show(last=True)
    assert (
        stream.getvalue().startswith("2/10 · ")
        and "75% usable · 2.00 worker-hours = 3.00 · 1 failed" in stream.getvalue()
    )
    server, thread = serve_metrics(progress, 0)
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    server.shutdown()
    thread.join()
    assert "cyclic_jobs_done 2.0" in text and "cyclic_results_usable 3.0" in text and "cyclic_spend 3.0" in text
    assert [duration(seconds) for seconds in (40, 600, 7500, 200000)] == ["40 s", "10 min", "2 h 5 min", "2 d 7 h"]

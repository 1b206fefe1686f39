"""A catalogue's rows: every format gives the same jobs, and what is wrong with a row is named with its line."""

import json

import pytest

from reliable_ads.catalogue.rows import BadRow, Catalogue, CatalogueError, Job
from reliable_ads.rfnet.pictures import PictureError

from .catalogue_examples import PROMPTS, catalogue, write_csv, write_products


def jobs(listed) -> list:
    return [row for row in listed if isinstance(row, Job)]


def bad(listed) -> list:
    return [(row.line, row.id, row.kind) for row in listed if isinstance(row, BadRow)]


def test_every_format_gives_the_same_jobs(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    rows = write_products(tmp_path, 3)
    write_csv(tmp_path / "a.csv", rows)
    write_csv(tmp_path / "b.csv", rows, delimiter=";")
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.csv").read_bytes())
    (tmp_path / "utf16.csv").write_text((tmp_path / "a.csv").read_text("utf-8"), encoding="utf-16")
    (tmp_path / "c.jsonl").write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    read = {}
    for name in ("a.csv", "b.csv", "bom.csv", "utf16.csv", "c.jsonl", "d.parquet"):
        read[name] = [(job.key, job.seed, job.prompt, job.carried) for job in jobs(Catalogue(tmp_path / name, PROMPTS))]
    assert len(read["a.csv"]) == 3 and read["a.csv"][1][2:] == ("bottle 1 on a table", {"colour": "blue"})
    assert all(found == read["a.csv"] for found in read.values())


def test_a_folder_is_a_catalogue(tmp_path):
    write_products(tmp_path, 2)
    (tmp_path / "pictures" / "0.txt").write_text("a blue bottle")
    found = jobs(Catalogue(tmp_path / "pictures", PROMPTS))
    assert [(job.id, job.prompt) for job in found] == [("0.png", "a blue bottle on a table"), ("1.png", "1 on a table")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(PictureError, match="holds no product pictures"):
        list(Catalogue(tmp_path / "empty", PROMPTS))


def test_a_row_may_have_prompts_of_its_own(tmp_path):
    rows = [
        {"picture": "a.png", "caption": "mug", "prompts": ["{caption} on sand", "{caption} at sea"]},
        {"picture": "b.png", "caption": "cup", "prompts": '["{caption} on sand"]', "prompt": "a cup"},
        {"picture": "c.png", "caption": "jug", "prompts": "on sand\nat sea"},
        {"picture": "d.png", "caption": "tin"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = [job.prompt for job in jobs(Catalogue(tmp_path / "a.jsonl", PROMPTS))]
    assert found == ["mug on sand", "mug at sea", "cup on sand", "a cup", "on sand", "at sea", "tin on a table"]


def test_a_job_depends_on_its_own_row_alone(tmp_path):
    rows = write_products(tmp_path, 3)
    write_csv(tmp_path / "a.csv", rows)
    write_csv(tmp_path / "b.csv", rows[2:])
    whole, part = (jobs(Catalogue(tmp_path / name, PROMPTS)) for name in ("a.csv", "b.csv"))
    assert (whole[2].key, whole[2].seed) == (part[0].key, part[0].seed)
    assert len({job.seed for job in whole}) == 3
    assert jobs(Catalogue(tmp_path / "b.csv", PROMPTS, seed=5))[0].seed == part[0].seed + 5


def test_what_is_wrong_with_a_row_is_named(tmp_path):
    rows = write_products(tmp_path, 3)
    rows += [{**rows[0], "caption": "again"}, {**rows[1], "id": "p9", "picture": ""}]
    path = write_csv(tmp_path / "a.csv", rows)
    path.write_text(path.read_text() + "x,pictures/0.png,has,too,many,values\n")
    listed = Catalogue(path, PROMPTS)
    assert bad(listed) == [(5, "p0", "duplicate id"), (6, "p9", "no picture"), (7, "", "unreadable row")]
    assert len(jobs(listed)) == 3
    (tmp_path / "a.jsonl").write_text('{"picture": "a.png"\n[1]\n{"picture": "a.png", "prompt": ""}\n"text"\n')
    assert bad(Catalogue(tmp_path / "a.jsonl")) == [
        (1, "", "unreadable row"),
        (2, "", "unreadable row"),
        (3, "a.png", "no prompt"),
        (4, "", "unreadable row"),
    ]


def test_columns_have_any_name(tmp_path):
    write_products(tmp_path, 1)
    path = write_csv(tmp_path / "a.csv", [{"sku": "7", "img": "pictures/0.png", "title": "mug", "text": "{caption}!"}])
    columns = {"id": "sku", "picture": "img", "caption": "title", "prompt": "text"}
    (job,) = jobs(Catalogue(path, columns=columns))
    assert (job.id, job.caption, job.prompt, job.carried) == ("7", "mug", "mug!", {})
    with pytest.raises(CatalogueError, match=r'no column "picture" \(it has .*img.*--columns picture=COLUMN'):
        Catalogue(path, PROMPTS)
    with pytest.raises(CatalogueError, match=r'no column "prompt".*--prompt'):
        Catalogue(path, columns={"picture": "img"})
    with pytest.raises(CatalogueError, match="names pictures, which is none of"):
        Catalogue(path, PROMPTS, {"pictures": "img"})


def test_what_is_no_catalogue_is_refused(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "a.parquet").write_bytes(b"no")
    (tmp_path / "latin.csv").write_bytes("picture,caption\na.png,grün\n".encode("latin-1"))
    (tmp_path / "long.csv").write_bytes(b"picture,caption\n" + b"a.png,x\n" * 9000 + b"b.png,gr\xfcn\n")
    with pytest.raises(CatalogueError, match="is not in UTF-8"):  # not after the pictures of all rows before
        list(Catalogue(tmp_path / "long.csv", PROMPTS))
    for name, sentence in (
        ("a.xlsx", "is no catalogue: give a .csv"),
        ("empty.csv", "is empty"),
        ("a.parquet", "is damaged .*: write or copy it again"),
        ("latin.csv", "is not in UTF-8 .byte 0xfc.: save the table as CSV in UTF-8"),
    ):
        with pytest.raises(CatalogueError, match=sentence):
            Catalogue(tmp_path / name, PROMPTS)
    with pytest.raises(OSError, match="does not exist"):
        Catalogue(tmp_path / "gone.csv", PROMPTS)
    with pytest.raises(OSError, match="neither a path nor an object store"):
        Catalogue("https://example.org/a.csv", PROMPTS)


def test_a_catalogue_is_read_as_often_as_one_likes(tmp_path):
    listed = catalogue(tmp_path, 4)
    assert list(listed) == list(listed) and len(list(listed)) == 4


def test_a_picture_is_found_under_its_own_name_whatever_spaces_it_has(tmp_path):
    names = ["red  mug.png", "a\u00a0b.png", "Shot 9.41\u202fAM.png"]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"picture": name, "caption": "x"}) for name in names))
    assert [job.picture.rpartition("/")[2] for job in jobs(Catalogue(tmp_path / "a.jsonl", PROMPTS))] == names


def test_a_table_that_would_be_misread_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text('picture,caption\na.png,"5 inch mug\nb.png,a cup\n')
    with pytest.raises(CatalogueError, match=r"a.csv\" opens a quote in line 2 that never closes"):
        list(Catalogue(tmp_path / "a.csv", PROMPTS))
    (tmp_path / "b.csv").write_text("picture,caption,caption\na.png,a mug,a cup\n")
    with pytest.raises(CatalogueError, match="names the column caption twice"):
        list(Catalogue(tmp_path / "b.csv", PROMPTS))

"""Which folders may be read for someone who need not be the owner."""

import pytest

from reliable_ads.rfnet.reach import LIST, in_reach, listed


@pytest.fixture
def base(tmp_path):
    for name in ("host/outputs/ads", "shop", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path / "host"


def test_folders_below_the_roots_are_in_reach(base):
    roots = [base / "outputs", base.parent / "shop"]
    for name in ("outputs/ads", "outputs", f'"{base}/outputs/ads/"', str(base.parent / "shop"), "outputs/later"):
        assert in_reach(name, base, roots) is not None, name
    assert in_reach("outputs/ads", base, roots) == (base / "outputs" / "ads").resolve()


def test_what_lies_or_leads_elsewhere_is_not(base):
    (base / "outputs" / "link").symlink_to(base.parent / "elsewhere")
    (base / "outputs" / "loop").symlink_to(base / "outputs" / "loop")
    names = ["..", ".", "outputs/../..", str(base.parent / "elsewhere"), "outputs/link", "outputs/loop", "/", "~nobody"]
    names += ["//server/share", "\\\\server\\share", "a\0b", "x" * 5000]
    assert [name for name in names if in_reach(name, base, [base / "outputs"]) is not None] == []


def test_the_owner_lists_folders_in_a_file(base):
    assert listed(base) == []
    shop = base.parent / "shop"
    (base / LIST).write_text(f'# mine\n\n"{shop}"\n../elsewhere\n', encoding="utf-8-sig")
    assert in_reach(str(shop), base, listed(base)) == shop.resolve()
    assert in_reach("../elsewhere", base, listed(base)) is not None
    (base / LIST).write_bytes(b"\xff\xfe\x00/")
    assert listed(base) == []

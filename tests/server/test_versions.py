"""A ComfyUI that is newer or older than those that the pack was tested with: one sentence in the log says so."""

import re

import reliable_ads
from reliable_ads.devtools.client import ComfyClient
from reliable_ads.devtools.comfy import ROOT, ComfyServer

NEWER = (
    "import comfy.options\ncomfy.options.enable_args_parsing()\nimport comfy.supported_models\ndel"
    " comfy.supported_models.SD15\n"
)


def test_a_comfyui_that_lacks_something_is_named_with_the_versions_that_were_tested(tmp_path):
    (tmp_path / "custom_nodes" / "newer").mkdir(parents=True)
    (tmp_path / "custom_nodes" / "newer" / "prestartup_script.py").write_text(NEWER)
    (tmp_path / "custom_nodes" / "newer" / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    with ComfyServer(tmp_path, tmp_path / "server.log", ("--cpu",)) as server:
        assert "RFProduct" not in ComfyClient(server.address).ask("/object_info")
        version = ComfyClient(server.address).ask("/system_stats")["system"]["comfyui_version"]
    log = server.log.read_text(encoding="utf-8", errors="replace")
    tested = f"it was tested with {reliable_ads.OLDEST_COMFYUI} to {reliable_ads.NEWEST_COMFYUI}"
    assert re.search(rf"Reliable Ads does not fit this ComfyUI {re.escape(version)}; {tested}.*SD15", log)
    assert "(IMPORT FAILED)" in log


def test_a_package_that_is_missing_is_named_with_the_command():
    said = reliable_ads.why_not(ModuleNotFoundError("No module named 'timm'", name="timm"))
    assert "needs the package timm" in said and "-m pip install -r requirements.txt" in said
    assert "does not fit this ComfyUI" in reliable_ads.why_not(
        ModuleNotFoundError("No module named 'comfy_api.latest'", name="comfy_api.latest")
    )


def test_the_oldest_version_is_the_one_that_the_registry_is_told():
    assert f'requires-comfyui = ">={reliable_ads.OLDEST_COMFYUI}"' in (ROOT / "pyproject.toml").read_text(
        encoding="utf-8"
    )

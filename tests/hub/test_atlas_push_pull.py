"""An atlas goes to a stand-in for the Hub and comes back byte for byte; all else is refused in words."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from huggingface_hub import constants
from stand_in import StandIn
from typer.testing import CliRunner

from headscope.cli.app import app
from headscope.errors import HubError, StoreError, StudyError
from headscope.hub.pull import pull_atlas
from headscope.hub.push import push_atlas
from headscope.models.embedded import atlas_file
from headscope.probing.atlas import Atlas
from headscope.seals import sealed

NAME = "my-lab/atlas-embedded"


def test_what_was_pushed_is_pulled_byte_for_byte(hub: StandIn, atlas_path: Path, tmp_path: Path) -> None:
    url = push_atlas(atlas_path, NAME, endpoint=hub.url)
    sha, files = hub.repositories[NAME].commits[-1]
    assert url == f"{hub.url}/{NAME}/commit/{sha}"
    assert files.keys() == {".gitattributes", "atlas.json", "README.md"}
    pulled = pull_atlas(NAME, tmp_path / "deep" / "mine.json", endpoint=hub.url)
    assert (tmp_path / "deep" / "mine.json").read_bytes() == atlas_path.read_bytes() == files["atlas.json"]
    assert pulled == Atlas.load(atlas_path)
    assert hub.repositories[NAME].private
    assert hub.repositories[NAME].messages[-1] == "Atlas of embedded"


def test_the_commands_push_and_pull(hub: StandIn, atlas_path: Path, tmp_path: Path) -> None:
    runner, out = CliRunner(), tmp_path / "mine.json"
    to = ["--endpoint", hub.url]
    pushed = runner.invoke(app, ["atlas", "push", str(atlas_path), NAME, "--public", "--licence", "mit", *to])
    assert pushed.exit_code == 0, pushed.exception
    assert pushed.stdout.startswith(f"{hub.url}/{NAME}/commit/")
    assert not hub.repositories[NAME].private
    assert b'license: "mit"' in hub.repositories[NAME].commits[-1][1]["README.md"]
    revision = hub.repositories[NAME].commits[-1][0]
    pulled = runner.invoke(app, ["atlas", "pull", NAME, "--revision", revision, "--out", str(out), *to])
    assert pulled.exit_code == 0, pulled.exception
    assert pulled.stdout == f"{out}\n"
    assert out.read_bytes() == atlas_path.read_bytes()
    again = runner.invoke(app, ["atlas", "pull", NAME, "--out", str(out), *to])
    assert isinstance(again.exception, StoreError)
    assert "say --overwrite" in str(again.exception)


def test_an_atlas_in_memory_and_one_without_a_checksum_are_pushed_with_one(
    hub: StandIn, atlas_path: Path, tmp_path: Path
) -> None:
    assert '"checksum"' not in atlas_file().read_text("utf-8")
    for number, given in enumerate((Atlas.load(atlas_path), atlas_file())):
        push_atlas(given, f"lab/a{number}", endpoint=hub.url)
        pull_atlas(f"lab/a{number}", tmp_path / f"{number}.json", endpoint=hub.url)
        assert (tmp_path / f"{number}.json").read_bytes() == atlas_path.read_bytes()


def test_pushing_the_same_again_makes_no_commit_and_a_revision_stays(
    hub: StandIn, atlas_path: Path, tmp_path: Path
) -> None:
    push_atlas(atlas_path, NAME, endpoint=hub.url)
    first = hub.repositories[NAME].commits[-1][0]
    push_atlas(atlas_path, NAME, endpoint=hub.url)
    assert hub.repositories[NAME].commits[-1][0] == first
    other = Atlas.load(atlas_path).model_copy(update={"level": 0.01})
    push_atlas(other, NAME, endpoint=hub.url)
    assert pull_atlas(NAME, tmp_path / "new.json", endpoint=hub.url).level == 0.01
    pull_atlas(NAME, tmp_path / "old.json", endpoint=hub.url, revision=first)
    assert (tmp_path / "old.json").read_bytes() == atlas_path.read_bytes()


def test_what_is_asked_privately_does_not_go_to_a_public_repository(hub: StandIn, atlas_path: Path) -> None:
    held = hub.add(NAME, {"README.md": b"mine"})
    with pytest.raises(HubError, match="asked to push privately, found a public repository"):
        push_atlas(atlas_path, NAME, endpoint=hub.url)
    assert len(held.commits) == 1
    push_atlas(atlas_path, NAME, private=False, endpoint=hub.url)
    assert len(held.commits) == 2


def test_no_request_is_made_where_the_network_is_switched_off(
    hub: StandIn, atlas_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match=r"the network is switched off .*nothing is sent or fetched; unset it"):
        push_atlas(atlas_path, NAME, endpoint=hub.url)
    with pytest.raises(HubError, match="the network is switched off"):
        pull_atlas(NAME, tmp_path / "a.json", endpoint=hub.url)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("name", "keywords", "said"),
    [
        ("atlas", {}, "asked for the repository 'atlas'; expected NAME/REPO"),
        ("a/../b", {}, "asked for the repository"),
        (NAME, {"endpoint": "file:///etc"}, "asked for the endpoint 'file:///etc'; expected an address"),
        (NAME, {"endpoint": "https://me:secret@hub"}, "asked for the endpoint"),
        (NAME, {"licence": "mit\ntags: x"}, "asked for the licence"),
        (NAME, {"datasets": ("no name",)}, "asked for the data set 'no name'; expected NAME/REPO"),
    ],
)
def test_names_that_are_none_are_refused_before_anything_is_sent(
    hub: StandIn, atlas_path: Path, name: str, keywords: dict[str, object], said: str
) -> None:
    with pytest.raises(HubError, match=said):
        push_atlas(atlas_path, name, **{"endpoint": hub.url, **keywords})  # type: ignore[arg-type]
    assert hub.asked == []


def test_a_missing_token_and_one_that_is_refused_are_said(
    hub: StandIn, atlas_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    with pytest.raises(HubError, match=r"the token was refused \(status 401\); log in with `hf auth login`"):
        push_atlas(atlas_path, NAME, endpoint=hub.url)
    monkeypatch.delenv("HF_TOKEN")
    hub.asked.clear()
    with pytest.raises(HubError, match="there is no token; log in with `hf auth login`, or set HF_TOKEN"):
        push_atlas(atlas_path, NAME, endpoint=hub.url)
    assert hub.asked == []
    assert hub.repositories == {}


def test_a_repository_or_revision_that_is_not_there_is_said(hub: StandIn, tmp_path: Path) -> None:
    with pytest.raises(HubError, match=f"{NAME} at {hub.url}: could not be pulled: no such repository"):
        pull_atlas(NAME, tmp_path / "a.json", endpoint=hub.url)
    hub.add(NAME, {"atlas.json": b"{}"})
    with pytest.raises(HubError, match="it has no revision v9; leave --revision out"):
        pull_atlas(NAME, tmp_path / "a.json", endpoint=hub.url, revision="v9")


def changed(atlas_path: Path, **values: object) -> bytes:
    """The atlas with other fields, under a checksum that holds."""
    content = json.loads(atlas_path.read_text("utf-8")) | values
    content.pop("checksum")
    return sealed(json.dumps(content, indent=1)).encode()


def test_what_is_no_good_atlas_replaces_nothing(hub: StandIn, atlas_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    out.write_bytes(b"as it was")
    good = atlas_path.read_bytes()
    refused = {
        "asked for atlas.json, found 'README.md', 'weights.bin'": {"README.md": b"", "weights.bin": b""},
        "is of schema headscope/atlas/99, newer than headscope/atlas/2": changed(
            atlas_path, schema="headscope/atlas/99"
        ),
        "found 'headscope/ablation/2'": changed(atlas_path, schema="headscope/ablation/2"),
        "has no checksum, so it cannot be told whole": json.dumps(
            json.loads(atlas_file().read_text())
        ).encode(),
        "its checksum does not hold": good.replace(b'"level": 0.05', b'"level": 0.06'),
        "functions: input should be a valid array": changed(atlas_path, functions="all"),
        r"is no JSON object \(JSONDecodeError\)": good[: len(good) // 2],
        r"is no JSON object \(UnicodeDecodeError\)": b"\xff\xfe\x00",
        r"is no JSON object \(AttributeError\)": b"[]",
    }
    for said, content in refused.items():
        hub.add(NAME, content if isinstance(content, dict) else {"atlas.json": content})
        with pytest.raises(HubError, match=said) as seen:
            pull_atlas(NAME, out, endpoint=hub.url, overwrite=True)
        assert f"{NAME} at {hub.url}, commit {hub.repositories[NAME].commits[-1][0]}" in str(seen.value)
        assert out.read_bytes() == b"as it was"
    hub.add(NAME, {"atlas.json": good})
    pull_atlas(NAME, out, endpoint=hub.url, overwrite=True)
    assert out.read_bytes() == good


def test_a_server_that_fails_or_is_not_there_is_said(hub: StandIn, atlas_path: Path, tmp_path: Path) -> None:
    hub.broken = True
    for act in (
        lambda: push_atlas(atlas_path, NAME, endpoint=hub.url),
        lambda: pull_atlas(NAME, tmp_path / "a.json", endpoint=hub.url),
    ):
        with pytest.raises(HubError, match=r"an error of its own \(status 500\); try again later"):
            act()
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(HubError, match="check the address and the network, then try again"):
            pull_atlas(NAME, tmp_path / "a.json", endpoint=nobody)


def test_a_folder_without_an_atlas_is_refused_before_anything_is_sent(hub: StandIn, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"holds no study and no atlas\.json"):
        push_atlas(tmp_path, NAME, endpoint=hub.url)
    assert hub.asked == []

"""One way of reading pictures: from a file and from memory the same pixels come, upright and in RGB."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import headscope as hs
from headscope.data.pictures import PictureError, decode_rgb, locate, read_rgb, read_size, to_rgb
from headscope.models.proofs.picture_proof import noise_picture
from headscope.models.types import Prompt

# What each EXIF value does to the stored rows and columns: written out from the standard, not from Pillow.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}
FORMATS = {
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "RGBA", "P", "L", "LA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
}
CASES = [(f, m, t) for f, modes in FORMATS.items() for m in modes for t in TURNS]


def pixels(mode: str) -> tuple[Image.Image, NDArray[np.uint8]]:
    """A picture of four blocks of 16 x 24 pixels, and what it looks like over white in RGB."""
    colours = [(255, 0, 0), (0, 128, 0), (0, 0, 255), (250, 250, 0)]
    look = np.zeros((32, 48, 3), np.uint8)
    for i, colour in enumerate(colours):
        look[16 * (i // 2) : 16 * (i // 2) + 16, 24 * (i % 2) : 24 * (i % 2) + 24] = colour
    whole = Image.fromarray(look)
    if mode == "I;16":
        grey = np.asarray(whole.convert("L"))
        return Image.fromarray(grey.astype(np.uint16) * 257), np.repeat(grey[..., None], 3, axis=2)
    if mode in ("RGBA", "LA"):
        grey = whole.convert(mode[:-1])
        shown = np.asarray(grey.convert("RGB")).copy()
        clear = Image.fromarray(
            np.where(np.arange(48)[None] < 24, 0, 255).astype(np.uint8).repeat(32, axis=0)
        )
        grey.putalpha(clear)
        shown[:, :24] = 255
        return grey, shown
    if mode == "P":
        flat = whole.quantize(8)
        return flat, np.asarray(flat.convert("RGB"))
    if mode == "CMYK":
        return whole.convert("CMYK"), np.asarray(whole.convert("CMYK").convert("RGB"))
    return whole.convert(mode), np.asarray(whole.convert(mode).convert("RGB"))


@pytest.mark.parametrize(("form", "mode", "turn"), CASES)
def test_a_picture_from_a_file_and_from_memory_are_the_same_and_upright(
    form: str, mode: str, turn: int, tmp_path: Path
) -> None:
    picture, look = pixels(mode)
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / f"a.{form.lower()}"
    picture.save(
        path,
        form,
        exif=exif,
        **({"lossless": True} if form == "WEBP" else {"quality": 98} if form == "JPEG" else {}),
    )
    upright = TURNS[turn](look)
    from_file = np.asarray(read_rgb(path))
    with Image.open(path) as opened:
        from_memory = np.asarray(to_rgb(opened))
    from_bytes = np.asarray(to_rgb(Image.open(io.BytesIO(path.read_bytes()))))
    assert from_file.shape == upright.shape == (*read_size(path)[::-1], 3)
    assert np.array_equal(from_file, from_memory)
    assert np.array_equal(from_file, from_bytes)
    difference = np.abs(from_file.astype(int) - upright)
    assert np.median(difference) == 0 if form != "JPEG" else np.median(difference) <= 4
    assert (difference > 60).mean() < 0.1  # JPEG blurs the edges of blocks
    loaded = Image.open(path)
    loaded.load()
    assert np.array_equal(np.asarray(to_rgb(loaded.copy())), from_file)


def test_exif_in_a_png_is_found_wherever_it_stands_and_costs_no_decoding(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    noise_picture((64, 32), 90).save(tmp_path / "a.png", exif=exif)
    content = (tmp_path / "a.png").read_bytes()
    at = content.index(b"eXIf") - 4
    size = int.from_bytes(content[at : at + 4], "big") + 12
    chunk, end = content[at : at + size], content.index(b"IEND") - 4
    behind = content[:at] + content[at + size : end] + chunk + content[end:]
    (tmp_path / "behind.png").write_bytes(behind)
    for name in ("a.png", "behind.png"):
        assert read_size(tmp_path / name) == (32, 64)
        assert read_rgb(tmp_path / name).size == (32, 64)
    cut = content.index(b"IDAT") + 30  # the header says the size even where the pixels are cut off
    plain = io.BytesIO()
    noise_picture((64, 32), 90).save(plain, "PNG")
    (tmp_path / "cut.png").write_bytes(plain.getvalue()[:cut])
    assert read_size(tmp_path / "cut.png") == (64, 32)


@pytest.mark.parametrize("turn", [0, 9, 400])
def test_exif_that_says_nothing_leaves_the_picture_as_it_is(turn: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.new("RGB", (64, 32)).save(tmp_path / "a.jpg", exif=exif)
    assert read_size(tmp_path / "a.jpg") == read_rgb(tmp_path / "a.jpg").size == (64, 32)


def test_damaged_exif_does_not_lose_the_picture(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 32)).save(buffer, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\xff")
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    assert read_rgb(tmp_path / "a.jpg").size == (64, 32)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_of_unknown_range_are_refused_in_memory_and_from_files_alike(
    mode: str, tmp_path: Path
) -> None:
    with pytest.raises(PictureError, match="deep pixels"):
        to_rgb(Image.new(mode, (8, 8)))
    Image.new("F", (8, 8)).save(tmp_path / "a.tiff")
    with pytest.raises(PictureError):
        decode_rgb(tmp_path / "a.tiff")


def test_a_picture_that_is_rgb_already_is_given_back_itself() -> None:
    picture = Image.new("RGB", (8, 8), "red")
    assert to_rgb(picture) is picture
    keyed = picture.copy()
    keyed.info["transparency"] = (255, 0, 0)
    assert to_rgb(keyed).getpixel((0, 0)) == (255, 255, 255)


def test_names_are_found_in_either_way_of_writing_their_letters(tmp_path: Path) -> None:
    composed, apart = "caf\u00e9.png", "cafe\u0301.png"
    Image.new("RGB", (8, 8)).save(tmp_path / composed)
    assert locate(tmp_path, apart).name == composed
    Image.new("RGB", (8, 8), "red").save(tmp_path / apart)
    assert locate(tmp_path, apart).name == apart


def test_the_model_sees_pictures_of_python_as_it_sees_files(tmp_path: Path) -> None:
    vlm = hs.load_model("embedded")
    exif = Image.Exif()
    exif[0x0112] = 6
    half = noise_picture((96, 64), 90).convert("RGBA")
    half.putalpha(Image.linear_gradient("L").resize((96, 64)))
    half.save(tmp_path / "a.png", exif=exif)
    upright = read_rgb(tmp_path / "a.png")
    assert upright.size == (64, 96)
    with Image.open(tmp_path / "a.png") as opened:
        seen, wanted = (vlm.encode([Prompt(p, "Is there a dog?")]).inputs for p in (opened, upright))
    assert torch.equal(seen["pixel_values"], wanted["pixel_values"])


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"\0\0\0\x18ftypheic" + b"\0" * 40, "an HEIC or AVIF picture"),
        (b"II*\0" + b"\0" * 40, "a TIFF or raw picture"),
        (b"hello", "not a picture"),
        (b"", "not a picture"),
    ],
)
def test_pictures_of_other_kinds_are_called_by_their_name(head: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(head)
    with pytest.raises(PictureError, match=said):
        read_size(tmp_path / "a.jpg")


def test_paths_and_arrays_are_pictures(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    alpha = np.dstack([pixels, np.full((24, 32), 255, np.uint8)])
    for given in (tmp_path / "a.png", str(tmp_path / "a.png"), pixels, torch.from_numpy(pixels), alpha):
        assert np.array_equal(np.asarray(to_rgb(given)), pixels)
    grey = pixels[:, :, 0]
    for given in (grey, grey[:, :, None], grey.astype(np.uint16) * 257):
        assert np.array_equal(np.asarray(to_rgb(given)), np.dstack([grey] * 3))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((3, 24, 32), np.uint8), r"shape \(3, 24, 32\), .*np.moveaxis\(array, 0, -1\)"),
        (np.zeros((24, 32, 3)), r"an array of float64, expected uint8; of numbers from 0 to 1"),
        (np.zeros((24, 32, 3), np.int64), r"an array of int64"),
        (np.zeros((0, 32, 3), np.uint8), r"shape \(0, 32, 3\)"),
        (None, "NoneType, expected a picture of Pillow, the path of a file, or an array"),
        (b"\x89PNG", "bytes, expected a picture"),
        ("none.png", "none.png"),
    ],
)
def test_what_is_no_picture_is_refused_by_what_it_is(tiny: hs.VLM, given: Any, said: str) -> None:
    with pytest.raises(PictureError, match=said):
        to_rgb(given)
    with pytest.raises(PictureError, match=said):
        hs.read(tiny, given, "Where is the dog?")


def test_a_model_reads_the_same_picture_from_a_path_an_array_and_memory(tiny: hs.VLM, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    wanted = hs.read(tiny, Image.fromarray(pixels), "Where is the dog?").z
    for given in (pixels, tmp_path / "a.png", str(tmp_path / "a.png")):
        assert hs.read(tiny, given, "Where is the dog?").z.equals(wanted)

"""Make the sprite pictures in src/headscope/making/scenes/assets from the iconify npm packages.

Needs npm, resvg-py, Pillow, numpy and DejaVu Sans Bold:
    python tools/build_sprites.py [--work /tmp/iconify] [--font DejaVuSans-Bold.ttf]
Every picture is luminance plus alpha, cropped to its box, longest side 88 pixels, facing left.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image, ImageDraw, ImageFont

ASSETS = Path(__file__).parents[1] / "src/headscope/making/scenes/assets"
SIDE = 88
RENDER = 704
LETTERS = "ACEHLPTVXZ"
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"
PACKAGES = {
    "fluent": ("fluent-emoji-flat", "1.2.6"),
    "noto": ("noto", "1.2.9"),
    "twemoji": ("twemoji", "1.2.5"),
}
# kind: (set and icon of variant 0, set and icon of variant 1); all of these face left as drawn
ICONS: dict[str, tuple[str, str]] = {
    "dog": ("fluent:dog", "twemoji:dog"),
    "cat": ("fluent:cat", "twemoji:cat"),
    "horse": ("fluent:horse", "twemoji:horse"),
    "cow": ("fluent:cow", "twemoji:cow"),
    "pig": ("fluent:pig", "twemoji:pig"),
    "sheep": ("noto:ewe", "fluent:ewe"),
    "rabbit": ("fluent:rabbit", "twemoji:rabbit"),
    "duck": ("fluent:duck", "noto:duck"),
    "elephant": ("fluent:elephant", "twemoji:elephant"),
    "fish": ("noto:fish", "twemoji:fish"),
    "snail": ("fluent:snail", "twemoji:snail"),
    "car": ("fluent:automobile", "noto:automobile"),
    "truck": ("fluent:delivery-truck", "noto:delivery-truck"),
    "tractor": ("fluent:tractor", "twemoji:tractor"),
    "scooter": ("noto:motor-scooter", "twemoji:motor-scooter"),
    "train": ("fluent:locomotive", "twemoji:locomotive"),
    "helicopter": ("fluent:helicopter", "noto:helicopter"),
    "apple": ("fluent:red-apple", "noto:red-apple"),
    "banana": ("noto:banana", "twemoji:banana"),
    "carrot": ("noto:carrot", "twemoji:carrot"),
    "cake": ("fluent:birthday-cake", "twemoji:birthday-cake"),
    "tree": ("fluent:deciduous-tree", "noto:deciduous-tree"),
    "flower": ("fluent:sunflower", "noto:sunflower"),
    "mushroom": ("fluent:mushroom", "noto:mushroom"),
    "cactus": ("fluent:cactus", "twemoji:cactus"),
    "cup": ("noto:hot-beverage", "twemoji:hot-beverage"),
    "bulb": ("fluent:light-bulb", "noto:light-bulb"),
    "clock": ("fluent:alarm-clock", "noto:alarm-clock"),
    "key": ("fluent:key", "noto:key"),
    "umbrella": ("fluent:umbrella", "twemoji:umbrella"),
    "chair": ("noto:chair", "twemoji:chair"),
    "guitar": ("fluent:guitar", "noto:guitar"),
    "drum": ("noto:drum", "twemoji:drum"),
    "bell": ("fluent:bell", "noto:bell"),
}
SPREAD = 0.30  # smallest luminance distance from the middle that counts as fully dark or light


def load_icons(name: str, work: Path) -> dict:
    """Return icons.json of one iconify package, fetched with npm unless already in `work`."""
    package, version = PACKAGES[name]
    archive = work / f"iconify-json-{package}-{version}.tgz"
    if not archive.exists():
        subprocess.run(["npm", "pack", f"@iconify-json/{package}@{version}"], cwd=work, check=True)
    with tarfile.open(archive) as tar:
        return json.load(tar.extractfile("package/icons.json"))


def render(icons: dict, name: str) -> Image.Image:
    """Return the (RENDER, RENDER) RGBA picture of an icon."""
    icon = icons["icons"].get(name) or icons["icons"][icons["aliases"][name]["parent"]]
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    box = f'viewBox="0 0 {width} {height}" width="{RENDER}" height="{RENDER}"'
    data = resvg_py.svg_to_bytes(svg_string=f"<svg {space} {box}>{icon['body']}</svg>")
    return Image.open(io.BytesIO(bytes(data))).convert("RGBA")


def normalise(picture: Image.Image) -> Image.Image:
    """Return the LA sprite: tight box, longest side SIDE pixels, middle luminance at one half."""
    box = picture.getchannel("A").point(lambda a: 255 if a >= 96 else 0).getbbox()
    picture = picture.crop(box)
    scale = SIDE / max(picture.size)
    size = tuple(max(1, round(length * scale)) for length in picture.size)
    rgba = np.asarray(picture.resize(size, Image.Resampling.BOX), dtype=np.float64) / 255
    light = rgba[..., :3] @ np.array([0.299, 0.587, 0.114])
    inside = light[rgba[..., 3] > 0.9]
    low, middle, high = np.percentile(inside, [0.5, 50, 99.5])
    down, up = max(middle - low, SPREAD), max(high - middle, SPREAD)
    shade = 0.5 + 0.5 * np.where(light < middle, (light - middle) / down, (light - middle) / up)
    pair = np.dstack([shade.clip(0, 1), rgba[..., 3]])
    # at most 52 grey levels keep the files small; the eye sees no difference once tinted
    pair[..., 0] = (pair[..., 0] * 51).round() / 51
    return Image.fromarray((pair * 255).round().astype(np.uint8))


def letter_picture(letter: str, font_file: str) -> Image.Image:
    """Return the L picture of a letter, cropped to its box, SIDE pixels tall."""
    font = ImageFont.truetype(font_file, 8 * SIDE)
    left, top, right, bottom = font.getbbox(letter)
    picture = Image.new("L", (right - left, bottom - top), 0)
    ImageDraw.Draw(picture).text((-left, -top), letter, font=font, fill=255)
    picture = picture.crop(picture.getbbox())
    return picture.resize((round(picture.width * SIDE / picture.height), SIDE), Image.Resampling.BOX)


def main() -> None:
    """Write every picture and the list of where it came from."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/tmp/iconify"))
    parser.add_argument("--font", default=FONT)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    ASSETS.mkdir(parents=True, exist_ok=True)
    icons = {name: load_icons(name, options.work) for name in PACKAGES}
    sources = ["| sprite | set | icon |", "|---|---|---|"]
    for kind, variants in ICONS.items():
        for variant, source in enumerate(variants):
            name, icon = source.split(":")
            normalise(render(icons[name], icon)).save(ASSETS / f"{kind}-{variant}.png", optimize=True)
            sources.append(f"| {kind}-{variant}.png | {name} | {icon} |")
    for letter in LETTERS:
        letter_picture(letter, options.font).save(ASSETS / f"letter-{letter}.png", optimize=True)
    sources.append("| letter-*.png | DejaVu Sans Bold | |")
    (ASSETS / "SOURCES.md").write_text("# Where each sprite came from\n\n" + "\n".join(sources) + "\n")


if __name__ == "__main__":
    main()

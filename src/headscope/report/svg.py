"""Vega-Lite charts as clean inline SVG, whose marks carry their values, and as SVG and PNG files."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from headscope.storage import Row

_NS = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_LONG = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_COUNTED = re.compile(r'(id="|url\(#)(clip|gradient_)(\d+)(?=["\)])')
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_NOISE = ("aria-roledescription", "aria-hidden", "pointer-events", "role", "class", "stroke-miterlimit")


def draw(spec: Row) -> str:
    """The chart as an SVG document, as Vega writes it; the same chart gives the same bytes."""
    import vl_convert

    # Vega counts clip paths and gradients over the whole life of the process.
    names: dict[str, str] = {}

    def renamed(match: re.Match[str]) -> str:
        kind = match.group(2)
        return match.group(1) + names.setdefault(match.group(2) + match.group(3), f"{kind}{len(names)}")

    return _COUNTED.sub(renamed, str(vl_convert.vegalite_to_svg(spec)))


def to_png(svg: str, scale: float = 2.0) -> bytes:
    """An SVG document as PNG bytes, ``scale`` pixels for each of its units."""
    import io

    import vl_convert
    from PIL import Image

    # Written again, as the renderer hardly compresses.
    picture = Image.open(io.BytesIO(vl_convert.svg_to_png(svg, scale=scale))).convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def inline(svg: str, name: str, label: str) -> str:
    """An SVG document made fit for the page.

    Its ids get the prefix ``name``, so that charts do not share gradients; numbers are rounded to what can
    be seen; each mark keeps the description of its datum as a ``<title>``, which browsers show on hover and
    read aloud. Parsing and writing again also makes sure that no text of the data can end the markup.

    Args:
        svg: the document, as ``draw`` gives it.
        name: unique within the page.
        label: what the picture shows, for those who cannot see it.
    """
    ET.register_namespace("", _NS)
    ET.register_namespace("xlink", _XLINK)
    root = ET.fromstring(svg)
    for node in list(root.iter()):
        _clean(node, name)
    _drop_empty(root)
    width, height = root.get("width"), root.get("height")
    root.attrib = {
        "viewBox": root.get("viewBox") or f"0 0 {width} {height}",
        "style": f"--wide:{float(width or 0):.0f}",
        "role": "img",
        "aria-label": label,
    }
    return ET.tostring(root, encoding="unicode")


def _clean(node: ET.Element, name: str) -> None:
    mark = (node.get("aria-roledescription") or "").endswith("mark")
    tip = node.attrib.pop("aria-label", "")
    if mark and tip:
        title = ET.Element(f"{{{_NS}}}title")
        title.text = tip
        node.insert(0, title)
        node.set("data-tip", "")
    for key in _NOISE:
        node.attrib.pop(key, None)
    if node.get("opacity") == "1":
        del node.attrib["opacity"]
    for key, value in node.attrib.items():
        if key == "id":
            value = f"{name}-{value}"
        value = _REFERENCE.sub(rf"url(#{name}-\1)", value)
        if key in ("d", "transform", "x", "y", "x1", "x2", "y1", "y2", "stroke-width", "width", "height"):
            value = _LONG.sub(lambda m: f"{float(m.group()):.2f}".rstrip("0").rstrip("."), value)
        node.set(key, value)


def _drop_empty(node: ET.Element) -> None:
    """Remove groups and paths that draw nothing."""
    for child in list(node):
        _drop_empty(child)
        tag = child.tag.removeprefix(f"{{{_NS}}}")
        hidden = child.get("display") == "none" or child.get("d") in ("", "M0,0h0v0h0Z")
        if hidden or (tag == "g" and len(child) == 0):
            node.remove(child)

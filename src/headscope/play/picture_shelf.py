"""Pictures of the playground: examples, cases of a study, uploads and composed scenes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from headscope.data.cases import Cases
from headscope.data.pictures import quiet_bombs, to_rgb
from headscope.data.schema import Case, Object
from headscope.errors import DataError
from headscope.making.scenes.generate import one_case
from headscope.making.scenes.kinds import KINDS
from headscope.making.scenes.scene import Scene, Thing
from headscope.play.play_requests import ComposedThing, PictureChoice

EXAMPLE_SEED = 20_262
_EXAMPLES = 12
# Uploads that are kept: so many, and so many pixels together.
_MOST_UPLOADS, _MOST_PIXELS = 64, 120_000_000


@dataclass(eq=False)
class PictureShelf:
    """Gives the picture of a choice, and the case that belongs to it where there is one.

    Attributes:
        study_cases: cases that may be picked by id, of one picture each.
    """

    study_cases: Sequence[Case] = ()
    study_pictures: Cases | None = None
    _uploads: OrderedDict[str, Image.Image] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        made = [one_case(i, EXAMPLE_SEED) for i in range(_EXAMPLES)]
        self.examples = {case.id: case for case, _ in made}
        self._scenes = {case.id: story.scene for case, story in made}
        self._cases = {case.id: case for case in self.study_cases if not case.more}

    def offered(self, source: str) -> list[Case]:
        """Cases that the page lists: of ``example`` or of ``case``."""
        return list((self.examples if source == "example" else self._cases).values())

    def upload(self, content: bytes) -> tuple[str, Image.Image]:
        """Keep an uploaded picture; its key follows from its bytes. The oldest give way.

        Raises:
            DataError: it is no picture, or one that :func:`headscope.data.pictures.to_rgb` refuses.
        """
        try:
            with quiet_bombs(), Image.open(BytesIO(content)) as opened:
                picture = to_rgb(opened).copy()
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as exc:
            raise DataError(f"the file is no picture that can be read ({exc}); choose a PNG or JPEG") from exc
        key = hashlib.sha256(content).hexdigest()[:20]
        self._uploads[key] = picture
        self._uploads.move_to_end(key)
        while len(self._uploads) > 1 and (
            len(self._uploads) > _MOST_UPLOADS
            or sum(p.width * p.height for p in self._uploads.values()) > _MOST_PIXELS
        ):
            self._uploads.popitem(last=False)
        return key, picture

    def image(self, chosen: PictureChoice) -> Image.Image:
        """The picture in RGB.

        Raises:
            DataError: there is none of this id, or a composed thing that cannot be drawn.
        """
        if chosen.source == "scene":
            scene = Scene(tuple(drawn(t) for t in chosen.things), chosen.background)
            return Image.fromarray(scene.render())
        if chosen.source == "upload":
            if chosen.id not in self._uploads:
                raise DataError(
                    "this picture was uploaded to a page that is gone; choose the file once more ('Upload')"
                )
            return self._uploads[chosen.id]
        case = self._known(chosen)
        if chosen.source == "example":
            known = self._scenes[case.id]
            assert known is not None
            return Image.fromarray(known.render())
        assert self.study_pictures is not None
        return self.study_pictures.image(case)

    def case(self, chosen: PictureChoice) -> Case | None:
        """What is known about the picture; None of an upload.

        Raises:
            DataError: there is none of this id.
        """
        if chosen.source == "upload":
            return None
        if chosen.source != "scene":
            return self._known(chosen)
        objects = tuple(
            Object(id=f"o{i}", name=t.kind, box=drawn(t).box, attributes=drawn(t).attributes())
            for i, t in enumerate(chosen.things, 1)
        )
        return Case(
            id="scene", image="scene.png", width=192, height=192, question="?", answer="", objects=objects
        )

    def _known(self, chosen: PictureChoice) -> Case:
        table = self.examples if chosen.source == "example" else self._cases
        if chosen.id not in table:
            there = (
                "run headscope play with the same --study" if chosen.source == "case" else "choose another"
            )
            raise DataError(f"there is no {chosen.source} {chosen.id!r} here; {there}")
        return table[chosen.id]


def drawn(thing: ComposedThing) -> Thing:
    """The thing of a scene.

    Raises:
        DataError: an unknown kind, or a look that this kind does not have.
    """
    if thing.kind not in KINDS:
        raise DataError(f"there is no drawing of a {thing.kind!r}; there are: {', '.join(KINDS)}")
    made = Thing(**thing.model_dump())
    made.sprite()  # refuses a look that the kind does not have
    return made

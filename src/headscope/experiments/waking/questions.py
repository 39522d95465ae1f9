"""Which questions the experiment reads, and the pictures they are shown with."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from headscope.asking.items import Item, make_items
from headscope.data.cases import Cases, refuse_several_pictures
from headscope.errors import StudyError
from headscope.experiments.waking.controls import CONTROLS, Scene, control
from headscope.functions import Taxonomy
from headscope.pointing.boxes import BoxSource, Target, target_of
from headscope.pointing.leaks import leak_of
from headscope.pointing.look import Look
from headscope.pointing.naming import NAMED, UNNAMED
from headscope.pointing.regions import Box
from headscope.pointing.styles import STYLES, TRIED, point

PLAIN = "plain"
BOTH = "both"
LEAKY = "leaky"
# Of the budget: questions that a box or window answers by itself, and those whose answer also lies in things
# that they do not name; both are shown apart.
_LEAKY_SHARE, _UNNAMED_SHARE = 0.2, 0.1
Bins = tuple[tuple[int, int | None], ...]


@dataclass(frozen=True)
class WakeSettings:
    """How much is read, and how.

    Attributes:
        max_items: questions read on ``test``, with every style and control.
        select_items: questions read on ``select`` to choose a style.
        main_contexts: contexts of main questions; steps are asked alone.
        max_new_tokens: bound on an answer's length.
        bins: numbers of things (from, to) shown together; None: without end.
        training_things: numbers of things (from, to) that the model was trained on; None: what its
            checkpoint states (:mod:`headscope.models.training_facts`), most state nothing.
        top_heads: heads per spatial function counted as spatial where no ablation froze any; 0: a sixteenth
            of all, at least one.
        wrong_names: questions asked with the name of an absent thing.
        mediation_items, mediation_draws: questions read again with the spatial heads muted, and random head
            sets that are muted beside them; fewer than 20 sets cannot show p < 0.05.
        head_sets: random head sets, as many per layer as spatial ones, that waking is held against.
        draws: bootstrap draws for intervals.
        unit_items: questions in one unit of the ledger.
        attention: whether attention mass is measured beside contribution norms.
        look: how pointing looks.
        styles, controls: which are read, names from ``STYLES`` and ``CONTROLS``.
    """

    max_items: int = 800
    select_items: int = 240
    main_contexts: tuple[str, ...] = ("alone", "gold")
    max_new_tokens: int = 8
    bins: Bins = ((2, 3), (4, 7), (8, None))
    training_things: tuple[int, int] | None = None
    top_heads: int = 0
    wrong_names: int = 120
    mediation_items: int = 200
    mediation_draws: int = 20
    head_sets: int = 2000
    draws: int = 2000
    unit_items: int = 256
    attention: bool = True
    look: Look = field(default_factory=Look)
    styles: tuple[str, ...] = TRIED
    controls: tuple[str, ...] = tuple(CONTROLS)

    def __post_init__(self) -> None:
        for kind, names, table in (("style", self.styles, STYLES), ("control", self.controls, CONTROLS)):
            unknown = [name for name in names if name not in table]
            if unknown:
                raise StudyError(f"wake: asked for {kind} {unknown[0]!r}; there are: {', '.join(table)}")
        for name in ("max_items", "select_items", "max_new_tokens", "draws", "unit_items", "head_sets"):
            if getattr(self, name) < 1:
                raise StudyError(f"wake settings: {name} is {getattr(self, name)}; expected at least 1")

    def crowding(self, things: int) -> str:
        """Name of the bin that a number of things falls in, ``other`` outside all of them."""
        for low, high in self.bins:
            if low <= things and (high is None or things <= high):
                return bin_name(low, high)
        return "other"

    def range_of(self, things: int) -> str | None:
        """``trained`` where the model was trained on pictures with that many things, ``beyond`` for more.

        None where it is not known what the model was trained on.
        """
        if self.training_things is None:
            return None
        low, high = self.training_things
        return "beyond" if things > high else "trained" if things >= low else "below"


def bin_name(low: int, high: int | None) -> str:
    """``2-3`` or ``8+``."""
    return f"{low}+" if high is None else f"{low}-{high}"


@dataclass(frozen=True)
class Question:
    """One item with where to point for it, the bin of its number of things, and how that lies to training.

    ``leak``: what of its answer boxes or window tell (:mod:`headscope.pointing.leaks`), empty for none.
    """

    item: Item
    target: Target
    crowding: str
    range: str | None
    leak: str = ""

    @property
    def kind(self) -> str:
        """What is to point at, ``leaky`` where that tells the answer."""
        return LEAKY if self.leak and self.target.pointing == NAMED else self.target.pointing


@dataclass(frozen=True)
class Shown:
    """A picture as shown, where the named objects lie in it (decoys left out), and what was masked."""

    image: Image.Image
    boxes: tuple[Box, ...]
    drawn: tuple[Box, ...]
    masked: float
    share: float | None


def questions_of(
    cases: Cases,
    splits: Mapping[str, str],
    split: str,
    taxonomy: Taxonomy,
    source: BoxSource,
    settings: WakeSettings,
) -> list[Question]:
    """Every question of a split, asked alone (main questions in ``main_contexts``), with its target.

    Raises:
        DataError: a case with several pictures: the controls of pointing are made for one.
    """
    refuse_several_pictures(cases, cases.folder)
    wanted = [case for case in cases if splits[case.id] == split]
    found = []
    for item in make_items(wanted, taxonomy, ("alone",), main_contexts=settings.main_contexts):
        things = item.case.things
        target = target_of(source, item.case, item.step)
        crowding, trained = settings.crowding(things), settings.range_of(things)
        found.append(Question(item, target, crowding, trained, leak_of(item.step, target)))
    return found


def choose(questions: Sequence[Question], most: int, seed: int) -> list[Question]:
    """At most ``most`` questions that can be pointed at, as evenly over functions and crowding as there are.

    The choice depends on ids and the seed alone, never on answers. A fifth of the places goes to questions
    that a box answers by itself, a tenth to those that also need unnamed things; what one kind leaves over
    goes to the others, first of all to questions that test pointing.
    """
    kinds = {kind: [q for q in questions if q.kind == kind] for kind in (NAMED, LEAKY, UNNAMED)}
    room = {kind: len(some) for kind, some in kinds.items()}
    few = {
        kind: min(room[kind], round(most * share))
        for kind, share in ((LEAKY, _LEAKY_SHARE), (UNNAMED, _UNNAMED_SHARE))
    }
    few[NAMED] = min(room[NAMED], most - sum(few.values()))
    for kind in few:
        few[kind] = min(room[kind], few[kind] + most - sum(few.values()))
    chosen = [q for kind, some in kinds.items() for q in _evenly(some, few[kind], seed)]
    return sorted(chosen, key=lambda q: q.item.id)


def _evenly(questions: Iterable[Question], most: int, seed: int) -> list[Question]:
    strata: dict[tuple[str, str, str], list[Question]] = defaultdict(list)
    for q in questions:
        strata[q.item.function, q.item.context, q.crowding].append(q)
    ranked = []
    for key, members in strata.items():
        members.sort(key=lambda q: hashlib.sha256(f"{seed} {q.item.id}".encode()).hexdigest())
        ranked += [(place, key, q) for place, q in enumerate(members)]
    return [q for _, _, q in sorted(ranked, key=lambda r: r[:2])[:most]]


def counts(questions: Iterable[Question]) -> dict[str, int]:
    """How many questions there are of each kind of pointing, ``leaky`` ones apart."""
    return dict(sorted(Counter(q.kind for q in questions).items()))


def show(variant: str, image: Image.Image, question: Question, look: Look, seed: int) -> Shown | None:
    """The picture of a question in one variant: ``plain``, a style, or a control of the style ``both``.

    None where the picture has no room for the control.

    Raises:
        StudyError: there is no such variant.
    """
    target, case = question.target, question.item.case
    if variant == PLAIN:
        return Shown(image, target.shown, (), 0.0, None)
    if variant in STYLES:
        pointed = point(variant, image, target.boxes, look)
        kept = tuple(b for i, b in enumerate(pointed.boxes) if i not in target.decoys)
        return Shown(pointed.image, kept, pointed.boxes, pointed.masked, None)
    if variant in CONTROLS:
        objects = tuple(o.box for o in case.objects if o.box is not None)
        scene = Scene(target.boxes, objects, f"{case.id}/{question.item.step.id}")
        made = control(variant, image, scene, look, seed)
        if made is None:
            return None
        return Shown(made.image, target.shown, made.boxes, made.masked, made.share)
    names = (PLAIN, *STYLES, *CONTROLS)
    raise StudyError(f"asked for the picture variant {variant!r}; there are: {', '.join(names)}")

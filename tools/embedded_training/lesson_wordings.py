"""Wordings of the questions that are asked in training only.

More wordings than the cases have make the words matter less than what they say. None is kept for ``test``,
and none is also a main question, which would be answered true or false.
"""

from __future__ import annotations

WORDINGS: dict[str, tuple[str, ...]] = {
    "count_look": (
        "How many of {x} and {y} look {way}?",
        "Of {x} and {y}, how many face {way}?",
        "How many look {way}, {x} and {y}?",
    ),
    "ways": (
        "Which ways do {x} and {y} look?",
        "Which ways do {x} and {y} face?",
        "{x} and {y}, which ways?",
    ),
    "look_and_way": (
        "Which way does {x} look, and which way is {y}?",
        "Which way does {x} face, and which way from it is {y}?",
        "The look of {x} and the way to {y}?",
    ),
    "count_facing": (
        "Of the look of {x} and the way to {y}, how many are {way}?",
        "How many are {way}, the look of {x} and the way to {y}?",
    ),
    "towards": (
        "Does {x} look towards {y}?",
        "Does {x} look to the side of {y}?",
        "Is {y} where {x} looks?",
        "Is {x} turned to {y}?",
    ),
    "share_way": (
        "Does {x} look the same way as {y}?",
        "Does {x} have the way of {y}?",
        "Is the way of {x} the way of {y}?",
        "Compared with {y}, is the way of {x} the same?",
    ),
    "distance": (
        "How far is {x} from {y}?",
        "How far is it from {x} to {y}?",
        "From {x} to {y}, how far is it?",
    ),
    "nearer": (
        "Is {x} the nearer one to {z}, not {y}?",
        "From {z}, is {x} nearer than {y}?",
        "Seen from {z}, is {x} nearer than {y}?",
        "Compared with {y}, does {x} stand closer to {z}?",
    ),
    "nearest": (
        "Which is nearest to {z}, {x} or {y}?",
        "Of {x} and {y}, which is closer to {z}?",
        "Seen from {z}, which is nearer, {x} or {y}?",
    ),
    "list_side": (
        "Which things are {side} {x}?",
        "What things do you see {side} {x}?",
        "List all things {side} {x}.",
    ),
    "count_side": (
        "{side} {x}, how many things are there?",
        "Number of things {side} {x}?",
        "What number of things is {side} {x}?",
        "Counting things, how many are {side} {x}?",
    ),
    "list_kind": (
        "What colours are the {plural}?",
        "Which colours do the {plural} have?",
        "List the colours of the {plural}.",
    ),
    "other_kind": (
        "Beside the {colour} {kind}, what colour is the other {kind}?",
        "What colour is the {kind} that is not {colour}?",
        "Which other colour has {kind} here, not {colour}?",
    ),
    "second_kind": (
        "What colour is the second {kind}?",
        "Which colour has the second {kind}?",
        "The second {kind}, what colour is it?",
    ),
    "count_kind": (
        "How many {plural} are in there?",
        "Number of {plural}?",
        "Counting {plural}, how many are there?",
        "What number of {plural} do you see?",
    ),
    "which_sign": (
        "What colour is the sign {way} of {x}?",
        "What colour has the sign {way} of {x}?",
        "Further {way} than {x}, which sign is there?",
    ),
    "sign_letter": (
        "What letter is on the sign {way} of {x}?",
        "What does the sign {way} of {x} say?",
        "Which letter has the sign {way} of {x}?",
    ),
    "two_signs": (
        "Which is further {way}, the {a} sign or the {b} sign?",
        "Which sign is further {way}, the {a} or the {b} one?",
        "Of the {a} and the {b} sign, which is {way}?",
    ),
    "beside": (
        "Further {way} than {y}, is it {x}?",
        "Compared with {y}, does {x} stand more to the {way}?",
        "Is it further {way} to {x} than to {y}?",
    ),
    "beside_row": (
        "Is {x} {way}, seen from {y}?",
        "Than {y}, is {x} {way}?",
        "Compared with {y}, does {x} stand {way}?",
        "Is the place of {x} the {way} one, not that of {y}?",
    ),
    "lead": (
        "To come from {x} to {y}, do you go {way}?",
        "Is {y} on the way {way} from {x}?",
        "From {x}, does {way} lead to {y}?",
    ),
    "further": (
        "Seen {way}, which is further, {x} or {y}?",
        "Of {x} and {y}, which one is more to the {way}?",
        "{x} or {y}, which is further {way}?",
    ),
    "higher": (
        "{x} or {y}, which is {way}?",
        "Of {x} and {y}, which one stands {way}?",
        "Which has the {way} place, {x} or {y}?",
    ),
    "share_side": (
        "For {x} and {y}, is it the same side?",
        "Does {x} have the side of {y}?",
    ),
}

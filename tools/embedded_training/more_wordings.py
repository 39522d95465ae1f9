"""Further wordings of the cases' questions, for training only, and of statements that need no place.

Frames such as ``What is the ... of {x}?`` are shared by functions, so that the words of a question alone tell
less of its function. None is kept for ``test``: what is, stands last in ``headscope.making.scenes.wordings``.
"""

from __future__ import annotations

MORE: dict[str, tuple[str, ...]] = {
    "what_all": (
        "Which things do you see?",
        "What can you see?",
        "What things does the picture have?",
        "What does the picture have?",
        "Name all that is there.",
    ),
    "what_pair": (
        "Which do you see, {a} or {b}?",
        "What is there, {a} or {b}?",
        "What does the picture have, {a} or {b}?",
        "Can you see {a} or {b}?",
        "Which one is shown, {a} or {b}?",
    ),
    "what_coloured": (
        "Which thing do you see in {colour}?",
        "What is the thing of {colour} colour?",
        "Which is the {colour} thing?",
        "What do you see in {colour}?",
        "Name the {colour} thing.",
        "What has the colour {colour}?",
    ),
    "present": (
        "Can you see {a}?",
        "Does the picture have {a}?",
        "Is {a} in the picture?",
        "Is {a} shown?",
        "Do you see {a} there?",
    ),
    "colour": (
        "What colour has {x}?",
        "Of what colour is {x}?",
        "Which colour do you see on {x}?",
        "Name the colour of {x}.",
        "Tell me the colour of {x}.",
        "For {x}, which colour is it?",
        "{x}, in which colour do you see it?",
        "What is {x} like, in colour?",
    ),
    "size": (
        "What is the size of {x}?",
        "Is the size of {x} small or big?",
        "Name the size of {x}.",
        "Tell me the size of {x}.",
        "For {x}, which size is it?",
        "{x}, small or big?",
        "What is {x} like, in size?",
    ),
    "letter": (
        "What is the letter of {x}?",
        "What letter can you see on {x}?",
        "What is there to read on {x}?",
        "Can you read {x}?",
        "Read the letter on {x}.",
        "Name the letter of {x}.",
        "Tell me the letter of {x}.",
        "For {x}, which letter is it?",
        "What do you see on {x}?",
        "What does {x} show?",
    ),
    "where": (
        "What is the part of {x}?",
        "In which place is {x}?",
        "In what part do you see {x}?",
        "Name the place of {x}.",
        "Tell me the place of {x}.",
        "For {x}, which place is it?",
        "{x}, where is it?",
        "Where can you see {x}?",
    ),
    "look": (
        "What is the way of {x}?",
        "To which side does {x} face?",
        "What way does {x} look?",
        "Name the way of {x}.",
        "Tell me the way of {x}.",
        "For {x}, which way is it?",
        "In which way does {x} look?",
        "What direction does {x} face?",
    ),
    "lead": ("From {x} to {y}, do you go {way}?", "To come to {y} from {x}, is {way} the way?"),
    "further": (
        "Which do you see further {way}, {x} or {y}?",
        "Name the one further {way}, {x} or {y}.",
        "Which is more to the {way}, {x} or {y}?",
    ),
    "higher": (
        "Which do you see {way}, {x} or {y}?",
        "Name the {way} one, {x} or {y}.",
        "Which is the {way} one, {x} or {y}?",
    ),
    "beside": ("Do you see {x} further {way} than {y}?", "Is {x} the one further {way}, not {y}?"),
    "beside_row": ("Do you see {x} {way} than {y}?", "Is {x} the {way} one, not {y}?"),
    "nearer": ("Do you see {x} nearer to {z} than {y}?", "Is {x} more near to {z} than {y}?"),
    "share_side": ("Do you see {x} and {y} on one side?", "Is it one side for {x} and {y}?"),
    "share_way": ("Is it one way for {x} and {y}?", "Do {x} and {y} have one way?"),
    "which_sign": (
        "Which sign do you see {way} of {x}, the {a} or the {b} one?",
        "What is {way} of {x}, the {a} or the {b} sign?",
    ),
    "count_kind": (
        "How many {plural} can you see?",
        "How many {plural} does the picture have?",
        "Name the number of {plural}.",
        "Tell me the number of {plural}.",
        "For {plural}, which number is it?",
        "{plural}, how many are there?",
    ),
    "count_side": (
        "How many things can you see {side} {x}?",
        "Tell me the number of things {side} {x}.",
        "How many things stand {side} {x}?",
    ),
    "known": (
        "Which of the things {hint}?",
        "What do you see that {hint}?",
        "Name the thing that {hint}.",
        "Tell me what {hint}.",
        "Which one {hint}?",
    ),
    "verdict": ("Now {question}", "In all, {question}", "After all that, {question}"),
}

# Statements about one thing, true or false: their form is that of the main questions, without a place.
DECISIONS: dict[str, tuple[str, ...]] = {
    "colour": (
        "is {x} {said}?",
        "is the colour of {x} {said}?",
        "does {x} have the colour {said}?",
        "is {x} shown in {said}?",
        "is it {said}, the colour of {x}?",
    ),
    "size": ("is {x} {said}?", "is the size of {x} {said}?", "does {x} have the size {said}?"),
    "letter": (
        "does {x} show {said}?",
        "does {x} say {said}?",
        "is the letter of {x} {said}?",
        "is there {said} on {x}?",
    ),
    "kind": (
        "is the {colour} thing {said}?",
        "is {said} the {colour} thing?",
        "is the thing in {colour} colour {said}?",
        "do you see {said} in {colour}?",
    ),
    "known": (
        "is the thing that {hint} {said}?",
        "does the thing that {hint} have the colour {said}?",
        "is what {hint} shown in {said}?",
    ),
    "count": (
        "are there {said} {plural}?",
        "do you see {said} {plural}?",
        "is the number of {plural} {said}?",
    ),
}

# Captions that say what things are like and not where they are.
CAPTIONS: tuple[str, ...] = (
    "Describe the picture.",
    "List all things.",
    "Tell me all you see.",
    "Tell me all about the picture.",
    "What can you tell of the picture?",
    "Name all things with colour and size.",
    "Describe all things.",
)

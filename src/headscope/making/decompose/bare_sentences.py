"""The sentence of a question alone: options, instructions and what asks for its truth are taken off."""

from __future__ import annotations

import re

_TRUTH = r"(?:yes|no|true|false)"
_PICTURE = r"(?:the |this |that )?(?:picture|image|photo|photograph|scene)s?(?: (?:above|below|shown|given))?"
_HEAD = re.compile(
    rf"^(?:question|statement|claim|caption|sentence|q|(?:true or false|yes or no|{_TRUTH}[ ]?/[ ]?{_TRUTH}))"
    r"\s*[:.?,]\s*"
    r"|^(?:so\s+)?(?:is it|it is|it's) (?:true|correct|right|the case) (?:that|,)\s+"
    r"|^(?:so\s+)?is (?:this|the following)(?: statement| sentence| claim| caption)?(?: true| correct)?"
    rf"(?: of| about| for)?(?: {_PICTURE})?\s*[:?]\s*"
    rf"|^(?:in|based on|looking at|given|from|according to|judging by) {_PICTURE}\s*,\s*"
    rf"|^(?:please\s+)?(?:look at|see|consider|examine) {_PICTURE}(?: carefully)?"
    r"(?:\s*[.:,]\s*|\s+and (?:answer|decide|say)\b[^.:?]{0,60}[.:]\s*)"
    r"|^(?:please\s+)?answer (?:the|this|my)?(?: following)? ?question\b[^.:?]{0,60}[.:]\s*"
    rf"|^(?:please\s+)?answer (?:with |by |in )?{_TRUTH} or {_TRUTH}\s*[:.,]\s*"
    r"|^(?:please\s+)?(?:tell me|say|decide|determine|check|judge) (?:if|whether)(?: or not)?"
    r"(?: it is true that)?\s+",
    re.IGNORECASE,
)
_VERBS = (
    "please|answer|respond|reply|choose|select|give|use|say|pick|return|output|write|provide|explain|think"
    "|let's think|lets think|only (?:answer|reply|respond|say|output|use|give|write)"
    "|just (?:answer|reply|say)|your (?:answer|reply|response)"
    "|(?:do not|don't) (?:explain|add|use|give|write)"
    "|be (?:brief|concise|short)|keep (?:it|your)|end (?:with|your)|finish (?:with|your)|format|make sure"
    "|no explanation|the answer (?:should|must|has to)|a single word|one word"
    f"|{_TRUTH} or {_TRUTH}|{_TRUTH}[ ]?/[ ]?{_TRUTH}|which is it"
)
_TAIL = re.compile(
    r"\s*[(\[]?\b(?:choose one|choose from|options?|choices?|select one|select from|candidates?)\b"
    r"\s*[:(.\n].*$"
    r"|\s*\b(?:choose|select) (?:one|from) .*$"
    rf"|\s*[(\[]?\b[A1]\s*[).:\]]\s*{_TRUTH}\b.*$"
    rf"|\s*[(\[]\s*{_TRUTH}\s*[,/|]\s*{_TRUTH}\s*[)\]].*$"
    rf"|\n\s*[-*•]\s*{_TRUTH}\b.*$"
    rf"|(?<=[.?!\n])\s*[(\[]?\s*(?:{_VERBS})\b.*$"
    rf"|\s*[,(\[]?\s*(?:{_TRUTH} or {_TRUTH}|{_TRUTH}[ ]?/[ ]?{_TRUTH})\s*[)\]]?\s*[?.]?$",
    re.IGNORECASE | re.DOTALL,
)
_WHERE = re.compile(rf"\s+in (?:the|this) {_PICTURE.removeprefix('(?:the |this |that )?')}$", re.IGNORECASE)
_MARKUP = re.compile(r"<\|?image[^<>]{0,20}>|\*\*|</?(?:b|i|p|br)\s*/?>", re.IGNORECASE)
# What says that there is a thing, in other words.
_SEEN = (
    (re.compile(r"^(?:can|do|could) (?:you|we|i) (?:see|find|spot) (?=an? )", re.IGNORECASE), "is there "),
    (re.compile(r"^(?:you|we|i|one) (?:can )?see (?=an? )", re.IGNORECASE), "there is "),
    (re.compile(rf"^{_PICTURE} (?:shows|contains|depicts|has) (?=an? )", re.IGNORECASE), "there is "),
    (re.compile(r"^there['’]s ", re.IGNORECASE), "there is "),
)


def bare(text: str) -> str:
    """A statement or question without options, instructions and what asks for its truth.

    Example:
        >>> bare("Is the umbrella behind the cat? Choose one: (A) yes (B) no")
        'Is the umbrella behind the cat'
        >>> bare("Look at the image. Can you see a cup on the table? Reply with yes or no only.")
        'is there a cup on the table'
    """
    text, last = _MARKUP.sub(" ", text), ""
    while text != last:
        last = text
        text = _TAIL.sub("", text.strip())
        text = _HEAD.sub("", text).strip().strip("\"'“”‘’").rstrip(" .?!").strip("\"'“”‘’")
    text = _WHERE.sub("", " ".join(text.split()))
    for form, plain in _SEEN:
        text = form.sub(plain, text, count=1)
    return text

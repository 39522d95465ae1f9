"""A model's reply: the JSON that it must be, and everything that is wrong with one."""

from __future__ import annotations

import json
import re
from typing import Any, TypedDict, cast

from headscope.data.checks import check_case, parse
from headscope.data.pictures import show
from headscope.data.schema import UNANSWERED, Case
from headscope.functions import Taxonomy
from headscope.making.decompose.prompt_files import LEAST, MOST
from headscope.models.thinking import without_thoughts
from headscope.records import JsonObject, JsonValue

LONGEST = 60_000  # characters of a reply that is looked at
_QUESTION, _ANSWER = 300, 100
_STARTS = 50  # places in a reply at which JSON is looked for
_FENCE = re.compile(r"```[\w+-]*[ \t]*\n?(.*?)```", re.DOTALL)


class RepliedStep(TypedDict):
    """A step as a model is asked to write it; ``depends_on`` are numbers of earlier steps, from 1."""

    question: str
    answer: str | None
    choices: list[str]
    function: str
    objects: list[str]
    depends_on: list[int]


def reply_schema(taxonomy: Taxonomy) -> JsonObject:
    """The JSON schema of a reply, for servers that enforce one (OpenAI's strict subset)."""
    texts: JsonObject = {"type": "array", "items": {"type": "string"}}
    step: JsonObject = {
        "question": {"type": "string"},
        "answer": {"type": ["string", "null"]},
        "choices": texts,
        "function": {"type": "string", "enum": list(taxonomy.functions)},
        "objects": texts,
        "depends_on": {"type": "array", "items": {"type": "integer"}},
    }
    required = list[JsonValue](step)
    item: JsonObject = {"type": "object", "properties": step, "required": required}
    item["additionalProperties"] = False
    return {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": item}},
        "required": ["steps"],
        "additionalProperties": False,
    }


_KEYS = set(RepliedStep.__annotations__)


def read_reply(
    text: str, case: Case, taxonomy: Taxonomy, verdict: str, whole: bool = True
) -> tuple[Case | None, list[str]]:
    """(the case with the reply's steps, nothing) or (None, every fault in one line each).

    Answers are marked ``guessed``, absent ones unanswered; the verdict's answer is the case's own. What comes
    back passes the checks that every case passes.

    Args:
        text: what the model wrote.
        verdict: the function of the last step.
        whole: the reply was not cut off; only then is JSON that is nearly right repaired.
    """
    if len(text) > LONGEST:
        return None, [f"the reply has {len(text)} characters, at most {LONGEST} are read"]
    raw = _json_in(text, whole)
    if raw is None:
        return None, [f"not JSON: {show(text.strip()[:80])}"]
    steps = _steps_of(raw)
    if steps is None:
        return None, ['expected an object with "steps", a list of objects']
    steps = [_plainly(step, taxonomy, case) for step in steps]
    if not LEAST <= len(steps) <= MOST:
        return None, [f"expected {LEAST} to {MOST} steps, found {len(steps)}"]
    faults = [f for number, step in enumerate(steps, 1) for f in _step_faults(number, step)]
    if faults:
        return None, faults
    proved = cast(list[RepliedStep], steps)
    faults = _chain_faults(proved, case, verdict)
    made, found = _build(proved, case, taxonomy)
    return (None, faults + found) if faults or found else (made, [])


def _json_in(text: str, whole: bool) -> Any:
    """The JSON in a reply: all of it, in a fence, or among words; repaired where it is nearly JSON.

    None where there is none. Thoughts do not count.
    """
    said = without_thoughts(text).replace("\ufeff", "").strip() or text
    tried = [said, *(block.strip() for block in reversed(_FENCE.findall(said)))]
    for one in tried:
        try:
            return json.loads(one)
        except (ValueError, RecursionError):
            continue
    decoder = json.JSONDecoder()
    starts = [m.start() for m in re.finditer(r"[\[{]", said)][:_STARTS]
    for start in starts:
        try:
            found, _ = decoder.raw_decode(said, start)
        except (ValueError, RecursionError):
            continue
        if _steps_of(found):
            return found
    return _repaired(said, starts) if whole else None


def _repaired(text: str, starts: list[int]) -> Any:
    try:
        import json_repair
    except ImportError:  # then nothing is repaired
        return None
    end = max(text.rfind("}"), text.rfind("]"))
    if not starts or end < starts[0] or text.count("[") > 500:  # cut off or absurdly nested
        return None
    try:
        return json_repair.loads(text[starts[0] : end + 1], skip_json_loads=True)
    except (ValueError, RecursionError, TypeError, IndexError):  # it repairs anything but the absurd
        return None


def _steps_of(raw: object) -> list[JsonObject] | None:
    """The steps in an object under ``steps``, or in a list of them by itself."""
    steps = raw.get("steps") if isinstance(raw, dict) else raw
    if not isinstance(steps, list) or not all(isinstance(s, dict) for s in steps):
        return None
    return steps if isinstance(raw, dict) or all("question" in s for s in steps) else None


def _plainly(step: JsonObject, taxonomy: Taxonomy, case: Case) -> JsonObject:
    """A step without what does not matter: keys of its own, capitals, numbers as text, names for ids."""
    kept = {key: step.get(key) for key in _KEYS if key in step}
    kept |= {key: kept.get(key) or [] for key in ("choices", "objects", "depends_on")}
    function = kept.get("function")
    if isinstance(function, str):
        named = {f.casefold(): f for f in taxonomy.functions}
        kept["function"] = named.get(re.sub(r"[\s-]+", "_", function.strip().casefold()), function)
    if isinstance(kept["choices"], list):
        kept["choices"] = [_text(c) for c in kept["choices"]]
    if "answer" in kept:
        kept["answer"] = _text(kept["answer"])
        if isinstance(kept["answer"], str) and isinstance(kept["choices"], list):
            same = [c for c in kept["choices"] if _loose(c) == _loose(kept["answer"])]
            kept["answer"] = same[0] if len(same) == 1 else kept["answer"]
    if isinstance(kept["depends_on"], list):
        kept["depends_on"] = [_number(n) for n in kept["depends_on"]]
    if isinstance(kept["objects"], list):
        names = [o.name.casefold() for o in case.objects]
        ids = {o.name.casefold(): o.id for o in case.objects if names.count(o.name.casefold()) == 1}
        known = {o.id for o in case.objects}
        kept["objects"] = [
            o if o in known or not isinstance(o, str) else ids.get(o.casefold(), o) for o in kept["objects"]
        ]
    return kept


def _text(value: JsonValue) -> JsonValue:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _number(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(?:s|step)?\s*#?(\d{1,2})\s*", value, re.IGNORECASE)
        return int(found[1]) if found else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _loose(text: object) -> str:
    return " ".join(str(text).casefold().split()).strip(" .")


def _step_faults(number: int, step: JsonObject) -> list[str]:
    at = f"step {number}"
    if missing := sorted(_KEYS - set(step)):
        return [f"{at}: expected the keys {sorted(_KEYS)}, found no {', '.join(missing)}"]
    out = []
    for key, most in (("question", _QUESTION), ("answer", _ANSWER), ("function", _ANSWER)):
        value = step[key]
        if value is None and key == "answer":
            continue
        if not isinstance(value, str) or not value.strip() or len(value) > most:
            out.append(f"{at}: {key}: expected text of at most {most} characters, found {show(value)}")
        elif re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value):
            out.append(f"{at}: {key}: control characters in {show(value)}")
    for key in ("choices", "objects"):
        value = step[key]
        if not isinstance(value, list) or not all(isinstance(v, str) and len(v) <= _ANSWER for v in value):
            out.append(f"{at}: {key}: expected a list of short texts, found {show(value)}")
    rests = step["depends_on"]
    if not isinstance(rests, list) or not all(type(v) is int and 1 <= v < number for v in rests):
        out.append(f"{at}: depends_on: expected numbers of earlier steps, found {show(str(rests))}")
    return out


def _chain_faults(steps: list[RepliedStep], case: Case, verdict: str) -> list[str]:
    out = []
    last = steps[-1]
    if last["function"] != verdict:
        out.append(f"the last step must be {verdict}, found {show(last['function'])}")
    if _loose(last["answer"]) != _loose(case.answer):
        out.append(f"the last step's answer must be {show(case.answer)}, found {show(last['answer'])}")
    if any(s["function"] == verdict for s in steps[:-1]):
        out.append(f"only the last step may be {verdict}")
    asked = [" ".join(s["question"].casefold().split()) for s in steps]
    if len(set(asked)) < len(asked):
        out.append("two steps ask the same question")
    if " ".join(case.question.casefold().split()) in asked[:-1]:
        out.append("a step before the last repeats the whole question")
    return out


def _build(steps: list[RepliedStep], case: Case, taxonomy: Taxonomy) -> tuple[Case | None, list[str]]:
    made = []
    for number, step in enumerate(steps, 1):
        last = number == len(steps)
        answer = step["answer"]
        made.append(
            {
                "id": f"s{number}",
                "question": step["question"].strip(),
                "answer": (answer or "").strip() if not last else case.answer,
                "function": step["function"],
                "choices": list(case.choices) if last else [c.strip() for c in step["choices"]],
                "objects": step["objects"],
                "depends_on": [f"s{n}" for n in dict.fromkeys(step["depends_on"])],
                "wording": "model/0",
                "origin": "derived" if last else UNANSWERED if answer is None else "guessed",
            }
        )
    raw = case.model_dump(mode="json") | {"steps": made}
    _, found, schema = parse(json.dumps(raw))
    faults = [*schema, *check_case(raw, taxonomy)]
    return found, [f"{f.field}: {f.what}, found {f.found}, expected {f.expected}" for f in faults]

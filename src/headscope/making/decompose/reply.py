"""A model's reply: the JSON that it must be, and everything that is wrong with one."""

from __future__ import annotations

import json
import re
from typing import Any

from headscope.data.checks import check_case, parse
from headscope.data.pictures import show
from headscope.data.schema import UNANSWERED, Case
from headscope.functions import Taxonomy
from headscope.making.decompose.prompt_files import LEAST, MOST

LONGEST = 60_000  # characters of a reply that is looked at
_QUESTION, _ANSWER = 300, 100
_FENCE = re.compile(r"^```(?:json)?\s*(.*?)\s*```$", re.DOTALL)
_KEYS = {"question", "answer", "choices", "function", "objects", "depends_on"}


def reply_schema(taxonomy: Taxonomy) -> dict[str, Any]:
    """The JSON schema of a reply, for servers that enforce one (OpenAI's strict subset)."""
    texts = {"type": "array", "items": {"type": "string"}}
    step = {
        "question": {"type": "string"},
        "answer": {"type": ["string", "null"]},
        "choices": texts,
        "function": {"type": "string", "enum": list(taxonomy.functions)},
        "objects": texts,
        "depends_on": {"type": "array", "items": {"type": "integer"}},
    }
    item = {"type": "object", "properties": step, "required": list(step), "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": item}},
        "required": ["steps"],
        "additionalProperties": False,
    }


def read_reply(text: str, case: Case, taxonomy: Taxonomy, verdict: str) -> tuple[Case | None, list[str]]:
    """(the case with the reply's steps, nothing) or (None, every fault in one line each).

    Answers are marked ``guessed``, absent ones unanswered; the verdict's answer is the case's own. What comes
    back passes the checks that every case passes.

    Args:
        text: what the model wrote.
        verdict: the function of the last step.
    """
    if len(text) > LONGEST:
        return None, [f"the reply has {len(text)} characters, at most {LONGEST} are read"]
    fence = _FENCE.match(text.strip())
    try:
        raw = json.loads(fence[1] if fence else text)
    except (ValueError, RecursionError) as exc:
        return None, [f"not JSON: {str(exc)[:120]}"]
    steps = raw.get("steps") if isinstance(raw, dict) else None
    if not isinstance(steps, list) or not all(isinstance(s, dict) for s in steps):
        return None, ['expected an object with "steps", a list of objects']
    if not LEAST <= len(steps) <= MOST:
        return None, [f"expected {LEAST} to {MOST} steps, found {len(steps)}"]
    faults = [f for number, step in enumerate(steps, 1) for f in _step_faults(number, step)]
    if faults:
        return None, faults
    faults = _chain_faults(steps, case, verdict)
    made, found = _build(steps, case, taxonomy)
    return (None, faults + found) if faults or found else (made, [])


def _step_faults(number: int, step: dict[str, Any]) -> list[str]:
    at = f"step {number}"
    if set(step) != _KEYS:
        return [f"{at}: expected exactly the keys {sorted(_KEYS)}, found {sorted(map(str, step))[:10]}"]
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


def _chain_faults(steps: list[dict[str, Any]], case: Case, verdict: str) -> list[str]:
    out = []
    last = steps[-1]
    if last["function"] != verdict:
        out.append(f"the last step must be {verdict}, found {show(last['function'])}")
    if last["answer"] != case.answer:
        out.append(f"the last step's answer must be {show(case.answer)}, found {show(last['answer'])}")
    if any(s["function"] == verdict for s in steps[:-1]):
        out.append(f"only the last step may be {verdict}")
    asked = [" ".join(s["question"].casefold().split()) for s in steps]
    if len(set(asked)) < len(asked):
        out.append("two steps ask the same question")
    if " ".join(case.question.casefold().split()) in asked[:-1]:
        out.append("a step before the last repeats the whole question")
    return out


def _build(steps: list[dict[str, Any]], case: Case, taxonomy: Taxonomy) -> tuple[Case | None, list[str]]:
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

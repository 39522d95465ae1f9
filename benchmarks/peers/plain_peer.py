"""Plain forward pre-hooks, the limit: the model itself and nothing else."""

from common import Bench, run


def prepare(bench: Bench) -> dict:
    return {"capture": bench.capture, "mute": bench.mute, "generate": bench.generate}


run(prepare)

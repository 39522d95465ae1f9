"""Random sequences of commands on tiny studies: killed, interrupted, with files damaged and moved between."""

"""The causal scan: what each head causes, by one clean run and replays of what lies above a head."""

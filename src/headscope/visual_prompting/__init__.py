"""Pointing at the objects a question names: boxes, picture styles, controls, head wake-up, the experiment."""

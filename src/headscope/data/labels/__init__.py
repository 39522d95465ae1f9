"""Labelled boxes in the files of other tools, as COCO's instances."""

"""Which heads serve which cognitive function: probes, importance, significance and the atlas."""

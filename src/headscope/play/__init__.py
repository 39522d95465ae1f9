"""The playground: a page on this machine to ask, point, and mute, turn up and watch heads."""

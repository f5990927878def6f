"""A loss of which each rank has a part of the classes: the outermost fold."""

"""Losses that are made of the engine's: a module for each family. `crossentropy.functional` shows them."""

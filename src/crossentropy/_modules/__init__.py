"""Classes of losses that are not torch's: a module for each family. `crossentropy.nn` shows them."""

from .rnn import RNNClassifier

__all__ = ["RNNClassifier"]

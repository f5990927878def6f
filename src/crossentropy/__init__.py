"""crossentropy: the cross-entropy library for PyTorch.

information −log p  →  entropy  →  KL divergence  →  cross entropy  →  a loss  →  a model trained with it

crossentropy.information   the quantities on discrete distributions
crossentropy.continuous    the same quantities for densities
crossentropy.functional    losses, drop-in for torch.nn.functional
crossentropy.nn            losses, drop-in for torch.nn
"""

from crossentropy import continuous, functional, information, nn
from crossentropy._contract import Options
from crossentropy.functional import TokenStatistics

__all__ = ["Options", "TokenStatistics", "continuous", "functional", "information", "nn"]

__version__ = "0.1.0"

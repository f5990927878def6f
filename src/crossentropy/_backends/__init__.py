"""Backends: ways to execute a loss. Each takes `(LossTensors, LossSpec)`; none imports another."""

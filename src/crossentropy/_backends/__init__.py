"""Backends: ways to execute a loss. Each is a module, as `_dispatch` describes; none imports another."""

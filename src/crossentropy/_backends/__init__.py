"""Backends: ways to execute a loss. Each is a module that takes a `Loss`, as `_dispatch` describes; none imports another."""

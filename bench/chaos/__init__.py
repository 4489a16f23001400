"""Breaks a real farm on purpose, from a seed, and counts what is lost: `make chaos SEED=1`.

Real Valkey, SeaweedFS, workers and producers, all on loopback; only the engine is made for it. The product has no hooks
for this: faults come from outside, or by `site/sitecustomize.py`, which worker processes of ours load at their start.
"""

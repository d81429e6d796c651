"""From an adapted network and a Survey to a `FitResult`, and from there to predictions.

Read in this order: `config` (what a training run is), `loop` (`fit`), `feeding` (what is learned from, and where the
batches come from), `state` (how a killed run goes on). `objectives`, `sampling` and `optimising` are the parts a study
varies; `hardware` decides what the machine is good for; `predicting` asks the trained network.
"""

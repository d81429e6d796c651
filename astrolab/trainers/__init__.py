"""From an adapted network and a Survey to a `FitResult`.

Read in this order: `config` (what a training run is), `loop` (`fit`), `epochs` (one pass over the galaxies), `feeding`
(where the batches come from), `state` and `checkpoints` (how a killed run goes on), `results`. `losses`, `schedules`,
`stopping` and `augmentation` are the parts a study varies; `data` proves that the surveys fit the network, `hardware`
decides what the machine is good for.
"""

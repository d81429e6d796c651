"""Networks, and the ways of moving a trained one to another survey.

Importing a module of this folder imports torch (but for `arms`); importing the folder itself does not.

========= ========================================================================================
network   what every network promises: inputs, labels, stages, hidden features; digests of weights
registry  name and survey -> network; a user's own networks
networks  the networks that come with astrolab
adapt     network and strategy -> adapted network with its plan
adapters  what is put beside frozen weights: low-rank adapters through peft, a learned correction
plan      what trains and what does not, and the proof of it
arms      the ways of moving a model that studies compare
saving    folders of safetensors, read back to the last bit
paths     networks on the line from a base network to what was trained from it
========= ========================================================================================
"""
